"""The broker or brokers of each target, on free loopback ports and in a clean temporary directory."""

import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .common import KAFKA_SH, REPOSITORY, SetupError

# The same for both targets: a group forms at once, and few partitions of the offsets topic start faster than fifty.
OVERRIDES = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
    "auto.create.topics.enable": "true",
    "num.partitions": "1",
}
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Broker:
    """`data` holds the partition folders; `admin` is Chronik's HTTP address, None for Kafka."""

    admin = None

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="chronik-clients-"))
        self.data = self.dir / "data"

    @property
    def bootstrap(self):
        """The addresses of all nodes, by their numbers."""
        return f"127.0.0.1:{self.port}"

    def discard(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Kafka(Broker):
    def start(self):
        self.port, controller = free_ports(2)
        overrides = [f"{key}={value}" for key, value in OVERRIDES.items()]
        self.dir = self.dir / "kafka"
        self.data = self.dir / "data"
        result = subprocess.run(
            [KAFKA_SH, "start", str(self.port), self.dir, *overrides],
            env={**os.environ, "CONTROLLER_PORT": str(controller)}, stderr=subprocess.PIPE, text=True,
        )
        if result.returncode:
            raise SetupError(f"Kafka did not start:\n{result.stderr}")

    def stop(self):
        subprocess.run([KAFKA_SH, "stop", self.dir], check=False)

    def log(self):
        return (self.dir / "server.log").read_text(errors="replace")

    def discard(self):
        shutil.rmtree(self.dir.parent, ignore_errors=True)


class Node:
    """One process of Chronik with its data and its own words in a directory."""

    def __init__(self, directory, settings):
        self.dir = directory
        self.settings = settings

    def launch(self):
        binary = Path(os.environ.get("CHRONIK_BIN", REPOSITORY / "target/release/chronik-server"))
        if not binary.exists():
            raise SetupError(f"{binary} does not exist: `cargo build --release --bin chronik-server`, or set CHRONIK_BIN")
        self.dir.mkdir(exist_ok=True)
        arguments = [binary, "start", "--data-dir", self.dir / "data"]
        for key, value in self.settings.items():
            arguments += ["--override", f"{key}={value}"]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=(self.dir / "stderr.log").open("w"), text=True, cwd=self.dir,
        )

    def await_ready(self):
        lines = queue.Queue()
        threading.Thread(target=self._drain, args=(lines,), daemon=True).start()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise SetupError(f"the broker was not ready within {READY_TIMEOUT_S} s:\n{self.log()[-4000:]}") from None
            if line is None:
                raise SetupError(f"the broker ended while it started:\n{self.log()[-4000:]}")
            if line.startswith("chronik ready:"):
                return

    def _drain(self, lines):
        with (self.dir / "stdout.log").open("w") as copy:
            for line in self.process.stdout:
                copy.write(line)
                copy.flush()
                lines.put(line)
        lines.put(None)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def await_end(self):
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SetupError(f"the broker did not stop within {STOP_TIMEOUT_S} s of SIGTERM") from None
        if code:
            raise SetupError(f"the broker stopped with exit code {code}:\n{self.log()[-4000:]}")

    def log(self):
        files = (self.dir / name for name in ("stdout.log", "stderr.log"))
        return "".join(file.read_text(errors="replace") for file in files if file.exists())


class Chronik(Broker):
    def start(self):
        self.port, admin = free_ports(2)
        self.admin = f"http://127.0.0.1:{admin}"
        listeners = {"listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "admin.listener": f"127.0.0.1:{admin}"}
        self.node = Node(self.dir, {**listeners, **OVERRIDES})
        self.node.launch()
        self.node.await_ready()

    def stop(self):
        self.node.terminate()
        self.node.await_end()

    def log(self):
        return self.node.log()


class Cluster(Broker):
    """Three nodes, and three replicas of everything: what is read from files is read from the first node's."""

    replicas = 3

    def start(self):
        ports = free_ports(3 * self.replicas)
        clients, controllers, admins = (ports[kind :: 3] for kind in range(3))
        self.ports = clients
        self.admin = f"http://127.0.0.1:{admins[0]}"
        self.data = self.dir / "node1/data"
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        self.nodes = []
        for number, (client, controller, admin) in enumerate(zip(clients, controllers, admins), 1):
            settings = {
                **OVERRIDES,
                "node.id": number,
                "controller.quorum.voters": voters,
                "controller.listener.names": "CONTROLLER",
                "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
                "admin.listener": f"127.0.0.1:{admin}",
                "default.replication.factor": self.replicas,
                "offsets.topic.replication.factor": self.replicas,
            }
            self.nodes.append(Node(self.dir / f"node{number}", settings))
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.await_ready()
        except BaseException:
            for node in self.nodes:
                if hasattr(node, "process"):
                    node.process.kill()
            raise

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def stop(self):
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            node.await_end()

    def log(self):
        return "".join(f"--- node {number}\n{node.log()}" for number, node in enumerate(self.nodes, 1))


TARGETS = {"kafka": Kafka, "chronik": Chronik, "cluster": Cluster}
