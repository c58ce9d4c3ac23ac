//! DescribeConfigs (32): reads the configs of topics, brokers and groups.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DescribeConfigs: DescribeConfigsRequest<'a> => DescribeConfigsResponse<'r>;

    /// Resources and the keys wanted; null means all.
    struct DescribeConfigsRequest<'a> {
        resources: Vec<DescribeConfigsResource<'a>>;
        include_synonyms: bool;
        include_documentation: bool, 3+;
    }

    struct DescribeConfigsResource<'a> {
        resource_type: i8;
        resource_name: Cow<'a, str>;
        configuration_keys: Option<Vec<Cow<'a, str>>>, default Some(Vec::new());
    }

    /// The configs, with where each value comes from.
    struct DescribeConfigsResponse<'a> {
        throttle_time_ms: i32;
        results: Vec<DescribeConfigsResult<'a>>;
    }

    struct DescribeConfigsResult<'a> {
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        resource_type: i8;
        resource_name: Cow<'a, str>;
        configs: Vec<DescribeConfigsResourceResult<'a>>;
    }

    struct DescribeConfigsResourceResult<'a> {
        name: Cow<'a, str>;
        value: Option<Cow<'a, str>>, default Some("".into());
        read_only: bool;
        config_source: i8, default -1;
        is_sensitive: bool;
        synonyms: Vec<DescribeConfigsSynonym<'a>>;
        config_type: i8, 3+ ignorable;
        documentation: Option<Cow<'a, str>>, 3+ ignorable, default Some("".into());
    }

    struct DescribeConfigsSynonym<'a> {
        name: Cow<'a, str>;
        value: Option<Cow<'a, str>>, default Some("".into());
        source: i8;
    }
}
