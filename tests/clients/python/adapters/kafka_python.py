"""kafka-python: pure Python, its own threads."""

import contextlib
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource
from kafka.errors import BrokerResponseError

from .base import CALL_TIMEOUT_S, HEARTBEAT_MS, NODES, SESSION_TIMEOUT_MS, BrokerError, Client, Member, Record, closing


@contextlib.contextmanager
def broker_errors():
    try:
        yield
    except BrokerResponseError as error:
        raise BrokerError(error.errno, error) from error


def record(message):
    return Record(
        message.key, message.value, tuple(message.headers), message.timestamp,
        message.partition, message.offset, message.timestamp_type == 1,
    )


class KafkaPythonMember(Member):
    """Polls in a thread of its own, as an application does.

    Polled in turn with another member from one thread, kafka-python drops a join that completes between two of its polls and
    starts another, and two such members can keep each other from ever settling.
    """

    def __init__(self, bootstrap, group, topic, reset):
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=group, auto_offset_reset=reset, enable_auto_commit=False,
            session_timeout_ms=SESSION_TIMEOUT_MS, heartbeat_interval_ms=HEARTBEAT_MS,
        )
        # A leader that joins before it knows the topic assigns nothing, and sometimes never joins again.
        self.consumer.partitions_for_topic(topic)
        self.consumer.subscribe([topic])
        self.arrived, self.calls, self.held = queue.Queue(), queue.Queue(), set()
        self.thread = ThreadPoolExecutor(1)
        self.stop = threading.Event()
        self.running = self.thread.submit(self._run)

    def _run(self):
        while not self.stop.is_set():
            while not self.calls.empty():
                self.calls.get()()
            for batch in self.consumer.poll(timeout_ms=500).values():
                for message in batch:
                    self.arrived.put(record(message))
            self.held = {tp.partition for tp in self.consumer.assignment()}
        self.consumer.close(autocommit=False)

    def poll(self):
        if self.running.done():
            with broker_errors():
                self.running.result()
        got = []
        with contextlib.suppress(queue.Empty):
            got.append(self.arrived.get(timeout=0.1))
            while True:
                got.append(self.arrived.get_nowait())
        return got

    def assignment(self):
        return self.held

    def commit(self):
        committed = Future()

        def commit():
            try:
                committed.set_result(self.consumer.commit())
            except Exception as error:
                committed.set_exception(error)

        self.calls.put(commit)
        with broker_errors():
            committed.result(CALL_TIMEOUT_S)

    def close(self):
        self.stop.set()
        with broker_errors():
            self.running.result(CALL_TIMEOUT_S)


