#!/usr/bin/env python3
"""How many topics a second a cluster creates when many clients each ask for one at a time.

    python3 tests/metadata_concurrency.py --bootstrap localhost:9092 --clients 10 --topics 1000 [--rounds 5]

Each client is a process and creates its share of the topics, one per request, the next when the last is answered. Leader and
quorum acknowledgement stand side by side; tests/metadata_bench.py says what is measured. Needs kafka-python 3.
"""

import multiprocessing
import sys
import time

import metadata_bench as bench

DEADLINE_S = 300


def client(options, address, requests, start, results):
    """One client; begins when all are connected. Its results are begin, end, latencies and failures."""
    try:
        one = bench.CLIENTS[options.via](address, requests, options)
        start.wait(DEADLINE_S)
        latencies = []
        begin = last = time.monotonic()
        for number in range(len(requests)):
            one.send(number)
            now = time.monotonic()
            latencies.append(now - last)
            last = now
        results.send((begin, last, latencies, one.finish()))
    except BaseException as error:
        start.abort()
        results.send(f"{type(error).__name__}: {error}")


def main():
    parser = bench.arguments(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--clients", type=int, default=10, help="how many ask at the same time")
    parser.add_argument("--topics", type=int, default=1000, help="topics of a round, all clients together")
    options = parser.parse_args()
    if not 1 <= options.clients <= options.topics:
        parser.error("every client needs a topic to create")
    cluster = bench.Cluster(options.bootstrap)
    nodes = [cluster.controller] if options.to == "controller" else list(cluster.nodes.values())
    context = multiprocessing.get_context("fork")

    def run(prefix):
        start = context.Barrier(options.clients)
        processes, pipes = [], []
        for number in range(options.clients):
            share = range(number, options.topics, options.clients)
            requests = [[f"{prefix}{topic}"] for topic in share]
            receiver, sender = context.Pipe(duplex=False)
            arguments = (options, nodes[number % len(nodes)], requests, start, sender)
            processes.append(context.Process(target=client, args=arguments, daemon=True))
            pipes.append(receiver)
        for process in processes:
            process.start()
        done = []
        for pipe in pipes:
            if not pipe.poll(DEADLINE_S):
                bench.fail(f"a client was not done within {DEADLINE_S} s")
            done.append(pipe.recv())
        for process in processes:
            process.join()
        errors = [one for one in done if isinstance(one, str)]
        if errors:
            bench.fail(next((e for e in errors if "Barrier" not in e), errors[0]))
        failures = [failure for one in done for failure in one[3]]
        bench.check(cluster, prefix, options.topics, failures)
        wall = max(end for _, end, _, _ in done) - min(begin for begin, _, _, _ in done)
        return bench.Round(options.topics, wall, [taken for one in done for taken in one[2]])

    rounds = bench.measure(cluster, options, run)
    title = f"{options.topics} topics, one per request, {options.clients} clients, {options.rounds} rounds"
    bench.report(title, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
