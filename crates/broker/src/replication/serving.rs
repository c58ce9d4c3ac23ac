//! The streams of a follower at its leader.
//!
//! ```text
//! live:      Open ─► Opened ─► Subscribe, Acks, Unsubscribe, Credit ─►   ◄─ Subscribed, Data, Watermarks, Ended
//! catch-up:  Open ─► Opened ─► Credit ─►                                 ◄─ Data
//! ```
//!
//! **Invariants**
//! - A follower has one session; its live stream begins and ends it. A new one takes the place of
//!   an earlier one, which ends first.
//! - Reading never waits for sending: acknowledgements are taken in however full the stream is.
//!
//! **Not here:** what is sent (`pushing`), what a subscription is answered (`subscribing`).

use std::sync::Arc;
use std::time::Duration;

use chronik_peer::{Closed, Message, PeerStream, StreamReceiver, StreamSender};
use chronik_replication::{DecodeError, Open, Opened, Path, ToFollower, ToLeader};
use chronik_types::{BrokerEpoch, BrokerId, Monotonic};

use super::codec::{from_follower, to_follower};
use super::follower_session::FollowerSession;
use super::{pushing, subscribing};
use crate::Broker;

/// What a follower may ask to be on its way at once; more is taken for this.
const WINDOW_MAX: u64 = 64 << 20;
/// How long a high watermark waits for records of any partition to ride on, before it is sent alone:
/// a partition that is written one record at a time costs no message more for each.
const WATERMARK_REST: Duration = Duration::from_millis(2);
/// Entries of one message of answers.
const ANSWERS_MAX: usize = 4_096;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("it was closed")]
    Closed,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("a message that does not belong on it")]
    Unexpected,
    #[error("another session of the follower took its place")]
    Replaced,
}

