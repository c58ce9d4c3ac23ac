"""The command line: installs, starts the broker, runs the suites, stops it, prints the table."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .broker import TARGETS
from .common import CACHE, HERE, KAFKA_SH, SetupError, command
from .results import FAILED, PASSED, SKIPPED
from .suites import JAVA_CLASSES, SUITES


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run", description="Real Kafka clients against Chronik or Kafka itself.")
    parser.add_argument("--target", choices=TARGETS, required=True)
    parser.add_argument("--suite", action="append", choices=SUITES, metavar="NAME", help=f"one of {', '.join(SUITES)}; may be repeated (default: all)")
    parser.add_argument("--test", metavar="PATTERN", help="only tests whose name contains it (a pattern of the suite's own test runner)")
    parser.add_argument("--keep", action="store_true", help="keep the broker's data and logs")
    parser.add_argument("--install-only", action="store_true", help="install what the suites need and stop")
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="list the N slowest tests")
    return parser.parse_args(arguments)


def environment(target, broker):
    env = {
        **os.environ,
        "BOOTSTRAP": broker.bootstrap, "TARGET": target, "DATA_DIR": str(broker.data), "KAFKA_SH": str(KAFKA_SH),
        "CLIENTS_CACHE": str(CACHE), "JAVA_CLASSES": str(JAVA_CLASSES), "NODE_PATH": str(CACHE / "node/node_modules"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(HERE / "python"),
    }
    if broker.admin:
        env["ADMIN_URL"] = broker.admin
    return env


def run_suites(names, target, broker, pattern):
    table = {}
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="chronik-results-") as results:
            outcome = SUITES[name].run(environment(target, broker), pattern, Path(results))
        table[name] = (outcome, time.monotonic() - began)
        for case in outcome.cases:
            if case.outcome == FAILED:
                print(f"\nFAILED {name}: {case.name}\n{shortened(case.detail.strip())}", flush=True)
    return table


def shortened(text, each=1500):
    """Both ends of a long text: some runners name the failure first, some last."""
    return text if len(text) <= 2 * each else f"{text[:each]}\n…\n{text[-each:]}"


def report(table, slowest):
    total = Counter()
    print(f"\n{'suite':<10}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, (outcome, seconds) in table.items():
        count = Counter(case.outcome for case in outcome.cases)
        total += count
        print(f"{name:<10}{count[PASSED]:>8}{count[FAILED]:>8}{count[SKIPPED]:>9}{seconds:>9.1f}")
    cases = [(case.seconds, name, case.name) for name, (outcome, _) in table.items() for case in outcome.cases]
    for seconds, name, case in sorted(cases, reverse=True)[:slowest]:
        print(f"{seconds:>7.2f} s  {name}: {case}")
    skipped = f", {total[SKIPPED]} skipped" if total[SKIPPED] else ""
    print(f"{total[PASSED]} passed, {total[FAILED]} failed{skipped}", flush=True)
    return total[FAILED] == 0


def main(arguments=None):
    options = parse(arguments)
    names = options.suite or list(SUITES)
    try:
        for name in names:
            SUITES[name].install()
        if options.target == "kafka":
            command([KAFKA_SH, "install"])
        if options.install_only:
            return 0
        broker = TARGETS[options.target]()
        try:
            return run_against(broker, names, options)
        finally:
            if options.keep:
                print(f"kept: {broker.dir}")
            else:
                broker.discard()
    except (SetupError, subprocess.TimeoutExpired) as error:
        print(f"run: {error}", file=sys.stderr)
        return 2


def run_against(broker, names, options):
    broker.start()
    try:
        table = run_suites(names, options.target, broker, options.test)
    except BaseException:
        broker.stop()
        raise
    broker.stop()
    good = report(table, options.slowest)
    if not good and options.target != "kafka":
        print_log_tail(broker)
    return 0 if good else 1


def print_log_tail(broker, lines=30):
    """What the broker said last goes to standard error: the table stays the last thing on standard output."""
    print("\n".join(broker.log().splitlines()[-lines:]), file=sys.stderr)
