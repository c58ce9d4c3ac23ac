//! Nodes of a cluster: roles, voters, controller listeners, times.

use super::*;

const THREE: &str = "controller.quorum.voters=1@a:19092,2@b:19092,3@c:19092\n\
     controller.listener.names=CONTROLLER\n\
     listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n";

fn three(rest: &str) -> String {
    format!("{THREE}{rest}\n")
}

/// The addresses of what `listeners` holds, each with what it is for.
fn listeners(config: &NodeConfig) -> Vec<(String, bool, bool)> {
    let one = |listener: &Listener| {
        let told = format!("{}://{}", listener.name, listener.advertised());
        (told, listener.controller, listener.internal)
    };
    config.listeners.iter().map(one).collect()
}

fn voters(config: &NodeConfig) -> Vec<String> {
    let one = |voter: &Voter| format!("{}@{}", voter.id, voter.address);
    config.cluster.quorum.voters.iter().map(one).collect()
}

#[test]
fn a_node_of_three_is_broker_and_voter() {
    let config = from_file(&three("node.id=2\nlisteners=PLAINTEXT://b:9092,CONTROLLER://:19092"));
    assert_eq!(config.cluster.roles, Roles { broker: true, controller: true });
    assert_eq!(voters(&config), ["1@a:19092", "2@b:19092", "3@c:19092"]);
    // The other voters know the controller listener by the address in the list of voters.
    assert_eq!(
        listeners(&config),
        [("PLAINTEXT://b:9092".into(), false, false), ("CONTROLLER://b:19092".into(), true, true)]
    );
    assert_eq!(config.notices, [] as [String; 0]);
}

