//! What the committed image asks of a link.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_replication::PartitionEnded;
use chronik_types::{LeaderEpoch, TopicPartition};

use super::super::followed::{Followed, Replica};
use super::Link;
use crate::role::Role;

/// Logs opened in one go, where that holds up nobody else.
const OPENED_AT_ONCE: usize = 64;

impl Link {
    /// Takes over what the image has said since the last look, without a session.
    pub(super) async fn look_at_image(&mut self) {
        let noted = self.inbox.take();
        self.look_at(noted.changed).await;
    }

    /// Brings these partitions in line with the committed image. Returns the ones to subscribe and
    /// the subscriptions that are over.
    pub(super) async fn look_at(
        &mut self,
        changed: BTreeSet<TopicPartition>,
    ) -> (Vec<TopicPartition>, Vec<PartitionEnded>) {
        let (mut wanted, mut given_up) = (Vec::new(), Vec::new());
        let mut written = Vec::new();
        for tp in changed {
            let epoch = match self.role(tp) {
                Some(Role::Follower { leader, epoch }) if leader == self.inbox.leader => epoch,
                _ => {
                    let mut gone = self.followed.remove(&tp);
                    let ended = gone.as_mut().and_then(Followed::unsubscribe);
                    given_up.extend(ended.map(|subscription| PartitionEnded { tp, subscription }));
                    continue;
                }
            };
            if self.followed.get(&tp).is_some_and(|followed| followed.epoch == epoch) {
                continue;
            }
            if self.broker.storage.is_written(tp) {
                written.push((tp, epoch));
            } else {
                self.followed.insert(tp, Followed::new(epoch, None));
                wanted.push(tp);
            }
        }
        for some in written.chunks(OPENED_AT_ONCE) {
            wanted.extend(self.open(some.to_vec()).await);
        }
        (wanted, given_up)
    }

    fn role(&self, tp: TopicPartition) -> Option<Role> {
        let committed = self.broker.committed.borrow();
        Role::of(committed.image.partition(tp)?, self.broker.options.node_id)
    }

    /// Opens logs; returns the partitions to subscribe.
    async fn open(&mut self, some: Vec<(TopicPartition, LeaderEpoch)>) -> Vec<TopicPartition> {
        let (broker, inbox) = (Arc::clone(&self.broker), Arc::clone(&self.inbox));
        let opened = chronik_env::blocking(move || {
            let open = |(tp, epoch)| (tp, epoch, Replica::open(&broker, &inbox, tp, epoch));
            some.into_iter().map(open).collect::<Vec<_>>()
        });
        let mut wanted = Vec::new();
        for (tp, epoch, replica) in opened.await {
            match replica {
                Some(Ok(replica)) => {
                    self.followed.insert(tp, Followed::new(epoch, Some(replica)));
                    wanted.push(tp);
                }
                Some(Err(refusal)) => {
                    tracing::error!(%tp, ?refusal, "the log of a followed partition cannot be opened");
                }
                // The image has moved on; the inbox has it again.
                None => {}
            }
        }
        wanted
    }
}
