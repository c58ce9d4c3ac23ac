"""Judges a history: what was promised to clients, and was it kept?

Every check is a pass or a sort over the events. One cause gives one label: a record found to be gone is left out of the checks that
follow, which would only say it again.

    checker.py FOLDER            judges the history in FOLDER; exit code 1 when something is wrong
    checker.py --speed RECORDS   makes a clean history of that many records and prints how fast it is judged
"""

import argparse
import sys
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from history import History, load, name_of, worker_of

LOST_WRITE = "lost-write"
VANISHED = "read-then-vanished"
INCONSISTENT_OFFSET = "inconsistent-offset"
DUPLICATE = "duplicate"
PHANTOM = "phantom"
CORRUPT = "corrupt-payload"
FAILED_WRITE = "failed-write-seen"
NONMONOTONIC_SEND = "nonmonotonic-send"
NONMONOTONIC_POLL = "nonmonotonic-poll"
POLL_SKIP = "poll-skip"
HW_REGRESS = "high-watermark-regress"
COMMIT_REGRESS = "commit-regress"
LOST_COMMIT = "lost-commit"
NO_PROGRESS = "no-progress"
PRODUCER_FATAL = "producer-fatal"
UNREADABLE = "unreadable"
INCOMPLETE = "incomplete-history"

EXAMPLES = 5


@dataclass
class Report:
    """`counts` by label of what is wrong, a few `examples` of each, and `stats` that are no judgement."""

    counts: Counter = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    stats: dict[str, int] = field(default_factory=dict)

    def add(self, label, text):
        self.counts[label] += 1
        if len(self.examples[label]) < EXAMPLES:
            self.examples[label].append(text)

    @property
    def labels(self):
        return set(self.counts)

    def lines(self):
        for label, count in self.counts.most_common():
            yield f"{label}: {count}"
            for text in self.examples[label]:
                yield f"    {text}"

    def summary(self):
        return ", ".join(f"{value} {key}" for key, value in self.stats.items())


