"""Power cuts on real files: the broker's filesystem loses everything that was not synced, again and again, under real clients.

    powercut.py [--cycles N]                  nothing acknowledged or read may be lost; the journal is written directly in every other
                                              cycle, unless `--override journal.direct.io=` says how
    powercut.py --without-fsync [PATH]        the same binary with its syncs (of files whose path contains PATH) turned into nothing:
                                              this must be reported as losing data, or the test has no teeth
    powercut.py --target kafka                Apache Kafka, which acknowledges before it syncs: expected to lose
    powercut.py --target sample               no broker at all: shows that this machine's power cut takes what was not synced, and only that
"""

import argparse
import subprocess
import sys
import threading
import time

import checker
from cycles import Cycles, Plan
from rig import Failure, LoopDisk, Missing, NotStarted, Workspace
from syncfault import SyncFault

DISK_MB = 1024
# Small files, so that within a short run the journal is recycled and segments roll.
SMALL_JOURNAL = {"journal.file.bytes": str(16 << 20), "journal.max.bytes": str(512 << 20), "journal.free.bytes.floor": str(32 << 20)}
# A loop device has no write cache that a cut could take: what the journal wrote directly is in the device's file and stays, synced or
# not. Only through the page cache a sync that is missing shows.
DIRECT = "journal.direct.io"
# What shows that data was lost; a broker that cannot start again after the cut has lost it too.
LOSS = {checker.LOST_WRITE, checker.VANISHED, checker.LOST_COMMIT, checker.HW_REGRESS, checker.INCONSISTENT_OFFSET, checker.UNREADABLE}


