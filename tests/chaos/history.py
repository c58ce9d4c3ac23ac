"""What happened, as the clients saw it: one JSON object a line, in one file per process.

Times are CLOCK_MONOTONIC in nanoseconds, so the files of one machine can be compared: `t` is when the line's fact was known,
`b` when the call that brought it began. A record is named by `id` = worker << 40 | n, a partition by "topic-number".

    begin      t w kind partitions idempotent    a worker exists; kind is producer, consumer, group or watcher
    send       t w s id p                        about to be sent, by producer session s
    ack        t id o                            acknowledged; o is null when the broker did not say the offset
    fail       t id error                        refused, and nothing was written
    info       t id error                        unknown: it may be written or not
    fatal      t w s error                       the producer gave up its session
    session    t w s p o                         a consumer begins to read at offset o
    poll       b t w s p o i [bad]               offsets and ids as read, in order; bad = [[offset, why], …]
    list       b t w p start end                 ListOffsets: log start and high watermark
    committing t w g p o m                       about to commit offset o with the unique metadata m
    commit     t m r [error]                     its outcome: ok, fail or info
    committed  b t w g p o m                     the committed offset as fetched; o is -1 when there is none
    fault t kind, healed t, stop t               the driver breaks the broker; it is ready again; the workers are told to end
    final      b t pass p o i [bad]              the read of everything after the last fault
    final-end  t pass p start end                that read is complete
    unreadable t pass p error                    that read failed

A `send` without an outcome is as good as `info`: its process ended.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

WORKER_SHIFT = 40


def now():
    return time.monotonic_ns()


def record_id(worker, n):
    return worker << WORKER_SHIFT | n


def worker_of(record):
    return record >> WORKER_SHIFT


def name_of(record):
    return f"{worker_of(record)}:{record & ((1 << WORKER_SHIFT) - 1)}"


class Writer:
    """Appends events to one file. Lines are buffered: a run in which a worker was killed has lost some and proves nothing."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1 << 16, encoding="ascii")

    def event(self, e, **fields):
        self.file.write(json.dumps({"e": e, "t": now(), **fields}, separators=(",", ":")) + "\n")

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()


@dataclass(slots=True)
class Send:
    id: int
    p: str
    t: int
    session: str
    outcome: str = "info"
    offset: int | None = None
    done: int | None = None


@dataclass(slots=True)
class Commit:
    m: str
    group: str
    p: str
    offset: int
    t: int
    outcome: str = "info"
    done: int | None = None


@dataclass
class History:
    workers: dict[int, dict] = field(default_factory=dict)
    sends: dict[int, Send] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    sessions: list[dict] = field(default_factory=list)
    polls: list[dict] = field(default_factory=list)
    lists: list[dict] = field(default_factory=list)
    # Why a watcher was not told; for whoever looks into a run.
    unlisted: list[dict] = field(default_factory=list)
    committed: list[dict] = field(default_factory=list)
    fatals: list[dict] = field(default_factory=list)
    driver: list[dict] = field(default_factory=list)
    finals: list[dict] = field(default_factory=list)
    final_ends: list[dict] = field(default_factory=list)
    unreadable: list[dict] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    events: int = 0

    def add(self, event):
        self.events += 1
        kind = event["e"]
        if kind == "send":
            self.sends[event["id"]] = Send(event["id"], event["p"], event["t"], event["s"])
        elif kind in ("ack", "fail", "info"):
            send = self.sends[event["id"]]
            send.outcome, send.offset, send.done = kind, event.get("o"), event["t"]
        elif kind == "begin":
            self.workers[event["w"]] = event
        elif kind == "committing":
            self.commits[event["m"]] = Commit(event["m"], event["g"], event["p"], event["o"], event["t"])
        elif kind == "commit":
            commit = self.commits[event["m"]]
            commit.outcome, commit.done = event["r"], event["t"]
        else:
            self._LISTS[kind](self).append(event)

    _LISTS = {
        "session": lambda h: h.sessions, "poll": lambda h: h.polls, "list": lambda h: h.lists,
        "committed": lambda h: h.committed, "fatal": lambda h: h.fatals, "fault": lambda h: h.driver,
        "healed": lambda h: h.driver, "stop": lambda h: h.driver, "final": lambda h: h.finals, "final-end": lambda h: h.final_ends,
        "unreadable": lambda h: h.unreadable, "unlisted": lambda h: h.unlisted,
    }


def load(folder):
    """The history of a folder of `*.jsonl`. A last line cut short is what a killed process leaves; any other bad line is reported."""
    history = History()
    for path in sorted(Path(folder).glob("*.jsonl")):
        with path.open(encoding="ascii", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith("\n"):
                    continue
                try:
                    history.add(json.loads(line))
                except (ValueError, KeyError) as error:
                    history.malformed.append(f"{path.name}:{number}: {error!r}")
    return history
