#!/usr/bin/env python3
"""How many topics a second a cluster creates when one client asks for many in one request.

    python3 tests/metadata_throughput.py --bootstrap localhost:9092 [--topics 100] [--rounds 15]

Leader and quorum acknowledgement stand side by side; tests/metadata_bench.py says what is measured. Needs kafka-python 3.
"""

import sys
import time

import metadata_bench as bench


def main():
    parser = bench.arguments(__doc__.splitlines()[0], rounds=15)
    parser.add_argument("--topics", type=int, default=100, help="topics in the one request of a round")
    options = parser.parse_args()
    cluster = bench.Cluster(options.bootstrap)
    address = cluster.controller if options.to == "controller" else options.bootstrap[0]

    def run(prefix):
        names = [f"{prefix}{number}" for number in range(options.topics)]
        client = bench.CLIENTS[options.via](address, [names], options)
        begin = time.perf_counter()
        client.send(0)
        taken = time.perf_counter() - begin
        bench.check(cluster, prefix, options.topics, client.finish())
        return bench.Round(options.topics, taken, [taken])

    rounds = bench.measure(cluster, options, run)
    title = f"{options.topics} topics in one request, one client, {options.rounds} rounds"
    bench.report(title, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
