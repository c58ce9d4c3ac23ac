//! `chronik-server start`: a node from its configuration to its end.

use std::{
    io::{self, Write},
    process,
    sync::Arc,
    time::Duration,
};

use chronik_broker::Node;
use chronik_config::NodeConfig;
use chronik_env::Env;
use chronik_net::{ListenerInfo, Server};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{RwLock, oneshot},
};

use crate::{
    Exit,
    cli::NodeArgs,
    config_command,
    http::{self, Admin},
    logging::LogLevel,
    machine,
    net_metrics::NetMetrics,
    options,
};

/// Blocking work that still runs when the node has stopped is left behind after this time.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the runtime could not be started: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Bind(#[from] chronik_net::BindError),
    #[error(transparent)]
    Admin(#[from] http::AdminBindError),
    #[error(transparent)]
    Node(#[from] chronik_broker::StartError),
}

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
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&StartError::Runtime(error)),
    };
    let exit = runtime.block_on(run_node(&config, level));
    runtime.shutdown_timeout(LEFTOVERS);
    exit
}

fn not_started(error: &StartError) -> Exit {
    tracing::error!("the node could not be started: {error}");
    Exit::NotStarted
}

async fn run_node(config: &NodeConfig, level: LogLevel) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return not_started(&StartError::Runtime(error)),
    };
    let starting = start(config, level);
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
    running.announce(config);
    running.until_the_end(signals).await
}

/// A node that serves.
struct Running {
    node: Arc<RwLock<Option<Node>>>,
    listeners: Vec<Arc<ListenerInfo>>,
    stop_serving: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
}

async fn start(config: &NodeConfig, level: LogLevel) -> Result<Running, StartError> {
    let env = Env::real();
    let open_files = machine::raise_open_files();
    let server = Server::bind(options::net(config, open_files), &env).await?;
    let node = Arc::new(RwLock::new(None));
    if let Some((host, port)) = &config.admin_listener {
        let listener = http::bind(host, *port).await?;
        tokio::spawn(http::serve(listener, Admin { node: Arc::clone(&node), level }));
    }
    let listeners = server.listeners();
    let started = Node::start(env, options::broker(config, &listeners, open_files)).await?;
    let counters = NetMetrics { metrics: server.metrics(), memory: server.memory() };
    started.register_metrics(Box::new(counters));
    let (stop_serving, asked) = oneshot::channel();
    let serving = tokio::spawn(server.serve(started.service(), async {
        // An error means that the other side is gone, which is as good a reason to stop.
        let _ = asked.await;
    }));
    *node.write().await = Some(started);
    Ok(Running { node, listeners, stop_serving, serving })
}

impl Running {
    /// Tells whoever waits for it that clients can connect.
    fn announce(&self, config: &NodeConfig) {
        let addresses: Vec<_> =
            self.listeners.iter().map(|info| format!("{}://{}", info.name, info.address)).collect();
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

    async fn until_the_end(self, mut signals: Signals) -> Exit {
        let signal = {
            let node = self.node.read().await;
            let stopped = async {
                match &*node {
                    Some(node) => node.stopped().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                reason = stopped => storage_stopped(&reason),
                signal = signals.next() => signal,
            }
        };
        tracing::info!("{signal}: the node stops; a second signal ends it at once");
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::warn!("{name} again: the node ends at once");
            process::exit(Exit::Interrupted as i32);
        });
        self.stop().await;
        tracing::info!("the node has stopped");
        Exit::Done
    }

    /// Finishes requests in flight, then stops the node in order.
    async fn stop(self) {
        let _ = self.stop_serving.send(());
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "serving ended abnormally");
        }
        if let Some(node) = self.node.write().await.take() {
            node.shutdown().await;
        }
    }
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
