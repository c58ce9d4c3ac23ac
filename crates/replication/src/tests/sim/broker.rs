//! A broker of the simulation: what a driver does with the state machines, without waiting.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_protocol::batch::{BatchHeader, HEADER_BYTES, batches, stamp};
use chronik_types::{BrokerEpoch, BrokerId, LeaderEpoch, Monotonic, Offset};

use super::cluster::{LAG_MAX, TP};
use super::controller::View;
use super::log::{SimLog, SimRecord};
use crate::*;

pub type ConnId = usize;

/// One follower as its leader's driver sees it.
#[derive(Debug)]
pub struct Session {
    pub conn: ConnId,
    pub broker_epoch: i64,
    pub outbox: Outbox,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful of them")]
pub enum Role {
    None,
    Leading {
        leader: Leader,
        sessions: BTreeMap<BrokerId, Session>,
        /// Requests that wait: (end, value).
        waiting: Vec<(i64, u64)>,
        /// What is in memory begins here.
        tail_start: i64,
    },
    Following {
        leader: BrokerId,
        follower: Follower,
        conn: Option<ConnId>,
    },
}

#[derive(Debug)]
pub struct Broker {
    pub id: BrokerId,
    pub up: bool,
    pub paused: bool,
    pub wiped: bool,
    pub epoch: i64,
    /// Which committed state it knows; it acts on none before its own registration.
    pub knows: usize,
    pub registered_at: usize,
    pub log: SimLog,
    pub high_watermark: i64,
    /// What a restart will know of it.
    pub stored_high_watermark: i64,
    pub role: Role,
    /// Where the log ends, if the leader's state was not told.
    untold: Option<i64>,
    pub ids: SubscriptionIds,
}

/// What the world has to do for a broker.
#[derive(Debug)]
pub enum Out {
    Propose(Proposal),
    ToLeader(ConnId, ToLeader),
    ToFollower(ConnId, ToFollower, Path, Vec<u8>),
    Close(ConnId),
    Exposed,
    Acknowledged { offset: i64, value: u64 },
    Truncated { below_high_watermark: bool },
    Reset,
    Count(&'static str),
}

impl Broker {
    pub fn new(id: BrokerId) -> Self {
        Self {
            id,
            up: true,
            paused: false,
            wiped: false,
            epoch: 0,
            knows: 0,
            registered_at: 0,
            log: SimLog::default(),
            high_watermark: 0,
            stored_high_watermark: 0,
            role: Role::None,
            untold: None,
            ids: SubscriptionIds::starting_at(1 << 20),
        }
    }

    pub fn runs(&self) -> bool {
        self.up && !self.paused
    }

    pub fn leader_epoch(&self) -> Option<i32> {
        match &self.role {
            Role::None => None,
            Role::Leading { leader, .. } => Some(leader.leader_epoch().0),
            Role::Following { follower, .. } => Some(follower.leader_epoch().0),
        }
    }

    /// The committed state is so now.
    pub fn on_view(&mut self, now: Monotonic, view: &View, min_isr: usize, out: &mut Vec<Out>) {
        if self.leader_epoch() == Some(view.leader_epoch) {
            if let Role::Leading { leader, .. } = &mut self.role {
                let effects = leader.on_committed(now, partition_view(view));
                self.perform(effects, out);
            }
            return;
        }
        self.leave_role(out);
        match view.leader {
            None => {}
            Some(id) if id == self.id => self.lead(now, view, min_isr, out),
            Some(leader) => {
                let log = self.log.position();
                let epoch = LeaderEpoch(view.leader_epoch);
                let follower = Follower::new(TP, epoch, log, Offset(self.high_watermark));
                self.role = Role::Following { leader, follower, conn: None };
            }
        }
    }

