//! CreateTopics (19): creates topics.

use std::borrow::Cow;

use chronik_types::Uuid;

use crate::codec::messages;

messages! {
    api CreateTopics: CreateTopicsRequest<'a> => CreateTopicsResponse<'r>;

    /// Topics to create.
    struct CreateTopicsRequest<'a> {
        topics: Vec<CreatableTopic<'a>>;
        timeout_ms: i32, default 60000;
        validate_only: bool;
    }

    struct CreatableTopic<'a> {
        name: Cow<'a, str>;
        num_partitions: i32;
        replication_factor: i16;
        assignments: Vec<CreatableReplicaAssignment>;
        configs: Vec<CreatableTopicConfig<'a>>;
    }

    struct CreatableReplicaAssignment {
        partition_index: i32;
        broker_ids: Vec<i32>;
    }

    struct CreatableTopicConfig<'a> {
        name: Cow<'a, str>;
        value: Option<Cow<'a, str>>, default Some("".into());
    }

    /// Which topics were created, and with which configs.
    struct CreateTopicsResponse<'a> {
        throttle_time_ms: i32;
        topics: Vec<CreatableTopicResult<'a>>;
    }

    struct CreatableTopicResult<'a> {
        name: Cow<'a, str>;
        topic_id: Uuid, 7+ ignorable;
        error_code: i16;
        error_message: Option<Cow<'a, str>>, default Some("".into());
        topic_config_error_code: i16, 5+ ignorable, tag 0;
        num_partitions: i32, 5+ ignorable, default -1;
        replication_factor: i16, 5+ ignorable, default -1;
        configs: Option<Vec<CreatableTopicConfigs<'a>>>, 5+ ignorable, default Some(Vec::new());
    }

    struct CreatableTopicConfigs<'a> {
        name: Cow<'a, str>, 5+;
        value: Option<Cow<'a, str>>, 5+, default Some("".into());
        read_only: bool, 5+;
        config_source: i8, 5+ ignorable, default -1;
        is_sensitive: bool, 5+;
    }
}
