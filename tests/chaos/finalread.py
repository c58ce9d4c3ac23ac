"""The read of everything after the last fault: fresh clients, from the first offset to the end, until two passes agree."""

import time

from history import now
from rig import Failure
from workload import COMMON, collect, join, split

PASSES = 4
PASS_TIMEOUT_S = 60
CALL_TIMEOUT_S = 10


def final_read(bootstrap, partitions, history):
    before = None
    for number in range(1, PASSES + 1):
        seen = one_pass(bootstrap, partitions, history, number)
        if seen == before:
            return
        before = seen
    raise Failure(f"{PASSES} reads of the whole log, no two of them the same")


def one_pass(bootstrap, partitions, history, number):
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({**COMMON, "bootstrap.servers": bootstrap, "group.id": "chaos-final", "enable.auto.commit": False, "check.crcs": True,
                         "auto.offset.reset": "error", "fetch.wait.max.ms": 50})
    try:
        ranges = {p: consumer.get_watermark_offsets(TopicPartition(*split(p)), timeout=CALL_TIMEOUT_S) for p in partitions}
        left = {p: end for p, (start, end) in ranges.items() if start < end}
        consumer.assign([TopicPartition(*split(p), ranges[p][0]) for p in left])
        seen, deadline = [], time.monotonic() + PASS_TIMEOUT_S
        while left:
            if time.monotonic() > deadline:
                raise Failure(f"the final read did not come to the end of {sorted(left)} within {PASS_TIMEOUT_S} s")
            began, by_partition = now(), {}
            for message in consumer.consume(1000, timeout=0.2):
                if message.error() is not None:
                    raise Failure(f"the final read of {message.topic()}-{message.partition()} got {message.error()}")
                collect(by_partition, message)
                p = join(message.topic(), message.partition())
                if message.offset() + 1 >= left.get(p, 0):
                    left.pop(p, None)
            for p, (offsets, ids, bad) in sorted(by_partition.items()):
                history.event("final", b=began, p=p, o=offsets, i=ids, **{"pass": number}, **({"bad": bad} if bad else {}))
                seen.extend((p, o, i) for o, i in zip(offsets, ids))
        for p, (start, end) in ranges.items():
            history.event("final-end", p=p, start=start, end=end, **{"pass": number})
        return sorted(seen), ranges
    finally:
        consumer.close()