    fn lead(&mut self, now: Monotonic, view: &View, min_isr: usize, out: &mut Vec<Out>) {
        self.log.begin_epoch(view.leader_epoch);
        let (leader, effects) = Leader::new(
            now,
            &LeaderInit {
                me: self.id,
                partition: partition_view(view),
                min_isr,
                lag_max: LAG_MAX,
                log: self.log.position(),
                high_watermark: Offset(self.high_watermark),
            },
        );
        out.push(Out::Count("elections"));
        let tail_start = self.log.start();
        let (sessions, waiting) = (BTreeMap::new(), vec![]);
        self.role = Role::Leading { leader, sessions, waiting, tail_start };
        self.perform(effects, out);
    }

    pub fn leave_role(&mut self, out: &mut Vec<Out>) {
        self.untold = None;
        match std::mem::replace(&mut self.role, Role::None) {
            Role::None => {}
            Role::Leading { sessions, .. } => {
                out.extend(sessions.values().map(|session| Out::Close(session.conn)));
            }
            Role::Following { conn, .. } => out.extend(conn.map(Out::Close)),
        }
    }

    /// Runs the effects of the leader.
    pub fn perform(&mut self, effects: Effects, out: &mut Vec<Out>) {
        let Role::Leading { leader, sessions, waiting, .. } = &mut self.role else { return };
        if let Some(high_watermark) = effects.high_watermark {
            self.high_watermark = self.high_watermark.max(high_watermark.0);
            out.push(Out::Exposed);
            let under = leader.is_under_min_isr();
            waiting.retain(|(end, value)| {
                let done = *end <= high_watermark.0;
                if done && !under {
                    out.push(Out::Acknowledged { offset: end - 1, value: *value });
                }
                !done
            });
        }
        if let Some(proposal) = effects.proposal {
            out.push(Out::Propose(proposal));
        }
        if effects.push > Push::Nothing {
            for session in sessions.values_mut() {
                let live = session.outbox.subscriptions().next();
                if let (Some(slot), Some((_, id))) = (session.outbox.slot(TP), live) {
                    session.outbox.mark_watermark(slot, id);
                    session.outbox.mark_data(slot, id);
                }
            }
        }
    }

    /// A client writes here. Whether it was taken. With `late` the leader's state is not told of it
    /// before [`Self::tell_end`]: who appends may be held up between the two.
    pub fn produce(
        &mut self,
        now: Monotonic,
        value: u64,
        all: bool,
        late: bool,
        out: &mut Vec<Out>,
    ) -> bool {
        let Role::Leading { leader, waiting, .. } = &mut self.role else { return false };
        if all && leader.is_under_min_isr() {
            return false;
        }
        let epoch = leader.leader_epoch().0;
        self.log.append(SimRecord { epoch, value });
        let end = self.log.end();
        if all {
            waiting.push((end, value));
        }
        if late {
            self.untold = Some(end);
            return true;
        }
        let effects = leader.on_append(now, Offset(end));
        self.perform(effects, out);
        true
    }

    /// Tells the leader's state of an append that was not told yet.
    pub fn tell_end(&mut self, now: Monotonic, out: &mut Vec<Out>) {
        let Some(end) = self.untold.take() else { return };
        if let Role::Leading { leader, .. } = &mut self.role {
            let effects = leader.on_append(now, Offset(end));
            self.perform(effects, out);
        }
    }

    pub fn sync(&mut self, now: Monotonic, count: usize, out: &mut Vec<Out>) {
        let before = self.log.position().durable;
        self.log.sync(count);
        let position = self.log.position();
        if position.durable == before {
            return;
        }
        match &mut self.role {
            Role::None => {}
            Role::Leading { leader, .. } => {
                let effects = leader.on_durable(now, position.durable);
                self.perform(effects, out);
            }
            // Without a stream nobody says what becomes durable.
            Role::Following { conn: None, .. } => {}
            Role::Following { follower, conn, .. } => {
                let ack = follower.on_durable(position);
                send_ack(*conn, ack, out);
            }
        }
    }

