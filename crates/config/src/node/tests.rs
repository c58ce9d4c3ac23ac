//! Whole configurations: what comes of them, and what is said when nothing can.

mod cluster;

use super::*;
use crate::{ConfigFile, Machine, rows};

fn sources(file: &str, environment: &[(&str, &str)], overrides: &[&str]) -> Sources {
    Sources {
        file: Some(ConfigFile { path: "server.properties".into(), text: file.into() }),
        environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        overrides: overrides.iter().map(|text| (*text).into()).collect(),
        ..Sources::default()
    }
}

fn from_file(file: &str) -> NodeConfig {
    parse(&sources(file, &[], &[])).unwrap()
}

/// The faults of a configuration file, one per line.
fn faults(file: &str) -> String {
    let errors = parse(&sources(file, &[], &[])).unwrap_err();
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_set_is_one_node_on_the_loopback() {
    let config = parse(&Sources::default()).unwrap();
    assert_eq!(config.node_id, BrokerId(1));
    let listener = Listener {
        name: "PLAINTEXT".into(),
        host: "127.0.0.1".into(),
        port: 9092,
        advertised_host: "127.0.0.1".into(),
        advertised_port: 9092,
        controller: false,
        internal: false,
    };
    assert_eq!(config.listeners, [listener]);
    assert_eq!(config.admin_listener, Some(("127.0.0.1".into(), 9644)));
    assert_eq!(config.log_dirs, [PathBuf::from("./data")]);
    assert!(config.auto_create_topics);
    assert_eq!(config.static_configs, ConfigMap::new());
    assert_eq!(config.notices, [] as [String; 0]);
}

#[test]
fn the_later_source_wins() {
    let file = "num.partitions=1\nlog.retention.hours=1\nbroker.rack=a";
    let environment = [("KAFKA_NUM_PARTITIONS", "2"), ("KAFKA_BROKER_RACK", "b"), ("HOME", "/")];
    let mut sources = sources(file, &environment, &["num.partitions=3", "log.dirs=/a"]);
    sources.data_dir = Some("/b".into());
    let config = parse(&sources).unwrap();
    assert_eq!(config.static_configs["num.partitions"], "3");
    assert_eq!(config.rack.as_deref(), Some("b"));
    assert_eq!(config.log_dirs, [PathBuf::from("/b")]);
    assert_eq!(config.static_configs["log.retention.hours"], "1");
}

#[test]
fn all_faults_are_reported_together_each_with_its_place() {
    let file = "num.partitions=x\n\nlistner=PLAINTEXT://:9092\nlog.dirs=\\u12\nretention.ms=5\n";
    let errors = parse(&sources(file, &[("KAFKA_NO_SUCH_THING", "1")], &["nonsense"])).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 6, "{errors:#?}");
    assert!(
        errors[0]
            .starts_with("server.properties:1: Invalid value x for configuration num.partitions")
    );
    assert_eq!(errors[1], "server.properties:3: unknown key `listner`; did you mean `listeners`?");
    assert!(errors[2].starts_with("server.properties:4: \\u is followed by"));
    assert!(errors[3].ends_with("unknown key `retention.ms`; did you mean `log.retention.ms`?"));
    assert_eq!(errors[4], "environment KAFKA_NO_SUCH_THING: unknown key `no.such.thing`");
    assert_eq!(errors[5], "--override: `nonsense` is not of the form key=value");
}

#[test]
fn an_address_that_no_client_can_reach_is_not_advertised() {
    for host in ["0.0.0.0", "[::]"] {
        let said = faults(&format!("listeners=PLAINTEXT://{host}:9092"));
        assert!(said.contains("set advertised.listeners=PLAINTEXT://<"), "{said}");
        let said = faults(&format!("advertised.listeners=PLAINTEXT://{host}:9092"));
        assert!(said.starts_with("server.properties:1: `advertised.listeners`"), "{said}");
        let config = from_file(&format!(
            "listeners=PLAINTEXT://{host}:9092\nadvertised.listeners=PLAINTEXT://kafka.example:19092"
        ));
        let listener = &config.listeners[0];
        assert_eq!(listener.host, host.trim_matches(['[', ']']));
        assert_eq!(
            (listener.advertised_host.as_str(), listener.advertised_port),
            ("kafka.example", 19092)
        );
    }
}

#[test]
fn a_listener_without_host_advertises_the_machines_name() {
    let mut sources = sources("listeners=PLAINTEXT://:9092", &[], &[]);
    sources.machine = Machine { host_name: Some("box".into()), ..Machine::default() };
    let config = parse(&sources).unwrap();
    assert_eq!(config.listeners[0].host, "");
    assert_eq!(config.listeners[0].advertised_host, "box");
}

