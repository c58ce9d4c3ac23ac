import os
import uuid

import pytest

import adapters
from adapters.waiting import await_partitions



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
