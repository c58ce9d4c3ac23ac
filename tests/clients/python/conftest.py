import os
import time
import uuid

import pytest

import adapters



@pytest.fixture(scope="session")
def bootstrap():
    if "BOOTSTRAP" not in os.environ:
        pytest.exit("BOOTSTRAP is not set: run the suite through tests/clients/run", returncode=2)
    return os.environ["BOOTSTRAP"]


@pytest.fixture(scope="session")
def clients(bootstrap):
    started = {name: client(bootstrap) for name, client in adapters.ALL.items()}
    for client in started.values():
        client.probe = started["confluent-kafka"]
    yield started
    for client in started.values():
        client.close()


@pytest.fixture(params=list(adapters.ALL))
def client(request, clients):
    return clients[request.param]


@pytest.fixture
def name(request):
    """A name for a topic or group that no other test uses."""
    return f"{request.node.originalname}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(client, name):
    """Makes a topic with the client under test."""

    def make(partitions=1, **config):
        client.create_topic(name, partitions, config={key.replace("_", "."): str(value) for key, value in config.items()})
        await_partitions(client, name, partitions)
        return name

    return make


# Creation is acknowledged before every broker knows the topic, and metadata names a leader before that one serves.
NOT_YET = {3: "unknown topic or partition", 5: "no leader", 6: "not the leader"}


def await_partitions(client, name, count, seconds=15):
    """Waits as an application does, by asking, until all partitions serve."""

    def there():
        try:
            return client.partitions(name) == count and all(client.probe.watermarks(name, p) for p in range(count))
        except adapters.base.BrokerError as error:
            if error.code in NOT_YET:
                return False
            raise

    eventually(there, seconds, f"{count} partitions of {name}")


def eventually(condition, seconds=15, what="the condition"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.02)
