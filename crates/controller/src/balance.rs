//! Leaderships go back to preferred replicas, and partitions that nobody leads to whoever may
//! (`auto.leader.rebalance.enable`, `unclean.leader.election.enable`), every so often.

use chronik_metadata::record::Change;

use crate::draft::Draft;
use crate::options::Options;
use crate::partition_change::{Election, PartitionChangeDraft, TopicRules};

/// Elections of one round: they share one entry of the metadata log. Kafka's number.
const ELECTIONS_MAX: usize = 1_000;

/// Holds the elections that are due; whether there may be more of them.
pub(crate) fn round(options: &Options, draft: &mut Draft) -> bool {
    let image = draft.image().clone();
    let is_acceptable = |replica| image.is_active(replica);
    let mut held = 0;
    for topic in image.topics() {
        let mut rules = None;
        for (number, partition) in topic.partitions.iter() {
            let election = if !partition.has_leader() {
                Election::Unclean
            } else if partition.leader != partition.preferred_leader() {
                Election::Preferred
            } else {
                continue;
            };
            let rules = *rules.get_or_insert_with(|| TopicRules::of(options, &image, topic));
            if election == Election::Unclean && !rules.unclean_election {
                continue;
            }
            let change = PartitionChangeDraft::new(partition, rules, &is_acceptable)
                .election(election)
                .build(topic, number);
            if let Some(change) = change {
                draft.push(Change::PartitionChange(change));
                held += 1;
            }
            if held == ELECTIONS_MAX {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::testing::Cluster;

    #[test]
    fn a_preferred_leader_that_is_back_leads_again_after_a_while() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.create_on(1, &[1, 2]);
        cluster.fence(1);
        cluster.beat(1);
        cluster.join(partition, 1);
        assert_eq!(cluster.led(partition), (2, 1, vec![2, 1]));
        cluster.pass(302, &[1, 2]);
        assert_eq!(cluster.led(partition), (1, 2, vec![2, 1]));
    }

    #[test]
    fn leaders_stay_where_they_are_if_nobody_asked_for_balance() {
        let mut cluster = Cluster::with(2, &[("auto.leader.rebalance.enable", "false")]);
        let partition = cluster.create_on(1, &[1, 2]);
        cluster.fence(1);
        cluster.beat(1);
        cluster.join(partition, 1);
        cluster.pass(700, &[1, 2]);
        assert_eq!(cluster.led(partition), (2, 1, vec![2, 1]));
    }

    #[test]
    fn what_nobody_leads_is_led_uncleanly_once_that_is_allowed() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.create_on(1, &[1, 2]);
        cluster.fence(2);
        cluster.fence(1);
        cluster.beat(2);
        assert_eq!(cluster.led(partition).0, -1);
        cluster.now = cluster.now.after(Duration::from_secs(1));
        cluster.configure("t1", "unclean.leader.election.enable", "true");
        cluster.pass(302, &[2]);
        let (leader, _, isr) = cluster.led(partition);
        assert_eq!((leader, isr), (2, vec![2]));
    }
}
