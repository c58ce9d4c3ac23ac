"""kill -9 under real clients, again and again: what a crash of the process alone must not lose.

A kill shows no missing fsync, for the page cache survives it: that is powercut.py's part. It does show acknowledgements before the
write, a recovery that drops or doubles records, lost producer state, and clients that do not find their way back.
"""

import argparse
import sys
import time

from cycles import Cycles, Plan
from powercut import SMALL_JOURNAL
from rig import Failure, Missing, Workspace


class Kill:
    KINDS = ("kill", "kill", "kill-in-recovery", "kill-after-flush", "stop")

    def prepared(self, run):
        pass

    def strike(self, run, number):
        kind = self.KINDS[number % len(self.KINDS)] if run.broker.can_flush else "kill"
        if kind == "kill-after-flush":
            run.flush()
        run.struck(kind)
        if kind == "stop":
            if (code := run.broker.stop()) != 0:
                run.faults.append(f"SIGTERM: exit code {code}")
        else:
            run.broker.kill()
        if kind == "kill-in-recovery":
            run.broker.launch()
            time.sleep(run.random.uniform(0, 0.25))
            run.broker.kill()
        run.restart()


def run(plan, keep=False):
    with Workspace("kill9", keep) as workspace:
        return Cycles(plan, workspace, workspace.dir / "data", Kill()).run()


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--target", choices=("chronik", "kafka"), default="chronik")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting of the broker")
    parser.add_argument("--keep", action="store_true", help="keep histories, logs and data")
    options = parser.parse_args()
    overrides = dict(SMALL_JOURNAL) if options.target == "chronik" else {}
    overrides.update(pair.split("=", 1) for pair in options.override)
    print(f"seed {options.seed}")
    try:
        result = run(Plan(options.target, options.cycles, options.seed, overrides), options.keep)
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    except Missing as missing:
        print(f"not run: {missing}")
        return 3
    for line in result.lines():
        print(line)
    print(f"{'nothing' if result.good() else 'SOMETHING'} wrong in {result.seconds:.1f} s")
    return 0 if result.good() else 1


if __name__ == "__main__":
    sys.exit(main())
