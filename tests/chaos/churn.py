"""Topics that come and go between the faults: what the broker confirmed must hold after every restart."""

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from rig import await_state
from workload import COMMON

CALL_TIMEOUT_S = 10
# A client that was connected to a node that died asks it again before it turns to another.
SETTLE_TIMEOUT_S = 40
# How many topics there are at a time; the oldest goes when a new one comes.
KEPT = 3
# Answers that prove that nothing is to be done.
DONE = {"create": KafkaError.TOPIC_ALREADY_EXISTS, "delete": KafkaError.UNKNOWN_TOPIC_OR_PART}


class Churn:
    def __init__(self, bootstrap):
        self.admin = AdminClient({**COMMON, "bootstrap.servers": bootstrap})
        self.next = 0
        self.exists, self.deleted, self.unknown = [], set(), set()

    def turn(self):
        """One topic more and the oldest gone. What fails is unknown."""
        name = f"churn-{self.next}"
        self.next += 1
        self.attempt("create", name, self.admin.create_topics([NewTopic(name, 2, -1)], operation_timeout=CALL_TIMEOUT_S)[name])
        if len(self.exists) > KEPT:
            name = self.exists.pop(0)
            self.attempt("delete", name, self.admin.delete_topics([name], operation_timeout=CALL_TIMEOUT_S)[name])

    def attempt(self, what, name, future):
        try:
            future.result(CALL_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != DONE[what]:
                self.unknown.add(name)
                return
        except TimeoutError:
            self.unknown.add(name)
            return
        if what == "create":
            self.exists.append(name)
        else:
            self.deleted.add(name)

    def present(self):
        """Of the names that matter those that exist; None while the client has not yet noticed that the broker is there again."""
        names = sorted({*self.exists, *self.deleted})
        found = set()
        for name, future in (self.admin.describe_topics(TopicCollection(names)) if names else {}).items():
            try:
                future.result(CALL_TIMEOUT_S)
                found.add(name)
            except TimeoutError:
                return None
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return None
        return found, "all answered"

    def faults(self):
        """What does not hold now, to be asked when the broker is ready."""
        found, _ = await_state("the description of topics", self.present, SETTLE_TIMEOUT_S)
        lost = [name for name in self.exists if name not in found]
        back = sorted(self.deleted & found)
        return [f"topic {name} was created and is gone" for name in lost] + [f"topic {name} was deleted and is back" for name in back]
