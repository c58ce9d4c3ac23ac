"""Consumer groups of the classic protocol: members join, share, leave, commit and resume."""

import pytest

from adapters.base import BrokerError, Record, closing, drive
from adapters.waiting import eventually


def values(records):
    return [record.value for record in records]


def numbered(client, topic, count, partitions, start=0):
    client.send(topic, [Record(value=b"%d" % i, partition=i % partitions) for i in range(start, start + count)])
    return {b"%d" % i for i in range(start, start + count)}


def test_two_members_share_the_partitions_and_one_inherits_all(client, topic, name):
    topic(partitions=4)
    first = client.join(f"g-{name}", name)
    with closing(first):
        drive([first], lambda seen: first.assignment() == {0, 1, 2, 3})
        second = client.join(f"g-{name}", name)
        with closing(second):
            drive([first, second], lambda seen: len(first.assignment()) == len(second.assignment()) == 2)
            assert first.assignment() | second.assignment() == {0, 1, 2, 3}
            wanted = numbered(client, name, 40, 4)
            seen = drive([first, second], lambda seen: sum(map(len, seen.values())) >= 40)
            assert set(values(seen[first])) | set(values(seen[second])) == wanted
            assert {r.partition for r in seen[first]} == first.assignment()
            assert {r.partition for r in seen[second]} == second.assignment()
            eventually(lambda: client.group(f"g-{name}") == ("Stable", 2), what="the stable group")
        drive([first], lambda seen: first.assignment() == {0, 1, 2, 3})
        wanted = numbered(client, name, 8, 4, start=100)
        drive([first], lambda seen: wanted <= set(values(seen[first])))


def test_a_restarted_consumer_resumes_where_it_committed(client, topic, name):
    topic()
    group = f"g-{name}"
    numbered(client, name, 10, 1)
    with closing(client.join(group, name)) as (member,):
        seen = drive([member], lambda seen: len(seen[member]) == 10)
        assert values(seen[member]) == [b"%d" % i for i in range(10)]
        member.commit()
    assert client.committed(group, name) == 10
    numbered(client, name, 5, 1, start=10)
    with closing(client.join(group, name)) as (member,):
        seen = drive([member], lambda seen: len(seen[member]) == 5)
        assert values(seen[member]) == [b"%d" % i for i in range(10, 15)]


def test_without_a_commit_the_group_starts_over(client, topic, name):
    topic()
    numbered(client, name, 3, 1)
    for _ in range(2):
        with closing(client.join(f"g-{name}", name)) as (member,):
            seen = drive([member], lambda seen: len(seen[member]) == 3)
            assert [record.offset for record in seen[member]] == [0, 1, 2]
    assert client.committed(f"g-{name}", name) is None


def test_a_group_is_listed_described_and_deleted(client, clients, topic, name):
    topic()
    group = f"g-{name}"
    numbered(client, name, 1, 1)
    with closing(client.join(group, name)) as (member,):
        drive([member], lambda seen: len(seen[member]) == 1)
        member.commit()
        assert group in client.groups()
        eventually(lambda: client.group(group) == ("Stable", 1), what="the stable group")
    eventually(lambda: client.group(group) == ("Empty", 0), what="the empty group")
    assert group in client.groups()
    # aiokafka has no call to delete a group; librdkafka's stands in.
    deleter = clients["confluent-kafka"] if client.name == "aiokafka" else client
    deleter.delete_group(group)
    assert group not in client.groups()
    assert client.committed(group, name) is None


@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"], indirect=True)
def test_a_group_with_members_cannot_be_deleted(client, topic, name):
    topic()
    group = f"g-{name}"
    with closing(client.join(group, name)) as (member,):
        drive([member], lambda seen: member.assignment())
        with pytest.raises(BrokerError) as error:
            client.delete_group(group)
        assert error.value.code == 68
    with pytest.raises(BrokerError) as error:
        client.delete_group(f"absent-{name}")
    assert error.value.code == 69
