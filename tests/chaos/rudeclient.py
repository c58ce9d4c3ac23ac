"""Clients that misbehave, against the real binary: what they send, do not send, or never read must not matter to others.

    rudeclient.py [--seed N] [CASE …]      the cases whose name contains a word, or all

Every case ends with Kafka's error code or a closed connection. Meanwhile a well-behaved client works and must not notice, the
broker's memory stays within what it was given, and in the end it holds no connection that nobody has.
"""

import argparse
import json
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import wire
from brokers import Chronik
from rig import HERE, Failure, Workspace, await_state

MIB = 1 << 20
REQUEST_MEMORY = 32 * MIB
CACHED_MEMORY = 32 * MIB
UNFLUSHED_MEMORY = 64 * MIB
DECOMPRESSED_MAX = 64 * MIB
MEMORY = {"memory.request.bytes": str(REQUEST_MEMORY), "memory.cached.bytes": str(CACHED_MEMORY),
          "memory.unflushed.bytes": str(UNFLUSHED_MEMORY), "memory.decompressed.batch.max.bytes": str(DECOMPRESSED_MAX)}
# What is given, and what answers on their way out, decoders, connections and the allocator take beside it.
RSS_MAX = REQUEST_MEMORY + CACHED_MEMORY + UNFLUSHED_MEMORY + 128 * MIB
SILENT = 4_000
SILENT_BYTES_MAX = 16 << 10
# A frame that has begun must go on within 30 s; the broker looks now and then.
LORIS_LIMIT_S = 45
SETTLED_S = 20
DEAF = 24
PIPELINED = 20_000
COMPLETE_S = 30
TOPIC = "bystander"


def require(condition, text):
    if not condition:
        raise Failure(text)


