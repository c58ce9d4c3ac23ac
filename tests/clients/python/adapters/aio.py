"""aiokafka: asyncio. One event loop runs in a thread for the whole session, as it would in an application."""

import asyncio
import contextlib
import threading
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import BrokerResponseError, OffsetOutOfRangeError

from .base import CALL_TIMEOUT_S, HEARTBEAT_MS, NODES, SESSION_TIMEOUT_MS, BrokerError, Client, Member, Record

DYNAMIC_TOPIC_CONFIG = 1


@contextlib.contextmanager
def broker_errors():
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise BrokerError(1, error) from error
    except BrokerResponseError as error:
        raise BrokerError(error.errno, error) from error


def record(message):
    return Record(
        message.key, message.value, tuple(message.headers), message.timestamp,
        message.partition, message.offset, message.timestamp_type == 1,
    )


def records(batches):
    return [record(m) for batch in batches.values() for m in batch]


class Loop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, seconds=CALL_TIMEOUT_S * 2):
        with broker_errors():
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)


class AioMember(Member):
    def __init__(self, loop, bootstrap, group, topic, reset):
        self.loop = loop

        async def start():
            consumer = AIOKafkaConsumer(
                topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset=reset, enable_auto_commit=False,
                session_timeout_ms=SESSION_TIMEOUT_MS, heartbeat_interval_ms=HEARTBEAT_MS,
            )
            await consumer.start()
            return consumer

        self.consumer = loop.run(start())

    def poll(self):
        return records(self.loop.run(self.consumer.getmany(timeout_ms=100)))

    def assignment(self):
        return {tp.partition for tp in self.consumer.assignment()}

    def commit(self):
        self.loop.run(self.consumer.commit())

    def close(self):
        self.loop.run(self.consumer.stop())


class AioKafka(Client):
    name = "aiokafka"

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.loop = Loop()

        async def start():
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await admin.start()
            return admin

        self.admin = self.loop.run(start())

    def close(self):
        self.loop.run(self.admin.close())

    def send(self, topic, records, *, codec="none", idempotent=False, max_request=None, auto_create=True):
        if not auto_create:
            raise NotImplementedError("aiokafka's producer has no switch for automatic creation")

        async def send_all():
            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, compression_type=None if codec == "none" else codec, acks="all",
                enable_idempotence=idempotent, linger_ms=20, max_request_size=max_request or 1 << 20,
            )
            await producer.start()
            try:
                futures = [
                    await producer.send(topic, r.value, r.key, r.partition, r.timestamp, list(r.headers))
                    for r in records
                ]
                return await asyncio.wait_for(asyncio.gather(*futures), CALL_TIMEOUT_S)
            finally:
                await producer.stop()

        metadata = self.loop.run(send_all())
        return [
            Record(r.key, r.value, r.headers, m.timestamp, m.partition, m.offset)
            for r, m in zip(records, metadata, strict=True)
        ]

    def _with_consumer(self, use, **config):
        async def run():
            consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, **config)
            await consumer.start()
            try:
                return await use(consumer)
            finally:
                await consumer.stop()

        return self.loop.run(run())

    def read(self, topic, count, *, partition=0, offset=0, reset="error"):
        async def read_all(consumer):
            tp = TopicPartition(topic, partition)
            consumer.assign([tp])
            consumer.seek(tp, offset)
            got, deadline = [], time.monotonic() + CALL_TIMEOUT_S
            while len(got) < count:
                assert time.monotonic() < deadline, f"only {len(got)} of {count} records came"
                got += records(await consumer.getmany(timeout_ms=500))
            return got[:count]

        return self._with_consumer(read_all, auto_offset_reset="none" if reset == "error" else reset)

    def watermarks(self, topic, partition=0):
        async def both(consumer):
            tp = TopicPartition(topic, partition)
            return (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]

        return self._with_consumer(both)

    def offset_for_time(self, topic, timestamp, partition=0):
        async def search(consumer):
            tp = TopicPartition(topic, partition)
            found = (await consumer.offsets_for_times({tp: timestamp}))[tp]
            return found and found.offset

        return self._with_consumer(search)

    def join(self, group, topic, *, reset="earliest"):
        return AioMember(self.loop, self.bootstrap, group, topic, reset)

    def create_topic(self, name, partitions=1, replication=NODES, config=None):
        topic = NewTopic(name, partitions, replication, topic_configs=config or {})
        answer = self.loop.run(self.admin.create_topics([topic]))
        raise_first(answer.topic_errors)

    def delete_topic(self, name):
        answer = self.loop.run(self.admin.delete_topics([name]))
        raise_first(answer.topic_error_codes)

    def topics(self):
        return set(self.loop.run(self.admin.list_topics()))

    def partitions(self, topic):
        # Asked for one topic by name the library asks the broker to create it, so it asks for all.
        found = [t for t in self.loop.run(self.admin.describe_topics()) if t["topic"] == topic]
        if not found:
            raise BrokerError(3, topic)
        return len(found[0]["partitions"])

    def create_partitions(self, topic, total):
        answer = self.loop.run(self.admin.create_partitions({topic: NewPartitions(total)}))
        raise_first(answer.topic_errors)

    def config(self, topic):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (answer,) = self.loop.run(self.admin.describe_configs([resource]))
        ((code, message, _, _, entries),) = answer.resources
        raise_code(code, message)
        return {entry[0]: (entry[1], entry[3] == DYNAMIC_TOPIC_CONFIG) for entry in entries}

    def set_config(self, topic, key, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})
        (answer,) = self.loop.run(self.admin.alter_configs([resource]))
        ((code, message, _, _),) = answer.resources
        raise_code(code, message)

    def delete_records(self, topic, before, partition=0):
        wanted = {TopicPartition(topic, partition): RecordsToDelete(before_offset=before)}
        self.loop.run(self.admin.delete_records(wanted))

    def groups(self):
        return {group for group, _ in self.loop.run(self.admin.list_consumer_groups())}

    def group(self, group):
        (answer,) = self.loop.run(self.admin.describe_consumer_groups([group]))
        (found,) = answer.groups
        code, _, state, _, _, members = found[:6]
        raise_code(code, group)
        return state, len(members)

    def committed(self, group, topic, partition=0):
        offsets = self.loop.run(self.admin.list_consumer_group_offsets(group))
        found = offsets.get(TopicPartition(topic, partition))
        return found and found.offset


def raise_first(results):
    """The protocol's (name, code, …) rows of a request that named one thing."""
    (row,) = results
    raise_code(row[1], row)


def raise_code(code, what):
    if code:
        raise BrokerError(code, what)
