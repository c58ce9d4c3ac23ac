"""Bad days of a disk, on the real binary: a failing sync, a full filesystem, damaged files, a second process.

    diskfaults.py [NAME …]      runs these tests, or all
"""

import argparse
import errno
import os
import struct
import sys
import time
import traceback
from contextlib import contextmanager

from brokers import Chronik
from checker import check
from cycles import TOPIC_CONFIG, TOPICS, create_topics
from finalread import final_read
from history import Writer, load
from powercut import SMALL_JOURNAL
from rig import Failure, LoopDisk, Missing, Workspace, await_state
from syncfault import SyncFault
from workload import COMMON, Workload, join, standard, unpack

EXIT_TIMEOUT_S = 10
STATE_TIMEOUT_S = 20
PROGRESS_TIMEOUT_S = 30
LIMIT_S = 120
PARTITIONS = [join(topic, n) for topic, count in sorted(TOPICS.items()) for n in range(count)]
MIB = 1 << 20


def require(condition, text):
    if not condition:
        raise Failure(text)


class Session:
    """One broker with the standard workload and the history of both."""

    def __init__(self, workspace, data, overrides=None, env=None, refusals=()):
        self.folder = workspace.dir / "history"
        self.folder.mkdir()
        self.broker = Chronik(workspace.dir / "broker", data, {**SMALL_JOURNAL, **(overrides or {})}, env)
        self.history = Writer(self.folder / "driver.jsonl")
        self.refusals, self.workload = refusals, None

    def begin(self):
        self.broker.start()
        create_topics(self.broker.bootstrap, TOPICS, TOPIC_CONFIG)
        self.workload = Workload(standard(TOPICS, self.refusals), self.broker.bootstrap, self.folder, LIMIT_S)
        self.workload.start()
        self.progress()

    def progress(self):
        self.history.event("healed")
        before = self.workload.counts()

        def got_on():
            require(not self.workload.dead(), f"workers ended: {self.workload.dead()}")
            return all(count > before[key] for key, count in self.workload.counts().items())
        await_state("progress of every worker", got_on, PROGRESS_TIMEOUT_S)

    def fault(self, kind):
        self.history.event("fault", kind=kind)

    def stop_workload(self):
        self.history.event("stop")
        workload, self.workload = self.workload, None
        faults = workload.stop()
        require(not faults, f"{faults}")

    def judge(self):
        """Reads everything; nothing may be wrong."""
        final_read(self.broker.bootstrap, PARTITIONS, self.history)
        self.history.flush()
        report = check(load(self.folder))
        print(f"    {report.summary()}")
        require(not report.counts, "\n".join(report.lines()))
        require(not self.broker.panics(), f"{self.broker.panics()}")

    def close(self):
        if self.workload is not None:
            self.workload.stop()
        self.broker.kill()


@contextmanager
def session(workspace, data, **options):
    running = Session(workspace, data, **options)
    try:
        yield running
    finally:
        running.close()


def producer(broker):
    """One attempt, one outcome."""
    from confluent_kafka import Producer
    return Producer({**COMMON, "bootstrap.servers": broker.bootstrap, "retries": 0, "acks": "all", "message.timeout.ms": 5000, "linger.ms": 0})


def produce_once(client, topic):
    """The name of the error, or None."""
    outcome = []
    client.produce(topic, b"probe", on_delivery=lambda error, message: outcome.append(error.name() if error else None))
    require(client.flush(EXIT_TIMEOUT_S) == 0, "a produce request had no outcome")
    return outcome[0]


def admin(broker):
    from confluent_kafka.admin import AdminClient
    return AdminClient({**COMMON, "bootstrap.servers": broker.bootstrap})


def is_unknown(broker, topic):
    from confluent_kafka import KafkaError, KafkaException, TopicCollection
    client = admin(broker)
    try:
        client.describe_topics(TopicCollection([topic]))[topic].result(STATE_TIMEOUT_S)
    except KafkaException as error:
        return error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    return False


# A sync that fails.

def failed_sync(workspace, path_of):
    disk = LoopDisk(workspace.dir, "disk", 768)
    fault = SyncFault(workspace.dir, "fail", path_of(disk), armed=False)
    with session(workspace, disk.path / "data", env=fault.env) as s:
        s.begin()
        s.fault("fsync fails")
        fault.arm()
        try:
            s.broker.flush()
        except OSError:
            pass  # It ends while it answers, as it should.
        code = s.broker.await_exit(EXIT_TIMEOUT_S)
        late = (time.monotonic_ns() - fault.first_hit()) / 1e9
        require(fault.hits() > 0, "no sync failed")
        require(code > 0, f"exit code {code}")
        # What the failed sync did not write must not count: the power goes before anything else can write it.
        disk.cut_power()
        disk.remount()
        s.broker.env.clear()
        s.broker.start()
        s.progress()
        s.stop_workload()
        s.judge()
        print(f"    exit code {code} at most {late:.2f} s after the first of {fault.hits()} failed syncs")


def test_a_failed_sync_of_any_file_ends_the_broker(workspace):
    failed_sync(workspace, lambda disk: str(disk.path))


