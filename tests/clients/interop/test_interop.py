"""What one client writes, every other reads: whichever library compressed it, and what the broker itself compressed."""

import os
import subprocess
import uuid

import pytest

import exchange
from adapters import Confluent
from adapters.waiting import await_partitions

BOOTSTRAP = os.environ["BOOTSTRAP"]
# kcat cannot set timestamps or binary keys, so its records are simple ones.
KCAT_LINES = [f"key-{i}\tvalue-{i}" for i in range(exchange.RECORDS)]
SOURCES = [
    *(f"{client}-{codec}" for client in [*exchange.CLIENTS, "kcat"] for codec in exchange.CODECS),
    *(f"broker-{codec}" for codec in exchange.CODECS[1:]),
]


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Every source's topic, and what was sent to all of them."""
    run, sent = uuid.uuid4().hex[:8], exchange.records()
    topics = {source: f"interop-{run}-{source}" for source in SOURCES}
    admin = Confluent(BOOTSTRAP)
    admin.probe = admin
    for source, topic in topics.items():
        client, _, codec = source.rpartition("-")
        # Incompressible data grows a little, and a whole batch counts.
        config = {"max.message.bytes": "8000000", **({"compression.type": codec} if client == "broker" else {})}
        admin.create_topic(topic, 1, 1, config)
    for topic in topics.values():
        await_partitions(admin, topic, 1)
    for client in exchange.CLIENTS:
        batches = {topics[f"{client}-{codec}"]: (codec, sent) for codec in exchange.CODECS}
        exchange.write(client, batches, tmp_path_factory.mktemp(client), BOOTSTRAP)
    for codec in exchange.CODECS:
        subprocess.run(
            ["kcat", "-b", BOOTSTRAP, "-P", "-t", topics[f"kcat-{codec}"], "-p", "0", "-z", codec, "-K", "\t"],
            input="\n".join(KCAT_LINES).encode(), check=True, timeout=30,
        )
    recompressed = {topics[f"broker-{codec}"]: ("none" if codec != "gzip" else "lz4", sent) for codec in exchange.CODECS[1:]}
    exchange.write("confluent-kafka", recompressed, tmp_path_factory.mktemp("broker"), BOOTSTRAP)
    return topics, sent


@pytest.fixture(scope="session")
def seen(written):
    """What each reader makes of all topics, read once when first asked for."""
    topics, cache = list(written[0].values()), {}

    def by(reader):
        if reader not in cache:
            try:
                cache[reader] = exchange.read(reader, topics, BOOTSTRAP)
            except Exception as error:
                cache[reader] = error
        if isinstance(cache[reader], Exception):
            raise cache[reader]
        return cache[reader]

    return by


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reader", exchange.CLIENTS)
def test_reads(reader, source, written, seen):
    topics, sent = written
    got = seen(reader)[topics[source]]
    assert [record.offset for record in got] == list(range(exchange.RECORDS))
    if source.startswith("kcat-"):
        assert [f"{r.key.decode()}\t{r.value.decode()}" for r in got] == KCAT_LINES
    else:
        assert [record.content() for record in got] == [record.content() for record in sent]
