//! The limits of the internal protocol.

use std::time::Duration;

/// What holds for every connection to and from other nodes.
#[derive(Clone, Debug)]
pub struct Options {
    /// A peer from which nothing arrives for this long, or up to an eighth longer, is gone. Each
    /// side says something about four times in that time; the shorter one of both sides' settings
    /// counts.
    pub mute_after: Duration,
    /// How long connecting and the hellos may take together.
    pub connect_timeout: Duration,
    /// The wait after a failed attempt to connect; doubles up to [`Self::backoff_max`], and half of
    /// it is random.
    pub backoff_min: Duration,
    /// See [`Self::backoff_min`].
    pub backoff_max: Duration,
    /// Bytes of the largest frame.
    pub frame_bytes_max: usize,
    /// Bytes that may wait to be sent on one connection; one message always may.
    pub send_queue_bytes_max: usize,
    /// Bytes that may wait to be taken by the user of a stream; one message always may.
    pub receive_queue_bytes_max: usize,
    /// Calls of one connection that are answered side by side; no further one is read until there
    /// are fewer.
    pub calls_in_flight_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mute_after: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            frame_bytes_max: 128 << 20,
            send_queue_bytes_max: 4 << 20,
            receive_queue_bytes_max: 4 << 20,
            calls_in_flight_max: 1024,
        }
    }
}
