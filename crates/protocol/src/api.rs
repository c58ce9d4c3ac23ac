//! Which APIs are served, in which versions: the one table behind version negotiation, header
//! forms and message schemas.

/// The versions of one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// The lowest version served.
    pub min: i16,
    /// The highest version served.
    pub max: i16,
    /// The lowest version that ApiVersions tells of. Differs from `min` only where a client takes
    /// the absence of an old version for the absence of a feature.
    pub advertised_min: i16,
    /// The first version with compact lengths and tagged fields (KIP-482); `None` if there is
    /// none.
    pub flexible_from: Option<i16>,
}

impl Api {
    const fn new(min: i16, max: i16, flexible_from: Option<i16>) -> Self {
        Self { min, max, advertised_min: min, flexible_from }
    }

    /// librdkafka compresses only if the broker's range includes Produce 0 to 2, so Kafka 4
    /// advertises 0 and serves from 3 (KAFKA-18659).
    const fn advertised_from(self, advertised_min: i16) -> Self {
        Self { advertised_min, ..self }
    }

    /// Whether `version` is served.
    #[must_use]
    pub const fn serves(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

macro_rules! apis {
    ($($name:ident = $key:literal: $api:expr;)+) => {
        /// An API that is served, named as Kafka names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[allow(missing_docs, reason = "the names are the protocol's own")]
        pub enum ApiKey {
            $($name = $key,)+
        }

        impl ApiKey {
            /// The API with this number; `None` if it is not served.
            #[must_use]
            pub const fn from_i16(key: i16) -> Option<Self> {
                match key {
                    $($key => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Kafka's name for the API.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The versions of the API.
            #[must_use]
            pub const fn api(self) -> Api {
                match self {
                    $(Self::$name => $api,)+
                }
            }
        }

        /// Every API that is served, by rising key: what ApiVersions answers.
        pub const SERVED: &[(ApiKey, Api)] = &[$((ApiKey::$name, $api),)+];
    };
}

// Versions: those of Kafka 4.1 that are not marked unstable there.
apis! {
    Produce = 0: Api::new(3, 13, Some(9)).advertised_from(0);
    Fetch = 1: Api::new(4, 18, Some(12));
    ListOffsets = 2: Api::new(1, 10, Some(6));
    Metadata = 3: Api::new(0, 13, Some(9));
    OffsetCommit = 8: Api::new(2, 9, Some(8));
    OffsetFetch = 9: Api::new(1, 9, Some(6));
    FindCoordinator = 10: Api::new(0, 6, Some(3));
    JoinGroup = 11: Api::new(0, 9, Some(6));
    Heartbeat = 12: Api::new(0, 4, Some(4));
    LeaveGroup = 13: Api::new(0, 5, Some(4));
    SyncGroup = 14: Api::new(0, 5, Some(4));
    DescribeGroups = 15: Api::new(0, 6, Some(5));
    ListGroups = 16: Api::new(0, 5, Some(3));
    ApiVersions = 18: Api::new(0, 4, Some(3));
    CreateTopics = 19: Api::new(2, 7, Some(5));
    DeleteTopics = 20: Api::new(1, 6, Some(4));
    DeleteRecords = 21: Api::new(0, 2, Some(2));
    InitProducerId = 22: Api::new(0, 5, Some(2));
    OffsetForLeaderEpoch = 23: Api::new(2, 4, Some(4));
    DescribeConfigs = 32: Api::new(1, 4, Some(4));
    AlterConfigs = 33: Api::new(0, 2, Some(2));
    DescribeLogDirs = 35: Api::new(1, 4, Some(2));
    CreatePartitions = 37: Api::new(0, 3, Some(2));
    DeleteGroups = 42: Api::new(0, 2, Some(2));
    ElectLeaders = 43: Api::new(0, 2, Some(2));
    IncrementalAlterConfigs = 44: Api::new(0, 1, Some(1));
    AlterPartitionReassignments = 45: Api::new(0, 1, Some(0));
    ListPartitionReassignments = 46: Api::new(0, 0, Some(0));
    OffsetDelete = 47: Api::new(0, 0, None);
    DescribeQuorum = 55: Api::new(0, 2, Some(0));
    UpdateFeatures = 57: Api::new(0, 2, Some(0));
    DescribeCluster = 60: Api::new(0, 2, Some(0));
    DescribeProducers = 61: Api::new(0, 0, Some(0));
    UnregisterBroker = 64: Api::new(0, 0, Some(0));
    ListConfigResources = 74: Api::new(0, 1, Some(0));
    DescribeTopicPartitions = 75: Api::new(0, 0, Some(0));
    AddRaftVoter = 80: Api::new(0, 0, Some(0));
    RemoveRaftVoter = 81: Api::new(0, 0, Some(0));
}

/// The first frame of a connection between nodes has this where a request has its API key. Far from
/// the numbers of Kafka and of what extends it; never told to clients.
pub const INTERNAL_API_KEY: i16 = 0x4348;

impl ApiKey {
    /// Whether controllers answer it on listeners of their own, as Kafka's do.
    #[must_use]
    pub const fn on_controllers(self) -> bool {
        matches!(
            self,
            Self::ApiVersions
                | Self::CreateTopics
                | Self::DeleteTopics
                | Self::CreatePartitions
                | Self::DescribeConfigs
                | Self::AlterConfigs
                | Self::IncrementalAlterConfigs
                | Self::ElectLeaders
                | Self::AlterPartitionReassignments
                | Self::ListPartitionReassignments
                | Self::DescribeQuorum
                | Self::UpdateFeatures
                | Self::DescribeCluster
                | Self::UnregisterBroker
                | Self::AddRaftVoter
                | Self::RemoveRaftVoter
        )
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }
}

/// Whether `version` of the API has compact lengths and tagged fields.
#[must_use]
pub fn flexible(key: ApiKey, version: i16) -> bool {
    key.api().flexible_from.is_some_and(|from| version >= from)
}

/// The version of the header before a request: 2 ends in tagged fields, 1 does not.
#[must_use]
pub fn request_header_version(key: ApiKey, version: i16) -> i16 {
    if flexible(key, version) { 2 } else { 1 }
}

/// The version of the header before a response: 1 ends in tagged fields, 0 does not.
#[must_use]
pub fn response_header_version(key: ApiKey, version: i16) -> i16 {
    // A client reads the answer to its first ApiVersions before it knows what the broker
    // speaks, so that header never changes (KIP-511).
    if key != ApiKey::ApiVersions && flexible(key, version) { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_rises_and_its_ranges_are_ranges() {
        assert!(SERVED.is_sorted_by(|(a, _), (b, _)| a < b));
        for (key, api) in SERVED {
            assert!(api.advertised_min <= api.min && api.min <= api.max, "{key:?}");
            assert_eq!(ApiKey::from_i16(key.code()), Some(*key));
            assert!(api.serves(api.min) && api.serves(api.max) && !api.serves(api.max + 1));
        }
        assert_eq!(ApiKey::from_i16(4), None);
        assert_eq!(ApiKey::from_i16(-1), None);
    }

    #[test]
    fn librdkafka_finds_the_ranges_its_features_ask_for() {
        let advertised = |key: ApiKey| key.api().advertised_min..=key.api().max;
        for (key, version) in [
            (ApiKey::Produce, 0),
            (ApiKey::JoinGroup, 0),
            (ApiKey::SyncGroup, 0),
            (ApiKey::Heartbeat, 0),
            (ApiKey::LeaveGroup, 0),
            (ApiKey::FindCoordinator, 0),
            (ApiKey::OffsetCommit, 2),
            (ApiKey::OffsetFetch, 1),
            (ApiKey::InitProducerId, 0),
            (ApiKey::ListOffsets, 1),
            (ApiKey::Fetch, 4),
            (ApiKey::Fetch, 10),
        ] {
            assert!(advertised(key).contains(&version), "{key:?} {version}");
        }
    }

    #[test]
    fn only_api_versions_keeps_the_old_response_header() {
        assert_eq!(response_header_version(ApiKey::ApiVersions, 4), 0);
        assert_eq!(request_header_version(ApiKey::ApiVersions, 3), 2);
        assert_eq!(request_header_version(ApiKey::ApiVersions, 2), 1);
        assert_eq!(response_header_version(ApiKey::Metadata, 9), 1);
        assert_eq!(response_header_version(ApiKey::Metadata, 8), 0);
        assert_eq!(response_header_version(ApiKey::OffsetDelete, 0), 0);
    }
}
