"""Every client as a writer and as a reader of the same records.

The Python clients run in this process; the others are one process each that speaks lines of tab-separated fields: topic, codec
(to write) or offset (as read), timestamp, key, value, then header name and header value in turn; bytes in base64, `-` is null.
"""

import base64
import os
import subprocess
from pathlib import Path

import adapters
from adapters.base import CODECS, T0, Record

SUITES = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ["CLIENTS_CACHE"])
PROCESS_TIMEOUT_S = 90
JAVA = [
    "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={SUITES / 'kafka/log4j2.properties'}",
    "-cp", f"{os.environ['JAVA_CLASSES']}:{CACHE / 'kafka/lib'}/*", "chronik.Interop",
]
PROCESSES = {
    "java": JAVA,
    "kafkajs": ["node", str(SUITES / "node/interop.js")],
    "franz-go": [str(CACHE / "go/interop"), "franz"],
    "sarama": [str(CACHE / "go/interop"), "sarama"],
}
CLIENTS = [*adapters.ALL, *PROCESSES]
RECORDS = 24


def records():
    """Text, bytes of every value, nothing, and values larger than the blocks of the snappy and lz4 framings (32 and 64 KiB)."""
    made = []
    for i in range(RECORDS):
        values = (b"value-%d " % i * 10, bytes(range(256)) * 3, b"", os.urandom(300), b"compressible " * 8000, None)
        keys = (None, b"key-%d" % i, b"", "schlüssel".encode(), b"\x00\xff", b"key of a null value")
        headers = ((), (("twice", b"1"), ("twice", b"2"), ("other", b"\x00\xff")), (("empty", b""),))[i % 3]
        made.append(Record(keys[i % 6], values[i % 6], headers, T0 + i * 1000, 0))
    made[3] = Record(b"noise", os.urandom(100_000), (), T0 + 3000, 0)
    return made


def quoted(value):
    return "-" if value is None else base64.b64encode(value).decode()


def unquoted(field):
    return None if field == "-" else base64.b64decode(field)


def line(topic, codec, record):
    headers = [quoted(part) for name, value in record.headers for part in (name.encode(), value)]
    return "\t".join([topic, codec, str(record.timestamp), quoted(record.key), quoted(record.value), *headers])


def parsed(text):
    topic, offset, timestamp, key, value, *rest = text.split("\t")
    headers = tuple((unquoted(name).decode(), unquoted(v)) for name, v in zip(rest[::2], rest[1::2], strict=True))
    return topic, Record(unquoted(key), unquoted(value), headers, int(timestamp), 0, int(offset))


def run(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def write(client, batches, scratch, bootstrap):
    """Sends {topic: (codec, records)} with one client."""
    if client in PROCESSES:
        file = scratch / f"{client}.tsv"
        file.write_text("".join(line(topic, codec, r) + "\n" for topic, (codec, made) in batches.items() for r in made))
        run([*PROCESSES[client], "write", str(file)])
        return
    opened = adapters.ALL[client](bootstrap)
    for topic, (codec, made) in batches.items():
        opened.send(topic, made, codec=codec)
    opened.close()


def read(client, topics, bootstrap):
    """The first RECORDS records of every topic, as one client sees them."""
    if client not in PROCESSES:
        opened = adapters.ALL[client](bootstrap)
        got = opened.read_all(topics, RECORDS)
        opened.close()
        return got
    got = {topic: [] for topic in topics}
    for text in run([*PROCESSES[client], "read", str(RECORDS), *topics]).splitlines():
        topic, record = parsed(text)
        got[topic].append(record)
    return got


__all__ = ["CLIENTS", "CODECS", "RECORDS", "read", "records", "write"]
