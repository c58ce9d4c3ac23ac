//! One activation of the controller: from the committed image it starts with until its node leads
//! no more, or a proposal is lost.

use std::collections::VecDeque;

use chronik_controller::{Durability, LeaderGate, Release, Response, Standing};
use chronik_raft::{Leadership, Lease, ProposeError};
use chronik_types::{Monotonic, Offset};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use crate::controller_runtime::gathering::Gathering;
use crate::controller_runtime::parked::Parked;
use crate::controller_runtime::{Job, Runtime};
use crate::forwarding::Fate;

/// Entries proposed and not yet applied.
const ENTRIES_IN_FLIGHT: usize = 64;

/// Why a reign is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The node leads no more.
    Led,
    /// A proposal was lost; the node may lead on.
    Lost,
    /// Nobody can ask any more, or the quorum on this node has stopped.
    Closed,
}

/// What an activation has under way.
pub(super) struct Reign {
    leadership: Leadership,
    lease: watch::Receiver<Lease>,
    /// Whether this node may propose, as last seen.
    may_propose: bool,
    synced: FuturesOrdered<BoxFuture<'static, Settled>>,
    applied: FuturesOrdered<BoxFuture<'static, Settled>>,
    parked: Parked,
    /// Requests that are not handled yet.
    gathering: Gathering<Job>,
    /// Topics that are created on the fast path, by batch, while somebody reads the debug log.
    creating: VecDeque<(u64, String)>,
}

/// How a proposal ended, or how its way to this node's disk did.
struct Settled {
    sequence: u64,
    proposed: Monotonic,
    result: Result<Offset, ProposeError>,
}

/// What to do next.
enum Event {
    Leadership,
    Lease,
    Synced(Settled),
    Applied(Settled),
    Job(Job),
    Gathered,
    Deadline,
    Closed,
}

impl Reign {
    pub fn new(leadership: Leadership, lease: watch::Receiver<Lease>) -> Self {
        Self {
            leadership,
            lease,
            may_propose: true,
            synced: FuturesOrdered::new(),
            applied: FuturesOrdered::new(),
            parked: Parked::default(),
            gathering: Gathering::default(),
            creating: VecDeque::new(),
        }
    }

    /// Serves until it is over.
    pub async fn run(mut self, runtime: &mut Runtime) -> End {
        self.observe_lease(runtime);
        loop {
            self.handle_gathered(runtime);
            if let Err(end) = self.propose(runtime).await {
                return self.settle_all(runtime, end).await;
            }
            match self.next(runtime).await {
                Event::Closed => {
                    self.refuse_gathered();
                    return End::Closed;
                }
                Event::Leadership => return self.settle_all(runtime, End::Led).await,
                Event::Lease => self.observe_lease(runtime),
                Event::Synced(settled) => self.leader_synced(runtime, settled),
                Event::Applied(settled) => {
                    if let Err(end) = self.applied(runtime, settled) {
                        return self.settle_all(runtime, end).await;
                    }
                }
                Event::Job(job) => self.take(runtime, job),
                Event::Gathered => {}
                Event::Deadline => {
                    runtime.controller.on_deadline(runtime.env.clock.monotonic());
                }
            }
        }
    }

    async fn next(&mut self, runtime: &mut Runtime) -> Event {
        let room = self.has_room() && !self.gathering.is_full();
        let now = runtime.env.clock.monotonic();
        let deadline = runtime.controller.next_deadline().filter(|_| self.may_propose);
        let left = deadline.map(|at| at.since(now));
        let gathers = self.gathering.deadline().filter(|_| self.has_room());
        let gathers = gathers.map(|until| until.since(now));
        tokio::select! {
            biased;
            now = runtime.metadata.leadership_changed(self.leadership) => {
                // The same again: the quorum on this node has stopped.
                if now == self.leadership { Event::Closed } else { Event::Leadership }
            }
            changed = self.lease.changed() => match changed {
                Ok(()) => Event::Lease,
                Err(_) => Event::Closed,
            },
            Some(settled) = self.synced.next(), if !self.synced.is_empty() => {
                Event::Synced(settled)
            }
            Some(settled) = self.applied.next(), if !self.applied.is_empty() => {
                Event::Applied(settled)
            }
            job = runtime.queue.recv(), if room => job.map_or(Event::Closed, Event::Job),
            () = tokio::time::sleep(gathers.unwrap_or_default()), if gathers.is_some() => {
                Event::Gathered
            }
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => Event::Deadline,
        }
    }

