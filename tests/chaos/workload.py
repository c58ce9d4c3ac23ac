"""Real clients (librdkafka), one process each, that write down what they see and go on through restarts of the broker.

Every worker ends when told to, or when its time or count is over, or when the process that started it is gone.
"""

import ctypes
import multiprocessing
import os
import random
import signal
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from history import Writer, now, record_id
from payload import pack, unpack

RECORD_BYTES = (60, 900)
POLL_RECORDS = 500
CALL_TIMEOUT_S = 5
# A flush of the history costs a system call; nobody reads it before the workers have ended.
HISTORY_FLUSH_S = 1


@dataclass
class Worker:
    """`kind` names the function below; `config` goes to librdkafka on top of COMMON."""

    number: int
    kind: str
    partitions: list[str]
    config: dict = field(default_factory=dict)
    rate: int = 400             # records a second, at most
    count: int = 1 << 32        # records, at most
    in_flight: int = 200        # records without an outcome, at most
    idempotent: bool = False
    group: str = ""
    refusals: tuple = ()        # names of errors that promise that nothing was written


# Reconnect soon after a restart, and never give up a record while the run lasts.
COMMON = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 10_000, "topic.metadata.refresh.interval.ms": 30_000,
          "broker.address.family": "v4", "log_level": 0}


class Control:
    """What driver and workers share: a flag to stop, and how much each worker got done, by partition."""

    def __init__(self, workers):
        context = multiprocessing.get_context("spawn")
        self.slots = {}
        for worker in workers:
            for p in worker.partitions:
                self.slots[worker.number, p] = len(self.slots)
        self.stopping = context.Event()
        self.counts = context.Array("Q", len(self.slots), lock=False)

    def done(self, number, partition, by=1):
        self.counts[self.slots[number, partition]] += by


class Run:
    """One worker's view: its history file and when to end."""

    def __init__(self, worker, bootstrap, control, folder, limit_s):
        self.worker, self.bootstrap, self.control = worker, bootstrap, control
        self.parent = os.getppid()
        self.deadline = time.monotonic() + limit_s
        self.history = Writer(Path(folder) / f"worker-{worker.number}.jsonl")
        self.event = self.history.event
        self.random = random.Random(worker.number)
        self.flushed = time.monotonic()

    def going_on(self):
        moment = time.monotonic()
        if moment - self.flushed > HISTORY_FLUSH_S:
            self.flushed = moment
            self.history.flush()
        return not self.control.stopping.is_set() and moment < self.deadline and os.getppid() == self.parent

    def config(self, **more):
        return {**COMMON, "bootstrap.servers": self.bootstrap, "client.id": f"chaos-{self.worker.number}", **more, **self.worker.config}


def split(partition):
    topic, _, number = partition.rpartition("-")
    return topic, int(number)


def join(topic, number):
    return f"{topic}-{number}"


# Producers.

IDEMPOTENT = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": 300_000, "linger.ms": 2}
# One request at a time and no retry: what is not acknowledged at once stays unknown, and order is kept without idempotence.
SINGLE = {"enable.idempotence": False, "acks": "1", "retries": 0, "max.in.flight.requests.per.connection": 1,
          "message.timeout.ms": 5_000, "linger.ms": 2}


