//! Brokers, controller and network, and one random step after the other.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chronik_types::{BrokerId, ErrorCode, LeaderEpoch, Monotonic, TopicId, TopicPartition, Uuid};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::broker::{Broker, ConnId, Out, Role, isr_view};
use super::checks::{Checks, Violation};
use super::controller::{Controller, View};
use crate::{bugs, *};

pub const TP: TopicPartition = TopicPartition { topic_id: TopicId(Uuid([7; 16])), partition: 3 };
pub const LAG_MAX: Duration = Duration::from_secs(10);

/// A stream of a follower to a leader, both ways. What is on its way on a broken one may still
/// arrive until the receiver notices.
#[derive(Debug)]
struct Conn {
    follower: BrokerId,
    leader: BrokerId,
    up: VecDeque<(u16, Vec<u8>)>,
    live: VecDeque<(u16, Vec<u8>, Vec<u8>)>,
    catch_up: VecDeque<(u16, Vec<u8>, Vec<u8>)>,
    broken: bool,
    follower_noticed: bool,
    leader_noticed: bool,
}

/// A proposal on its way to the controller.
#[derive(Debug)]
struct Request {
    from: BrokerId,
    broker_epoch: i64,
    proposal: Proposal,
    /// The leader has given up on it: no answer.
    abandoned: bool,
}

#[derive(Debug)]
enum Verdict {
    Committed(View),
    Refused(ErrorCode),
    Unknown,
}

#[derive(Debug)]
struct Reply {
    to: BrokerId,
    broker_epoch: i64,
    leader_epoch: i32,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Deliver,
    Send,
    Sync,
    Produce,
    Metadata,
    Control,
    Tick,
    Connect,
    Notice,
    Housekeeping,
    Fault,
}

const ACTIONS: [(Action, u32); 11] = [
    (Action::Deliver, 100),
    (Action::Send, 40),
    (Action::Sync, 40),
    (Action::Produce, 20),
    (Action::Metadata, 20),
    (Action::Control, 20),
    (Action::Tick, 10),
    (Action::Connect, 10),
    (Action::Notice, 6),
    (Action::Housekeeping, 2),
    (Action::Fault, 2),
];

#[derive(Clone, Copy, Debug)]
enum Fault {
    Break,
    Crash,
    Restart,
    Pause,
    Fence,
    Unfence,
    Move,
}

const FAULTS: [(Fault, u32); 7] = [
    (Fault::Break, 3),
    (Fault::Crash, 2),
    (Fault::Restart, 3),
    (Fault::Pause, 1),
    (Fault::Fence, 1),
    (Fault::Unfence, 1),
    (Fault::Move, 1),
];

