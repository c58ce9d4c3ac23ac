use chronik_types::TopicPartition;

use super::*;
use crate::divergence::LogPosition;
use crate::{PartitionSubscribe, SubscriptionIds};

const ME: BrokerId = BrokerId(1);
const REPLICAS: [BrokerId; 3] = [BrokerId(1), BrokerId(2), BrokerId(3)];
const LAG_MAX: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(1_000 + seconds))
}

fn isr_view(isr: &[BrokerId], partition_epoch: i32) -> IsrView<'_> {
    IsrView { isr, leader_epoch: LeaderEpoch(5), partition_epoch }
}

fn position(end: i64, last_epoch: i32) -> LogPosition {
    let last_epoch = LeaderEpoch(last_epoch);
    LogPosition { start: Offset(0), end: Offset(end), durable: Offset(end), last_epoch }
}

/// Where the log ends, where that was told before.
fn told() -> Offset {
    unreachable!("nobody has to look")
}

/// Leads from offset 10 in epoch 5; everything before is of epoch 4 and the high watermark known is
/// 8.
fn leader(isr: &[BrokerId]) -> Leader {
    let partition = PartitionView { replicas: &REPLICAS, isr: isr_view(isr, 0) };
    let init = LeaderInit {
        me: ME,
        partition,
        min_isr: 2,
        lag_max: LAG_MAX,
        log: position(10, 4),
        high_watermark: Offset(8),
    };
    let (leader, effects) = Leader::new(at(0), &init);
    assert_eq!(effects, Effects::default());
    leader
}

fn epochs(epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
    if epoch >= LeaderEpoch(5) { (epoch, Offset(100)) } else { (LeaderEpoch(4), Offset(10)) }
}

/// `from` subscribes with everything up to `end` and is accepted.
fn subscribe(
    leader: &mut Leader,
    now: Monotonic,
    from: i32,
    end: i64,
) -> (SubscriptionId, Effects) {
    let subscription = SubscriptionIds::starting_at(end as u64 * 10 + from as u64).draw();
    let request = PartitionSubscribe {
        tp: TopicPartition::METADATA,
        leader_epoch: LeaderEpoch(5),
        subscription,
        log: position(end, if end > 10 { 5 } else { 4 }),
    };
    let epoch = BrokerEpoch(i64::from(from) + 70);
    let (answer, effects) = leader.on_subscribe(now, BrokerId(from), epoch, &request, &epochs);
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    (subscription, effects)
}

#[test]
fn the_high_watermark_is_what_all_in_sync_have_on_their_disks() {
    let mut leader = leader(&REPLICAS);
    let (two, effects) = subscribe(&mut leader, at(0), 2, 10);
    assert_eq!(effects, Effects::default());
    let (three, effects) = subscribe(&mut leader, at(0), 3, 9);
    assert_eq!(effects.high_watermark, Some(Offset(9)));
    assert!(!leader.is_high_watermark_current());
    assert_eq!(leader.on_append(at(1), Offset(20)).push, Push::Records);
    assert_eq!(leader.on_ack(at(1), BrokerId(2), two, Offset(20), told), Effects::default());
    let effects = leader.on_ack(at(1), BrokerId(3), three, Offset(15), told);
    assert_eq!(effects.high_watermark, Some(Offset(10)), "the own disk counts too");
    let effects = leader.on_durable(at(1), Offset(20));
    assert_eq!((effects.high_watermark, effects.push), (Some(Offset(15)), Push::Watermarks));
    assert!(leader.is_high_watermark_current());
}

#[test]
fn what_was_said_in_another_subscription_or_cannot_be_does_not_count() {
    let mut leader = leader(&REPLICAS[..2]);
    let (old, _) = subscribe(&mut leader, at(0), 2, 9);
    let (new, _) = subscribe(&mut leader, at(0), 2, 10);
    let _ = leader.on_append(at(0), Offset(20));
    let _ = leader.on_durable(at(0), Offset(20));
    for (from, id, durable) in [(2, old, 20), (3, new, 20), (2, new, 21), (2, new, 4)] {
        let effects = leader.on_ack(at(1), BrokerId(from), id, Offset(durable), || Offset(20));
        assert_eq!(effects, Effects::default(), "{from} {id} {durable}");
    }
    let _ = leader.on_unsubscribed(at(1), BrokerId(2), old);
    assert_eq!(
        leader.on_ack(at(1), BrokerId(2), new, Offset(20), told).high_watermark,
        Some(Offset(20))
    );
    let _ = leader.on_unsubscribed(at(1), BrokerId(2), new);
    let _ = leader.on_append(at(2), Offset(30));
    let _ = leader.on_durable(at(2), Offset(30));
    assert_eq!(leader.on_ack(at(2), BrokerId(2), new, Offset(30), told), Effects::default());
}

