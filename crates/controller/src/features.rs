//! The features of a cluster: what this version can, and who decides what is in force.

use chronik_metadata::record::{Change, Config, FeatureLevel};
use chronik_metadata::{ConfigResource, Feature, Image};
use chronik_types::ErrorCode;

use crate::draft::Draft;
use crate::error::ApiError;
use crate::options::Options;
use crate::partition_change::ELR_FEATURE;
use crate::request::{FeatureUpdate, UpdateFeatures};

const METADATA_VERSION: &str = "metadata.version";
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
/// The lowest `metadata.version` that knows eligible leader replicas: Kafka's 4.0-IV1.
const ELR_NEEDS_METADATA_VERSION: i16 = 23;

/// A feature that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
    /// The level in a new cluster; 0 for off.
    pub initial: i16,
}

/// Every feature that this version knows; the numbers are those of Kafka 4.1.
pub const FEATURES: &[SupportedFeature] = &[
    SupportedFeature { name: METADATA_VERSION, min: 7, max: 27, initial: 27 },
    SupportedFeature { name: ELR_FEATURE, min: 0, max: 1, initial: 1 },
];

/// The levels that a broker of this version registers with.
#[must_use]
pub fn supported_features() -> Vec<Feature> {
    let feature = |feature: &SupportedFeature| Feature {
        name: feature.name.to_owned(),
        min: feature.min,
        max: feature.max,
    };
    FEATURES.iter().map(feature).collect()
}

/// The levels of a new cluster.
#[must_use]
pub fn initial_features() -> Vec<(String, i16)> {
    FEATURES.iter().map(|feature| (feature.name.to_owned(), feature.initial)).collect()
}

/// Sets a feature's level, and what goes with it.
pub(crate) fn set_level(options: &Options, draft: &mut Draft, name: &str, level: i16) {
    draft.push(Change::FeatureLevel(FeatureLevel { name: name.to_owned(), level: level.into() }));
    if name == ELR_FEATURE && level > 0 {
        agree_on_min_isr(options, draft);
    }
}

/// Who is eligible follows from `min.insync.replicas`, so all brokers must have one value of it:
/// one for the cluster, and none of their own.
fn agree_on_min_isr(options: &Options, draft: &mut Draft) {
    let set = |resource: &ConfigResource, value| {
        Change::Config(Config {
            resource_type: resource.wire_type().into(),
            resource_name: resource.wire_name(),
            name: MIN_INSYNC_REPLICAS.to_owned(),
            value,
        })
    };
    let image = draft.image().clone();
    let cluster = ConfigResource::DefaultBroker;
    if !image.configs(&cluster).contains_key(MIN_INSYNC_REPLICAS) {
        let value = options.number(MIN_INSYNC_REPLICAS).to_string();
        draft.push(set(&cluster, Some(value)));
    }
    let own = image.configured_resources().filter(|(resource, configs)| {
        matches!(resource, ConfigResource::Broker(_)) && configs.contains_key(MIN_INSYNC_REPLICAS)
    });
    draft.push_all(own.map(|(resource, _)| set(resource, None)));
}

/// Changes levels of features, all or none.
pub(crate) fn update_features(
    options: &Options,
    draft: &mut Draft,
    request: &UpdateFeatures,
) -> Result<(), ApiError> {
    let proposed = |name: &str| {
        let update = request.updates.iter().find(|update| update.name == name);
        let current = || draft.image().feature(name).unwrap_or(0);
        update.map_or_else(current, |update| update.level)
    };
    for update in &request.updates {
        check_update(draft.image(), update, proposed(METADATA_VERSION))?;
    }
    for update in &request.updates {
        if draft.image().feature(&update.name).unwrap_or(0) != update.level {
            set_level(options, draft, &update.name, update.level);
        }
    }
    Ok(())
}

fn check_update(
    image: &Image,
    update: &FeatureUpdate,
    metadata_version: i16,
) -> Result<(), ApiError> {
    let FeatureUpdate { name, level, upgrade_type } = update;
    let refused = |why: String| {
        let message = format!("Invalid update version {level} for feature {name}. {why}");
        Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message))
    };
    let current = image.feature(name).unwrap_or(0);
    if !(1..=3).contains(upgrade_type) {
        return refused("The controller does not support the given upgrade type.".to_owned());
    }
    if *level < 0 {
        return refused("A feature version cannot be less than 0.".to_owned());
    }
    if let Some(why) = not_supported(image, name, *level) {
        return refused(why);
    }
    let is_upgrade = *upgrade_type == 1;
    if *level < current && is_upgrade {
        return refused(
            "Can't downgrade the version of this feature without setting the upgrade type to \
             either safe or unsafe downgrade."
                .to_owned(),
        );
    }
    if *level > current && !is_upgrade {
        return refused("Can't downgrade to a newer version.".to_owned());
    }
    if name == METADATA_VERSION && *level < current {
        let message = format!(
            "Invalid metadata.version {level}. Refusing to perform the requested downgrade because \
             it might delete metadata information."
        );
        return Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message));
    }
    if name == ELR_FEATURE && *level > 0 && metadata_version < ELR_NEEDS_METADATA_VERSION {
        return refused(format!(
            "{ELR_FEATURE} could not be set to {level} because it depends on \
             {METADATA_VERSION} level {ELR_NEEDS_METADATA_VERSION}"
        ));
    }
    Ok(())
}

