//! Who this node is, what it does in the cluster and where the metadata quorum is.

use chronik_types::BrokerId;

use super::{HostPort, Listener, Quorum, Roles, Voter, listeners::Listeners, values::Values};

const ROLES: &str = "process.roles";
const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";
pub(super) const NAMES: &str = "controller.listener.names";

/// `node.id`, or its older name.
pub(super) fn node_id(values: &mut Values<'_>) -> BrokerId {
    let id = values.int("node.id");
    let older = values.int("broker.id");
    if older < 0 {
        return BrokerId(id);
    }
    if values.is_set("node.id") && id != older {
        values.refuse("broker.id", format!("{older} contradicts node.id={id}; drop broker.id"));
    }
    values.derived.insert("node.id", older.to_string());
    BrokerId(older)
}

/// `process.roles`.
pub(super) fn roles(values: &mut Values<'_>) -> Roles {
    let roles = values.list(ROLES);
    let has = |role| roles.iter().any(|named| named == role);
    let roles = Roles { broker: has("broker"), controller: has("controller") };
    if !roles.broker && !roles.controller {
        let reason = "it names no role; set process.roles=broker,controller, or one of them";
        values.refuse(ROLES, reason.to_owned());
    }
    roles
}

/// `controller.listener.names`, in capitals, in their order.
pub(super) fn controller_listener_names(values: &Values<'_>) -> Vec<String> {
    let names = values.set_text(NAMES).unwrap_or_default();
    let names = names.split(',').map(|name| name.trim().to_uppercase());
    names.filter(|name| !name.is_empty()).collect()
}

/// The quorum as it is written; each address is sound.
pub(super) fn parse(values: &mut Values<'_>) -> Quorum {
    Quorum { voters: voters(values), bootstrap_servers: bootstrap_servers(values) }
}

/// The quorum, checked against the node's roles and listeners.
pub(super) fn resolve(
    values: &mut Values<'_>,
    node: BrokerId,
    roles: Roles,
    written: Quorum,
    listeners: &Listeners,
) -> Quorum {
    let Quorum { mut voters, bootstrap_servers } = written;
    let named = !values.list(VOTERS).is_empty();
    if named {
        check_own_vote(values, node, roles, &voters);
    } else if roles.controller {
        voters.extend(vote_alone(node, listeners, &bootstrap_servers));
        check_not_among_others(values, node, listeners, &bootstrap_servers);
    } else if values.list(BOOTSTRAP).is_empty() {
        let reason = format!(
            "a node without the role of a controller needs a cluster to belong to; set \
             {VOTERS}=id@host:port,… or {BOOTSTRAP}=host:port,…"
        );
        values.refuse(VOTERS, reason);
    }
    let alone = voters.iter().all(|voter| voter.id == node) && !voters.is_empty();
    if !alone && (roles.broker || roles.controller) {
        check_controller_listener(values, roles, listeners);
    }
    if voters.len() > 1 && voters.len().is_multiple_of(2) {
        values.notices.push(format!(
            "{VOTERS} names {} voters: one fewer would survive as many failures",
            voters.len()
        ));
    }
    Quorum { voters, bootstrap_servers }
}

/// The vote of a node that is told of nobody else: none if the quorum is to be found elsewhere.
fn vote_alone(node: BrokerId, listeners: &Listeners, bootstrap: &[HostPort]) -> Option<Voter> {
    let own = listeners.internal();
    match (bootstrap, own) {
        ([], own) => {
            let address = own.map_or_else(HostPort::default, Listener::advertised);
            Some(Voter { id: node, address })
        }
        ([only], Some(own)) if is_own(only, own) => Some(Voter { id: node, address: only.clone() }),
        _ => None,
    }
}

/// Controllers that start together must know each other's numbers: nobody can be asked for them.
fn check_not_among_others(
    values: &mut Values<'_>,
    node: BrokerId,
    listeners: &Listeners,
    bootstrap: &[HostPort],
) {
    let own = listeners.internal();
    let among = own.is_some_and(|own| bootstrap.iter().any(|server| is_own(server, own)));
    if among && bootstrap.len() > 1 {
        let reason = format!(
            "it names this controller among others, which leaves open who they are; set \
             {VOTERS}={node}@host:port,… with all of them, on each of them"
        );
        values.refuse(BOOTSTRAP, reason);
    }
}

