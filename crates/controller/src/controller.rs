//! The controller itself: the three images, and what happens to them.

use std::time::Duration;

use chronik_metadata::{Image, MetadataBatch};
use chronik_types::{BrokerId, Monotonic};

use crate::acknowledged::acknowledged;
use crate::draft::Draft;
use crate::durability::{Durability, Release, required};
use crate::options::Options;
use crate::proposals::Proposals;
use crate::request::{Context, Request, Response};
use crate::request_bytes;
use crate::sessions::Sessions;
use crate::topic_configs::TopicConfigs;
use crate::{
    alter_partition, balance, bootstrap, broker_lifecycle, configs, elect_leaders, features,
    partitions, producer_ids, reassignment, topics,
};

/// Between two rounds of balancing while there is more to do than one round does.
const BALANCE_MORE: Duration = Duration::from_millis(100);

/// A response, and when it may leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What to answer.
    pub response: Response,
    /// When.
    pub release: Release,
}

/// Whether the controller's proposals and the committed log agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Standing {
    /// They do.
    Active,
    /// This node is not the controller, or not any more: the log has a batch that is not its own,
    /// or lacks one that is. Responses that wait have an unknown outcome.
    Inactive,
}

/// This node is not the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node is not the controller")]
pub struct NotActive;

/// The controller of a cluster, while this node leads the metadata quorum. See the crate's
/// documentation for how it is driven.
#[derive(Debug)]
pub struct Controller {
    options: Options,
    committed: Image,
    acknowledged: Image,
    /// Committed, and all that is proposed; for judging requests only.
    speculative: Image,
    /// `None` while this node is not the controller.
    proposals: Option<Proposals>,
    /// The last term in which this node was active, and the highest number it gave out there.
    used: (u64, u64),
    sessions: Sessions,
    topic_configs: TopicConfigs,
    /// When leaderships are balanced next; `None` if they are not.
    balance_at: Option<Monotonic>,
}

impl Controller {
    /// A controller that is not active.
    #[must_use]
    pub fn new(options: Options, committed: Image) -> Self {
        let sessions = Sessions::new(options.session_timeout, Monotonic::default());
        Self {
            acknowledged: committed.clone(),
            speculative: committed.clone(),
            committed,
            proposals: None,
            used: (0, 0),
            sessions,
            topic_configs: TopicConfigs::default(),
            balance_at: None,
            options,
        }
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The term in which it is active.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        self.proposals.as_ref().map(Proposals::term)
    }

    /// The committed image, as of the last [`Self::applied`].
    #[must_use]
    pub fn committed(&self) -> &Image {
        &self.committed
    }

    /// The committed image with the topics that were acknowledged on the leader's own sync: what
    /// clients of this node are told about topics.
    #[must_use]
    pub fn acknowledged(&self) -> &Image {
        &self.acknowledged
    }

    /// The acknowledged image while it has topics that are not committed yet.
    #[must_use]
    pub fn acknowledged_ahead(&self) -> Option<&Image> {
        let ahead = self.proposals.as_ref()?.acknowledges_more();
        ahead.then_some(&self.acknowledged)
    }

    /// The image that requests are judged against: for creating internal topics within bounds,
    /// and for tests. Never shown to clients.
    #[must_use]
    pub fn speculative(&self) -> &Image {
        &self.speculative
    }

    /// This node leads the metadata quorum in `term`, and the blank entry of that term has been
    /// committed and applied: `committed` has everything there was before. Also after
    /// [`Self::refused`], in the same term.
    pub fn activate(&mut self, now: Monotonic, term: u64, committed: Image) {
        let used = if self.used.0 == term { self.used.1 } else { 0 };
        self.proposals = Some(Proposals::new(term, committed.applied(), used));
        self.used = (term, used);
        self.speculative = committed.clone();
        self.acknowledged = committed.clone();
        self.committed = committed;
        self.sessions = Sessions::new(self.options.session_timeout, now);
        self.balance_at = self.options.balance_every.map(|every| now.after(every));
    }

    /// Right after an activation, the first in its term: the node that led before was last heard of
    /// at `heard`, as the leader that it was. If it is a broker, its session counts from then, but
    /// half of it is left in any case: who lives and leads no more says so to the new controller.
    pub fn succeeds(&mut self, leader: BrokerId, heard: Monotonic) {
        self.sessions.succeed(leader, heard);
    }