    /// A stream to the leader is there.
    pub fn on_connected(&mut self, conn: ConnId, out: &mut Vec<Out>) {
        let Role::Following { conn: current, .. } = &mut self.role else { return };
        *current = Some(conn);
        let open = Open {
            path: Path::Live,
            broker_epoch: BrokerEpoch(self.epoch),
            session: conn as u64,
            window: 1 << 20,
        };
        out.push(Out::ToLeader(conn, ToLeader::Open(open)));
        self.subscribe(conn, out);
    }

    fn subscribe(&mut self, conn: ConnId, out: &mut Vec<Out>) {
        let Role::Following { follower, .. } = &mut self.role else { return };
        let request = follower.subscribe(self.ids.draw(), self.log.position());
        out.push(Out::ToLeader(conn, ToLeader::Subscribe(vec![request])));
    }

    /// The follower's side noticed that its stream broke.
    pub fn on_broken(&mut self, broken: ConnId) {
        if let Role::Following { follower, conn, .. } = &mut self.role
            && *conn == Some(broken)
        {
            follower.on_unsubscribed();
            *conn = None;
        }
    }

    /// The leader's side noticed that a follower's stream broke.
    pub fn on_session_broken(&mut self, now: Monotonic, conn: ConnId, out: &mut Vec<Out>) {
        let Role::Leading { leader, sessions, .. } = &mut self.role else { return };
        let Some((from, _)) = sessions.iter().find(|(_, session)| session.conn == conn) else {
            return;
        };
        let from = *from;
        let Some(session) = sessions.remove(&from) else { return };
        let mut all = vec![];
        for (_, subscription) in session.outbox.subscriptions() {
            all.push(leader.on_unsubscribed(now, from, subscription));
        }
        for effects in all {
            self.perform(effects, out);
        }
    }

    /// The leader hears from a follower.
    pub fn on_to_leader(
        &mut self,
        now: Monotonic,
        conn: ConnId,
        from: BrokerId,
        message: ToLeader,
        out: &mut Vec<Out>,
    ) {
        let Role::Leading { leader, sessions, tail_start, .. } = &mut self.role else {
            out.push(Out::Close(conn));
            return;
        };
        match message {
            ToLeader::Open(open) => {
                let old = sessions.get(&from).map(|session| session.conn);
                if let Some(old) = old.filter(|old| *old < conn) {
                    out.push(Out::Close(old));
                    self.on_session_broken(now, old, out);
                }
                let Role::Leading { sessions, .. } = &mut self.role else { return };
                sessions.entry(from).or_insert(Session {
                    conn,
                    broker_epoch: open.broker_epoch.0,
                    outbox: Outbox::default(),
                });
            }
            ToLeader::Subscribe(requests) => {
                let Some(session) = sessions.get_mut(&from).filter(|s| s.conn == conn) else {
                    out.push(Out::Close(conn));
                    return;
                };
                let epoch = BrokerEpoch(session.broker_epoch);
                if let Some(request) = requests.into_iter().next() {
                    let end = Offset(self.log.end());
                    let grown = leader.on_append(now, end);
                    let (answer, effects) =
                        leader.on_subscribe(now, from, epoch, &request, &self.log);
                    if matches!(answer, Answer::Accepted(_)) {
                        let far = request.log.end.0 < *tail_start;
                        let path = if far { Path::CatchUp } else { Path::Live };
                        let epoch = request.leader_epoch;
                        let (id, end) = (request.subscription, request.log.end);
                        let slot = session.outbox.subscribe(TP, epoch, id, end, path);
                        session.outbox.mark_data(slot, id);
                    } else {
                        session.outbox.end(TP);
                    }
                    let answer =
                        PartitionAnswer { tp: TP, subscription: request.subscription, answer };
                    let message = ToFollower::Subscribed(vec![answer]);
                    out.push(Out::ToFollower(conn, message, Path::Live, vec![]));
                    self.perform(grown, out);
                    self.perform(effects, out);
                }
            }
            // Whatever stream they come by, also one that has been replaced.
            ToLeader::Acks(acks) => {
                if let Some(ack) = acks.into_iter().next() {
                    let end = Offset(self.log.end());
                    let effects = leader.on_ack(now, from, ack.subscription, ack.durable, || end);
                    if let Some(session) = sessions.get_mut(&from)
                        && let Some(slot) = session.outbox.slot(TP)
                    {
                        session.outbox.acknowledged(slot, ack.subscription, ack.durable);
                    }
                    self.perform(effects, out);
                }
            }
            ToLeader::Unsubscribe(ended) => {
                if let Some(PartitionEnded { tp, subscription }) = ended.into_iter().next() {
                    if let Some(session) = sessions.get_mut(&from) {
                        session.outbox.unsubscribe(tp, subscription);
                    }
                    let effects = leader.on_unsubscribed(now, from, subscription);
                    self.perform(effects, out);
                }
            }
            ToLeader::Credit(_) => {}
        }
    }

