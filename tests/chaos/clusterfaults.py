"""A cluster of three real nodes, each on a filesystem and in a network namespace of its own, broken in every way under real clients.

    clusterfaults.py [--cycles N] [--only KIND] [--seed S] [--keep] [--list]

acks=all is the promise here: what it acknowledged is on the disks of the in-sync replicas, whatever happens to one, two or all
three nodes at once.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from brokers import Chronik
from checker import check
from cycles import Cycles, Plan
from hosts import Host, enter_private_network
from powercut import SMALL_JOURNAL
from rig import Failure, LoopDisk, Missing, NotStarted, Workspace, await_state

DISK_MB = 768
NODES = (1, 2, 3)
SESSION_MS = 3000
SETTINGS = {
    "broker.session.timeout.ms": str(SESSION_MS), "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "4000",
    "default.replication.factor": "3", "min.insync.replicas": "2", "offsets.topic.replication.factor": "3",
}
CLIENT_PORT, CONTROLLER_PORT, ADMIN_PORT = 9092, 9093, 9644


class Node(Chronik):
    """One node in its namespace; its addresses stay the same over restarts."""

    def __init__(self, host, disk, folder, overrides, env):
        super().__init__(folder, disk.path / "data", overrides, env)
        self.host, self.disk = host, disk
        self.bootstrap = f"{host.address}:{CLIENT_PORT}"

    def arguments(self):
        at = self.host.address
        self.overrides.update({
            "node.id": str(self.host.number), "process.roles": "broker,controller", "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": f"PLAINTEXT://{at}:{CLIENT_PORT},CONTROLLER://{at}:{CONTROLLER_PORT}", "admin.listener": f"{at}:{ADMIN_PORT}",
            "controller.quorum.voters": ",".join(f"{n}@10.77.0.{n}:{CONTROLLER_PORT}" for n in NODES),
        })
        return [*self.host.enter(), *super().arguments()]

    def signal(self, number):
        self.process.send_signal(number)

    def cut_power(self):
        self.disk.cut_power()
        self.kill()
        self.disk.remount()


class Cluster:
    """All nodes, with the face of one broker."""

    can_flush = False

    def __init__(self, workspace, overrides, env):
        self.nodes = []
        for number in NODES:
            disk = LoopDisk(workspace.dir, f"disk{number}", DISK_MB)
            self.nodes.append(Node(Host(number), disk, workspace.dir / f"node{number}", {**SETTINGS, **overrides}, env))
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)
        self.process = None

    def start(self):
        began = time.monotonic()
        self.start_nodes(self.nodes)
        return time.monotonic() - began

    def start_nodes(self, nodes):
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_ready()

    def alive(self):
        return all(node.alive() for node in self.nodes)

    def kill(self):
        for node in self.nodes:
            node.kill()
            node.host.close()

    def stop(self):
        return max(self.stop_each(), key=abs)

    def stop_each(self):
        for node in self.nodes:
            node.signal(signal.SIGTERM)
        return [node.await_exit(30) for node in self.nodes]

    def tail(self):
        return "\n".join(f"--- node {node.host.number}\n{node.tail()}" for node in self.nodes)

    def panics(self):
        return [line for node in self.nodes for line in node.panics()]

    def controller(self):
        """The node that leads the metadata, by its own metrics; the first if nobody says so."""
        import urllib.request
        for node in self.nodes:
            try:
                with urllib.request.urlopen(f"http://{node.host.address}:{ADMIN_PORT}/metrics", timeout=2) as response:
                    if b"chronik_active_controller 1" in response.read():
                        return node
            except OSError:
                continue
        return self.nodes[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class ClusterFaults:
    """A cycle's fault, from its kind; when it returns, all nodes run and the network is whole."""

    HOLD_S = (SESSION_MS + 1500) / 1000

    def __init__(self, only=None):
        self.kinds = [kind for kind in KINDS if not only or kind in only]

    def prepared(self, run):
        pass

    def strike(self, run, number):
        kind = self.kinds[number % len(self.kinds)]
        cluster = run.broker
        run.struck(kind)
        print(f"    {kind}", flush=True)
        KINDS[kind](self, run, cluster, run.random.choice(cluster.nodes))

    def restart(self, run, nodes):
        began = time.monotonic()
        run.broker.start_nodes(nodes)
        run.recoveries.append(time.monotonic() - began)

    def kill_controller(self, run, cluster, _):
        node = cluster.controller()
        node.kill()
        time.sleep(run.random.uniform(0, 1.5))
        self.restart(run, [node])

    def kill_for_longer_than_a_session(self, run, cluster, node):
        node.kill()
        time.sleep(self.HOLD_S)
        self.restart(run, [node])

    def kill_all(self, run, cluster, _):
        for node in cluster.nodes:
            node.kill()
        self.restart(run, cluster.nodes)

    def pause_controller(self, run, cluster, _):
        node = cluster.controller()
        node.signal(signal.SIGSTOP)
        time.sleep(self.HOLD_S)
        node.signal(signal.SIGCONT)

    def pause_briefly(self, run, cluster, node):
        node.signal(signal.SIGSTOP)
        time.sleep(run.random.uniform(0.2, 1.5))
        node.signal(signal.SIGCONT)

    def power_cut(self, run, nodes):
        for node in nodes:
            node.disk.cut_power()
        for node in nodes:
            node.kill()
        for node in nodes:
            node.disk.remount()
        self.restart(run, nodes)

    def power_cut_of_one(self, run, cluster, node):
        self.power_cut(run, [node])

    def power_cut_of_two(self, run, cluster, node):
        self.power_cut(run, [other for other in cluster.nodes if other is not node])

    def power_cut_of_all(self, run, cluster, _):
        self.power_cut(run, cluster.nodes)

    def heal_after(self, run, seconds):
        time.sleep(seconds)
        for node in run.broker.nodes:
            node.host.heal()

    def others(self, cluster, node):
        return [other.host for other in cluster.nodes if other is not node]

    def cut_off(self, run, cluster, node):
        node.host.deaf_to(self.others(cluster, node))
        for other in self.others(cluster, node):
            other.deaf_to([node.host])
        self.heal_after(run, self.HOLD_S)

    def cut_off_controller(self, run, cluster, _):
        self.cut_off(run, cluster, cluster.controller())

    def cut_off_one_way(self, run, cluster, node):
        node.host.deaf_to(self.others(cluster, node))
        self.heal_after(run, self.HOLD_S)

    def lossy_network(self, run, cluster, node):
        node.host.deaf_to(self.others(cluster, node), probability=0.2)
        self.heal_after(run, self.HOLD_S)

    def slow_network(self, run, cluster, node):
        node.host.slow()
        self.heal_after(run, self.HOLD_S)

    def rolling_restart(self, run, cluster, _):
        for node in cluster.nodes:
            if (code := node.stop()) != 0:
                run.faults.append(f"node {node.host.number}: SIGTERM in a rolling restart: exit code {code}")
            self.restart(run, [node])
            self.await_in_sync(cluster)

    def await_in_sync(self, cluster):
        """The next node may only be stopped when no partition lacks a replica."""
        from confluent_kafka.admin import AdminClient
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})

        def whole():
            try:
                topics = admin.list_topics(timeout=5).topics.values()
            except Exception:
                return False
            return all(len(p.isrs) == len(p.replicas) for topic in topics for p in topic.partitions.values())
        await_state("every replica in sync", whole, 40, every_s=0.1)


