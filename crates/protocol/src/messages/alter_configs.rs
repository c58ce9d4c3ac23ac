//! AlterConfigs (33): replaces all configs of a resource.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api AlterConfigs: AlterConfigsRequest<'a> => AlterConfigsResponse<'r>;

    /// Resources, each with its whole new set of configs.
    struct AlterConfigsRequest<'a> {
        resources: Vec<AlterConfigsResource<'a>>;
        validate_only: bool;
    }

    struct AlterConfigsResource<'a> {
        resource_type: i8;
        resource_name: Cow<'a, str>;
        configs: Vec<AlterConfigsAlterableConfig<'a>>;
    }

    struct AlterConfigsAlterableConfig<'a> {
        name: Cow<'a, str>;
        value: Option<Cow<'a, str>>, default Some("".into());
    }

    /// Which resources were changed.
    struct AlterConfigsResponse<'a> {
        throttle_time_ms: i32;
        responses: Vec<AlterConfigsResourceResponse<'a>>;
    }

    struct AlterConfigsResourceResponse<'a> {
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        resource_type: i8;
        resource_name: Cow<'a, str>;
    }
}
