"""Kafka's protocol by hand, as far as a rude client needs it: frames, a few requests in old versions, record batches with any fault."""

import gzip
import socket
import struct

PRODUCE, FETCH, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 3, 18, 19
NO_ERROR, CORRUPT_MESSAGE, UNKNOWN_TOPIC, MESSAGE_TOO_LARGE, INVALID_TOPIC, UNSUPPORTED_VERSION = 0, 2, 3, 10, 17, 35
UNSUPPORTED_COMPRESSION, INVALID_RECORD = 76, 87
TIMEOUT_S = 10
GZIP, ZSTD = 1, 4
# The batch's header: what is before the checksum, and what it covers up to the records.
COVERED_FROM = 21


class Closed(Exception):
    """The broker has closed the connection."""


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">h", len(raw)) + raw


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


def header(key, version, correlation, flexible=False):
    return struct.pack(">hhi", key, version, correlation) + string("rude") + (b"\0" if flexible else b"")


def request(key, version, correlation, body, flexible=False):
    return frame(header(key, version, correlation, flexible) + body)


class Connection:
    def __init__(self, port, timeout_s=TIMEOUT_S, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.correlation = 0

    def send(self, raw):
        try:
            self.socket.sendall(raw)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def read_exactly(self, count):
        pieces = []
        while count:
            try:
                piece = self.socket.recv(min(count, 1 << 20))
            except ConnectionResetError as error:
                raise Closed from error
            if not piece:
                raise Closed
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def answer(self):
        """(correlation id, the rest) of the next answer."""
        whole = self.read_exactly(struct.unpack(">i", self.read_exactly(4))[0])
        return struct.unpack_from(">i", whole)[0], whole[4:]

    def ask(self, key, version, body, flexible=False):
        self.correlation += 1
        self.send(request(key, version, self.correlation, body, flexible))
        correlation, rest = self.answer()
        assert correlation == self.correlation, f"asked {self.correlation}, answered {correlation}"
        return rest

    def drain(self):
        """Reads until the broker closes; TimeoutError when it does not."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Closed already.

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def served(connection):
    """{api key: (lowest, highest version)}"""
    rest = connection.ask(API_VERSIONS, 0, b"")
    return served_in(rest)[1]


def served_in(rest):
    error, count = struct.unpack_from(">hi", rest)
    rows = [struct.unpack_from(">hhh", rest, 6 + 6 * n) for n in range(count)]
    return error, {key: (low, high) for key, low, high in rows}


def create_topics(names, partitions=1):
    """CreateTopics v2."""
    topics = [string(name) + struct.pack(">ih", partitions, 1) + array([]) + array([]) for name in names]
    return array(topics) + struct.pack(">i?", 10_000, False)


def created(rest):
    """Error codes, in order."""
    count, at = struct.unpack_from(">i", rest, 4)[0], 8
    errors = []
    for _ in range(count):
        at += 2 + struct.unpack_from(">h", rest, at)[0]
        errors.append(struct.unpack_from(">h", rest, at)[0])
        at += 2
        at += 2 + max(0, struct.unpack_from(">h", rest, at)[0])
    return errors


def metadata(names, auto_create=True):
    """Metadata v4."""
    return array([string(name) for name in names]) + struct.pack(">?", auto_create)


def metadata_errors(rest):
    """Error codes of the topics in an answer of Metadata v4."""
    at = 4
    count = struct.unpack_from(">i", rest, at)[0]
    at += 4
    for _ in range(count):
        at += 4 + 2 + struct.unpack_from(">h", rest, at + 4)[0] + 4
        at += 2 + max(0, struct.unpack_from(">h", rest, at)[0])
    at += 2 + max(0, struct.unpack_from(">h", rest, at)[0]) + 4
    count = struct.unpack_from(">i", rest, at)[0]
    at += 4
    errors = []
    for _ in range(count):
        errors.append(struct.unpack_from(">h", rest, at)[0])
        at += 4 + struct.unpack_from(">h", rest, at + 2)[0] + 1
        partitions = struct.unpack_from(">i", rest, at)[0]
        at += 4
        for _ in range(partitions):
            at += 2 + 4 + 4
            for _ in range(2):
                at += 4 + 4 * struct.unpack_from(">i", rest, at)[0]
    return errors


def produce(topic, batch, acks=1):
    """Produce v7."""
    data = struct.pack(">i", 0) + struct.pack(">i", len(batch)) + batch
    return struct.pack(">h", -1) + struct.pack(">hi", acks, 30_000) + array([string(topic) + array([data])])


def produced(rest):
    """(error code, offset) of the only partition in an answer of Produce v7."""
    at = 4 + 2 + struct.unpack_from(">h", rest, 4)[0] + 4 + 4
    return struct.unpack_from(">hq", rest, at)


def fetch(topic, offset, max_bytes=1 << 20):
    """Fetch v4."""
    partition = struct.pack(">iqi", 0, offset, max_bytes)
    return struct.pack(">iiiib", -1, 1_000, 1, max_bytes, 0) + array([string(topic) + array([partition])])


def fetched(rest):
    """(error code, record bytes) of the only partition in an answer of Fetch v4."""
    at = 8 + 2 + struct.unpack_from(">h", rest, 8)[0] + 4 + 4
    error = struct.unpack_from(">h", rest, at)[0]
    at += 2 + 8 + 8
    at += 4 + 16 * max(0, struct.unpack_from(">i", rest, at)[0])
    return error, max(0, struct.unpack_from(">i", rest, at)[0])


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def record(offset_delta, value):
    body = b"\0" + varint(0) + varint(offset_delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(records, count, time_ms, codec=0, magic=2):
    """A batch around `records`, compressed already; its length and checksum fit."""
    attributes = struct.pack(">hiqqqhii", codec, count - 1, time_ms, time_ms, -1, -1, -1, count)
    covered = attributes + records
    head = struct.pack(">qiib", 0, len(covered) + 9, -1, magic)
    return head + struct.pack(">I", crc32c(covered)) + covered


def plain(values, time_ms):
    return batch(b"".join(record(n, value) for n, value in enumerate(values)), len(values), time_ms)


def gzip_bomb(size, time_ms):
    """One record of `size` zeros in a batch a thousand times smaller."""
    return batch(gzip.compress(record(0, bytes(size)), 9), 1, time_ms, GZIP)


def zstd_bomb(blocks, time_ms):
    """One record of zeros, 128 KiB of them in each four bytes."""
    block_bytes = 128 << 10
    value_bytes = blocks * block_bytes - 1
    inside = b"\0" + varint(0) + varint(0) + varint(-1) + varint(value_bytes)
    start = varint(len(inside) + value_bytes + 1) + inside
    # No size, no checksum, a window of 128 KiB; a raw block, then repeated bytes, the last of which says that there are no headers.
    parts = [b"\x28\xb5\x2f\xfd\0\x38", block(0, len(start), False), start]
    parts += [block(1, block_bytes, n + 1 == blocks) + b"\0" for n in range(blocks)]
    return batch(b"".join(parts), 1, time_ms, ZSTD)


def block(kind, size, last):
    return struct.pack("<I", size << 3 | kind << 1 | last)[:3]


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ 0x82F63B78 * (n & 1)
        table.append(n)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
