"""Kafka's own command-line tools, as an operator types them."""

import datetime
import json
import re

import pytest

from adapters.base import NODES, T0, Record, closing, drive

TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
GET_OFFSETS = "org.apache.kafka.tools.GetOffsetShell"


def numbers(client, topic, count, partition=0):
    client.send(topic, [Record(value=b"%d" % i, timestamp=T0 + i * 1000, partition=partition) for i in range(count)])


def test_topics(tool, name):
    create = ("--create", "--topic", name, "--partitions", 2, "--replication-factor", NODES)
    assert f"Created topic {name}." in tool(TOPICS, *create, "--config", "retention.ms=1000000")
    assert "already exists" in tool(TOPICS, *create, fails=True)
    tool(TOPICS, *create, "--if-not-exists")
    assert name in tool(TOPICS, "--list").split()
    tool(TOPICS, "--alter", "--topic", name, "--partitions", 3)
    description = tool(TOPICS, "--describe", "--topic", name)
    assert "PartitionCount: 3" in description and f"ReplicationFactor: {NODES}" in description
    assert "retention.ms=1000000" in description
    found = re.findall(r"Partition: (\d)\s+Leader: (\d)\s+Replicas: ([\d,]+)\s+Isr: ([\d,]+)", description)
    assert [partition for partition, *_ in found] == ["0", "1", "2"]
    for _, leader, replicas, isr in found:
        assert replicas.split(",")[0] == leader
        assert sorted(replicas.split(",")) == sorted(isr.split(",")) == [str(node) for node in range(1, NODES + 1)]
    assert "3 partition" in tool(TOPICS, "--alter", "--topic", name, "--partitions", 1, fails=True)
    tool(TOPICS, "--delete", "--topic", name)
    assert "does not exist" in tool(TOPICS, "--describe", "--topic", name, fails=True)


def test_console_producer_and_consumer(tool, topic):
    name = topic()
    lines = ["h1:a,h1:b\tkey-1\tvalue-1", "NULL\tNULL\tvalue-2", "h:x\tkey-3\tNULL"]
    tool(
        PRODUCER, "--topic", name, "--compression-codec", "snappy", "--property", "parse.key=true", "--property",
        "parse.headers=true", "--property", "null.marker=NULL", stdin="\n".join(lines) + "\n",
    )
    printed = ["print.key=true", "print.headers=true", "print.offset=true", "print.partition=true", "null.literal=NULL"]
    output = tool(
        CONSUMER, "--topic", name, "--from-beginning", "--max-messages", 3, "--timeout-ms", 20_000,
        *(part for p in printed for part in ("--property", p)),
    )
    assert output.splitlines() == [
        "Partition:0\tOffset:0\th1:a,h1:b\tkey-1\tvalue-1",
        "Partition:0\tOffset:1\tNO_HEADERS\tNULL\tvalue-2",
        "Partition:0\tOffset:2\th:x\tkey-3\tNULL",
    ]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_console_producer_with_every_codec(tool, client, topic, codec):
    name = topic()
    tool(PRODUCER, "--topic", name, "--compression-codec", codec, stdin="".join(f"line {i}\n" for i in range(100)))
    assert [record.value for record in client.read(name, 100)] == [b"line %d" % i for i in range(100)]


def test_console_consumer_from_an_offset_and_in_a_group(tool, client, topic):
    name = topic()
    numbers(client, name, 10)
    where = ("--topic", name, "--timeout-ms", 20_000)
    assert tool(CONSUMER, *where, "--partition", 0, "--offset", 7, "--max-messages", 3).split() == ["7", "8", "9"]
    group = ("--group", f"g-{name}", "--max-messages", 5, "--consumer-property", "auto.offset.reset=earliest")
    assert tool(CONSUMER, *where, *group).split() == ["0", "1", "2", "3", "4"]
    assert tool(CONSUMER, *where, *group).split() == ["5", "6", "7", "8", "9"]


def group_rows(output, name):
    rows = [line.split() for line in output.splitlines() if f" {name} " in line]
    return [row[2:6] for row in rows]