/// Whether a bootstrap server is this node's own controller listener.
fn is_own(server: &HostPort, listener: &Listener) -> bool {
    const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
    let everywhere = ["", "0.0.0.0", "::"].contains(&listener.host.as_str());
    let here = LOOPBACK.contains(&server.host.as_str())
        && (everywhere || LOOPBACK.contains(&listener.host.as_str()));
    *server == listener.advertised()
        || server.port == listener.port && (here || server.host == listener.host)
}

fn voters(values: &mut Values<'_>) -> Vec<Voter> {
    let mut voters: Vec<Voter> = Vec::new();
    for text in values.list(VOTERS) {
        let parsed = text.split_once('@').and_then(|(id, address)| {
            let id = id.trim().parse().ok().filter(|id| *id >= 0)?;
            Some(Voter { id: BrokerId(id), address: HostPort::parse(address)? })
        });
        let Some(voter) = parsed else {
            values.refuse(VOTERS, format!("`{text}` is not of the form id@host:port"));
            continue;
        };
        if voters.iter().any(|other| other.id == voter.id) {
            values.refuse(VOTERS, format!("voter {} stands in it twice", voter.id));
        } else if let Some(other) = voters.iter().find(|other| other.address == voter.address) {
            let reason =
                format!("voters {} and {} have the address {}", other.id, voter.id, voter.address);
            values.refuse(VOTERS, reason);
        }
        voters.push(voter);
    }
    voters
}

fn bootstrap_servers(values: &mut Values<'_>) -> Vec<HostPort> {
    let mut servers = Vec::new();
    for text in values.list(BOOTSTRAP) {
        match HostPort::parse(&text) {
            Some(server) => servers.push(server),
            None => values.refuse(BOOTSTRAP, format!("`{text}` is not of the form host:port")),
        }
    }
    servers
}

/// A controller votes, and nobody else does.
fn check_own_vote(values: &mut Values<'_>, node: BrokerId, roles: Roles, voters: &[Voter]) {
    let votes = voters.iter().any(|voter| voter.id == node);
    if roles.controller && !votes && !voters.is_empty() {
        let reason = format!(
            "node {node} is a controller by {ROLES}, so it must stand here; add \
             {node}@host:port, or set {ROLES}=broker"
        );
        values.refuse(VOTERS, reason);
    }
    if !roles.controller && votes {
        let reason = format!(
            "node {node} is only a broker by {ROLES}, so it must not stand here; drop it, or set \
             {ROLES}=broker,controller"
        );
        values.refuse(VOTERS, reason);
    }
}

/// A node that is not alone has an address for the other nodes: a controller one of its
/// controller listeners, a broker its inter-broker listener.
fn check_controller_listener(values: &mut Values<'_>, roles: Roles, listeners: &Listeners) {
    let names = controller_listener_names(values);
    if names.is_empty() {
        let reason = format!(
            "a cluster of several nodes needs it; set {NAMES}=CONTROLLER{}",
            if roles.controller { " and add CONTROLLER://host:port to listeners" } else { "" }
        );
        return values.refuse(NAMES, reason);
    }
    if roles.controller && !listeners.all.iter().any(|listener| listener.controller) {
        let name = names.first().map_or("CONTROLLER", String::as_str);
        let reason = format!(
            "there is no listener named {}, which {NAMES} asks for; add {name}://host:port",
            names.join(" or ")
        );
        values.refuse("listeners", reason);
    }
}

/// Refuses settings that promise a protection or a service which this release does not have:
/// running without it in silence would be worse than not running.
pub(super) fn refuse_what_is_not_there(values: &mut Values<'_>) {
    if values.set_text("authorizer.class.name").is_some() {
        let reason = "access control is not there yet; a broker that ignored it would let \
                      everybody in. Drop the key to run without access control";
        values.refuse("authorizer.class.name", reason.to_owned());
    }
    if values.flag("remote.log.storage.system.enable") {
        let reason = "the remote tier is not there yet; drop the key";
        values.refuse("remote.log.storage.system.enable", reason.to_owned());
    }
    let listener_keys = values.set_keys().filter(|key| key.starts_with("listener.name.")).count();
    if listener_keys > 0 {
        values.notices.push(format!(
            "{listener_keys} keys of single listeners (listener.name.…) have no effect: listeners \
             are PLAINTEXT"
        ));
    }
}
