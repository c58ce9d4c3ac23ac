"""A well-behaved client that works while others misbehave: `bystander.py PORT TOPIC REPORT`.

Produces a record, reads it back and asks for metadata, over one connection, again and again, and now and then over a new one.
After the first round it says so. On SIGTERM it writes a report: rounds, the slowest step in milliseconds, and the first fault, which
also ends it.
"""

import json
import os
import signal
import sys
import time

import wire

# No step may take longer, whatever the others do. A sync on a busy machine alone may take seconds.
STEP_LIMIT_S = 10
ROUNDS_PER_CONNECTION = 50
PAUSE_S = 0.005


class Bystander:
    def __init__(self, port, topic):
        self.port, self.topic = port, topic
        self.rounds, self.slowest, self.fault, self.ended = 0, (0, ""), None, False

    def step(self, name, action):
        began = time.monotonic()
        result = action()
        took = (time.monotonic() - began) * 1000
        self.slowest = max(self.slowest, (took, name))
        return result

    def round(self, connection):
        batch = wire.plain([b"bystander"], int(time.time() * 1000))
        error, offset = wire.produced(self.step("produce", lambda: connection.ask(wire.PRODUCE, 7, wire.produce(self.topic, batch))))
        assert error == 0, f"produce: error {error}"
        error, length = wire.fetched(self.step("fetch", lambda: connection.ask(wire.FETCH, 4, wire.fetch(self.topic, offset))))
        assert (error, length > 0) == (0, True), f"fetch: error {error}, {length} bytes"
        errors = wire.metadata_errors(self.step("metadata", lambda: connection.ask(wire.METADATA, 4, wire.metadata([self.topic]))))
        assert errors == [0], f"metadata: errors {errors}"
        self.rounds += 1
        if self.rounds == 1:
            print("working", flush=True)

    def work(self):
        try:
            while not self.ended:
                with self.step("connect", lambda: wire.Connection(self.port, STEP_LIMIT_S)) as connection:
                    for _ in range(ROUNDS_PER_CONNECTION):
                        if self.ended:
                            break
                        self.round(connection)
                        time.sleep(PAUSE_S)
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error} after {self.rounds} rounds"

    def report(self):
        return {"rounds": self.rounds, "slowest_ms": round(self.slowest[0], 1), "step": self.slowest[1], "fault": self.fault}


def main():
    port, topic, path = sys.argv[1:]
    bystander = Bystander(int(port), topic)
    signal.signal(signal.SIGTERM, lambda *_: setattr(bystander, "ended", True))
    bystander.work()
    with open(f"{path}.new", "w") as file:
        json.dump(bystander.report(), file)
    os.rename(f"{path}.new", path)


if __name__ == "__main__":
    main()
