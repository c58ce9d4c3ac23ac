//! ListConfigResources (74): the resources that can have configs.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api ListConfigResources: ListConfigResourcesRequest => ListConfigResourcesResponse<'r>;

    /// The types of resources wanted; empty means all.
    struct ListConfigResourcesRequest {
        resource_types: Vec<i8>, 1+;
    }

    /// The resources by type and name.
    struct ListConfigResourcesResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        config_resources: Vec<ConfigResource<'a>>;
    }

    struct ConfigResource<'a> {
        resource_name: Cow<'a, str>;
        resource_type: i8, 1+ ignorable, default 16;
    }
}
