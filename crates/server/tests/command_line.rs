//! The command-line contract, on the real binary: what it prints where, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as expected"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronik-server"));
    command.env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    binary().args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chronik-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A node on ports of its own.
struct Node {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Node {
    fn start(directory: &Directory) -> Self {
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut child = binary()
            .args(["start", "--override", "listeners=PLAINTEXT://127.0.0.1:0"])
            .args(["--override", &format!("admin.listener={admin}"), "--data-dir"])
            .arg(&directory.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("chronik ready: node 1 listening on PLAINTEXT://")
            .unwrap_or_else(|| panic!("not the ready line: {line:?}"))
            .parse()
            .unwrap();
        Self { child, stdout, address, admin }
    }

    /// One HTTP exchange with the admin listener: the status line and the body.
    fn admin(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end: the exit code, and what else went to standard output.
    fn end(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Node {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_says_once_that_it_is_ready_and_stops_in_order_when_told() {
    let directory = Directory::new("ready");
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Node::start(&directory);
        TcpStream::connect(node.address).unwrap();
        node.signal(signal);
        assert_eq!(node.end(), (Some(0), String::new()));
    }
}

#[test]
fn the_admin_listener_tells_health_metrics_and_the_log_level() {
    let directory = Directory::new("admin");
    let mut node = Node::start(&directory);
    assert_eq!(node.admin("GET", "/livez", "").0, "HTTP/1.1 200 OK");
    assert_eq!(node.admin("GET", "/readyz", "").0, "HTTP/1.1 200 OK");
    assert_eq!(node.admin("POST", "/flush", "").0, "HTTP/1.1 200 OK");
    let (status, metrics) = node.admin("GET", "/metrics", "");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(metrics.contains("chronik_connections_open"), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    assert!(node.admin("GET", "/loglevel", "").1.contains("info"));
    assert_eq!(node.admin("PUT", "/loglevel", "warn,chronik_net=debug").0, "HTTP/1.1 200 OK");
    assert!(node.admin("GET", "/loglevel", "").1.contains("chronik_net=debug"));
    assert_eq!(node.admin("PUT", "/loglevel", "loud=very").0, "HTTP/1.1 400 Bad Request");
    node.signal(Signal::TERM);
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn a_second_node_on_the_same_directory_is_refused() {
    let directory = Directory::new("second");
    let mut first = Node::start(&directory);
    let mut second = binary()
        .args(["--override", "listeners=PLAINTEXT://127.0.0.1:0", "--override", "admin.listener="])
        .arg("--data-dir")
        .arg(&directory.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(second.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        second.kill().unwrap();
        panic!("the second node has started: {line}");
    }
    let second = second.wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("Stop the other one"), "{}", stderr(&second));
    first.signal(Signal::TERM);
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let directory = Directory::new("port");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    for key in ["listeners=PLAINTEXT://127.0.0.1:", "admin.listener=127.0.0.1:"] {
        let output = binary()
            .args(["start", "--override", "listeners=PLAINTEXT://127.0.0.1:0"])
            .args(["--override", "admin.listener=", "--override", &format!("{key}{port}")])
            .arg("--data-dir")
            .arg(&directory.0)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&format!("127.0.0.1:{port}")), "{}", stderr(&output));
    }
}

#[test]
fn a_wrong_configuration_is_told_whole_and_starts_nothing() {
    let output = run(&["--override", "num.partition=1", "--override", "listeners=SSL://x:1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let said = stderr(&output);
    assert!(said.contains("did you mean `num.partitions`?"), "{said}");
    assert!(said.contains("this release serves PLAINTEXT"), "{said}");

    let output = run(&["config", "--config", "/no/such/file"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("cannot read /no/such/file"), "{}", stderr(&output));

    let output = run(&["start", "--override", "log.level=loud=very"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_wrong_configuration() {
    assert_eq!(run(&["begin"]).status.code(), Some(2));
}

#[test]
fn config_prints_every_key_with_the_environment_heeded() {
    let output = binary().arg("config").env("KAFKA_NUM_PARTITIONS", "7").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let table = String::from_utf8(output.stdout).unwrap();
    let line = table.lines().find(|line| line.starts_with("num.partitions ")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells, ["num.partitions", "INT", "1", "7", "environment", "KAFKA_NUM_PARTITIONS"]);

    let json = run(&["config", "--format", "json"]).stdout;
    let rows: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), table.lines().count() - 1);
}

#[test]
fn a_journal_can_be_inspected_and_is_not_touched_while_its_node_runs() {
    let directory = Directory::new("journal");
    let journal = |verb| {
        let mut command = binary();
        command.args(["journal", verb, "--data-dir"]).arg(&directory.0).output().unwrap()
    };
    assert_eq!(journal("inspect").status.code(), Some(1));

    let mut node = Node::start(&directory);
    let refused = journal("skip");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("the node runs"), "{}", stderr(&refused));
    node.signal(Signal::TERM);
    assert_eq!(node.end().0, Some(0));

    let seen = String::from_utf8(journal("inspect").stdout).unwrap();
    assert!(seen.contains("group 1"), "{seen}");
    let skipped = journal("skip");
    assert_eq!(skipped.status.code(), Some(0), "{}", stderr(&skipped));
    assert_eq!(skipped.stdout, b"nothing is damaged; nothing is skipped\n");
}

#[test]
fn a_cluster_tells_its_state_as_a_table_and_as_json() {
    let directory = Directory::new("cluster");
    let mut node = Node::start(&directory);
    let nowhere = free_port();
    let bootstrap = format!("127.0.0.1:{nowhere},{}", node.address);
    let table = run(&["cluster", "status", "--bootstrap", &bootstrap]);
    assert_eq!(table.status.code(), Some(0), "{}", stderr(&table));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("leader 1, term 1"), "{table}");
    assert!(table.contains("1     broker,controller  active  leader    0"), "{table}");
    assert!(table.ends_with("0 partitions, 0 without a leader, 0 under-replicated\n"), "{table}");
    let json = run(&["cluster", "status", "--format", "json", "--bootstrap", &bootstrap]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["nodes"][0]["address"], node.address.to_string());
    node.signal(Signal::TERM);
    assert_eq!(node.end().0, Some(0));

    let away = run(&["cluster", "status", "--bootstrap", &bootstrap]);
    assert_eq!(away.status.code(), Some(1));
    assert!(stderr(&away).contains(&format!("127.0.0.1:{nowhere}: ")), "{}", stderr(&away));
    assert_eq!(run(&["cluster", "status", "--bootstrap", "x"]).status.code(), Some(2));
}

#[test]
fn version_is_one_line() {
    let output = run(&["version"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("chronik-server ") && text.lines().count() == 1, "{text}");
}