class PowerCut:
    """A cut under load; sometimes after a kill -9 whose recovery it interrupts, sometimes twice, sometimes while segments are flushed."""

    KINDS = ("cut", "cut", "kill-then-cut", "cut-in-recovery", "cut-in-flush", "cut-after-flush")

    def __init__(self, disk, sync_first=False, alternate=False):
        self.disk, self.sync_first, self.alternate, self.cuts = disk, sync_first, alternate, 0

    def prepared(self, run):
        if self.sync_first:
            self.disk.sync()

    def strike(self, run, number):
        kind = self.KINDS[number % len(self.KINDS)] if run.broker.can_flush else "cut"
        if self.alternate:
            run.broker.overrides[DIRECT] = self.direct(number + 1)
        if kind == "cut-after-flush":
            run.flush()
        if kind == "cut-in-flush":
            threading.Thread(target=flush_quietly, args=(run.broker,), daemon=True).start()
            time.sleep(run.random.uniform(0, 0.03))
        run.struck(kind)
        if kind == "kill-then-cut":
            run.broker.kill()
            self.interrupted_start(run)
        else:
            self.cut(run)
        if kind == "cut-in-recovery":
            self.interrupted_start(run)
        run.restart()

    def direct(self, number):
        """Of the broker that this cycle's fault hits: in turns, and each kind of fault hits either."""
        return "true" if (number + number // len(self.KINDS)) % 2 else "false"

    def interrupted_start(self, run):
        run.broker.launch()
        time.sleep(run.random.uniform(0, 0.25))
        self.cut(run)

    def cut(self, run):
        self.cuts += 1
        self.disk.cut_power()
        run.broker.kill()
        self.disk.remount()


def flush_quietly(broker):
    try:
        broker.flush()
    except OSError:
        pass  # The power went meanwhile, as intended.


def run(plan, fs="ext4", keep=False):
    """The result of a run on a filesystem of its own."""
    with Workspace("powercut", keep) as workspace:
        disk = LoopDisk(workspace.dir, "disk", DISK_MB, fs)
        is_ours = plan.target == "chronik"
        cut = PowerCut(disk, sync_first=not is_ours, alternate=is_ours and DIRECT not in plan.overrides)
        if cut.alternate:
            plan.overrides[DIRECT] = cut.direct(0)
        return Cycles(plan, workspace, disk.path / "data", cut).run()


def run_without_fsync(plan, path, keep=False):
    """(result or None, why it counts as losing data or None). Raises Failure when the syncs were not even left out."""
    with Workspace("nosync", keep=True) as workspace:
        disk = LoopDisk(workspace.dir, "disk", DISK_MB)
        fault = SyncFault(workspace.dir, "skip", str(disk.path) if path is None else path)
        plan.env.update(fault.env)
        plan.overrides.setdefault(DIRECT, "false")
        plan.must_get_on, plan.patience_s = False, 8
        result, why, cut = None, None, PowerCut(disk, sync_first=True)
        try:
            result = Cycles(plan, workspace, disk.path / "data", cut).run()
        except NotStarted as failure:
            if not cut.cuts:
                raise
            why = f"after a cut it did not come back: {str(failure).splitlines()[-1]}"
        if fault.hits() == 0:
            raise Failure(f"no sync of {fault.path} was left out: the preloaded library does not see the broker's calls")
        if result is not None and (labels := result.report.labels & LOSS):
            why = ", ".join(f"{label}: {result.report.counts[label]}" for label in sorted(labels))
        print(f"{fault.hits()} syncs left out")
        workspace.keep = keep
        return result, why


def sample():
    """A writer that says "acknowledged" after each line: with fsync before it, all are there after the cut; without, none need be."""
    lost = {}
    with Workspace("sample") as workspace:
        disk = LoopDisk(workspace.dir, "disk", 64)
        for synced in (True, False):
            program = f"import os\nf=open({str(disk.path / f'file-{synced}')!r},'a')\nfor n in range(10**9):\n f.write(f'{{n}}\\n'); f.flush()\n"
            program += (" os.fsync(f.fileno())\n" if synced else "") + " print(n, flush=True)\n"
            writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            acknowledged = [int(writer.stdout.readline()) for _ in range(500)][-1]
            disk.cut_power()
            writer.kill()
            writer.communicate()
            disk.remount()
            path = disk.path / f"file-{synced}"
            there = len(path.read_text().splitlines()) if path.exists() else 0
            lost[synced] = max(0, acknowledged + 1 - there)
    print(f"lost of {acknowledged + 1} acknowledged lines: {lost[True]} with fsync, {lost[False]} without")
    if lost[True] or not lost[False]:
        raise Failure("the power cut of this machine does not do what it should")


def parse(arguments):
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--target", choices=("chronik", "kafka", "sample"), default="chronik")
    parser.add_argument("--cycles", type=int, default=None)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--fs", choices=("ext4", "xfs"), default="ext4")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting of the broker")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="the broker's environment, LD_PRELOAD for example")
    parser.add_argument("--without-fsync", nargs="?", const="", default=None, metavar="PATH")
    parser.add_argument("--keep", action="store_true", help="keep histories, logs and data")
    return parser.parse_args(arguments)


def plan_of(options, cycles):
    overrides = dict(SMALL_JOURNAL) if options.target == "chronik" else {}
    overrides.update(pair.split("=", 1) for pair in options.override)
    return Plan(options.target, cycles if options.cycles is None else options.cycles, options.seed, overrides,
                dict(pair.split("=", 1) for pair in options.env))


def main(arguments=None):
    options = parse(arguments)
    try:
        if options.target == "sample":
            sample()
            return 0
        print(f"seed {options.seed}")
        if options.without_fsync is not None:
            result, why = run_without_fsync(plan_of(options, 3), options.without_fsync or None, options.keep)
            for line in result.lines() if result else ():
                print(line)
            print(f"found, as it must be: {why}" if why else "NOT FOUND: the syncs were left out and nobody noticed")
            return 0 if why else 1
        result = run(plan_of(options, 20 if options.target == "chronik" else 3), options.fs, options.keep)
        for line in result.lines():
            print(line)
        print(f"{'nothing' if result.good() else 'SOMETHING'} wrong in {result.seconds:.1f} s")
        return 0 if result.good() else 1
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    except Missing as missing:
        print(f"not run: {missing}")
        return 3


if __name__ == "__main__":
    sys.exit(main())