    /// Whether an entry may be proposed.
    fn has_room(&self) -> bool {
        self.applied.len() < ENTRIES_IN_FLIGHT && self.may_propose
    }

    /// Takes note of whether this node may propose. When it may again, brokers may have tried to
    /// say that they live, in vain.
    fn observe_lease(&mut self, runtime: &mut Runtime) {
        let lease = *self.lease.borrow_and_update();
        let may_propose = lease.held && lease.epoch == self.leadership.epoch;
        if may_propose && !self.may_propose {
            runtime.controller.lease_returned(runtime.env.clock.monotonic());
        }
        self.may_propose = may_propose;
    }

    /// Takes a request and those that have come with it.
    fn take(&mut self, runtime: &mut Runtime, first: Job) {
        let now = runtime.env.clock.monotonic();
        let bytes = first.request.bytes();
        self.gathering.add(first, bytes, now);
        while !self.gathering.is_full()
            && let Ok(job) = runtime.queue.try_recv()
        {
            let bytes = job.request.bytes();
            self.gathering.add(job, bytes, now);
        }
    }

    /// Handles the requests that have gathered, if it is time to: they share an entry.
    fn handle_gathered(&mut self, runtime: &mut Runtime) {
        let now = runtime.env.clock.monotonic();
        if self.has_room() && self.gathering.is_over(self.applied.len(), now) {
            for job in self.gathering.take() {
                self.handle(runtime, job);
            }
        }
    }

    /// What was not handled can be asked again, wherever the controller is then.
    fn refuse_gathered(&mut self) {
        for job in self.gathering.take() {
            let _ = job.answer.send(Fate::NotController);
        }
    }

    fn handle(&mut self, runtime: &mut Runtime, job: Job) {
        if job.answer.is_closed() {
            // Whoever asked was told that time is up, and must not be surprised later.
            return;
        }
        let context = runtime.context();
        let Ok(outcome) = runtime.controller.handle(&context, job.request) else {
            let _ = job.answer.send(Fate::NotController);
            return;
        };
        let response = outcome.response;
        match outcome.release {
            Release::Now => {
                let visible_at = runtime.metadata.committed().borrow().end();
                let _ = job.answer.send(Fate::Answered { response, visible_at });
            }
            Release::After { sequence, durability } => {
                self.gathering.proposed(durability == Durability::LeaderSynced);
                if durability == Durability::LeaderSynced {
                    self.note_creations(sequence, &response);
                }
                self.parked.park(sequence, durability, response, job.answer);
            }
        }
    }

