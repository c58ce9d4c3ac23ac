"""The read of everything after the last fault: fresh clients, from the first offset to the end, until two passes agree."""

import time

from history import now
from rig import Failure
from workload import COMMON, collect, join, split

PASSES = 4
PASS_TIMEOUT_S = 60
CALL_TIMEOUT_S = 10
# What a healthy broker may answer while it settles; the pass goes on.
PASSING = ("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT")


def final_read(bootstrap, partitions, history):
    before = None
    for number in range(1, PASSES + 1):
        seen = Pass(bootstrap, partitions, history, number).read()
        if seen == before:
            return
        before = seen
    raise Failure(f"{PASSES} reads of the whole log, no two of them the same")


class Pass:
    def __init__(self, bootstrap, partitions, history, number):
        from confluent_kafka import Consumer
        self.partitions, self.history, self.number = partitions, history, number
        self.consumer = Consumer({**COMMON, "bootstrap.servers": bootstrap, "group.id": "chaos-final", "enable.auto.commit": False,
                                  "check.crcs": True, "auto.offset.reset": "error", "fetch.wait.max.ms": 50})
        self.ranges, self.left, self.seen = {}, {}, []

    def read(self):
        """What is there, in a form that can be compared."""
        from confluent_kafka import TopicPartition
        try:
            self.find_ranges()
            self.left = {p: end for p, (start, end) in self.ranges.items() if start < end}
            self.consumer.assign([TopicPartition(*split(p), self.ranges[p][0]) for p in self.left])
            deadline = time.monotonic() + PASS_TIMEOUT_S
            while self.left:
                if time.monotonic() > deadline:
                    raise Failure(f"the final read did not come to the end of {sorted(self.left)} within {PASS_TIMEOUT_S} s")
                self.poll()
            for p, (start, end) in self.ranges.items():
                self.event("final-end", p=p, start=start, end=end)
            return sorted(self.seen), self.ranges
        finally:
            self.consumer.close()

    def find_ranges(self):
        from confluent_kafka import KafkaException, TopicPartition
        for p in self.partitions:
            try:
                self.ranges[p] = self.consumer.get_watermark_offsets(TopicPartition(*split(p)), timeout=CALL_TIMEOUT_S)
            except KafkaException as error:
                self.give_up(p, error.args[0])

    def poll(self):
        began, by_partition = now(), {}
        for message in self.consumer.consume(1000, timeout=0.2):
            error = message.error()
            p = join(message.topic(), message.partition())
            if error is None:
                collect(by_partition, message)
                if message.offset() + 1 >= self.left.get(p, 0):
                    self.left.pop(p, None)
            elif error.name() not in PASSING:
                self.give_up(p, error)
        for p, (offsets, ids, bad) in sorted(by_partition.items()):
            self.event("final", b=began, p=p, o=offsets, i=ids, **({"bad": bad} if bad else {}))
            self.seen.extend((p, o, i) for o, i in zip(offsets, ids))

    def give_up(self, p, error):
        self.event("unreadable", p=p, error=str(error))
        self.ranges.pop(p, None)
        self.left.pop(p, None)

    def event(self, e, **fields):
        self.history.event(e, **fields, **{"pass": self.number})