    /// This node leads no more, or a proposal was refused or lost. The speculative image is
    /// dropped with everything that was proposed; responses that wait have an unknown outcome.
    pub fn refused(&mut self) {
        if let Some(proposals) = self.proposals.take() {
            self.used = (proposals.term(), proposals.used());
        }
        self.speculative = self.committed.clone();
        self.acknowledged = self.committed.clone();
    }

    /// The lease from the quorum is back after it had lapsed: brokers may have tried in vain.
    pub fn lease_returned(&mut self, now: Monotonic) {
        self.sessions.restart(now);
    }

    /// Judges a request. Its records are gathered for [`Self::next_batch`].
    ///
    /// # Errors
    /// [`NotActive`] if this node is not the controller; the request is to go to the one that is.
    pub fn handle(&mut self, context: &Context, request: Request) -> Result<Outcome, NotActive> {
        let proposals = self.proposals.as_mut().ok_or(NotActive)?;
        self.sessions.observe(context.now);
        if let Some(response) = request_bytes::refusal(&request) {
            return Ok(Outcome { response, release: Release::Now });
        }
        let durability = required(self.options.metadata_acks(&self.committed), &request);
        let validate_only = is_validate_only(&request);
        // A request that may change something gets the only hold on the image, and gives it back.
        let image = if validate_only {
            self.speculative.clone()
        } else {
            std::mem::take(&mut self.speculative)
        };
        let mut draft = Draft::new(image);
        let judge = Judge {
            options: &self.options,
            sessions: &mut self.sessions,
            topic_configs: &mut self.topic_configs,
        };
        let response = judge.judge(&mut draft, context, request);
        if !validate_only {
            gather(proposals, &mut self.speculative, draft, durability);
        }
        // A response without records rests on what was proposed before it all the same: "exists
        // already" is true only once that is.
        let release = match proposals.last_uncommitted() {
            None => Release::Now,
            Some(sequence) => Release::After { sequence, durability },
        };
        Ok(Outcome { response, release })
    }

    /// Fences the brokers that have been silent for a session timeout, and balances leaderships
    /// when it is time to. To be called at [`Self::next_deadline`]; earlier does no harm.
    pub fn on_deadline(&mut self, now: Monotonic) {
        let Some(proposals) = self.proposals.as_mut() else { return };
        self.sessions.observe(now);
        let silent = self.sessions.silent(&self.speculative, now);
        let mut draft = Draft::new(std::mem::take(&mut self.speculative));
        for broker in silent {
            broker_lifecycle::fence(&self.options, &mut draft, broker);
        }
        if let Some(every) = self.options.balance_every
            && self.balance_at.is_some_and(|at| at <= now)
        {
            let has_more = balance::round(&self.options, &mut draft);
            self.balance_at = Some(now.after(if has_more { BALANCE_MORE } else { every }));
        }
        gather(proposals, &mut self.speculative, draft, Durability::Committed);
    }

    /// When [`Self::on_deadline`] is to be called; `None` while not active.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.proposals.as_ref()?;
        let sessions = self.sessions.next_deadline(&self.speculative);
        Some(self.balance_at.map_or(sessions, |balance| balance.min(sessions)))
    }

    /// The batch to propose next, with all that has been gathered; `None` if there is nothing.
    /// Batches are to be proposed in the order in which they are given out.
    pub fn next_batch(&mut self) -> Option<MetadataBatch> {
        self.proposals.as_mut()?.next_batch(&self.speculative)
    }

    /// This node's journal has synced the batches up to this one. Their topics are part of the
    /// acknowledged image now, as far as `metadata.acks=leader` lets them.
    pub fn leader_synced(&mut self, sequence: u64) {
        let Some(proposals) = self.proposals.as_mut() else { return };
        let mut shows_more = false;
        for batch in proposals.in_flight_mut().filter(|batch| batch.sequence <= sequence) {
            shows_more |= !batch.leader_synced && !batch.fast.is_empty();
            batch.leader_synced = true;
        }
        if shows_more {
            self.acknowledged = acknowledged(&self.committed, proposals);
        }
    }

    /// The committed image has moved on.
    ///
    /// When the log turns out to have another history than what was proposed here, the controller
    /// is inactive from then on, as after [`Self::refused`].
    pub fn applied(&mut self, image: &Image) -> Standing {
        let before = self.committed.applied();
        self.committed = image.clone();
        let Some(proposals) = self.proposals.as_mut() else {
            self.speculative = image.clone();
            self.acknowledged = image.clone();
            return Standing::Inactive;
        };
        let at = image.applied();
        let is_ours =
            at == before || (at.term == proposals.term() && proposals.committed(at.sequence));
        if !is_ours {
            self.refused();
            return Standing::Inactive;
        }
        self.acknowledged = acknowledged(image, proposals);
        if proposals.is_empty() {
            // Comparing hashes takes time in proportion to the image; small ones are compared.
            debug_assert!(
                image.partition_count() > 1_000 || image.hash() == self.speculative.hash(),
                "the speculative image is another one than the committed"
            );
            self.speculative = image.clone();
        }
        Standing::Active
    }
}