/// See the module.
#[derive(Debug)]
pub struct Cluster {
    rng: StdRng,
    /// Who appends is held up before it tells the leader's state.
    held_up: StdRng,
    now: Monotonic,
    min_isr: usize,
    /// How often what happens: other in every run, so that rare things are frequent in some.
    weights: Vec<(Action, u32)>,
    faults: Vec<(Fault, u32)>,
    /// Per cent of proposals whose outcome the leader does not learn.
    unknown: u32,
    /// Per cent of proposals that make another member lead.
    elects: u32,
    /// Per cent of crashes that take the disk with them.
    wipes: u32,
    brokers: Vec<Broker>,
    controller: Controller,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: ConnId,
    requests: Vec<Request>,
    replies: Vec<Reply>,
    checks: Checks,
    next_value: u64,
    /// What happened how often: a run in which nothing happens proves nothing.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Cluster {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let held_up = StdRng::seed_from_u64(!seed);
        let size = rng.random_range(3..=5);
        let ids: Vec<_> = (1..=size).map(BrokerId).collect();
        let min_isr = rng.random_range(1..=2);
        let mut vary = |weight: u32, factors: &[u32]| {
            let factor = factors[rng.random_range(0..factors.len())];
            weight * factor
        };
        let mut weights = ACTIONS.map(|(action, weight)| (action, vary(weight, &[1, 1, 2, 4])));
        let mut faults = FAULTS.map(|(fault, weight)| (fault, vary(weight, &[0, 1, 4])));
        faults[0].1 += 1;
        let unknown = [0, 5, 30][rng.random_range(0..3)];
        let elects = [0, 0, 10][rng.random_range(0..3)];
        let mut wipes = [0, 5, 40][rng.random_range(0..3)];
        if rng.random_range(0..5) == 0 {
            // Disks go, and their brokers come back before anybody has noticed.
            wipes = 60;
            faults = [
                (Fault::Break, 1),
                (Fault::Crash, 4),
                (Fault::Restart, 8),
                (Fault::Pause, 6),
                (Fault::Fence, 0),
                (Fault::Unfence, 2),
                (Fault::Move, 0),
            ];
            for (action, weight) in &mut weights {
                match action {
                    Action::Deliver => *weight = 30,
                    Action::Sync | Action::Connect => *weight = 60,
                    Action::Notice => *weight = 1,
                    Action::Fault => *weight = 12,
                    _ => {}
                }
            }
        }
        Self {
            now: Monotonic(Duration::from_secs(1000)),
            min_isr,
            weights: weights.to_vec(),
            faults: faults.to_vec(),
            unknown,
            elects,
            wipes,
            brokers: ids.iter().map(|id| Broker::new(*id)).collect(),
            controller: Controller::new(&ids),
            conns: BTreeMap::new(),
            next_conn: 1,
            requests: vec![],
            replies: vec![],
            checks: Checks::default(),
            next_value: 1,
            counts: BTreeMap::new(),
            rng,
            held_up,
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn any_broker(&mut self) -> usize {
        self.rng.random_range(0..self.brokers.len())
    }

    fn index(&self, id: BrokerId) -> usize {
        (id.0 - 1) as usize
    }

    /// One thing happens.
    pub fn step(&mut self) -> Result<(), Violation> {
        let at = self.any_broker();
        if self.held_up.random_range(0..4) == 0 {
            self.tell_end(at)?;
        }
        match self.pick(&self.weights.clone()) {
            Action::Deliver => self.deliver_any()?,
            Action::Send => self.send_any()?,
            Action::Sync => {
                let unsynced = self.brokers[at].log.unsynced();
                let count = self.rng.random_range(0..=unsynced);
                self.sync(at, count)?;
            }
            Action::Produce => self.produce(at)?,
            Action::Metadata => self.tell_metadata(at, false)?,
            Action::Control => self.control_any()?,
            Action::Tick => self.tick(Duration::from_millis(3000))?,
            Action::Connect => self.connect(at)?,
            Action::Notice => self.notice_any()?,
            Action::Housekeeping => self.housekeeping()?,
            Action::Fault => {
                let fault = self.pick(&self.faults.clone());
                self.fault(fault, at)?;
            }
        }
        self.checks.counted(&self.brokers)?;
        self.checks.electable(&self.controller, &self.brokers)
    }

    fn pick<T: Copy>(&mut self, weights: &[(T, u32)]) -> T {
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let mut point = self.rng.random_range(0..total);
        for (choice, weight) in weights {
            if point < *weight {
                return *choice;
            }
            point -= weight;
        }
        weights[0].0
    }

    /// Nothing goes wrong any more; everybody gets to do everything, again and again.
    pub fn settle(&mut self) -> Result<(), Violation> {
        (self.unknown, self.elects) = (0, 0);
        for at in 0..self.brokers.len() {
            self.brokers[at].paused = false;
            if !self.brokers[at].up {
                self.restart(at)?;
            }
            self.controller.unfence(self.brokers[at].id);
        }
        let mut outcome = Ok(());
        for round in 0..400 {
            for at in 0..self.brokers.len() {
                self.tell_metadata(at, true)?;
                self.connect(at)?;
                self.tell_end(at)?;
                let unsynced = self.brokers[at].log.unsynced();
                self.sync(at, unsynced)?;
                // At first nothing new comes that would hide what hangs.
                if round > 150 && round % 50 == 10 {
                    self.produce(at)?;
                }
            }
            for conn in self.conns.keys().copied().collect::<Vec<_>>() {
                self.notice(conn)?;
                let mut messages = 0;
                while self.deliver(conn)? {
                    messages += 1;
                    if messages > 1000 {
                        return Err("two that talk without an end".to_owned());
                    }
                }
                self.send(conn)?;
            }
            while self.control(0)? || self.reply(0)? {}
            self.tick(Duration::from_millis(300))?;
            self.checks.electable(&self.controller, &self.brokers)?;
            if round % 50 == 49 {
                outcome = self.checks.converged(&self.controller, &self.brokers);
                if outcome.is_ok() && round > 200 {
                    return Ok(());
                }
                if round == 149 && outcome.is_err() {
                    break;
                }
            }
        }
        outcome.map_err(|why| format!("no quiet after faults have stopped: {why}"))
    }

    fn run(&mut self, at: usize, out: Vec<Out>) -> Result<(), Violation> {
        for out in out {
            match out {
                Out::Propose(proposal) => {
                    let broker = &self.brokers[at];
                    let (from, broker_epoch) = (broker.id, broker.epoch);
                    self.note_proposal(&proposal);
                    self.requests.push(Request { from, broker_epoch, proposal, abandoned: false });
                }
                Out::ToLeader(conn, message) => {
                    self.checks.said(&message);
                    let (kind, head) = message.encode();
                    if let Some(conn) = self.conns.get_mut(&conn).filter(|conn| !conn.broken) {
                        conn.up.push_back((kind as u16, head));
                    }
                }
                Out::ToFollower(conn, message, path, payload) => {
                    let (kind, head) = message.encode();
                    if let Some(conn) = self.conns.get_mut(&conn).filter(|conn| !conn.broken) {
                        let queue = match path {
                            Path::Live => &mut conn.live,
                            Path::CatchUp => &mut conn.catch_up,
                        };
                        queue.push_back((kind as u16, head, payload));
                    }
                }
                Out::Close(conn) => {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.broken = true;
                    }
                }
                Out::Exposed => self.checks.exposed(&self.brokers[at])?,
                Out::Acknowledged { offset, value } => {
                    self.count("acknowledged");
                    self.checks.acknowledged(offset, value)?;
                }
                Out::Truncated { below_high_watermark } => {
                    self.count("truncations");
                    self.checks.cut(&self.brokers[at]);
                    if below_high_watermark {
                        return Err("cut below the high watermark".to_owned());
                    }
                }
                Out::Reset => {
                    self.count("resets");
                    self.checks.cut(&self.brokers[at]);
                }
                Out::Count(what) => {
                    self.count(what);
                    if what == "elections" {
                        self.checks.elected(&self.controller, &self.brokers[at])?;
                    }
                    if what == "unfit data" {
                        return Err("data that does not fit its subscription".to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    fn note_proposal(&mut self, proposal: &Proposal) {
        let now = self.controller.view().isr.len();
        match proposal.new_isr.len().cmp(&now) {
            std::cmp::Ordering::Less => self.count("removals"),
            std::cmp::Ordering::Equal => self.count("other proposals"),
            std::cmp::Ordering::Greater => self.count("additions"),
        }
    }

    fn produce(&mut self, at: usize) -> Result<(), Violation> {
        if !self.brokers[at].runs() {
            return Ok(());
        }
        let all = self.chance(80);
        let late = self.held_up.random_range(0..4) == 0;
        let mut out = vec![];
        if self.brokers[at].produce(self.now, self.next_value, all, late, &mut out) {
            self.next_value += 1;
        }
        self.run(at, out)
    }

    fn tell_end(&mut self, at: usize) -> Result<(), Violation> {
        let mut out = vec![];
        if self.brokers[at].runs() {
            self.brokers[at].tell_end(self.now, &mut out);
        }
        self.run(at, out)
    }

    fn sync(&mut self, at: usize, count: usize) -> Result<(), Violation> {
        let mut out = vec![];
        if self.brokers[at].runs() {
            self.brokers[at].sync(self.now, count, &mut out);
            if self.chance(30) {
                self.brokers[at].stored_high_watermark = self.brokers[at].high_watermark;
            }
        }
        self.run(at, out)
    }

    fn tell_metadata(&mut self, at: usize, newest: bool) -> Result<(), Violation> {
        let last = self.controller.newest();
        let broker = &mut self.brokers[at];
        if !broker.runs() || (broker.knows >= last && broker.leader_epoch().is_some()) {
            return Ok(());
        }
        broker.knows = if newest || self.rng.random_range(0..3) == 0 {
            last
        } else {
            (broker.knows + 1).min(last)
        };
        if broker.knows < broker.registered_at && !bugs::is("act_on_an_old_image") {
            return Ok(());
        }
        let view = self.controller.history[broker.knows].clone();
        let mut out = vec![];
        broker.on_view(self.now, &view, self.min_isr, &mut out);
        self.run(at, out)
    }

    fn tick(&mut self, most: Duration) -> Result<(), Violation> {
        self.now = self.now.after(most.mul_f64(self.rng.random_range(0.0..1.0)));
        for at in 0..self.brokers.len() {
            let now = self.now;
            let broker = &mut self.brokers[at];
            if !broker.runs() {
                continue;
            }
            let mut out = vec![];
            if let Role::Leading { leader, .. } = &mut broker.role
                && leader.next_deadline().is_some_and(|deadline| deadline <= now)
            {
                let effects = leader.on_deadline(now);
                broker.perform(effects, &mut out);
            }
            self.run(at, out)?;
        }
        Ok(())
    }

    fn connect(&mut self, at: usize) -> Result<(), Violation> {
        let broker = &self.brokers[at];
        let Role::Following { leader, conn: None, .. } = &broker.role else { return Ok(()) };
        let (leader, follower) = (*leader, broker.id);
        if !broker.runs() || !self.brokers[self.index(leader)].up {
            return Ok(());
        }
        let id = self.next_conn;
        self.next_conn += 1;
        let conn = Conn {
            follower,
            leader,
            up: VecDeque::new(),
            live: VecDeque::new(),
            catch_up: VecDeque::new(),
            broken: false,
            follower_noticed: false,
            leader_noticed: false,
        };
        self.conns.insert(id, conn);
        let mut out = vec![];
        self.brokers[at].on_connected(id, &mut out);
        self.run(at, out)
    }

    fn any_conn(&mut self) -> Option<ConnId> {
        if self.conns.is_empty() {
            return None;
        }
        let nth = self.rng.random_range(0..self.conns.len());
        self.conns.keys().nth(nth).copied()
    }

    fn deliver_any(&mut self) -> Result<(), Violation> {
        if let Some(conn) = self.any_conn() {
            self.deliver(conn)?;
        }
        Ok(())
    }

    /// One message arrives. Whether there was one.
    fn deliver(&mut self, id: ConnId) -> Result<bool, Violation> {
        let order = self.rng.random_range(0..3);
        for turn in 0..3 {
            let done = match (order + turn) % 3 {
                0 => self.deliver_up(id)?,
                1 => self.deliver_down(id, Path::Live)?,
                _ => self.deliver_down(id, Path::CatchUp)?,
            };
            if done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn deliver_up(&mut self, id: ConnId) -> Result<bool, Violation> {
        let Some(conn) = self.conns.get_mut(&id) else { return Ok(false) };
        let (leader, follower) = (conn.leader, conn.follower);
        let at = (leader.0 - 1) as usize;
        if conn.leader_noticed || !self.brokers[at].runs() {
            return Ok(false);
        }
        let Some((kind, head)) = conn.up.pop_front() else { return Ok(false) };
        let message = ToLeader::decode(kind, &head).unwrap();
        let mut out = vec![];
        self.brokers[at].on_to_leader(self.now, id, follower, message, &mut out);
        self.run(at, out)?;
        Ok(true)
    }

    fn deliver_down(&mut self, id: ConnId, path: Path) -> Result<bool, Violation> {
        let Some(conn) = self.conns.get_mut(&id) else { return Ok(false) };
        let at = (conn.follower.0 - 1) as usize;
        if conn.follower_noticed || !self.brokers[at].runs() {
            return Ok(false);
        }
        let queue = match path {
            Path::Live => &mut conn.live,
            Path::CatchUp => &mut conn.catch_up,
        };
        let Some((kind, head, payload)) = queue.pop_front() else { return Ok(false) };
        let message = ToFollower::decode(kind, &head).unwrap();
        let mut out = vec![];
        self.brokers[at].on_to_follower(id, message, Bytes::from(payload), &mut out);
        self.run(at, out)?;
        Ok(true)
    }

    fn send_any(&mut self) -> Result<(), Violation> {
        if let Some(conn) = self.any_conn() {
            self.send(conn)?;
        }
        Ok(())
    }

    fn send(&mut self, id: ConnId) -> Result<(), Violation> {
        let Some(conn) = self.conns.get(&id) else { return Ok(()) };
        let (at, to) = ((conn.leader.0 - 1) as usize, conn.follower);
        for path in [Path::Live, Path::CatchUp] {
            let most = self.rng.random_range(1..5);
            let mut out = vec![];
            if self.brokers[at].runs() {
                self.brokers[at].send(to, path, most, &mut out);
            }
            self.run(at, out)?;
        }
        Ok(())
    }

    fn notice_any(&mut self) -> Result<(), Violation> {
        match self.any_conn() {
            Some(conn) => self.notice(conn),
            None => Ok(()),
        }
    }

    /// Those who have not noticed that a stream broke do.
    fn notice(&mut self, id: ConnId) -> Result<(), Violation> {
        let Some(conn) = self.conns.get(&id).filter(|conn| conn.broken) else { return Ok(()) };
        let (follower, leader) = (self.index(conn.follower), self.index(conn.leader));
        if self.brokers[follower].runs() && !conn.follower_noticed {
            self.brokers[follower].on_broken(id);
            self.conns.get_mut(&id).unwrap().follower_noticed = true;
        }
        let conn = &self.conns[&id];
        if self.brokers[leader].runs() && !conn.leader_noticed {
            let mut out = vec![];
            self.brokers[leader].on_session_broken(self.now, id, &mut out);
            self.conns.get_mut(&id).unwrap().leader_noticed = true;
            self.run(leader, out)?;
        }
        let conn = &self.conns[&id];
        if conn.follower_noticed && conn.leader_noticed {
            self.conns.remove(&id);
        }
        Ok(())
    }

    fn control_any(&mut self) -> Result<(), Violation> {
        if !self.requests.is_empty() && self.chance(60) {
            let nth = self.rng.random_range(0..self.requests.len());
            if self.chance(self.unknown) {
                return self.lose_request(nth);
            }
            self.control(nth)?;
        } else if !self.replies.is_empty() {
            let nth = self.rng.random_range(0..self.replies.len());
            self.reply(nth)?;
        }
        Ok(())
    }

    /// The leader gives up on a proposal; it may still be carried out, or not.
    fn lose_request(&mut self, nth: usize) -> Result<(), Violation> {
        let late = self.chance(60);
        let request = &mut self.requests[nth];
        if !request.abandoned {
            let verdict = Verdict::Unknown;
            let reply = reply_to(request, verdict);
            self.replies.push(reply);
            request.abandoned = true;
            self.count("unknown outcomes");
        }
        if !late {
            self.requests.remove(nth);
        }
        Ok(())
    }

    /// The controller handles a proposal. Whether there was one.
    fn control(&mut self, nth: usize) -> Result<bool, Violation> {
        if nth >= self.requests.len() {
            return Ok(false);
        }
        let request = self.requests.remove(nth);
        let Request { from, broker_epoch, proposal, .. } = &request;
        let elects = self.chance(self.elects);
        let answer = self.controller.alter(*from, *broker_epoch, proposal, elects);
        if request.abandoned {
            if answer.is_ok() {
                self.count("late commits");
            }
            return Ok(true);
        }
        let verdict = match answer {
            Ok(view) => Verdict::Committed(view),
            Err(code) => {
                self.count("refusals");
                Verdict::Refused(code)
            }
        };
        self.replies.push(reply_to(&request, verdict));
        Ok(true)
    }

    fn reply(&mut self, nth: usize) -> Result<bool, Violation> {
        if nth >= self.replies.len() {
            return Ok(false);
        }
        let Reply { to, broker_epoch, leader_epoch, verdict } = self.replies.remove(nth);
        let at = self.index(to);
        let broker = &mut self.brokers[at];
        let mut out = vec![];
        if broker.up && broker.epoch == broker_epoch {
            let answer = match &verdict {
                Verdict::Committed(view) => AlterAnswer::Committed(isr_view(view)),
                Verdict::Refused(code) => AlterAnswer::Refused(*code),
                Verdict::Unknown => AlterAnswer::Unknown,
            };
            if let Role::Leading { leader, .. } = &mut broker.role {
                let effects = leader.on_alter_answer(self.now, LeaderEpoch(leader_epoch), answer);
                broker.perform(effects, &mut out);
            }
        }
        self.run(at, out)?;
        Ok(true)
    }

    /// A leader forgets old records, or reads that are in memory.
    fn housekeeping(&mut self) -> Result<(), Violation> {
        let at = self.any_broker();
        // Often all that may go.
        let fraction = self.rng.random_range(0.0f64..1.4).min(1.0);
        let deletes = self.chance(20);
        let now = self.now;
        let broker = &mut self.brokers[at];
        let mut out = vec![];
        if broker.runs()
            && let Role::Leading { leader, tail_start, .. } = &mut broker.role
        {
            let start = broker.log.start();
            let up_to = |end: i64| start + ((end - start) as f64 * fraction) as i64;
            if deletes {
                let to = up_to(leader.high_watermark().0);
                broker.log.set_start(to);
                let effects = leader.set_log_start(now, chronik_types::Offset(to));
                broker.perform(effects, &mut out);
            } else {
                *tail_start = (*tail_start).max(up_to(broker.log.end()));
            }
        }
        self.run(at, out)
    }

    fn fault(&mut self, fault: Fault, at: usize) -> Result<(), Violation> {
        let id = self.brokers[at].id;
        match fault {
            Fault::Break => {
                if let Some(conn) = self.any_conn() {
                    self.break_conn(conn);
                }
            }
            Fault::Crash if self.brokers[at].up => self.crash(at)?,
            Fault::Restart if !self.brokers[at].up => self.restart(at)?,
            Fault::Crash | Fault::Restart => {}
            Fault::Pause => self.brokers[at].paused = !self.brokers[at].paused,
            Fault::Fence => {
                self.controller.fence(id);
                self.count("fencings");
            }
            Fault::Unfence if self.brokers[at].up => self.controller.unfence(id),
            Fault::Unfence => {}
            Fault::Move => self.controller.move_leadership(id),
        }
        Ok(())
    }

    fn break_conn(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.broken = true;
        // What is behind some point never arrives.
        conn.up.truncate(self.rng.random_range(0..=conn.up.len()));
        conn.live.truncate(self.rng.random_range(0..=conn.live.len()));
        conn.catch_up.truncate(self.rng.random_range(0..=conn.catch_up.len()));
    }

    fn crash(&mut self, at: usize) -> Result<(), Violation> {
        let id = self.brokers[at].id;
        self.count("crashes");
        let conns: Vec<_> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.follower == id || conn.leader == id)
            .map(|(id, _)| *id)
            .collect();
        for conn in conns {
            self.break_conn(conn);
            let conn = self.conns.get_mut(&conn).unwrap();
            conn.follower_noticed |= conn.follower == id;
            conn.leader_noticed |= conn.leader == id;
        }
        let survivors = self.brokers.iter().any(|other| {
            other.id != id
                && !other.wiped
                && self.controller.view().isr.contains(&other.id)
                && self.controller.is_active(other.id)
        });
        let wipes = survivors && self.chance(self.wipes);
        let unsynced = self.brokers[at].log.unsynced();
        let survive = self.rng.random_range(0..=unsynced);
        let broker = &mut self.brokers[at];
        broker.up = false;
        broker.paused = false;
        broker.role = Role::None;
        broker.log.crash(survive);
        broker.high_watermark =
            broker.stored_high_watermark.min(broker.log.end()).max(broker.log.start());
        if wipes {
            broker.log.wipe();
            broker.wiped = true;
            broker.high_watermark = 0;
            broker.stored_high_watermark = 0;
            self.controller.fence(id);
            self.count("wipes");
        }
        self.checks.cut(&self.brokers[at]);
        Ok(())
    }

    fn restart(&mut self, at: usize) -> Result<(), Violation> {
        let id = self.brokers[at].id;
        let lossy = self.brokers[at].wiped;
        let epoch = self.controller.register(id, lossy);
        let newest = self.controller.newest();
        let broker = &mut self.brokers[at];
        broker.up = true;
        broker.wiped = false;
        broker.epoch = epoch;
        broker.registered_at = newest;
        // The image may be older than what was acted upon before.
        broker.knows = self.rng.random_range(0..=broker.knows);
        broker.ids = SubscriptionIds::starting_at(self.rng.random());
        Ok(())
    }
}

fn reply_to(request: &Request, verdict: Verdict) -> Reply {
    Reply {
        to: request.from,
        broker_epoch: request.broker_epoch,
        leader_epoch: request.proposal.leader_epoch.0,
        verdict,
    }
}
