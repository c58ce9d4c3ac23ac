//! What has to change in a partition when its circumstances do: who leads, who is in sync, who
//! may lead when nobody is (KIP-966), and which replicas there are.
//!
//! A reassignment first has the replicas of both sides; it is complete, and what it takes away
//! goes, as soon as everything that stays is in sync.
//!
//! **Invariants**
//! - the leader is in the new in-sync set (or there is none), and was in the old one or among the
//!   eligible replicas, unless the election was unclean;
//! - the in-sync set becomes empty only with eligible leader replicas, which then hold everything
//!   that was acknowledged: without them the last member stays, though it may be gone;
//! - whoever is in sync or eligible is among the replicas;
//! - a replica that is taken away takes the leader epoch along: it may still be pushing;
//! - what does not change is not in the record, and nothing changed is no record.

use chronik_config::keys::TopicConfig;
use chronik_metadata::record::{BrokerIds, DirectoryIds, PartitionChange};
use chronik_metadata::{Image, Partition, Topic};
use chronik_types::{BrokerId, PartitionId};

use crate::options::Options;

/// The feature that switches eligible leader replicas on.
pub(crate) const ELR_FEATURE: &str = "eligible.leader.replicas.version";

/// Which replicas may be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Election {
    /// The leader stays if it can; else the first that is in sync.
    Online,
    /// The first of the replicas if it is in sync; else as `Online`.
    Preferred,
    /// As `Online`; if nobody is in sync, any that is alive.
    Unclean,
}

/// What a topic's settings mean to its partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicRules {
    min_insync_replicas: usize,
    pub(crate) unclean_election: bool,
    elr: bool,
}

impl TopicRules {
    pub(crate) fn of(options: &Options, image: &Image, topic: &Topic) -> Self {
        let config =
            options.with_layers(image, &topic.configs, |layers| TopicConfig::resolve(&layers));
        Self {
            min_insync_replicas: usize::try_from(config.min_insync_replicas).unwrap_or(1),
            unclean_election: config.unclean_leader_election_enable,
            elr: image.feature(ELR_FEATURE).is_some_and(|level| level > 0),
        }
    }
}

/// A change of one partition in the making.
pub(crate) struct PartitionChangeDraft<'a> {
    partition: &'a Partition,
    rules: TopicRules,
    is_acceptable: &'a dyn Fn(BrokerId) -> bool,
    election: Election,
    isr: Vec<BrokerId>,
    replicas: Vec<BrokerId>,
    adding: Vec<BrokerId>,
    removing: Vec<BrokerId>,
    recovering: bool,
    lost_unclean: Option<BrokerId>,
}

impl<'a> PartitionChangeDraft<'a> {
    /// Changes nothing yet. `is_acceptable` says who may lead: who is alive and will be.
    pub(crate) fn new(
        partition: &'a Partition,
        rules: TopicRules,
        is_acceptable: &'a dyn Fn(BrokerId) -> bool,
    ) -> Self {
        let election = if rules.unclean_election { Election::Unclean } else { Election::Online };
        Self {
            partition,
            rules,
            is_acceptable,
            election,
            isr: partition.isr.to_vec(),
            replicas: partition.replicas.to_vec(),
            adding: partition.adding().to_vec(),
            removing: partition.removing().to_vec(),
            recovering: partition.recovering,
            lost_unclean: None,
        }
    }

    pub(crate) fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    pub(crate) fn isr(mut self, isr: Vec<BrokerId>) -> Self {
        self.isr = isr;
        self
    }

    pub(crate) fn without(mut self, broker: BrokerId) -> Self {
        self.isr.retain(|member| *member != broker);
        self
    }

    pub(crate) fn recovering(mut self, recovering: bool) -> Self {
        self.recovering = recovering;
        self
    }

    /// This replica may have lost what it acknowledged: it is eligible no more.
    pub(crate) fn lost_unclean(mut self, broker: BrokerId) -> Self {
        self.lost_unclean = Some(broker);
        self
    }

    /// Replaces the replicas, of which some may be on their way in and others on their way out.
    pub(crate) fn replicas(
        mut self,
        replicas: Vec<BrokerId>,
        adding: Vec<BrokerId>,
        removing: Vec<BrokerId>,
    ) -> Self {
        (self.replicas, self.adding, self.removing) = (replicas, adding, removing);
        self
    }

