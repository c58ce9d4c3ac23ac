//! Scenarios, one a line: what a partition is, what happens, what it becomes.

use chronik_metadata::record;
use chronik_types::TopicId;

use super::*;

const NONE: i32 = -1;

/// Replicas 1, 2, 3; `min.insync.replicas` 2.
struct Scenario {
    isr: &'static [i32],
    elr: &'static [i32],
    last_known: &'static [i32],
    leader: i32,
    alive: &'static [i32],
    elr_on: bool,
    unclean: bool,
}

const PLAIN: Scenario = Scenario {
    isr: &[1, 2, 3],
    elr: &[],
    last_known: &[],
    leader: 1,
    alive: &[1, 2, 3],
    elr_on: false,
    unclean: false,
};

const ELR: Scenario = Scenario { elr_on: true, ..PLAIN };

fn run(
    scenario: &Scenario,
    edit: impl for<'p> Fn(PartitionChangeDraft<'p>) -> PartitionChangeDraft<'p>,
) -> String {
    let partition = Partition::from(&record::Partition {
        replicas: vec![1, 2, 3],
        isr: scenario.isr.to_vec(),
        elr: scenario.elr.to_vec(),
        last_known_elr: scenario.last_known.to_vec(),
        leader: scenario.leader,
        ..record::Partition::default()
    });
    let topic = Topic {
        id: TopicId::default(),
        name: "t".into(),
        partitions: Default::default(),
        configs: Default::default(),
    };
    let rules = TopicRules {
        min_insync_replicas: 2,
        unclean_election: scenario.unclean,
        elr: scenario.elr_on,
    };
    let alive = |replica: BrokerId| scenario.alive.contains(&replica.0);
    let change = edit(PartitionChangeDraft::new(&partition, rules, &alive)).build(&topic, 0);
    let Some(change) = change else { return "nothing".to_owned() };
    let changed = partition.changed(&change);
    let last = last_known(&changed).iter().map(|broker| broker.0).collect::<Vec<_>>();
    let elr = changed.elr().iter().map(|broker| broker.0).collect::<Vec<_>>();
    let mut text = format!("leader {} isr {:?}", changed.leader, changed.isr);
    if changed.leader_epoch > partition.leader_epoch {
        text += " new epoch";
    }
    if !elr.is_empty() {
        text += &format!(" elr {elr:?}");
    }
    if !last.is_empty() {
        text += &format!(" last {last:?}");
    }
    if changed.recovering {
        text += " recovering";
    }
    text
}

fn lose(scenario: &Scenario, broker: i32) -> String {
    run(scenario, |change| change.without(BrokerId(broker)))
}

fn return_of(scenario: &Scenario) -> String {
    run(scenario, |change| change)
}

#[test]
fn a_leader_that_is_lost_is_followed_by_the_next_in_sync_replica() {
    let lost = Scenario { alive: &[2, 3], ..PLAIN };
    assert_eq!(lose(&lost, 1), "leader 2 isr [2, 3] new epoch");
    let only_3 = Scenario { isr: &[1, 3], alive: &[2, 3], ..PLAIN };
    assert_eq!(lose(&only_3, 1), "leader 3 isr [3] new epoch");
}

#[test]
fn a_follower_that_is_lost_costs_no_epoch() {
    let lost = Scenario { alive: &[1, 3], ..PLAIN };
    assert_eq!(lose(&lost, 2), "leader 1 isr [1, 3]");
}

#[test]
fn nothing_changes_when_nothing_has_to() {
    assert_eq!(return_of(&PLAIN), "nothing");
    let leaderless = Scenario { isr: &[1], leader: NONE, alive: &[2, 3], ..PLAIN };
    assert_eq!(return_of(&leaderless), "nothing");
}

#[test]
fn the_last_of_an_in_sync_set_stays_in_it_and_leads_again() {
    let last = Scenario { isr: &[1], alive: &[2, 3], ..PLAIN };
    assert_eq!(lose(&last, 1), "leader -1 isr [1] new epoch");
    let back = Scenario { isr: &[1], leader: NONE, ..PLAIN };
    assert_eq!(return_of(&back), "leader 1 isr [1] new epoch");
}

#[test]
fn an_unclean_election_takes_whoever_is_alive_and_marks_it() {
    let lost = Scenario { isr: &[1], alive: &[2, 3], unclean: true, ..PLAIN };
    assert_eq!(lose(&lost, 1), "leader 2 isr [2] new epoch recovering");
    let clean = Scenario { isr: &[1, 3], alive: &[2, 3], unclean: true, ..PLAIN };
    assert_eq!(lose(&clean, 1), "leader 3 isr [3] new epoch");
}

#[test]
fn below_min_isr_those_who_leave_become_eligible_and_the_set_may_become_empty() {
    let enough = Scenario { alive: &[2, 3], ..ELR };
    assert_eq!(lose(&enough, 1), "leader 2 isr [2, 3] new epoch");
    let below = Scenario { isr: &[2, 3], leader: 2, alive: &[3], ..ELR };
    assert_eq!(lose(&below, 2), "leader 3 isr [3] new epoch elr [2]");
    let empty = Scenario { isr: &[3], elr: &[2], leader: 3, alive: &[], ..ELR };
    assert_eq!(lose(&empty, 3), "leader -1 isr [] new epoch elr [2, 3] last [3]");
}

#[test]
fn an_eligible_replica_leads_when_nobody_is_in_sync() {
    let back =
        Scenario { isr: &[], elr: &[2, 3], last_known: &[3], leader: NONE, alive: &[1, 2], ..ELR };
    assert_eq!(return_of(&back), "leader 2 isr [2] new epoch elr [3]");
    let not_eligible = Scenario { alive: &[1], ..back };
    assert_eq!(return_of(&not_eligible), "nothing");
}

#[test]
fn a_replica_that_lost_its_disk_is_eligible_no_more() {
    let lost = Scenario { isr: &[3], elr: &[2], leader: 3, alive: &[3], ..ELR };
    let change = run(&lost, |change| change.without(BrokerId(2)).lost_unclean(BrokerId(2)));
    assert_eq!(change, "leader 3 isr [3]");
}

#[test]
fn when_nobody_is_eligible_who_led_last_leads_again_and_recovers() {
    let back =
        Scenario { isr: &[], elr: &[], last_known: &[3], leader: NONE, alive: &[1, 3], ..ELR };
    assert_eq!(return_of(&back), "leader 3 isr [3] new epoch recovering");
}

#[test]
fn enough_in_sync_replicas_end_eligibility() {
    let whole = Scenario { isr: &[3], elr: &[2], leader: 3, ..ELR };
    let change = run(&whole, |change| change.isr(vec![BrokerId(3), BrokerId(2)]));
    assert_eq!(change, "leader 3 isr [3, 2]");
}

#[test]
fn the_preferred_leader_is_elected_if_it_is_in_sync() {
    let other = Scenario { leader: 2, ..PLAIN };
    let prefer = |scenario| run(&scenario, |change| change.election(Election::Preferred));
    assert_eq!(prefer(other), "leader 1 isr [1, 2, 3] new epoch");
    assert_eq!(prefer(Scenario { leader: 2, isr: &[2, 3], ..PLAIN }), "nothing");
    assert_eq!(prefer(Scenario { leader: 2, alive: &[2, 3], ..PLAIN }), "nothing");
}
