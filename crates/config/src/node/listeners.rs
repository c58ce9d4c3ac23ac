//! `listeners`, `advertised.listeners` and what goes with them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use super::{Listener, values::Values};
use crate::Machine;

/// `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    name: String,
    host: String,
    port: u16,
}

impl Endpoint {
    fn parse(text: &str) -> Option<Self> {
        let (name, address) = text.trim().split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']')?,
            None => host,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let name_legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let sound = !name.is_empty() && name.chars().all(name_legal) && host.chars().all(legal);
        let port = port.parse().ok().filter(|_| sound)?;
        Some(Self { name: name.to_uppercase(), host: host.to_owned(), port })
    }

    /// Whether the host stands for every address of the machine, which no client can connect to.
    fn is_wildcard(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, host, port } = self;
        if host.contains(':') {
            write!(f, "{name}://[{host}]:{port}")
        } else {
            write!(f, "{name}://{host}:{port}")
        }
    }
}

fn join(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
}

/// The listeners for clients.
pub(super) fn resolve(
    values: &mut Values<'_>,
    controllers: &BTreeSet<String>,
    machine: &Machine,
) -> Vec<Listener> {
    let advertised = values
        .set_text("advertised.listeners")
        .map(|text| parse_all(values, "advertised.listeners", &text));
    let all = bound(values, advertised.as_deref());
    let (control, clients): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|endpoint| controllers.contains(&endpoint.name));
    if clients.is_empty() {
        values.refuse(
            "listeners",
            "there is no listener for clients; add one, such as \
            PLAINTEXT://127.0.0.1:9092"
                .to_owned(),
        );
    }
    check_distinct(values, &all);
    for endpoint in &control {
        values.notices.push(format!(
            "the controller listener {endpoint} is not opened: a node alone has nobody to talk to"
        ));
    }
    let advertised = advertised.unwrap_or_default();
    for endpoint in &advertised {
        if !all.iter().any(|listener| listener.name == endpoint.name) {
            let reason = format!("`{}` names no listener of `listeners`", endpoint.name);
            values.refuse("advertised.listeners", reason);
        }
    }
    check_protocols(values, &clients);
    check_inter_broker(values, &clients);
    let listeners: Vec<_> = clients
        .into_iter()
        .map(|endpoint| advertise(values, endpoint, &advertised, machine))
        .collect();
    let shown: Vec<_> = listeners
        .iter()
        .map(|listener| Endpoint {
            name: listener.name.clone(),
            host: listener.advertised_host.clone(),
            port: listener.advertised_port,
        })
        .collect();
    values.derived.insert("advertised.listeners", join(&shown));
    listeners
}

/// What is bound: `listeners`, or every address with the advertised ports, as Kafka's image has it.
fn bound(values: &mut Values<'_>, advertised: Option<&[Endpoint]>) -> Vec<Endpoint> {
    match advertised {
        Some(advertised) if !values.is_set("listeners") => {
            let everywhere =
                |endpoint: &Endpoint| Endpoint { host: String::new(), ..endpoint.clone() };
            let all: Vec<_> = advertised.iter().map(everywhere).collect();
            values.derived.insert("listeners", join(&all));
            all
        }
        _ => {
            let text = values.text("listeners");
            parse_all(values, "listeners", &text)
        }
    }
}

fn parse_all(values: &mut Values<'_>, key: &'static str, text: &str) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match Endpoint::parse(part) {
            Some(endpoint) => endpoints.push(endpoint),
            None => {
                let reason = format!("`{}` is not of the form NAME://host:port", part.trim());
                values.refuse(key, reason);
            }
        }
    }
    endpoints
}

fn check_distinct(values: &mut Values<'_>, endpoints: &[Endpoint]) {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for endpoint in endpoints {
        if !names.insert(&endpoint.name) {
            values.refuse("listeners", format!("two listeners are named {}", endpoint.name));
        }
        if endpoint.port != 0 && !addresses.insert((&endpoint.host, endpoint.port)) {
            values.refuse("listeners", format!("two listeners have port {}", endpoint.port));
        }
    }
}

fn check_protocols(values: &mut Values<'_>, clients: &[Endpoint]) {
    const KEY: &str = "listener.security.protocol.map";
    let text = values.text(KEY);
    let mut map = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match part.split_once(':') {
            Some((name, protocol)) => {
                map.insert(name.trim().to_uppercase(), protocol.trim().to_uppercase());
            }
            None => {
                values.refuse(KEY, format!("`{}` is not of the form NAME:PROTOCOL", part.trim()))
            }
        }
    }
    for Endpoint { name, .. } in clients {
        match map.get(name).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(protocol @ ("SSL" | "SASL_PLAINTEXT" | "SASL_SSL")) => {
                let reason = format!(
                    "listener {name} asks for {protocol}, which is not there yet; this release \
                     serves PLAINTEXT"
                );
                values.refuse(KEY, reason);
            }
            Some(other) => {
                let reason = format!("{other} of listener {name} is no security protocol");
                values.refuse(KEY, reason);
            }
            None => {
                let reason = format!("it says nothing of listener {name}; add {name}:PLAINTEXT");
                values.refuse(KEY, reason);
            }
        }
    }
}

fn check_inter_broker(values: &mut Values<'_>, clients: &[Endpoint]) {
    const KEY: &str = "inter.broker.listener.name";
    let Some(name) = values.set_text(KEY) else { return };
    if !clients.iter().any(|endpoint| endpoint.name == name.to_uppercase()) {
        values.refuse(KEY, format!("`{name}` is no listener of `listeners`"));
    }
}

/// A listener with what clients are told of it.
fn advertise(
    values: &mut Values<'_>,
    endpoint: Endpoint,
    advertised: &[Endpoint],
    machine: &Machine,
) -> Listener {
    let told = advertised.iter().find(|other| other.name == endpoint.name);
    let (key, mut told) = match told {
        Some(told) => ("advertised.listeners", told.clone()),
        None => ("listeners", endpoint.clone()),
    };
    if told.host.is_empty() {
        told.host = machine.host_name.clone().unwrap_or_else(|| "localhost".to_owned());
    }
    if told.is_wildcard() {
        let reason = format!(
            "clients cannot connect to {told}; set advertised.listeners={}://<a name or address \
             of this machine that clients can reach>:{}",
            told.name, told.port
        );
        values.refuse(key, reason);
    }
    Listener {
        name: endpoint.name,
        host: endpoint.host,
        port: endpoint.port,
        advertised_host: told.host,
        advertised_port: told.port,
    }
}

/// `admin.listener`.
pub(super) fn admin(values: &mut Values<'_>) -> Option<(String, u16)> {
    const KEY: &str = "admin.listener";
    let text = values.text(KEY);
    if text.is_empty() {
        return None;
    }
    let address = text.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), port.parse().ok()?))
    });
    if address.is_none() {
        values.refuse(KEY, format!("`{text}` is not of the form host:port"));
    }
    address
}

/// `max.connections.per.ip.overrides`.
pub(super) fn connection_overrides(values: &mut Values<'_>) -> HashMap<IpAddr, usize> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let mut overrides = HashMap::new();
    for part in values.text(KEY).split(',').filter(|part| !part.trim().is_empty()) {
        let parsed = part.trim().rsplit_once(':').and_then(|(host, count)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some((host.parse().ok()?, count.parse().ok()?))
        });
        match parsed {
            Some((address, count)) => {
                overrides.insert(address, count);
            }
            None => {
                let reason = format!("`{}` is not of the form address:count", part.trim());
                values.refuse(KEY, reason);
            }
        }
    }
    overrides
}