KINDS = {
    "kill the controller": ClusterFaults.kill_controller, "power cut of all": ClusterFaults.power_cut_of_all,
    "cut off a node": ClusterFaults.cut_off, "power cut of one": ClusterFaults.power_cut_of_one,
    "pause the controller": ClusterFaults.pause_controller, "power cut of two": ClusterFaults.power_cut_of_two,
    "rolling restart": ClusterFaults.rolling_restart, "cut off one way": ClusterFaults.cut_off_one_way,
    "kill a node for longer than a session": ClusterFaults.kill_for_longer_than_a_session,
    "lossy network": ClusterFaults.lossy_network, "kill all": ClusterFaults.kill_all,
    "cut off the controller": ClusterFaults.cut_off_controller, "slow network": ClusterFaults.slow_network,
    "pause a node briefly": ClusterFaults.pause_briefly,
}


class ClusterCycles(Cycles):
    """Cycles on a cluster. Only acks=all promises anything there, so that is what every producer asks for."""

    def make_broker(self, workspace, data):
        return Cluster(workspace, {**self.plan.overrides}, self.plan.env)

    def workers(self):
        workers = super().workers()
        for worker in workers:
            if worker.kind == "producer":
                worker.config["acks"] = "all"
        return workers

    def judge(self, history):
        return check(history, cluster=True)


def run(plan, only=None, keep=False):
    """The result of a run. The calling process must be in a network of its own."""
    with Workspace("cluster", keep) as workspace:
        return ClusterCycles(plan, workspace, None, ClusterFaults(only)).run()


def plan_of(cycles, seed):
    return Plan("chronik", cycles, seed, dict(SMALL_JOURNAL), limit_s=60 + 60 * cycles, patience_s=60)


def main(arguments=None):
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--cycles", type=int, default=len(KINDS))
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--only", action="append", metavar="KIND", choices=sorted(KINDS), help="only this kind; may be repeated")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep histories, logs and data")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(KINDS))
        return 0
    try:
        print(f"seed {options.seed}")
        enter_private_network()
        result = run(plan_of(options.cycles, options.seed), options.only, options.keep)
        for line in result.lines():
            print(line)
        print(f"{'nothing' if result.good() else 'SOMETHING'} wrong in {result.seconds:.1f} s")
        return 0 if result.good() else 1
    except (Failure, NotStarted) as failure:
        print(f"FAILED: {failure}")
        return 1
    except Missing as missing:
        print(f"not run: {missing}")
        return 3


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parent)]
    sys.exit(main())
