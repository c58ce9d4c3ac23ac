"""What the tests know of a client: records, errors as Kafka's numbers, and the calls every client offers.

Each adapter implements `Client` and `Member` with its library's own public calls. An error of the broker surfaces as
`BrokerError` with Kafka's error code, whatever class the library wraps it in; everything else passes through unchanged.
"""

import abc
import contextlib
import os
import time
from dataclasses import dataclass

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
CALL_TIMEOUT_S = 20
SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_MS = 300
# How many nodes there are, and so how many replicas a topic has.
NODES = len(os.environ.get("BOOTSTRAP", "").split(","))
# The first timestamp of test data, ms since the epoch: two hours ago, for older records would soon fall to the retention.
T0 = (int(time.time()) - 7200) * 1000


@dataclass(frozen=True)
class Record:
    """A record as sent or received; `timestamp` in ms since the epoch, None: the client's clock."""

    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    partition: int | None = None
    offset: int | None = None
    log_append_time: bool = False

    def content(self):
        return (self.key, self.value, self.headers, self.timestamp)


class BrokerError(Exception):
    """An error code of the Kafka protocol, as the broker answered it."""

    def __init__(self, code, cause):
        super().__init__(f"error {code}: {cause}")
        self.code = code


class Member(abc.ABC):
    """One consumer of a group; offsets are committed only by `commit`."""

    @abc.abstractmethod
    def poll(self) -> list[Record]:
        """The records that arrived within a short while, perhaps none."""

    @abc.abstractmethod
    def assignment(self) -> set[int]:
        """The partitions of the topic it holds now."""

    @abc.abstractmethod
    def commit(self): ...

    @abc.abstractmethod
    def close(self):
        """Leaves the group."""


class Client(abc.ABC):
    name: str
    # The quickest client, which asks whether a new partition serves yet; set by the test session.
    probe: "Client"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    @abc.abstractmethod
    def send(self, topic, records, *, codec="none", idempotent=False, max_request=None, auto_create=True) -> list[Record]:
        """Sends with acks=all, batched as the client likes, and returns the records with partition and offset."""

    @abc.abstractmethod
    def read(self, topic, count, *, partition=0, offset=0, reset="error") -> list[Record]:
        """`count` records from `offset`; `reset` is what to do when the offset is out of range."""

    def read_all(self, topics, count) -> dict[str, list[Record]]:
        """The first `count` records of partition 0 of each topic."""
        return {topic: self.read(topic, count) for topic in topics}

    @abc.abstractmethod
    def watermarks(self, topic, partition=0) -> tuple[int, int]: ...

    @abc.abstractmethod
    def offset_for_time(self, topic, timestamp, partition=0) -> int | None:
        """The first offset with a timestamp of at least this one; None when there is none."""

    @abc.abstractmethod
    def join(self, group, topic, *, reset="earliest") -> Member: ...

    @abc.abstractmethod
    def create_topic(self, name, partitions=1, replication=NODES, config=None): ...

    @abc.abstractmethod
    def delete_topic(self, name): ...

    @abc.abstractmethod
    def topics(self) -> set[str]: ...

    @abc.abstractmethod
    def partitions(self, topic) -> int: ...

    @abc.abstractmethod
    def create_partitions(self, topic, total): ...

    @abc.abstractmethod
    def config(self, topic) -> dict[str, tuple[str | None, bool]]:
        """Every config of the topic: its value and whether it is set on the topic itself."""

    @abc.abstractmethod
    def set_config(self, topic, key, value): ...

    @abc.abstractmethod
    def delete_records(self, topic, before, partition=0): ...

    @abc.abstractmethod
    def groups(self) -> set[str]: ...

    @abc.abstractmethod
    def group(self, group) -> tuple[str, int]:
        """The group's state (Kafka's word) and how many members it has."""

    @abc.abstractmethod
    def committed(self, group, topic, partition=0) -> int | None: ...

    def delete_group(self, group):
        raise NotImplementedError(f"{self.name} cannot delete groups")

    @abc.abstractmethod
    def close(self): ...


def drive(members, done, seconds=40):
    """Polls all members in turn until `done(records so far)`; returns the records by member."""
    deadline = time.monotonic() + seconds
    seen = {member: [] for member in members}
    while not done(seen):
        assert time.monotonic() < deadline, f"gave up after {seconds} s with {[m.assignment() for m in members]}"
        for member in members:
            seen[member] += member.poll()
    return seen


@contextlib.contextmanager
def closing(*things):
    try:
        yield things
    finally:
        for thing in things:
            thing.close()
