//! What can go wrong, as far as callers treat it differently.

use std::fmt;

use crate::Message;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer has certainly not seen the request.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The peer may or may not have processed the request.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The peer, or this node's own check of the peer, said no at the hello; the request was
    /// certainly not seen.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why there is no stream; the peer's service has certainly not seen the first message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No connection came about.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// See [`CallError::Refused`].
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A no at the hello.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused ({code}): {text}")]
pub struct Refusal {
    /// What is wrong.
    pub code: RefusalCode,
    /// What is wrong, for whoever reads the log.
    pub text: String,
}

impl Refusal {
    /// A refusal of the service's own.
    #[must_use]
    pub fn not_admitted(text: impl Into<String>) -> Self {
        Self::new(RefusalCode::NotAdmitted, text)
    }

    pub(crate) fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

macro_rules! refusal_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)+) => {
        /// What is wrong with a hello.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)+
            /// A reason that this node's version does not know.
            Other(u32),
        }

        impl RefusalCode {
            pub(crate) fn on_wire(self) -> u32 {
                match self {
                    $(Self::$name => $number,)+
                    Self::Other(number) => number,
                }
            }

            pub(crate) fn from_wire(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)+
                    other => Self::Other(other),
                }
            }
        }

        impl fmt::Display for RefusalCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($text),)+
                    Self::Other(number) => write!(f, "reason {number}"),
                }
            }
        }
    };
}

refusal_codes! {
    /// The two nodes belong to different clusters.
    OtherCluster = 1 "other cluster",
    /// Another node answers at the address.
    OtherNode = 2 "other node",
    /// The node is the right one, its directory is not: the disk was replaced.
    OtherDirectory = 3 "other directory",
    /// Both nodes are configured with the same `node.id`.
    SameNode = 4 "same node id",
    /// The two have no version of the protocol in common.
    Versions = 5 "no common version",
    /// The service does not take this peer.
    NotAdmitted = 6 "not admitted",
    /// The hello cannot be understood.
    Malformed = 7 "malformed hello",
}

/// The stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct Closed;

/// Why a message was not taken; here it is back.
#[derive(Debug, thiserror::Error)]
pub enum TrySendError {
    /// As many bytes as may wait are waiting.
    #[error("the stream's queue is full")]
    Full(Message),
    /// The stream has ended.
    #[error("the stream is closed")]
    Closed(Message),
}