fn is_validate_only(request: &Request) -> bool {
    match request {
        Request::CreateTopics(request) => request.validate_only,
        Request::CreatePartitions(request) => request.validate_only,
        Request::AlterConfigs(request) => request.validate_only,
        Request::IncrementalAlterConfigs(request) => request.validate_only,
        Request::UpdateFeatures(request) => request.validate_only,
        _ => false,
    }
}

fn gather(
    proposals: &mut Proposals,
    speculative: &mut Image,
    draft: Draft,
    durability: Durability,
) {
    let (image, records) = draft.into_parts();
    *speculative = image;
    proposals.gather(records, durability == Durability::LeaderSynced);
}

/// What requests are judged with, apart from the image.
struct Judge<'a> {
    options: &'a Options,
    sessions: &'a mut Sessions,
    topic_configs: &'a mut TopicConfigs,
}

impl Judge<'_> {
    fn judge(self, draft: &mut Draft, context: &Context, request: Request) -> Response {
        let Self { options, sessions, topic_configs } = self;
        let Context { now, seed } = *context;
        match request {
            Request::Bootstrap(request) => {
                bootstrap::bootstrap(options, draft, &request);
                Response::Bootstrap
            }
            Request::CreateTopics(request) => Response::CreateTopics(topics::create_topics(
                options,
                topic_configs,
                draft,
                seed,
                &request,
            )),
            Request::CreatePartitions(request) => Response::CreatePartitions(
                partitions::create_partitions(options, draft, seed, &request),
            ),
            Request::DeleteTopics(request) => {
                Response::DeleteTopics(topics::delete_topics(options, draft, &request))
            }
            Request::AlterConfigs(request) => {
                Response::AlterConfigs(configs::alter_configs(options, draft, &request))
            }
            Request::IncrementalAlterConfigs(request) => Response::IncrementalAlterConfigs(
                configs::incremental_alter_configs(options, draft, &request),
            ),
            Request::RegisterBroker(request) => Response::RegisterBroker(
                broker_lifecycle::register(options, sessions, draft, now, request),
            ),
            Request::BrokerHeartbeat(request) => Response::BrokerHeartbeat(
                broker_lifecycle::heartbeat(options, sessions, draft, now, request),
            ),
            Request::UnregisterBroker(id) => Response::UnregisterBroker(
                broker_lifecycle::unregister(options, sessions, draft, id),
            ),
            Request::AllocateProducerIds(request) => {
                Response::AllocateProducerIds(producer_ids::allocate(draft, request))
            }
            Request::AlterPartition(request) => {
                Response::AlterPartition(alter_partition::alter_partition(options, draft, request))
            }
            Request::ElectLeaders(request) => {
                Response::ElectLeaders(elect_leaders::elect_leaders(options, draft, request))
            }
            Request::AlterPartitionReassignments(request) => Response::AlterPartitionReassignments(
                reassignment::alter_partition_reassignments(options, draft, &request),
            ),
            Request::UpdateFeatures(request) => {
                Response::UpdateFeatures(features::update_features(options, draft, &request))
            }
        }
    }
}

#[cfg(test)]
mod tests;