impl From<Closed> for Ending {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Serves a stream that another broker has opened with `first`, until it ends.
pub(crate) async fn serve(broker: Arc<Broker>, first: Message, stream: PeerStream) {
    let follower = stream.peer.node_id;
    let ending = match from_follower(&first) {
        Ok(ToLeader::Open(open)) => match open.path {
            Path::Live => live(&broker, follower, open, stream).await,
            Path::CatchUp => catch_up(&broker, follower, open, stream).await,
        },
        Ok(_) => Ending::Unexpected,
        Err(error) => error.into(),
    };
    tracing::info!(%follower, %ending, "a follower's stream has ended");
}

async fn live(
    broker: &Arc<Broker>,
    follower: BrokerId,
    open: Open,
    mut stream: PeerStream,
) -> Ending {
    if stream.sender.send(opened(broker)).await.is_err() {
        return Ending::Closed;
    }
    let window = open.window.min(WINDOW_MAX);
    let session = FollowerSession::new(follower, open.broker_epoch, open.session, window);
    let session = Arc::new(session);
    if let Some(earlier) = broker.replication.leading.begin(&session) {
        end(broker, &earlier);
    }
    tracing::info!(%follower, broker_epoch = %open.broker_epoch, "a follower is here");
    let ending = tokio::select! {
        biased;
        ending = read_live(broker, &session, stream.receiver) => ending,
        ending = send_live(broker, &session, stream.sender) => ending,
    };
    broker.replication.leading.forget(&session);
    end(broker, &session);
    ending
}

async fn catch_up(
    broker: &Arc<Broker>,
    follower: BrokerId,
    open: Open,
    mut stream: PeerStream,
) -> Ending {
    let Some(session) = broker.replication.leading.session(follower, open.session) else {
        return Ending::Replaced;
    };
    if stream.sender.send(opened(broker)).await.is_err() {
        return Ending::Closed;
    }
    session.open_catch_up(open.window.min(WINDOW_MAX));
    tokio::select! {
        biased;
        ending = read_catch_up(&session, stream.receiver) => ending,
        ending = send_catch_up(broker, &session, stream.sender) => ending,
    }
}

fn opened(broker: &Broker) -> Message {
    let me = broker.options.node_id;
    let epoch = broker.committed.borrow().image.broker(me).map(|broker| broker.epoch);
    let broker_epoch = epoch.unwrap_or(BrokerEpoch::NONE);
    to_follower(&ToFollower::Opened(Opened { broker_epoch }), Vec::new())
}

/// Ends a session: the partitions lose its subscriptions.
fn end(broker: &Broker, session: &FollowerSession) {
    for (tp, subscription) in session.close() {
        if let Some(partition) = broker.partitions.opened(tp) {
            partition.progress.unsubscribed(session.follower, subscription);
        }
    }
}

async fn read_live(
    broker: &Arc<Broker>,
    session: &Arc<FollowerSession>,
    mut receiver: StreamReceiver,
) -> Ending {
    loop {
        let message = tokio::select! {
            biased;
            retrying = session.retried() => {
                subscribing::subscribe(broker, session, &retrying).await;
                continue;
            }
            message = receiver.next() => message,
        };
        let Some(message) = message else { return Ending::Closed };
        match from_follower(&message) {
            Ok(ToLeader::Acks(acks)) => {
                for ack in &acks {
                    if let Some(partition) = broker.partitions.opened(ack.tp) {
                        partition.progress.acked(session, ack);
                    }
                }
            }
            Ok(ToLeader::Subscribe(wanted)) => {
                subscribing::subscribe(broker, session, &wanted).await;
            }
            Ok(ToLeader::Unsubscribe(given_up)) => {
                for part in given_up {
                    if session.unsubscribe(part.tp, part.subscription)
                        && let Some(partition) = broker.partitions.opened(part.tp)
                    {
                        partition.progress.unsubscribed(session.follower, part.subscription);
                    }
                }
            }
            Ok(ToLeader::Credit(bytes)) => session.grant(Path::Live, bytes),
            Ok(ToLeader::Open(_)) => return Ending::Unexpected,
            Err(error) => return error.into(),
        }
    }
}

async fn read_catch_up(session: &FollowerSession, mut receiver: StreamReceiver) -> Ending {
    loop {
        let Some(message) = receiver.next().await else { return Ending::Closed };
        match from_follower(&message) {
            Ok(ToLeader::Credit(bytes)) => session.grant(Path::CatchUp, bytes),
            Ok(_) => return Ending::Unexpected,
            Err(error) => return error.into(),
        }
    }
}

async fn send_live(broker: &Broker, session: &FollowerSession, mut sender: StreamSender) -> Ending {
    let mut watermarks_due = None;
    loop {
        if session.is_closed() {
            return Ending::Replaced;
        }
        if let Err(ending) = send_words(session, &mut sender).await {
            return ending;
        }
        let message = match pushing::live_data(broker, session) {
            Some(data) => Some(data),
            None => due_watermarks(broker, session, &mut watermarks_due),
        };
        match (message, watermarks_due) {
            (Some(message), _) => {
                if sender.send(message).await.is_err() {
                    return Ending::Closed;
                }
            }
            (None, None) => session.woken(Path::Live).await,
            (None, Some(due)) => {
                let _ = broker.until(due, session.woken(Path::Live)).await;
            }
        }
    }
}

/// Watermarks, if they have waited long enough for records to ride on. Sets when they will have.
fn due_watermarks(
    broker: &Broker,
    session: &FollowerSession,
    due: &mut Option<Monotonic>,
) -> Option<Message> {
    if !session.has_watermarks() {
        *due = None;
        return None;
    }
    let now = broker.env.clock.monotonic();
    if now < *due.get_or_insert(now.after(WATERMARK_REST)) {
        return None;
    }
    *due = None;
    pushing::watermarks(broker, session)
}

/// Answers and ends, before anything else.
async fn send_words(session: &FollowerSession, sender: &mut StreamSender) -> Result<(), Ending> {
    let words = session.take_words();
    for answers in words.answers.chunks(ANSWERS_MAX) {
        sender.send(to_follower(&ToFollower::Subscribed(answers.to_vec()), Vec::new())).await?;
    }
    if !words.ended.is_empty() {
        sender.send(to_follower(&ToFollower::Ended(words.ended), Vec::new())).await?;
    }
    Ok(())
}

async fn send_catch_up(
    broker: &Broker,
    session: &FollowerSession,
    mut sender: StreamSender,
) -> Ending {
    loop {
        if session.is_closed() {
            return Ending::Replaced;
        }
        match pushing::catch_up_data(broker, session).await {
            Some(message) => {
                if sender.send(message).await.is_err() {
                    return Ending::Closed;
                }
            }
            None => session.woken(Path::CatchUp).await,
        }
    }
}
