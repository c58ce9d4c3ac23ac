import os
import subprocess
import urllib.request
import uuid

import pytest

from adapters import Confluent
from adapters.waiting import await_partitions

TOOL_TIMEOUT_S = 60


@pytest.fixture(scope="session")
def client():
    """librdkafka makes and fills what the tools then look at; each tool is one short Java process."""
    client = Confluent(os.environ["BOOTSTRAP"])
    client.probe = client
    return client


@pytest.fixture
def name(request):
    return f"{request.node.originalname}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(client, name):
    def make(partitions=1, **config):
        client.create_topic(name, partitions, config={key.replace("_", "."): str(value) for key, value in config.items()})
        await_partitions(client, name, partitions)
        return name

    return make


@pytest.fixture(scope="session")
def tool():
    """Runs one of Kafka's tools and returns its standard output; `fails` expects a non-zero exit and returns all output."""

    def run(kind, *arguments, bootstrap="--bootstrap-server", stdin=None, fails=False):
        where = [bootstrap, os.environ["BOOTSTRAP"]] if bootstrap else []
        done = subprocess.run(
            [os.environ["KAFKA_SH"], "tool", kind, *where, *map(str, arguments)],
            input=stdin, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S,
        )
        everything = done.stdout + done.stderr
        assert bool(done.returncode) == fails, f"exit code {done.returncode}:\n{everything}"
        return everything if fails else done.stdout

    return run


@pytest.fixture(scope="session")
def flushed():
    """Makes the broker write to its segment files what it has: Kafka always has, Chronik does when asked."""

    def flush():
        if "ADMIN_URL" in os.environ:
            request = urllib.request.Request(os.environ["ADMIN_URL"] + "/flush", method="POST")
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status // 100 == 2

    return flush
