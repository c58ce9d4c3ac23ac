"""Topics and their configs, and the errors a user makes."""

import pytest

from adapters.base import NODES, BrokerError, Record
from adapters.waiting import await_partitions, eventually


def code_of(call, *arguments, **named):
    with pytest.raises(BrokerError) as error:
        call(*arguments, **named)
    return error.value.code


def test_a_topic_is_created_listed_grown_and_deleted(client, name):
    client.create_topic(name, 2)
    await_partitions(client, name, 2)
    assert name in client.topics()
    client.create_partitions(name, 5)
    await_partitions(client, name, 5)
    client.send(name, [Record(value=b"v", partition=4)])
    assert client.watermarks(name, 4) == (0, 1)
    client.delete_topic(name)
    eventually(lambda: name not in client.topics(), what="the deleted topic's absence")


def test_a_topic_made_again_starts_empty(client, topic, name):
    topic()
    client.send(name, [Record(value=b"old", partition=0)])
    client.delete_topic(name)
    eventually(lambda: name not in client.topics(), what="the deleted topic's absence")
    client.create_topic(name)
    await_partitions(client, name, 1)
    assert client.watermarks(name) == (0, 0)
    client.send(name, [Record(value=b"new", partition=0)])
    assert [record.value for record in client.read(name, 1)] == [b"new"]


def test_configs_of_a_topic(client, topic):
    name = topic(retention_ms=1_000_000)
    config = client.config(name)
    assert config["retention.ms"] == ("1000000", True)
    assert config["cleanup.policy"] == ("delete", False)
    assert config["max.message.bytes"] == ("1048588", False)
    client.set_config(name, "max.message.bytes", "5000")
    eventually(lambda: client.config(name)["max.message.bytes"] == ("5000", True), what="the new config")
    assert code_of(client.send, name, [Record(value=b"x" * 6000, partition=0)]) == 10


def test_delete_records_moves_the_start(client, topic):
    name = topic()
    client.send(name, [Record(value=b"%d" % i, partition=0) for i in range(10)])
    client.delete_records(name, 4)
    assert client.watermarks(name) == (4, 10)
    assert [record.offset for record in client.read(name, 6, offset=4)] == list(range(4, 10))
    assert code_of(client.delete_records, name, 11) == 1


def test_reading_out_of_range(client, topic):
    name = topic()
    client.send(name, [Record(value=b"%d" % i, partition=0) for i in range(10)])
    client.delete_records(name, 4)
    assert client.read(name, 1, offset=0, reset="earliest")[0].offset == 4
    assert client.read(name, 1, offset=1000, reset="earliest")[0].offset == 4
    assert code_of(client.read, name, 1, offset=0, reset="error") == 1
    assert code_of(client.read, name, 1, offset=1000, reset="error") == 1


def test_a_topic_that_exists(client, topic):
    assert code_of(client.create_topic, topic()) == 36


@pytest.mark.parametrize("bad", ["with space", "sla/sh", "..", "x" * 250, "ünicode"])
def test_an_invalid_topic_name(client, bad):
    assert code_of(client.create_topic, bad) == 17


def test_names_that_differ_only_in_dot_and_underscore(client, name):
    client.create_topic(f"{name}.a_b")
    assert code_of(client.create_topic, f"{name}_a.b") == 17


@pytest.mark.parametrize(("config", "value"), [("no.such.config", "1"), ("retention.ms", "soon"), ("cleanup.policy", "burn")])
def test_an_invalid_config(client, topic, name, config, value):
    assert code_of(client.create_topic, name, config={config: value}) == 40
    topic()
    assert code_of(client.set_config, name, config, value) == 40


def test_partition_counts(client, topic, name):
    assert code_of(client.create_topic, name, 0) == 37
    topic(partitions=3)
    assert code_of(client.create_partitions, name, 2) == 37
    assert code_of(client.create_partitions, name, 3) == 37


def test_more_replicas_than_brokers(client, name):
    assert code_of(client.create_topic, name, 1, NODES + 1) == 38


def test_an_unknown_topic(client, name):
    assert code_of(client.partitions, name) == 3
    assert code_of(client.delete_topic, name) == 3
    assert code_of(client.create_partitions, name, 4) == 3
    assert code_of(client.config, name) == 3
    assert name not in client.topics()


@pytest.mark.parametrize("client", ["confluent-kafka"], indirect=True)
def test_producing_to_an_unknown_topic_without_automatic_creation(client, name):
    assert code_of(client.send, name, [Record(value=b"v")], auto_create=False) == 3
    assert name not in client.topics()