class Rude:
    """The broker, the bystander beside it, and what the cases share."""

    def __init__(self, workspace, seed):
        self.random = random.Random(seed)
        self.folder, self.data = workspace.dir, workspace.dir / "data"
        self.broker = Chronik(workspace.dir / "broker", self.data, {**MEMORY, "auto.create.topics.enable": "true"})
        self.report_path = workspace.dir / "bystander.json"
        self.bystander, self.lorises = None, []

    def begin(self):
        self.broker.start()
        self.port = self.broker.port
        with self.connect() as connection:
            self.served = wire.served(connection)
            require(wire.created(connection.ask(wire.CREATE_TOPICS, 2, wire.create_topics([TOPIC, "rude"]))) == [0, 0], "no topics")
        self.bystander = subprocess.Popen([sys.executable, "-B", HERE / "bystander.py", str(self.port), TOPIC, self.report_path], stdout=subprocess.PIPE)
        require(self.bystander.stdout.readline() == b"working\n", f"the well-behaved client cannot work: {self.heard()}")
        self.files_at_first = len(self.files())

    def connect(self, **options):
        return wire.Connection(self.port, **options)

    def files(self):
        return os.listdir(f"/proc/{self.broker.process.pid}/fd")

    def memory(self, field):
        for line in Path(f"/proc/{self.broker.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) << 10
        raise Failure(f"no {field}: the broker has ended:\n{self.broker.tail()}")

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.broker.other_port}/metrics", timeout=wire.TIMEOUT_S) as response:
            lines = response.read().decode().splitlines()
        return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def forget_peak(self):
        Path(f"/proc/{self.broker.process.pid}/clear_refs").write_text("5")

    def now_ms(self):
        return int(time.time() * 1000)

    def must_close(self, raw, what, half_close=False):
        """The broker answers nothing or something, then closes."""
        with self.connect() as connection:
            try:
                connection.send(raw)
                if half_close:
                    connection.half_close()
                connection.drain()
            except wire.Closed:
                pass
            except TimeoutError:
                raise Failure(f"{what}: neither an answer nor a closed connection") from None

    def answered_or_closed(self, raw, correlation, what):
        """Whether there was an answer; it must be to this request. A request that may wait is ended by its client."""
        with self.connect() as connection:
            try:
                connection.send(raw)
                connection.half_close()
                answered, _ = connection.answer()
            except wire.Closed:
                return False
            except TimeoutError:
                raise Failure(f"{what}: neither an answer nor a closed connection") from None
            require(answered == correlation, f"{what}: asked {correlation}, answered {answered}")
            return True

    def check(self, name):
        """After each case."""
        require(self.broker.alive(), f"{name}: the broker ended with {self.broker.process.poll()}:\n{self.broker.tail()}")
        require(not self.broker.panics(), f"{name}: {self.broker.panics()}")
        require(self.bystander.poll() is None, f"{name}: the well-behaved client noticed: {self.heard()}")
        peak = self.memory("VmHWM")
        require(peak <= RSS_MAX, f"{name}: {peak // MIB} MiB of memory, {RSS_MAX // MIB} are allowed")
        return peak

    def heard(self):
        return json.loads(self.report_path.read_text()) if self.report_path.exists() else "it did not say what"

    def end(self):
        for connection in self.lorises:
            connection.close()
        await_state("connections that nobody has are closed", lambda: len(self.files()) <= self.files_at_first + 8, SETTLED_S, 0.1)
        self.bystander.terminate()
        self.bystander.wait(wire.TIMEOUT_S)
        report = self.heard()
        require(report["fault"] is None, f"the well-behaved client noticed: {report}")
        require(report["rounds"] > 2, f"the well-behaved client hardly worked: {report}")
        for name in ("chronik_produced_bytes_total", "chronik_fetched_bytes_total"):
            require(self.metric(name) > 0, f"{name} counts nothing")
        with self.connect() as halfway:
            halfway.send(b"\0\0")
            require(self.broker.stop() == 0, f"it did not stop in order:\n{self.broker.tail()}")
        require(not self.broker.panics(), f"{self.broker.panics()}")
        print(f"    the well-behaved client: {report['rounds']} rounds, slowest step {report['slowest_ms']} ms ({report['step']})")

    def close(self):
        for process in (self.bystander, self.broker.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


# Half a frame, for as long as the broker allows. The first case, and the last.

def case_half_frames_begin(rude):
    """Some say how long it will be and little more; some announce much and send a part of it."""
    for n in range(300):
        connection = rude.connect()
        announced = [1_000, 100 * MIB, 64][n % 3]
        connection.send(struct.pack(">i", announced) + wire.header(wire.METADATA, 4, n)[:10 + n % 20])
        rude.lorises.append(connection)
    # More than fits into the memory for frames that have begun.
    for _ in range(90):
        connection = rude.connect()
        connection.send(struct.pack(">i", 90 * MIB) + bytes(40 << 10))
        rude.lorises.append(connection)
    rude.lorises_since = time.monotonic()
    return f"{len(rude.lorises)} connections in the middle of a frame"


def case_half_frames_end(rude):
    waited_for, closed = 0, 0
    for connection in rude.lorises:
        connection.socket.settimeout(max(0.01, rude.lorises_since + LORIS_LIMIT_S - time.monotonic()))
        try:
            connection.drain()
            closed += 1
        except TimeoutError:
            waited_for += 1
    require(waited_for == 0, f"{waited_for} of {len(rude.lorises)} half frames are still waited for after {LORIS_LIMIT_S} s")
    counted = rude.metric('chronik_connections_closed_total{reason="slow_frame"}')
    require(counted >= closed, f"{closed} were closed, {counted} are counted")
    return f"{closed} connections closed {time.monotonic() - rude.lorises_since:.0f} s after their last byte"


# What is no frame.

def case_lengths_that_are_none(rude):
    lengths = [-1, -2**31, 0, 1, 7, 100 * MIB + 1, 2**31 - 1]
    for length in lengths:
        rude.must_close(struct.pack(">i", length) + bytes(64), f"length {length}")
    return f"{len(lengths)} lengths, each closed"


def case_truncated(rude):
    whole = wire.request(wire.METADATA, 4, 1, wire.metadata([TOPIC]))
    for length in range(len(whole)):
        rude.must_close(whole[:length], f"{length} bytes of {len(whole)}", half_close=True)
    # The frame's length fits, its contents end too soon.
    for length in range(8, len(whole) - 4):
        rude.answered_or_closed(wire.frame(whole[4:4 + length]), 1, f"a request cut to {length} bytes")
    return f"a request cut at each of {len(whole)} bytes"


def case_other_protocols(rude):
    for raw in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"SSH-2.0-x\r\n", b"\0" * 4096, b"\n" * 100):
        rude.must_close(raw, f"{raw[:8]}", half_close=True)
    return "HTTP, TLS, SSH, zeros"


def case_garbage(rude):
    count = 400
    for n in range(count):
        noise = rude.random.randbytes(rude.random.randrange(1, 2_000))
        rude.must_close(wire.frame(noise) if n % 2 else noise, f"garbage {noise[:40]}", half_close=True)
    return f"{count} connections"


# What is no request.

