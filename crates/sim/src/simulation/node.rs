//! A broker as a simulated machine: what of it survives a crash, and its program.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use chronik_config::{ConfigFile, NodeConfig, Sources};
use chronik_env::{Env, Rng, SimClock, SimDisk};
use chronik_server::Running;
use tokio::sync::Notify;

use super::history::NodeId;
use super::plan::{Plan, Sizes};
use super::trace;

/// Where clients connect.
pub const CLIENT_PORT: u16 = 9092;
/// Where the nodes that vote on the metadata meet.
pub const CONTROLLER_PORT: u16 = 9093;
/// Files a node may have open: segments and connections.
const OPEN_FILES: usize = 1024;

/// The name of a broker's machine.
pub fn host_name(node: NodeId) -> String {
    format!("node-{node}")
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no process.
    Down,
    /// Its process starts.
    Starting,
    /// It serves.
    Up,
    /// It was asked to stop.
    Stopping,
    /// Its process has ended by itself.
    Ended,
}

/// One machine.
pub struct Machine {
    pub id: NodeId,
    pub disk: RefCell<SimDisk>,
    /// The wall's clock, in milliseconds.
    pub wall: Arc<AtomicI64>,
    pub state: Cell<State>,
    properties: String,
    pub sizes: Sizes,
    rng: Rng,
    boots: Cell<u64>,
    stop: Notify,
    /// How long the machine is suspended, once it is told.
    paused: Cell<Duration>,
    pause: Notify,
}

impl Machine {
    pub fn new(id: NodeId, rng: &Rng, plan: &Plan) -> Self {
        let rng = rng.fork(&host_name(id));
        Self {
            id,
            disk: RefCell::new(SimDisk::new(rng.fork("disk").u64())),
            wall: Arc::default(),
            state: Cell::new(State::Starting),
            properties: plan.properties(id),
            sizes: plan.sizes,
            boots: Cell::new(0),
            stop: Notify::new(),
            paused: Cell::default(),
            pause: Notify::new(),
            rng,
        }
    }

    /// Asks the process to stop in order.
    pub fn ask_to_stop(&self) {
        self.state.set(State::Stopping);
        self.stop.notify_one();
    }

    /// Suspends the machine: when it goes on, all its timers are later.
    pub fn suspend(&self, duration: Duration) {
        self.paused.set(duration);
        self.pause.notify_one();
    }

    /// Replaces the disk by an empty one.
    pub fn wipe(&self) {
        let number = self.boots.get();
        let disk = SimDisk::new(self.rng.fork(&format!("disk of boot {number}")).u64());
        *self.disk.borrow_mut() = disk;
    }

    pub fn config(&self) -> NodeConfig {
        let file = ConfigFile { path: "server.properties".into(), text: self.properties.clone() };
        let sources = Sources { file: Some(file), ..Sources::default() };
        let mut config = match chronik_config::parse(&sources) {
            Ok(config) => config,
            Err(errors) => panic!("the simulator's configuration: {errors:?}"),
        };
        config.journal.file_bytes = self.sizes.journal_file_bytes;
        config.journal.max_bytes = self.sizes.journal_max_bytes;
        config.memory.unflushed_bytes = self.sizes.unflushed_bytes;
        config.memory.cached_bytes = self.sizes.cached_bytes;
        config.cluster.snapshot_every = self.sizes.snapshot_every;
        config
    }

    fn environment(&self) -> Env {
        let boot = self.boots.get();
        self.boots.set(boot + 1);
        Env {
            disk: Arc::new(self.disk.borrow().clone()),
            clock: Arc::new(SimClock::new(Arc::clone(&self.wall))),
            rng: self.rng.fork(&format!("boot {boot}")),
        }
    }

    fn has_power(&self) -> bool {
        self.disk.borrow().has_power()
    }
}

/// The program of a broker's machine.
pub async fn run(machine: Rc<Machine>) -> turmoil::Result {
    let host = host_name(machine.id);
    machine.state.set(State::Starting);
    let env = machine.environment();
    // An order to stop that the process before did not live to see.
    let _ = futures_now(machine.stop.notified());
    let _ = futures_now(machine.pause.notified());
    tokio::task::spawn_local(pauses(Rc::clone(&machine)));
    let config = machine.config();
    trace::note(&host, format_args!("starts, boot {}", machine.boots.get()));
    let started = tokio::select! {
        biased;
        () = machine.stop.notified() => None,
        started = Running::start(env, &config, OPEN_FILES, None) => Some(started),
    };
    let running = match started {
        Some(Ok(running)) => running,
        Some(Err(error)) => {
            trace::note(&host, format_args!("cannot start: {error}"));
            if machine.has_power() {
                trace::violation(format_args!("{host} cannot start: {error}"));
            }
            machine.state.set(State::Ended);
            return Ok(());
        }
        None => {
            trace::note(&host, "stopped while starting");
            machine.state.set(State::Ended);
            return Ok(());
        }
    };
    if machine.state.get() == State::Starting {
        machine.state.set(State::Up);
    }
    trace::count("started");
    trace::note(&host, "serves");
    let reason = tokio::select! {
        biased;
        reason = running.storage_stopped() => Some(reason),
        () = machine.stop.notified() => None,
    };
    match reason {
        Some(reason) => {
            trace::note(&host, format_args!("storage stopped: {reason}"));
            if machine.has_power() {
                trace::violation(format_args!("the storage of {host} stopped: {reason}"));
            }
        }
        None => {
            running.stop().await;
            trace::count("stopped");
            trace::note(&host, "stopped in order");
        }
    }
    machine.state.set(State::Ended);
    Ok(())
}

/// Lets the time of this runtime jump whenever the machine is suspended.
async fn pauses(machine: Rc<Machine>) {
    loop {
        machine.pause.notified().await;
        tokio::time::advance(machine.paused.take()).await;
    }
}

/// Polls a future once.
fn futures_now(future: impl Future<Output = ()>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut context).is_ready()
}
