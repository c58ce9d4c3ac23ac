"""What metadata_throughput.py and metadata_concurrency.py share.

**What is measured.** The time from a CreateTopics request's first byte into the socket until its answer is read whole, and
topics over the wall-clock time of a round. Requests are encoded before the clock starts and answers decoded after it stops,
both by kafka-python, so that the figures are the cluster's and not those of a client in Python; `--via client` puts
KafkaAdminClient and all of its cost back in. Each client is a process of its own with a connection to the controller, as
clients have it; `--to any` spreads them over all nodes, which forward what they take to the controller.

**The two modes.** `metadata.acks` can be changed while a cluster runs. Rounds alternate between the modes, so that whatever
changes in the machine meanwhile changes for both; in the end the cluster has the setting it had before.

Topics have names that nobody else uses and are deleted after each round.
"""

import argparse
import os
import socket
import statistics
import struct
import sys

ACKS = "metadata.acks"
MODES = ("leader", "quorum")
TIMEOUT_MS = 30_000
SOCKET_TIMEOUT_S = 60
TOPICS_PER_DELETION = 500
CLIENT_ID = "metadata-bench"
BROKER_RESOURCE = 4
SET, DELETE = 0, 1
DYNAMIC_DEFAULT_SOURCE = 3


def fail(text):
    raise SystemExit(f"{os.path.basename(sys.argv[0])}: {text}")


try:
    import kafka
    from kafka.protocol.admin import (
        CreateTopicsRequest,
        CreateTopicsResponse,
        DeleteTopicsRequest,
        DeleteTopicsResponse,
        DescribeConfigsRequest,
        DescribeConfigsResponse,
        IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    )
    from kafka.protocol.metadata import MetadataRequest, MetadataResponse
except ImportError:
    fail("kafka-python 3 is needed: pip install 'kafka-python>=3' (or use the Python of tests/clients)")

# The versions that are spoken; every Chronik and every Kafka of these years has them.
VERSIONS = {
    CreateTopicsRequest: (7, CreateTopicsResponse),
    DeleteTopicsRequest: (5, DeleteTopicsResponse),
    DescribeConfigsRequest: (4, DescribeConfigsResponse),
    IncrementalAlterConfigsRequest: (1, IncrementalAlterConfigsResponse),
    MetadataRequest: (9, MetadataResponse),
}


class Wire:
    """One connection, and requests one at a time over it."""

    def __init__(self, address):
        try:
            self.socket = socket.create_connection(address, timeout=SOCKET_TIMEOUT_S)
        except OSError as error:
            fail(f"{address[0]}:{address[1]}: {error}")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def close(self):
        self.reader.close()
        self.socket.close()

    def exchange(self, frame):
        """Sends an encoded request; its answer, without the length."""
        self.socket.sendall(frame)
        head = self.reader.read(4)
        if len(head) < 4:
            raise ConnectionError("the node closed the connection")
        (length,) = struct.unpack(">i", head)
        return self.reader.read(length)

    def call(self, request):
        return decode(type(request), self.exchange(encode(request)))


def encode(request):
    version, _ = VERSIONS[type(request)]
    request.API_VERSION = version
    request.with_header(1, CLIENT_ID)
    return bytes(request.encode(header=True, framed=True))


def decode(kind, answer):
    version, response = VERSIONS[kind]
    return response.decode(answer, version=version, header=True)


def addresses(text):
    found = []
    for part in text.split(","):
        host, separator, port = part.strip().rpartition(":")
        if not separator or not port.isdigit():
            raise argparse.ArgumentTypeError(f"`{part}` is not of the form host:port")
        found.append((host.strip("[]"), int(port)))
    return found


