//! Which partition of `__consumer_offsets` a group belongs to.

use chronik_types::PartitionId;

/// The partition of the group: Java's `String.hashCode` over UTF-16 units, made non-negative as
/// Kafka's `Utils.abs` does (the one value without a positive counterpart becomes 0), modulo
/// `partitions`. The same rule places transactional ids in `__transaction_state`.
///
/// `partitions` below 1 counts as 1.
#[must_use]
pub fn partition_of(group_id: &str, partitions: i32) -> PartitionId {
    let hash = java_hash(group_id);
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partitions.max(1)
}

fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_java_string_hash_code() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        // A string whose hashCode is Integer.MIN_VALUE, well known from Java puzzles.
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        // Surrogate pairs hash as two units: U+1F600 is D83D DE00.
        assert_eq!(java_hash("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn partition_is_never_negative() {
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("hello", 50), 22);
        for name in ["a", "console-consumer-12345", "zzzzzzzzzz", "ü"] {
            assert!((0..50).contains(&partition_of(name, 50)));
        }
        assert_eq!(partition_of("any", 0), 0);
    }
}