    /// The record of the change, if anything changes.
    pub(crate) fn build(mut self, topic: &Topic, number: PartitionId) -> Option<PartitionChange> {
        let partition = self.partition;
        self.complete_reassignment();
        let mut elr = self.eligible_replicas();
        let elected = self.elect(&elr);
        let mut change = PartitionChange {
            topic_id: topic.id.into(),
            partition: number,
            ..PartitionChange::default()
        };
        if elected.leader != partition.leader || elected.unclean {
            change.leader = Some(elected.leader.0);
        }
        if elected.unclean {
            self.isr = vec![elected.leader];
            self.recovering = true;
        } else if elr.contains(&elected.leader) {
            // It was eligible because nobody is in sync; now it is the one that is.
            self.isr = vec![elected.leader];
        }
        elr.retain(|member| !self.isr.contains(member));
        self.change_replicas(&mut change);
        let may_empty = self.rules.elr || !self.isr.is_empty();
        if may_empty && self.isr != *partition.isr {
            change.isr = Some(ids(&self.isr));
        }
        if self.recovering != partition.recovering {
            change.recovering = Some(self.recovering);
        }
        if elr != partition.elr() {
            change.elr = Some(ids(&elr));
        }
        let known = last_known(partition);
        let last_known = self.last_known_leader(elected.leader);
        if last_known != known {
            change.last_known_elr = Some(ids(&last_known));
        }
        let unchanged = PartitionChange {
            topic_id: change.topic_id,
            partition: number,
            ..PartitionChange::default()
        };
        (change != unchanged).then_some(change)
    }

    /// Ends the reassignment under way, if all that stays is in sync.
    fn complete_reassignment(&mut self) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let stays = |broker: &&BrokerId| !self.removing.contains(*broker);
        let replicas: Vec<_> = self.replicas.iter().filter(stays).copied().collect();
        let isr: Vec<_> = self.isr.iter().filter(stays).copied().collect();
        if !isr.is_empty() && replicas.iter().all(|replica| isr.contains(replica)) {
            (self.replicas, self.isr) = (replicas, isr);
            self.adding.clear();
            self.removing.clear();
        }
    }

    fn change_replicas(&self, change: &mut PartitionChange) {
        let partition = self.partition;
        if self.replicas != *partition.replicas {
            change.replicas = Some(ids(&self.replicas));
            if partition.extra().is_some_and(|extra| !extra.directories.is_empty()) {
                change.directories = Some(DirectoryIds::default());
            }
        }
        if self.adding != partition.adding() {
            change.adding = Some(ids(&self.adding));
        }
        if self.removing != partition.removing() {
            change.removing = Some(ids(&self.removing));
        }
        let loses = partition.replicas.iter().any(|replica| !self.replicas.contains(replica));
        if loses && change.leader.is_none() {
            change.leader = Some(partition.leader.0);
        }
    }

    /// Who may lead when nobody is in sync: while the in-sync set is smaller than
    /// `min.insync.replicas`, nothing is acknowledged that those who left it lack.
    fn eligible_replicas(&self) -> Vec<BrokerId> {
        let enough = self.rules.min_insync_replicas.min(self.replicas.len());
        if !self.rules.elr || self.isr.len() >= enough {
            return Vec::new();
        }
        let mut eligible = self.partition.elr().to_vec();
        for member in self.partition.isr.iter() {
            if !eligible.contains(member) {
                eligible.push(*member);
            }
        }
        eligible.retain(|member| {
            self.replicas.contains(member)
                && !self.isr.contains(member)
                && Some(*member) != self.lost_unclean
        });
        eligible
    }

    /// Who led last, while nobody is in sync and nobody leads.
    fn last_known_leader(&self, elected: BrokerId) -> Vec<BrokerId> {
        let partition = self.partition;
        if !self.rules.elr || elected != BrokerId::NONE || !self.isr.is_empty() {
            Vec::new()
        } else if partition.has_leader() {
            vec![partition.leader]
        } else {
            last_known(partition).to_vec()
        }
    }

    fn elect(&self, elr: &[BrokerId]) -> Elected {
        let can_lead = |replica: &BrokerId| {
            let holds_all =
                self.isr.contains(replica) || (self.isr.is_empty() && elr.contains(replica));
            holds_all && (self.is_acceptable)(*replica)
        };
        let partition = self.partition;
        let clean = |leader| Elected { leader, unclean: false };
        let preferred = self.replicas.first().copied().unwrap_or(BrokerId::NONE);
        if self.election == Election::Preferred && can_lead(&preferred) {
            return clean(preferred);
        }
        if can_lead(&partition.leader) {
            return clean(partition.leader);
        }
        if let Some(first) = self.replicas.iter().find(|replica| can_lead(replica)) {
            return clean(*first);
        }
        // Nobody is left who has everything; the one who led last has most.
        if self.rules.elr
            && self.isr.is_empty()
            && elr.is_empty()
            && let [last] = last_known(partition)
            && self.replicas.contains(last)
            && (self.is_acceptable)(*last)
        {
            return Elected { leader: *last, unclean: true };
        }
        if self.election == Election::Unclean {
            let alive = self.replicas.iter().find(|replica| (self.is_acceptable)(**replica));
            if let Some(alive) = alive {
                return Elected { leader: *alive, unclean: true };
            }
        }
        clean(BrokerId::NONE)
    }
}

fn last_known(partition: &Partition) -> &[BrokerId] {
    partition.extra().map_or(&[], |extra| &extra.last_known_elr)
}

struct Elected {
    leader: BrokerId,
    unclean: bool,
}

pub(crate) fn ids(brokers: &[BrokerId]) -> BrokerIds {
    BrokerIds { ids: brokers.iter().map(|broker| broker.0).collect() }
}

#[cfg(test)]
mod tests;