#[test]
fn advertised_listeners_alone_are_bound_on_every_address() {
    let config = from_file("advertised.listeners=PLAINTEXT://kafka:9092");
    assert_eq!((config.listeners[0].host.as_str(), config.listeners[0].port), ("", 9092));
}

#[test]
fn kafkas_own_sample_file_is_understood() {
    let config = from_file(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.bootstrap.servers=localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
         inter.broker.listener.name=PLAINTEXT\n\
         advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\n\
         num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n\
         socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\n\
         log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n\
         num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         log.retention.hours=168\nlog.segment.bytes=1073741824\n\
         log.retention.check.interval.ms=300000\n",
    );
    let [client, controller] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert!(!client.controller && !client.internal);
    assert_eq!(client.advertised().to_string(), "localhost:9092");
    assert!(controller.controller && controller.internal);
    let alone = Voter { id: BrokerId(1), address: controller.advertised() };
    assert_eq!(config.cluster.quorum.voters, [alone]);
    assert_eq!(config.cluster.inter_broker_listener.as_deref(), Some("PLAINTEXT"));
    assert_eq!(config.notices, [] as [String; 0]);
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    for (file, words) in [
        ("listeners=SSL://localhost:9092", "listener SSL asks for SSL, which is not there yet"),
        ("listeners=OUTSIDE://localhost:9092", "add OUTSIDE:PLAINTEXT"),
        ("authorizer.class.name=x.Y", "access control is not there yet"),
        ("remote.log.storage.system.enable=true", "the remote tier is not there yet"),
    ] {
        let said = faults(file);
        assert!(said.contains(words), "{file}: {said}");
        assert_eq!(said.lines().count(), 1, "{file}: {said}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (file, words) in [
        ("node.id=1\nbroker.id=2", "server.properties:2: `broker.id`: 2 contradicts node.id=1"),
        ("listeners=PLAINTEXT", "`PLAINTEXT` is not of the form NAME://host:port"),
        ("listeners=PLAINTEXT://a:1,PLAINTEXT://a:2", "two listeners are named PLAINTEXT"),
        ("listeners=PLAINTEXT://a:70000", "not of the form"),
        ("advertised.listeners=X://a:1\nlisteners=PLAINTEXT://a:1", "`X` names no listener"),
        ("log.dirs=/a,/a", "a directory is named twice"),
        ("log.dirs=/a,", "a directory's name is empty"),
        ("journal.max.bytes=134217728", "less than four files"),
        ("admin.listener=9644", "`9644` is not of the form host:port"),
        ("max.connections.per.ip.overrides=host:3", "not of the form address:count"),
        ("group.min.session.timeout.ms=1800001", "longer than group.max.session.timeout.ms"),
        ("inter.broker.listener.name=X", "`X` is no listener"),
    ] {
        let said = faults(file);
        assert!(said.contains(words), "{file}: {said}");
    }
}

#[test]
fn special_values_mean_what_they_mean_in_kafka() {
    let config = from_file(
        "broker.id=7\nconnections.max.idle.ms=-1\nmax.connections.per.ip.overrides=10.0.0.1:5,[::1]:6\n\
         admin.listener=\nqueued.max.request.bytes=50000000\ncontroller.quorum.voters=7@host:9093",
    );
    assert_eq!(config.node_id, BrokerId(7));
    assert_eq!(config.network.connections_max_idle, None);
    assert_eq!(config.network.connections_per_ip_overrides[&"::1".parse::<IpAddr>().unwrap()], 6);
    assert_eq!(config.admin_listener, None);
    assert_eq!(config.memory.request_bytes, 50_000_000);
}

#[test]
fn the_table_shows_every_key_with_its_value_and_place() {
    let file = "log.retention.hours=2\nbroker.id=4\nssl.keystore.password=secret";
    let rows = rows(&parse(&sources(file, &[], &["num.partitions=3"])).unwrap());
    assert_eq!(rows.len(), crate::keys::broker_keys().count());
    let row = |key| {
        let row = rows.iter().find(|row| row.key == key).unwrap();
        (row.value.as_deref(), row.source.as_str())
    };
    assert_eq!(row("num.partitions"), (Some("3"), "--override"));
    assert_eq!(row("log.retention.hours"), (Some("2"), "server.properties:1"));
    assert_eq!(row("node.id"), (Some("4"), "derived"));
    assert_eq!(row("ssl.keystore.password"), (Some("[hidden]"), "server.properties:3"));
    assert_eq!(row("log.segment.bytes"), (Some("1073741824"), "default"));
    assert_eq!(row("log.dirs"), (Some("./data"), "derived"));
}
