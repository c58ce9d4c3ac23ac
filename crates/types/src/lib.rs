//! The words of the system: offsets, epochs, ids, error codes, time.
//!
//! No logic beyond ordering and checked arithmetic, no I/O, and no dependency on any other crate
//! of the workspace. A number that has a meaning is a type here, so that a leader epoch can never
//! be passed where an offset is wanted.

mod acks;
mod epoch;
mod error_code;
mod ids;
mod offset;
pub mod planted;
mod time;
mod uuid;

pub use acks::{Acks, InvalidAcks};
pub use epoch::{BrokerEpoch, LeaderEpoch, ProducerEpoch};
pub use error_code::ErrorCode;
pub use ids::{BrokerId, DirectoryId, PartitionId, ProducerId, TopicId, TopicPartition};
pub use offset::Offset;
pub use time::{Monotonic, Timestamp};
pub use uuid::{ParseUuidError, Uuid};