#[test]
fn a_node_that_is_only_a_broker_is_reached_by_its_inter_broker_listener() {
    let config = from_file(&three(
        "node.id=4\nprocess.roles=broker\nlisteners=OUTSIDE://d:9092,INSIDE://d:9093\n\
         inter.broker.listener.name=INSIDE\n\
         listener.security.protocol.map=OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    ));
    assert_eq!(config.cluster.roles, Roles { broker: true, controller: false });
    assert_eq!(config.cluster.inter_broker_listener.as_deref(), Some("INSIDE"));
    assert_eq!(
        listeners(&config),
        [("OUTSIDE://d:9092".into(), false, false), ("INSIDE://d:9093".into(), false, true)]
    );
}

#[test]
fn a_node_that_is_only_a_controller_has_no_listener_for_clients() {
    let config =
        from_file(&three("node.id=3\nprocess.roles=controller\nlisteners=CONTROLLER://c:19092"));
    assert_eq!(config.cluster.roles, Roles { broker: false, controller: true });
    assert_eq!(config.cluster.inter_broker_listener, None);
    assert_eq!(listeners(&config), [("CONTROLLER://c:19092".into(), true, true)]);
}

#[test]
fn kafkas_files_for_a_single_role_are_understood() {
    let common = "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
                  SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
                  controller.listener.names=CONTROLLER\nlog.dirs=/tmp/kraft-logs\n\
                  controller.quorum.bootstrap.servers=localhost:9093\n";
    let broker = from_file(&format!(
        "{common}process.roles=broker\nnode.id=2\nlisteners=PLAINTEXT://localhost:9092\n\
         inter.broker.listener.name=PLAINTEXT\nadvertised.listeners=PLAINTEXT://localhost:9092"
    ));
    assert_eq!(voters(&broker), [] as [&str; 0]);
    let servers = &broker.cluster.quorum.bootstrap_servers;
    assert_eq!(servers[..], [HostPort { host: "localhost".into(), port: 9093 }]);
    let controller = from_file(&format!(
        "{common}process.roles=controller\nnode.id=1\nlisteners=CONTROLLER://:9093\n\
         advertised.listeners=CONTROLLER://localhost:9093"
    ));
    assert_eq!(voters(&controller), ["1@localhost:9093"]);
}

#[test]
fn a_controller_votes_alone_only_if_nothing_names_another() {
    let listeners = "controller.listener.names=CONTROLLER\n\
                     listeners=PLAINTEXT://a:9092,CONTROLLER://a:9093\n";
    for (servers, own) in [
        ("", Some("1@a:9093")),
        ("controller.quorum.bootstrap.servers=a:9093", Some("1@a:9093")),
        ("controller.quorum.bootstrap.servers=b:9093", None),
        ("controller.quorum.bootstrap.servers=b:9093,c:9093", None),
    ] {
        let config = from_file(&format!("{listeners}{servers}"));
        assert_eq!(voters(&config).first().map(String::as_str), own, "{servers}");
    }
    assert_eq!(voters(&from_file("")), ["1@:0"]);
}

#[test]
fn an_unset_map_knows_the_names_of_controllers() {
    let file = "controller.listener.names=RAFT\nlisteners=PLAINTEXT://a:1,RAFT://a:2";
    assert_eq!(from_file(file).listeners.len(), 2);
}

#[test]
fn what_a_cluster_lacks_is_said_with_what_to_set() {
    let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n";
    let two = "controller.quorum.voters=1@a:1,2@b:1\ncontroller.listener.names=CONTROLLER\n";
    for (file, words) in [
        (
            "controller.quorum.voters=1@a:1,2@b:1",
            "default: `controller.listener.names`: a cluster of several nodes needs it; set \
             controller.listener.names=CONTROLLER and add CONTROLLER://host:port to listeners",
        ),
        (two, "there is no listener named CONTROLLER, which controller.listener.names asks for"),
        (
            "process.roles=broker",
            "a node without the role of a controller needs a cluster to belong to",
        ),
        ("process.roles=", "it names no role; set process.roles=broker,controller"),
        ("process.roles=brokr", "must be one of"),
        ("controller.quorum.voters=1@a", "`1@a` is not of the form id@host:port"),
        ("controller.quorum.voters=1@:9093", "`1@:9093` is not of the form id@host:port"),
        ("controller.quorum.voters=-1@a:9093", "`-1@a:9093` is not of the form"),
        ("controller.quorum.bootstrap.servers=a", "`a` is not of the form host:port"),
        (
            "controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://a:1,CONTROLLER://a:2\n\
             controller.quorum.bootstrap.servers=a:2,b:2",
            "set controller.quorum.voters=1@host:port,… with all of them, on each of them",
        ),
        ("listeners=CONTROLLER://a:1\ncontroller.listener.names=CONTROLLER", "for clients; add"),
        ("replica.selector.class=x.Y", "set org.apache.kafka.common.replica.RackAware"),
        ("broker.session.timeout.ms=2000", "fenced between two heartbeats"),
        ("broker.heartbeat.interval.ms=0", "set 2000, or less than half"),
        ("controller.quorum.election.timeout.ms=10", "set at least 50"),
        ("replica.lag.time.max.ms=0", "every follower would always be late"),
    ] {
        let said = faults(&format!("{file}\n{map}"));
        assert!(said.contains(words), "{file}: {said}");
    }
}

#[test]
fn a_node_that_contradicts_its_cluster_is_refused() {
    let all = "listeners=PLAINTEXT://d:9092,CONTROLLER://d:19092\n";
    for (file, words) in [
        (
            three(&format!("node.id=4\n{all}")),
            "node 4 is a controller by process.roles, so it must stand here; add 4@host:port",
        ),
        (
            three("node.id=3\nprocess.roles=broker\nlisteners=PLAINTEXT://d:9092"),
            "node 3 is only a broker by process.roles, so it must not stand here",
        ),
        (
            three(&format!("node.id=4\nprocess.roles=broker\n{all}")),
            "CONTROLLER://d:19092 is a controller's by controller.listener.names",
        ),
        (
            three(&format!("node.id=3\nprocess.roles=controller\n{all}")),
            "PLAINTEXT://d:9092 is for clients, and this node is no broker",
        ),
        (
            "controller.quorum.voters=1@a:1,1@b:1".into(),
            "`controller.quorum.voters`: voter 1 stands in it twice",
        ),
        ("controller.quorum.voters=1@a:1,2@a:1".into(), "voters 1 and 2 have the address a:1"),
        (
            three(
                "listeners=PLAINTEXT://a:1,CONTROLLER://a:2\ninter.broker.listener.name=CONTROLLER",
            ),
            "`CONTROLLER` is no listener of `listeners`; set PLAINTEXT",
        ),
    ] {
        let said = faults(&file);
        assert!(said.contains(words), "{file}: {said}");
    }
}

#[test]
fn all_that_is_wrong_with_a_cluster_is_said_at_once() {
    let said = faults(
        "node.id=4\ncontroller.quorum.voters=1@a:1,2,1@b:1\n\
         controller.quorum.bootstrap.servers=c\nreplica.selector.class=x.Y\n\
         broker.session.timeout.ms=1000",
    );
    assert_eq!(said.lines().count(), 7, "{said}");
}

#[test]
fn the_keys_of_a_cluster_are_in_force() {
    let config = from_file(
        "controller.quorum.election.timeout.ms=400\nmetadata.leader.ack.max.lag.ms=70\n\
         metadata.log.max.entries.between.snapshots=300\n\
         broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=500\n\
         replica.lag.time.max.ms=4000\ncontrolled.shutdown.enable=false\n\
         leader.imbalance.check.interval.seconds=5\nleader.imbalance.per.broker.percentage=3\n\
         replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
    );
    let cluster = &config.cluster;
    let millis = Duration::from_millis;
    assert_eq!(cluster.election_timeout, millis(400));
    assert_eq!(cluster.leader_ack_max_lag, millis(70));
    assert_eq!(cluster.snapshot_every, 300);
    assert_eq!((cluster.session_timeout, cluster.heartbeat_interval), (millis(6000), millis(500)));
    assert_eq!(cluster.replica_lag_max, millis(4000));
    assert!(!cluster.controlled_shutdown && cluster.rack_aware_fetch);
    let rebalance = LeaderRebalance { check_interval: millis(5000), imbalance_percentage: 3 };
    assert_eq!(cluster.leader_rebalance, Some(rebalance));
    assert_eq!(from_file("auto.leader.rebalance.enable=false").cluster.leader_rebalance, None);
}

#[test]
fn an_even_number_of_voters_is_remarked_upon() {
    let config = from_file(
        "controller.quorum.voters=1@a:1,2@b:1\ncontroller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://a:9092,CONTROLLER://a:1",
    );
    assert!(config.notices[0].contains("names 2 voters"), "{:?}", config.notices);
}
