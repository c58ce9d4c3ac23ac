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

/// What a lease rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// This node alone is a quorum.
    Alone,
    /// A quorum acknowledged what was sent then.
    Acked(TokioInstant),
    /// It does not lead, or no quorum was ever in touch.
    Nothing,
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
        let (term, ground) = self.ground();
        Gate {
            leads: ground != Ground::Nothing || self.leads(),
            epoch: epoch_of_term(term),
            has_lease: !self.left(ground).is_zero(),
            transfer_pending: self.transfer.load(Ordering::Relaxed) == term.saturating_add(1),
            backlog_age,
        }
    }

    fn leads(&self) -> bool {
        let server = self.raft.server_metrics();
        let vote = server.borrow_watched().vote;
        vote.committed && vote.leader_id.voted_for == self.node
    }

    /// The term, and what this node's lease in it rests on.
    fn ground(&self) -> (u64, Ground) {
        let server = self.raft.server_metrics();
        let (vote, alone) = {
            let metrics = server.borrow_watched();
            let mut voters = metrics.membership_config.membership().voter_ids();
            let alone = voters.next() == Some(self.node) && voters.next().is_none();
            (metrics.vote, alone)
        };
        let term = vote.leader_id.term;
        if !vote.committed || vote.leader_id.voted_for != self.node {
            return (term, Ground::Nothing);
        }
        if alone {
            return (term, Ground::Alone);
        }
        let data = self.raft.data_metrics();
        let acked = data.borrow_watched().last_quorum_acked;
        (term, acked.map_or(Ground::Nothing, |acked| Ground::Acked(acked.into_inner())))
    }

    /// How much of the lease is left.
    fn left(&self, ground: Ground) -> Duration {
        match ground {
            Ground::Alone => Duration::MAX,
            Ground::Acked(at) => self.lease.saturating_sub(at.elapsed()),
            Ground::Nothing => Duration::ZERO,
        }
    }

    fn judge(&self) -> (Lease, Duration) {
        let (term, ground) = self.ground();
        let left = self.left(ground);
        (Lease { epoch: epoch_of_term(term), held: !left.is_zero() }, left)
    }

    /// Starts the task that tells when a lease begins or runs out. It ends when nobody listens or
    /// openraft has stopped.
    pub fn watch(self) -> watch::Receiver<Lease> {
        let (first, _) = self.judge();
        let (sender, receiver) = watch::channel(first);
        tokio::spawn(self.follow(sender));
        receiver
    }

    async fn follow(self, sender: watch::Sender<Lease>) {
        let mut server = self.raft.server_metrics();
        let mut data = self.raft.data_metrics();
        loop {
            let (now, left) = self.judge();
            sender.send_if_modified(|lease| std::mem::replace(lease, now) != now);
            let next_look = async {
                if now.held {
                    // Nothing but its end or another vote can change that.
                    tokio::time::sleep(left).await;
                } else {
                    // A quorum may be in touch again.
                    let _ = data.changed().await;
                }
            };
            tokio::select! {
                biased;
                () = sender.closed() => return,
                changed = server.changed() => if changed.is_err() { return },
                () = next_look => {}
            }
        }
    }
}
