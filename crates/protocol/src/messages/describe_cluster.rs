//! DescribeCluster (60): cluster id, brokers and controller.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DescribeCluster: DescribeClusterRequest => DescribeClusterResponse<'r>;

    /// Whether brokers or controllers are asked for.
    struct DescribeClusterRequest {
        include_cluster_authorized_operations: bool;
        endpoint_type: i8, 1+, default 1;
        include_fenced_brokers: bool, 2+;
    }

    /// The cluster and its nodes.
    struct DescribeClusterResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16;
        error_message: Option<Cow<'a, str>>;
        endpoint_type: i8, 1+, default 1;
        cluster_id: Cow<'a, str>;
        controller_id: i32, default -1;
        brokers: Vec<DescribeClusterBroker<'a>>;
        cluster_authorized_operations: i32, default -2147483648;
    }

    struct DescribeClusterBroker<'a> {
        broker_id: i32;
        host: Cow<'a, str>;
        port: i32;
        rack: Option<Cow<'a, str>>;
        is_fenced: bool, 2+;
    }
}
