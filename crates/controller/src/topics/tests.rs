use chronik_types::ErrorCode::{
    InvalidConfig, InvalidPartitions, InvalidReplicaAssignment, InvalidReplicationFactor,
    InvalidRequest, InvalidTopicException, PolicyViolation, TopicAlreadyExists,
    TopicDeletionDisabled, UnknownTopicId, UnknownTopicOrPartition,
};

use super::*;
use crate::request::*;
use crate::testing::{Cluster, brokers, id, refusal, topic};

fn with_configs(n: u8, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect();
    CreatableTopic { configs, ..topic(n, &format!("t{n}"), 1, 1) }
}

fn on(n: u8, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments
        .iter()
        .map(|(partition, ids)| ReplicaAssignment { partition: *partition, brokers: brokers(ids) })
        .collect();
    CreatableTopic { assignments, ..topic(n, &format!("t{n}"), -1, -1) }
}

#[test]
fn a_topic_gets_what_was_asked_for_and_the_rest_from_the_defaults() {
    let mut cluster =
        Cluster::with(3, &[("num.partitions", "4"), ("default.replication.factor", "2")]);
    let created = cluster.create(topic(1, "asked", 6, 3)).unwrap();
    assert_eq!((created.num_partitions, created.replication_factor), (6, 3));
    let created = cluster.create(topic(2, "defaults", -1, -1)).unwrap();
    assert_eq!((created.num_partitions, created.replication_factor), (4, 2));
    assert_eq!(created.topic_id, id(2));
    assert_eq!(cluster.committed.partition_count(), 10);
}

#[test]
fn the_answer_has_every_topic_key_by_name_with_its_source() {
    let mut cluster = Cluster::with(1, &[("log.retention.hours", "1")]);
    let created = cluster.create(with_configs(1, &[("cleanup.policy", Some("compact"))])).unwrap();
    assert!(created.configs.is_sorted_by_key(|config| config.name));
    assert_eq!(created.configs.len(), chronik_config::keys::topic_keys().count());
    let find = |name| {
        let config = created.configs.iter().find(|config| config.name == name).unwrap();
        (config.value.as_deref().unwrap().to_owned(), config.source)
    };
    assert_eq!(find("cleanup.policy"), ("compact".to_owned(), 1));
    assert_eq!(find("retention.ms"), ("3600000".to_owned(), 4));
    assert_eq!(find("segment.bytes"), ("1073741824".to_owned(), 5));
}

#[test]
fn the_answer_follows_what_is_set_now_for_the_topic_and_for_brokers() {
    let mut cluster = Cluster::of(1);
    let mut n = 0;
    let mut retention = |cluster: &mut Cluster, own: &[(&str, Option<&str>)]| {
        n += 1;
        let created = cluster.create(with_configs(n, own)).unwrap();
        let config = created.configs.iter().find(|config| config.name == "retention.ms").unwrap();
        (config.value.as_deref().unwrap().to_owned(), config.source)
    };
    let of = |value: &str, source| (value.to_owned(), source);
    assert_eq!(retention(&mut cluster, &[]), of("604800000", 5));
    cluster.configure_broker("", "log.retention.ms", "7");
    assert_eq!(retention(&mut cluster, &[]), of("7", 3));
    cluster.configure_broker("1", "log.retention.ms", "6");
    assert_eq!(retention(&mut cluster, &[]), of("6", 2));
    assert_eq!(retention(&mut cluster, &[("retention.ms", Some("5"))]), of("5", 1));
    assert_eq!(retention(&mut cluster, &[("retention.ms", Some("4"))]), of("4", 1));
    assert_eq!(retention(&mut cluster, &[]), of("6", 2));
    cluster.configure_broker("1", "log.retention.ms", "8");
    assert_eq!(retention(&mut cluster, &[]), of("8", 2));
}

#[test]
fn what_may_be_set_follows_what_is_set_now_for_brokers() {
    let mut cluster = Cluster::of(1);
    let lag = [("max.compaction.lag.ms", Some("50"))];
    cluster.create(with_configs(1, &lag)).unwrap();
    cluster.configure_broker("", "log.cleaner.min.compaction.lag.ms", "100");
    let (code, _) = refusal(cluster.create(with_configs(2, &lag)));
    assert_eq!(code, InvalidConfig);
    cluster.configure_broker("", "log.cleaner.min.compaction.lag.ms", "40");
    cluster.create(with_configs(2, &lag)).unwrap();
}

