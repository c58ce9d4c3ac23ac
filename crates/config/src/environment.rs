//! `KAFKA_*` variables as configuration, as Kafka's official image reads them.
//!
//! `KAFKA_` is dropped, the rest lower-cased; `___` stands for `-`, `__` for `_`, `_` for `.`.

/// Variables that Kafka's scripts and images use for themselves.
const NOT_KEYS: [&str; 15] = [
    "KAFKA_CFG_FILE",
    "KAFKA_CLUSTER_ID",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_OPTS",
    "KAFKA_VERSION",
];

/// The key that `variable` sets; `None` if it sets none.
pub(crate) fn key(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("KAFKA_").filter(|name| !name.is_empty())?;
    let tools = variable == "KAFKA_TOOLS_LOG4J_LOGLEVEL";
    if NOT_KEYS.contains(&variable) || tools || is_service_link(name) {
        return None;
    }
    let dashed = name.to_lowercase().replace("___", "-");
    // The placeholder cannot stand in a variable's name.
    Some(dashed.replace("__", "\0").replace('_', ".").replace('\0', "_"))
}

/// Whether Kubernetes or Docker put the variable there for a service named `kafka`, as in
/// `KAFKA_SERVICE_HOST` and `KAFKA_PORT_9092_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    name == "PORT"
        || name == "NAME"
        || name == "SERVICE_HOST"
        || name.starts_with("SERVICE_PORT")
        || name
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_as_in_kafkas_image() {
        for (variable, expected) in [
            ("KAFKA_NODE_ID", Some("node.id")),
            ("KAFKA_LOG_DIRS", Some("log.dirs")),
            ("KAFKA_A__B___C_D", Some("a_b-c.d")),
            (
                "KAFKA_LISTENER_NAME_MY__LISTENER_SSL_KEYSTORE_TYPE",
                Some("listener.name.my_listener.ssl.keystore.type"),
            ),
            ("KAFKA_HEAP_OPTS", None),
            ("KAFKA_SERVICE_PORT_TCP", None),
            ("KAFKA_PORT_9092_TCP_ADDR", None),
            ("KAFKA_", None),
            ("PATH", None),
        ] {
            assert_eq!(key(variable).as_deref(), expected, "{variable}");
        }
    }
}
