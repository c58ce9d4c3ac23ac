//! The calls to one node on one channel: what callers and the connection's task share.
//!
//! ```text
//!  call ─► queue ──taken──► being written ──► with the peer ─► answer
//!            │ └◄─nothing written─┘ │               │
//!          lost: NotSent      half written:      lost: Unknown
//!                             lost: NotSent
//! ```
//!
//! **Invariants**
//! - Ids rise in the order of the queue and of the wire, so every call that waits and has an id
//!   below the queue's first one was taken by the connection's task.
//! - A frame is out of the queue only while the system is being asked to take it, or once it has
//!   taken some of its bytes. A peer processes whole frames only, so a call in the queue, or with a
//!   half-written frame on a connection that is lost, was certainly not seen.
//!
//! **Not here:** the connection (`caller`), making one (`dialer`).

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Waker},
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::{
    CallError, Message, Options,
    frame::{Encoded, FrameType, TooLong},
};

type Answer = Result<Message, CallError>;

/// The calls to one node on one channel.
#[derive(Debug)]
pub(crate) struct Link {
    state: Mutex<State>,
    /// There is room in the queue again.
    room: Notify,
    queue_bytes_max: usize,
    frame_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    /// Every call without an answer, in the queue or not.
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    last_id: u64,
    /// Why the last attempt to connect failed, if it did.
    failure: Option<CallError>,
    /// The connection's task, while it has nothing to do.
    task: Option<Waker>,
    task_started: bool,
    closed: bool,
}

/// A call whose frame is not written.
#[derive(Debug)]
pub(crate) struct Queued {
    pub id: u64,
    pub frame: Encoded,
}

/// Why a call cannot be queued.
#[derive(Debug)]
pub(crate) enum NotQueued {
    /// Here is the message back; wait for room.
    Full(Message),
    TooLong(TooLong),
    Closed,
}

/// What the connection's task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Calls,
    Nothing,
    Closed,
}

