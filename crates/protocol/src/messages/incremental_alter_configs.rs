//! IncrementalAlterConfigs (44): changes single configs of a resource.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api IncrementalAlterConfigs: IncrementalAlterConfigsRequest<'a>
        => IncrementalAlterConfigsResponse<'r>;

    /// Resources and the changes to their configs.
    struct IncrementalAlterConfigsRequest<'a> {
        resources: Vec<IncrementalAlterConfigsResource<'a>>;
        validate_only: bool;
    }

    struct IncrementalAlterConfigsResource<'a> {
        resource_type: i8;
        resource_name: Cow<'a, str>;
        configs: Vec<IncrementalAlterConfigsAlterableConfig<'a>>;
    }

    struct IncrementalAlterConfigsAlterableConfig<'a> {
        name: Cow<'a, str>;
        config_operation: i8;
        value: Option<Cow<'a, str>>, default Some("".into());
    }

    /// Which resources were changed.
    struct IncrementalAlterConfigsResponse<'a> {
        throttle_time_ms: i32;
        responses: Vec<IncrementalAlterConfigsResourceResponse<'a>>;
    }

    struct IncrementalAlterConfigsResourceResponse<'a> {
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        resource_type: i8;
        resource_name: Cow<'a, str>;
    }
}