#[test]
fn a_replica_joins_with_all_that_was_acknowledged_and_holds_the_high_watermark_back() {
    let mut leader = leader(&REPLICAS[..2]);
    let (two, _) = subscribe(&mut leader, at(0), 2, 10);
    let _ = leader.on_append(at(0), Offset(20));
    let _ = leader.on_durable(at(0), Offset(20));
    let _ = leader.on_ack(at(0), BrokerId(2), two, Offset(15), told);
    let (three, effects) = subscribe(&mut leader, at(1), 3, 10);
    assert_eq!(effects, Effects::default(), "15 is acknowledged, it has 10");
    let proposal = leader.on_ack(at(1), BrokerId(3), three, Offset(15), told).proposal.unwrap();
    let none = BrokerEpoch::NONE;
    let members = vec![(ME, none), (REPLICAS[1], BrokerEpoch(72)), (REPLICAS[2], BrokerEpoch(73))];
    assert_eq!(
        proposal,
        Proposal { leader_epoch: LeaderEpoch(5), partition_epoch: 0, new_isr: members }
    );
    let held = leader.on_ack(at(1), BrokerId(2), two, Offset(20), told);
    assert_eq!(held, Effects::default(), "it may be elected already");
    let committed = AlterAnswer::Committed(isr_view(&REPLICAS, 1));
    assert_eq!(leader.on_alter_answer(at(1), LeaderEpoch(5), committed), Effects::default());
    assert_eq!(leader.isr_len(), 3);
    let effects = leader.on_ack(at(2), BrokerId(3), three, Offset(18), told);
    assert_eq!(effects.high_watermark, Some(Offset(18)));
}

#[test]
fn a_member_that_lags_for_too_long_is_removed_and_counts_until_that_is_committed() {
    let mut leader = leader(&REPLICAS);
    assert_eq!(leader.next_deadline(), Some(at(30)), "nobody has subscribed");
    let (two, _) = subscribe(&mut leader, at(0), 2, 10);
    let (three, _) = subscribe(&mut leader, at(0), 3, 10);
    assert_eq!(leader.next_deadline(), None, "nobody lags, no timer");
    let _ = leader.on_append(at(100), Offset(20));
    let _ = leader.on_durable(at(100), Offset(20));
    assert_eq!(leader.next_deadline(), Some(at(130)));
    let _ = leader.on_ack(at(101), BrokerId(2), two, Offset(20), told);
    assert_eq!(leader.on_deadline(at(129)), Effects::default());
    let proposal = leader.on_deadline(at(130)).proposal.unwrap();
    assert_eq!(proposal.new_isr.len(), 2);
    assert_eq!(leader.next_deadline(), None, "one proposal at a time");
    assert_eq!(leader.high_watermark(), Offset(10));
    let answer = AlterAnswer::Committed(isr_view(&REPLICAS[..2], 1));
    assert_eq!(
        leader.on_alter_answer(at(131), LeaderEpoch(5), answer).high_watermark,
        Some(Offset(20))
    );
    // It comes back when it has what was acknowledged since.
    assert!(leader.on_ack(at(132), BrokerId(3), three, Offset(20), told).proposal.is_some());
}

#[test]
fn lag_runs_from_the_first_record_that_is_missing() {
    let mut leader = leader(&REPLICAS[..2]);
    let (two, _) = subscribe(&mut leader, at(0), 2, 10);
    // 20 seconds behind all the time, but never 30.
    for second in 0..200 {
        let _ = leader.on_append(at(second), Offset(11 + second as i64));
        if let Some(earlier) = second.checked_sub(20) {
            let effects =
                leader.on_ack(at(second), BrokerId(2), two, Offset(11 + earlier as i64), told);
            assert_eq!(effects.proposal, None);
        }
        assert!(leader.next_deadline().is_some_and(|deadline| deadline > at(second)));
    }
    // The record at 190 came at 180 seconds; it is seen to be late soon enough.
    let due = leader.next_deadline().unwrap();
    assert!(due >= at(180 + 30) && due <= at(180 + 30 + 4), "{due:?}");
}

#[test]
fn a_proposal_of_unknown_outcome_holds_until_the_partition_epoch_moves() {
    let mut leader = leader(&REPLICAS[..2]);
    let (two, _) = subscribe(&mut leader, at(0), 2, 10);
    let (three, effects) = subscribe(&mut leader, at(0), 3, 10);
    assert!(effects.proposal.is_some());
    // An answer to what this broker proposed when it led before does not end this proposal.
    let fenced = AlterAnswer::Refused(ErrorCode::FencedLeaderEpoch);
    assert_eq!(leader.on_alter_answer(at(1), LeaderEpoch(4), fenced), Effects::default());
    assert_eq!(leader.next_deadline(), None);
    let _ = leader.on_alter_answer(at(1), LeaderEpoch(5), AlterAnswer::Unknown);
    let _ = leader.on_unsubscribed(at(1), BrokerId(3), three);
    let _ = leader.on_append(at(1), Offset(20));
    let _ = leader.on_durable(at(1), Offset(20));
    let effects = leader.on_ack(at(1), BrokerId(2), two, Offset(20), told);
    assert_eq!(effects, Effects::default(), "the addition may still be committed");
    // Nothing is to be changed, so the set is proposed as it is, and then nothing old can come.
    let proposal = leader.on_deadline(leader.next_deadline().unwrap()).proposal.unwrap();
    assert_eq!((proposal.partition_epoch, proposal.new_isr.len()), (0, 2));
    let answer = AlterAnswer::Committed(isr_view(&REPLICAS[..2], 1));
    assert_eq!(
        leader.on_alter_answer(at(2), LeaderEpoch(5), answer).high_watermark,
        Some(Offset(20))
    );
    assert_eq!(leader.next_deadline(), None);
}