class Producer:
    def __init__(self, run):
        self.run, self.worker = run, run.worker
        self.n = self.session = self.outstanding = 0
        self.fatal = None
        self.producer = None

    def go(self):
        from confluent_kafka import KafkaException
        self.open()
        began, first = time.monotonic(), 0
        while self.run.going_on() and self.n < self.worker.count:
            self.poll(0)
            if self.fatal:
                self.reopen()
            allowed = (time.monotonic() - began) * self.worker.rate - (self.n - first)
            if self.outstanding >= self.worker.in_flight or allowed < 1:
                self.poll(0.005)
                if allowed > self.worker.rate:  # After a pause the rate is kept, not made up for.
                    began, first = time.monotonic(), self.n
                continue
            try:
                self.send(self.worker.partitions[self.n % len(self.worker.partitions)])
            except (BufferError, KafkaException) as error:
                self.gave_up(error)
                self.poll(0.005)
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while len(self.producer) and not self.fatal and time.monotonic() < deadline:
            self.poll(0.1)

    def open(self):
        from confluent_kafka import Producer as Client
        base = IDEMPOTENT if self.worker.idempotent else SINGLE
        self.producer = Client({**base, **self.run.config()})

    def poll(self, timeout_s):
        """Outcomes arrive in here. The client raises what ends its session, and spoils outcomes that come with it: these stay unknown."""
        from confluent_kafka import KafkaException
        try:
            self.producer.poll(timeout_s)
        except (KafkaException, SystemError) as error:
            self.fatal = str(error.__cause__ or error)

    def gave_up(self, error):
        """The client refused to take a record: nothing of it left."""
        self.run.event("fail", id=record_id(self.worker.number, self.n - 1), error=str(error))
        self.outstanding -= 1

    def reopen(self):
        self.run.event("fatal", w=self.worker.number, s=self.name(), error=self.fatal)
        # What it had not sent stays without an outcome, which is as good as unknown.
        self.session, self.fatal, self.outstanding = self.session + 1, None, 0
        self.open()

    def name(self):
        return f"{self.worker.number}.{self.session}"

    def send(self, p):
        record, session = record_id(self.worker.number, self.n), self.session
        topic, number = split(p)
        value = pack(record, p, self.run.random.randint(*RECORD_BYTES))
        self.n += 1
        self.outstanding += 1
        self.run.event("send", w=self.worker.number, s=self.name(), id=record, p=p)
        self.producer.produce(topic, value=value, partition=number, on_delivery=lambda error, message: self.outcome(session, record, p, error, message))

    def outcome(self, session, record, p, error, message):
        if session != self.session:
            return
        self.outstanding -= 1
        if error is None:
            offset = message.offset()
            self.run.event("ack", id=record, o=offset if offset is not None and offset >= 0 else None)
            self.run.control.done(self.worker.number, p)
        elif error.name() in self.worker.refusals:
            self.run.event("fail", id=record, error=error.name())
        else:
            self.run.event("info", id=record, error=error.name())


# Consumers.

class Reader:
    """Reads every partition from its start with `assign`, checks each payload, never commits."""

    group = None

    def __init__(self, run):
        self.run, self.worker, self.session = run, run.worker, 0

    def client(self, **more):
        from confluent_kafka import Consumer
        # An offset beyond the log's end must show, not be papered over by starting again at one side.
        config = {"group.id": f"chaos-{self.worker.number}", "enable.auto.commit": False, "auto.offset.reset": "error", "fetch.wait.max.ms": 50,
                  "fetch.error.backoff.ms": 20, "check.crcs": True, "isolation.level": "read_uncommitted", **more}
        return Consumer({**config, **self.run.config()})

    def go(self):
        self.consumer = self.client()
        self.assign(self.worker.partitions)
        while self.run.going_on():
            self.poll()
        self.consumer.close()

    def assign(self, partitions):
        from confluent_kafka import TopicPartition
        self.session += 1
        for p in partitions:
            self.run.event("session", w=self.worker.number, s=self.name(p), p=p, o=0)
        self.consumer.assign([TopicPartition(*split(p), 0) for p in partitions])

    def name(self, p):
        return f"{self.worker.number}.{self.session}"

    def poll(self):
        began = now()
        messages = self.consumer.consume(POLL_RECORDS, timeout=0.1)
        by_partition, lost_place = {}, False
        for message in messages:
            error = message.error()
            if error is None:
                collect(by_partition, message)
            elif error.name() in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"):
                lost_place = True
        for p, (offsets, ids, bad) in by_partition.items():
            more = {"bad": bad} if bad else {}
            self.run.event("poll", b=began, w=self.worker.number, s=self.name(p), p=p, o=offsets, i=ids, **more)
            self.run.control.done(self.worker.number, p, len(offsets))
        if lost_place:
            self.begin_again()
        return by_partition

    def begin_again(self):
        """The log ends before what was read: the checker sees that; reading goes on from the start as a new session."""
        self.assign(self.worker.partitions)


