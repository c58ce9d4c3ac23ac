//! A connection as the rest of the broker sees it: who is at the other end, and how to close it.

use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

use chronik_types::Timestamp;
use futures_util::task::AtomicWaker;

/// A listener that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerInfo {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: String,
    /// The host that clients are told to connect to.
    pub advertised_host: String,
    /// The port that clients are told to connect to.
    pub advertised_port: u16,
    /// The address that was bound.
    pub address: SocketAddr,
    /// Whether other nodes connect here.
    pub internal: bool,
}

/// What the client says it is (ApiVersions v3 and later).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSoftware {
    /// `client_software_name`.
    pub name: String,
    /// `client_software_version`.
    pub version: String,
}

/// One client's connection.
pub struct Connection {
    /// Distinguishes the connections of this process; never used twice.
    pub id: u64,
    /// The other end.
    pub peer: SocketAddr,
    /// Where it came in.
    pub listener: Arc<ListenerInfo>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    software: OnceLock<ClientSoftware>,
    asked: AtomicU8,
    /// Of whoever runs the connection.
    waker: AtomicWaker,
    /// Of the service, if the connection is handed over.
    service_waker: AtomicWaker,
}

/// What somebody outside the connection's task has asked of it; only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Nothing,
    Drain,
    Close,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        peer: SocketAddr,
        listener: Arc<ListenerInfo>,
        accepted_at: Timestamp,
    ) -> Self {
        Self {
            id,
            peer,
            listener,
            accepted_at,
            software: OnceLock::new(),
            asked: AtomicU8::new(Asked::Nothing as u8),
            waker: AtomicWaker::new(),
            service_waker: AtomicWaker::new(),
        }
    }

    /// A connection without a socket, for tests of a [`Service`](crate::Service).
    #[must_use]
    pub fn detached(peer: SocketAddr, listener: ListenerInfo) -> Arc<Self> {
        Arc::new(Self::new(0, peer, Arc::new(listener), Timestamp::NONE))
    }

    /// What the client says it is; `None` until it has.
    pub fn software(&self) -> Option<&ClientSoftware> {
        self.software.get()
    }

    /// Notes what the client says it is; the first word stands.
    pub fn set_software(&self, software: ClientSoftware) {
        let _ = self.software.set(software);
    }

    /// Takes no further request; closes once the responses in flight have left.
    pub fn drain(&self) {
        self.ask(Asked::Drain);
    }

    /// Closes now; responses in flight are lost.
    pub fn close(&self) {
        self.ask(Asked::Close);
    }

    fn ask(&self, what: Asked) {
        self.asked.fetch_max(what as u8, Ordering::AcqRel);
        self.waker.wake();
        self.service_waker.wake();
    }

    /// Done once the node takes no more requests from this connection. For the service to which it
    /// was handed over, which may wait in one place at a time.
    pub async fn draining(&self) {
        poll_fn(|cx| {
            self.service_waker.register(cx.waker());
            if self.asked_so_far() >= Asked::Drain { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Done once the connection is to be closed.
    pub(crate) async fn closing(&self) {
        poll_fn(|cx| {
            if self.asked(cx.waker()) >= Asked::Close { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// What was asked so far; `waker` is woken when it becomes more.
    pub(crate) fn asked(&self, waker: &Waker) -> Asked {
        self.waker.register(waker);
        self.asked_so_far()
    }

    fn asked_so_far(&self) -> Asked {
        match self.asked.load(Ordering::Acquire) {
            0 => Asked::Nothing,
            1 => Asked::Drain,
            _ => Asked::Close,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("listener", &self.listener.name)
            .finish_non_exhaustive()
    }
}

macro_rules! close_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// Why a connection ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseReason {
            $($(#[$doc])* $name,)+
        }

        impl CloseReason {
            /// Every reason, in the order of the metrics.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The value of the metrics' label.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

close_reasons! {
    /// The peer ended its side.
    PeerClosed = "peer_closed",
    /// Reading or writing failed.
    PeerReset = "peer_reset",
    /// No traffic for `connections.max.idle.ms`.
    Idle = "idle",
    /// A frame announced a length that no request has.
    FrameLength = "frame_length",
    /// A frame arrived too slowly.
    SlowFrame = "slow_frame",
    /// A frame waited too long for memory.
    MemoryTimeout = "memory_timeout",
    /// The peer did not take its responses.
    SendStalled = "send_stalled",
    /// The service asked for it.
    Service = "service",
    /// A response was too long for the protocol.
    ResponseTooLong = "response_too_long",
    /// It was a connection between nodes, and their protocol ended it.
    Internal = "internal",
    /// The node stops.
    Shutdown = "shutdown",
}
