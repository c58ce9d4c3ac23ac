//! A follower, where its log parts from the leader's, and what it is sent by which path.

use chronik_types::{ErrorCode, LeaderEpoch, Offset, TopicId, TopicPartition, Uuid};

use crate::divergence::{Comparison, compare, cut_at};
use crate::*;

const TP: TopicPartition = TopicPartition { topic_id: TopicId(Uuid([7; 16])), partition: 3 };

/// Epochs as (epoch, first offset), as a log knows them.
fn epochs(entries: &[(i32, i64)], end: i64) -> impl Fn(LeaderEpoch) -> (LeaderEpoch, Offset) {
    let entries = entries.to_vec();
    move |asked| {
        let next = entries.partition_point(|(epoch, _)| *epoch <= asked.0);
        let ends = entries.get(next).map_or(end, |(_, start)| *start);
        match next.checked_sub(1) {
            Some(at) => (LeaderEpoch(entries[at].0), Offset(ends)),
            None => (LeaderEpoch::NONE, Offset::UNKNOWN),
        }
    }
}

fn log(start: i64, end: i64, last_epoch: i32) -> LogPosition {
    let (start, end) = (Offset(start), Offset(end));
    LogPosition { start, end, durable: end, last_epoch: LeaderEpoch(last_epoch) }
}

/// The rounds until both agree: where the follower cuts each time.
fn cuts(leader: &[(i32, i64)], leader_end: i64, mut own: Vec<(i32, i64)>, end: i64) -> Vec<i64> {
    let mut follower = log(0, end, own.last().map_or(-1, |(epoch, _)| *epoch));
    let mut cuts = vec![];
    loop {
        let found = compare(Offset(0), Offset(leader_end), &epochs(leader, leader_end), &follower);
        let Comparison::Diverges { epoch, end } = found else {
            assert_eq!(found, Comparison::Prefix);
            return cuts;
        };
        let cut = cut_at(&epochs(&own, follower.end.0), &follower, epoch, end);
        own.retain(|(_, start)| *start < cut.0);
        follower = log(0, cut.0, own.last().map_or(-1, |(epoch, _)| *epoch));
        cuts.push(cut.0);
        assert!(cuts.len() < 10, "no end: {cuts:?}");
    }
}

#[test]
fn logs_are_cut_where_they_part() {
    // The same, or behind.
    assert_eq!(cuts(&[(1, 0), (3, 10)], 20, vec![(1, 0), (3, 10)], 15), []);
    // Records that the next leader did not have.
    assert_eq!(cuts(&[(1, 0), (3, 10)], 20, vec![(1, 0)], 14), [10]);
    // An epoch that the leader knows nothing of, and one that began without a record.
    assert_eq!(cuts(&[(1, 0), (3, 10)], 20, vec![(1, 0), (2, 8)], 14), [8]);
    assert_eq!(cuts(&[(1, 0), (3, 10)], 20, vec![(1, 0), (2, 10)], 10), [10]);
    // KIP-279: with several quick changes of leaders the logs have different epochs at the end.
    let leader = [(1, 0), (3, 10), (6, 30)];
    assert_eq!(cuts(&leader, 40, vec![(1, 0), (2, 5), (4, 12), (5, 25)], 30), [12, 5]);
    // Nothing in common.
    let found = compare(Offset(0), Offset(9), &epochs(&[(2, 0)], 9), &log(0, 5, 1));
    assert_eq!(found, Comparison::OutOfRange);
}

#[test]
fn what_cannot_be_compared_begins_anew() {
    let leader = epochs(&[(2, 50)], 80);
    let out = |follower| compare(Offset(50), Offset(80), &leader, &follower);
    assert_eq!(
        out(log(0, 40, 1)),
        Comparison::OutOfRange,
        "it ends before the leader's log begins"
    );
    assert_eq!(out(log(60, 60, -1)), Comparison::Prefix, "an empty one differs in nothing");
    assert_eq!(out(log(90, 90, -1)), Comparison::OutOfRange);
    assert_eq!(out(log(0, 60, -1)), Comparison::OutOfRange, "records without an epoch");
}

