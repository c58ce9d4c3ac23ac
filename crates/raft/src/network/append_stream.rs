//! Appends to one follower: pipelined, answered in order, over one stream.
//!
//! openraft opens a session for each run of entries, and for every heartbeat. The stream outlives
//! them: requests are numbered, and an answer to an earlier session's request is passed over.
//!
//! Within a session a request without entries only says what is committed, and the answer to the
//! next entries covers it. It goes tacitly: the follower answers only if it refuses.
//!
//! **Invariants**
//! - Requests leave in the order in which openraft makes them; answers are given in that order.
//! - The first request of a session is answered: openraft takes a session without an answer for one
//!   that got nowhere.
//! - What is unanswered is bounded, so that sending never waits for long while answers come in.
//! - A stream on which nothing is answered for a while is replaced.

use std::collections::VecDeque;
use std::time::Duration;

use chronik_peer::{Channel, Message, OpenError, PeerStream};
use chronik_types::Monotonic;
use futures_util::{Stream, StreamExt, stream};
use openraft::base::BoxStream;
use openraft::errors::RPCError;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::task::JoinHandle;

use crate::network::messages::{AppendedHead, StreamHead, append, directory, head, kind, message};
use crate::network::{Target, broken, malformed, unreachable};
use crate::type_config::{TypeConfig, broker_of};

/// Requests sent and not answered.
const REQUESTS_MAX: usize = 128;
/// Their bytes; one request always may be on its way.
const BYTES_MAX: usize = 2 << 20;
/// How long to try to connect. A heartbeat gives up earlier and finds what has come about.
const CONNECT: Duration = Duration::from_secs(2);
/// A stream that answers nothing for this long is not used any more.
const MUTE: Duration = Duration::from_secs(1);

type Answer = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// A request on its way, to be answered.
struct Outstanding {
    number: u64,
    bytes: usize,
    sent: Monotonic,
}

/// The requests of a stream, by number, and what of them may be answered next.
#[derive(Default)]
struct Numbered {
    next: u64,
    /// What is answered has smaller numbers.
    answered: u64,
    /// In order; of earlier sessions first.
    outstanding: VecDeque<Outstanding>,
}

impl Numbered {
    /// A request that goes out now; one that is tacit may be answered, but need not.
    fn send(&mut self, bytes: usize, sent: Monotonic, tacit: bool) {
        if !tacit {
            self.outstanding.push_back(Outstanding { number: self.next, bytes, sent });
        }
        self.next += 1;
    }

    /// Takes note of an answer; false if it is to nothing that may be answered now.
    fn answer(&mut self, number: u64) -> bool {
        let unanswered = self.outstanding.front().map_or(u64::MAX, |next| next.number);
        if !(self.answered..self.next).contains(&number) || number > unanswered {
            return false;
        }
        self.answered = number + 1;
        self.outstanding.pop_front_if(|next| next.number == number);
        true
    }
}

struct Open {
    stream: PeerStream,
    numbered: Numbered,
}

/// The way to one follower, as long as its user lives.
pub(super) struct AppendConnection {
    target: Target,
    open: Option<Open>,
    /// A task of its own: a heartbeat that gives up does not give up the connection.
    opening: Option<JoinHandle<Result<PeerStream, OpenError>>>,
}

/// A run of requests and its answers.
struct Session<'s, S> {
    connection: &'s mut AppendConnection,
    /// `None` when it has ended.
    input: Option<S>,
    /// The first number of this session.
    first: u64,
}

impl AppendConnection {
    pub fn new(target: Target) -> Self {
        Self { target, open: None, opening: None }
    }

    /// Sends what `input` yields, and yields the answers.
    pub async fn run<'s, S>(
        &'s mut self,
        mut input: S,
    ) -> Result<BoxStream<'s, Answer>, RPCError<TypeConfig>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        // Before anything else: openraft waits here after a failure, and nowhere else.
        let next = input.next().await;
        self.drop_if_mute();
        self.connect().await?;
        let first = self.open.as_ref().map_or(0, |open| open.numbered.next);
        let mut session = Session { connection: self, input: Some(input), first };
        match next {
            Some(request) => {
                if let Err(error) = session.send(&request).await {
                    session.connection.open = None;
                    return Err(error);
                }
            }
            None => session.input = None,
        }
        Ok(Box::pin(stream::unfold(Some(session), |session| async {
            let mut session = session?;
            match session.next().await {
                Some(Ok(answer)) => {
                    // A conflict or a higher vote ends the session, as openraft expects.
                    let goes_on = answer.is_ok();
                    Some((Ok(answer), goes_on.then_some(session)))
                }
                Some(Err(error)) => {
                    session.connection.open = None;
                    Some((Err(error), None))
                }
                None => None,
            }
        })))
    }

    fn drop_if_mute(&mut self) {
        let now = self.target.env.clock.monotonic();
        let oldest = self.open.as_ref().and_then(|open| open.numbered.outstanding.front());
        if oldest.is_some_and(|oldest| now.since(oldest.sent) > MUTE) {
            self.open = None;
        }
    }

    async fn connect(&mut self) -> Result<(), RPCError<TypeConfig>> {
        if self.open.is_some() {
            return Ok(());
        }
        let target = self.target.clone();
        let opened = self.opening.get_or_insert_with(|| tokio::spawn(open(target))).await;
        self.opening = None;
        let stream = opened.map_err(|error| unreachable(&error))?;
        let stream = stream.map_err(|error| unreachable(&error))?;
        if stream.peer.directory_id != self.target.member.directory {
            let why = malformed(&super::Malformed("another directory answers".to_owned()));
            return Err(why);
        }
        self.open = Some(Open { stream, numbered: Numbered::default() });
        Ok(())
    }
}