def collect(by_partition, message):
    p = join(message.topic(), message.partition())
    offsets, ids, bad = by_partition.setdefault(p, ([], [], []))
    try:
        ids.append(unpack(message.value(), p))
        offsets.append(message.offset())
    except ValueError as error:
        bad.append([message.offset(), str(error)])


class Member(Reader):
    """A member of a group: goes on where the group's committed offset is, commits what it read."""

    COMMIT_EVERY_S = 0.2

    def go(self):
        self.sessions, self.positions, self.commits = {}, {}, 0
        self.consumer = self.client(**{"group.id": self.worker.group, "session.timeout.ms": 10_000, "heartbeat.interval.ms": 500,
                                       "partition.assignment.strategy": "range", "auto.offset.reset": "earliest"})
        topics = sorted({split(p)[0] for p in self.worker.partitions})
        self.consumer.subscribe(topics, on_assign=self.on_assign, on_revoke=self.on_revoke)
        last = time.monotonic()
        while self.run.going_on():
            for p, (offsets, _, bad) in self.poll().items():
                self.positions[p] = max([*offsets, *(offset for offset, _ in bad)]) + 1
            if self.positions and time.monotonic() - last > self.COMMIT_EVERY_S:
                self.commit()
                last = time.monotonic()
        self.consumer.close()

    def name(self, p):
        return f"{self.worker.number}.{self.sessions.get(p, 0)}"

    def on_assign(self, consumer, partitions):
        """Begins where the group left off; without knowing where that is, it does not begin."""
        from confluent_kafka import KafkaException
        while self.run.going_on():
            try:
                found = self.fetch_committed(partitions)
                break
            except KafkaException:
                time.sleep(0.05)
        else:
            return
        for partition in found:
            p = join(partition.topic, partition.partition)
            self.session += 1
            self.sessions[p] = self.session
            partition.offset = max(0, partition.offset)
            self.run.event("session", w=self.worker.number, s=self.name(p), p=p, o=partition.offset)
        consumer.assign(found)

    def on_revoke(self, consumer, partitions):
        self.positions.clear()
        consumer.unassign()

    def begin_again(self):
        pass  # auto.offset.reset of a group member: it begins at the start by itself.

    def fetch_committed(self, partitions):
        began = now()
        found = self.consumer.committed(partitions, timeout=CALL_TIMEOUT_S)
        good = [x for x in found if x.error is None]
        for x in good:
            self.run.event("committed", b=began, w=self.worker.number, g=self.worker.group, p=join(x.topic, x.partition),
                           o=x.offset if x.offset >= 0 else -1, m=x.metadata or "")
        if len(good) < len(found):
            from confluent_kafka import KafkaException
            raise KafkaException(next(x.error for x in found if x.error is not None))
        return good

    def commit(self):
        from confluent_kafka import KafkaException, TopicPartition
        offsets = []
        for p, offset in self.positions.items():
            self.commits += 1
            metadata = f"{self.worker.number}-{self.commits}"
            self.run.event("committing", w=self.worker.number, g=self.worker.group, p=p, o=offset, m=metadata)
            offsets.append(TopicPartition(*split(p), offset, metadata))
        names = {join(x.topic, x.partition): x.metadata for x in offsets}
        self.positions.clear()
        try:
            results = self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            for metadata in names.values():
                self.run.event("commit", m=metadata, r="info", error=str(error))
            return
        for x in results:
            metadata = names[join(x.topic, x.partition)]
            if x.error is None:
                self.run.event("commit", m=metadata, r="ok")
            else:
                self.run.event("commit", m=metadata, r="info", error=str(x.error))
        try:
            self.fetch_committed([TopicPartition(x.topic, x.partition) for x in offsets])
        except KafkaException:
            pass