    fn note_creations(&mut self, sequence: u64, response: &Response) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let Response::CreateTopics(Ok(results)) = response else { return };
        for created in results.iter().filter(|result| result.result.is_ok()) {
            let name = &created.name;
            tracing::debug!("Leader creating topic '{name}' via metadata WAL (fast path)");
            self.creating.push_back((sequence, name.clone()));
        }
    }

    /// Proposes what has gathered.
    async fn propose(&mut self, runtime: &mut Runtime) -> Result<(), End> {
        while self.may_propose && self.applied.len() < ENTRIES_IN_FLIGHT {
            let Some(batch) = runtime.controller.next_batch() else { return Ok(()) };
            let (sequence, proposed) = (batch.sequence, runtime.env.clock.monotonic());
            match runtime.metadata.propose(self.leadership.epoch, batch).await {
                Ok(proposal) => {
                    let settled = move |result| Settled { sequence, proposed, result };
                    self.synced.push_back(proposal.leader_synced.map(settled).boxed());
                    self.applied.push_back(proposal.applied.map(settled).boxed());
                }
                Err(error) => {
                    tracing::warn!(%error, "a metadata change could not be proposed");
                    return Err(End::Lost);
                }
            }
        }
        Ok(())
    }

    /// A proposal is on this node's disk: what may leave on that leaves, if the gate is open.
    fn leader_synced(&mut self, runtime: &mut Runtime, settled: Settled) {
        // What became of one that is not, the other future tells.
        let Ok(offset) = settled.result else { return };
        let took = runtime.env.clock.monotonic().since(settled.proposed);
        runtime.metrics.metadata_written(took);
        while let Some((_, name)) = self.creating.pop_front_if(|(at, _)| *at <= settled.sequence) {
            tracing::debug!("Wrote CreateTopic('{name}') to metadata WAL at offset {offset}");
        }
        if !self.parked.waits_for_sync(settled.sequence) {
            return;
        }
        match self.gate(runtime).closed_by(runtime.backlog_age_max) {
            None => {
                runtime.controller.leader_synced(settled.sequence);
                runtime.publish_acknowledged();
                let count = self.parked.synced(settled.sequence);
                self.gathering.answered(count, runtime.env.clock.monotonic());
            }
            Some(reason) => {
                let count = self.parked.fall_back(settled.sequence);
                (0..count).for_each(|_| runtime.metrics.fell_back(reason));
            }
        }
    }

    fn gate(&self, runtime: &Runtime) -> LeaderGate {
        let gate = runtime.metadata.gate();
        LeaderGate {
            has_lease: gate.has_lease,
            same_term: gate.leads && gate.epoch == self.leadership.epoch,
            transfer_pending: gate.transfer_pending,
            backlog_age: gate.backlog_age,
        }
    }

    /// A proposal is committed and applied here, or lost.
    fn applied(&mut self, runtime: &mut Runtime, settled: Settled) -> Result<(), End> {
        let offset = match settled.result {
            Ok(offset) => offset,
            Err(error) => {
                tracing::warn!(%error, sequence = settled.sequence, "a metadata change was lost");
                if matches!(error, ProposeError::NotLeader | ProposeError::OutOfSequence) {
                    // Everything behind it is made on top of it, and so changes nothing either.
                    self.parked.not_carried_out();
                }
                return Err(End::Lost);
            }
        };
        let took = runtime.env.clock.monotonic().since(settled.proposed);
        runtime.metrics.metadata_committed(took);
        let standing = runtime.controller.applied(&runtime.metadata.image());
        runtime.publish_acknowledged();
        if standing == Standing::Inactive {
            return Err(End::Lost);
        }
        let count = self.parked.committed(settled.sequence, offset.next());
        self.gathering.answered(count, runtime.env.clock.monotonic());
        Ok(())
    }

    /// Waits for the fate of what is proposed, so that a new activation starts behind all of it.
    /// Of what nobody will know, the answers are dropped.
    async fn settle_all(mut self, runtime: &mut Runtime, end: End) -> End {
        self.refuse_gathered();
        while let Some(settled) = self.next_fate(runtime).await {
            match settled.result {
                Ok(offset) => {
                    self.parked.committed(settled.sequence, offset.next());
                }
                Err(ProposeError::NotLeader | ProposeError::OutOfSequence) => {
                    self.parked.not_carried_out();
                }
                Err(ProposeError::Unknown | ProposeError::Stopped(_)) => break,
            }
        }
        if end == End::Lost && !runtime.metadata.leads(runtime.metadata.leadership()) {
            return End::Led;
        }
        end
    }

    /// The fate of the next proposal; `None` when there is none left, or it will not be known for
    /// want of leadership.
    async fn next_fate(&mut self, runtime: &Runtime) -> Option<Settled> {
        if self.applied.is_empty() {
            return None;
        }
        tokio::select! {
            biased;
            settled = self.applied.next() => settled,
            _ = runtime.metadata.leadership_changed(self.leadership) => None,
        }
    }
}