    /// The leader sends what is next on this path to this follower.
    pub fn send(&mut self, to: BrokerId, path: Path, most: usize, out: &mut Vec<Out>) {
        let Role::Leading { leader, sessions, tail_start, .. } = &mut self.role else { return };
        let Some(session) = sessions.get_mut(&to) else { return };
        let conn = session.conn;
        let mut marks = (leader.high_watermark(), Offset(self.log.start()));
        if let Some(work) = session.outbox.next(path) {
            let from = work.from.0;
            let right = if from >= *tail_start { Path::Live } else { Path::CatchUp };
            let durable = leader
                .followers()
                .find(|follower| follower.id == to)
                .and_then(|follower| follower.durable);
            if right != path {
                out.push(Out::Count("switches"));
                let durable = durable.unwrap_or(Offset::UNKNOWN);
                session.outbox.switch(&work, right, durable);
                return;
            }
            if from < self.log.start() {
                // The records are gone: the follower has to begin anew.
                let subscription = work.subscription;
                session.outbox.end(TP);
                let code = chronik_types::ErrorCode::OffsetOutOfRange;
                let ended = ToFollower::Ended(vec![Ended { tp: TP, subscription, code }]);
                out.push(Out::ToFollower(conn, ended, Path::Live, vec![]));
                return;
            }
            let end = self.log.end().min(from + most as i64);
            let mut payload = vec![];
            for offset in from..end {
                payload.extend(batch(offset, self.log.record(offset).unwrap()));
            }
            session.outbox.pushed(&work, Offset(end), Offset(self.log.end()));
            if end > from {
                let part = PartitionData {
                    tp: TP,
                    leader_epoch: work.leader_epoch,
                    subscription: work.subscription,
                    base_offset: work.from,
                    bytes: payload.len() as u32,
                    high_watermark: marks.0,
                    log_start: marks.1,
                };
                let data = ToFollower::Data(Data { parts: vec![part] });
                out.push(Out::ToFollower(conn, data, path, payload));
            }
        }
        marks.1 = Offset(self.log.start());
        let watermarks = session.outbox.take_watermarks(8, |tp, subscription| {
            let (high_watermark, log_start) = marks;
            Some(PartitionWatermark { tp, subscription, high_watermark, log_start })
        });
        if !watermarks.is_empty() {
            let message = ToFollower::Watermarks(watermarks);
            out.push(Out::ToFollower(conn, message, Path::Live, vec![]));
        }
    }

