use super::*;
use crate::request::{Request, Response};
use crate::testing::{Cluster, topic};

/// Operation, key, value.
type Edit<'a> = (i8, &'a str, Option<&'a str>);

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn resource(resource_type: i8, name: &str) -> ResourceName {
    ResourceName { resource_type, name: name.to_owned() }
}

fn text(results: Vec<AlterConfigsResult>) -> Vec<String> {
    results
        .into_iter()
        .map(|r| r.result.map_or_else(|error| error.to_string(), |()| "ok".to_owned()))
        .collect()
}

fn change(cluster: &mut Cluster, target: ResourceName, changes: &[Edit]) -> String {
    let changes = changes
        .iter()
        .map(|(operation, name, value)| ConfigChange {
            name: (*name).to_owned(),
            operation: *operation,
            value: value.map(str::to_owned),
        })
        .collect();
    let request =
        IncrementalAlterConfigs { resources: vec![(target, changes)], validate_only: false };
    match cluster.ask(Request::IncrementalAlterConfigs(request)) {
        Response::IncrementalAlterConfigs(results) => text(results).remove(0),
        other => panic!("{other:?}"),
    }
}

fn set_of(cluster: &Cluster, resource: &ConfigResource) -> Vec<(String, String)> {
    cluster.committed.configs(resource).iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::of(1);
    cluster.create(topic(1, "t", 1, 1)).unwrap();
    cluster
}

#[test]
fn topic_values_are_set_grown_shrunk_and_deleted() {
    let mut cluster = cluster();
    let t = || resource(2, "t");
    let held = |cluster: &Cluster| set_of(cluster, &ConfigResource::Topic("t".into()));
    let changes = [(APPEND, "cleanup.policy", Some("compact")), (SET, "retention.ms", Some("5"))];
    assert_eq!(change(&mut cluster, t(), &changes), "ok");
    assert_eq!(
        held(&cluster),
        [
            ("cleanup.policy".to_owned(), "delete,compact".to_owned()),
            ("retention.ms".to_owned(), "5".to_owned())
        ]
    );
    let changes = [(SUBTRACT, "cleanup.policy", Some("delete")), (DELETE, "retention.ms", None)];
    assert_eq!(change(&mut cluster, t(), &changes), "ok");
    assert_eq!(held(&cluster), [("cleanup.policy".to_owned(), "compact".to_owned())]);
}