fn follower() -> (Follower, SubscriptionId) {
    let mut follower = Follower::new(TP, LeaderEpoch(5), log(0, 10, 4), Offset(6));
    let id = SubscriptionId(1);
    let _ = follower.subscribe(id, log(0, 10, 4));
    (follower, id)
}

fn accepted(high_watermark: i64) -> Answer {
    Answer::Accepted(Accepted { high_watermark: Offset(high_watermark), log_start: Offset(2) })
}

fn part(subscription: SubscriptionId, base: i64) -> PartitionData {
    PartitionData {
        tp: TP,
        leader_epoch: LeaderEpoch(5),
        subscription,
        base_offset: Offset(base),
        bytes: 61,
        high_watermark: Offset(11),
        log_start: Offset(2),
    }
}

fn batch(offset: i64, epoch: i32) -> Vec<u8> {
    let mut bytes = vec![0u8; 61];
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[16] = 2;
    chronik_protocol::batch::stamp(&mut bytes, Offset(offset), LeaderEpoch(epoch));
    bytes
}

#[test]
fn data_goes_to_the_end_of_the_log_in_the_present_subscription_and_epoch() {
    let (mut follower, id) = follower();
    let _ = follower.on_subscribed(id, &accepted(8), &epochs(&[(4, 0)], 10));
    let check = |part: &PartitionData, bytes: &[u8]| follower.check_data(part, bytes);
    assert_eq!(check(&part(id, 10), &batch(10, 5)), Ok(()));
    assert_eq!(check(&part(SubscriptionId(9), 10), &batch(10, 5)), Err(DataError::Stale));
    let gap = |found| Err(DataError::NotContiguous { end: Offset(10), found: Offset(found) });
    assert_eq!(check(&part(id, 11), &batch(11, 5)), gap(11));
    assert_eq!(check(&part(id, 10), &batch(9, 5)), gap(9));
    for epoch in [6, 3] {
        let refused = check(&part(id, 10), &batch(10, epoch));
        assert!(matches!(refused, Err(DataError::Epoch { .. })), "{refused:?}");
    }
    assert_eq!(check(&part(id, 10), &batch(10, 5)[..40]), Err(DataError::Malformed));
    assert_eq!(check(&part(id, 10), b""), Ok(()));
}

#[test]
fn the_high_watermark_is_the_leaders_within_the_own_log() {
    let (mut follower, id) = follower();
    let told = |high_watermark: Option<i64>, log_start: Option<i64>| Told {
        high_watermark: high_watermark.map(Offset),
        log_start: log_start.map(Offset),
    };
    assert_eq!(follower.on_watermark(id, Offset(9), Offset(0)), told(None, None), "not yet");
    let step = follower.on_subscribed(id, &accepted(12), &epochs(&[(4, 0)], 10));
    assert_eq!(step, Step::Follow { told: told(Some(10), Some(2)), ack: None });
    let appended = LogPosition { durable: Offset(10), ..log(2, 11, 5) };
    assert_eq!(follower.on_appended(&part(id, 10), appended), told(Some(11), None));
    assert_eq!(follower.on_watermark(id, Offset(3), Offset(1)), told(None, None), "never back");
    assert_eq!(follower.on_durable(appended), None, "nothing new is on the disk");
    let ack = follower.on_durable(log(2, 11, 5)).unwrap();
    assert_eq!((ack.subscription, ack.durable), (id, Offset(11)));
    follower.on_unsubscribed();
    assert_eq!(follower.on_durable(log(2, 11, 5)), None, "there is nobody to tell");
}

#[test]
fn data_implies_that_the_subscription_was_accepted() {
    let (mut follower, id) = follower();
    assert_eq!(follower.check_data(&part(id, 10), &batch(10, 5)), Ok(()));
    let told = follower.on_appended(&part(id, 10), log(2, 11, 5));
    assert_eq!(told.high_watermark, Some(Offset(11)));
    assert_eq!(follower.following(), Some(id));
    let late = follower.on_subscribed(id, &accepted(8), &epochs(&[(4, 0), (5, 10)], 11));
    assert!(matches!(late, Step::Follow { ack: Some(ack), .. } if ack.durable == Offset(11)));
}