async fn open(target: Target) -> Result<PeerStream, OpenError> {
    let first = StreamHead { to: directory(target.member.directory) };
    let first = message(kind::APPEND_STREAM, &first);
    let deadline = target.after(CONNECT);
    target.peers.open(broker_of(target.node), Channel::Raft, first, deadline).await
}

/// What happened on a stream.
enum Event {
    Request(AppendEntriesRequest<TypeConfig>),
    NoMoreRequests,
    Answer(Option<Message>),
}

impl<S> Session<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin,
{
    /// The next answer; `None` when everything is answered and nothing more comes.
    async fn next(&mut self) -> Option<Answer> {
        loop {
            let Some(open) = &mut self.connection.open else {
                return Some(Err(broken("the stream was dropped").into()));
            };
            let awaited =
                open.numbered.outstanding.back().is_some_and(|last| last.number >= self.first);
            if self.input.is_none() && !awaited {
                return None;
            }
            let event = event(open, &mut self.input).await;
            match event {
                Event::NoMoreRequests => self.input = None,
                Event::Request(request) => {
                    if let Err(error) = self.send(&request).await {
                        return Some(Err(error));
                    }
                }
                Event::Answer(None) => return Some(Err(broken("the stream has ended").into())),
                Event::Answer(Some(message)) => match self.answered(&message) {
                    Ok(None) => {}
                    Ok(Some(answer)) => return Some(Ok(answer)),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }

    async fn send(
        &mut self,
        request: &AppendEntriesRequest<TypeConfig>,
    ) -> Result<(), RPCError<TypeConfig>> {
        let sent = self.connection.target.env.clock.monotonic();
        let open = self.connection.open.as_mut().ok_or_else(|| broken("the stream was dropped"))?;
        let number = open.numbered.next;
        let tacit = request.entries.is_empty() && number != self.first;
        let message = append(number, request, tacit);
        open.numbered.send(message.bytes(), sent, tacit);
        let queued = open.stream.sender.send(message).await;
        queued.map_err(|_| broken("the stream has ended").into())
    }

    /// The answer to a request of this session; nothing if it is to one of an earlier session.
    fn answered(
        &mut self,
        message: &Message,
    ) -> Result<Option<StreamAppendResult<TypeConfig>>, RPCError<TypeConfig>> {
        let answer: AppendedHead =
            head(message, kind::APPENDED).map_err(|error| malformed(&error))?;
        let open = self.connection.open.as_mut().ok_or_else(|| broken("the stream was dropped"))?;
        if !open.numbered.answer(answer.number) {
            return Err(broken("an answer is out of order").into());
        }
        if answer.number < self.first {
            return Ok(None);
        }
        answer.outcome().map(Some).map_err(|error| malformed(&error))
    }
}

async fn event<S>(open: &mut Open, input: &mut Option<S>) -> Event
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin,
{
    let outstanding = &open.numbered.outstanding;
    let bytes: usize = outstanding.iter().map(|request| request.bytes).sum();
    let count = outstanding.len();
    let room = count == 0 || (count < REQUESTS_MAX && bytes < BYTES_MAX);
    let request = async {
        match input {
            Some(input) if room => input.next().await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        answer = open.stream.receiver.next() => Event::Answer(answer),
        request = request => request.map_or(Event::NoMoreRequests, Event::Request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_and_a_tacit_request_may_do_without() {
        let mut numbered = Numbered::default();
        let now = Monotonic::default();
        for tacit in [false, true, false, true, true] {
            numbered.send(1, now, tacit);
        }
        assert_eq!(numbered.outstanding.len(), 2);
        assert!(!numbered.answer(1) && !numbered.answer(2), "0 is not answered yet");
        assert!(numbered.answer(0));
        assert!(!numbered.answer(0), "it is answered already");
        // 1 is not refused.
        assert!(numbered.answer(2));
        assert!(!numbered.answer(1), "a later one is answered");
        // 3 is refused.
        assert!(numbered.answer(3));
        assert!(!numbered.answer(5), "it was never sent");
    }
}
