//! The world of a run: machines, network, time; and what happens to them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use chronik_env::{CrashKind, Latency, Rng};
use turmoil::{Builder, Sim};

use super::args::Args;
use super::checks;
use super::faults::{Fault, Host};
use super::history::{History, NodeId};
use super::node::{self, Machine, State, host_name};
use super::plan::Plan;
use super::replicas;
use super::trace;
use super::workload::{self, Phase, Stage};

/// One step of the world.
const TICK: Duration = Duration::from_millis(1);
/// No run is longer, in milliseconds of its own time.
const END: u64 = 400_000;

/// What a run came to.
pub enum Verdict {
    Passed,
    /// Nothing is wrong, but too little happened for that to mean anything.
    TooLittle(String),
    Found(String),
}

/// What must have happened, and how often, in a run that passes.
fn expected(plan: &Plan) -> Vec<(&'static str, u64)> {
    let crashes = plan.script.iter().filter(|(_, fault)| matches!(fault, Fault::Crash { .. }));
    let crashes = crashes.count() as u64;
    vec![
        ("acked", 20),
        ("seen", 20),
        ("topics", 1),
        ("elected", 1),
        ("crashed", crashes.min(3) / 2),
        ("started", plan.nodes + crashes.min(3) / 2),
    ]
}

struct World<'a> {
    sim: Sim<'a>,
    stage: Rc<Stage>,
    machines: Vec<Rc<Machine>>,
    /// How the next loss of power ends each machine, if it is to lose it.
    pending: Vec<Option<CrashKind>>,
    now: u64,
}

pub fn run(args: &Args) -> Verdict {
    let mut world = World::new(args);
    let verdict = world.run();
    if matches!(verdict, Verdict::Passed) && trace::violated().is_none() {
        checks::at_the_end(&world.stage.plan, &world.stage.history);
        if trace::violated().is_none() {
            replicas::compare(
                &world.machines,
                &world.stage.history,
                world.stage.plan.replication(),
            );
        }
    }
    for machine in &world.machines {
        let digest = machine.disk.borrow().digest();
        trace::note(&host_name(machine.id), format_args!("disk {digest:016x}"));
    }
    if let Some(what) = trace::violated() {
        return Verdict::Found(what);
    }
    match verdict {
        Verdict::Passed => {
            let missing = expected(&world.stage.plan)
                .into_iter()
                .filter(|(what, least)| trace::counted(what) < *least)
                .map(|(what, least)| format!("{what} {} of {least}", trace::counted(what)))
                .collect::<Vec<_>>();
            if missing.is_empty() { verdict } else { Verdict::TooLittle(missing.join(", ")) }
        }
        other => other,
    }
}

/// Calls `act` with the names of every pair of different hosts.
fn each_link(from: &[Host], to: &[Host], act: impl Fn(&str, &str)) {
    for a in from {
        for b in to.iter().filter(|b| *b != a) {
            act(&a.to_string(), &b.to_string());
        }
    }
}