class Cluster:
    """The cluster as these programs need it: who leads, what is set, what topics there are."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.find()

    def find(self):
        for address in self.bootstrap:
            try:
                wire = Wire(address)
            except SystemExit as error:
                last = error
                continue
            answer = wire.call(MetadataRequest(topics=[], allow_auto_topic_creation=False))
            wire.close()
            self.nodes = {node.node_id: (node.host, node.port) for node in answer.brokers}
            if answer.controller_id in self.nodes:
                self.controller = self.nodes[answer.controller_id]
                return
            last = "no node is the controller; is a majority of the nodes running?"
        fail(str(last))

    def call(self, request):
        wire = Wire(self.controller)
        try:
            return wire.call(request)
        finally:
            wire.close()

    def acks(self):
        """What is set for all brokers at run time, or None."""
        resource = DescribeConfigsRequest.DescribeConfigsResource(
            resource_type=BROKER_RESOURCE, resource_name="", configuration_keys=[ACKS]
        )
        answer = self.call(DescribeConfigsRequest(resources=[resource]))
        configs = answer.results[0].configs
        return next((c.value for c in configs if c.config_source == DYNAMIC_DEFAULT_SOURCE), None)

    def set_acks(self, value):
        """Sets it for all brokers; None takes the setting away."""
        request = IncrementalAlterConfigsRequest
        config = request.AlterConfigsResource.AlterableConfig(
            name=ACKS, config_operation=DELETE if value is None else SET, value=value
        )
        resource = request.AlterConfigsResource(
            resource_type=BROKER_RESOURCE, resource_name="", configs=[config]
        )
        answer = self.call(request(resources=[resource], validate_only=False)).responses[0]
        if answer.error_code:
            fail(
                f"{ACKS} could not be set (error {answer.error_code}: {answer.error_message}); "
                "`--mode as-is` measures the cluster as it is"
            )

    def names(self, prefix):
        answer = self.call(MetadataRequest(topics=None, allow_auto_topic_creation=False))
        return [topic.name for topic in answer.topics if topic.name.startswith(prefix)]

    def delete(self, prefix):
        """Deletes every topic whose name begins so."""
        names = self.names(prefix)
        for start in range(0, len(names), TOPICS_PER_DELETION):
            part = names[start : start + TOPICS_PER_DELETION]
            answer = self.call(DeleteTopicsRequest(topic_names=part, timeout_ms=TIMEOUT_MS))
            for topic in answer.responses:
                # Gone already is as good.
                if topic.error_code not in (0, 3):
                    fail(f"topic {topic.name} could not be deleted: error {topic.error_code}")


def creation(names, options):
    """A CreateTopics request."""
    topics = [
        CreateTopicsRequest.CreatableTopic(
            name=name,
            num_partitions=options.partitions,
            replication_factor=options.replication_factor,
            assignments=[],
            configs=[],
        )
        for name in names
    ]
    return CreateTopicsRequest(topics=topics, timeout_ms=TIMEOUT_MS, validate_only=False)


class WireClient:
    """Sends requests that are encoded already."""

    def __init__(self, address, requests, options):
        self.wire = Wire(address)
        self.frames = [encode(creation(names, options)) for names in requests]
        self.answers = []

    def send(self, at):
        self.answers.append(self.wire.exchange(self.frames[at]))

    def finish(self):
        self.wire.close()
        return [
            (topic.name, topic.error_code, topic.error_message)
            for answer in self.answers
            for topic in decode(CreateTopicsRequest, answer).topics
            if topic.error_code
        ]


class AdminClient:
    """KafkaAdminClient, as an application has it."""

    def __init__(self, address, requests, options):
        self.client = kafka.KafkaAdminClient(bootstrap_servers=[f"{address[0]}:{address[1]}"])
        one = {
            "num_partitions": options.partitions,
            "replication_factor": options.replication_factor,
        }
        self.requests = [{name: one for name in names} for names in requests]
        self.failures = []

    def send(self, at):
        try:
            self.client.create_topics(self.requests[at], timeout_ms=TIMEOUT_MS)
        except kafka.errors.KafkaError as error:
            self.failures.append((next(iter(self.requests[at])), type(error).__name__, str(error)))

    def finish(self):
        self.client.close()
        return self.failures


CLIENTS = {"wire": WireClient, "client": AdminClient}


def arguments(description, rounds):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--bootstrap", type=addresses, default="localhost:9092", help="host:port,… of the cluster"
    )
    parser.add_argument(
        "--mode",
        choices=["both", *MODES, "as-is"],
        default="both",
        help="which metadata.acks to measure; as-is changes nothing",
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds of each mode, after one to warm up")
    parser.add_argument("--partitions", type=int, default=1, help="partitions of each topic")
    parser.add_argument("--replication-factor", type=int, default=-1, help="-1: the cluster's default")
    parser.add_argument("--via", choices=sorted(CLIENTS), default="wire", help="encoded requests, or KafkaAdminClient")
    parser.add_argument("--to", choices=["controller", "any"], default="controller", help="which nodes are asked")
    return parser


class Round:
    """What came of one round."""

    def __init__(self, topics, seconds, latencies):
        self.rate = topics / seconds
        self.latencies = latencies


def percentile(values, share):
    values = sorted(values)
    return values[round(share * (len(values) - 1))]


def measure(cluster, options, run):
    """Runs the rounds, modes alternating: the rounds of each mode. `run(prefix)` gives a Round."""
    modes = list(MODES) if options.mode == "both" else [options.mode]
    before = None if options.mode == "as-is" else cluster.acks()
    rounds = {mode: [] for mode in modes}
    prefix = f"metadata-bench-{os.getpid()}-"
    try:
        for number in range(options.rounds + 1):
            for mode in modes:
                if options.mode != "as-is":
                    cluster.set_acks(mode)
                done = run(f"{prefix}{mode}-{number}-")
                cluster.delete(prefix)
                # The first round of each mode warms up connections, caches and code.
                if number > 0:
                    rounds[mode].append(done)
    finally:
        cluster.delete(prefix)
        if options.mode != "as-is":
            cluster.set_acks(before)
    return rounds


def check(cluster, prefix, wanted, failures):
    """What was answered holds: no failure, and every topic is there."""
    if failures:
        name, code, text = failures[0]
        fail(f"{len(failures)} topics were not created; {name}: {code} {text or ''}".rstrip())
    found = len(cluster.names(prefix))
    if found != wanted:
        fail(f"{wanted} topics were acknowledged and {found} are there")


def report(title, rounds):
    """The modes side by side."""
    modes = list(rounds)
    print(title)
    rows = []

    def row(what, value):
        rows.append([what, *(value(rounds[mode]) for mode in modes)])

    row("topics/s, median of rounds", lambda all: f"{statistics.median(r.rate for r in all):,.0f}")
    row("topics/s, slowest–fastest", lambda all: f"{min(r.rate for r in all):,.0f}–{max(r.rate for r in all):,.0f}")
    latencies = lambda all: [taken for one in all for taken in one.latencies]
    for share, name in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max")]:
        row(f"request {name}, ms", lambda all, share=share: f"{percentile(latencies(all), share) * 1e3:.2f}")
    row("requests", lambda all: f"{len(latencies(all)):,}")
    widths = [max(len(line[column]) for line in [["", *modes], *rows]) for column in range(len(modes) + 1)]
    for line in [["metadata.acks", *modes], *rows]:
        cells = [f"{cell:<{width}}" if at == 0 else f"{cell:>{width}}" for at, (cell, width) in enumerate(zip(line, widths))]
        print("  " + "   ".join(cells).rstrip())
