//! ApiVersions (18): which APIs, versions and features the broker has.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api ApiVersions: ApiVersionsRequest<'a> => ApiVersionsResponse<'r>;

    /// The name and version of the client software.
    struct ApiVersionsRequest<'a> {
        client_software_name: Cow<'a, str>, 3+ ignorable;
        client_software_version: Cow<'a, str>, 3+ ignorable;
    }

    /// The versions served and the features finalized.
    struct ApiVersionsResponse<'a> {
        error_code: i16;
        api_keys: Vec<ApiVersion>;
        throttle_time_ms: i32, 1+ ignorable;
        supported_features: Vec<SupportedFeatureKey<'a>>, 3+ ignorable, tag 0;
        finalized_features_epoch: i64, 3+ ignorable, tag 1, default -1;
        finalized_features: Vec<FinalizedFeatureKey<'a>>, 3+ ignorable, tag 2;
        zk_migration_ready: bool, 3+ ignorable, tag 3;
    }

    struct ApiVersion {
        api_key: i16;
        min_version: i16;
        max_version: i16;
    }

    struct SupportedFeatureKey<'a> {
        name: Cow<'a, str>, 3+;
        min_version: i16, 3+;
        max_version: i16, 3+;
    }

    struct FinalizedFeatureKey<'a> {
        name: Cow<'a, str>, 3+;
        max_version_level: i16, 3+;
        min_version_level: i16, 3+;
    }
}