#[test]
fn refusals_are_kafkas_and_change_nothing() {
    let mut cluster = cluster();
    let before = cluster.committed.hash();
    let long = "x".repeat(40_000);
    let cases: &[(ResourceName, &[Edit], &str)] = &[
        (
            resource(2, "t"),
            &[(SET, "nope", Some("1"))],
            "INVALID_CONFIG: Unknown topic config name: nope",
        ),
        (
            resource(2, "t"),
            &[(SET, "retention.ms", Some("x"))],
            "INVALID_CONFIG: Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            resource(2, "t"),
            &[(APPEND, "retention.ms", Some("1"))],
            "INVALID_CONFIG: Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            resource(2, "t"),
            &[(SUBTRACT, "nope", Some("1"))],
            "INVALID_CONFIG: Can't SUBTRACT to key nope because its type is not LIST.",
        ),
        (
            resource(2, "t"),
            &[(9, "retention.ms", Some("1"))],
            "INVALID_REQUEST: Unknown operations type 9",
        ),
        (
            resource(2, "t"),
            &[(SET, "retention.ms", None)],
            "INVALID_REQUEST: Null value not supported for : retention.ms",
        ),
        (
            resource(2, "t"),
            &[(SET, "retention.ms", Some("1")), (DELETE, "retention.ms", None)],
            "INVALID_REQUEST: Error due to duplicate config keys",
        ),
        (
            resource(2, "t"),
            &[
                (SET, "retention.ms", Some("1")),
                (SET, "min.compaction.lag.ms", Some("9")),
                (SET, "max.compaction.lag.ms", Some("8")),
            ],
            "INVALID_CONFIG: conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (8)",
        ),
        (
            resource(2, "t"),
            &[(SET, "leader.replication.throttled.replicas", Some(&long))],
            "INVALID_CONFIG: The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        ),
        (
            resource(2, "none"),
            &[(SET, "retention.ms", Some("1"))],
            "UNKNOWN_TOPIC_OR_PARTITION: The topic 'none' does not exist.",
        ),
        (
            resource(2, ""),
            &[(SET, "retention.ms", Some("1"))],
            "INVALID_REQUEST: Default topic resources are not allowed.",
        ),
        (
            resource(2, "a/b"),
            &[(SET, "retention.ms", Some("1"))],
            "INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            resource(4, "x"),
            &[(SET, "log.retention.ms", Some("1"))],
            "INVALID_REQUEST: Unable to parse broker name as a base 10 number.",
        ),
        (
            resource(4, "-1"),
            &[(SET, "log.retention.ms", Some("1"))],
            "INVALID_REQUEST: Invalid negative broker ID.",
        ),
        (
            resource(4, "5"),
            &[(SET, "log.retention.ms", Some("1"))],
            "BROKER_ID_NOT_REGISTERED: No node with id 5 found.",
        ),
        (
            resource(4, "1"),
            &[(SET, "num.partitions", Some("1"))],
            "INVALID_REQUEST: Cannot update these configs dynamically: Set(num.partitions)",
        ),
        (
            resource(4, ""),
            &[(SET, "ssl.keystore.location", Some("/a"))],
            "INVALID_REQUEST: Cannot update these configs at default cluster level, broker id must be specified: Set(ssl.keystore.location)",
        ),
        (
            resource(4, ""),
            &[(SET, "log.retention.ms", Some("x"))],
            "INVALID_REQUEST: Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            resource(4, ""),
            &[(SET, "nope", Some("x"))],
            "INVALID_REQUEST: Unknown broker config name: nope",
        ),
        (
            resource(32, ""),
            &[(SET, "consumer.session.timeout.ms", Some("1"))],
            "INVALID_REQUEST: Default group resources are not allowed.",
        ),
        (
            resource(32, "g"),
            &[(SET, "nope", Some("1"))],
            "INVALID_CONFIG: Unknown group config name: nope",
        ),
        (resource(8, "1"), &[(SET, "x", Some("1"))], "INVALID_REQUEST: Unknown resource type 8"),
    ];
    for (target, changes, answer) in cases {
        assert_eq!(change(&mut cluster, target.clone(), changes), *answer);
    }
    assert_eq!(cluster.committed.hash(), before);
}

#[test]
fn brokers_and_groups_are_configured() {
    let mut cluster = cluster();
    let one = [(SET, "log.retention.ms", Some("1"))];
    assert_eq!(change(&mut cluster, resource(4, ""), &one), "ok");
    assert_eq!(change(&mut cluster, resource(4, "1"), &one), "ok");
    let session = [(SET, "consumer.session.timeout.ms", Some("50000"))];
    assert_eq!(change(&mut cluster, resource(32, "g"), &session), "ok");
    let resources: Vec<_> =
        cluster.committed.configured_resources().map(|(resource, _)| resource.clone()).collect();
    assert_eq!(
        resources,
        [
            ConfigResource::Broker(BrokerId(1)),
            ConfigResource::DefaultBroker,
            ConfigResource::Group("g".to_owned())
        ]
    );
}

#[test]
fn the_old_request_replaces_all_that_is_set_and_a_double_resource_is_refused() {
    let mut cluster = cluster();
    let t = resource(2, "t");
    change(&mut cluster, t.clone(), &[(SET, "retention.ms", Some("5"))]);
    let set = vec![("segment.ms".to_owned(), Some("7".to_owned()))];
    let mut request = AlterConfigs { resources: vec![(t, set)], validate_only: true };
    let mut ask = |request: &AlterConfigs| match cluster.ask(Request::AlterConfigs(request.clone()))
    {
        Response::AlterConfigs(results) => {
            (text(results), set_of(&cluster, &ConfigResource::Topic("t".into())))
        }
        other => panic!("{other:?}"),
    };
    let before = [("retention.ms".to_owned(), "5".to_owned())];
    assert_eq!(ask(&request), (vec!["ok".to_owned()], before.to_vec()));
    request.validate_only = false;
    let after = [("segment.ms".to_owned(), "7".to_owned())];
    assert_eq!(ask(&request), (vec!["ok".to_owned()], after.to_vec()));
    request.resources.push(request.resources[0].clone());
    let refused = "INVALID_REQUEST: Each resource must appear at most once.".to_owned();
    assert_eq!(ask(&request), (vec![refused.clone(), refused], after.to_vec()));
}

#[test]
fn a_topic_can_be_described_under_new_broker_values_at_once() {
    let mut cluster = cluster();
    change(&mut cluster, resource(4, ""), &[(SET, "log.retention.ms", Some("77"))]);
    let created = cluster.create(topic(2, "u", 1, 1)).unwrap();
    let config = created.configs.iter().find(|c| c.name == "retention.ms").unwrap();
    assert_eq!((config.value.as_deref(), config.source), (Some("77"), 3));
}
