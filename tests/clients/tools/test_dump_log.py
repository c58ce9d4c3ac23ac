"""kafka-dump-log reads the broker's segment files: the format on disk is Kafka's own."""

import os
import re
import time
from pathlib import Path

import pytest

from adapters.base import T0, Record, closing, drive

DUMP = "kafka.tools.DumpLogSegments"
BATCH = re.compile(r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .*", re.M)


def files(topic, suffix, partition=0):
    found = sorted(Path(os.environ["DATA_DIR"], f"{topic}-{partition}").glob("*" + suffix))
    assert found, f"no {suffix} file of {topic}"
    return found


@pytest.fixture
def dump(tool, flushed):
    def run(topic, *arguments, suffix=".log", partition=0):
        flushed()
        listed = ",".join(map(str, files(topic, suffix, partition)))
        return tool(DUMP, "--files", listed, *arguments, bootstrap=None)

    return run


def field(line, name):
    return re.search(rf"\b{name}: (\S+)", line)[1]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_segment_of_every_codec(client, topic, dump, codec):
    name = topic()
    sent = [
        Record(key=b"key-%d" % i, value=b"value-%d" % i, headers=(("h", b"1"), ("h", b"2")), timestamp=T0 + i, partition=0)
        for i in range(50)
    ]
    client.send(name, sent, codec=codec)
    output = dump(name, "--deep-iteration", "--print-data-log")
    batches = [match[0] for match in BATCH.finditer(output)]
    assert {field(batch, "compresscodec") for batch in batches} == {codec}
    assert {field(batch, "isvalid") for batch in batches} == {"true"}
    assert {field(batch, "magic") for batch in batches} == {"2"}
    assert sum(int(field(batch, "count")) for batch in batches) == 50
    records = [line for line in output.splitlines() if line.startswith("| offset:")]
    assert [int(field(line, "offset")) for line in records] == list(range(50))
    assert [field(line, "payload") for line in records] == [f"value-{i}" for i in range(50)]
    assert [field(line, "CreateTime") for line in records] == [str(T0 + i) for i in range(50)]
    assert all("headerKeys: [h,h]" in line for line in records)


@pytest.mark.parametrize("codec", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_the_topics_codec_is_what_the_segment_holds(client, topic, dump, codec):
    name = topic(compression_type=codec)
    for own in ("none", "lz4", "gzip"):
        client.send(name, [Record(value=b"v" * 100, partition=0)], codec=own)
    batches = [match[0] for match in BATCH.finditer(dump(name, "--deep-iteration"))]
    assert [field(batch, "compresscodec") for batch in batches] == ["none" if codec == "uncompressed" else codec] * 3
    assert {field(batch, "isvalid") for batch in batches} == {"true"}


def test_log_append_time_on_disk(client, topic, dump):
    name = topic(message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    client.send(name, [Record(value=b"v", timestamp=T0, partition=0)], codec="gzip")
    output = dump(name, "--deep-iteration")
    (stamp,) = re.findall(r"LogAppendTime: (\d+) ", next(m[0] for m in BATCH.finditer(output)))
    assert int(stamp) >= before


def test_producer_fields_of_an_idempotent_producer(client, topic, dump):
    name = topic()
    client.send(name, [Record(value=b"%d" % i, partition=0) for i in range(20)], idempotent=True)
    batches = [match[0] for match in BATCH.finditer(dump(name))]
    assert all(int(field(batch, "producerId")) >= 0 for batch in batches)
    assert field(batches[0], "baseSequence") == "0" and field(batches[-1], "lastSequence") == "19"
    assert {field(batch, "producerEpoch") for batch in batches} == {"0"}


def test_segments_roll_and_their_indexes_agree(client, topic, dump):
    name = topic(segment_bytes=1 << 20, index_interval_bytes=4096)
    for start in range(0, 40, 4):
        client.send(name, [
            Record(value=bytes([i]) * 100_000, timestamp=T0 + i, partition=0) for i in range(start, start + 4)
        ])
    output = dump(name)
    starts = [int(start) for start in re.findall(r"Log starting offset: (\d+)", output)]
    assert len(starts) >= 4 and starts[0] == 0 and starts == sorted(starts)
    ends = [(int(first), int(last)) for first, last, _ in BATCH.findall(output)]
    assert ends[0][0] == 0 and ends[-1][1] == 39
    assert all(after[0] == before[1] + 1 for before, after in zip(ends, ends[1:]))
    assert set(starts) <= {first for first, _ in ends}
    for suffix in (".index", ".timeindex"):
        told = dump(name, suffix=suffix)
        assert "mismatch" not in told.lower() and "out of order" not in told.lower() and "not found" not in told.lower(), told
        assert re.search(r"^(offset|timestamp): \d+", told, re.M), told


def test_committed_offsets_in_kafkas_schema(client, topic, dump, name):
    group = f"g-{topic()}"
    client.send(name, [Record(value=b"v", partition=0)])
    with closing(client.join(group, name)) as (member,):
        drive([member], lambda seen: seen[member])
        member.commit()
    found = []
    for partition in range(8):
        if Path(os.environ["DATA_DIR"], f"__consumer_offsets-{partition}").exists():
            output = dump("__consumer_offsets", "--offsets-decoder", partition=partition)
            found += [line for line in output.splitlines() if f'"{group}"' in line]
    offset_commit, group_metadata = 'key: {"type":"1"', 'key: {"type":"2"'
    commits = [line for line in found if offset_commit in line]
    assert len(commits) == 1
    assert f'"topic":"{name}","partition":0' in commits[0] and '"offset":1,"leaderEpoch":0' in commits[0]
    assert any(group_metadata in line and '"protocolType":"consumer"' in line for line in found)
