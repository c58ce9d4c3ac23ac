#!/usr/bin/env python3
"""What a cluster of three nodes must hold, measured with the floors of the same run, as a table.

    bench/cluster.py [--rounds 5] [--quick] [--only PART]… [--entries N] [--dir DIR]

Builds the release binaries, starts three nodes of its own on free ports in DIR (a temporary directory), all on this machine, and
ends everything it started. Each figure is the median of the rounds, with lowest and highest. Every topic has a replica on each
node; what concerns metadata is measured with both acknowledgements (`metadata.acks`), switched while the cluster runs.

PART: `topics` (creating topics), `produce` (acks=all), `failover` (a leader ends, killed and in order); once, not every round:
`idle` (100,000 partitions that nobody writes) and `recovery` (the whole cluster back with a long metadata log).
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import rig
from rig import BENCH, Broker, Table, bench, floors, free_port, number

MODES = ("leader", "quorum")
EVERY_ROUND = ["topics", "produce", "failover"]
PARTS = [*EVERY_ROUND, "idle", "recovery"]
SESSION_TIMEOUT_MS = 3000
STABLE_FOR_S = 10
IDLE_SETTLE_S = 5
IDLE_FOR_S = 10
SETTLE_DEADLINE_S = 60
FAILOVER_ATTEMPTS = 10
# Nodes that use less of a core together have nothing left to do.
AT_REST_PERCENT = 6
AT_REST_FOR_S = 0.5


class Cluster:
    """Three nodes, each with its data in a directory of its own."""

    def __init__(self, directory, overrides=()):
        self.dir = pathlib.Path(directory)
        controllers = [free_port() for _ in range(3)]
        voters = ",".join(f"{id}@127.0.0.1:{port}" for id, port in enumerate(controllers, 1))
        self.nodes = {}
        for id, controller in enumerate(controllers, 1):
            node = Broker(self.dir / f"node{id}")
            node.overrides += [
                f"node.id={id}",
                f"listeners=PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{controller}",
                f"controller.quorum.voters={voters}",
                "controller.listener.names=CONTROLLER",
                f"broker.session.timeout.ms={SESSION_TIMEOUT_MS}",
                "broker.heartbeat.interval.ms=500",
                "default.replication.factor=3",
                "min.insync.replicas=2",
                # Three nodes share this machine.
                f"worker.threads={max(1, os.cpu_count() // 3)}",
                *overrides,
            ]
            node.dir.mkdir(parents=True)
            self.nodes[id] = node

    def start(self):
        for node in self.nodes.values():
            node.launch()
        begin = time.monotonic()
        for node in self.nodes.values():
            node.await_ready()
        return time.monotonic() - begin

    def stop(self):
        for node in self.nodes.values():
            node.process.terminate()
        for node in self.nodes.values():
            node.process.wait(60)

    def kill(self):
        for node in self.nodes.values():
            node.process.kill()
        for node in self.nodes.values():
            node.process.wait()

    @property
    def bootstrap(self):
        return self.nodes[1].address

    def leader(self):
        """Who leads the metadata by its own account, and the term of each node."""
        leads = [id for id, node in self.nodes.items() if node.metric("chronik_active_controller") == 1]
        return leads, {node.metric("chronik_metadata_term") for node in self.nodes.values()}

    def await_controller(self):
        """The one node that leads the metadata."""
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        while len(leads := self.leader()[0]) != 1:
            if time.monotonic() > deadline:
                sys.exit(f"{leads} lead the metadata; see {self.dir}")
            time.sleep(0.1)
        return leads[0]

    def await_rest(self):
        """Until nothing is left of what was asked before: spare journal files, topics to be deleted."""
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        while self.cpu_percent(AT_REST_FOR_S) > AT_REST_PERCENT:
            if time.monotonic() > deadline:
                sys.exit(f"the nodes do not come to rest within {SETTLE_DEADLINE_S} s; see {self.dir}")

    def cpu_percent(self, seconds):
        """What all nodes together use of a core in this time."""
        begin, spent = time.monotonic(), sum(node.cpu_seconds() for node in self.nodes.values())
        time.sleep(seconds)
        spent = sum(node.cpu_seconds() for node in self.nodes.values()) - spent
        return 100 * spent / (time.monotonic() - begin)

    def await_in_sync(self):
        """Until every partition has all its replicas in sync."""
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        while any(node.metric("chronik_under_replicated_partitions") for node in self.nodes.values()):
            if time.monotonic() > deadline:
                sys.exit(f"replicas are not in sync again within {SETTLE_DEADLINE_S} s; see {self.dir}")
            time.sleep(0.1)


def topics(table, cluster, floor, quick):
    count = 1 if quick else 4
    for mode in MODES:
        bench("metadata-acks", "--bootstrap", cluster.bootstrap, mode)

        def create(topics, per_request, clients):
            cluster.await_rest()
            return bench(
                "topics", "--bootstrap", cluster.bootstrap, "--topics", topics, "--per-request", per_request, "--clients", clients,
                "--replication-factor", 3, "--prefix", f"bench-{mode}", "--delete",
            )

        # The first requests of a mode pay for what is not warm yet.
        create(200, 100, 1)
        out = create(count * 1000, 100, 1)
        table.add(f"100 topics in one request, one client, {mode}", "20,000 topics/s", "topics/s", number(out, r"([\d.,]+) topics/s"))
        out = create(count * 250, 1, 1)
        p50 = number(out, r"p50 ([\d.,]+)")
        table.add(f"one topic per request, one client: p50, {mode}", "", "µs", p50)
        table.add(f"one topic per request: p99, {mode}", "", "µs", number(out, r"p99 ([\d.,]+)"))
        goal = {"leader": "at most 2.2", "quorum": "at most 3.5"}[mode]
        table.add(f"one topic per request: p50 / (sync + round trip), {mode}", goal, "×", p50 / floor)
        out = create(count * 1000, 1, 10)
        goal = {"leader": "10,000 topics/s", "quorum": "within 20 % of leader"}[mode]
        table.add(f"10 clients, one topic per request, {mode}", goal, "topics/s", number(out, r"([\d.,]+) topics/s"))


def produce(table, cluster, floor, quick):
    seconds = 2 if quick else 5
    out = bench("produce", "--bootstrap", cluster.bootstrap, "--replication-factor", 3, "--acks", -1, "--seconds", seconds)
    p50 = number(out, r"p50 ([\d.,]+)")
    table.add("acks=all, 3 replicas, 1 KiB, one at a time: p50", "", "µs", p50)
    table.add("acks=all: p50 / (sync + round trip)", "at most 4", "×", p50 / floor)
    out = bench("produce", "--bootstrap", cluster.bootstrap, "--replication-factor", 3, "--acks", -1, "--seconds", seconds, "--producers", 64)
    table.add("acks=all, 3 replicas, 64 producers", "", "requests/s", number(out, r"([\d.,]+)/s"))


def failover(table, cluster):
    for how, end, goal in [
        ("killed", Broker.kill, f"session timeout ({SESSION_TIMEOUT_MS} ms) + 500 ms"),
        ("stopped in order", Broker.stop, "under 200 ms"),
    ]:
        for what, is_controller in [("the controller too", True), ("not the controller", False)]:
            after, before = end_a_leader(cluster, end, is_controller)
            table.add(f"leader, {what}, {how}: writes stand still", goal, "ms", after)
            table.add(f"the longest pause of the same writer before that, {how}", "", "ms", before)


def end_a_leader(cluster, end, is_controller):
    """The longest standstill of a writer from the end of the leader on, and the longest before."""
    for _ in range(FAILOVER_ATTEMPTS):
        cluster.await_in_sync()
        controller = cluster.await_controller()
        leader = controller if is_controller else next(id for id in cluster.nodes if id != controller)
        command = [str(BENCH), "failover", "--bootstrap", cluster.bootstrap, "--leader", str(leader), "--seconds", "20"]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        rig.STARTED.append(writer)
        found = int(number(writer.stdout.readline(), r"leader (\d+)"))
        time.sleep(2)
        if found == leader and cluster.leader()[0] == [controller]:
            break
        # One of the leaderships has moved meanwhile.
        writer.kill()
        writer.wait()
    else:
        sys.exit(f"the leaderships do not stay in place; see {cluster.dir}")
    node = cluster.nodes[leader]
    end(node)
    out = writer.communicate()[0]
    node.start()
    return number(out, r"standstill ([\d.]+) ms"), number(out, r"([\d.]+) ms before")


def idle(table, directory):
    """What partitions cost that nobody writes, in CPU and memory."""
    cluster = Cluster(directory)
    cluster.start()

    def cpu_percent():
        time.sleep(IDLE_SETTLE_S)
        return cluster.cpu_percent(IDLE_FOR_S)

    table.add("CPU of three idle nodes, without a topic", "", "% of a core", cpu_percent())
    begin = time.monotonic()
    bench(
        "topics", "--bootstrap", cluster.bootstrap, "--topics", 1000, "--partitions", 100, "--per-request", 100,
        "--replication-factor", 3,
    )
    table.add("100,000 partitions with three replicas created", "", "s", time.monotonic() - begin)
    table.add("CPU of three idle nodes, with them", "as without", "% of a core", cpu_percent())
    table.add("resident memory of a node with them, the largest", "", "MB", max(node.rss() for node in cluster.nodes.values()))
    cluster.stop()


def recovery(table, directory, entries):
    """All three at once, back with so many entries in the metadata log."""
    cluster = Cluster(directory)
    cluster.start()
    # One client with one topic per request writes one entry for each.
    bench("topics", "--bootstrap", cluster.bootstrap, "--topics", entries, "--per-request", 1, "--replication-factor", 1)
    cluster.kill()
    table.add(f"all three back after kill -9, {entries:,} metadata entries: ready", "under 3 s", "s", cluster.start())
    leads, terms = cluster.leader()
    if len(leads) != 1 or len(terms) != 1:
        sys.exit(f"no one leader after the start: {leads} lead in the terms {terms}")
    deadline = time.monotonic() + STABLE_FOR_S
    while time.monotonic() < deadline:
        if (now := cluster.leader()) != (leads, terms):
            sys.exit(f"the leader did not stay: {leads} in {terms}, then {now[0]} in {now[1]}")
        time.sleep(0.2)
    cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="short spans, for a look")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--entries", type=int, default=150_000)
    parser.add_argument("--dir", help="on the disk to be measured")
    arguments = parser.parse_args()
    rig.build()
    wanted = arguments.only or PARTS
    base = pathlib.Path(tempfile.mkdtemp(prefix="chronik-bench-", dir=arguments.dir))
    table = Table()
    failed = True
    try:
        for at in range(arguments.rounds) if set(wanted) & set(EVERY_ROUND) else []:
            print(f"round {at + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            cluster = Cluster(base / str(at))
            table.add("three nodes ready on empty directories", "", "s", cluster.start())
            sync, trip, *replicated = floors(base, 1 if arguments.quick else 3, nodes=3)
            table.add("floor: 4 KiB append + fdatasync", "", "µs", sync)
            table.add("floor: loopback round trip of 1 KiB", "", "µs", trip)
            for mode, bare in zip(MODES, replicated):
                table.add(f"three bare nodes, {mode}: p50 / (sync + round trip)", "", "×", bare / (sync + trip))
            if "topics" in wanted:
                topics(table, cluster, sync + trip, arguments.quick)
            if "produce" in wanted:
                produce(table, cluster, sync + trip, arguments.quick)
            if "failover" in wanted:
                failover(table, cluster)
            cluster.stop()
            shutil.rmtree(base / str(at))
        if "idle" in wanted:
            idle(table, base / "idle")
        if "recovery" in wanted:
            recovery(table, base / "recovery", arguments.entries)
        failed = False
    finally:
        rig.end_all()
        if table.rows:
            table.print()
        if failed:
            print(f"kept: {base}", file=sys.stderr)
        else:
            shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
