//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.

use chronik_protocol::api::ApiKey;
use chronik_protocol::messages::*;

use super::setup::{topic, until, versions};
use crate::session::{Failure, Session};

/// Topic configs, good and bad.
pub const VALUES: &[(&str, Option<&str>)] = &[
    ("cleanup.policy", Some("compact")),
    ("cleanup.policy", Some("compact,delete")),
    ("cleanup.policy", Some(" compact , delete ")),
    ("cleanup.policy", Some("compact,compact")),
    ("cleanup.policy", Some("")),
    ("cleanup.policy", Some("shred")),
    ("cleanup.policy", Some("DELETE")),
    ("cleanup.policy", None),
    ("compression.type", Some("zstd")),
    ("compression.type", Some("none")),
    ("compression.type", Some("brotli")),
    ("compression.gzip.level", Some("-1")),
    ("compression.gzip.level", Some("0")),
    ("compression.gzip.level", Some("9")),
    ("compression.gzip.level", Some("10")),
    ("compression.lz4.level", Some("0")),
    ("compression.lz4.level", Some("17")),
    ("compression.lz4.level", Some("18")),
    ("compression.zstd.level", Some("-131072")),
    ("compression.zstd.level", Some("22")),
    ("compression.zstd.level", Some("23")),
    ("delete.retention.ms", Some("-1")),
    ("delete.retention.ms", Some("0")),
    ("file.delete.delay.ms", Some("0")),
    ("flush.messages", Some("0")),
    ("flush.messages", Some("1")),
    ("flush.ms", Some("0")),
    ("follower.replication.throttled.replicas", Some("*")),
    ("follower.replication.throttled.replicas", Some("0:1,1:1")),
    ("follower.replication.throttled.replicas", Some("x")),
    ("leader.replication.throttled.replicas", Some("none")),
    ("index.interval.bytes", Some("-1")),
    ("local.retention.bytes", Some("-3")),
    ("local.retention.ms", Some("-2")),
    ("max.compaction.lag.ms", Some("0")),
    ("max.compaction.lag.ms", Some("1")),
    ("max.message.bytes", Some("-1")),
    ("max.message.bytes", Some("0")),
    ("max.message.bytes", Some("2147483647")),
    ("max.message.bytes", Some("2147483648")),
    ("message.timestamp.after.max.ms", Some("-1")),
    ("message.timestamp.before.max.ms", Some("9223372036854775808")),
    ("message.timestamp.type", Some("LogAppendTime")),
    ("message.timestamp.type", Some("logappendtime")),
    ("min.cleanable.dirty.ratio", Some("0")),
    ("min.cleanable.dirty.ratio", Some("1")),
    ("min.cleanable.dirty.ratio", Some("1.1")),
    ("min.cleanable.dirty.ratio", Some("0.25")),
    ("min.cleanable.dirty.ratio", Some("x")),
    ("min.compaction.lag.ms", Some("-1")),
    ("min.insync.replicas", Some("0")),
    ("min.insync.replicas", Some("3")),
    ("preallocate", Some("true")),
    ("preallocate", Some("TRUE")),
    ("preallocate", Some("yes")),
    ("remote.storage.enable", Some("true")),
    ("remote.storage.enable", Some("false")),
    ("remote.log.copy.disable", Some("true")),
    ("remote.log.delete.on.disable", Some("true")),
    ("retention.bytes", Some("-1")),
    ("retention.bytes", Some("-2")),
    ("retention.bytes", Some(" 5 ")),
    ("retention.ms", Some("-1")),
    ("retention.ms", Some("-2")),
    ("retention.ms", Some("1e3")),
    ("retention.ms", Some("+5")),
    ("retention.ms", Some("")),
    ("retention.ms", None),
    ("segment.bytes", Some("1048575")),
    ("segment.bytes", Some("1048576")),
    ("segment.index.bytes", Some("3")),
    ("segment.index.bytes", Some("4")),
    ("segment.jitter.ms", Some("-1")),
    ("segment.ms", Some("0")),
    ("segment.ms", Some("1")),
    ("unclean.leader.election.enable", Some("true")),
    ("unclean.leader.election.enable", Some("maybe")),
    ("message.format.version", Some("3.0")),
    ("message.downconversion.enable", Some("true")),
    ("message.timestamp.difference.max.ms", Some("5")),
    ("no.such.config", Some("5")),
    ("", Some("5")),
    ("log.retention.ms", Some("5")),
    ("Retention.ms", Some("5")),
];

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// A change as incremental alteration says it: 0 set, 1 delete, 2 append, 3 subtract.
fn change(
    name: &'static str,
    config_operation: i8,
    value: Option<&'static str>,
) -> IncrementalAlterConfigsAlterableConfig<'static> {
    IncrementalAlterConfigsAlterableConfig {
        name: name.into(),
        config_operation,
        value: value.map(Into::into),
    }
}

