//! A link to one leader: everything this broker follows it for, on one pair of streams.
//!
//! **Invariants**
//! - The link's task alone appends to, cuts and acknowledges the logs it follows, within a tenure
//!   of the partition: when that ends, so does what the link can do to it.
//! - What became durable in one group of the journal is acknowledged in one message, ahead of
//!   whatever else there is to do.
//! - A partition that gives trouble is given up alone and tried again later.
//!
//! **Not here:** which partitions (`following`), what a replica decides (`chronik-replication`).

mod image;
mod incoming;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chronik_peer::{Channel, Closed, OpenError, PeerStream, StreamSender};
use chronik_replication::{
    AckBatch, DecodeError, Open, PartitionEnded, Path, SubscriptionIds, ToFollower, ToLeader,
};
use chronik_types::{BrokerEpoch, Monotonic, TopicPartition};

use super::codec::{from_leader, to_leader};
use super::followed::Followed;
use super::following::LinkInbox;
use super::inflow::{Incoming, Inflow};
use crate::Broker;

/// Bytes that may be on their way on the live stream, at most.
const LIVE_WINDOW: u64 = 8 << 20;
/// Bytes that may be on their way on the catch-up stream, at most.
const CATCH_UP_WINDOW: u64 = 4 << 20;
/// Partitions of one subscription message.
const SUBSCRIBED_AT_ONCE: usize = 2_000;
/// The wait between two subscription messages about partitions that nobody has written yet: topics
/// that are created one after the other share messages.
const SUBSCRIPTION_REST: Duration = Duration::from_millis(5);
/// How long opening both streams may take.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);
/// The wait before a lost stream is opened again; doubled with every failure, up to the second.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The wait before a partition that gave trouble is tried again.
const TROUBLE_REST: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Link {
    broker: Arc<Broker>,
    inbox: Arc<LinkInbox>,
    ids: SubscriptionIds,
    followed: BTreeMap<TopicPartition, Followed>,
    /// Partitions that gave trouble, and when they are tried again.
    resting: BTreeSet<(Monotonic, TopicPartition)>,
}

/// Why a session with a leader ended.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the leader closed it")]
    Closed,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("a message that does not belong on it")]
    Unexpected,
    #[error("nothing is followed there any more")]
    Idle,
}

impl From<Closed> for Ending {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// The senders of a session, and what waits to be said.
struct Out {
    live: StreamSender,
    catch_up: StreamSender,
    acks: AckBatch,
    /// Partitions to be subscribed.
    wanted: Vec<TopicPartition>,
    /// When such that nobody has written may be subscribed again.
    rests_until: Monotonic,
    given_up: Vec<PartitionEnded>,
}

/// What a session does next.
enum Event {
    Woken,
    Live(Incoming),
    CatchUp(Incoming),
    Rested,
}

impl Link {
    pub fn new(broker: Arc<Broker>, inbox: Arc<LinkInbox>) -> Self {
        let ids = SubscriptionIds::starting_at(broker.env.rng.u64());
        let (followed, resting) = (BTreeMap::new(), BTreeSet::new());
        Self { broker, inbox, ids, followed, resting }
    }

    /// Follows for as long as the broker runs.
    pub async fn run(mut self) {
        let (shortest, longest) = RECONNECT;
        let mut rest = shortest;
        loop {
            self.look_at_image().await;
            if self.followed.is_empty() {
                self.inbox.woken().await;
                continue;
            }
            let begun = self.broker.env.clock.monotonic();
            let leader = self.inbox.leader;
            let ending = self.session().await;
            self.all_unsubscribed();
            match ending {
                Ending::Idle => continue,
                Ending::Open(error) => tracing::debug!(%leader, %error, "a leader is not reached"),
                ending => tracing::info!(%leader, %ending, "the session with a leader has ended"),
            }
            let lasted = self.broker.env.clock.monotonic().since(begun);
            rest = if lasted > longest { shortest } else { (rest * 2).min(longest) };
            tokio::time::sleep(rest).await;
        }
    }

    /// Opens the streams, subscribes to everything and follows, until something breaks.
    async fn session(&mut self) -> Ending {
        match self.open_streams().await {
            Err(ending) => ending,
            Ok((live, catch_up)) => match self.follow(live, catch_up).await {
                Err(ending) => ending,
                Ok(()) => Ending::Idle,
            },
        }
    }

    /// The window of a stream, `most` at most: a message that fits into it the journal takes at once.
    fn window(&self, most: u64) -> u64 {
        most.min(u64::from(self.broker.options.journal_file_bytes / 4))
    }

    async fn open_streams(&self) -> Result<(PeerStream, PeerStream), Ending> {
        let session = self.broker.env.rng.u64();
        let live = self.open_stream(Path::Live, session, self.window(LIVE_WINDOW)).await?;
        let catch_up =
            self.open_stream(Path::CatchUp, session, self.window(CATCH_UP_WINDOW)).await?;
        Ok((live, catch_up))
    }

