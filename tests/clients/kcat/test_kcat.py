"""kcat, librdkafka from the command line, in the version that Debian ships: an older librdkafka than Python's."""

import json
import queue
import re
import signal
import threading

import pytest

from adapters.base import NODES, T0, BrokerError, Record
from adapters.waiting import eventually

FORMAT = r"%p\t%o\t%T\t%k\t%s\t%h\n"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_keys_headers_and_nulls_with_every_codec(kcat, topic, codec):
    name = topic()
    lines = b"".join(b"key-%d\tvalue-%d\n" % (i, i) for i in range(100))
    kcat("-P", "-t", name, "-z", codec, "-K", "\t", "-H", "h=1", "-H", "h=2", "-H", "other=x", "-p", 0, stdin=lines)
    got = kcat("-C", "-t", name, "-p", 0, "-o", "beginning", "-e", "-q", "-f", FORMAT).decode().splitlines()
    assert len(got) == 100
    for i, line in enumerate(got):
        partition, offset, timestamp, key, value, headers = line.split("\t")
        assert (partition, offset, key, value, headers) == ("0", str(i), f"key-{i}", f"value-{i}", "h=1,h=2,other=x")
        assert int(timestamp) > T0


def test_null_keys_and_values(kcat, topic):
    name = topic()
    kcat("-P", "-t", name, "-Z", "-K", ":", stdin=b":no key\nno value:\n")
    got = [json.loads(line) for line in kcat("-C", "-t", name, "-e", "-q", "-J").splitlines()]
    assert [(record["key"], record["payload"]) for record in got] == [(None, "no key"), ("no value", None)]


def test_seek_by_offset_and_from_the_end(kcat, topic):
    name = topic()
    kcat("-P", "-t", name, stdin=b"".join(b"%d\n" % i for i in range(20)))

    def read(*where):
        return kcat("-C", "-t", name, "-p", 0, "-e", "-q", *where).decode().split()

    assert read("-o", 17) == ["17", "18", "19"]
    assert read("-o", -2) == ["18", "19"]
    assert read("-o", "beginning", "-c", 3) == ["0", "1", "2"]
    assert read("-o", "end") == []


def test_seek_by_time(kcat, client, topic):
    name = topic()
    client.send(name, [Record(value=b"%d" % i, timestamp=T0 + 1000 * i, partition=0) for i in range(10)])
    assert kcat("-C", "-t", name, "-p", 0, "-e", "-q", "-o", f"s@{T0 + 4500}").decode().split() == ["5", "6", "7", "8", "9"]
    assert kcat("-C", "-t", name, "-p", 0, "-e", "-q", "-o", f"s@{T0 + 2000}", "-o", f"e@{T0 + 4000}").decode().split() == ["2", "3"]
    assert kcat("-Q", "-t", f"{name}:0:{T0 + 2001}").decode().split() == [f"{name}", "[0]", "offset", "3"]


def test_metadata(kcat, topic):
    name = topic(partitions=3)
    told = json.loads(kcat("-L", "-t", name, "-J"))
    brokers = list(range(1, NODES + 1))
    assert sorted(broker["id"] for broker in told["brokers"]) == brokers
    (found,) = told["topics"]
    assert [p["partition"] for p in found["partitions"]] == [0, 1, 2]
    for partition in found["partitions"]:
        assert partition["leader"] in brokers
        assert sorted(replica["id"] for replica in partition["isrs"]) == brokers


def test_idempotent_producer(kcat, client, topic):
    name = topic()
    kcat("-P", "-t", name, "-X", "enable.idempotence=true", stdin=b"".join(b"%d\n" % i for i in range(1000)))
    assert kcat("-C", "-t", name, "-e", "-q").decode().split() == [str(i) for i in range(1000)]
    assert client.watermarks(name) == (0, 1000)


class Lines:
    """What a process prints, without blocking on it."""

    def __init__(self, stream):
        self.queue = queue.Queue()
        self.all = []
        threading.Thread(target=lambda: [self.queue.put(line) for line in stream], daemon=True).start()

    def so_far(self):
        while not self.queue.empty():
            self.all.append(self.queue.get().strip())
        return self.all


def assigned(lines):
    """The partitions of the last rebalance that kcat reported."""
    told = [line for line in lines.so_far() if "rebalanced" in line and "assigned:" in line]
    return {int(p) for p in re.findall(r"\[(\d+)\]", told[-1].split("assigned:")[1])} if told else set()


def test_two_members_share_commit_and_resume(kcat, client, member, topic):
    name = topic(partitions=4)
    group = f"g-{name}"

    def produce(start):
        for partition in range(4):
            kcat("-P", "-t", name, "-p", partition, stdin=b"".join(b"%d\n" % i for i in range(start, start + 5)))

    first = member(group, name)
    first_told, first_read = Lines(first.stderr), Lines(first.stdout)
    eventually(lambda: assigned(first_told) == {0, 1, 2, 3}, 20, "all partitions for the only member")
    second = member(group, name)
    second_told, second_read = Lines(second.stderr), Lines(second.stdout)
    eventually(lambda: len(assigned(first_told)) == len(assigned(second_told)) == 2, 20, "two partitions each")
    assert assigned(first_told) | assigned(second_told) == {0, 1, 2, 3}
    produce(0)
    eventually(lambda: len(first_read.so_far()) + len(second_read.so_far()) == 20, 20, "all records")
    assert {f"{p}:{i}" for p in range(4) for i in range(5)} == set(first_read.all) | set(second_read.all)
    second.send_signal(signal.SIGINT)
    second.wait(20)
    eventually(lambda: assigned(first_told) == {0, 1, 2, 3}, 20, "the partitions of the member that left")
    first.send_signal(signal.SIGINT)
    first.wait(20)
    assert [client.committed(group, name, p) for p in range(4)] == [5] * 4
    produce(100)
    third_read = Lines(member(group, name).stdout)
    eventually(lambda: len(third_read.so_far()) >= 20, 20, "the new records")
    assert {f"{p}:{i}" for p in range(4) for i in range(100, 105)} == set(third_read.all)


def test_a_message_too_large(kcat, client, topic):
    name = topic(max_message_bytes=10_000)
    kcat("-P", "-t", name, stdin=b"x" * 9_900)
    assert b"Message size too large" in kcat("-P", "-t", name, stdin=b"x" * 10_000, fails=True)
    assert client.watermarks(name) == (0, 1)


def test_an_offset_out_of_range(kcat, topic):
    name = topic()
    kcat("-P", "-t", name, stdin=b"v\n")
    where = ("-C", "-t", name, "-p", 0, "-o", 1000, "-c", 1)
    assert b"out of range" in kcat(*where, "-X", "auto.offset.reset=error", fails=True)
    assert kcat(*where, "-q", "-X", "auto.offset.reset=earliest") == b"v\n"


def test_an_unknown_topic_and_a_bad_name(kcat, client, name):
    assert b"Unknown topic" in kcat("-C", "-t", name, "-e", fails=True)
    assert b"Invalid topic" in kcat("-P", "-t", "bad name", stdin=b"v\n", fails=True)
    with pytest.raises(BrokerError):
        client.partitions(name)


def test_the_first_record_creates_the_topic(kcat, client, name):
    kcat("-P", "-t", name, stdin=b"v\n")
    assert client.watermarks(name) == (0, 1)
