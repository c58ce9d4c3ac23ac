"""The list of tests for `run`, and the table it prints."""

import os
import subprocess
import sys
import time
import traceback

import clusterfaults
import diskfaults
import kill9
import powercut
import rudeclient
from cycles import Plan
from rig import HERE, Failure, Missing, filesystems

CYCLES = {"quick": 4, "default": 20, "full": 100}
# Each kind of fault once, or three times.
CLUSTER_CYCLES = {"default": len(clusterfaults.KINDS), "full": 3 * len(clusterfaults.KINDS)}
# The exit code of a test that this machine cannot run.
CANNOT_RUN = 3
# What leaving out the syncs of these files must be found by: all, the journal's, the segments' and their folders'.
LEFT_OUT = {"quick": {"all files": None}, "default": {"all files": None, "the journal": ".journal"},
            "full": {"all files": None, "the journal": ".journal", "segments": "/chaos-"}}


def judged(result):
    for line in result.lines():
        print(f"    {line}")
    if not result.good():
        raise Failure("something is wrong")


def test_checker(_):
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / "test_checker.py"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"    {done.stdout.splitlines()[-1]}")
    if done.returncode:
        raise Failure(done.stdout)


def cut(options, fs, cycles):
    judged(powercut.run(Plan("chronik", cycles, options.seed, dict(powercut.SMALL_JOURNAL)), fs, options.keep))


def kill(options, cycles):
    judged(kill9.run(Plan("chronik", cycles, options.seed, dict(powercut.SMALL_JOURNAL)), options.keep))


def without_fsync(options, path):
    plan = Plan("chronik", 6, options.seed, dict(powercut.SMALL_JOURNAL))
    _, why = powercut.run_without_fsync(plan, path, options.keep)
    if not why:
        raise Failure("the syncs were left out and nobody noticed")
    print(f"    found, as it must be: {why}")


def cluster(options, cycles):
    """In a process of its own, which makes itself a private network."""
    keep = ["--keep"] if options.keep else []
    done = subprocess.run([sys.executable, "-B", HERE / "clusterfaults.py", "--cycles", str(cycles), "--seed", str(options.seed), *keep],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = done.stdout.splitlines()
    if done.returncode == CANNOT_RUN:
        raise Missing(lines[-1])
    if done.returncode:
        raise Failure(done.stdout)
    print("\n".join(f"    {line}" for line in lines))


def kafka_loses(options):
    result = powercut.run(Plan("kafka", 1, options.seed), keep=options.keep)
    if powercut.checker.LOST_WRITE not in result.report.labels:
        raise Failure("Kafka acknowledges before it syncs, and yet nothing was lost")
    print(f"    found, as it must be: {result.report.counts[powercut.checker.LOST_WRITE]} acknowledged records lost")


def rude(options):
    rudeclient.run(options.seed, keep=options.keep)


def disk(name):
    def test(_):
        wrong = diskfaults.run(name)
        if wrong is not None:
            raise Failure(wrong)
    return test


def tests(level):
    """(name, function of the options) in the order of the run."""
    cycles = CYCLES[level]
    yield "the checker finds each anomaly", test_checker
    yield "clients that misbehave harm nobody", rude
    yield "this machine's power cut takes what was not synced", lambda _: powercut.sample()
    for fs in filesystems() if level == "full" else ["ext4"]:
        yield f"{cycles} power cuts on {fs}", lambda options, fs=fs: cut(options, fs, cycles)
    for what, path in LEFT_OUT[level].items():
        yield f"a broker without the syncs of {what} is found out", lambda options, path=path: without_fsync(options, path)
    yield f"{cycles} times kill -9", lambda options: kill(options, cycles)
    if cluster_cycles := CLUSTER_CYCLES.get(level):
        yield f"{cluster_cycles} faults of a cluster of three", lambda options: cluster(options, cluster_cycles)
    for name in diskfaults.TESTS:
        yield name.replace("_", " "), disk(name)
    if level == "full":
        yield "Kafka is found to lose records at a power cut", kafka_loses


def outcome(test, options):
    try:
        test(options)
    except Failure as failure:
        return "FAILED", str(failure)
    except Missing as missing:
        return "skipped", str(missing)
    except Exception:
        return "FAILED", traceback.format_exc()
    return "passed", ""


def main(options):
    if options.seed is None:
        options.seed = time.time_ns() % 10**6
    chosen = [(name, test) for name, test in tests(options.level or "default") if not options.only or any(text in name for text in options.only)]
    if options.list:
        print("\n".join(name for name, _ in chosen))
        return 0
    print(f"seed {options.seed}", flush=True)
    counts, strict = {"passed": 0, "FAILED": 0, "skipped": 0}, os.environ.get("CI") == "true"
    for name, test in chosen:
        print(f"{name} …", flush=True)
        began = time.monotonic()
        verdict, text = outcome(test, options)
        if verdict == "skipped" and strict:
            verdict, text = "FAILED", f"did not run, and CI=true wants it to: {text}"
        counts[verdict] += 1
        print(f"{verdict} ({time.monotonic() - began:.1f} s){': ' + text if text else ''}", flush=True)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['FAILED']} failed{skipped}")
    return 1 if counts["FAILED"] else 0
