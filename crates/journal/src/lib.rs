//! The write-ahead log of one broker: group commit by one writer, recovery.