def test_consumer_groups(tool, client, topic):
    name = topic()
    group = f"g-{name}"
    numbers(client, name, 10)
    this = ("--group", group)
    with closing(client.join(group, name)) as (member,):
        drive([member], lambda seen: len(seen[member]) == 10)
        member.commit()
        numbers(client, name, 3)
        assert group in tool(GROUPS, "--list").split()
        assert group_rows(tool(GROUPS, "--describe", *this), name) == [["0", "10", "13", "3"]]
        assert "Stable" in tool(GROUPS, "--describe", *this, "--state")
        assert "rdkafka" in tool(GROUPS, "--describe", *this, "--members")
        assert "The group is not empty" in tool(GROUPS, "--delete", *this)
    moment = datetime.datetime.fromtimestamp(T0 / 1000 + 7, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000")
    reset = ("--reset-offsets", *this, "--topic", name, "--execute")
    tool(GROUPS, *reset, "--to-offset", 4)
    assert group_rows(tool(GROUPS, "--describe", *this), name) == [["0", "4", "13", "9"]]
    tool(GROUPS, *reset, "--shift-by", 2)
    assert client.committed(group, name) == 6
    tool(GROUPS, *reset, "--to-datetime", moment)
    assert client.committed(group, name) == 7
    tool(GROUPS, *reset, "--to-latest")
    assert client.committed(group, name) == 13
    tool(GROUPS, "--delete-offsets", *this, "--topic", name)
    assert client.committed(group, name) is None
    assert name in tool(GROUPS, *reset, "--to-earliest")
    tool(GROUPS, "--delete", *this)
    assert group not in tool(GROUPS, "--list").split()
    assert "not found" in tool(GROUPS, "--describe", *this)


def test_configs_of_a_topic(tool, client, topic):
    this = ("--entity-type", "topics", "--entity-name", topic())
    added = tool(CONFIGS, "--alter", *this, "--add-config", "retention.ms=1234567,cleanup.policy=[compact,delete]")
    assert "Completed updating config for topic" in added
    described = tool(CONFIGS, "--describe", *this)
    assert "retention.ms=1234567 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1234567" in described
    assert "cleanup.policy=compact,delete" in described
    assert "segment.bytes=1073741824" in tool(CONFIGS, "--describe", *this, "--all")
    tool(CONFIGS, "--alter", *this, "--delete-config", "retention.ms")
    assert "retention.ms" not in tool(CONFIGS, "--describe", *this)
    assert "Unknown topic config name: no.such" in tool(CONFIGS, "--alter", *this, "--add-config", "no.such=1", fails=True)
    absent = ("--entity-type", "topics", "--entity-name", "absent-" + client.name)
    tool(CONFIGS, "--alter", *absent, "--add-config", "retention.ms=1", fails=True)


def test_configs_of_the_broker(tool):
    described = tool(CONFIGS, "--describe", "--entity-type", "brokers", "--entity-name", 1, "--all")
    assert "node.id=1 sensitive=false" in described
    assert "message.max.bytes=1048588" in described
    default = ("--entity-type", "brokers", "--entity-default")
    tool(CONFIGS, "--alter", *default, "--add-config", "log.cleaner.threads=2")
    assert "log.cleaner.threads=2" in tool(CONFIGS, "--describe", *default)
    tool(CONFIGS, "--alter", *default, "--delete-config", "log.cleaner.threads")
    assert "log.cleaner.threads" not in tool(CONFIGS, "--describe", *default)


def events(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_verifiable_producer_and_consumer(tool, client, topic):
    name = topic(partitions=3)
    sent = events(tool("org.apache.kafka.tools.VerifiableProducer", "--topic", name, "--max-messages", 1000, "--acks", -1))
    (summary,) = (event for event in sent if event["name"] == "tool_data")
    assert (summary["sent"], summary["acked"]) == (1000, 1000)
    assert sum(client.watermarks(name, p)[1] for p in range(3)) == 1000
    got = events(tool(
        "org.apache.kafka.tools.VerifiableConsumer", "--topic", name, "--group-id", f"g-{name}", "--max-messages", 1000,
        "--reset-policy", "earliest",
    ))
    assert sum(event["count"] for event in got if event["name"] == "records_consumed") == 1000
    assert all(event["success"] for event in got if event["name"] == "offsets_committed")
    assert sum(client.committed(f"g-{name}", name, p) or 0 for p in range(3)) == 1000


def test_producer_performance_tool(tool, client, topic):
    name = topic()
    output = tool(
        "org.apache.kafka.tools.ProducerPerformance", "--topic", name, "--num-records", 5000, "--record-size", 100,
        "--throughput", -1, "--producer-props", f"bootstrap.servers={client.bootstrap}", bootstrap=None,
    )
    assert "5000 records sent" in output
    assert client.watermarks(name) == (0, 5000)


def test_get_offsets(tool, client, topic):
    name = topic(partitions=2)
    numbers(client, name, 10, partition=1)

    def offsets(*arguments):
        return tool(GET_OFFSETS, "--topic", name, *arguments).split()

    assert offsets() == [f"{name}:0:0", f"{name}:1:10"]
    assert offsets("--time", "earliest") == [f"{name}:0:0", f"{name}:1:0"]
    assert offsets("--time", "max-timestamp", "--partitions", 1) == [f"{name}:1:9"]
    assert offsets("--time", T0 + 2500, "--partitions", 1) == [f"{name}:1:3"]
    assert "Could not match" in tool(GET_OFFSETS, "--topic", "absent", fails=True)


def test_delete_records(tool, client, topic, tmp_path):
    name = topic()
    numbers(client, name, 10)
    wanted = {"partitions": [{"topic": name, "partition": 0, "offset": 6}], "version": 1}
    file = tmp_path / "offsets.json"
    file.write_text(json.dumps(wanted))
    output = tool("org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", file)
    assert "low_watermark: 6" in output
    assert client.watermarks(name) == (6, 10)


def test_log_dirs(tool, client, topic):
    name = topic()
    numbers(client, name, 100)
    output = tool("org.apache.kafka.tools.LogDirsCommand", "--describe", "--topic-list", name)
    brokers = json.loads(output.splitlines()[-1])["brokers"]
    assert sorted(broker["broker"] for broker in brokers) == list(range(1, NODES + 1))
    for broker in brokers:
        (directory,) = broker["logDirs"]
        assert directory["error"] is None
        (partition,) = directory["partitions"]
        assert partition["partition"] == f"{name}-0" and partition["size"] > 500 and partition["offsetLag"] == 0


def test_broker_api_versions(tool, client):
    output = tool("org.apache.kafka.tools.BrokerApiVersionsCommand")
    for number, address in enumerate(client.bootstrap.split(","), 1):
        assert re.search(rf"^{re.escape(address)} \(id: {number} rack: null isFenced: false\) -> \(", output, re.M), address
    ranges = dict(re.findall(r"^\t(\w+)\(\d+\): (?:(\d+ to \d+)|\d+) \[usable", output, re.M))
    for api, wanted in {
        "Produce": "0 to 13", "Fetch": "4 to 18", "Metadata": "0 to 13", "JoinGroup": "0 to 9", "ListOffsets": "1 to 10",
        "ApiVersions": "0 to 4", "CreateTopics": "2 to 7", "OffsetCommit": "2 to 9", "OffsetFetch": "1 to 9",
    }.items():
        # A later Kafka may add versions at the end, never take one away at the beginning.
        (first, last), (low, high) = (map(int, r.split(" to ")) for r in (ranges[api], wanted))
        assert first == low and last >= high, api


def test_the_cluster(tool, client):
    address = ("--bootstrap-server", client.bootstrap)
    assert re.search(r"Cluster ID: [\w-]{22}", tool("org.apache.kafka.tools.ClusterTool", "cluster-id", *address, bootstrap=None))
    status = tool("org.apache.kafka.tools.MetadataQuorumCommand", "describe", "--status")
    assert re.search(rf"LeaderId:\s+[1-{NODES}]\b", status)