fn resource(
    resource_type: i8,
    name: &'static str,
    configs: Vec<IncrementalAlterConfigsAlterableConfig<'static>>,
) -> IncrementalAlterConfigsResource<'static> {
    IncrementalAlterConfigsResource { resource_type, resource_name: name.into(), configs }
}

fn alter(
    resources: Vec<IncrementalAlterConfigsResource<'static>>,
    validate_only: bool,
) -> IncrementalAlterConfigsRequest<'static> {
    IncrementalAlterConfigsRequest { resources, validate_only }
}

fn describe(
    resource_type: i8,
    name: &'static str,
    keys: Option<&[&'static str]>,
) -> DescribeConfigsRequest<'static> {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
        }],
        include_synonyms: true,
        include_documentation: false,
    }
}

/// Waits until a config has a value: a change is answered before every part of Kafka knows it.
fn await_value(
    s: &mut Session,
    resource_type: i8,
    resource: &'static str,
    key: &'static str,
    value: &str,
) -> Result<(), Failure> {
    until(s, &format!("{resource} has {key}={value}"), |s| {
        let reply = s.prepare(4, &describe(resource_type, resource, Some(&[key])))?;
        let response = reply.read::<DescribeConfigsRequest<'_>>()?;
        let now = response.results.first().and_then(|found| found.configs.first());
        Ok(now.and_then(|config| config.value.as_deref()) == Some(value))
    })
}

/// What topics are described as.
pub fn topic_configs(s: &mut Session) -> Result<(), Failure> {
    topic(s, "configured", 1, &[("retention.ms", "1000"), ("cleanup.policy", "compact")])?;
    for version in versions(ApiKey::DescribeConfigs) {
        let mut ask = |label: &str, request: &DescribeConfigsRequest<'_>| {
            s.ask(&format!("{label} v{version}"), version, request).map(|_| ())
        };
        ask("all", &describe(TOPIC, "configured", None))?;
        let plain = DescribeConfigsRequest {
            include_synonyms: false,
            ..describe(TOPIC, "configured", None)
        };
        ask("without synonyms", &plain)?;
        ask("no keys", &describe(TOPIC, "configured", Some(&[])))?;
        let keys = ["retention.ms", "no.such.config", "retention.ms", "log.retention.ms"];
        ask("some", &describe(TOPIC, "configured", Some(&keys)))?;
        ask("internal", &describe(TOPIC, "__consumer_offsets", None))?;
        ask("unknown", &describe(TOPIC, "nowhere", None))?;
        ask("invalid", &describe(TOPIC, "a/b", None))?;
        ask("unnamed", &describe(TOPIC, "", None))?;
        for kind in [0, 1, 3, 5, 8, 16, 32, 64, -1] {
            ask(&format!("type {kind}"), &describe(kind, "1", Some(&["retention.ms"])))?;
        }
        let mut twice = describe(TOPIC, "configured", Some(&["retention.ms"]));
        twice.resources.push(twice.resources[0].clone());
        ask("twice", &twice)?;
        ask("nothing", &DescribeConfigsRequest { resources: vec![], ..twice })?;
    }
    Ok(())
}

/// Broker configs that clients and tools read.
const BROKER_KEYS: &[&str] = &[
    "advertised.listeners",
    "auto.create.topics.enable",
    "compression.type",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "log.cleanup.policy",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.hours",
    "log.roll.ms",
    "log.segment.bytes",
    "max.connections",
    "max.connections.per.ip",
    "message.max.bytes",
    "min.insync.replicas",
    "node.id",
    "num.partitions",
    "offset.metadata.max.bytes",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "producer.id.expiration.ms",
    "socket.request.max.bytes",
    "unclean.leader.election.enable",
    "no.such.config",
];

