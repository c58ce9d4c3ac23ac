//! One followed partition, as its link keeps it.

use std::sync::Arc;

use chronik_log::CutError;
use chronik_replication::{
    Accepted, Answer, Follower, PartitionAck, PartitionData, PartitionSubscribe, Step,
    SubscriptionId, SubscriptionIds, Told,
};
use chronik_types::{LeaderEpoch, TopicPartition};

use super::{EMPTY_LOG, LinkInbox, log_position};
use crate::Broker;
use crate::api::error::Refusal;
use crate::partition::{Cut, Partition};
use crate::role::Role;

/// What a link keeps of a partition.
pub(crate) struct Followed {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The last subscription that was asked for.
    pub subscription: Option<SubscriptionId>,
    /// The log and its state machine; nothing for one that was never written here.
    pub replica: Option<Box<Replica>>,
}

/// A followed partition that has a log.
pub(crate) struct Replica {
    pub partition: Arc<Partition>,
    pub follower: Follower,
}

impl Followed {
    /// Follows in `epoch`.
    pub fn new(epoch: LeaderEpoch, replica: Option<Box<Replica>>) -> Self {
        Self { epoch, subscription: None, replica }
    }

    /// Asks for a subscription; an earlier one is over.
    pub fn subscribe(
        &mut self,
        tp: TopicPartition,
        ids: &mut SubscriptionIds,
    ) -> PartitionSubscribe {
        let subscription = ids.draw();
        self.subscription = Some(subscription);
        match &mut self.replica {
            Some(replica) => {
                let log = log_position(&replica.partition.log);
                replica.follower.subscribe(subscription, log)
            }
            None => {
                PartitionSubscribe { tp, leader_epoch: self.epoch, subscription, log: EMPTY_LOG }
            }
        }
    }

    /// The subscription is over. Returns it, if there was one.
    pub fn unsubscribe(&mut self) -> Option<SubscriptionId> {
        if let Some(replica) = &mut self.replica {
            replica.follower.on_unsubscribed();
        }
        self.subscription.take()
    }

    /// The log that records of `subscription` go to; `None` if that is over, or the image has
    /// moved on. Opened if this is the first that is ever written of it.
    pub fn receiving(
        &mut self,
        subscription: SubscriptionId,
        open: impl FnOnce() -> Option<Result<Box<Replica>, Refusal>>,
    ) -> Option<Result<&mut Replica, Refusal>> {
        if self.subscription != Some(subscription) {
            return None;
        }
        if self.replica.is_none() {
            let mut replica = match open()? {
                Ok(replica) => replica,
                Err(refusal) => return Some(Err(refusal)),
            };
            let log = log_position(&replica.partition.log);
            let _asked_before = replica.follower.subscribe(subscription, log);
            self.replica = Some(replica);
        }
        self.replica.as_deref_mut().map(Ok)
    }
}

impl Replica {
    /// Opens the log of a followed partition. `None` if the committed image has another leader or
    /// epoch by now: then the link will be told.
    pub fn open(
        broker: &Broker,
        inbox: &Arc<LinkInbox>,
        tp: TopicPartition,
        epoch: LeaderEpoch,
    ) -> Option<Result<Box<Self>, Refusal>> {
        let wanted = Role::Follower { leader: inbox.leader, epoch };
        let mut found = broker.partitions.replica_by_id(tp);
        if found.as_ref().is_ok_and(|partition| partition.role() != wanted) {
            // Whoever follows the image has not come to it yet.
            broker.partitions.follow(tp);
            found = broker.partitions.replica_by_id(tp);
        }
        match found {
            Ok(partition) if partition.role() == wanted => {
                Some(Ok(Box::new(Self::of(partition, inbox, epoch))))
            }
            Ok(_) => None,
            Err(refusal) => Some(Err(refusal)),
        }
    }

    fn of(partition: Arc<Partition>, inbox: &Arc<LinkInbox>, epoch: LeaderEpoch) -> Self {
        partition.progress.tell_durable(partition.tp, inbox);
        let (position, high_watermark) =
            (log_position(&partition.log), partition.log.high_watermark());
        let follower = Follower::new(partition.tp, epoch, position, high_watermark);
        Self { partition, follower }
    }

    /// The leader's answer to a subscription.
    pub fn answered(&mut self, subscription: SubscriptionId, answer: &Answer) -> Step {
        let log = Arc::clone(&self.partition.log);
        let epochs = move |epoch| log.end_offset_for_epoch(epoch);
        self.follower.on_subscribed(subscription, answer, &epochs)
    }

    /// Records of `subscription` have come, so it is accepted, whether or not the leader's answer
    /// was read: the catch-up stream may be faster than the live one, which carries that. What is
    /// to be acknowledged then.
    pub fn accepted(&mut self, data: &PartitionData) -> Option<PartitionAck> {
        if self.follower.following() == Some(data.subscription) {
            return None;
        }
        let accepted = Accepted { high_watermark: data.high_watermark, log_start: data.log_start };
        match self.answered(data.subscription, &Answer::Accepted(accepted)) {
            Step::Follow { told, ack } => {
                self.apply(told);
                ack
            }
            _ => None,
        }
    }

    /// Does what the leader's word amounts to.
    pub fn apply(&self, told: Told) {
        if let Some(high_watermark) = told.high_watermark {
            self.partition.progress.watermark(high_watermark);
        }
        if let Some(start) = told.log_start
            && let Err(error) = self.partition.log.set_start(start)
        {
            // Told again with the next records.
            tracing::debug!(tp = %self.partition.tp, %error, "the log start could not be moved");
        }
    }

    /// What is to be acknowledged now.
    pub fn acknowledge(&mut self) -> Option<PartitionAck> {
        self.follower.on_durable(log_position(&self.partition.log))
    }

    /// Cuts the log, or begins it anew, where blocking holds up nobody.
    ///
    /// # Errors
    /// When that is not possible, now or at all.
    pub async fn cut(&mut self, cut: Cut) -> Result<(), CutError> {
        let partition = Arc::clone(&self.partition);
        chronik_env::blocking(move || partition.cut(cut)).await?;
        self.follower.on_cut(log_position(&self.partition.log));
        Ok(())
    }
}