class KafkaPython(Client):
    name = "kafka-python"

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def close(self):
        self.admin.close()

    def send(self, topic, records, *, codec="none", idempotent=False, max_request=None, auto_create=True):
        if not auto_create:
            raise NotImplementedError("kafka-python's producer asks for automatic creation whatever its setting says")
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap, compression_type=None if codec == "none" else codec, acks="all",
            enable_idempotence=idempotent, linger_ms=20, max_request_size=max_request or 1 << 20,
            max_block_ms=CALL_TIMEOUT_S * 1000,
        )
        with closing(producer), broker_errors():
            futures = [
                producer.send(topic, r.value, r.key, list(r.headers), r.partition, r.timestamp) for r in records
            ]
            producer.flush(timeout=CALL_TIMEOUT_S)
            metadata = [future.get(timeout=CALL_TIMEOUT_S) for future in futures]
        return [
            Record(r.key, r.value, r.headers, m.timestamp, m.partition, m.offset)
            for r, m in zip(records, metadata, strict=True)
        ]

    @contextlib.contextmanager
    def _consumer(self, **config):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, **config)
        with closing(consumer), broker_errors():
            yield consumer

    def read(self, topic, count, *, partition=0, offset=0, reset="error"):
        reset = "none" if reset == "error" else reset
        with self._consumer(auto_offset_reset=reset) as consumer:
            consumer.assign([TopicPartition(topic, partition)])
            consumer.seek(TopicPartition(topic, partition), offset)
            got, deadline = [], time.monotonic() + CALL_TIMEOUT_S
            while len(got) < count:
                assert time.monotonic() < deadline, f"only {len(got)} of {count} records came"
                got += [record(m) for batch in consumer.poll(timeout_ms=500).values() for m in batch]
            return got[:count]

    def read_all(self, topics, count):
        partitions = [TopicPartition(topic, 0) for topic in topics]
        got, deadline = {topic: [] for topic in topics}, time.monotonic() + CALL_TIMEOUT_S
        with self._consumer() as consumer:
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            while any(len(records) < count for records in got.values()):
                assert time.monotonic() < deadline, f"not all came: { {topic: len(r) for topic, r in got.items()} }"
                for tp, batch in consumer.poll(timeout_ms=500).items():
                    got[tp.topic] += [record(m) for m in batch]
        return got

    def watermarks(self, topic, partition=0):
        tp = TopicPartition(topic, partition)
        with self._consumer() as consumer:
            return consumer.beginning_offsets([tp])[tp], consumer.end_offsets([tp])[tp]

    def offset_for_time(self, topic, timestamp, partition=0):
        tp = TopicPartition(topic, partition)
        with self._consumer() as consumer:
            found = consumer.offsets_for_times({tp: timestamp})[tp]
            return found and found.offset

    def join(self, group, topic, *, reset="earliest"):
        return KafkaPythonMember(self.bootstrap, group, topic, reset)

    def create_topic(self, name, partitions=1, replication=NODES, config=None):
        topic = {"num_partitions": partitions, "replication_factor": replication, "configs": config or {}}
        with broker_errors():
            self.admin.create_topics({name: topic})

    def delete_topic(self, name):
        with broker_errors():
            self.admin.delete_topics([name])

    def topics(self):
        return set(self.admin.list_topics())

    def partitions(self, topic):
        with broker_errors():
            (description,) = self.admin.describe_topics([topic])
        raise_code(description["error_code"], topic)
        return len(description["partitions"])

    def create_partitions(self, topic, total):
        with broker_errors():
            self.admin.create_partitions({topic: total})

    def config(self, topic):
        with broker_errors():
            found = self.admin.describe_configs([ConfigResource("TOPIC", topic, None)], config_filter="all")
        entries = found["topic"][topic]
        if not entries:
            # The library drops the broker's error; a topic that exists always has configs.
            raise BrokerError(3, topic)
        return {key: (entry["value"], "TOPIC" in str(entry["config_source"]).upper()) for key, entry in entries.items()}

    def set_config(self, topic, key, value):
        with broker_errors():
            answer = self.admin.alter_configs([ConfigResource("TOPIC", topic, {key: value})], raise_on_unknown=False)
        raise_named(answer["topic"][topic])

    def delete_records(self, topic, before, partition=0):
        with broker_errors():
            self.admin.delete_records({TopicPartition(topic, partition): before})

    def groups(self):
        return {group["group_id"] for group in self.admin.list_groups()}

    def group(self, group):
        with broker_errors():
            description = self.admin.describe_groups([group])[group]
        return description["group_state"], len(description["members"])

    def committed(self, group, topic, partition=0):
        with broker_errors():
            offsets = self.admin.list_group_offsets([group])[group]
        found = offsets.get(TopicPartition(topic, partition))
        return found and found.offset

    def delete_group(self, group):
        with broker_errors():
            raise_named(self.admin.delete_groups([group])[group])


def raise_named(result):
    """Raises what the library only reports as text, "[Error 40] …" or the name of an error class."""
    text = str(result)
    if text.startswith("[Error "):
        raise BrokerError(int(text[7:].split("]")[0]), text)
    kind = getattr(errors, text, None)
    if kind is not None and kind.errno:
        raise BrokerError(kind.errno, text)


def raise_code(code, what):
    if code:
        raise BrokerError(code, what)
