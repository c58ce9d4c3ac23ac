//! What a topic's effective configuration asks of its partitions, resolved once per change.

use std::collections::HashMap;
use std::sync::Arc;

use chronik_config::keys::{self, ConfigMap, Layers, TopicConfig};
use chronik_controller::is_internal;
use chronik_log::LogConfig;
use chronik_metadata::{ConfigResource, Image, Topic};
use chronik_protocol::batch::TimestampType;
use chronik_protocol::compression::Codec;
use chronik_protocol::validate::{BatchRules, TopicCompression};
use chronik_types::{BrokerId, Timestamp, TopicId};
use parking_lot::RwLock;

/// The settings of one topic; shared by its partitions.
#[derive(Debug)]
pub(crate) struct TopicSettings {
    /// For the log.
    pub log: Arc<LogConfig>,
    /// The whole effective configuration.
    pub config: TopicConfig,
    /// A topic of the broker's own, which clients do not write.
    pub internal: bool,
    /// The most bytes that the records of one batch may take decompressed.
    decompressed_batch_max_bytes: usize,
}

impl TopicSettings {
    fn new(
        config: TopicConfig,
        internal: bool,
        producer_id_expiration_ms: i64,
        decompressed_batch_max_bytes: usize,
    ) -> Self {
        let bytes = |n: i32| u64::try_from(n).unwrap_or(0);
        let log = LogConfig {
            segment_bytes: bytes(config.segment_bytes),
            segment_ms: config.segment_ms,
            segment_jitter_ms: config.segment_jitter_ms,
            index_interval_bytes: bytes(config.index_interval_bytes),
            segment_index_bytes: bytes(config.segment_index_bytes),
            retention_ms: config.retention_ms,
            retention_bytes: config.retention_bytes,
            cleanup_delete: config.cleanup_policy.delete,
            cleanup_compact: config.cleanup_policy.compact,
            max_message_bytes: usize::try_from(config.max_message_bytes).unwrap_or(0),
            // What the broker itself relies on is never acknowledged from memory alone.
            write_caching: config.write_caching && !internal,
            producer_id_expiration_ms,
            file_delete_delay_ms: config.file_delete_delay_ms,
        };
        Self { log: Arc::new(log), config, internal, decompressed_batch_max_bytes }
    }

    /// How many replicas must be in sync for `acks=all`.
    pub fn min_isr(&self) -> usize {
        usize::try_from(self.config.min_insync_replicas).unwrap_or(1)
    }

    /// What a batch that a client sends is held against.
    pub fn rules(&self, now: Timestamp, produce_version: i16) -> BatchRules {
        let size = |n: i32| usize::try_from(n).unwrap_or(0);
        let max_message_bytes = size(self.config.max_message_bytes);
        BatchRules {
            now,
            timestamp_type: match self.config.message_timestamp_type {
                keys::TimestampType::CreateTime => TimestampType::CreateTime,
                keys::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            before_max_ms: self.config.message_timestamp_before_max_ms,
            after_max_ms: self.config.message_timestamp_after_max_ms,
            compression: compression(self.config.compression_type),
            max_message_bytes,
            segment_bytes: size(self.config.segment_bytes),
            compacted: self.config.cleanup_policy.compact,
            client: true,
            produce_version,
            max_decompressed_bytes: self.decompressed_batch_max_bytes,
        }
    }
}

fn compression(config: keys::TopicCompression) -> TopicCompression {
    let (codec, level) = match config {
        keys::TopicCompression::Producer => return TopicCompression::Producer,
        keys::TopicCompression::Uncompressed => (Codec::None, None),
        keys::TopicCompression::Gzip(level) => (Codec::Gzip, (level != -1).then_some(level)),
        keys::TopicCompression::Snappy => (Codec::Snappy, None),
        keys::TopicCompression::Lz4(level) => (Codec::Lz4, Some(level)),
        keys::TopicCompression::Zstd(level) => (Codec::Zstd, Some(level)),
    };
    TopicCompression::Codec { codec, level }
}

/// Resolves settings and remembers them, since the partitions of a topic share them.
pub(crate) struct SettingsSource {
    node_id: BrokerId,
    static_broker: Arc<ConfigMap>,
    producer_id_expiration_ms: i64,
    decompressed_batch_max_bytes: usize,
    known: RwLock<HashMap<TopicId, Arc<TopicSettings>>>,
}

impl SettingsSource {
    /// `static_broker` is what this broker was started with.
    pub fn new(
        node_id: BrokerId,
        static_broker: Arc<ConfigMap>,
        producer_id_expiration_ms: i64,
        decompressed_batch_max_bytes: usize,
    ) -> Self {
        let known = RwLock::default();
        Self {
            node_id,
            static_broker,
            producer_id_expiration_ms,
            decompressed_batch_max_bytes,
            known,
        }
    }

    /// The settings of `topic`.
    pub fn of(&self, image: &Image, topic: &Topic) -> Arc<TopicSettings> {
        if let Some(known) = self.known.read().get(&topic.id) {
            return Arc::clone(known);
        }
        self.renew(image, topic)
    }

    /// The settings of `topic`, resolved anew because its configuration may have changed.
    pub fn renew(&self, image: &Image, topic: &Topic) -> Arc<TopicSettings> {
        let layers = Layers {
            topic: &topic.configs,
            dynamic_broker: &image.configs(&ConfigResource::Broker(self.node_id)),
            dynamic_default: &image.configs(&ConfigResource::DefaultBroker),
            static_broker: &self.static_broker,
        };
        let config = TopicConfig::resolve(&layers);
        let internal = is_internal(&topic.name);
        let settings = TopicSettings::new(
            config,
            internal,
            self.producer_id_expiration_ms,
            self.decompressed_batch_max_bytes,
        );
        let settings = Arc::new(settings);
        self.known.write().insert(topic.id, Arc::clone(&settings));
        settings
    }

    /// Forgets everything, because the defaults have changed.
    pub fn forget_all(&self) {
        self.known.write().clear();
    }

    /// Forgets a topic that is gone.
    pub fn forget(&self, topic: TopicId) {
        self.known.write().remove(&topic);
    }
}
