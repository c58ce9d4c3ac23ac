//! UpdateFeatures (57): changes the levels of features.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api UpdateFeatures: UpdateFeaturesRequest<'a> => UpdateFeaturesResponse<'r>;

    /// The new levels.
    struct UpdateFeaturesRequest<'a> {
        timeout_ms: i32, default 60000;
        feature_updates: Vec<FeatureUpdateKey<'a>>;
        validate_only: bool, 1+;
    }

    struct FeatureUpdateKey<'a> {
        feature: Cow<'a, str>;
        max_version_level: i16;
        allow_downgrade: bool, 0-0;
        upgrade_type: i8, 1+, default 1;
    }

    /// Whether they are in force.
    struct UpdateFeaturesResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        results: Vec<UpdatableFeatureResult<'a>>, 0-1 ignorable;
    }

    struct UpdatableFeatureResult<'a> {
        feature: Cow<'a, str>, 0-1;
        error_code: i16, 0-1;
        error_message: Option<Cow<'a, str>>, 0-1, default Some("".into());
    }
}
