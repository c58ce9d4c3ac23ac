//! What comes from a leader: records, answers, watermarks.
//!
//! **Copies on this path:** the records of a message stay in the buffer they came in; a part that
//! is much smaller than the message is copied by the log, so that it does not pin the rest.

use bytes::Bytes;
use chronik_log::{AdmitError, Permit};
use chronik_replication::{
    Answer, Data, DataError, PartitionData, Path, Step, SubscriptionId, ToFollower, ToLeader,
};
use chronik_types::{ErrorCode, TopicPartition};

use super::super::codec::to_leader;
use super::super::followed::{Followed, Replica};
use super::super::inflow::{Incoming, Inflow};
use super::super::log_position;
use super::{Ending, Link, Out};
use crate::partition::Cut;

impl Link {
    /// Takes in what has come.
    pub(super) async fn take(
        &mut self,
        path: Path,
        incoming: Incoming,
        inflow: &mut Inflow,
        out: &mut Out,
    ) -> Result<(), Ending> {
        match incoming {
            Incoming::Records { data, body, permit } => {
                let bytes = body.len() as u64;
                self.records(data, body, permit, out)?;
                if let Some(granted) = inflow.window.taken_in(bytes) {
                    let sender = match path {
                        Path::Live => &mut out.live,
                        Path::CatchUp => &mut out.catch_up,
                    };
                    sender.send(to_leader(&ToLeader::Credit(granted))).await?;
                }
                Ok(())
            }
            Incoming::Word(word) => self.word(word, out).await,
            Incoming::Closed => Err(Ending::Closed),
            Incoming::Malformed(error) => Err(error.into()),
        }
    }

    fn records(
        &mut self,
        data: Data,
        body: Bytes,
        permit: Result<Permit, AdmitError>,
        out: &mut Out,
    ) -> Result<(), Ending> {
        let parts = data.split(body)?;
        let mut permit = match permit {
            Ok(permit) => permit,
            Err(error) => {
                tracing::warn!(%error, "no room for the records of a leader");
                for (part, _) in parts {
                    self.trouble(part.tp, out);
                }
                return Ok(());
            }
        };
        for (part, batches) in parts {
            self.append(&part, batches, &mut permit, out);
        }
        Ok(())
    }

    /// Appends the records of one partition.
    fn append(&mut self, part: &PartitionData, batches: Bytes, permit: &mut Permit, out: &mut Out) {
        let tp = part.tp;
        let Some(followed) = self.followed.get_mut(&tp) else { return };
        let (broker, inbox, epoch) = (&self.broker, &self.inbox, followed.epoch);
        let open = || Replica::open(broker, inbox, tp, epoch);
        let replica = match followed.receiving(part.subscription, open) {
            // Of a subscription that is over.
            None => return,
            Some(Ok(replica)) => replica,
            Some(Err(refusal)) => {
                tracing::error!(%tp, ?refusal, "the log of a followed partition cannot be opened");
                return self.trouble(tp, out);
            }
        };
        if let Some(ack) = replica.accepted(part) {
            out.acks.add(ack);
        }
        match replica.follower.check_data(part, &batches) {
            Ok(()) => {}
            Err(DataError::Stale) => return,
            Err(error) => {
                tracing::warn!(%tp, %error, "records of a leader do not fit");
                return self.trouble(tp, out);
            }
        }
        match replica.partition.append_replicated(permit, batches) {
            Ok(()) => {
                let position = log_position(&replica.partition.log);
                let told = replica.follower.on_appended(part, position);
                replica.apply(told);
            }
            Err(refusal) if refusal.code == ErrorCode::NotLeaderOrFollower => {}
            Err(refusal) => {
                tracing::warn!(%tp, ?refusal, "records of a leader were not appended");
                self.trouble(tp, out);
            }
        }
    }

    async fn word(&mut self, word: ToFollower, out: &mut Out) -> Result<(), Ending> {
        match word {
            ToFollower::Subscribed(answers) => {
                for answer in answers {
                    self.answered(answer.tp, answer.subscription, &answer.answer, out).await;
                }
            }
            ToFollower::Watermarks(watermarks) => {
                for told in watermarks {
                    let replica = self.followed.get_mut(&told.tp).and_then(|f| f.replica.as_mut());
                    let Some(replica) = replica else { continue };
                    let told = replica.follower.on_watermark(
                        told.subscription,
                        told.high_watermark,
                        told.log_start,
                    );
                    replica.apply(told);
                }
            }
            ToFollower::Ended(ended) => {
                for end in ended {
                    let followed = self.followed.get(&end.tp);
                    if followed.is_some_and(|f| f.subscription == Some(end.subscription)) {
                        tracing::debug!(tp = %end.tp, code = %end.code, "a leader gave a partition up");
                        self.trouble(end.tp, out);
                    }
                }
            }
            ToFollower::Opened(_) | ToFollower::Data(_) => return Err(Ending::Unexpected),
        }
        Ok(())
    }

    /// Does what the answer to a subscription asks for.
    async fn answered(
        &mut self,
        tp: TopicPartition,
        subscription: SubscriptionId,
        answer: &Answer,
        out: &mut Out,
    ) {
        let Some(followed) = self.followed.get_mut(&tp) else { return };
        if followed.subscription != Some(subscription) {
            return;
        }
        let epoch = followed.epoch;
        let Some(replica) = followed.replica.as_mut() else {
            match answer {
                Answer::Accepted(_) => {}
                Answer::Refused(code) => self.refused(tp, *code, out),
                // The leader's log begins later than an empty one: now there is a log here.
                Answer::Diverges { end: start, .. } | Answer::Reset { start } => {
                    let start = *start;
                    match Replica::open(&self.broker, &self.inbox, tp, epoch) {
                        Some(Ok(replica)) => {
                            self.followed.insert(tp, Followed::new(epoch, Some(replica)));
                            self.cut(tp, Cut::All(start), out).await;
                        }
                        Some(Err(_)) => self.trouble(tp, out),
                        None => {}
                    }
                }
            }
            return;
        };
        match replica.answered(subscription, answer) {
            Step::Stale => {}
            Step::Follow { told, ack } => {
                replica.apply(told);
                if let Some(ack) = ack {
                    out.acks.add(ack);
                }
            }
            Step::Truncate { to, below_high_watermark } => {
                if below_high_watermark {
                    tracing::warn!(%tp, %to, "the leader's log parts from this one below the high watermark");
                } else {
                    tracing::info!(%tp, %to, "the log is cut to where it agrees with the leader's");
                }
                self.cut(tp, Cut::End(to), out).await;
            }
            Step::Reset { start } => {
                tracing::warn!(%tp, %start, "the log begins anew where the leader's does");
                self.cut(tp, Cut::All(start), out).await;
            }
            Step::Refused(code) => self.refused(tp, code, out),
        }
    }

    async fn cut(&mut self, tp: TopicPartition, cut: Cut, out: &mut Out) {
        let Some(replica) = self.followed.get_mut(&tp).and_then(|f| f.replica.as_mut()) else {
            return;
        };
        match replica.cut(cut).await {
            Ok(()) => out.wanted.push(tp),
            Err(error) => {
                tracing::warn!(%tp, %error, "the log could not be cut");
                self.trouble(tp, out);
            }
        }
    }

    fn refused(&mut self, tp: TopicPartition, code: ErrorCode, out: &mut Out) {
        tracing::debug!(%tp, %code, "a leader refused a subscription");
        self.trouble(tp, out);
    }
}
