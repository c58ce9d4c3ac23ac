//! `chronik-server start`: a node from its configuration to its end.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    process,
    time::Duration,
};

use chronik_config::NodeConfig;
use chronik_env::Env;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{Exit, Running, cli::NodeArgs, config_command, logging::LogLevel, machine};

/// Blocking work that still runs when the node has stopped is left behind after this time.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Runs a node until it is told to stop or cannot go on.
pub(crate) fn run(args: &NodeArgs) -> Exit {
    let config = match config_command::load(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("chronik-server: {error}");
            return Exit::Configuration;
        }
    };
    let level = match LogLevel::install(config.log_format, &config.log_level) {
        Ok(level) => level,
        Err(error) => {
            eprintln!("chronik-server: log.level: {error}");
            return Exit::Configuration;
        }
    };
    for notice in &config.notices {
        tracing::info!("{notice}");
    }
    let runtime = match runtime_with(config.worker_threads) {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&error),
    };
    let exit = runtime.block_on(run_node(&config, level));
    runtime.shutdown_timeout(LEFTOVERS);
    exit
}

/// The runtime that everything of this node shares. With one thread nothing of it is handed from
/// thread to thread.
fn runtime_with(threads: Option<NonZeroUsize>) -> io::Result<Runtime> {
    let mut builder = match threads.map(NonZeroUsize::get) {
        Some(1) => Builder::new_current_thread(),
        Some(threads) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
        None => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn not_started(error: &dyn std::error::Error) -> Exit {
    tracing::error!("the node could not be started: {error}");
    Exit::NotStarted
}

async fn run_node(config: &NodeConfig, level: LogLevel) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return not_started(&error),
    };
    let open_files = machine::raise_open_files();
    let starting = Running::start(Env::real(), config, open_files, Some(level));
    let running = tokio::select! {
        started = starting => match started {
            Ok(running) => running,
            Err(error) => return not_started(&error),
        },
        name = signals.next() => {
            // Nothing has been acknowledged, so there is nothing to put in order.
            tracing::info!("{name} while starting: the node ends");
            return Exit::Done;
        }
    };
    announce(&running, config);
    until_the_end(running, signals).await
}

/// Tells whoever waits for it that clients can connect.
fn announce(running: &Running, config: &NodeConfig) {
    let addresses: Vec<_> = running
        .listeners()
        .iter()
        .map(|info| format!("{}://{}", info.name, info.address))
        .collect();
    let mut stdout = io::stdout().lock();
    // Nobody may be reading; the node runs nevertheless.
    let _ = writeln!(
        stdout,
        "chronik ready: node {} listening on {}",
        config.node_id,
        addresses.join(",")
    );
    let _ = stdout.flush();
}

async fn until_the_end(running: Running, mut signals: Signals) -> Exit {
    let signal = tokio::select! {
        reason = running.storage_stopped() => storage_stopped(&reason),
        signal = signals.next() => signal,
    };
    tracing::info!("{signal}: the node stops; a second signal ends it at once");
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::warn!("{name} again: the node ends at once");
        process::exit(Exit::Interrupted as i32);
    });
    running.stop().await;
    tracing::info!("the node has stopped");
    Exit::Done
}

/// Ends the process: nothing can be acknowledged any more, and memory may hold what disk does not.
fn storage_stopped(reason: &str) -> ! {
    tracing::error!("the storage has stopped: {reason}");
    process::exit(Exit::Storage as i32)
}

/// The signals that ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
