"""confluent-kafka: librdkafka, which every client of that family shares."""

import contextlib
import time

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME, Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewPartitions, NewTopic,
)

from .base import CALL_TIMEOUT_S, HEARTBEAT_MS, NODES, SESSION_TIMEOUT_MS, BrokerError, Client, Member, Record, closing

# librdkafka's own errors are negative; these two carry what the broker said.
LOCAL_TO_BROKER = {KafkaError._UNKNOWN_TOPIC: 3, KafkaError._UNKNOWN_PARTITION: 3}


def broker_error(error):
    code = LOCAL_TO_BROKER.get(error.code(), error.code())
    return BrokerError(code, error) if code >= 0 else KafkaException(error)


@contextlib.contextmanager
def broker_errors():
    try:
        yield
    except KafkaException as error:
        raise broker_error(error.args[0]) from error


def record(message):
    kind, timestamp = message.timestamp()
    return Record(
        message.key(), message.value(), tuple(message.headers() or ()), timestamp,
        message.partition(), message.offset(), kind == TIMESTAMP_LOG_APPEND_TIME,
    )


def consume(consumer, timeout):
    messages = consumer.consume(500, timeout)
    for message in messages:
        if message.error():
            # An auto.offset.reset of "error" reports itself as a local code and names the broker's in its text.
            if message.error().code() == KafkaError._AUTO_OFFSET_RESET and "out of range" in message.error().str():
                raise BrokerError(KafkaError.OFFSET_OUT_OF_RANGE, message.error())
            raise broker_error(message.error())
    return [record(m) for m in messages]


class ConfluentMember(Member):
    def __init__(self, bootstrap, group, topic, reset):
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": reset, "enable.auto.commit": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS, "heartbeat.interval.ms": HEARTBEAT_MS,
            "group.protocol": "classic",
        })
        self.consumer.subscribe([topic])

    def poll(self):
        return consume(self.consumer, 0.1)

    def assignment(self):
        return {tp.partition for tp in self.consumer.assignment()}

    def commit(self):
        with broker_errors():
            self.consumer.commit(asynchronous=False)

    def close(self):
        self.consumer.close()


class Confluent(Client):
    name = "confluent-kafka"

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def close(self):
        pass

    def send(self, topic, records, *, codec="none", idempotent=False, max_request=None, auto_create=True):
        producer = Producer({
            "bootstrap.servers": self.bootstrap, "compression.type": codec, "acks": "all",
            "enable.idempotence": idempotent, "linger.ms": 20, "message.max.bytes": max_request or 1_000_000,
            "allow.auto.create.topics": auto_create, "message.timeout.ms": CALL_TIMEOUT_S * 1000,
            "topic.metadata.propagation.max.ms": 1000 if not auto_create else 30_000,
        })
        delivered, errors = {}, []
        for index, r in enumerate(records):
            def on_delivery(error, message, index=index):
                errors.append(error) if error else delivered.__setitem__(index, record(message))

            extra = {"timestamp": r.timestamp} if r.timestamp is not None else {}
            partition = -1 if r.partition is None else r.partition
            producer.produce(topic, r.value, r.key, partition, on_delivery, headers=list(r.headers), **extra)
            producer.poll(0)
        assert producer.flush(CALL_TIMEOUT_S) == 0, "records left in the queue"
        if errors:
            raise broker_error(errors[0])
        return [delivered[index] for index in range(len(records))]

    @contextlib.contextmanager
    def _consumer(self, reset="error"):
        consumer = Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": "unused", "enable.auto.commit": False,
            "auto.offset.reset": reset,
        })
        with closing(consumer), broker_errors():
            yield consumer

    def read(self, topic, count, *, partition=0, offset=0, reset="error"):
        with self._consumer(reset) as consumer:
            consumer.assign([TopicPartition(topic, partition, offset)])
            got, deadline = [], time.monotonic() + CALL_TIMEOUT_S
            while len(got) < count:
                assert time.monotonic() < deadline, f"only {len(got)} of {count} records came"
                # A smaller wait: consume() holds back what it has until the whole timeout or count is reached.
                got += consume(consumer, 0.1)
            return got[:count]

    def watermarks(self, topic, partition=0):
        with self._consumer() as consumer:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), CALL_TIMEOUT_S)

    def offset_for_time(self, topic, timestamp, partition=0):
        with self._consumer() as consumer:
            (found,) = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], CALL_TIMEOUT_S)
            return found.offset if found.offset >= 0 else None

    def join(self, group, topic, *, reset="earliest"):
        return ConfluentMember(self.bootstrap, group, topic, reset)

    def _result(self, futures):
        with broker_errors():
            (future,) = futures.values()
            return future.result(timeout=CALL_TIMEOUT_S)

    def create_topic(self, name, partitions=1, replication=NODES, config=None):
        self._result(self.admin.create_topics([NewTopic(name, partitions, replication, config=config or {})]))

    def delete_topic(self, name):
        self._result(self.admin.delete_topics([name]))

    def topics(self):
        return set(self.admin.list_topics(timeout=CALL_TIMEOUT_S).topics)

    def partitions(self, topic):
        from confluent_kafka import TopicCollection
        return len(self._result(self.admin.describe_topics(TopicCollection([topic]))).partitions)

    def create_partitions(self, topic, total):
        self._result(self.admin.create_partitions([NewPartitions(topic, total)]))

    def config(self, topic):
        entries = self._result(self.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {key: (entry.value, entry.source == own) for key, entry in entries.items()}

    def set_config(self, topic, key, value):
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        self._result(self.admin.incremental_alter_configs([resource]))

    def delete_records(self, topic, before, partition=0):
        self._result(self.admin.delete_records([TopicPartition(topic, partition, before)]))

    def groups(self):
        found = self.admin.list_consumer_groups().result(timeout=CALL_TIMEOUT_S)
        return {group.group_id for group in found.valid}

    def group(self, group):
        found = self._result(self.admin.describe_consumer_groups([group]))
        return found.state.name.replace("_", "").title(), len(found.members)

    def committed(self, group, topic, partition=0):
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
        (found,) = self._result(self.admin.list_consumer_group_offsets([wanted])).topic_partitions
        return found.offset if found.offset >= 0 else None

    def delete_group(self, group):
        self._result(self.admin.delete_consumer_groups([group]))
