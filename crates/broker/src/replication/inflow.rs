//! One stream from a leader: its messages, each data message with the room for its records.
//!
//! **Invariants**
//! - While a data message waits for room nothing further is read from its stream, so what waits is
//!   bounded by the window; the other stream, and acknowledgements, go on.
//! - [`Inflow::next`] may be dropped and called again at any time: it keeps what it has.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use chronik_journal::Class;
use chronik_log::{AdmitError, Permit, Storage};
use chronik_peer::StreamReceiver;
use chronik_replication::{CreditWindow, Data, DecodeError, ToFollower};
use chronik_types::Monotonic;

use super::codec::from_leader;

/// See the module.
pub(crate) struct Inflow {
    receiver: StreamReceiver,
    pub window: CreditWindow,
    waiting: Option<Waiting>,
}

type Admission = Pin<Box<dyn Future<Output = Result<Permit, AdmitError>> + Send>>;

/// A data message that waits for room.
struct Waiting {
    data: Data,
    body: Bytes,
    admission: Admission,
}

/// What came.
pub(crate) enum Incoming {
    /// Records, and the room for them or why there is none.
    Records { data: Data, body: Bytes, permit: Result<Permit, AdmitError> },
    /// Anything else.
    Word(ToFollower),
    /// The stream has ended.
    Closed,
    /// The stream is of no use.
    Malformed(DecodeError),
}

impl Inflow {
    /// A stream on which `window` bytes may be on their way.
    pub fn new(receiver: StreamReceiver, window: u64) -> Self {
        Self { receiver, window: CreditWindow::new(window), waiting: None }
    }

    /// The next message.
    pub async fn next(&mut self, storage: &Storage) -> Incoming {
        if self.waiting.is_none() {
            let Some(message) = self.receiver.next().await else { return Incoming::Closed };
            let data = match from_leader(&message) {
                Ok(ToFollower::Data(data)) => data,
                Ok(word) => return Incoming::Word(word),
                Err(error) => return Incoming::Malformed(error),
            };
            let body = message.body();
            if let Some(permit) = storage.try_admit(Class::Replica, body.len()) {
                return Incoming::Records { data, body, permit: Ok(permit) };
            }
            let (storage, bytes) = (storage.clone(), body.len());
            let admission =
                Box::pin(async move { storage.admit(Class::Replica, bytes, NEVER).await });
            self.waiting = Some(Waiting { data, body, admission });
        }
        let Some(waiting) = &mut self.waiting else { return Incoming::Closed };
        let permit = waiting.admission.as_mut().await;
        match self.waiting.take() {
            Some(Waiting { data, body, .. }) => Incoming::Records { data, body, permit },
            None => Incoming::Closed,
        }
    }
}

/// Nobody is told how long it takes: a leader that waits too long goes on without this replica.
const NEVER: Monotonic = Monotonic(std::time::Duration::from_secs(u32::MAX as u64));
