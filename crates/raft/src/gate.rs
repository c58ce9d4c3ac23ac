//! May this node act as leader right now? What the fast path asks before it answers, and events
//! for whoever waits until it may.
//!
//! **Invariants**
//! - The lease is openraft's: a quorum acknowledged something sent less than one lease ago. No
//!   safety rests on it; it bounds how long entries may be acknowledged that no quorum has.
//! - [`Gate`] is judged at the moment of the call, [`Lease`] events follow at once when a lease
//!   begins or runs out.
//!
//! **Not here:** which request may use the fast path (`chronik-controller`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronik_types::LeaderEpoch;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Instant as _, Raft};
use openraft_rt_tokio::TokioInstant;
use tokio::sync::watch;

use crate::state_machine::MetadataState;
use crate::type_config::{TypeConfig, epoch_of_term};

/// What is known of this node's leadership at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// This node leads.
    pub leads: bool,
    /// The term it knows of; its own if it leads.
    pub epoch: LeaderEpoch,
    /// It leads and a quorum was in touch within the lease.
    pub has_lease: bool,
    /// It is handing its leadership over, and takes no proposals any more.
    pub transfer_pending: bool,
    /// How long ago the oldest entry was appended that no quorum has; zero if there is none.
    pub backlog_age: Duration,
}

/// Whether this node may propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The term this node knows of.
    pub epoch: LeaderEpoch,
    /// It leads in that term, and a quorum was in touch within the lease.
    pub held: bool,
}

/// How long a lease lasts that may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// This node alone is a quorum.
    Ever,
    At(TokioInstant),
    /// It does not lead, or no quorum was ever in touch.
    Never,
}

/// Judges the lease. Clones share what they watch.
#[derive(Clone)]
pub(crate) struct Judge {
    raft: Raft<TypeConfig, MetadataState>,
    node: u64,
    lease: Duration,
    /// One more than the term in which the leadership is being handed over; 0 for none.
    transfer: Arc<AtomicU64>,
}

impl Judge {
    pub fn new(raft: Raft<TypeConfig, MetadataState>, node: u64, lease: Duration) -> Self {
        Self { raft, node, lease, transfer: Arc::default() }
    }

    /// The leadership is being handed over: openraft takes no proposals any more in this term.
    pub fn begin_transfer(&self, term: u64) {
        self.transfer.store(term.saturating_add(1), Ordering::Relaxed);
    }

    /// The gate as of now.
    pub fn gate(&self, backlog_age: Duration) -> Gate {
        let (term, until) = self.until();
        let held = holds(until);
        Gate {
            leads: until != Until::Never || self.leads(),
            epoch: epoch_of_term(term),
            has_lease: held,
            transfer_pending: self.transfer.load(Ordering::Relaxed) == term.saturating_add(1),
            backlog_age,
        }
    }

    fn leads(&self) -> bool {
        let server = self.raft.server_metrics();
        let vote = server.borrow_watched().vote;
        vote.committed && vote.leader_id.voted_for == self.node
    }

    /// The term, and until when this node holds a lease in it.
    fn until(&self) -> (u64, Until) {
        let server = self.raft.server_metrics();
        let (vote, alone) = {
            let metrics = server.borrow_watched();
            let mut voters = metrics.membership_config.membership().voter_ids();
            let alone = voters.next() == Some(self.node) && voters.next().is_none();
            (metrics.vote, alone)
        };
        let term = vote.leader_id.term;
        if !vote.committed || vote.leader_id.voted_for != self.node {
            return (term, Until::Never);
        }
        if alone {
            return (term, Until::Ever);
        }
        let data = self.raft.data_metrics();
        let acked = data.borrow_watched().last_quorum_acked;
        let until = acked.map_or(Until::Never, |acked| Until::At(acked.into_inner() + self.lease));
        (term, until)
    }

    /// Starts the task that tells when a lease begins or runs out. It ends when nobody listens or
    /// openraft has stopped.
    pub fn watch(self) -> watch::Receiver<Lease> {
        let (term, until) = self.until();
        let first = Lease { epoch: epoch_of_term(term), held: holds(until) };
        let (sender, receiver) = watch::channel(first);
        tokio::spawn(self.follow(sender));
        receiver
    }

    async fn follow(self, sender: watch::Sender<Lease>) {
        let mut server: WatchReceiverOf<TypeConfig, _> = self.raft.server_metrics();
        let mut data = self.raft.data_metrics();
        loop {
            let (term, until) = self.until();
            let now = Lease { epoch: epoch_of_term(term), held: holds(until) };
            sender.send_if_modified(|lease| std::mem::replace(lease, now) != now);
            let sleeps = async {
                match until {
                    // It was seen to hold: nothing but its end or another vote can change that.
                    Until::At(at) if now.held => tokio::time::sleep(left(at)).await,
                    Until::Ever => std::future::pending().await,
                    // A quorum may be in touch again.
                    Until::At(_) | Until::Never => drop(data.changed().await),
                }
            };
            tokio::select! {
                biased;
                () = sender.closed() => return,
                changed = server.changed() => if changed.is_err() { return },
                () = sleeps => {}
            }
        }
    }
}

fn holds(until: Until) -> bool {
    match until {
        Until::Ever => true,
        Until::At(at) => TokioInstant::now() < at,
        Until::Never => false,
    }
}

fn left(at: TokioInstant) -> Duration {
    at.saturating_duration_since(TokioInstant::now())
}
