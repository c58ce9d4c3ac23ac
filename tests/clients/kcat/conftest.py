import os
import subprocess
import uuid

import pytest

from adapters import Confluent
from adapters.waiting import await_partitions

KCAT_TIMEOUT_S = 30


@pytest.fixture(scope="session")
def client():
    """The admin side that kcat lacks."""
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


def arguments_of(arguments):
    return ["kcat", "-b", os.environ["BOOTSTRAP"], *map(str, arguments)]


@pytest.fixture(scope="session")
def kcat():
    """Runs kcat to its end and returns its standard output as bytes; `fails` expects failure and returns all output."""

    def run(*arguments, stdin=None, fails=False):
        done = subprocess.run(arguments_of(arguments), input=stdin or b"", capture_output=True, timeout=KCAT_TIMEOUT_S)
        assert bool(done.returncode) == fails, done.stderr.decode()
        return done.stdout + done.stderr if fails else done.stdout

    return run


@pytest.fixture
def member():
    """Starts kcat as a member of a group; whatever still runs ends with the test."""
    started = []

    def start(group, topic):
        process = subprocess.Popen(
            arguments_of([
                "-G", group, "-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=300", "-X",
                "session.timeout.ms=10000", "-f", "%p:%s\n", "-u", topic,
            ]),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
