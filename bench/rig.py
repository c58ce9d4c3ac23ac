"""What the measurements share: processes that end with the run, chronik-bench, tables of medians."""

import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVER = ROOT / "target/release/chronik-server"
BENCH = ROOT / "target/release/chronik-bench"
TICKS = os.sysconf("SC_CLK_TCK")
STARTED = []


def build():
    command = ["cargo", "build", "--quiet", "--release", "--bin", "chronik-server", "--bin", "chronik-bench"]
    subprocess.run([*command, "-p", "chronik-server", "-p", "chronik-bench"], cwd=ROOT, check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """A chronik-server process."""

    def __init__(self, directory, overrides=()):
        self.dir = pathlib.Path(directory)
        self.port, self.admin = free_port(), free_port()
        # A later override wins.
        self.overrides = [f"listeners=PLAINTEXT://127.0.0.1:{self.port}", f"admin.listener=127.0.0.1:{self.admin}", *overrides]
        self.process = None

    def launch(self):
        command = [str(SERVER), "start", "--data-dir", str(self.dir / "data")]
        for override in self.overrides:
            command += ["--override", override]
        log = open(self.dir / "broker.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        STARTED.append(self.process)

    def await_ready(self):
        line = self.process.stdout.readline()
        if not line.startswith("chronik ready"):
            sys.exit(f"the broker did not become ready: {line!r}; see {self.dir / 'broker.log'}")

    def start(self):
        """How long it took, in seconds."""
        begin = time.monotonic()
        self.launch()
        self.await_ready()
        return time.monotonic() - begin

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def rss(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def threads_and_files(self):
        proc = pathlib.Path(f"/proc/{self.process.pid}")
        return len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir()))

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as response:
            text = response.read().decode()
        return float(re.search(rf"^{re.escape(name)}(?:_total)? (\S+)$", text, re.M)[1])


def bench(*arguments):
    done = subprocess.run([str(BENCH), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"chronik-bench {' '.join(map(str, arguments))}: {done.stderr}{done.stdout}")
    return done.stdout


def number(text, pattern):
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"no {pattern!r} in {text!r}")
    return float(found[1].replace(",", ""))


def produce(port, producers, seconds, in_flight=1, size=1024):
    out = bench("produce", "--bootstrap", f"127.0.0.1:{port}", "--producers", producers, "--seconds", seconds, "--in-flight", in_flight, "--bytes", size)
    return number(out, r"([\d.,]+)/s"), number(out, r"p50 ([\d.,]+)")


def floors(directory, seconds, nodes=None):
    """Medians in µs: a sync, a round trip; with `nodes` also an append that so many sync, answered by the leader alone and by a quorum."""
    out = bench("floors", "--dir", directory, "--seconds", seconds, *(["--nodes", nodes] if nodes else []))
    return [float(value.replace(",", "")) for value in re.findall(r"p50 ([\d.,]+)", out)]


class Table:
    def __init__(self):
        self.rows = {}

    def add(self, what, goal, unit, value):
        row = self.rows.setdefault(what, {"goal": goal, "unit": unit, "values": []})
        row["values"].append(value)

    def print(self):
        print("\n| what | goal | median | lowest to highest |\n|---|---|---|---|")
        for what, row in self.rows.items():
            values, unit = row["values"], row["unit"]
            shown = lambda v: f"{v:,.0f}" if abs(v) >= 100 else f"{v:.3g}"
            print(f"| {what} | {row['goal']} | {shown(statistics.median(values))} {unit} | {shown(min(values))} to {shown(max(values))} |")


def end_all():
    """Ends what this run has started and not stopped."""
    for process in STARTED:
        if process.poll() is None:
            process.kill()
