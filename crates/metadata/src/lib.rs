//! The metadata of a cluster: the records of its log, and the image they add up to.
//!
//! A driver (the Raft state machine) uses it so:
//!
//! ```text
//! entry of __chronik_metadata ─► decode_batch ─► Image::apply_batch ─► publish image.clone()
//!                                                                        └► delta(old, new) ─► subscribers
//! snapshot: write(&image) ─► chunks ─► (disk, another node) ─► SnapshotReader::push, finish ─► image
//! ```
//!
//! **Invariants**
//! - An image changes by replaying a record and in no other way; a record holds a result, so
//!   replaying neither chooses nor depends on anything but the image and the record.
//! - [`Image::clone`] is O(1), and a clone never changes when the original does.
//! - A record or field that this version does not know is an error, never skipped: two nodes that
//!   read one log have one image or stop.
//! - Iteration is in the order of keys, so equal images give equal snapshots and equal hashes.
//!
//! **Not here:** judging a request (`chronik-controller`); who proposes, when an entry is
//! committed (`chronik-raft`).

mod batch;
mod bugs;
mod delta;
mod image;
pub mod record;
mod replay;
pub mod snapshot;

pub use batch::{DecodeBatchError, decode_batch, encode_batch};
pub use delta::{Changes, TopicChange, delta};
pub use image::{
    Applied, BrokerList, BrokerRegistration, ConfigMap, ConfigResource, Feature, Image,
    InternalEndpoint, Listener, Partition, PartitionExtra, Partitions, ProducerIdBlock,
    StorageHealth, Topic,
};
pub use record::{MetadataBatch, MetadataRecord};
pub use replay::{BatchOutcome, ReplayError};
