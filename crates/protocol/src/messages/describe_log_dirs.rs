//! DescribeLogDirs (35): what lies in the data directories of a broker.

use std::borrow::Cow;

use crate::codec::messages;

messages! {
    api DescribeLogDirs: DescribeLogDirsRequest<'a> => DescribeLogDirsResponse<'r>;

    /// Partitions of interest; null means all.
    struct DescribeLogDirsRequest<'a> {
        topics: Option<Vec<DescribableLogDirTopic<'a>>>, default Some(Vec::new());
    }

    struct DescribableLogDirTopic<'a> {
        topic: Cow<'a, str>;
        partitions: Vec<i32>;
    }

    /// The directories, with the sizes of their partitions.
    struct DescribeLogDirsResponse<'a> {
        throttle_time_ms: i32;
        error_code: i16, 3+ ignorable;
        results: Vec<DescribeLogDirsResult<'a>>;
    }

    struct DescribeLogDirsResult<'a> {
        error_code: i16;
        log_dir: Cow<'a, str>;
        topics: Vec<DescribeLogDirsTopic<'a>>;
        total_bytes: i64, 4+ ignorable, default -1;
        usable_bytes: i64, 4+ ignorable, default -1;
    }

    struct DescribeLogDirsTopic<'a> {
        name: Cow<'a, str>;
        partitions: Vec<DescribeLogDirsPartition>;
    }

    struct DescribeLogDirsPartition {
        partition_index: i32;
        partition_size: i64;
        offset_lag: i64;
        is_future_key: bool;
    }
}