/// Brokers: described, changed, and what their changes do to topics.
pub fn broker_configs(s: &mut Session) -> Result<(), Failure> {
    topic(s, "inherits", 1, &[])?;
    for version in versions(ApiKey::DescribeConfigs) {
        let keys: Vec<&'static str> =
            BROKER_KEYS.iter().copied().filter(|key| *key != "advertised.listeners").collect();
        s.ask(&format!("broker 1 v{version}"), version, &describe(BROKER, "1", Some(&keys)))?;
        s.ask(&format!("defaults v{version}"), version, &describe(BROKER, "", None))?;
        for name in ["2", "-1", "x", "01"] {
            let request = describe(BROKER, name, Some(&["num.partitions"]));
            s.ask(&format!("broker {name:?} v{version}"), version, &request)?;
        }
    }
    let inherited = ["retention.ms", "max.message.bytes"];
    for (label, broker, configs, awaited) in [
        (
            "default set",
            "",
            vec![change("log.retention.ms", 0, Some("5000"))],
            ("", "log.retention.ms", "5000"),
        ),
        (
            "broker set",
            "1",
            vec![change("log.retention.ms", 0, Some("7000"))],
            ("1", "log.retention.ms", "7000"),
        ),
        (
            "size set",
            "1",
            vec![change("message.max.bytes", 0, Some("2000000"))],
            ("1", "message.max.bytes", "2000000"),
        ),
        (
            "broker unset",
            "1",
            vec![change("log.retention.ms", 1, None)],
            ("1", "log.retention.ms", "5000"),
        ),
    ] {
        s.ask(label, 1, &alter(vec![resource(BROKER, broker, configs)], false))?;
        await_value(s, BROKER, awaited.0, awaited.1, awaited.2)?;
        s.ask(&format!("{label}: topic"), 4, &describe(TOPIC, "inherits", Some(&inherited)))?;
        let keys = ["log.retention.ms", "message.max.bytes"];
        s.ask(&format!("{label}: broker"), 4, &describe(BROKER, "1", Some(&keys)))?;
        s.ask(&format!("{label}: defaults"), 4, &describe(BROKER, "", None))?;
    }
    let undo = alter(
        vec![
            resource(BROKER, "", vec![change("log.retention.ms", 1, None)]),
            resource(BROKER, "1", vec![change("message.max.bytes", 1, None)]),
        ],
        false,
    );
    s.ask("all unset", 1, &undo)?;
    await_value(s, BROKER, "1", "message.max.bytes", "1048588")?;
    for (name, value) in [
        ("node.id", "5"),
        ("listeners", "PLAINTEXT://127.0.0.1:1"),
        ("log.dirs", "/nowhere"),
        ("num.partitions", "7"),
        ("auto.create.topics.enable", "false"),
        ("log.retention.ms", "x"),
        ("log.segment.bytes", "1"),
        ("no.such.config", "x"),
        ("retention.ms", "5"),
    ] {
        for broker in ["1", ""] {
            let request =
                alter(vec![resource(BROKER, broker, vec![change(name, 0, Some(value))])], true);
            s.ask(&format!("check {name}={value} of {broker:?}"), 1, &request)?;
        }
    }
    Ok(())
}

/// Single changes, one after the other.
pub fn incremental(s: &mut Session) -> Result<(), Failure> {
    topic(s, "altered", 1, &[])?;
    for version in versions(ApiKey::IncrementalAlterConfigs) {
        for (name, value) in VALUES {
            let request =
                alter(vec![resource(TOPIC, "altered", vec![change(name, 0, *value)])], true);
            s.ask(&format!("set {name}={value:?} v{version}"), version, &request)?;
        }
        for (label, configs) in operations() {
            let request = alter(vec![resource(TOPIC, "altered", configs)], true);
            s.ask(&format!("{label} v{version}"), version, &request)?;
        }
        let set = || vec![change("retention.ms", 0, Some("5"))];
        for (label, resources) in [
            ("unknown topic", vec![resource(TOPIC, "nowhere", set())]),
            ("invalid topic", vec![resource(TOPIC, "a/b", set())]),
            ("unnamed topic", vec![resource(TOPIC, "", set())]),
            ("internal topic", vec![resource(TOPIC, "__consumer_offsets", set())]),
            ("nothing", vec![]),
            ("no configs", vec![resource(TOPIC, "altered", vec![])]),
            ("twice", vec![resource(TOPIC, "altered", set()), resource(TOPIC, "altered", set())]),
            (
                "another broker",
                vec![resource(BROKER, "2", vec![change("log.retention.ms", 0, Some("5"))])],
            ),
            (
                "no broker",
                vec![resource(BROKER, "x", vec![change("log.retention.ms", 0, Some("5"))])],
            ),
            ("type 0", vec![resource(0, "altered", set())]),
            ("type 3", vec![resource(3, "altered", set())]),
            ("type -1", vec![resource(-1, "altered", set())]),
            (
                "one good, one not",
                vec![resource(TOPIC, "altered", set()), resource(TOPIC, "nowhere", set())],
            ),
        ] {
            s.ask(&format!("{label} v{version}"), version, &alter(resources, true))?;
        }
    }
    really(s)
}

type Change = IncrementalAlterConfigsAlterableConfig<'static>;

