//! The one map from our errors to Kafka's codes.

use std::borrow::Cow;

use chronik_log::{AdmitError, AppendError, DiskError, LogError, ReadError};
use chronik_types::ErrorCode;

/// Why a part of a request was refused, as its answer says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Kafka's code.
    pub code: ErrorCode,
    /// More, for people; `None` leaves the client's own text for the code.
    pub message: Option<Cow<'static, str>>,
    /// Which records of a batch were at fault, and why (KIP-467).
    pub records: Vec<(i32, Cow<'static, str>)>,
}

impl Refusal {
    pub fn with_message(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: Some(message.into()), records: Vec::new() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Self::with_message(ErrorCode::KafkaStorageError, error.to_string())
    }
}

impl From<AdmitError> for Refusal {
    fn from(error: AdmitError) -> Self {
        let code = match error {
            AdmitError::Expired => ErrorCode::RequestTimedOut,
            AdmitError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
            AdmitError::DiskFull | AdmitError::Stopped(_) => ErrorCode::KafkaStorageError,
        };
        Self::with_message(code, error.to_string())
    }
}

/// The code of an append that the log refused.
pub(crate) fn refusal_of_append(error: &AppendError) -> Refusal {
    let code = match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::InvalidTxnState => ErrorCode::InvalidTxnState,
        AppendError::StaleEpoch { .. } => ErrorCode::NotLeaderOrFollower,
        _ => ErrorCode::KafkaStorageError,
    };
    Refusal::with_message(code, error.to_string())
}

/// The code of a read that the log refused. Damage and failures of the disk are said aloud here,
/// where they are handled: the error names file and position.
pub(crate) fn code_of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Changed | ReadError::Gone => ErrorCode::NotLeaderOrFollower,
        ReadError::Disk(DiskError::File(_)) => {
            tracing::error!(%error, "records could not be read");
            ErrorCode::KafkaStorageError
        }
        // Clients tell their application of this code instead of asking for ever.
        ReadError::Disk(DiskError::Corrupt(_)) | ReadError::Batch { .. } => {
            tracing::error!(%error, "records are damaged");
            ErrorCode::CorruptMessage
        }
    }
}