def case_unknown_api_or_version(rude):
    for key in (-1, -2**15, 2**15 - 1, 999):
        require(not rude.answered_or_closed(wire.request(key, 0, 7, b""), 7, f"api {key}"), f"api {key} has an answer")
    with rude.connect() as connection:
        for version in (-1, 99, 2**15 - 1):
            correlation = rude.random.randrange(2**31)
            connection.send(wire.request(wire.API_VERSIONS, version, correlation, b""))
            answered, rest = connection.answer()
            error, served = wire.served_in(rest)
            require((answered, error) == (correlation, wire.UNSUPPORTED_VERSION), f"ApiVersions {version}: {answered}, error {error}")
            require(served[wire.API_VERSIONS] == rude.served[wire.API_VERSIONS], f"ApiVersions {version} does not say what is served")
        require(wire.served(connection) == rude.served, "the connection is of no use after an unknown version")
    for key, (low, high) in rude.served.items():
        for version in {-1, low - 1, high + 1, 2**15 - 1} if key != wire.API_VERSIONS else ():
            raw = wire.request(key, version, 9, b"")
            require(not rude.answered_or_closed(raw, 9, f"api {key} version {version}"), f"api {key} has an answer to version {version}")
    return f"{len(rude.served)} APIs, below and above what is served"


