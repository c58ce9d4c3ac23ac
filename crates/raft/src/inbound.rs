//! What this node answers to the other members: votes, appends, snapshots, hand-overs, joins.
//!
//! **Invariants**
//! - Only what is meant for this directory, of this cluster, is answered as a member: a node whose
//!   disk was replaced neither votes nor acknowledges as the one it was.
//! - A vote or an append comes from the node that its vote names.
//! - After a start this node votes for nobody for one lease, unless it never had a leader: it may
//!   have acknowledged one just before, and has forgotten when. A hand-over is the leader's own
//!   wish and needs no waiting.
//! - Appends of one stream reach openraft in the order in which they arrived, and are answered in
//!   that order; as many as may be on their way are in openraft at once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use chronik_peer::{Identity, Message, PeerStream};
use chronik_types::DirectoryId;
use openraft::SnapshotMeta;
use openraft::errors::RaftError;
use openraft::raft::{AppendEntriesResponse, StreamAppendError, TransferLeaderRequest};
use openraft::type_config::alias::SnapshotOf;

use crate::network::messages::{
    AppendedHead, InstalledHead, Malformed, NumberedAppend, StreamHead, TransferHead,
    TransferredHead, VoteHead, VotedHead, head, kind, message, read_append, read_directory,
    refusal,
};
use crate::network::snapshot_stream::receive_snapshot;
use crate::node::MetadataNode;
use crate::type_config::{LogId, TypeConfig, Vote, broker_of, node_of, seeded};

/// Appends of one stream that are in openraft at once.
const APPENDS_MAX: usize = 128;

impl MetadataNode {
    /// Answers a message of kind `0x01xx`.
    pub async fn handle(&self, from: &Identity, request: Message) -> Message {
        let answer = match request.kind {
            kind::PROBE => return self.probed(),
            kind::VOTE | kind::PRE_VOTE => self.asked_for_vote(from, &request).await,
            kind::TRANSFER => self.handed_over(from, &request).await,
            kind::JOIN => self.asked_to_join(from, &request).await,
            other => Err(Malformed(format!("kind {other:#06x} is not known"))),
        };
        answer.unwrap_or_else(|why| refusal(why.to_string()))
    }

    /// Serves a stream whose first message is of kind `0x01xx`.
    pub async fn stream(&self, first: Message, mut stream: PeerStream) {
        // openraft may spawn tasks for what it is given.
        let served = seeded(&self.env.rng, self.serve(&first, &mut stream)).await;
        if let Err(why) = served {
            tracing::debug!(from = stream.peer.node_id.0, %why, "a stream is not served further");
            // The peer may have gone.
            let _ = stream.sender.send(refusal(why.to_string())).await;
        }
    }

    async fn serve(&self, first: &Message, stream: &mut PeerStream) -> Result<(), Malformed> {
        let opening: StreamHead = head(first, first.kind)?;
        self.check_peer(&stream.peer, &opening.to)?;
        match first.kind {
            kind::APPEND_STREAM => self.serve_appends(stream).await,
            kind::SNAPSHOT_STREAM => self.serve_snapshot(stream).await,
            other => Err(Malformed(format!("kind {other:#06x} is not known"))),
        }
    }

    /// Whether a request from `from` for the directory `to` concerns this node.
    fn check_peer(&self, from: &Identity, to: &[u8]) -> Result<(), Malformed> {
        let to: DirectoryId = read_directory(to)?;
        if to != self.own.directory {
            return Err(Malformed(format!("it is meant for directory {}, not for this", to.0)));
        }
        if from.cluster_id != Some(self.cluster_id) {
            return Err(Malformed("its sender does not belong to this cluster yet".to_owned()));
        }
        Ok(())
    }

    fn check_author(from: &Identity, vote: &Vote) -> Result<(), Malformed> {
        if vote.leader_id.voted_for == node_of(from.node_id) {
            return Ok(());
        }
        Err(Malformed("its vote is another node's".to_owned()))
    }

    async fn asked_for_vote(
        &self,
        from: &Identity,
        request: &Message,
    ) -> Result<Message, Malformed> {
        let head: VoteHead = head(request, request.kind)?;
        self.check_peer(from, &head.to)?;
        let ask = head.request()?;
        Self::check_author(from, &ask.vote)?;
        let started = self.env.clock.monotonic().since(self.started);
        if self.had_leader && !ask.leadership_transfer && started < self.lease_time {
            return Err(Malformed("it has just started and may owe a lease".to_owned()));
        }
        let answer = if request.kind == kind::PRE_VOTE {
            self.raft.pre_vote(ask).await
        } else {
            self.raft.vote(ask).await
        };
        let answer = answer.map_err(|error| Malformed(error.to_string()))?;
        Ok(message(kind::VOTED, &VotedHead::new(&answer)))
    }

