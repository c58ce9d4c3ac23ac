//! Nodes in this process, and a client that asks one thing at a time.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chronik_config::{ConfigFile, NodeConfig, Sources};
use chronik_env::Env;
use chronik_protocol::codec::Request;
use chronik_protocol::header;
use chronik_server::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything a test waits for is there long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test as a server runs.
pub fn multi_threaded(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test).await.unwrap();
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Several nodes; their data goes with the test.
pub struct Cluster {
    directory: PathBuf,
    voters: String,
    settings: Vec<String>,
    controller_ports: BTreeMap<i32, u16>,
    nodes: BTreeMap<i32, Node>,
}

/// A node that serves.
pub struct Node {
    pub id: i32,
    running: Running,
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Cluster {
    /// Nodes 1 to `count`, each a broker and a voter, with these settings.
    pub async fn start(count: i32, settings: &[&str]) -> Self {
        Self::of(count, "broker,controller", settings).await
    }

    /// Nodes 1 to `count`, each a voter with these roles.
    pub async fn of(count: i32, roles: &str, settings: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("chronik-cluster-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&directory);
        let controller_ports: BTreeMap<_, _> = (1..=count).map(|id| (id, free_port())).collect();
        let voters = controller_ports.iter().map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
        let mut cluster = Self {
            directory,
            voters: voters.collect::<Vec<_>>().join(","),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            controller_ports,
            nodes: BTreeMap::new(),
        };
        let ids: Vec<i32> = cluster.controller_ports.keys().copied().collect();
        let configs: Vec<_> = ids.iter().map(|id| cluster.config(*id, roles, &[])).collect();
        let starting = ids.iter().zip(&configs).map(|(id, config)| Node::start(*id, config));
        for node in futures_util::future::join_all(starting).await {
            cluster.nodes.insert(node.id, node);
        }
        cluster
    }

    fn config(&self, id: i32, roles: &str, settings: &[&str]) -> NodeConfig {
        let mut lines = vec![
            format!("node.id={id}"),
            format!("process.roles={roles}"),
            format!("controller.quorum.voters={}", self.voters),
            "controller.listener.names=CONTROLLER".to_owned(),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            format!("log.dirs={}", self.directory.join(id.to_string()).display()),
            "admin.listener=".to_owned(),
            "journal.file.bytes=16777216".to_owned(),
        ];
        let controller = |port| format!("CONTROLLER://127.0.0.1:{port}");
        let clients = "PLAINTEXT://127.0.0.1:0".to_owned();
        lines.push(match self.controller_ports.get(&id) {
            Some(port) if roles == "controller" => format!("listeners={}", controller(*port)),
            Some(port) => format!("listeners={clients},{}", controller(*port)),
            None => format!("listeners={clients}"),
        });
        lines.extend(self.settings.iter().cloned());
        lines.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let file = ConfigFile { path: PathBuf::from("test"), text: lines.join("\n") };
        let sources = Sources { file: Some(file), ..Sources::default() };
        chronik_config::parse(&sources).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    /// Adds a node with these roles.
    pub async fn add(&mut self, id: i32, roles: &str, settings: &[&str]) {
        let node = Node::start(id, &self.config(id, roles, settings)).await;
        self.nodes.insert(id, node);
    }

    /// Adds a node that names itself among the voters. Where it listens as one.
    pub async fn add_voter(&mut self, id: i32) -> u16 {
        let port = free_port();
        self.controller_ports.insert(id, port);
        self.voters = format!("{},{id}@127.0.0.1:{port}", self.voters);
        self.add(id, "broker,controller", &[]).await;
        port
    }

    pub async fn start_node(&mut self, id: i32) {
        let node = Node::start(id, &self.config(id, "broker,controller", &[])).await;
        self.nodes.insert(id, node);
    }

    pub async fn stop_node(&mut self, id: i32) {
        self.nodes.remove(&id).unwrap().running.stop().await;
    }

    pub fn node(&self, id: i32) -> &Node {
        &self.nodes[&id]
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Stops every node.
    pub async fn stop(mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        let stopping = nodes.into_values().map(|node| node.running.stop());
        futures_util::future::join_all(stopping).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Node {
    async fn start(id: i32, config: &NodeConfig) -> Self {
        let running = Running::start(Env::real(), config, 4_096, None).await;
        Self { id, running: running.unwrap_or_else(|error| panic!("node {id}: {error}")) }
    }

    /// Asks on a connection of its own. The answer's bytes are left behind: tests are short.
    pub async fn ask<R: Request<'static>>(
        &self,
        version: i16,
        request: &R,
    ) -> R::Response<'static> {
        let clients = self.running.listeners().iter().find(|info| info.name == "PLAINTEXT");
        let mut stream = TcpStream::connect(clients.unwrap().address).await.unwrap();
        let frame = header::encode_request(1, Some("test"), version, request).unwrap();
        stream.write_all(&frame).await.unwrap();
        let length = stream.read_i32().await.unwrap();
        let mut answer = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut answer).await.unwrap();
        header::decode_response::<R>(answer.leak(), version).unwrap().1
    }
}
