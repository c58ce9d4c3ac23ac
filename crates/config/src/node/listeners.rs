//! `listeners`, `advertised.listeners` and what goes with them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use super::{
    HostPort, Listener, Roles,
    endpoint::Endpoint,
    quorum::{self, NAMES},
    values::Values,
};
use crate::Machine;

const INTER_BROKER: &str = "inter.broker.listener.name";

/// The listeners of a node.
pub(super) struct Listeners {
    /// In their order in `listeners`.
    pub all: Vec<Listener>,
    /// The one that brokers use among themselves; `None` without a listener for clients.
    pub inter_broker: Option<String>,
}

impl Listeners {
    /// Where other nodes reach this one; `None`: nowhere.
    pub(super) fn internal(&self) -> Option<&Listener> {
        self.all.iter().find(|listener| listener.internal)
    }
}

fn join(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
}

/// All listeners. `own_vote` is the address by which the quorum knows this node.
pub(super) fn resolve(
    values: &mut Values<'_>,
    roles: Roles,
    own_vote: Option<&HostPort>,
    machine: &Machine,
) -> Listeners {
    let controllers = quorum::controller_listener_names(values);
    let is_controller = |endpoint: &Endpoint| controllers.contains(&endpoint.name);
    let advertised = values
        .set_text("advertised.listeners")
        .map(|text| parse_all(values, "advertised.listeners", &text));
    let all = bound(values, advertised.as_deref());
    check_distinct(values, &all);
    check_roles(values, roles, &all, &is_controller);
    let advertised = advertised.unwrap_or_default();
    for endpoint in &advertised {
        if !all.iter().any(|listener| listener.name == endpoint.name) {
            let reason = format!("`{}` names no listener of `listeners`", endpoint.name);
            values.refuse("advertised.listeners", reason);
        }
    }
    check_protocols(values, &all, &controllers);
    let clients: Vec<_> = all.iter().filter(|endpoint| !is_controller(endpoint)).collect();
    let inter_broker = inter_broker(values, &clients);
    let all: Vec<_> = all
        .iter()
        .map(|endpoint| {
            let controller = is_controller(endpoint);
            let between_brokers =
                !roles.controller && inter_broker.as_deref() == Some(endpoint.name.as_str());
            let own_vote = own_vote.filter(|_| controller);
            let told = advertise(values, endpoint, &advertised, own_vote, machine);
            Listener {
                name: endpoint.name.clone(),
                host: endpoint.address.host.clone(),
                port: endpoint.address.port,
                advertised_host: told.host,
                advertised_port: told.port,
                controller,
                internal: controller || between_brokers,
            }
        })
        .collect();
    let shown: Vec<_> = all
        .iter()
        .map(|listener| Endpoint { name: listener.name.clone(), address: listener.advertised() })
        .collect();
    values.derived.insert("advertised.listeners", join(&shown));
    Listeners { all, inter_broker }
}

/// A broker has a listener for clients; a node that is no controller has none of a controller, and
/// one that is only a controller has no other.
fn check_roles(
    values: &mut Values<'_>,
    roles: Roles,
    all: &[Endpoint],
    is_controller: &dyn Fn(&Endpoint) -> bool,
) {
    const KEY: &str = "listeners";
    if roles.broker && all.iter().all(is_controller) {
        let reason =
            "there is no listener for clients; add one, such as PLAINTEXT://127.0.0.1:9092";
        values.refuse(KEY, reason.to_owned());
    }
    for endpoint in all {
        if is_controller(endpoint) && !roles.controller {
            let reason = format!(
                "{endpoint} is a controller's by {NAMES}, and this node is none by process.roles; \
                 drop it, or set process.roles=broker,controller"
            );
            values.refuse(KEY, reason);
        } else if !is_controller(endpoint) && !roles.broker {
            let reason = format!(
                "{endpoint} is for clients, and this node is no broker by process.roles; drop it, \
                 name it in {NAMES}, or set process.roles=broker,controller"
            );
            values.refuse(KEY, reason);
        }
    }
}

/// What is bound: `listeners`, or every address with the advertised ports, as Kafka's image has it.
fn bound(values: &mut Values<'_>, advertised: Option<&[Endpoint]>) -> Vec<Endpoint> {
    match advertised {
        Some(advertised) if !values.is_set("listeners") => {
            let everywhere = |endpoint: &Endpoint| Endpoint {
                name: endpoint.name.clone(),
                address: HostPort { host: String::new(), port: endpoint.address.port },
            };
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
        if endpoint.address.port != 0 && !addresses.insert(&endpoint.address) {
            let reason = format!("two listeners have port {}", endpoint.address.port);
            values.refuse("listeners", reason);
        }
    }
}

fn check_protocols(values: &mut Values<'_>, endpoints: &[Endpoint], controllers: &[String]) {
    const KEY: &str = "listener.security.protocol.map";
    let text = values.text(KEY);
    let mut map = BTreeMap::new();
    if !values.is_set(KEY) {
        let plain = |name: &String| (name.clone(), "PLAINTEXT".to_owned());
        map.extend(controllers.iter().map(plain));
    }
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
    for Endpoint { name, .. } in endpoints {
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

/// The listener that brokers use among themselves: the one that is named, or that of the protocol,
/// or the first.
fn inter_broker(values: &mut Values<'_>, clients: &[&Endpoint]) -> Option<String> {
    let known = |name: &str| clients.iter().any(|endpoint| endpoint.name == name);
    let Some(named) = values.set_text(INTER_BROKER) else {
        let protocol = values.text("security.inter.broker.protocol");
        let first = clients.first().map(|endpoint| endpoint.name.clone());
        return Some(protocol).filter(|name| known(name)).or(first);
    };
    let name = named.to_uppercase();
    if !clients.is_empty() && !known(&name) {
        let all: Vec<_> = clients.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let reason = format!("`{named}` is no listener of `listeners`; set {}", all.join(" or "));
        values.refuse(INTER_BROKER, reason);
    }
    Some(name).filter(|name| known(name))
}

/// What others are told of a listener.
fn advertise(
    values: &mut Values<'_>,
    endpoint: &Endpoint,
    advertised: &[Endpoint],
    own_vote: Option<&HostPort>,
    machine: &Machine,
) -> HostPort {
    let told = advertised.iter().find(|other| other.name == endpoint.name);
    let (key, mut address) = match told {
        Some(told) => ("advertised.listeners", told.address.clone()),
        None => ("listeners", endpoint.address.clone()),
    };
    if let (None, Some(vote)) = (told, own_vote) {
        return vote.clone();
    }
    if address.host.is_empty() {
        address.host = machine.host_name.clone().unwrap_or_else(|| "localhost".to_owned());
    }
    if address.is_wildcard() {
        let name = &endpoint.name;
        let reason = format!(
            "nobody can connect to {name}://{address}; set advertised.listeners={name}://<a name \
             or address of this machine that others can reach>:{}",
            address.port
        );
        values.refuse(key, reason);
    }
    address
}

/// `admin.listener`.
pub(super) fn admin(values: &mut Values<'_>) -> Option<(String, u16)> {
    const KEY: &str = "admin.listener";
    let text = values.text(KEY);
    if text.is_empty() {
        return None;
    }
    let address = HostPort::parse_lax(&text).map(|address| (address.host, address.port));
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
