//! What the operator can set about the network; `config` builds it from Kafka's keys.

use std::{collections::HashMap, net::IpAddr, time::Duration};

/// One listener, from `listeners` and `advertised.listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerOptions {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: String,
    /// The host or address to bind; empty for every address of the machine.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
    /// The host that clients are told to connect to.
    pub advertised_host: String,
    /// The port that clients are told to connect to; 0 for the one that was bound.
    pub advertised_port: u16,
    /// Whether other nodes connect here: a connection whose first frame has the private API key is
    /// handed over to [`Service::internal`](crate::Service::internal).
    pub internal: bool,
}

/// The settings of all listeners together.
#[derive(Clone, Debug)]
pub struct Options {
    /// The listeners; at least one.
    pub listeners: Vec<ListenerOptions>,
    /// Bytes of the largest request (`socket.request.max.bytes`).
    pub socket_request_max_bytes: usize,
    /// Connections at a time (`max.connections`); a further one is closed at once.
    pub max_connections: usize,
    /// Connections at a time from one address (`max.connections.per.ip`).
    pub max_connections_per_ip: usize,
    /// Exceptions from it (`max.connections.per.ip.overrides`).
    pub max_connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// A connection without traffic and without a request in flight is closed after this time, or
    /// up to a quarter later (`connections.max.idle.ms`); `None`: never.
    pub connections_max_idle: Option<Duration>,
    /// Bytes that requests in flight may take on all connections together
    /// (`queued.max.request.bytes`).
    pub request_memory_bytes: usize,
    /// Requests of one connection whose responses have not been handed to the socket queue; no
    /// further request is read until there are fewer.
    pub in_flight_max: usize,
    /// Response bytes queued on one connection from which on no further request is read.
    pub send_queue_bytes_max: usize,
    /// In each such span a frame that has begun must complete or bring [`Self::frame_bytes_min`].
    pub frame_progress: Duration,
    /// See [`Self::frame_progress`].
    pub frame_bytes_min: u64,
    /// The same while other connections wait for memory and the frame holds some.
    pub frame_progress_contended: Duration,
    /// See [`Self::frame_progress_contended`].
    pub frame_bytes_min_contended: u64,
    /// How long a frame may wait for memory.
    pub memory_wait: Duration,
    /// How long a peer may take no byte of a response that is there.
    pub send_stall: Duration,
    /// How long a connection that takes no more requests may finish those in flight.
    pub drain: Duration,
}

impl Default for Options {
    /// Kafka's defaults where Kafka has the setting, with no listener.
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            socket_request_max_bytes: 100 * 1024 * 1024,
            max_connections: i32::MAX as usize,
            max_connections_per_ip: i32::MAX as usize,
            max_connections_per_ip_overrides: HashMap::new(),
            connections_max_idle: Some(Duration::from_secs(600)),
            request_memory_bytes: 512 * 1024 * 1024,
            in_flight_max: 256,
            send_queue_bytes_max: 1024 * 1024,
            frame_progress: Duration::from_secs(30),
            frame_bytes_min: 30 * 1024,
            frame_progress_contended: Duration::from_secs(4),
            frame_bytes_min_contended: 4 * 64 * 1024,
            memory_wait: Duration::from_secs(60),
            send_stall: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}