def case_hostile_bodies(rude):
    """Counts and lengths as large as they can be said, in every API and version; noise; nothing at all."""
    most = [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\x7f\xff"]
    answered = sent = 0
    for key, (low, high) in rude.served.items():
        for version in range(low, high + 1):
            noise = rude.random.randbytes(rude.random.randrange(4, 60))
            front = bytes(rude.random.randrange(0, 24))
            bodies = [b"", most[version % 4] * 8, front + most[(version + 1) % 4] + noise, noise]
            for body in bodies:
                flexible = rude.random.random() < 0.7
                answered += rude.answered_or_closed(wire.request(key, version, 5, body, flexible), 5, f"api {key} version {version} {body}")
                sent += 1
    return f"{sent} requests, {answered} answered, the others' connections closed"


# What is no batch.

def case_bad_batches(rude):
    def changed(at, raw):
        return sound[:at] + raw + sound[at + len(raw):]
    sound = wire.plain([b"one", b"two"], rude.now_ms())
    one = wire.record(0, b"x")
    now = rude.now_ms()
    cases = {
        "a corrupt checksum": (changed(wire.COVERED_FROM - 4, b"\0\0\0\0"), {wire.CORRUPT_MESSAGE}),
        "a flipped byte": (sound[:-1] + b"\x01", {wire.CORRUPT_MESSAGE}),
        "magic 0": (changed(16, b"\0"), {wire.INVALID_RECORD}),
        "magic 1": (changed(16, b"\1"), {wire.INVALID_RECORD}),
        "magic 3": (changed(16, b"\3"), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "a length too long": (changed(8, struct.pack(">i", len(sound))), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "a length too short": (changed(8, struct.pack(">i", len(sound) - 13)), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "a negative length": (changed(8, struct.pack(">i", -1)), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "half a header": (sound[:30], {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "two batches": (sound + sound, {wire.INVALID_RECORD}),
        "more records said than there are": (wire.batch(one, 2**31 - 1, now), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "a record longer than the batch": (wire.batch(wire.varint(2**31 - 1) + one, 1, now), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "a codec that is none": (wire.batch(one, 1, now, codec=7), {wire.UNSUPPORTED_COMPRESSION, wire.INVALID_RECORD}),
        "no gzip": (wire.batch(one * 9, 9, now, codec=wire.GZIP), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "no zstd": (wire.batch(one * 9, 9, now, codec=wire.ZSTD), {wire.INVALID_RECORD, wire.CORRUPT_MESSAGE}),
        "more than a record may be": (wire.plain([bytes(1_100_000)], now), {wire.MESSAGE_TOO_LARGE}),
    }
    with rude.connect() as connection:
        for name, (batch, expected) in cases.items():
            error, _ = wire.produced(connection.ask(wire.PRODUCE, 7, wire.produce("rude", batch)))
            require(error in expected, f"{name}: error {error}, expected {expected}")
        error, offset = wire.produced(connection.ask(wire.PRODUCE, 7, wire.produce("rude", sound)))
        require((error, offset) == (0, 0), f"a sound batch after them: error {error}, offset {offset}")
    return f"{len(cases)} batches refused, the log is empty"


def case_compression_bombs(rude):
    now = rude.now_ms()
    limit = DECOMPRESSED_MAX // (128 << 10)
    bombs = {"gzip": wire.gzip_bomb(2 * DECOMPRESSED_MAX, now), "zstd": wire.zstd_bomb(9 * limit, now),
             "zstd that just fits": wire.zstd_bomb(limit - 1, now)}
    connections = [rude.connect(timeout_s=COMPLETE_S) for _ in range(16)]
    try:
        for name, bomb in bombs.items():
            for connection in connections:
                connection.send(wire.request(wire.PRODUCE, 7, 3, wire.produce("rude", bomb)))
            for connection in connections:
                error, _ = wire.produced(connection.answer()[1])
                fits = "fits" in name
                require((error == 0) == fits, f"{name} of {len(bomb)} bytes: error {error}")
    finally:
        for connection in connections:
            connection.close()
    return ", ".join(f"{name}: {len(bomb) >> 10} KiB" for name, bomb in bombs.items())


# Names.

def case_topic_names(rude):
    names = ["a/b", "..", ".", "../up", "/etc/x", "nul\0", "\0", "a" * 250, "", "white space", "new\nline", b"\xff\xfe", "ü", "a\\b", "%2e%2e", "~", "con:"]
    before = {entry.name for entry in self_and_parent(rude.data)}
    with rude.connect() as connection:
        for name in names:
            for what, ask in (("create", lambda: wire.created(connection.ask(wire.CREATE_TOPICS, 2, wire.create_topics([name])))),
                              ("metadata", lambda: wire.metadata_errors(connection.ask(wire.METADATA, 4, wire.metadata([name]))))):
                try:
                    errors = ask()
                except wire.Closed:
                    require(isinstance(name, bytes), f"{what} {name!r}: closed")
                    connection.socket.close()
                    connection.__init__(rude.port)
                    continue
                require(errors == [wire.INVALID_TOPIC], f"{what} {name!r}: errors {errors}")
            try:
                error, _ = wire.produced(connection.ask(wire.PRODUCE, 7, wire.produce(name, wire.plain([b"x"], rude.now_ms()))))
            except wire.Closed:
                connection.__init__(rude.port)
                continue
            require(error in (wire.INVALID_TOPIC, wire.UNKNOWN_TOPIC), f"produce to {name!r}: error {error}")
    after = {entry.name for entry in self_and_parent(rude.data)}
    require(before == after, f"there are new files: {after - before}")
    return f"{len(names)} names, no file anywhere"


def self_and_parent(folder):
    return [*folder.iterdir(), *folder.parent.iterdir()]


# Those who do not talk, do not listen, or talk without end.

def case_silent_connections(rude):
    before = rude.memory("VmRSS")
    connections = [rude.connect() for _ in range(SILENT)]
    with rude.connect() as connection:
        wire.served(connection)
    each = max(0, rude.memory("VmRSS") - before) // SILENT
    for connection in connections:
        connection.close()
    require(each <= SILENT_BYTES_MAX, f"a connection that says nothing takes {each} bytes")
    return f"{SILENT} connections, {each} bytes each"


def case_never_read(rude):
    """Each asks for a MiB as often as the broker takes it, and reads none."""
    value = rude.random.randbytes(300_000)
    with rude.connect() as connection:
        for _ in range(8):
            batch = wire.plain([value], rude.now_ms())
            error, _ = wire.produced(connection.ask(wire.PRODUCE, 7, wire.produce("rude", batch)))
            require(error == 0, f"produce: error {error}")
    asked = wire.request(wire.FETCH, 4, 1, wire.fetch("rude", 0)) * 50
    deaf, sent = [], 0
    for _ in range(DEAF):
        connection = rude.connect(receive_buffer=4096)
        connection.socket.settimeout(0.3)
        deaf.append(connection)
        try:
            for _ in range(40):
                connection.socket.sendall(asked)
                sent += 50
        except (TimeoutError, ConnectionError):
            pass
    with rude.connect() as connection:
        wire.served(connection)
    held = rude.memory("VmRSS")
    for connection in deaf:
        connection.close()
    return f"{DEAF} connections sent {sent} requests for {sent} MiB; the broker held {held // MIB} MiB"


def case_pipelining(rude):
    """Far more requests at once than are taken at once, while the client does not read yet; then every answer, in order."""
    asked = b"".join(wire.request(wire.METADATA, 4, n, wire.metadata([TOPIC])) for n in range(PIPELINED))
    with rude.connect(timeout_s=COMPLETE_S) as connection:
        child = os.fork()
        if child == 0:
            try:
                connection.send(asked)
            finally:
                os._exit(0)
        for n in range(PIPELINED):
            answered, _ = connection.answer()
            require(answered == n, f"answer {n} is to request {answered}")
        os.waitpid(child, 0)
    return f"{PIPELINED} requests in {len(asked) >> 10} KiB, answered in order"


CASES = {name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")}
# It ages while the others run.
CASES["half_frames_end"] = CASES.pop("half_frames_end")


def run(seed, words=(), keep=False):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
    require(files[1] > SILENT + 1_000, f"{files[1]} open files are too few")
    with Workspace("rude", keep) as workspace:
        rude = Rude(workspace, seed)
        try:
            rude.begin()
            for name, case in CASES.items():
                if words and not any(word in name for word in words):
                    continue
                rude.forget_peak()
                began = time.monotonic()
                said = case(rude)
                peak = rude.check(name)
                print(f"    {name.replace('_', ' ')}: {said} ({time.monotonic() - began:.1f} s, peak {peak // MIB} MiB)", flush=True)
            rude.end()
        finally:
            rude.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, files)


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="a part of a case's name")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    try:
        run(options.seed, options.cases, options.keep)
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
