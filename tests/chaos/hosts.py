"""Hosts of a cluster: each a network namespace with an address of its own on a bridge that only this process tree can see.

The driver itself must run in a namespace of its own (`enter_private_network`); everything is gone with the processes.
"""

import ctypes
import os
import shutil
import subprocess

from rig import Failure, Missing, await_state, command

CLONE_NEWNET = 0x40000000
NETWORK = "10.77.0"
DRIVER = f"{NETWORK}.254"
BRIDGE = "chaos"


def enter_private_network():
    """From here on this process and its children see only the network made here."""
    for tool in ("ip", "tc", "iptables", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            raise Missing(f"needs `{tool}` (Debian packages iproute2, iptables, util-linux)")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise Missing(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", BRIDGE, "type", "bridge")
    command("ip", "addr", "add", f"{DRIVER}/24", "dev", BRIDGE)
    command("ip", "link", "set", BRIDGE, "up")


class Host:
    """A namespace that lives as long as a process that sleeps in it."""

    def __init__(self, number):
        self.number, self.address = number, f"{NETWORK}.{number}"
        self.holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        await_state(f"the namespace of host {number}", lambda: self.namespace() not in (None, own), 10)
        cable = f"cable{number}"
        command("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        command("ip", "link", "set", cable, "master", BRIDGE, "up")
        self.inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "link", "set", "lo", "up")

    def namespace(self):
        if self.holder.poll() is not None:
            raise Failure(f"the namespace of host {self.number} could not be made")
        try:
            return os.readlink(f"/proc/{self.holder.pid}/ns/net")
        except OSError:
            return None

    def enter(self):
        """What a command is to be prefixed with to run here."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]

    def inside(self, *arguments, check=True):
        return command(*self.enter(), *arguments, check=check)

    # Faults of the network. Clients, on the bridge itself, are not concerned: they are no host.

    def deaf_to(self, others, probability=1.0):
        """Loses what comes from these hosts, or a part of it."""
        for other in others:
            rule = ["iptables", "-A", "INPUT", "-s", other.address]
            if probability < 1:
                rule += ["-m", "statistic", "--mode", "random", "--probability", str(probability)]
            self.inside(*rule, "-j", "DROP")

    def slow(self):
        self.inside("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "20mbit", "burst", "32kbit", "latency", "400ms")

    def heal(self):
        self.inside("iptables", "-F")
        self.inside("tc", "qdisc", "del", "dev", "eth0", "root", check=False)

    def close(self):
        self.holder.kill()
        self.holder.wait()