class Checker:
    """`cluster`: what several brokers promise less than one. A leader that was cut off and does not know it yet answers from what it
    had, so that only what one reader sees must not go back; and a client without idempotence that turns to a new leader sends what
    the old one refused after what it has sent since."""

    def __init__(self, history: History, cluster=False):
        self.h, self.cluster = history, cluster
        self.report = Report()
        self.log = {}        # partition -> {offset: id}, by the final read
        self.places = defaultdict(list)  # id -> [(partition, offset)] in the final read
        self.offsets = {}    # partition -> its offsets in the final read, ascending
        self.gone = set()    # ids found lost or vanished

    def check(self):
        self.read_final_log()
        self.check_payloads()
        self.check_lost()
        self.check_vanished()
        self.check_duplicates()
        self.check_offsets()
        self.check_send_order()
        self.check_polls()
        self.check_high_watermark()
        self.check_commits()
        self.check_progress()
        self.check_producers()
        self.count()
        return self.report

    # What the log is now.

    def read_final_log(self):
        for line in self.h.malformed:
            self.report.add(INCOMPLETE, line)
        last = {end["p"]: end["pass"] for end in sorted(self.h.final_ends, key=lambda end: end["pass"])}
        for poll in self.h.finals:
            if last.get(poll["p"]) == poll["pass"]:
                log = self.log.setdefault(poll["p"], {})
                for offset, record in zip(poll["o"], poll["i"]):
                    log[offset] = record
        for p in last:
            log = self.log.setdefault(p, {})
            self.offsets[p] = sorted(log)
            for offset in self.offsets[p]:
                self.places[log[offset]].append((p, offset))
        refused = {event["p"]: event["error"] for event in self.h.unreadable if event["p"] not in last}
        for p, error in sorted(refused.items()):
            self.report.add(UNREADABLE, f"{p}: {error}")
        for p in sorted({send.p for send in self.h.sends.values()} - set(last) - set(refused)):
            self.report.add(INCOMPLETE, f"{p} was not read to its end after the last fault")

    def observations(self):
        for poll in self.h.polls:
            yield poll
        for poll in self.h.finals:
            yield poll

    # Nothing invented, nothing damaged, nothing that was refused.

    def check_payloads(self):
        bad, strange = set(), set()
        for poll in self.observations():
            p = poll["p"]
            for offset, why in poll.get("bad", ()):
                if (p, offset) not in bad:
                    bad.add((p, offset))
                    self.report.add(CORRUPT, f"{p} offset {offset}: {why}")
            for offset, record in zip(poll["o"], poll["i"]):
                send = self.h.sends.get(record)
                if send is not None and send.p == p and send.outcome != "fail":
                    continue
                if record in strange:
                    continue
                strange.add(record)
                if send is None:
                    self.report.add(PHANTOM, f"{p} offset {offset}: nobody sent {name_of(record)}")
                elif send.p != p:
                    self.report.add(PHANTOM, f"{p} offset {offset}: {name_of(record)} was sent to {send.p}")
                else:
                    self.report.add(FAILED_WRITE, f"{p} offset {offset}: {name_of(record)} was refused and is there")

    # What was acknowledged or seen is there.

    def check_lost(self):
        highest = {}
        seen = set()
        for poll in self.h.polls:
            if poll["p"] not in self.log and poll["o"]:
                highest[poll["p"]] = max(highest.get(poll["p"], -1), max(poll["o"]))
                seen.update(poll["i"])
        for send in self.h.sends.values():
            if send.outcome != "ack":
                continue
            if send.p in self.log:
                lost = send.id not in self.places
            else:  # Without a final read only what lies below the highest offset that anyone read can be judged.
                lost = send.offset is not None and send.offset <= highest.get(send.p, -1) and send.id not in seen
            if lost:
                self.gone.add(send.id)
                self.report.add(LOST_WRITE, f"{send.p} offset {send.offset}: {name_of(send.id)}, acknowledged at {seconds(send.done)}")

    def check_vanished(self):
        for poll in self.h.polls:
            if poll["p"] not in self.log:
                continue
            for offset, record in zip(poll["o"], poll["i"]):
                if record not in self.places and record not in self.gone and record in self.h.sends:
                    self.gone.add(record)
                    self.report.add(VANISHED, f"{poll['p']} offset {offset}: {name_of(record)}, read by worker {poll['w']} at {seconds(poll['t'])}")

    # One record at one offset, one offset with one record.

    def check_duplicates(self):
        self.twice = {record for record, places in self.places.items() if len(places) > 1}
        self.tolerated = 0
        for record in sorted(self.twice):
            worker = self.h.workers.get(worker_of(record), {})
            if worker.get("idempotent"):
                self.report.add(DUPLICATE, f"{name_of(record)} is at {self.places[record][:4]}")
            elif record in self.h.sends:
                self.tolerated += 1

    def check_offsets(self):
        known = {p: dict(log) for p, log in self.log.items()}
        reported = set()

        def conflict(p, offset, record, how):
            first = known.setdefault(p, {}).setdefault(offset, record)
            if first != record and first not in self.gone and (p, offset) not in reported:
                reported.add((p, offset))
                self.report.add(INCONSISTENT_OFFSET, f"{p} offset {offset}: {name_of(first)}, but {how} {name_of(record)}")

        for poll in self.observations():
            for offset, record in zip(poll["o"], poll["i"]):
                if record not in self.gone:
                    conflict(poll["p"], offset, record, f"worker {poll.get('w', 'final')} read")
        for send in self.h.sends.values():
            if send.outcome == "ack" and send.offset is not None and send.id not in self.gone:
                conflict(send.p, send.offset, send.id, "acknowledged there was")

    # Order.

    def place(self, send):
        places = self.places.get(send.id)
        if places is not None:
            return places[0][1]
        return send.offset

    def check_send_order(self):
        last = {}
        idempotent = {number for number, worker in self.h.workers.items() if worker.get("idempotent")}
        for send in self.h.sends.values():  # in send order: each worker writes its own file
            if self.cluster and worker_of(send.id) not in idempotent:
                continue
            if send.outcome != "ack" or send.id in self.gone or send.id in self.twice:
                continue
            offset = self.place(send)
            if offset is None:
                continue
            key = (send.session, send.p)
            before = last.get(key)
            if before is not None and offset <= before[0]:
                self.report.add(NONMONOTONIC_SEND, f"{send.p}: {name_of(send.id)} at {offset} was sent after {name_of(before[1])} at {before[0]}")
            else:
                last[key] = (offset, send.id)

    def check_polls(self):
        position = {(s["s"], s["p"]): s["o"] for s in self.h.sessions}
        self.read = 0
        for poll in [*self.h.polls, *({**final, "s": f"final {final['pass']}"} for final in self.h.finals)]:
            p, key = poll["p"], (poll["s"], poll["p"])
            next_offset = position.get(key, 0)
            self.read += len(poll["o"])
            damaged = [offset for offset, _ in poll.get("bad", ())]
            for offset in sorted([*poll["o"], *damaged]) if damaged else poll["o"]:
                if offset < next_offset:
                    self.report.add(NONMONOTONIC_POLL, f"{p}: {poll['s']} read {offset} when {next_offset} was next")
                elif offset > next_offset:
                    self.check_skip(p, poll["s"], next_offset, offset)
                next_offset = max(next_offset, offset + 1)
            position[key] = next_offset

    def check_skip(self, p, session, expected, offset):
        """A gap is one only if a record is known there: offsets may be sparse."""
        known = self.offsets.get(p, ())
        first = bisect_left(known, expected)
        if first < len(known) and known[first] < offset:
            self.report.add(POLL_SKIP, f"{p}: {session} went from {expected} to {offset} past the record at {known[first]}")

    # What was once readable stays readable: bounds by real time, one sweep.

    def check_high_watermark(self):
        bounds, queries = defaultdict(list), defaultdict(list)
        for call in self.h.lists:
            bounds[call["p"]].append((call["t"], call["end"], "listed"))
            queries[call["p"]].append((call["b"], call["end"]))
        for end in self.h.final_ends:
            queries[end["p"]].append((end["t"], end["end"]))
        for poll in self.h.polls:
            live = [offset for offset, record in zip(poll["o"], poll["i"]) if record not in self.gone]
            if live:
                bounds[poll["p"]].append((poll["t"], max(live) + 1, "read"))
        for send in self.h.sends.values():
            if send.outcome == "ack" and send.offset is not None and send.id not in self.gone:
                bounds[send.p].append((send.done, send.offset + 1, "acknowledged"))
        for p, asked in queries.items():
            listed = [bound for bound in bounds[p] if bound[2] == "listed"]
            self.sweep(p, sorted(listed if self.cluster else bounds[p]), sorted(asked))
        if self.cluster:
            for end in self.h.final_ends:
                self.sweep(end["p"], sorted(bounds[end["p"]]), [(end["t"], end["end"])])

    def sweep(self, p, bounds, asked):
        highest, how, index = -1, "", 0
        for began, end in asked:
            while index < len(bounds) and bounds[index][0] < began:
                if bounds[index][1] > highest:
                    highest, how = bounds[index][1:]
                index += 1
            if end < highest:
                self.report.add(HW_REGRESS, f"{p}: {end} at {seconds(began)}, after {highest} was {how}")

    # Committed offsets: the last accepted commit of a group is what it gets back.

    def check_commits(self):
        done, fetched = defaultdict(list), defaultdict(list)
        for commit in self.h.commits.values():
            if commit.outcome == "ok":
                done[commit.group, commit.p].append((commit.done, commit))
        for fetch in self.h.committed:
            fetched[fetch["g"], fetch["p"]].append(fetch)
        for key, fetches in fetched.items():
            accepted = sorted(done[key], key=lambda pair: pair[0])
            latest, index = None, 0  # the accepted commit that was invoked last, among those that ended before the fetch began
            for fetch in sorted(fetches, key=lambda fetch: fetch["b"]):
                while index < len(accepted) and accepted[index][0] < fetch["b"]:
                    if latest is None or accepted[index][1].t > latest.t:
                        latest = accepted[index][1]
                    index += 1
                self.check_fetched(fetch, latest)

    def check_fetched(self, fetch, latest):
        where = f"group {fetch['g']}, {fetch['p']}"
        if fetch["o"] < 0:
            if latest is not None:
                self.report.add(LOST_COMMIT, f"{where}: nothing committed at {seconds(fetch['b'])}, after {latest.offset} was accepted")
            return
        commit = self.h.commits.get(fetch["m"])
        if commit is None or (commit.group, commit.p, commit.offset) != (fetch["g"], fetch["p"], fetch["o"]):
            self.report.add(PHANTOM, f"{where}: offset {fetch['o']} with metadata {fetch['m']!r} was never committed")
        elif commit.outcome == "fail":
            self.report.add(FAILED_WRITE, f"{where}: commit {commit.m} of {commit.offset} was refused and is there")
        elif latest is not None and commit.done is not None and commit.outcome == "ok" and commit.done < latest.t:
            self.report.add(COMMIT_REGRESS, f"{where}: {fetch['o']} at {seconds(fetch['b'])}, after {latest.offset} was accepted")

    # Life: between two faults everyone gets something done.

    def check_progress(self):
        windows, began = [], None
        for event in sorted(self.h.driver, key=lambda event: event["t"]):
            if event["e"] == "healed":
                began = event["t"]
            elif began is not None:
                windows.append((began, event["t"]))
                began = None
        if not windows:
            return
        for (worker, p), times in self.deeds().items():
            times.sort()
            for begin, end in windows:
                index = bisect_left(times, begin)
                if index == len(times) or times[index] >= end:
                    self.report.add(NO_PROGRESS, f"worker {worker}{' on ' + p if p else ''}: nothing between {seconds(begin)} and {seconds(end)}")

    def deeds(self):
        """When each producer had an acknowledgement, by partition, and when each consumer read something."""
        deeds = {}
        for w, worker in self.h.workers.items():
            if worker["kind"] == "producer":
                deeds.update({(w, p): [] for p in worker["partitions"]})
            elif worker["kind"] in ("consumer", "group"):
                deeds[w, None] = []
        for send in self.h.sends.values():
            if send.outcome == "ack":
                deeds.setdefault((worker_of(send.id), send.p), []).append(send.done)
        for poll in self.h.polls:
            if poll["o"]:
                deeds.setdefault((poll["w"], None), []).append(poll["t"])
        return deeds

    def check_producers(self):
        for fatal in self.h.fatals:
            self.report.add(PRODUCER_FATAL, f"worker {fatal['w']}, session {fatal['s']}: {fatal['error']}")

    def count(self):
        outcomes = Counter(send.outcome for send in self.h.sends.values())
        self.report.stats = {
            "acknowledged": outcomes["ack"], "refused": outcomes["fail"], "unknown": outcomes["info"],
            "unknown but written": sum(1 for s in self.h.sends.values() if s.outcome == "info" and s.id in self.places),
            "read": self.read, "in the log": sum(map(len, self.log.values())), "duplicates without idempotence": self.tolerated,
            "commits": sum(1 for c in self.h.commits.values() if c.outcome == "ok"),
            "watermarks": len(self.h.lists), "faults": sum(1 for event in self.h.driver if event["e"] == "fault"),
        }


def seconds(nanoseconds):
    return "?" if nanoseconds is None else f"{nanoseconds / 1e9:.3f} s"


def check(history, cluster=False):
    return Checker(history, cluster).check()


def print_speed(records):
    from test_checker import clean
    history = clean(records)
    began = time.perf_counter()
    report = check(history)
    took = time.perf_counter() - began
    print(f"{records} records, {report.stats['read']} observations: {took:.2f} s, {report.stats['read'] / took / 1e6:.2f} M observations/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--speed", type=int, metavar="RECORDS")
    options = parser.parse_args()
    if options.speed:
        print_speed(options.speed)
        return 0
    if not options.folder:
        parser.error("a folder or --speed is needed")
    report = check(load(options.folder))
    print(report.summary())
    for line in report.lines():
        print(line)
    return 1 if report.counts else 0


if __name__ == "__main__":
    sys.exit(main())