    async fn open_stream(
        &self,
        path: Path,
        session: u64,
        window: u64,
    ) -> Result<PeerStream, Ending> {
        let broker = &self.broker;
        let me = broker.options.node_id;
        let registered = broker.committed.borrow().image.broker(me).map(|broker| broker.epoch);
        let broker_epoch = registered.unwrap_or(BrokerEpoch::NONE);
        let open = ToLeader::Open(Open { path, broker_epoch, session, window });
        let channel = match path {
            Path::Live => Channel::Live,
            Path::CatchUp => Channel::CatchUp,
        };
        let deadline = broker.env.clock.monotonic().after(OPEN_PATIENCE);
        let peers = &broker.replication.follows.peers;
        let mut stream = peers.open(self.inbox.leader, channel, to_leader(&open), deadline).await?;
        let first = stream.receiver.next().await.ok_or(Ending::Closed)?;
        match from_leader(&first)? {
            ToFollower::Opened(_) => Ok(stream),
            _ => Err(Ending::Unexpected),
        }
    }

    async fn follow(&mut self, live: PeerStream, catch_up: PeerStream) -> Result<(), Ending> {
        let broker = Arc::clone(&self.broker);
        let mut live_in = Inflow::new(live.receiver, self.window(LIVE_WINDOW));
        let mut catch_up_in = Inflow::new(catch_up.receiver, self.window(CATCH_UP_WINDOW));
        let mut out = Out {
            live: live.sender,
            catch_up: catch_up.sender,
            acks: AckBatch::default(),
            wanted: self.followed.keys().copied().collect(),
            rests_until: broker.env.clock.monotonic(),
            given_up: Vec::new(),
        };
        tracing::info!(
            leader = %self.inbox.leader, partitions = self.followed.len(), "following a leader"
        );
        loop {
            self.say(&mut out).await?;
            if self.followed.is_empty() {
                return Ok(());
            }
            let next_rested = self.resting.first().map(|(at, _)| *at);
            let held = (!out.wanted.is_empty()).then_some(out.rests_until);
            let next_rested = next_rested.into_iter().chain(held).min();
            let event = tokio::select! {
                biased;
                () = self.inbox.woken() => Event::Woken,
                incoming = live_in.next(&broker.storage) => Event::Live(incoming),
                incoming = catch_up_in.next(&broker.storage) => Event::CatchUp(incoming),
                () = until(&broker, next_rested) => Event::Rested,
            };
            match event {
                Event::Woken => self.woken(&mut out).await,
                Event::Live(incoming) => {
                    self.take(Path::Live, incoming, &mut live_in, &mut out).await?;
                }
                Event::CatchUp(incoming) => {
                    self.take(Path::CatchUp, incoming, &mut catch_up_in, &mut out).await?;
                }
                Event::Rested => self.rested(&mut out),
            }
        }
    }

    /// Says what waits to be said.
    async fn say(&mut self, out: &mut Out) -> Result<(), Ending> {
        if let Some(acks) = out.acks.take() {
            out.live.send(to_leader(&acks)).await?;
        }
        if !out.given_up.is_empty() {
            let given_up = ToLeader::Unsubscribe(std::mem::take(&mut out.given_up));
            out.live.send(to_leader(&given_up)).await?;
        }
        let now = self.broker.env.clock.monotonic();
        if !out.wanted.is_empty() && (now >= out.rests_until || self.any_written(&out.wanted)) {
            out.rests_until = now.after(SUBSCRIPTION_REST);
            let wanted = std::mem::take(&mut out.wanted);
            for some in wanted.chunks(SUBSCRIBED_AT_ONCE) {
                let requests: Vec<_> = some
                    .iter()
                    .filter_map(|tp| Some(self.followed.get_mut(tp)?.subscribe(*tp, &mut self.ids)))
                    .collect();
                out.live.send(to_leader(&ToLeader::Subscribe(requests))).await?;
            }
        }
        Ok(())
    }

    fn any_written(&self, wanted: &[TopicPartition]) -> bool {
        let replica = |tp| self.followed.get(tp)?.replica.as_ref();
        wanted.iter().any(|tp| replica(tp).is_some())
    }

    async fn woken(&mut self, out: &mut Out) {
        let noted = self.inbox.take();
        for tp in noted.durable {
            let replica = self.followed.get_mut(&tp).and_then(|f| f.replica.as_mut());
            if let Some(ack) = replica.and_then(|replica| replica.acknowledge()) {
                out.acks.add(ack);
            }
        }
        if !noted.changed.is_empty() {
            let (wanted, given_up) = self.look_at(noted.changed).await;
            out.wanted.extend(wanted);
            out.given_up.extend(given_up);
        }
    }

    fn all_unsubscribed(&mut self) {
        self.resting.clear();
        for followed in self.followed.values_mut() {
            followed.unsubscribe();
        }
    }

    /// Gives a partition up for a while.
    fn trouble(&mut self, tp: TopicPartition, out: &mut Out) {
        let Some(followed) = self.followed.get_mut(&tp) else { return };
        let ended = followed.unsubscribe();
        out.given_up.extend(ended.map(|subscription| PartitionEnded { tp, subscription }));
        let at = self.broker.env.clock.monotonic().after(TROUBLE_REST);
        self.resting.insert((at, tp));
    }

    fn rested(&mut self, out: &mut Out) {
        let now = self.broker.env.clock.monotonic();
        while self.resting.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, tp)) = self.resting.pop_first() else { return };
            if self.followed.get(&tp).is_some_and(|followed| followed.subscription.is_none()) {
                out.wanted.push(tp);
            }
        }
    }
}

/// Until it is `at`; for ever if that is never.
async fn until(broker: &Broker, at: Option<Monotonic>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(broker.env.clock.monotonic())).await,
        None => std::future::pending().await,
    }
}
