"""Waiting for a state by asking for it, never by time."""

import time

from .base import BrokerError

# Creation is acknowledged before every broker knows the topic, and metadata names a leader before that one serves.
NOT_YET = {3: "unknown topic or partition", 5: "no leader", 6: "not the leader"}


def await_partitions(client, name, count, seconds=15):
    """Waits as an application does, by asking, until all partitions serve."""

    def there():
        try:
            return client.partitions(name) == count and all(client.probe.watermarks(name, p) for p in range(count))
        except BrokerError as error:
            if error.code in NOT_YET:
                return False
            raise

    eventually(there, seconds, f"{count} partitions of {name}")


def eventually(condition, seconds=15, what="the condition"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.02)
