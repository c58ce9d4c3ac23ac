//! A partition log: tail in memory, segments in Kafka's format, durable through the journal.