def test_a_failed_sync_of_a_segment_ends_the_broker(workspace):
    failed_sync(workspace, lambda disk: "/chaos-a-")


def test_a_disk_that_goes_away_ends_the_broker(workspace):
    """Every read, write and sync fails from one moment on; nobody kills it."""
    disk = LoopDisk(workspace.dir, "disk", 768)
    with session(workspace, disk.path / "data") as s:
        s.begin()
        s.fault("disk gone")
        began = time.monotonic()
        disk.cut_power()
        code = s.broker.await_exit(EXIT_TIMEOUT_S)
        print(f"    exit code {code} after {time.monotonic() - began:.2f} s")
        require(code > 0, f"exit code {code}")
        disk.remount()
        s.broker.start()
        s.progress()
        s.stop_workload()
        s.judge()


# No space.

def fill(disk, leave):
    """A file that takes all space but `leave` bytes."""
    ballast = disk.path / "ballast"
    with ballast.open("wb") as file:
        while (free := free_bytes(disk)) > leave:
            size = file.seek(0, os.SEEK_END)
            try:
                os.posix_fallocate(file.fileno(), size, max(4096, min(free - leave, 8 * MIB)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
    return ballast


def free_bytes(disk):
    about = os.statvfs(disk.path)
    return about.f_bavail * about.f_frsize


def full_disk(workspace, leave):
    from confluent_kafka import Consumer, TopicPartition
    disk = LoopDisk(workspace.dir, "disk", 400)
    floor = 64 * MIB
    with session(workspace, disk.path / "data", overrides={"journal.free.bytes.floor": str(floor)}, refusals=("KAFKA_STORAGE_ERROR",)) as s:
        s.begin()
        create_topics(s.broker.bootstrap, {"spare": 1, "probe": 1}, {})
        probe = producer(s.broker)
        require(produce_once(probe, "probe") is None, "the probe could not write before the disk was full")
        s.fault("disk full")
        ballast = fill(disk, min(leave, floor // 2))
        await_state("a refusal with KAFKA_STORAGE_ERROR", lambda: produce_once(probe, "probe") == "KAFKA_STORAGE_ERROR", STATE_TIMEOUT_S)
        time.sleep(1)  # All writers press on meanwhile.
        require(s.broker.alive(), f"the broker ended on a full disk:\n{s.broker.tail()}")
        reader = Consumer({**COMMON, "bootstrap.servers": s.broker.bootstrap, "group.id": "full", "enable.auto.commit": False})
        reader.assign([TopicPartition("chaos-a", 0, 0)])
        message = await_state("a fetch on a full disk", lambda: reader.poll(0.2), STATE_TIMEOUT_S)
        require(message.error() is None and unpack(message.value(), "chaos-a-0"), f"the fetch gave {message.error()}")
        reader.commit(message, asynchronous=False)
        reader.close()
        client = admin(s.broker)  # It must live as long as its answer is awaited.
        client.delete_topics(["spare"], operation_timeout=STATE_TIMEOUT_S)["spare"].result(STATE_TIMEOUT_S)
        await_state("the deleted topic's end", lambda: is_unknown(s.broker, "spare"), STATE_TIMEOUT_S)
        ballast.unlink()
        await_state("writes after space returned", lambda: produce_once(probe, "probe") is None, STATE_TIMEOUT_S)
        s.progress()
        s.stop_workload()
        s.broker.kill()
        s.broker.start()
        s.judge()


def test_a_disk_at_its_floor_refuses_writes_only(workspace):
    full_disk(workspace, leave=32 * MIB)


def test_a_disk_without_any_space_refuses_writes_only(workspace):
    full_disk(workspace, leave=0)


# Two processes, one directory.

def test_a_second_process_refuses_the_directory(workspace):
    data = workspace.dir / "data"
    with session(workspace, data) as s:
        s.begin()
        with Chronik(workspace.dir / "second", data) as second:
            second.launch()
            code = second.await_exit(EXIT_TIMEOUT_S)
            require(code > 0, f"the second process ended with {code}")
            require(str(data) in second.log(), f"its message does not name {data}:\n{second.tail()}")
        s.progress()
        s.stop_workload()
        s.judge()


# Damaged files.

FILE_HEADER = struct.Struct("<8sI I16s16si Q Q")  # magic, CRC, version, cluster, directory, node, sequence, salt
GROUP_HEADER = struct.Struct("<4sI Q I QQII")     # magic, CRC, salt, version, group, file, position, bytes
BLOCK = 4096


def groups(path):
    """(sequence, [(position, bytes)]) of the groups of the file's present use."""
    content = path.read_bytes()
    magic, _, _, _, _, _, sequence, salt = FILE_HEADER.unpack_from(content)
    if magic != b"CHRONIKJ":
        return -1, []
    found = []
    for position in range(BLOCK, len(content), BLOCK):
        name, _, salted, _, _, file, where, size = GROUP_HEADER.unpack_from(content, position)
        if (name, salted, file, where) == (b"CGRP", salt, sequence, position):
            found.append((position, size))
    return sequence, found


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x40]))


BATCH_HEAD = struct.Struct(">qi")  # base offset, bytes after this
# In a batch of Kafka's format; the leader epoch before it is under no checksum.
CRC_COVERS_FROM = 21


def middle_batch(segment):
    """(base offset, position, bytes) of the batch in the middle of the file."""
    content, position = segment.read_bytes(), 0
    while True:
        base, rest = BATCH_HEAD.unpack_from(content, position)
        size = BATCH_HEAD.size + rest
        if position + size > len(content) // 2:
            return base, position, size
        position += size


def test_a_damaged_journal_stops_the_start(workspace):
    data = workspace.dir / "data"
    with session(workspace, data) as s:
        s.begin()
        s.stop_workload()
        s.broker.kill()
        files = [(*groups(path), path) for path in data.rglob("*.journal")]
        require(files, f"no journal file below {data}")
        _, found, path = max(files, key=lambda file: file[0] if file[1] else -1)
        require(len(found) > 10, f"{path} has only {len(found)} groups")
        position, size = found[len(found) // 2]
        flip(path, position + size // 2)
        for _ in range(2):  # The second start must not find a journal that the first one has "repaired".
            s.broker.launch()
            code = s.broker.await_exit(EXIT_TIMEOUT_S)
            require(code > 0, f"exit code {code}")
            for text in (path.name, str(position)):
                require(text in s.broker.log(), f"the message does not name {text}:\n{s.broker.tail()}")
        flip(path, position + size // 2)
        s.broker.start()
        s.judge()


def test_a_damaged_segment_is_reported_and_others_are_served(workspace):
    data = workspace.dir / "data"
    with session(workspace, data) as s:
        s.begin()
        s.stop_workload()
        s.broker.flush()
        require(s.broker.stop() == 0, "the broker did not stop in order")
        segments = list(data.rglob("chaos-a-0/*.log"))
        require(segments, f"no segment of chaos-a-0 below {data}")
        segment = max(segments, key=lambda path: path.stat().st_size)
        base, position, size = middle_batch(segment)
        flip(segment, position + (CRC_COVERS_FROM + size) // 2)
        s.broker.start()
        error, sound = read_damaged(s.broker, "chaos-a", 0)
        for text in (segment.name, str(position)):
            require(text in s.broker.log(), f"got {error}, but the broker's log does not name {text}:\n{s.broker.tail()}")
        require(sound == base, f"the records up to {base} are sound, but only those up to {sound} were served")
        print(f"    the reader got {error} after {sound} sound records")
        read_whole(s.broker, [p for p in PARTITIONS if p != "chaos-a-0"])


def reader(broker, topic, number):
    from confluent_kafka import Consumer, TopicPartition
    client = Consumer({**COMMON, "bootstrap.servers": broker.bootstrap, "group.id": "damage", "enable.auto.commit": False, "check.crcs": True,
                       "auto.offset.reset": "error"})
    client.assign([TopicPartition(topic, number, 0)])
    return client


def read_damaged(broker, topic, number):
    """(the error, the offset it came at); what comes before must be whole and without a gap."""
    client, next_offset, deadline = reader(broker, topic, number), 0, time.monotonic() + STATE_TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            message = client.poll(0.2)
            if message is None:
                continue
            if message.error() is not None:
                return message.error().name(), next_offset
            require(message.offset() == next_offset, f"went from {next_offset} to {message.offset()} past the damage")
            unpack(message.value(), join(topic, number))
            next_offset += 1
        raise Failure(f"no error within {STATE_TIMEOUT_S} s; {next_offset} records were read\n{broker.tail()}")
    finally:
        client.close()


def read_whole(broker, partitions):
    from confluent_kafka import TopicPartition
    for p in partitions:
        topic, _, number = p.rpartition("-")
        client = reader(broker, topic, int(number))
        try:
            _, end = client.get_watermark_offsets(TopicPartition(topic, int(number)), timeout=STATE_TIMEOUT_S)
            offset = 0
            while offset < end:
                message = client.poll(STATE_TIMEOUT_S)
                require(message is not None and message.error() is None, f"{p} at {offset}: {message and message.error()}")
                require(message.offset() == offset, f"{p}: {message.offset()} instead of {offset}")
                unpack(message.value(), p)
                offset += 1
        finally:
            client.close()


TESTS = {name.removeprefix("test_"): test for name, test in list(globals().items()) if name.startswith("test_")}


def run(name):
    """None, or what went wrong. Raises Missing."""
    try:
        with Workspace("disk") as workspace:
            TESTS[name](workspace)
    except Failure as failure:
        return str(failure)
    except Missing:
        raise
    except Exception:
        return traceback.format_exc()
    return None


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("tests", nargs="*", metavar="NAME", help="a part of a test's name")
    options = parser.parse_args()
    failed = 0
    for name in TESTS:
        if options.tests and not any(part in name for part in options.tests):
            continue
        began = time.monotonic()
        try:
            wrong = run(name)
        except Missing as missing:
            print(f"{name}: not run: {missing}")
            continue
        failed += wrong is not None
        print(f"{name}: {'passed' if wrong is None else f'FAILED: {wrong}'} ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