#[test]
fn refusals_are_repeated_later_and_a_fresh_view_at_once() {
    let mut leader = leader(&REPLICAS[..2]);
    let _ = subscribe(&mut leader, at(0), 2, 10);
    let (_, effects) = subscribe(&mut leader, at(0), 3, 10);
    assert!(effects.proposal.is_some());
    let refused = AlterAnswer::Refused(ErrorCode::IneligibleReplica);
    for wait in [50, 100, 200, 400, 800, 1600, 1600] {
        assert_eq!(leader.on_alter_answer(at(0), LeaderEpoch(5), refused), Effects::default());
        let due = leader.next_deadline().unwrap();
        assert_eq!(due.since(at(0)), Duration::from_millis(wait));
        assert!(leader.on_deadline(due).proposal.is_some());
    }
    let _ = leader.on_alter_answer(
        at(0),
        LeaderEpoch(5),
        AlterAnswer::Refused(ErrorCode::InvalidUpdateVersion),
    );
    let view = PartitionView { replicas: &REPLICAS, isr: isr_view(&REPLICAS[..2], 3) };
    let proposal = leader.on_committed(at(0), view).proposal.unwrap();
    assert_eq!(proposal.partition_epoch, 3);
    // The view overtakes the answer: no reason to wait.
    let view = PartitionView { replicas: &REPLICAS, isr: isr_view(&REPLICAS, 4) };
    assert_eq!(leader.on_committed(at(0), view), Effects::default());
    let answer = AlterAnswer::Committed(isr_view(&REPLICAS, 4));
    assert_eq!(leader.on_alter_answer(at(0), LeaderEpoch(5), answer), Effects::default());
    assert_eq!(leader.next_deadline(), None);
}

#[test]
fn too_few_in_sync_freeze_the_high_watermark() {
    let mut leader = leader(&REPLICAS[..1]);
    assert!(leader.is_under_min_isr());
    let _ = leader.on_append(at(0), Offset(20));
    assert_eq!(leader.on_durable(at(0), Offset(20)), Effects::default());
    assert_eq!(leader.set_min_isr(at(0), 1).high_watermark, Some(Offset(20)));
    let started = leader.set_log_start(at(0), Offset(4));
    assert_eq!((started.high_watermark, started.push), (None, Push::Watermarks));
}

#[test]
fn a_member_that_comes_back_with_less_than_it_acknowledged_leaves() {
    let mut leader = leader(&REPLICAS[..2]);
    let (_, effects) = subscribe(&mut leader, at(0), 2, 3);
    assert_eq!(effects.proposal.unwrap().new_isr, [(ME, BrokerEpoch::NONE)]);
}

#[test]
fn who_means_another_leader_is_refused() {
    let mut leader = leader(&REPLICAS);
    let mut ask = |leader_epoch, last_epoch, from| {
        let request = PartitionSubscribe {
            tp: TopicPartition::METADATA,
            leader_epoch: LeaderEpoch(leader_epoch),
            subscription: SubscriptionId(1),
            log: position(10, last_epoch),
        };
        leader.on_subscribe(at(0), BrokerId(from), BrokerEpoch(7), &request, &epochs).0
    };
    assert_eq!(ask(4, 4, 2), Answer::Refused(ErrorCode::FencedLeaderEpoch));
    assert_eq!(ask(6, 4, 2), Answer::Refused(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(ask(5, 6, 2), Answer::Refused(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(ask(5, 4, 9), Answer::Refused(ErrorCode::ReplicaNotAvailable));
    assert!(matches!(ask(5, 4, 2), Answer::Accepted(_)));
}

#[test]
fn what_is_durable_before_its_append_is_told_counts() {
    let mut leader = leader(&REPLICAS[..2]);
    let (two, _) = subscribe(&mut leader, at(0), 2, 10);
    let effects = leader.on_ack(at(1), BrokerId(2), two, Offset(12), || Offset(12));
    assert_eq!(effects.push, Push::Records);
    let effects = leader.on_durable(at(1), Offset(13));
    assert_eq!((effects.high_watermark, effects.push), (Some(Offset(12)), Push::Records));
    assert_eq!(leader.on_append(at(2), Offset(13)), Effects::default(), "known by now");
    let effects = leader.on_ack(at(3), BrokerId(2), two, Offset(13), told);
    assert_eq!(effects.high_watermark, Some(Offset(13)));
}

/// 100,000 partitions with two followers each have to fit into 50 MB, whatever they are doing.
#[test]
fn a_leader_is_small() {
    let mut leader = leader(&REPLICAS);
    for second in 0..1_000 {
        let _ = leader.on_append(at(second), Offset(11 + second as i64));
    }
    let bytes = size_of::<Leader>() + leader.appends.heap_bytes();
    assert!(!leader.followers.spilled() && bytes < 400, "{bytes} bytes");
}
