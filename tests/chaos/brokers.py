"""The broker under test, started and killed as often as wanted on the same data and the same port."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from rig import Failure, Late, Missing, NotStarted, await_state, command

REPOSITORY = Path(__file__).resolve().parent.parent.parent
KAFKA_SH = REPOSITORY / "tests/clients/kafka.sh"
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
FLUSH_TIMEOUT_S = 10
TAIL_BYTES = 4000


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Broker:
    """`folder` is for logs, on the machine's own disk; `data` is on the disk that the faults hit."""

    OVERRIDES = {"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "4", "offsets.topic.replication.factor": "1",
                 "auto.create.topics.enable": "false"}
    ready_text = ""
    can_flush = False

    def __init__(self, folder, data, overrides=None, env=None):
        self.folder, self.data = folder, data
        self.folder.mkdir(exist_ok=True)
        self.overrides = {**self.OVERRIDES, **(overrides or {})}
        self.env = dict(env or {})
        self.port, self.other_port = free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.log_path = self.folder / "broker.log"
        self.process = None

    def arguments(self):
        raise NotImplementedError

    def launch(self):
        """Starts the process and does not wait until it is ready."""
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            # setpriv: if this driver is killed, the kernel ends the broker too.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, self.arguments())], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.env}, cwd=self.folder,
            )

    def start(self):
        began = time.monotonic()
        self.launch()
        self.await_ready()
        return time.monotonic() - began

    def await_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise NotStarted(f"the broker ended with {self.process.returncode} while it started:\n{self.tail()}")
            return self.ready_text in self.log()
        try:
            await_state("the broker's start", ready, READY_TIMEOUT_S)
        except Late as failure:
            raise NotStarted(f"{failure}:\n{self.tail()}") from None

    def log(self):
        """What it wrote since it was last started."""
        with self.log_path.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def tail(self):
        return self.log_path.read_text(errors="replace")[-TAIL_BYTES:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the broker did not stop within {STOP_TIMEOUT_S} s of SIGTERM:\n{self.tail()}") from None

    def await_exit(self, timeout_s):
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"the broker did not end within {timeout_s} s:\n{self.tail()}") from None

    def flush(self):
        """Has it write everything into segment files, where it offers that. Raises OSError when it does not answer."""

    def panics(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return [line for line in text.splitlines() if "panicked at" in line]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Chronik(Broker):
    ready_text = "chronik ready:"
    can_flush = True

    def arguments(self):
        binary = Path(os.environ.get("CHRONIK_BIN", REPOSITORY / "target/release/chronik-server"))
        if not binary.exists():
            raise Missing(f"{binary} does not exist: `cargo build --release --bin chronik-server`, or set CHRONIK_BIN")
        overrides = {"listeners": f"PLAINTEXT://{self.bootstrap}", "admin.listener": f"127.0.0.1:{self.other_port}", **self.overrides}
        return [binary, "start", "--data-dir", self.data, *(word for key, value in overrides.items() for word in ("--override", f"{key}={value}"))]

    def flush(self):
        request = urllib.request.Request(f"http://127.0.0.1:{self.other_port}/flush", method="POST")
        with urllib.request.urlopen(request, timeout=FLUSH_TIMEOUT_S) as response:
            response.read()


class Kafka(Broker):
    """Apache Kafka by tests/clients/kafka.sh; its metadata log stays on the machine's own disk, only the records are at risk."""

    ready_text = "Kafka Server started"

    def arguments(self):
        kafka = self.folder / "kafka"
        if not (kafka / "server.properties").exists():
            self.format(kafka)
        heap = os.environ.get("KAFKA_HEAP", "400m")
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog.level=INFO",
                f"-Dlog4j2.configurationFile={KAFKA_SH.parent / 'kafka/log4j2.properties'}", "-cp", self.classpath, "kafka.Kafka",
                kafka / "server.properties"]

    def format(self, kafka):
        """kafka.sh formats and starts it once; from then on this class starts it, with the same properties."""
        environment = {**os.environ, "CONTROLLER_PORT": str(self.other_port)}
        overrides = {**self.overrides, "log.dirs": self.data / "data", "metadata.log.dir": kafka / "metadata"}
        done = subprocess.run([KAFKA_SH, "start", str(self.port), kafka, *(f"{k}={v}" for k, v in overrides.items())],
                              env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Missing(f"Kafka did not start: {done.stderr}")
        command(KAFKA_SH, "stop", kafka)

    @property
    def classpath(self):
        return command(KAFKA_SH, "classpath").strip()


TARGETS = {"chronik": Chronik, "kafka": Kafka}