    /// The follower hears from its leader.
    pub fn on_to_follower(
        &mut self,
        conn: ConnId,
        message: ToFollower,
        payload: Bytes,
        out: &mut Vec<Out>,
    ) {
        let Role::Following { follower, .. } = &mut self.role else { return };
        match message {
            ToFollower::Opened(_) => {}
            ToFollower::Subscribed(answers) => {
                if let Some(PartitionAnswer { subscription, answer, .. }) = answers.first() {
                    let step = follower.on_subscribed(*subscription, answer, &self.log);
                    self.take_step(conn, step, out);
                }
            }
            ToFollower::Data(data) => {
                for (part, batches) in data.split(payload).unwrap() {
                    self.take_data(conn, &part, &batches, out);
                }
            }
            ToFollower::Watermarks(watermarks) => {
                if let Some(told) = watermarks.first() {
                    let told = follower.on_watermark(
                        told.subscription,
                        told.high_watermark,
                        told.log_start,
                    );
                    self.follow_told(told, out);
                }
            }
            ToFollower::Ended(ended) => {
                if ended.iter().any(|ended| follower.on_ended(ended.subscription)) {
                    self.subscribe(conn, out);
                }
            }
        }
    }

    fn take_step(&mut self, conn: ConnId, step: Step, out: &mut Vec<Out>) {
        match step {
            Step::Stale => return,
            Step::Refused(_) => {
                out.push(Out::Close(conn));
                return;
            }
            Step::Follow { told, ack } => {
                send_ack(Some(conn), ack, out);
                self.follow_told(told, out);
                return;
            }
            Step::Truncate { to, below_high_watermark } => {
                out.push(Out::Truncated { below_high_watermark });
                self.log.truncate(to.0);
            }
            Step::Reset { start } => {
                out.push(Out::Reset);
                self.log.reset(start.0);
            }
        }
        let Role::Following { follower, .. } = &mut self.role else { return };
        follower.on_cut(self.log.position());
        self.high_watermark = follower.high_watermark().0;
        self.subscribe(conn, out);
    }

    fn take_data(
        &mut self,
        conn: ConnId,
        part: &PartitionData,
        payload: &[u8],
        out: &mut Vec<Out>,
    ) {
        let Role::Following { follower, .. } = &mut self.role else { return };
        match follower.check_data(part, payload) {
            Ok(()) => {
                for batch in batches(payload) {
                    let (header, _) = batch.unwrap();
                    let BatchHeader { leader_epoch, base_timestamp, .. } = header;
                    self.log
                        .append(SimRecord { epoch: leader_epoch.0, value: base_timestamp as u64 });
                }
                let told = follower.on_appended(part, self.log.position());
                self.follow_told(told, out);
            }
            Err(DataError::Stale) => out.push(Out::Count("stale data")),
            Err(_) => {
                out.push(Out::Count("unfit data"));
                follower.on_unsubscribed();
                self.subscribe(conn, out);
            }
        }
    }

    fn follow_told(&mut self, told: Told, out: &mut Vec<Out>) {
        if let Some(start) = told.log_start {
            self.log.set_start(start.0);
        }
        let Role::Following { follower, .. } = &self.role else { return };
        if told.high_watermark.is_some() {
            self.high_watermark = follower.high_watermark().0;
            out.push(Out::Exposed);
        }
    }
}

fn send_ack(conn: Option<ConnId>, ack: Option<PartitionAck>, out: &mut Vec<Out>) {
    let mut batch = AckBatch::default();
    if let (Some(conn), Some(ack)) = (conn, ack) {
        batch.add(ack);
        out.extend(batch.take().map(|message| Out::ToLeader(conn, message)));
    }
}

pub fn partition_view(view: &View) -> PartitionView<'_> {
    PartitionView { replicas: &view.replicas, isr: isr_view(view) }
}

pub fn isr_view(view: &View) -> IsrView<'_> {
    IsrView {
        isr: &view.isr,
        leader_epoch: LeaderEpoch(view.leader_epoch),
        partition_epoch: view.partition_epoch,
    }
}

/// A batch with one record, its value in the base timestamp.
fn batch(offset: i64, record: SimRecord) -> Vec<u8> {
    let mut bytes = vec![0u8; HEADER_BYTES];
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[16] = 2;
    bytes[27..35].copy_from_slice(&record.value.to_be_bytes());
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    stamp(&mut bytes, Offset(offset), LeaderEpoch(record.epoch));
    bytes
}
