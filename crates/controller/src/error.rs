//! What a request is refused with.

use chronik_types::ErrorCode;

/// An error as the protocol carries it: a code, and words for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}", message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
pub struct ApiError {
    /// Never [`ErrorCode::None`].
    pub code: ErrorCode,
    /// Kafka's words where Kafka has some; `None` where it sends none.
    pub message: Option<String>,
}

impl ApiError {
    /// An error with words.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// An error without words.
    #[must_use]
    pub fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    /// What a client is told when leadership was lost before its request was committed: it may
    /// have been carried out. Never NOT_CONTROLLER, which clients take for "was not carried out"
    /// and repeat by themselves.
    #[must_use]
    pub fn unknown_outcome() -> Self {
        Self::bare(ErrorCode::RequestTimedOut)
    }
}
