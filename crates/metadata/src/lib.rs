//! The metadata image: records, replay, snapshots.
