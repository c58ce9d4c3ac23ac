"""A clean history has no finding; a history with one injected anomaly has exactly that one."""

import copy
import json

import pytest

import checker
from checker import check
from history import History, load, record_id

IDEMPOTENT, SINGLE, READER, MEMBER, WATCHER = 1, 2, 3, 4, 5
PARTITIONS = ("a-0", "a-1")
MS = 1_000_000


def clean_events(records=80):
    """Two producers, a consumer, a group and a watcher over two partitions, with one fault in the middle."""
    events, logs, t = [], {p: [] for p in PARTITIONS}, 0

    def add(e, **fields):
        nonlocal t
        t += MS
        events.append({"e": e, "t": t, **fields})

    def workers():
        for w, idempotent in ((IDEMPOTENT, True), (SINGLE, False)):
            add("begin", w=w, kind="producer", partitions=list(PARTITIONS), idempotent=idempotent)
        add("begin", w=READER, kind="consumer", partitions=list(PARTITIONS))
        add("begin", w=MEMBER, kind="group", partitions=list(PARTITIONS))
        for p in PARTITIONS:
            add("session", w=READER, s="3.0", p=p, o=0)
            add("session", w=MEMBER, s="4.0", p=p, o=0)

    def send(n):
        w, p = (IDEMPOTENT, SINGLE)[n % 2], PARTITIONS[n // 2 % 2]
        record = record_id(w, n)
        add("send", w=w, s=f"{w}.0", id=record, p=p)
        logs[p].append(record)
        if n % 16 == 5:
            add("info", id=record, error="timed out")
        else:
            add("ack", id=record, o=len(logs[p]) - 1)

    def read(position, commits):
        for p in PARTITIONS:
            offsets = list(range(position[p], len(logs[p])))
            ids = [logs[p][o] for o in offsets]
            for w in (READER, MEMBER):
                add("poll", b=t, w=w, s=f"{w}.0", p=p, o=list(offsets), i=list(ids))
            position[p] = len(logs[p])
            add("list", b=t, w=WATCHER, p=p, start=0, end=len(logs[p]))
            m = f"4-{commits}-{p}"
            add("committing", w=MEMBER, g="g", p=p, o=position[p], m=m)
            add("commit", m=m, r="ok")
            add("committed", b=t, w=MEMBER, g="g", p=p, o=position[p], m=m)

    workers()
    add("healed")
    position = {p: 0 for p in PARTITIONS}
    for n in range(records):
        send(n)
        if n % 20 == 19:
            read(position, n)
        if n == records // 2:
            add("fault", kind="test")
            refused = record_id(SINGLE, records + 1)
            add("send", w=SINGLE, s="2.0", id=refused, p=PARTITIONS[0])
            add("fail", id=refused, error="refused")
            add("healed")
    read(position, records)
    add("stop")
    for p in PARTITIONS:
        add("final", b=t, **{"pass": 1}, p=p, o=list(range(len(logs[p]))), i=logs[p])
        add("final-end", **{"pass": 1}, p=p, start=0, end=len(logs[p]))
    return events


def history_of(events):
    history = History()
    for event in events:
        history.add(event)
    return history


def clean(records):
    return history_of(clean_events(records))


class Events:
    """A clean history to damage."""

    def __init__(self):
        self.all = copy.deepcopy(clean_events())

    def of(self, e, **match):
        return [x for x in self.all if x["e"] == e and all(x.get(k) == v for k, v in match.items())]

    def final(self, p="a-0"):
        return self.of("final", p=p)[0]

    def acked(self, w=IDEMPOTENT, p="a-0"):
        sent = {x["id"] for x in self.of("send", w=w, p=p)}
        return [x for x in self.of("ack") if x["id"] in sent]

    def unread(self, record):
        """No consumer ever saw it."""
        for poll in self.of("poll"):
            if record in poll["i"]:
                at = poll["i"].index(record)
                del poll["i"][at], poll["o"][at]

    def drop(self, p, offset):
        final = self.final(p)
        at = final["o"].index(offset)
        del final["o"][at], final["i"][at]


def lose_an_acknowledged_write(events):
    ack = events.acked()[3]
    events.unread(ack["id"])
    events.drop("a-0", ack["o"])


def lose_a_write_without_a_final_read(events):
    ack = events.acked()[3]
    events.unread(ack["id"])
    events.all = [x for x in events.all if x["e"] not in ("final", "final-end")]


def vanish_after_a_read(events):
    unknown = events.of("info")[0]["id"]
    p = events.of("send", id=unknown)[0]["p"]
    final = events.final(p)
    events.drop(p, final["o"][final["i"].index(unknown)])


def read_another_record_at_an_offset(events):
    poll = events.of("poll", w=READER, p="a-0")[0]
    poll["i"][2] = events.final()["i"][9]


def acknowledge_at_another_offset(events):
    events.acked()[3]["o"] += 2


def write_twice(events, w=IDEMPOTENT):
    final = events.final()
    final["o"].append(final["o"][-1] + 1)
    final["i"].append(events.acked(w)[3]["id"])
    events.of("final-end", p="a-0")[0]["end"] += 1


def invent_a_record(events):
    final = events.final()
    final["o"].append(final["o"][-1] + 1)
    final["i"].append(record_id(IDEMPOTENT, 10**6))


def put_a_record_into_another_partition(events):
    right, wrong = events.final("a-0"), events.final("a-1")
    unknown = next(x["id"] for x in events.of("info") if events.of("send", id=x["id"], p="a-0"))
    wrong["o"].append(wrong["o"][-1] + 1)
    wrong["i"].append(unknown)
    events.unread(unknown)
    events.drop("a-0", right["o"][right["i"].index(unknown)])


def damage_a_payload(events):
    poll = events.of("poll", w=READER, p="a-0")[1]
    poll["bad"] = [[poll["o"].pop(3), "crc"]]
    poll["i"].pop(3)


def write_what_was_refused(events):
    final = events.final()
    final["o"].append(final["o"][-1] + 1)
    final["i"].append(events.of("fail")[0]["id"])


def swap_two_sends(events, w=IDEMPOTENT):
    """The log itself has them in the wrong order, and everyone agrees."""
    first, second = (x["id"] for x in events.acked(w)[2:4])
    swap = {first: second, second: first}
    for poll in events.of("poll") + events.of("final"):
        poll["i"] = [swap.get(record, record) for record in poll["i"]]
    a, b = events.of("ack", id=first)[0], events.of("ack", id=second)[0]
    a["o"], b["o"] = b["o"], a["o"]


def read_again(events):
    poll = events.of("poll", w=READER, p="a-0")[1]
    poll["o"].insert(3, poll["o"][1])
    poll["i"].insert(3, poll["i"][1])


def skip_a_record(events):
    poll = events.of("poll", w=READER, p="a-0")[1]
    del poll["o"][3], poll["i"][3]


def skip_at_the_start_of_a_session(events):
    poll = events.of("poll", w=READER, p="a-0")[0]
    del poll["o"][0], poll["i"][0]


def lower_the_high_watermark(events):
    events.of("list", p="a-0")[2]["end"] -= 15


def list_below_an_acknowledged_write(events):
    last = events.acked()[-1]
    events.all.append({"e": "list", "b": last["t"] + 1, "t": last["t"] + 2, "w": WATCHER, "p": "a-0", "start": 0, "end": last["o"]})


def fetch_an_older_commit(events):
    first, *_, last = events.of("committed", p="a-0")
    last["o"], last["m"] = first["o"], first["m"]


def forget_the_commit(events):
    events.of("committed", p="a-0")[-1].update(o=-1, m="")


def invent_a_commit(events):
    events.of("committed", p="a-0")[-1]["m"] = "somebody's"


def keep_a_refused_commit(events):
    last = events.of("committed", p="a-0")[-1]
    next(x for x in events.of("commit") if x["m"] == last["m"])["r"] = "fail"


def stop_one_partition_after_the_fault(events):
    healed = events.of("healed")[-1]["t"]
    sent = {x["id"]: x for x in events.of("send", w=SINGLE, p="a-1")}
    for x in events.of("ack"):
        if x["id"] in sent and x["t"] > healed:
            x.update(e="info")


def stop_a_consumer_after_the_fault(events):
    healed = events.of("healed")[-1]["t"]
    events.all = [x for x in events.all if not (x["e"] == "poll" and x["w"] == READER and x["t"] > healed)]


def fence_a_producer(events):
    events.all.append({"e": "fatal", "t": 1, "w": IDEMPOTENT, "s": "1.0", "error": "OUT_OF_ORDER_SEQUENCE_NUMBER"})


def leave_out_the_final_read(events):
    events.all = [x for x in events.all if not (x["e"].startswith("final") and x["p"] == "a-1")]


def refuse_the_final_read(events):
    leave_out_the_final_read(events)
    events.all.append({"e": "unreadable", "t": 10**12, "pass": 1, "p": "a-1", "error": "KAFKA_STORAGE_ERROR"})


ANOMALIES = [
    (lose_an_acknowledged_write, checker.LOST_WRITE),
    (vanish_after_a_read, checker.VANISHED),
    (read_another_record_at_an_offset, checker.INCONSISTENT_OFFSET),
    (acknowledge_at_another_offset, checker.INCONSISTENT_OFFSET),
    (write_twice, checker.DUPLICATE),
    (invent_a_record, checker.PHANTOM),
    (put_a_record_into_another_partition, checker.PHANTOM),
    (damage_a_payload, checker.CORRUPT),
    (write_what_was_refused, checker.FAILED_WRITE),
    (swap_two_sends, checker.NONMONOTONIC_SEND),
    (read_again, checker.NONMONOTONIC_POLL),
    (skip_a_record, checker.POLL_SKIP),
    (skip_at_the_start_of_a_session, checker.POLL_SKIP),
    (lower_the_high_watermark, checker.HW_REGRESS),
    (list_below_an_acknowledged_write, checker.HW_REGRESS),
    (fetch_an_older_commit, checker.COMMIT_REGRESS),
    (forget_the_commit, checker.LOST_COMMIT),
    (invent_a_commit, checker.PHANTOM),
    (keep_a_refused_commit, checker.FAILED_WRITE),
    (stop_one_partition_after_the_fault, checker.NO_PROGRESS),
    (stop_a_consumer_after_the_fault, checker.NO_PROGRESS),
    (fence_a_producer, checker.PRODUCER_FATAL),
    (leave_out_the_final_read, checker.INCOMPLETE),
    (refuse_the_final_read, checker.UNREADABLE),
]


def test_a_clean_history_has_no_finding():
    report = check(clean(80))
    assert list(report.lines()) == []
    assert report.stats["acknowledged"] > 60 and report.stats["unknown"] > 0 and report.stats["refused"] == 1


@pytest.mark.parametrize(("damage", "label"), ANOMALIES, ids=[damage.__name__ for damage, _ in ANOMALIES])
def test_one_anomaly_gives_exactly_its_label(damage, label):
    events = Events()
    damage(events)
    report = check(history_of(events.all))
    assert report.labels == {label}, "\n".join(report.lines())


# What only one broker promises.
OF_ONE_BROKER = (list_below_an_acknowledged_write,)


@pytest.mark.parametrize(("damage", "label"), ANOMALIES, ids=[damage.__name__ for damage, _ in ANOMALIES])
def test_of_a_cluster_all_is_found_but_what_only_one_broker_promises(damage, label):
    events = Events()
    damage(events)
    report = check(history_of(events.all), cluster=True)
    assert report.labels == (set() if damage in OF_ONE_BROKER else {label}), "\n".join(report.lines())


def test_without_idempotence_a_new_leader_may_change_the_order():
    events = Events()
    swap_two_sends(events, SINGLE)
    assert check(history_of(events.all)).labels == {checker.NONMONOTONIC_SEND}
    assert not check(history_of(events.all), cluster=True).counts


def test_every_label_has_an_anomaly():
    labels = {value for name, value in vars(checker).items() if name.isupper() and isinstance(value, str)}
    assert labels == {label for _, label in ANOMALIES}


def test_a_duplicate_without_idempotence_is_only_counted():
    events = Events()
    write_twice(events, SINGLE)
    report = check(history_of(events.all))
    assert not report.counts and report.stats["duplicates without idempotence"] == 1


def test_without_a_final_read_the_highest_read_offset_judges():
    events = Events()
    lose_a_write_without_a_final_read(events)
    assert check(history_of(events.all)).labels == {checker.LOST_WRITE, checker.INCOMPLETE}


def test_an_unknown_write_may_be_there_or_not():
    events = Events()
    unknown = events.of("info")[0]["id"]
    p = events.of("send", id=unknown)[0]["p"]
    events.unread(unknown)
    final = events.final(p)
    events.drop(p, final["o"][final["i"].index(unknown)])
    assert not check(history_of(events.all)).counts


def test_a_history_is_read_from_files_and_a_cut_last_line_is_no_finding(tmp_path):
    lines = [json.dumps(event) + "\n" for event in clean_events()]
    (tmp_path / "all.jsonl").write_text("".join(lines) + '{"e":"ack","t":1')
    assert not check(load(tmp_path)).counts
    (tmp_path / "more.jsonl").write_text("not json\n")
    assert check(load(tmp_path)).labels == {checker.INCOMPLETE}
