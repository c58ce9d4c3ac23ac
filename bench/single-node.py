#!/usr/bin/env python3
"""What one node must hold, measured with the floors of the same run, as a table with ratios.

    bench/single-node.py [--rounds 5] [--quick] [--kafka] [--dir DIR]

Builds the release binaries, starts a broker of its own on free ports in DIR (a temporary directory),
and ends everything it started. Each figure is the median of the rounds, with lowest and highest.
`--kafka` measures Apache Kafka the same way, where the figure means the same there. Quiet machines
only: it says how busy the machine was.
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
from rig import Broker, Table, bench, floors, free_port, produce

KAFKA = rig.ROOT / "tests/clients/kafka.sh"


class Kafka:
    """Apache Kafka, for comparison."""

    def __init__(self, directory):
        self.dir, self.port = pathlib.Path(directory) / "kafka", free_port()

    def start(self):
        self.dir.mkdir()
        begin = time.monotonic()
        env = dict(os.environ, CONTROLLER_PORT=str(free_port()))
        subprocess.run([KAFKA, "start", str(self.port), str(self.dir)], check=True, env=env, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin

    def stop(self):
        subprocess.run([KAFKA, "stop", str(self.dir)], check=True, stdout=subprocess.DEVNULL)


def small(table, directory, quick, kafka):
    """Start, memory, latency: one round."""
    seconds = 2 if quick else 5
    broker = Broker(directory)
    broker.dir.mkdir(parents=True)
    table.add("ready on an empty directory", "under 300 ms", "ms", broker.start() * 1000)
    time.sleep(2)
    table.add("resident memory, idle", "under 40 MB", "MB", broker.rss())
    begin, before = time.monotonic(), broker.cpu_seconds()
    time.sleep(5 if quick else 15)
    table.add("CPU of an idle node", "under 1 % of a core", "%", (broker.cpu_seconds() - before) / (time.monotonic() - begin) * 100)
    sync, trip = floors(directory, seconds)
    table.add("floor: 4 KiB append + fdatasync", "", "µs", sync)
    table.add("floor: loopback round trip of 1 KiB", "", "µs", trip)
    rate, p50 = produce(broker.port, 1, seconds)
    table.add("one producer, acks=1, 1 KiB: p50", "", "µs", p50)
    table.add("one producer: p50 / (sync + round trip)", "at most 2", "×", p50 / (sync + trip))
    rate64, p50_64 = produce(broker.port, 64, seconds)
    table.add("64 producers on 64 partitions", "", "requests/s", rate64)
    table.add("64 producers / one", "at least 10", "×", rate64 / rate)
    table.add("64 producers: p50", "", "µs", p50_64)
    for partitions in (64, 1000):
        syncs, begin = broker.metric("chronik_journal_syncs"), time.monotonic()
        rate, _ = produce(broker.port, partitions, seconds)
        # The bench warms up for a second with the same load.
        table.add(f"syncs/s with {partitions} active partitions", "does not grow", "/s", (broker.metric("chronik_journal_syncs") - syncs) / (time.monotonic() - begin))
        table.add(f"requests/s with {partitions} active partitions", "", "/s", rate)
    broker.stop()
    if kafka:
        other = Kafka(directory)
        table.add("Apache Kafka: ready on an empty directory", "", "ms", other.start() * 1000)
        try:
            rate, p50 = produce(other.port, 1, seconds)
            table.add("Apache Kafka (no fsync): one producer, p50", "", "µs", p50)
            table.add("Apache Kafka (no fsync): 64 producers", "", "requests/s", produce(other.port, 64, seconds)[0])
        finally:
            other.stop()


def many_partitions(table, directory):
    broker = Broker(directory)
    broker.dir.mkdir(parents=True)
    broker.start()
    begin = time.monotonic()
    bench("topics", "--bootstrap", f"127.0.0.1:{broker.port}", "--topics", 1000, "--partitions", 100, "--per-request", 100)
    table.add("100,000 partitions created", "under 20 s", "s", time.monotonic() - begin)
    table.add("resident memory with them", "under 400 MB", "MB", broker.rss())
    broker.kill()
    table.add("ready again after kill -9", "under 5 s", "s", broker.start())
    table.add("resident memory after that", "under 400 MB", "MB", broker.rss())
    threads, files = broker.threads_and_files()
    table.add("threads", "none per partition", "", threads)
    table.add("open files", "none per partition", "", files)
    broker.stop()


def long_journal(table, directory):
    """1 GiB that no segment has yet."""
    overrides = ["journal.max.bytes=4294967296", "memory.unflushed.bytes=3221225472"]
    broker = Broker(directory, overrides)
    broker.dir.mkdir(parents=True)
    broker.start()
    while broker.metric("chronik_unflushed_bytes") < 1 << 30:
        produce(broker.port, 8, 1, in_flight=4, size=256 << 10)
    unflushed = broker.metric("chronik_unflushed_bytes") / (1 << 30)
    broker.kill()
    table.add("unflushed bytes at the kill", "1 GiB", "GiB", unflushed)
    table.add("ready after kill -9 with them", "under 5 s", "s", broker.start())
    broker.stop()


def long_metadata(table, directory, entries):
    """So many entries, each with one topic."""
    broker = Broker(directory)
    broker.dir.mkdir(parents=True)
    broker.start()
    begin = time.monotonic()
    # One client with one topic per request writes one entry for each.
    bench("topics", "--bootstrap", f"127.0.0.1:{broker.port}", "--topics", entries, "--per-request", 1)
    table.add("one topic per request, one client", "", "topics/s", entries / (time.monotonic() - begin))
    broker.kill()
    table.add(f"ready after kill -9 with {entries:,} metadata entries", "under 3 s", "s", broker.start())
    broker.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="short spans, for a look")
    parser.add_argument("--kafka", action="store_true", help="measure Apache Kafka beside")
    parser.add_argument("--only", choices=["small", "partitions", "journal", "metadata"], action="append")
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--dir", help="on the disk to be measured")
    arguments = parser.parse_args()
    rig.build()
    wanted = arguments.only or ["small", "partitions", "journal", "metadata"]
    base = pathlib.Path(tempfile.mkdtemp(prefix="chronik-bench-", dir=arguments.dir))
    table = Table()
    try:
        for at in range(arguments.rounds):
            load = os.getloadavg()[0]
            print(f"round {at + 1} of {arguments.rounds}, load {load:.1f}", file=sys.stderr)
            rounds = {
                "small": lambda d: small(table, d, arguments.quick, arguments.kafka),
                "partitions": lambda d: many_partitions(table, d),
                "journal": lambda d: long_journal(table, d),
                "metadata": lambda d: long_metadata(table, d, arguments.entries),
            }
            for name in wanted:
                if name == "metadata" and at > 0:
                    continue
                directory = base / f"{name}-{at}"
                rounds[name](directory)
                shutil.rmtree(directory)
        table.print()
    finally:
        rig.end_all()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
