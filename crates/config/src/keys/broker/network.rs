//! Keys of listeners, connections, requests and client quotas.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { NETWORK;
    "listeners": String = Some("PLAINTEXT://127.0.0.1:9092"), Any, ReadOnly,
        "Where this node listens, as NAME://host:port, separated by commas.";
    "advertised.listeners": String = None, Any, ReadOnly,
        "The addresses clients are told to connect to; those of listeners when not set.";
    "listener.security.protocol.map": String = Some("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"), Any, ReadOnly,
        "Which security protocol each listener name stands for.";
    "inter.broker.listener.name": String = None, Any, ReadOnly,
        "The listener that brokers use among themselves.";
    "security.inter.broker.protocol": String = Some("PLAINTEXT"), OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly,
        "The security protocol among brokers, when inter.broker.listener.name is not set.";
    "early.start.listeners": String = None, Any, ReadOnly,
        "Accepted for compatibility: listeners open when the node can serve.";
    "socket.request.max.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly,
        "The largest request a client may send.";
    "socket.listen.backlog.size": Int = Some("50"), AtLeast(1), ReadOnly,
        "How many connections may wait to be accepted.";
    "socket.receive.buffer.bytes": Int = Some("102400"), Any, ReadOnly,
        "The receive buffer of a client connection; -1 leaves it to the system.";
    "socket.send.buffer.bytes": Int = Some("102400"), Any, ReadOnly,
        "The send buffer of a client connection; -1 leaves it to the system.";
    "socket.connection.setup.timeout.ms": Long = Some("10000"), Any, ReadOnly,
        "How long connecting to another node may take at first.";
    "socket.connection.setup.timeout.max.ms": Long = Some("30000"), Any, ReadOnly,
        "How long connecting to another node may take at most, after failures.";
    "connections.max.idle.ms": Long = Some("600000"), Any, ReadOnly,
        "A connection without a request for this long is closed.";
    "max.connections": Int = Some("2147483647"), AtLeast(0), ClusterWide,
        "The most client connections of this broker.";
    "max.connections.per.ip": Int = Some("2147483647"), AtLeast(0), ClusterWide,
        "The most client connections of one address.";
    "max.connections.per.ip.overrides": String = Some(""), Any, ClusterWide,
        "Other bounds for some addresses, as host:count, separated by commas.";
    "max.connection.creation.rate": Int = Some("2147483647"), AtLeast(0), ClusterWide,
        "The most new connections in a second.";
    "connection.failed.authentication.delay.ms": Int = Some("100"), AtLeast(0), ReadOnly,
        "How long the answer to a failed authentication is held back.";
    "num.network.threads": Int = Some("3"), AtLeast(1), ClusterWide,
        "Accepted for compatibility: connections share one pool of threads.";
    "num.io.threads": Int = Some("8"), AtLeast(1), ClusterWide,
        "Accepted for compatibility: requests share one pool of threads.";
    "queued.max.requests": Int = Some("500"), AtLeast(1), ReadOnly,
        "The most requests waiting to be handled.";
    "queued.max.request.bytes": Long = Some("-1"), Any, ReadOnly,
        "The most bytes of requests waiting to be handled; -1 leaves it to the memory budget.";
    "fetch.max.bytes": Int = Some("57671680"), AtLeast(1024), ReadOnly,
        "The most bytes one fetch answer holds; the first batch is always sent whole.";
    "max.incremental.fetch.session.cache.slots": Int = Some("1000"), AtLeast(0), ReadOnly,
        "The most fetch sessions kept.";
    "max.request.partition.size.limit": Int = Some("2000"), AtLeast(1), ReadOnly,
        "The most partitions one answer to DescribeTopicPartitions holds.";
    "fetch.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly,
        "Accepted for compatibility: a finished wait is forgotten at once.";
    "producer.purgatory.purge.interval.requests": Int = Some("1000"), Any, ReadOnly,
        "Accepted for compatibility: a finished wait is forgotten at once.";
    "delete.records.purgatory.purge.interval.requests": Int = Some("1"), Any, ReadOnly,
        "Accepted for compatibility: a finished wait is forgotten at once.";
    "quota.window.num": Int = Some("11"), AtLeast(1), ReadOnly,
        "How many windows a client quota looks back.";
    "quota.window.size.seconds": Int = Some("1"), AtLeast(1), ReadOnly,
        "The length of one window of a client quota.";
    "client.quota.callback.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java callbacks cannot be loaded.";
}