class Watcher(Reader):
    """Asks for log start and high watermark of every partition, over and over."""

    EVERY_S = 0.1

    def go(self):
        from confluent_kafka import KafkaException, TopicPartition
        # For what it is not subscribed to, librdkafka takes "no leader" in an answer for final until its cache has forgotten that.
        self.consumer = self.client(**{"metadata.max.age.ms": 1000})
        while self.run.going_on():
            for p in self.worker.partitions:
                began = now()
                try:
                    start, end = self.consumer.get_watermark_offsets(TopicPartition(*split(p)), timeout=1)
                except KafkaException as error:
                    self.run.event("unlisted", b=began, w=self.worker.number, p=p, error=str(error))
                    break
                self.run.event("list", b=began, w=self.worker.number, p=p, start=start, end=end)
                self.run.control.done(self.worker.number, p)
            time.sleep(self.EVERY_S)
        self.consumer.close()


KINDS = {"producer": Producer, "consumer": Reader, "group": Member, "watcher": Watcher}


def work(worker, bootstrap, control, folder, limit_s):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    run = Run(worker, bootstrap, control, folder, limit_s)
    try:
        run.event("begin", w=worker.number, kind=worker.kind, partitions=worker.partitions, idempotent=worker.idempotent)
        KINDS[worker.kind](run).go()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        run.history.close()


class Workload:
    """All workers of a run. `stop` ends them and says which did not end well."""

    STOP_TIMEOUT_S = 20

    def __init__(self, workers, bootstrap, folder, limit_s):
        context = multiprocessing.get_context("spawn")
        self.workers, self.control = workers, Control(workers)
        self.processes = [
            context.Process(target=work, args=(worker, bootstrap, self.control, str(folder), limit_s), name=f"chaos-{worker.number}", daemon=True)
            for worker in workers
        ]

    def start(self):
        for process in self.processes:
            process.start()

    def counts(self):
        """How much got done: {(worker, partition): n}. What a group reads is one sum, for its members share the partitions."""
        counts = {}
        for worker in self.workers:
            for p in worker.partitions:
                key = (worker.number, p if worker.kind == "producer" else None)
                counts[key] = counts.get(key, 0) + self.control.counts[self.control.slots[worker.number, p]]
        return counts

    def dead(self):
        return [process.name for process in self.processes if process.exitcode is not None]

    def stop(self):
        self.control.stopping.set()
        deadline = time.monotonic() + self.STOP_TIMEOUT_S
        for process in self.processes:
            process.join(max(0.1, deadline - time.monotonic()))
        faults = [f"{process.name} ended with {process.exitcode}" for process in self.processes if process.exitcode != 0]
        for process in self.processes:
            if process.exitcode is None:
                process.kill()
                process.join()
        return faults


def standard(topics, refusals=()):
    """The workers of a run over {topic: partitions}: two idempotent producers, two that are not, two readers, one group, one watcher."""
    partitions = [join(topic, n) for topic, count in sorted(topics.items()) for n in range(count)]
    half = len(partitions) // 2
    return [
        Worker(1, "producer", partitions[:half], {"compression.codec": "lz4"}, idempotent=True, refusals=refusals),
        Worker(2, "producer", partitions[half:], {"compression.codec": "none"}, idempotent=True, refusals=refusals),
        Worker(3, "producer", partitions[::2], {"compression.codec": "gzip"}, in_flight=20, refusals=refusals),
        Worker(4, "producer", partitions[1::2], {"compression.codec": "zstd", "acks": "all"}, in_flight=20, refusals=refusals),
        Worker(5, "consumer", partitions),
        Worker(6, "group", partitions, group="chaos"),
        Worker(7, "watcher", partitions),
    ]
