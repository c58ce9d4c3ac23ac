"""Fault cycles: real clients work, the broker is broken and started again, many times; then everything is read and judged.

The driver waits for states: a cycle goes on when the broker is ready and every worker got something done since.
"""

import random
import time
from dataclasses import dataclass, field

from brokers import TARGETS
from checker import check
from churn import Churn
from finalread import final_read
from history import Writer, load
from rig import Failure, Late, await_state
from workload import Workload, standard

TOPICS = {"chaos-a": 4, "chaos-b": 4}
TOPIC_CONFIG = {"segment.bytes": str(1 << 20)}
# How long the clients work undisturbed before a fault, once all of them got something done.
WORK_S = (0.1, 0.7)
SETUP_TIMEOUT_S = 30


@dataclass
class Plan:
    target: str = "chronik"
    cycles: int = 20
    seed: int = 1
    overrides: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)
    limit_s: float = 600
    # How long all workers may take to get on after a start. With `must_get_on=False`, for a broker that is to lose data, the cycles
    # end there and the history is judged.
    patience_s: float = 30
    must_get_on: bool = True


@dataclass
class Result:
    report: object
    faults: list            # of the driver: panics, dead workers, a broker that ended by itself
    recoveries: list        # seconds from start to ready
    seconds: float

    def good(self):
        return not self.report.counts and not self.faults

    def lines(self):
        yield self.report.summary()
        if self.recoveries:
            ordered = sorted(self.recoveries)
            yield f"ready again after {ordered[len(ordered) // 2]:.2f} s (median), {ordered[-1]:.2f} s (longest), {len(ordered)} starts"
        yield from self.report.lines()
        yield from self.faults


class Cycles:
    """`Fault` is told to break the broker and to leave it ready again."""

    def __init__(self, plan, workspace, data, fault):
        self.plan, self.dir, self.fault = plan, workspace.dir, fault
        self.random = random.Random(plan.seed)
        self.folder = self.dir / "history"
        self.folder.mkdir()
        self.broker = self.make_broker(workspace, data)
        self.history = Writer(self.folder / "driver.jsonl")
        self.recoveries, self.faults = [], []

    def make_broker(self, workspace, data):
        return TARGETS[self.plan.target](workspace.dir / "broker", data, self.plan.overrides, self.plan.env)

    def workers(self):
        return standard(TOPICS)

    def judge(self, history):
        return check(history)

    def run(self):
        began = time.monotonic()
        with self.broker:
            self.broker.start()
            create_topics(self.broker.bootstrap, TOPICS, TOPIC_CONFIG)
            self.fault.prepared(self)
            workload = Workload(self.workers(), self.broker.bootstrap, self.folder, self.plan.limit_s)
            workload.start()
            try:
                self.cycle(workload)
            finally:
                self.history.event("stop")
                self.faults += workload.stop()
            partitions = sorted({p for worker in workload.workers for p in worker.partitions})
            final_read(self.broker.bootstrap, partitions, self.history)
            self.history.close()
            self.finish()
        return Result(self.judge(load(self.folder)), self.faults, self.recoveries, time.monotonic() - began)

    def finish(self):
        if self.plan.target == "chronik" and (code := self.broker.stop()) != 0:
            self.faults.append(f"SIGTERM at the end: exit code {code}")
        self.faults += self.broker.panics()

    def cycle(self, workload):
        churn = Churn(self.broker.bootstrap)
        self.healed(workload)
        for number in range(self.plan.cycles):
            time.sleep(self.random.uniform(*WORK_S))
            churn.turn()
            if not self.broker.alive():
                raise Failure(f"the broker ended by itself:\n{self.broker.tail()}")
            self.fault.strike(self, number)
            if not self.healed(workload):
                return
            self.faults += churn.faults()

    def healed(self, workload):
        """Waits until every worker got something done; whether all did."""
        self.history.event("healed")
        before = workload.counts()

        def all_got_on():
            if dead := workload.dead():
                raise Failure(f"workers ended: {dead}")
            return all(count > before[key] for key, count in workload.counts().items())

        try:
            await_state("progress of every worker", all_got_on, self.plan.patience_s)
        except Late:
            stuck = [f"worker {w}{' on ' + p if p else ''}" for (w, p), count in workload.counts().items() if count == before[w, p]]
            self.faults.append(f"no progress within {self.plan.patience_s} s: {', '.join(stuck)}")
            if self.plan.must_get_on:
                raise Failure(f"{self.faults[-1]}\n{self.broker.tail()}") from None
            return False
        return True

    def struck(self, kind):
        self.history.event("fault", kind=kind)

    def flush(self):
        try:
            self.broker.flush()
        except OSError as error:
            self.faults.append(f"POST /flush: {error}")

    def restart(self):
        self.recoveries.append(self.broker.start())


def create_topics(bootstrap, topics, config):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    made = admin.create_topics([NewTopic(name, num_partitions=n, replication_factor=-1, config=config) for name, n in topics.items()],
                               operation_timeout=SETUP_TIMEOUT_S)
    for future in made.values():
        future.result(timeout=SETUP_TIMEOUT_S)
