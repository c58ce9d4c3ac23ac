"""The value of a record: who wrote it, which one it is, and a checksum over all of it.

magic "CHAO" | id u64 | topic-partition checksum u32 | filler | CRC-32 of everything before it
"""

import struct
import zlib

MAGIC = b"CHAO"
HEAD = struct.Struct(">4sQI")
TAIL = struct.Struct(">I")
WORDS = b"the log is the truth and the truth is in order; "


def pack(record, partition, size):
    """`size` bytes, at least 20; half of the filler compresses well."""
    head = HEAD.pack(MAGIC, record, zlib.crc32(partition.encode()))
    room = max(0, size - HEAD.size - TAIL.size)
    noise = (zlib.crc32(head).to_bytes(4, "big") + record.to_bytes(8, "little")) * (room // 24 + 1)
    filler = (noise[: room // 2] + WORDS * (room // len(WORDS) + 1))[:room]
    body = head + filler
    return body + TAIL.pack(zlib.crc32(body))


def unpack(value, partition):
    """The id, or raises ValueError that says what is wrong."""
    if value is None or len(value) < HEAD.size + TAIL.size:
        raise ValueError(f"{0 if value is None else len(value)} bytes are no record of ours")
    magic, record, where = HEAD.unpack_from(value)
    if magic != MAGIC:
        raise ValueError(f"begins with {magic!r}")
    if TAIL.unpack_from(value, len(value) - TAIL.size)[0] != zlib.crc32(value[: -TAIL.size]):
        raise ValueError("the checksum does not match")
    if where != zlib.crc32(partition.encode()):
        raise ValueError(f"record {record} was written to another partition")
    return record