/// Why a level cannot be in force: this node or a registered broker does not know it.
fn not_supported(image: &Image, name: &str, level: i16) -> Option<String> {
    let range = |min, max| {
        if max == 0 {
            "does not support this feature.".to_owned()
        } else {
            format!("only supports versions {min}-{max}")
        }
    };
    let own = FEATURES.iter().find(|feature| feature.name == name);
    let (min, max) = own.map_or((0, 0), |feature| (feature.min, feature.max));
    if own.is_none() || !(min..=max).contains(&level) {
        return Some(format!("Local controller {}", range(min, max)));
    }
    image.brokers().find_map(|broker| {
        let known = broker.features.iter().find(|feature| feature.name == name);
        let (min, max) = known.map_or((0, 0), |feature| (feature.min, feature.max));
        // 0 is off, which whoever does not know the feature can do.
        let knows = (min..=max).contains(&level);
        (!knows).then(|| format!("Broker {} {}", broker.id, range(min, max)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Request, Response};
    use crate::testing::{Cluster, refusal};

    fn update(cluster: &mut Cluster, name: &str, level: i16, upgrade_type: i8) -> String {
        let update = FeatureUpdate { name: name.to_owned(), level, upgrade_type };
        let request = UpdateFeatures { updates: vec![update], validate_only: false };
        match cluster.ask(Request::UpdateFeatures(request)) {
            Response::UpdateFeatures(Ok(())) => "ok".to_owned(),
            Response::UpdateFeatures(error) => refusal(error).1,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_cluster_has_eligible_leader_replicas_and_one_min_isr() {
        let cluster = Cluster::new_cluster(&[("min.insync.replicas", "2")]);
        assert_eq!(cluster.committed.feature(ELR_FEATURE), Some(1));
        assert_eq!(cluster.committed.feature(METADATA_VERSION), Some(27));
        let configs = cluster.committed.configs(&ConfigResource::DefaultBroker);
        assert_eq!(configs.get(MIN_INSYNC_REPLICAS).map(String::as_str), Some("2"));
    }

    #[test]
    fn a_feature_that_was_switched_off_stays_off_over_restarts() {
        let mut cluster = Cluster::new_cluster(&[]);
        assert_eq!(update(&mut cluster, ELR_FEATURE, 0, 2), "ok");
        let bootstrap = crate::Bootstrap {
            cluster_id: chronik_types::Uuid([9; 16]),
            features: initial_features(),
        };
        cluster.ask(Request::Bootstrap(bootstrap));
        assert_eq!(cluster.committed.feature(ELR_FEATURE), None);
        assert_eq!(update(&mut cluster, ELR_FEATURE, 1, 1), "ok");
        assert_eq!(cluster.committed.feature(ELR_FEATURE), Some(1));
    }

    #[test]
    fn updates_that_cannot_be_are_refused() {
        let mut cluster = Cluster::new_cluster(&[]);
        let mut told = |name, level, kind| update(&mut cluster, name, level, kind);
        assert!(told(ELR_FEATURE, 0, 1).contains("Can't downgrade the version"));
        assert!(told(ELR_FEATURE, 2, 1).contains("only supports versions 0-1"));
        assert!(told(ELR_FEATURE, -1, 1).contains("cannot be less than 0"));
        assert!(told(ELR_FEATURE, 1, 7).contains("upgrade type"));
        assert!(told("x", 1, 1).contains("does not support this feature"));
        assert!(told("x", 0, 1).contains("does not support this feature"));
        assert!(told(METADATA_VERSION, 26, 3).contains("Refusing to perform"));
        assert!(told(METADATA_VERSION, 28, 1).contains("only supports versions 7-27"));
        assert_eq!(told(METADATA_VERSION, 27, 1), "ok");
    }

    #[test]
    fn a_broker_that_does_not_know_a_level_holds_it_back() {
        let mut cluster = Cluster::new_cluster(&[]);
        update(&mut cluster, ELR_FEATURE, 0, 2);
        let mut registration = cluster.registration(2);
        registration.features =
            vec![Feature { name: METADATA_VERSION.to_owned(), min: 7, max: 27 }];
        cluster.register(registration).unwrap();
        let told = update(&mut cluster, ELR_FEATURE, 1, 1);
        assert!(told.contains("Broker 2 does not support this feature."), "{told}");
    }
}