impl Link {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            room: Notify::new(),
            queue_bytes_max: options.send_queue_bytes_max,
            frame_bytes_max: options.frame_bytes_max,
        }
    }

    /// Whether the caller of this has to start the connection's task.
    pub(crate) fn start_task(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().task_started, true)
    }

    /// Queues a call, once there is room.
    pub(crate) async fn queue(&self, request: Message) -> Result<Call<'_>, CallError> {
        let mut request = request;
        loop {
            let room = self.room.notified();
            match self.try_queue(request) {
                Ok(call) => return Ok(call),
                Err(NotQueued::Full(again)) => request = again,
                Err(NotQueued::TooLong(error)) => {
                    return Err(CallError::NotSent(error.to_string()));
                }
                Err(NotQueued::Closed) => return Err(forgotten()),
            }
            room.await;
        }
    }

    fn try_queue(&self, request: Message) -> Result<Call<'_>, NotQueued> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(NotQueued::Closed);
        }
        let bytes = request.bytes();
        if !state.queue.is_empty() && state.queue_bytes.saturating_add(bytes) > self.queue_bytes_max
        {
            return Err(NotQueued::Full(request));
        }
        let id = state.last_id + 1;
        let frame = Encoded::new(FrameType::Call, id, &request, self.frame_bytes_max)
            .map_err(NotQueued::TooLong)?;
        state.last_id = id;
        state.queue_bytes += frame.bytes();
        state.queue.push_back(Queued { id, frame });
        let (sender, answer) = oneshot::channel();
        state.waiting.insert(id, sender);
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        Ok(Call { link: self, id, answer, over: false })
    }

    /// Hands calls to `write` until it has got `bytes`; `cx` is woken when there is more to do.
    pub(crate) fn take(&self, cx: &Context<'_>, bytes: usize, write: impl FnMut(Queued)) -> Demand {
        let mut write = write;
        let mut state = self.state.lock();
        note_task(&mut state.task, cx);
        let mut taken = 0;
        while taken < bytes
            && let Some(queued) = state.queue.pop_front()
        {
            taken += queued.frame.bytes();
            write(queued);
        }
        state.queue_bytes -= taken;
        let demand = state.demand();
        drop(state);
        if taken > 0 {
            self.room.notify_waiters();
        }
        demand
    }

    /// Puts back a call of which nothing was written; the one taken last comes first.
    pub(crate) fn put_back(&self, queued: Queued) {
        let mut state = self.state.lock();
        // Its caller may have given up while the call was out of the queue.
        if state.waiting.contains_key(&queued.id) {
            state.queue_bytes += queued.frame.bytes();
            state.queue.push_front(queued);
        }
    }

    /// What there is to do; `cx` is woken when it becomes more.
    pub(crate) fn demand(&self, cx: &Context<'_>) -> Demand {
        let mut state = self.state.lock();
        note_task(&mut state.task, cx);
        state.demand()
    }

    /// Hands an answer to its caller, unless that one has given up.
    pub(crate) fn answer(&self, id: u64, answer: Message) {
        let sender = self.state.lock().waiting.remove(&id);
        if let Some(sender) = sender {
            let _ = sender.send(Ok(answer));
        }
    }

    /// The peer has said that it will not take the calls above `last_taken`.
    pub(crate) fn not_taken(&self, last_taken: u64) {
        let error = CallError::NotSent("the peer takes no more calls".to_owned());
        self.fail(|id, first_queued| id > last_taken && id < first_queued, &error);
    }

    /// The connection is lost, and of the call `half_written` only a part was written on it.
    pub(crate) fn connection_lost(&self, half_written: Option<u64>, why: &str) {
        let text = format!("the connection was lost: {why}");
        let not_sent = CallError::NotSent(text.clone());
        self.fail(|id, _| Some(id) == half_written, &not_sent);
        self.fail(|id, first_queued| id < first_queued, &CallError::Unknown(text));
    }

    /// No connection came about: fails what was waiting for one.
    pub(crate) fn not_connected(&self, error: CallError) {
        self.fail(|_, _| true, &error);
        self.state.lock().failure = Some(error);
    }

    /// A connection came about.
    pub(crate) fn connected(&self) {
        self.state.lock().failure = None;
    }

    /// How many calls are in the queue.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Takes no further call; ends the connection's task.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        self.room.notify_waiters();
        self.fail(|id, first_queued| id >= first_queued, &forgotten());
    }

    /// Fails the calls for which `which` holds, given their id and the first one in the queue.
    fn fail(&self, which: impl Fn(u64, u64) -> bool, error: &CallError) {
        let mut state = self.state.lock();
        let first_queued = state.queue.front().map_or(u64::MAX, |queued| queued.id);
        let failed: Vec<_> =
            state.waiting.extract_if(.., |id, _| which(*id, first_queued)).collect();
        let State { queue, queue_bytes, waiting, .. } = &mut *state;
        queue.retain(|queued| waiting.contains_key(&queued.id));
        *queue_bytes = queue.iter().map(|queued| queued.frame.bytes()).sum();
        drop(state);
        self.room.notify_waiters();
        for (_, sender) in failed {
            let _ = sender.send(Err(error.clone()));
        }
    }

    /// Its caller gives up: whether the call was certainly not seen.
    fn give_up(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        state.waiting.remove(&id);
        let Ok(place) = state.queue.binary_search_by_key(&id, |queued| queued.id) else {
            return false;
        };
        if let Some(queued) = state.queue.remove(place) {
            state.queue_bytes -= queued.frame.bytes();
        }
        drop(state);
        self.room.notify_waiters();
        true
    }
}

impl State {
    fn demand(&self) -> Demand {
        match (self.closed, self.queue.is_empty()) {
            (true, _) => Demand::Closed,
            (false, true) => Demand::Nothing,
            (false, false) => Demand::Calls,
        }
    }
}

fn note_task(task: &mut Option<Waker>, cx: &Context<'_>) {
    match task {
        Some(task) => task.clone_from(cx.waker()),
        None => *task = Some(cx.waker().clone()),
    }
}

fn forgotten() -> CallError {
    CallError::NotSent("the node is not known any more".to_owned())
}

/// A call that waits for its answer; dropping it gives up.
#[derive(Debug)]
pub(crate) struct Call<'l> {
    link: &'l Link,
    id: u64,
    answer: oneshot::Receiver<Answer>,
    /// Nobody holds anything for this call any more.
    over: bool,
}

impl Call<'_> {
    /// Waits for the answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let answer = (&mut self.answer).await;
        self.over = true;
        match answer {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Unknown("the node stops".to_owned())),
        }
    }

    /// The deadline has passed: what is known.
    pub(crate) fn timed_out(mut self) -> CallError {
        self.over = true;
        if !self.link.give_up(self.id) {
            return CallError::Unknown("no answer within the deadline".to_owned());
        }
        match &self.link.state.lock().failure {
            Some(failure) => CallError::NotSent(format!("{failure}, and then the deadline passed")),
            None => CallError::NotSent("the deadline passed before it could be sent".to_owned()),
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.link.give_up(self.id);
        }
    }
}