impl World<'_> {
    fn new(args: &Args) -> Self {
        let rng = Rng::from_seed(args.seed);
        let plan = Plan::of(args);
        let mut sim = Builder::new()
            .rng_seed(rng.fork("network").u64())
            .epoch(SystemTime::UNIX_EPOCH)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(100_000))
            .min_message_latency(plan.network.0)
            .max_message_latency(plan.network.1)
            .tcp_capacity(1 << 12)
            .enable_random_order()
            .build();
        let mut machines = Vec::new();
        for id in 1..=plan.nodes {
            let machine = Rc::new(Machine::new(id, &rng, &plan));
            machine.disk.borrow().set_latency(plan.disk);
            machine.wall.store(trace::EPOCH, Ordering::Relaxed);
            let program = Rc::clone(&machine);
            sim.host(host_name(id), move || node::run(Rc::clone(&program)));
            machines.push(machine);
        }
        let history = Rc::new(History::default());
        let (phase, all_up) = (Cell::new(Phase::Setup), Cell::new(false));
        let stage = Rc::new(Stage { phase, all_up, plan, history });
        for host in 0..stage.plan.client_hosts {
            let (stage, rng) = (Rc::clone(&stage), rng.fork(&format!("clients {host}")));
            sim.host(format!("clients-{host}"), move || {
                workload::run(Rc::clone(&stage), rng.clone(), host)
            });
        }
        let pending = machines.iter().map(|_| None).collect();
        Self { sim, stage, machines, pending, now: 0 }
    }

    fn run(&mut self) -> Verdict {
        let mut script: VecDeque<_> = self.stage.plan.script.iter().cloned().collect();
        let mut chaos_begin = None;
        while self.stage.phase.get() != Phase::Done {
            if let Err(what) = self.step() {
                return Verdict::Found(what);
            }
            if self.stage.phase.get() == Phase::Chaos {
                let begin = *chaos_begin.get_or_insert(self.now);
                let since = Duration::from_millis(self.now - begin);
                while script.front().is_some_and(|(at, _)| *at <= since) {
                    if let Some((_, fault)) = script.pop_front() {
                        self.happen(fault);
                    }
                }
                if since >= self.stage.plan.chaos {
                    self.heal();
                }
            }
            self.fell();
            if self.stage.phase.get() == Phase::Healing {
                self.start_the_stopped();
            }
            if trace::violated().is_some() {
                return Verdict::Passed;
            }
            if self.now > END {
                return Verdict::Found("the run does not end".to_owned());
            }
        }
        Verdict::Passed
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += TICK.as_millis() as u64;
        trace::set_now(self.now);
        for machine in &self.machines {
            machine.wall.fetch_add(TICK.as_millis() as i64, Ordering::Relaxed);
        }
        self.sim.step().map(drop).map_err(|error| error.to_string())
    }

    fn machine(&self, node: NodeId) -> &Rc<Machine> {
        &self.machines[node as usize - 1]
    }

    fn note(&self, what: impl fmt::Display) {
        trace::note("WORLD", what);
    }

    fn happen(&mut self, fault: Fault) {
        self.note(&fault);
        match fault {
            Fault::Crash { nodes, kind } => {
                nodes.into_iter().for_each(|node| self.crash(node, kind));
            }
            Fault::CrashAfterCalls { node, calls, kind } => {
                if self.machine(node).state.get() != State::Down {
                    self.machine(node).disk.borrow().cut_power_after(calls);
                    self.pending[node as usize - 1] = Some(kind);
                }
            }
            Fault::Start { nodes } => nodes.into_iter().for_each(|node| self.start(node)),
            Fault::Stop { node } => {
                if matches!(self.machine(node).state.get(), State::Up | State::Starting) {
                    self.machine(node).ask_to_stop();
                }
            }
            Fault::SlowDisk { node, factor } => {
                let Latency { read, write, sync } = self.stage.plan.disk;
                let latency =
                    Latency { read: read * factor, write: write * factor, sync: sync * factor };
                self.machine(node).disk.borrow().set_latency(latency);
            }
            Fault::ClockJump { node, millis } => {
                self.machine(node).wall.fetch_add(millis, Ordering::Relaxed);
            }
            Fault::Pause { node, millis } => {
                self.machine(node).suspend(Duration::from_millis(millis));
            }
            Fault::Cut { from, to, both: true } => {
                each_link(&from, &to, |a, b| self.sim.partition(a, b));
            }
            Fault::Cut { from, to, both: false } => {
                each_link(&from, &to, |a, b| self.sim.partition_oneway(a, b));
            }
            Fault::Hold { from, to } => each_link(&from, &to, |a, b| self.sim.hold(a, b)),
            Fault::Mend { from, to } => each_link(&from, &to, |a, b| {
                self.sim.repair(a, b);
                self.sim.release(a, b);
            }),
            Fault::SlowLink { from, to, millis } => {
                let usual = self.stage.plan.network;
                each_link(&from, &to, |a, b| match millis {
                    0 => {
                        self.sim.set_link_latency(a, b, usual.0);
                        self.sim.set_link_max_message_latency(a, b, usual.1);
                    }
                    slow => self.sim.set_link_latency(a, b, Duration::from_millis(slow)),
                });
            }
            Fault::Wipe { node } => {
                self.crash(node, CrashKind::PowerCut);
                let machine = self.machine(node);
                machine.wipe();
                machine.disk.borrow().set_latency(self.stage.plan.disk);
                self.start(node);
            }
        }
    }

    /// Machines whose disk has lost its power end.
    fn fell(&mut self) {
        for at in 0..self.machines.len() {
            let machine = &self.machines[at];
            if machine.disk.borrow().has_power() {
                continue;
            }
            if let Some(kind) = self.pending[at] {
                let node = machine.id;
                self.note(format_args!("node {node} has no power, {kind:?}"));
                self.crash(node, kind);
            }
        }
    }

    fn crash(&mut self, node: NodeId, kind: CrashKind) {
        let machine = Rc::clone(self.machine(node));
        if machine.state.get() == State::Down {
            return;
        }
        let host = host_name(node);
        let others: Vec<String> = self.others(node);
        if kind == CrashKind::PowerCut {
            // Nobody is told: what the dying process still says does not leave the machine. A link
            // that was cut or held before is whole afterwards, which is a fault like others.
            others.iter().for_each(|other| self.sim.partition(host.as_str(), other.as_str()));
        }
        self.sim.crash(host.as_str());
        if kind == CrashKind::PowerCut {
            others.iter().for_each(|other| self.sim.repair(host.as_str(), other.as_str()));
        }
        machine.disk.borrow().crash(kind);
        machine.state.set(State::Down);
        self.pending[node as usize - 1] = None;
        trace::count("crashed");
        let digest = machine.disk.borrow().digest();
        trace::note(&host, format_args!("{kind:?}, disk {digest:016x}"));
    }

    /// Every other machine, clients' included.
    fn others(&self, node: NodeId) -> Vec<String> {
        let nodes = self.machines.iter().filter(|machine| machine.id != node);
        let nodes = nodes.map(|machine| host_name(machine.id));
        nodes.chain((0..self.stage.plan.client_hosts).map(|at| format!("clients-{at}"))).collect()
    }

    fn start(&mut self, node: NodeId) {
        let machine = Rc::clone(self.machine(node));
        match machine.state.get() {
            State::Down => {}
            // The process has ended; what it left running ends now.
            State::Ended => {
                machine.disk.borrow().crash(CrashKind::Process);
            }
            State::Up | State::Starting | State::Stopping => return,
        }
        machine.state.set(State::Starting);
        self.sim.bounce(host_name(node).as_str());
    }

    /// An orderly stop that was under way when the faults ended comes to its end, too.
    fn start_the_stopped(&mut self) {
        for at in 0..self.machines.len() {
            let machine = &self.machines[at];
            if machine.state.get() == State::Ended {
                self.start(machine.id);
            }
        }
        let all_up = self.machines.iter().all(|machine| machine.state.get() == State::Up);
        self.stage.all_up.set(all_up);
    }

    /// Ends all faults.
    fn heal(&mut self) {
        self.note("heals");
        let nodes = self.machines.iter().map(|machine| Host::Node(machine.id));
        let hosts: Vec<Host> =
            nodes.chain((0..self.stage.plan.client_hosts).map(Host::Clients)).collect();
        for (at, host) in hosts.iter().enumerate() {
            let (one, others) = (vec![*host], hosts[at + 1..].to_vec());
            self.happen(Fault::SlowLink { from: one.clone(), to: others.clone(), millis: 0 });
            self.happen(Fault::Mend { from: one, to: others });
        }
        for at in 0..self.machines.len() {
            let machine = Rc::clone(&self.machines[at]);
            self.pending[at] = None;
            machine.disk.borrow().set_latency(self.stage.plan.disk);
            machine.disk.borrow().keep_power();
            self.start(machine.id);
        }
        self.stage.phase.set(Phase::Healing);
    }
}