#[test]
fn what_kafka_refuses_is_refused_with_its_code_and_words() {
    let mut cluster = Cluster::of(2);
    cluster.create(topic(9, "a.b", 1, 1)).unwrap();
    let manual_factor = CreatableTopic { replication_factor: 1, ..on(1, &[(0, &[1])]) };
    let manual_count = CreatableTopic { num_partitions: 1, ..on(1, &[(0, &[1])]) };
    let cases = [
        (topic(1, "a.b", 1, 1), TopicAlreadyExists, "Topic 'a.b' already exists."),
        (
            topic(1, "a_b", 1, 1),
            InvalidTopicException,
            "Topic 'a_b' collides with existing topic: a.b",
        ),
        (
            topic(1, "", 1, 1),
            InvalidTopicException,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            topic(1, "x/y", 1, 1),
            InvalidTopicException,
            "Topic name is invalid: 'x/y' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            topic(1, "__cluster_metadata", 1, 1),
            InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            topic(1, "t", 0, 1),
            InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            topic(1, "t", -2, 1),
            InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            topic(1, "t", 1, 0),
            InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic(1, "t", 1, -2),
            InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic(1, "t", 1, 3),
            InvalidReplicationFactor,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 2 broker(s) are registered.",
        ),
        (
            manual_factor,
            InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            manual_count,
            InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            on(1, &[(0, &[1]), (0, &[2])]),
            InvalidReplicaAssignment,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            on(1, &[(0, &[1]), (2, &[2])]),
            InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            on(1, &[(0, &[])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            on(1, &[(0, &[7])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            on(1, &[(0, &[1, 1])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            on(1, &[(0, &[1, 2]), (1, &[1])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).",
        ),
        (
            with_configs(1, &[("retention.ms", None), ("x", None)]),
            InvalidConfig,
            "Null value not supported for topic configs: retention.ms,x",
        ),
        (with_configs(1, &[("nope", Some("1"))]), InvalidConfig, "Unknown topic config name: nope"),
        (
            with_configs(1, &[("retention.ms", Some("x"))]),
            InvalidConfig,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
    ];
    let before = cluster.committed.hash();
    for (topic, code, message) in cases {
        assert_eq!(refusal(cluster.create(topic)), (code, message.to_owned()));
    }
    assert_eq!(cluster.committed.hash(), before);
}

#[test]
fn a_partition_on_fenced_brokers_only_is_refused_and_on_some_starts_without_them() {
    let mut cluster = Cluster::of(2);
    cluster.fence(2);
    let (code, _) = refusal(cluster.create(on(1, &[(0, &[2])])));
    assert_eq!(code, InvalidReplicaAssignment);
    let partition = cluster.create_on(2, &[2, 1]);
    assert_eq!(cluster.led(partition), (1, 0, vec![1]));
}

#[test]
fn a_name_given_twice_is_refused_once_and_the_others_are_created() {
    let mut cluster = Cluster::of(1);
    let topics = vec![topic(1, "a", 1, 1), topic(2, "b", 1, 1), topic(3, "a", 1, 1)];
    let results = cluster.create_all(topics).unwrap();
    let codes: Vec<_> = results
        .iter()
        .map(|r| (r.name.as_str(), r.result.as_ref().err().map(|error| error.code)))
        .collect();
    assert_eq!(codes, [("a", Some(InvalidRequest)), ("b", None)]);
    assert_eq!(cluster.committed.topic_count(), 1);
}

#[test]
fn a_retry_that_finds_its_own_topic_succeeds_and_changes_nothing() {
    let mut cluster = Cluster::of(1);
    let created = cluster.create(topic(1, "t", 3, 1)).unwrap();
    let before = cluster.committed.hash();
    assert_eq!(cluster.create(topic(1, "t", 3, 1)), Ok(created));
    assert_eq!(cluster.committed.hash(), before);
    assert_eq!(refusal(cluster.create(topic(2, "t", 3, 1))).0, TopicAlreadyExists);
}

#[test]
fn validating_only_says_what_would_be_and_creates_nothing() {
    let mut cluster = Cluster::of(1);
    let topics = vec![topic(1, "t", 3, 1), topic(2, "..", 1, 1)];
    let request = Request::CreateTopics(CreateTopics { topics, validate_only: true });
    let outcome = cluster.handle(request);
    let Response::CreateTopics(Ok(results)) = outcome.response else { panic!() };
    assert_eq!(results[0].result.as_ref().unwrap().num_partitions, 3);
    assert!(results[1].result.is_err());
    assert_eq!(outcome.release, crate::Release::Now);
    assert!(cluster.controller.next_batch().is_none());
    assert_eq!(cluster.controller.speculative().topic_count(), 0);
}

#[test]
fn an_excessive_request_is_refused_before_anything_is_allocated() {
    let mut cluster = Cluster::of(1);
    let topics = vec![topic(1, "a", i32::MAX, 1), topic(2, "b", i32::MAX, 1)];
    assert_eq!(refusal(cluster.create_all(topics)).0, PolicyViolation);
}

#[test]
fn internal_topics_are_as_their_coordinators_need_them() {
    let mut cluster = Cluster::of(2);
    let options = cluster.controller.options().clone();
    let offsets = crate::consumer_offsets(&options, &cluster.committed, id(1));
    let created = cluster.create(offsets).unwrap();
    assert_eq!((created.num_partitions, created.replication_factor), (50, 2));
    let transactions = crate::transaction_state(&options, &cluster.committed, id(2));
    assert_eq!(cluster.create(transactions).unwrap().replication_factor, 2);
    let configs = &cluster.committed.topic_named("__transaction_state").unwrap().configs;
    assert_eq!(configs.get("min.insync.replicas").unwrap(), "2");
    assert_eq!(configs.get("cleanup.policy").unwrap(), "compact");
    let caching = CreatableTopic {
        name: "__share_group_state".to_owned(),
        ..with_configs(3, &[("write.caching", Some("true"))])
    };
    assert_eq!(refusal(cluster.create(caching)).0, InvalidConfig);
}

#[test]
fn the_first_node_of_three_makes_no_topic_that_only_it_has() {
    let voters = [("controller.quorum.voters", "1@a:1,2@b:1,3@c:1")];
    let mut cluster = Cluster::with(1, &voters);
    let options = cluster.controller.options().clone();
    let offsets = crate::consumer_offsets(&options, &cluster.committed, id(1));
    assert_eq!(offsets.replication_factor, 3);
    assert_eq!(cluster.create(offsets).unwrap_err().code, InvalidReplicationFactor);
}

fn named(name: &str) -> TopicReference {
    TopicReference { name: Some(name.to_owned()), ..TopicReference::default() }
}

fn by_id(n: u8) -> TopicReference {
    TopicReference { name: None, topic_id: id(n) }
}

#[test]
fn topics_are_deleted_by_name_or_id_and_refused_with_kafkas_codes() {
    let mut cluster = Cluster::of(1);
    for n in 1..=4 {
        cluster.create(topic(n, &format!("t{n}"), 1, 1)).unwrap();
    }
    let both = TopicReference { name: Some("t3".to_owned()), topic_id: id(3) };
    let topics = vec![
        named("t1"),
        by_id(2),
        both,
        TopicReference::default(),
        named("none"),
        by_id(99),
        named("t4"),
        named("t4"),
    ];
    let request = Request::DeleteTopics(DeleteTopics { topics });
    let Response::DeleteTopics(Ok(results)) = cluster.ask(request) else { panic!() };
    let seen: Vec<_> = results
        .iter()
        .map(|r| (r.name.as_deref(), r.result.as_ref().err().map(|error| error.code)))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("t1"), None),
            (Some("t2"), None),
            (Some("t3"), Some(InvalidRequest)),
            (None, Some(InvalidRequest)),
            (Some("none"), Some(UnknownTopicOrPartition)),
            (None, Some(UnknownTopicId)),
            (Some("t4"), Some(InvalidRequest)),
        ]
    );
    let left: Vec<_> = cluster.committed.topics_by_name().map(|t| t.name.to_string()).collect();
    assert_eq!(left, ["t3", "t4"]);
}

#[test]
fn a_topic_named_by_name_and_by_id_is_not_deleted() {
    let mut cluster = Cluster::of(1);
    cluster.create(topic(1, "t", 1, 1)).unwrap();
    let topics = vec![named("t"), by_id(1)];
    let request = Request::DeleteTopics(DeleteTopics { topics });
    let Response::DeleteTopics(Ok(results)) = cluster.ask(request) else { panic!() };
    let [result] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!((result.name.as_deref(), result.topic_id), (Some("t"), id(1)));
    assert_eq!(result.result.as_ref().unwrap_err().code, InvalidRequest);
    assert!(cluster.committed.topic_named("t").is_some());
}

#[test]
fn deletion_can_be_switched_off() {
    let mut cluster = Cluster::with(1, &[("delete.topic.enable", "false")]);
    cluster.create(topic(1, "t", 1, 1)).unwrap();
    let request = Request::DeleteTopics(DeleteTopics { topics: vec![named("t")] });
    let Response::DeleteTopics(result) = cluster.ask(request) else { panic!() };
    assert_eq!(refusal(result).0, TopicDeletionDisabled);
}

fn grow(cluster: &mut Cluster, topics: Vec<CreatePartitionsTopic>) -> Vec<(String, String)> {
    let request = CreatePartitions { topics, validate_only: false };
    let Response::CreatePartitions(results) = cluster.ask(Request::CreatePartitions(request))
    else {
        panic!()
    };
    let text =
        |result: Result<(), ApiError>| result.map_or_else(|e| e.to_string(), |()| "ok".into());
    results.into_iter().map(|(name, result)| (name, text(result))).collect()
}

#[test]
fn partitions_are_added_behind_the_last_one_or_refused_in_kafkas_words() {
    let mut cluster = Cluster::of(2);
    cluster.create(topic(1, "t", 2, 1)).unwrap();
    let to = |name: &str, count, assignments: Option<Vec<Vec<i32>>>| CreatePartitionsTopic {
        name: name.to_owned(),
        count,
        assignments: assignments.map(|all| all.iter().map(|ids| brokers(ids)).collect()),
    };
    let cases = [
        (to("t", 2, None), "INVALID_PARTITIONS: Topic already has 2 partition(s)."),
        (
            to("t", 1, None),
            "INVALID_PARTITIONS: The topic t currently has 2 partition(s); 1 would not be an increase.",
        ),
        (
            to("t", -5, None),
            "INVALID_PARTITIONS: The topic t currently has 2 partition(s); -5 would not be an increase.",
        ),
        (to("none", 3, None), "UNKNOWN_TOPIC_OR_PARTITION"),
        (
            to("t", 4, Some(vec![vec![1]])),
            "INVALID_REPLICA_ASSIGNMENT: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            to("t", 3, Some(vec![vec![1, 2]])),
            "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s).",
        ),
        (
            to("t", i32::MAX, None),
            "POLICY_VIOLATION: Excessively large number of partitions per request.",
        ),
        (to("t", 4, Some(vec![vec![2], vec![1]])), "ok"),
        (to("t", 40, None), "ok"),
    ];
    for (topic, answer) in cases {
        assert_eq!(grow(&mut cluster, vec![topic])[0].1, answer);
    }
    let partitions = &cluster.committed.topic_named("t").unwrap().partitions;
    assert_eq!(partitions.len(), 40);
    assert_eq!(partitions.get(2).unwrap().leader.0, 2);
    let twice = grow(&mut cluster, vec![to("t", 41, None), to("t", 42, None)]);
    assert_eq!(twice.len(), 1);
    assert!(twice[0].1.starts_with("INVALID_REQUEST"));
}

#[test]
fn a_topic_id_is_given_once_and_never_the_zero_one() {
    let mut cluster = Cluster::of(1);
    cluster.create(topic(1, "t", 1, 1)).unwrap();
    assert_eq!(refusal(cluster.create(topic(1, "other", 1, 1))).0, InvalidRequest);
    let zero = CreatableTopic { topic_id: Default::default(), ..topic(2, "zero", 1, 1) };
    assert_eq!(refusal(cluster.create(zero)).0, InvalidRequest);
}