#[test]
fn a_cut_below_what_was_visible_is_told_and_strange_offsets_are_bounded() {
    let asked = |answer| {
        let (mut follower, id) = follower();
        follower.on_subscribed(id, &answer, &epochs(&[(4, 0)], 10))
    };
    let diverges = |epoch, end| Answer::Diverges { epoch: LeaderEpoch(epoch), end: Offset(end) };
    let cut = |to, below_high_watermark| Step::Truncate { to: Offset(to), below_high_watermark };
    assert_eq!(asked(diverges(4, 8)), cut(8, false));
    assert_eq!(asked(diverges(4, 3)), cut(3, true));
    assert_eq!(asked(diverges(4, i64::MIN)), cut(0, true));
    assert_eq!(asked(Answer::Reset { start: Offset(-9) }), Step::Reset { start: Offset(0) });
    let refused = ErrorCode::NotLeaderOrFollower;
    assert_eq!(asked(Answer::Refused(refused)), Step::Refused(refused));
}

#[test]
fn partitions_take_turns_and_change_their_path_when_all_is_acknowledged() {
    let mut outbox = Outbox::default();
    let tp = |partition| TopicPartition { partition, ..TP };
    let subscribe = |outbox: &mut Outbox, partition: i32| {
        let id = SubscriptionId(partition as u64);
        let slot = outbox.subscribe(tp(partition), LeaderEpoch(5), id, Offset(0), Path::CatchUp);
        assert_eq!(outbox.mark_data(slot, id), Some(Path::CatchUp));
        outbox.mark_data(slot, id);
        (slot, id)
    };
    let (slot, id) = subscribe(&mut outbox, 1);
    let _ = subscribe(&mut outbox, 2);
    let first = outbox.next(Path::CatchUp).unwrap();
    outbox.pushed(&first, Offset(4), Offset(9));
    assert_eq!(outbox.next(Path::CatchUp).map(|work| work.tp), Some(tp(2)));
    let again = outbox.next(Path::CatchUp).unwrap();
    assert_eq!((again.tp, again.from), (tp(1), Offset(4)));
    assert_eq!(outbox.next(Path::CatchUp), None, "in a queue once at most");
    // In memory from here on; but what was sent may still be on its way.
    assert_eq!(outbox.switch(&again, Path::Live, Offset(2)), None);
    assert_eq!(outbox.mark_data(slot, id), None);
    assert_eq!(outbox.acknowledged(slot, id, Offset(3)), None);
    assert_eq!(outbox.acknowledged(slot, id, Offset(4)), Some(Path::Live));
    let live = outbox.next(Path::Live).unwrap();
    assert_eq!((live.tp, live.from), (tp(1), Offset(4)));
    // Over: neither an old mark nor an old turn comes back to a slot that others have now.
    assert!(outbox.unsubscribe(tp(1), id));
    let (taken, _) =
        (outbox.subscribe(tp(3), LeaderEpoch(5), SubscriptionId(3), Offset(7), Path::Live), ());
    assert_eq!(taken, slot);
    outbox.pushed(&live, Offset(9), Offset(20));
    assert_eq!(outbox.mark_data(slot, id), None);
    assert_eq!(outbox.next(Path::Live), None);
}

#[test]
fn credit_bounds_what_is_on_its_way_and_lets_no_batch_be_too_large() {
    let mut credit = Credit::new(100);
    credit.spend(160);
    assert!(!credit.is_open());
    assert!(!credit.grant(60));
    assert!(credit.grant(25));
    assert_eq!(credit.left(), 25);
    let mut window = CreditWindow::new(100);
    assert_eq!(window.taken_in(20), None);
    assert_eq!(window.taken_in(20), Some(40));
}