fn operations() -> Vec<(&'static str, Vec<Change>)> {
    vec![
        ("append to a list", vec![change("cleanup.policy", 2, Some("compact"))]),
        ("append what is there", vec![change("cleanup.policy", 2, Some("delete"))]),
        ("append rubbish", vec![change("cleanup.policy", 2, Some("shred"))]),
        ("append to a number", vec![change("retention.ms", 2, Some("5"))]),
        ("append nothing", vec![change("cleanup.policy", 2, None)]),
        ("subtract from a list", vec![change("cleanup.policy", 3, Some("delete"))]),
        ("subtract what is not there", vec![change("cleanup.policy", 3, Some("compact"))]),
        ("subtract from a number", vec![change("retention.ms", 3, Some("5"))]),
        ("delete what is not set", vec![change("retention.ms", 1, None)]),
        ("delete with a value", vec![change("retention.ms", 1, Some("5"))]),
        ("delete what there is not", vec![change("no.such.config", 1, None)]),
        ("operation 4", vec![change("retention.ms", 4, Some("5"))]),
        ("operation -1", vec![change("retention.ms", -1, Some("5"))]),
        ("key twice", vec![change("retention.ms", 0, Some("5")), change("retention.ms", 1, None)]),
        (
            "lags that contradict",
            vec![
                change("min.compaction.lag.ms", 0, Some("10")),
                change("max.compaction.lag.ms", 0, Some("5")),
            ],
        ),
        (
            "one good, one not",
            vec![change("retention.ms", 0, Some("5")), change("segment.ms", 0, Some("x"))],
        ),
    ]
}

fn really(s: &mut Session) -> Result<(), Failure> {
    let steps = [
        ("set", change("retention.ms", 0, Some("1234")), ("retention.ms", "1234")),
        (
            "appended",
            change("cleanup.policy", 2, Some("compact")),
            ("cleanup.policy", "delete,compact"),
        ),
        ("subtracted", change("cleanup.policy", 3, Some("delete")), ("cleanup.policy", "compact")),
        ("deleted", change("retention.ms", 1, None), ("retention.ms", "604800000")),
    ];
    for (label, change, (key, value)) in steps {
        s.ask(label, 1, &alter(vec![resource(TOPIC, "altered", vec![change])], false))?;
        await_value(s, TOPIC, "altered", key, value)?;
        let keys = ["retention.ms", "cleanup.policy", "segment.ms"];
        s.ask(&format!("{label}: described"), 4, &describe(TOPIC, "altered", Some(&keys)))?;
    }
    Ok(())
}

/// Whole sets of configs that replace what was there.
pub fn replacing(s: &mut Session) -> Result<(), Failure> {
    topic(s, "replaced", 1, &[("retention.ms", "1000"), ("segment.ms", "2000")])?;
    let of =
        |resource_type, name: &'static str, configs: &[(&'static str, Option<&'static str>)]| {
            AlterConfigsResource {
                resource_type,
                resource_name: name.into(),
                configs: configs
                    .iter()
                    .map(|(name, value)| AlterConfigsAlterableConfig {
                        name: (*name).into(),
                        value: value.map(Into::into),
                    })
                    .collect(),
            }
        };
    let good: &[(&str, Option<&str>)] = &[("retention.ms", Some("5"))];
    for version in versions(ApiKey::AlterConfigs) {
        for (label, resources) in [
            ("good", vec![of(TOPIC, "replaced", good)]),
            ("empty", vec![of(TOPIC, "replaced", &[])]),
            ("invalid value", vec![of(TOPIC, "replaced", &[("retention.ms", Some("x"))])]),
            ("null value", vec![of(TOPIC, "replaced", &[("retention.ms", None)])]),
            ("unknown key", vec![of(TOPIC, "replaced", &[("no.such.config", Some("x"))])]),
            ("key twice", vec![of(TOPIC, "replaced", &[good[0], good[0]])]),
            ("unknown topic", vec![of(TOPIC, "nowhere", good)]),
            ("invalid topic", vec![of(TOPIC, "a/b", good)]),
            ("unnamed topic", vec![of(TOPIC, "", good)]),
            ("nothing", vec![]),
            ("another broker", vec![of(BROKER, "2", &[])]),
            ("read only of a broker", vec![of(BROKER, "1", &[("node.id", Some("5"))])]),
            ("type 3", vec![of(3, "replaced", good)]),
            ("type -1", vec![of(-1, "replaced", good)]),
        ] {
            let request = AlterConfigsRequest { resources, validate_only: true };
            s.ask(&format!("{label} v{version}"), version, &request)?;
        }
    }
    let request = AlterConfigsRequest {
        resources: vec![of(TOPIC, "replaced", good), of(TOPIC, "nowhere", good)],
        validate_only: false,
    };
    s.ask("really", 2, &request)?;
    await_value(s, TOPIC, "replaced", "segment.ms", "604800000")?;
    let keys = ["retention.ms", "segment.ms"];
    s.ask("described", 4, &describe(TOPIC, "replaced", Some(&keys)))?;
    let twice = vec![of(TOPIC, "replaced", good), of(TOPIC, "replaced", good)];
    let request = AlterConfigsRequest { resources: twice, validate_only: true };
    s.ask_briefly("twice", 2, &request)
}
