//! Who this node is, and what of a cluster it can be so far: a quorum of itself.

use std::collections::BTreeSet;

use chronik_types::BrokerId;

use super::values::Values;

const ALONE: &str = "this release runs a cluster of one node, which is broker and controller";

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

/// Checks the keys of the quorum; the names of the listeners that are controllers'.
pub(super) fn check(values: &mut Values<'_>, node: BrokerId) -> BTreeSet<String> {
    let roles: BTreeSet<String> = values.list("process.roles").into_iter().collect();
    if roles.len() < 2 {
        let reason = format!("{ALONE}; set process.roles=broker,controller");
        values.refuse("process.roles", reason);
    }
    check_voters(values, node);
    let servers = values.list("controller.quorum.bootstrap.servers");
    if servers.len() > 1 {
        let reason = format!("{ALONE}; name this node only, or leave it out");
        values.refuse("controller.quorum.bootstrap.servers", reason);
    }
    let names = values.set_text("controller.listener.names").unwrap_or_default();
    let names = names.split(',').map(|name| name.trim().to_uppercase());
    names.filter(|name| !name.is_empty()).collect()
}

fn check_voters(values: &mut Values<'_>, node: BrokerId) {
    const KEY: &str = "controller.quorum.voters";
    let voters = values.list(KEY);
    let mut ids = Vec::new();
    for voter in &voters {
        let id = voter.split_once('@').and_then(|(id, address)| {
            let (_host, port) = address.rsplit_once(':')?;
            port.parse::<u16>().ok()?;
            id.parse::<i32>().ok()
        });
        match id {
            Some(id) => ids.push(id),
            None => {
                return values.refuse(KEY, format!("`{voter}` is not of the form id@host:port"));
            }
        }
    }
    if ids.len() > 1 {
        let reason = format!("{ALONE}; quorums of several voters are not there yet");
        values.refuse(KEY, reason);
    } else if ids.iter().any(|id| *id != node.0) {
        let reason = format!("{ALONE}, so the one voter must be this node, {node}@host:port");
        values.refuse(KEY, reason);
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
