//! What a follower's subscription is answered.
//!
//! ```text
//! this broker is not registered ─► refuse: what it leads is not known yet
//! the image here is behind      ─► wait for it
//! … or ahead                    ─► refuse: the follower will see
//! never written, on both sides  ─► accept, without a log
//! else                          ─► ask the partition, opened if it is not
//! ```
//!
//! **Not here:** comparing logs (`chronik_replication::Leader`).

use std::sync::Arc;

use chronik_metadata::Image;
use chronik_replication::{Accepted, Answer, PartitionSubscribe};
use chronik_types::{ErrorCode, LeaderEpoch, Offset, TopicPartition};

use super::follower_session::FollowerSession;
use crate::Broker;
use crate::bugs;
use crate::partition::Partition;

/// Logs opened in one go, where that holds up nobody else.
const OPENED_AT_ONCE: usize = 64;

/// Answers these subscriptions, each in its own time.
pub(crate) async fn subscribe(
    broker: &Arc<Broker>,
    session: &Arc<FollowerSession>,
    wanted: &[PartitionSubscribe],
) {
    let mut unopened = Vec::new();
    for request in wanted {
        if !answer(broker, session, request) {
            unopened.push(*request);
        }
    }
    for requests in unopened.chunks(OPENED_AT_ONCE) {
        let partitions: Vec<TopicPartition> = requests.iter().map(|request| request.tp).collect();
        let broker_too = Arc::clone(broker);
        let opened = chronik_env::blocking(move || {
            let open = |tp: TopicPartition| broker_too.partitions.by_id(tp);
            partitions.into_iter().map(open).collect::<Vec<_>>()
        });
        for (request, opened) in requests.iter().zip(opened.await) {
            match opened {
                Ok(partition) => subscribe_to(session, &partition, request),
                Err(refusal) => session.answer(request, Answer::Refused(refusal.code)),
            }
        }
    }
}

/// What the image here makes of a subscription.
enum Standing {
    /// It is to a later state than the image has.
    Behind,
    /// It is to an earlier one, or to another broker.
    Refused(ErrorCode),
    /// It is right; and whether the follower is in sync.
    Led { in_sync: bool },
}

/// Answers, or says that the partition has to be opened first.
fn answer(
    broker: &Arc<Broker>,
    session: &Arc<FollowerSession>,
    request: &PartitionSubscribe,
) -> bool {
    let in_sync = match standing(broker, session, request) {
        Standing::Behind => {
            let (tp, epoch) = (request.tp, request.leader_epoch);
            tracing::debug!(%tp, %epoch, follower = %session.follower, "a subscription waits for the image");
            session.wait_for_image(request);
            // It may have come between the look and the wait.
            if matches!(standing(broker, session, request), Standing::Behind) {
                return true;
            }
            session.image_changed(request.tp, false);
            return true;
        }
        Standing::Refused(code) => {
            session.answer(request, Answer::Refused(code));
            return true;
        }
        Standing::Led { in_sync } => in_sync,
    };
    if let Some(partition) = present(broker, request.tp, request.leader_epoch) {
        subscribe_to(session, &partition, request);
        return true;
    }
    let log = &request.log;
    let is_empty = log.end == Offset::ZERO && log.last_epoch == LeaderEpoch::NONE;
    if !is_empty || !in_sync || broker.storage.is_written(request.tp) {
        return false;
    }
    let accepted = Accepted { high_watermark: Offset::ZERO, log_start: Offset::ZERO };
    session.accept_idle(request, Answer::Accepted(accepted));
    // Whoever opened the partition meanwhile did not find the subscription, or has it already.
    if let Some(partition) = broker.partitions.opened(request.tp)
        && session.take_idle(request.tp, request.leader_epoch).is_some()
    {
        subscribe_to(session, &partition, request);
    }
    true
}

fn standing(broker: &Broker, session: &FollowerSession, request: &PartitionSubscribe) -> Standing {
    let committed = broker.committed.borrow();
    if !is_registered(broker, &committed.image) {
        return Standing::Refused(ErrorCode::NotLeaderOrFollower);
    }
    let Some(state) = committed.image.partition(request.tp) else { return Standing::Behind };
    if state.leader_epoch < request.leader_epoch || !state.replicas.contains(&session.follower) {
        Standing::Behind
    } else if state.leader_epoch > request.leader_epoch {
        Standing::Refused(ErrorCode::FencedLeaderEpoch)
    } else if state.leader != broker.options.node_id {
        Standing::Refused(ErrorCode::NotLeaderOrFollower)
    } else {
        Standing::Led { in_sync: state.isr.contains(&session.follower) }
    }
}

/// Whether this incarnation is the registered one. Until then the image says what an earlier one led,
/// perhaps with another disk: its followers would cut their logs to what is left on this one.
fn is_registered(broker: &Broker, image: &Image) -> bool {
    let own = *broker.controller.broker_epoch().borrow();
    let registered = image.broker(broker.options.node_id).map(|broker| broker.epoch);
    own.is_some() && own == registered || bugs::lead_unregistered()
}

/// The partition if it is open, in this epoch.
fn present(broker: &Broker, tp: TopicPartition, epoch: LeaderEpoch) -> Option<Arc<Partition>> {
    let partition = broker.partitions.opened(tp)?;
    if partition.is_leader() && partition.leader_epoch() >= epoch {
        return Some(partition);
    }
    // The image has it; whoever follows the image has not come to it yet.
    broker.partitions.follow(tp);
    broker.partitions.opened(tp)
}

fn subscribe_to(
    session: &Arc<FollowerSession>,
    partition: &Partition,
    request: &PartitionSubscribe,
) {
    tracing::trace!(follower = %session.follower, ?request, "a subscription");
    if !partition.progress.subscribed(session, request) {
        session.answer(request, Answer::Refused(ErrorCode::NotLeaderOrFollower));
    }
}