    async fn handed_over(&self, from: &Identity, request: &Message) -> Result<Message, Malformed> {
        let head: TransferHead = head(request, kind::TRANSFER)?;
        self.check_peer(from, &head.to)?;
        let (vote, heir, last) = head.parts()?;
        Self::check_author(from, &vote)?;
        let transfer = TransferLeaderRequest::new(vote, heir, last);
        let answer = self.raft.handle_transfer_leader(transfer).await;
        let answer = answer.map_err(|error| Malformed(error.to_string()))?;
        let refused = answer.err().map(|why| why.to_string()).unwrap_or_default();
        Ok(message(kind::TRANSFERRED, &TransferredHead { refused }))
    }

    /// Takes note of a leader that has sent something.
    fn heard_of(&self, vote: &Vote) {
        let leader = broker_of(vote.leader_id.voted_for);
        self.last_leader.heard(leader, vote.leader_id.term, self.env.clock.monotonic());
    }

    async fn serve_snapshot(&self, stream: &mut PeerStream) -> Result<(), Malformed> {
        let received = receive_snapshot(stream).await?;
        Self::check_author(&stream.peer, &received.vote)?;
        self.heard_of(&received.vote);
        let meta = SnapshotMeta {
            last_log_id: received.meta.last_log_id,
            last_membership: received.meta.last_membership,
        };
        let snapshot = SnapshotOf::<TypeConfig, _> { meta, snapshot: received.image };
        let installed = self.raft.install_full_snapshot(received.vote, snapshot).await;
        let installed = installed.map_err(|error| Malformed(error.to_string()))?;
        let answer = message(kind::SNAPSHOT_INSTALLED, &InstalledHead::new(&installed.vote));
        // The leader may have gone; then it asks again.
        let _ = stream.sender.send(answer).await;
        Ok(())
    }

    async fn serve_appends(&self, stream: &mut PeerStream) -> Result<(), Malformed> {
        let mut waiting: VecDeque<Append> = VecDeque::new();
        loop {
            let room = waiting.len() < APPENDS_MAX;
            tokio::select! {
                biased;
                outcome = front(&mut waiting), if !waiting.is_empty() => {
                    let outcome = outcome.map_err(|error| Malformed(error.to_string()))?;
                    let Some(done) = waiting.pop_front() else { continue };
                    let tacit = done.tacit && matches!(outcome, AppendEntriesResponse::Success);
                    if !tacit && stream.sender.send(done.answer(outcome)).await.is_err() {
                        return Ok(());
                    }
                }
                arrived = stream.receiver.next(), if room => {
                    let Some(arrived) = arrived else { return Ok(()) };
                    let append = read_append(&arrived)?;
                    Self::check_author(&stream.peer, &append.request.vote)?;
                    self.heard_of(&append.request.vote);
                    waiting.push_back(self.begin_append(append));
                }
            }
        }
    }

    /// Gives an append to openraft now, before any that comes later.
    fn begin_append(&self, append: NumberedAppend) -> Append {
        let NumberedAppend { number, tacit, request } = append;
        let prev = request.prev_log_id;
        let last = request.entries.last().map(|last| last.log_id).or(prev);
        let raft = self.raft.clone();
        let mut answered: Answered = Box::pin(async move { raft.append_entries(request).await });
        // The first poll puts the request into openraft's queue.
        let mut context = Context::from_waker(Waker::noop());
        let early = match Future::poll(Pin::new(&mut answered), &mut context) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        Append { number, tacit, prev, last, answered, early }
    }
}

type Outcome = Result<AppendEntriesResponse<TypeConfig>, RaftError<TypeConfig>>;
type Answered = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// An append that openraft has.
struct Append {
    number: u64,
    /// Nobody waits to hear that it succeeded.
    tacit: bool,
    /// The entry before the first.
    prev: Option<LogId>,
    /// The last entry, or the one before if there is none.
    last: Option<LogId>,
    answered: Answered,
    /// The answer, if it was there at once.
    early: Option<Outcome>,
}

impl Append {
    fn answer(&self, outcome: AppendEntriesResponse<TypeConfig>) -> Message {
        let outcome = match (outcome, self.prev) {
            (AppendEntriesResponse::Success, _) => Ok(self.last),
            (AppendEntriesResponse::PartialSuccess(last), _) => Ok(last),
            (AppendEntriesResponse::HigherVote(vote), _) => {
                Err(StreamAppendError::HigherVote(vote))
            }
            (AppendEntriesResponse::Conflict, Some(prev)) => Err(StreamAppendError::Conflict(prev)),
            // What follows nothing conflicts with nothing.
            (AppendEntriesResponse::Conflict, None) => Ok(None),
        };
        message(kind::APPENDED, &AppendedHead::new(self.number, &outcome))
    }
}

/// The outcome of the oldest append.
async fn front(waiting: &mut VecDeque<Append>) -> Outcome {
    let Some(first) = waiting.front_mut() else { return std::future::pending().await };
    match first.early.take() {
        Some(outcome) => outcome,
        None => (&mut first.answered).await,
    }
}
