//! Classic groups: joining, syncing, heartbeats, leaving, static members, administration.

use chronik_protocol::api::ApiKey;
use chronik_protocol::messages::*;

use super::setup::{brief, coordinator, until, versions};
use crate::session::{Failure, Session};

/// A member as its requests name it.
#[derive(Clone, Debug, Default)]
pub struct Member {
    pub group: String,
    pub id: String,
    pub instance: Option<String>,
    pub generation: i32,
}

impl Member {
    /// Nobody yet.
    pub fn new(group: &str) -> Self {
        Self { group: group.to_owned(), generation: -1, ..Self::default() }
    }

    /// A static member that has not joined yet.
    pub fn fixed(group: &str, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..Self::new(group) }
    }

    pub fn join(&self) -> JoinGroupRequest<'static> {
        JoinGroupRequest {
            group_id: self.group.clone().into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
            member_id: self.id.clone().into(),
            group_instance_id: self.instance.clone().map(Into::into),
            protocol_type: "consumer".into(),
            protocols: vec![protocol("range", &[1]), protocol("sticky", &[2])],
            reason: None,
        }
    }

    pub fn sync(&self, assignments: &[(&str, &[u8])]) -> SyncGroupRequest<'static> {
        SyncGroupRequest {
            group_id: self.group.clone().into(),
            generation_id: self.generation,
            member_id: self.id.clone().into(),
            group_instance_id: self.instance.clone().map(Into::into),
            assignments: assignments
                .iter()
                .map(|(member, assignment)| SyncGroupRequestAssignment {
                    member_id: (*member).to_owned().into(),
                    assignment: assignment.to_vec().into(),
                })
                .collect(),
            // Both are required from version 5 on.
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
        }
    }

    pub fn heartbeat(&self) -> HeartbeatRequest<'static> {
        HeartbeatRequest {
            group_id: self.group.clone().into(),
            generation_id: self.generation,
            member_id: self.id.clone().into(),
            group_instance_id: self.instance.clone().map(Into::into),
        }
    }

    fn leave(&self, version: i16) -> LeaveGroupRequest<'static> {
        match version {
            ..3 => LeaveGroupRequest {
                group_id: self.group.clone().into(),
                member_id: self.id.clone().into(),
                members: vec![],
            },
            _ => LeaveGroupRequest {
                group_id: self.group.clone().into(),
                members: vec![identity(&self.id, self.instance.as_deref())],
                ..Default::default()
            },
        }
    }

    /// Joins over a connection of its own and takes what the answer says; the first refusal that
    /// only brings the member id (KIP-394) is part of it.
    pub fn enter(
        &mut self,
        s: &mut Session,
        at: u8,
        version: i16,
        label: &str,
    ) -> Result<(), Failure> {
        s.send(at, version, &self.join())?;
        self.entered(s, at, version, label)?;
        if self.generation < 0 && !self.id.is_empty() {
            s.send(at, version, &self.join())?;
            self.entered(s, at, version, &format!("{label} with its id"))?;
        }
        Ok(())
    }

    /// Takes the answer to a join.
    pub fn entered(
        &mut self,
        s: &mut Session,
        at: u8,
        version: i16,
        label: &str,
    ) -> Result<(), Failure> {
        let reply = s.receive::<JoinGroupRequest<'_>>(at, label, version)?;
        let response = reply.read::<JoinGroupRequest<'_>>()?;
        self.id = response.member_id.clone().into_owned();
        self.generation = response.generation_id;
        Ok(())
    }

    /// Waits until the group is in a rebalance, as its heartbeat tells.
    fn await_rebalance(&self, s: &mut Session) -> Result<(), Failure> {
        until(s, "the group rebalances", |s| {
            let reply = s.prepare(4, &HeartbeatRequest { ..self.heartbeat() })?;
            Ok(reply.read::<HeartbeatRequest<'_>>()?.error_code == 27)
        })
    }
}

fn protocol(name: &'static str, metadata: &'static [u8]) -> JoinGroupRequestProtocol<'static> {
    JoinGroupRequestProtocol { name: name.into(), metadata: metadata.into() }
}

fn identity(id: &str, instance: Option<&str>) -> MemberIdentity<'static> {
    MemberIdentity {
        member_id: id.to_owned().into(),
        group_instance_id: instance.map(|instance| instance.to_owned().into()),
        reason: None,
    }
}

/// What is refused at the door, and a group of one from birth to death, in every version.
pub fn joining(s: &mut Session) -> Result<(), Failure> {
    coordinator(s, "door")?;
    for version in versions(ApiKey::JoinGroup) {
        let base = Member::new("door").join();
        let mut ask = |label: &str, request: JoinGroupRequest<'_>| {
            s.ask(&format!("{label} v{version}"), version, &request).map(|_| ())
        };
        ask("no group", JoinGroupRequest { group_id: "".into(), ..base.clone() })?;
        ask("unknown member", JoinGroupRequest { member_id: "nobody".into(), ..base.clone() })?;
        for timeout in [-1, 0, 5999, 1_800_001] {
            let request = JoinGroupRequest { session_timeout_ms: timeout, ..base.clone() };
            ask(&format!("session timeout {timeout}"), request)?;
        }
        ask("no protocols", JoinGroupRequest { protocols: vec![], ..base.clone() })?;
        ask("no protocol type", JoinGroupRequest { protocol_type: "".into(), ..base.clone() })?;
        if version >= 5 {
            for (at, instance) in ["", ".", "a b", &"i".repeat(250)].into_iter().enumerate() {
                let group = format!("door-{at}-v{version}");
                let request = Member::fixed(&group, instance).join();
                ask(&format!("instance {}", brief(instance)), request)?;
            }
        }
        alone(s, version)?;
    }
    Ok(())
}

fn alone(s: &mut Session, version: i16) -> Result<(), Failure> {
    let mut member = Member::new(&format!("alone-v{version}"));
    let other = |key: ApiKey| version.min(key.api().max);
    let (sync, beat) = (other(ApiKey::SyncGroup), other(ApiKey::Heartbeat));
    member.enter(s, 0, version, &format!("alone v{version}"))?;
    s.ask(&format!("beats before sync v{version}"), beat, &member.heartbeat())?;
    let id = member.id.clone();
    s.ask(&format!("syncs v{version}"), sync, &member.sync(&[(&id, &[7, 7])]))?;
    s.ask(&format!("syncs again v{version}"), sync, &member.sync(&[]))?;
    s.ask(&format!("beats v{version}"), beat, &member.heartbeat())?;
    describe(s, &member.group, &format!("described v{version}"))?;
    // It leads, so its return begins a generation.
    s.ask(&format!("returns v{version}"), version, &member.join())?;
    s.ask(&format!("beats in the old generation v{version}"), beat, &member.heartbeat())?;
    member.generation += 1;
    s.ask(&format!("beats in the new one v{version}"), beat, &member.heartbeat())?;
    describe(s, &member.group, &format!("described before sync v{version}"))?;
    let leave = other(ApiKey::LeaveGroup);
    s.ask(&format!("leaves v{version}"), leave, &member.leave(leave))?;
    s.ask(&format!("leaves again v{version}"), leave, &member.leave(leave))?;
    s.ask(&format!("beats after the end v{version}"), beat, &member.heartbeat())?;
    s.ask(&format!("syncs after the end v{version}"), sync, &member.sync(&[]))?;
    describe(s, &member.group, &format!("described when empty v{version}"))
}

fn describe(s: &mut Session, group: &str, label: &str) -> Result<(), Failure> {
    let request = DescribeGroupsRequest {
        groups: vec![group.to_owned().into()],
        include_authorized_operations: false,
    };
    s.ask(label, 5, &request).map(|_| ())
}

/// Two members: rebalances, followers, and who is gone.
pub fn membership(s: &mut Session) -> Result<(), Failure> {
    let group = "pair";
    coordinator(s, group)?;
    let (mut a, mut b) = (Member::new(group), Member::new(group));
    a.enter(s, 1, 9, "first")?;
    let first = a.id.clone();
    s.ask("first syncs", 5, &a.sync(&[(&first, &[1])]))?;
    enter_second(s, &mut a, &mut b)?;
    let second = b.id.clone();
    s.send(2, 5, &b.sync(&[]))?;
    s.send(1, 5, &a.sync(&[(&first, &[1]), (&second, &[2])]))?;
    s.receive::<SyncGroupRequest<'_>>(1, "leader syncs", 5)?;
    s.receive::<SyncGroupRequest<'_>>(2, "follower syncs", 5)?;
    describe(s, group, "both")?;
    // A follower that knows nothing new gets the generation at once.
    s.send(2, 9, &b.join())?;
    b.entered(s, 2, 9, "follower again")?;
    s.ask("follower syncs again", 5, &b.sync(&[]))?;
    mismatches(s, group)?;
    // A follower with other metadata begins a rebalance.
    let changed = JoinGroupRequest { protocols: vec![protocol("sticky", &[9])], ..b.join() };
    s.send(2, 9, &changed)?;
    a.await_rebalance(s)?;
    s.ask("leader beats in a rebalance", 4, &a.heartbeat())?;
    s.ask("leader syncs in a rebalance", 5, &a.sync(&[]))?;
    describe(s, group, "preparing")?;
    s.send(1, 9, &a.join())?;
    a.entered(s, 1, 9, "leader rejoins")?;
    b.entered(s, 2, 9, "follower rejoined")?;
    s.ask(
        "pair leaves at once",
        5,
        &LeaveGroupRequest {
            group_id: group.into(),
            members: vec![identity(&b.id, None), identity("nobody", None), identity(&a.id, None)],
            ..Default::default()
        },
    )?;
    describe(s, group, "nobody left")
}

fn enter_second(s: &mut Session, a: &mut Member, b: &mut Member) -> Result<(), Failure> {
    s.send(2, 9, &b.join())?;
    b.entered(s, 2, 9, "second is told its id")?;
    s.ask("first while one is pending", 4, &a.heartbeat())?;
    s.send(2, 9, &b.join())?;
    a.await_rebalance(s)?;
    s.ask("first beats", 4, &a.heartbeat())?;
    s.send(1, 9, &a.join())?;
    a.entered(s, 1, 9, "first rejoins")?;
    b.entered(s, 2, 9, "second joins").map(|_| ())
}

fn mismatches(s: &mut Session, group: &str) -> Result<(), Failure> {
    let base = JoinGroupRequest { member_id: "".into(), ..Member::new(group).join() };
    // Version 3 joins without the detour of KIP-394.
    let other_type = JoinGroupRequest { protocol_type: "connect".into(), ..base.clone() };
    s.ask("another protocol type", 3, &other_type)?;
    let no_common = JoinGroupRequest { protocols: vec![protocol("other", &[1])], ..base };
    s.ask("no common protocol", 3, &no_common).map(|_| ())
}

/// Static members (KIP-345).
pub fn static_members(s: &mut Session) -> Result<(), Failure> {
    for version in versions(ApiKey::JoinGroup).filter(|v| *v >= 5) {
        let group = format!("fixed-v{version}");
        coordinator(s, &group)?;
        let mut a = Member::fixed(&group, "a");
        a.enter(s, 0, version, &format!("a v{version}"))?;
        let id = a.id.clone();
        s.ask(&format!("a syncs v{version}"), 5, &a.sync(&[(&id, &[1])]))?;
        let old = a.clone();
        a.id = String::new();
        s.send(0, version, &a.join())?;
        a.entered(s, 0, version, &format!("a returns without id v{version}"))?;
        fenced(s, &old, version)?;
        s.ask(&format!("new a beats v{version}"), 4, &a.heartbeat())?;
        let id = a.id.clone();
        s.ask(&format!("new a syncs v{version}"), 5, &a.sync(&[(&id, &[2])]))?;
        s.ask(&format!("new a beats again v{version}"), 4, &a.heartbeat())?;
        describe(s, &group, &format!("described v{version}"))?;
        let stranger = Member { id: "nobody".into(), ..a.clone() };
        s.ask(&format!("a with another id v{version}"), version, &stranger.join())?;
        let unknown = Member { instance: Some("z".into()), ..a.clone() };
        s.ask(&format!("another instance with a's id v{version}"), version, &unknown.join())?;
        s.ask(&format!("another instance beats v{version}"), 4, &unknown.heartbeat())?;
        let plain = Member { instance: None, ..a.clone() };
        s.ask(&format!("a's id alone beats v{version}"), 4, &plain.heartbeat())?;
        s.ask(
            &format!("a leaves by instance v{version}"),
            5,
            &LeaveGroupRequest {
                group_id: group.clone().into(),
                members: vec![
                    identity("", Some("z")),
                    identity("nobody", Some("a")),
                    identity("", Some("a")),
                    identity("", Some("a")),
                ],
                ..Default::default()
            },
        )?;
        describe(s, &group, &format!("left v{version}"))?;
    }
    Ok(())
}

fn fenced(s: &mut Session, old: &Member, version: i16) -> Result<(), Failure> {
    s.ask(&format!("old a beats v{version}"), 4, &old.heartbeat())?;
    s.ask(&format!("old a syncs v{version}"), 5, &old.sync(&[]))?;
    s.ask(&format!("old a joins v{version}"), version, &old.join())?;
    s.ask(&format!("old a leaves v{version}"), 5, &old.leave(5)).map(|_| ())
}

/// Wrong generations, members and protocols of a stable group.
pub fn generations(s: &mut Session) -> Result<(), Failure> {
    let group = "stable";
    coordinator(s, group)?;
    let mut a = Member::new(group);
    a.enter(s, 0, 9, "a")?;
    let id = a.id.clone();
    for version in versions(ApiKey::SyncGroup) {
        for (label, generation) in [("older", 0), ("newer", 2), ("-1", -1)] {
            let wrong = Member { generation, ..a.clone() };
            s.ask(&format!("{label} syncs early v{version}"), version, &wrong.sync(&[]))?;
        }
    }
    s.ask("syncs with strangers", 5, &a.sync(&[(&id, &[1]), ("stranger", &[2])]))?;
    for version in versions(ApiKey::SyncGroup) {
        for (label, member) in [
            ("older", Member { generation: 0, ..a.clone() }),
            ("newer", Member { generation: 2, ..a.clone() }),
            ("nobody", Member { id: "nobody".into(), ..a.clone() }),
            ("unnamed", Member { id: String::new(), ..a.clone() }),
            ("elsewhere", Member { group: "not-stable".into(), ..a.clone() }),
            ("nowhere", Member { group: String::new(), ..a.clone() }),
        ] {
            s.ask(&format!("{label} syncs v{version}"), version, &member.sync(&[]))?;
            let beat = version.min(4);
            s.ask(&format!("{label} beats v{beat} {version}"), beat, &member.heartbeat())?;
            s.ask(
                &format!("{label} leaves v{version}"),
                version,
                &LeaveGroupRequest {
                    ..match label {
                        // Its generation does not matter when it leaves: it would really go.
                        "older" | "newer" => Member { id: "x".into(), ..member }.leave(version),
                        _ => member.leave(version),
                    }
                },
            )?;
        }
    }
    for (kind, name) in [
        (Some("consumer"), Some("range")),
        (Some("consumer"), Some("sticky")),
        (Some("connect"), Some("range")),
        (None, Some("range")),
        (Some("consumer"), None),
        (Some(""), Some("")),
    ] {
        let request = SyncGroupRequest {
            protocol_type: kind.map(Into::into),
            protocol_name: name.map(Into::into),
            ..a.sync(&[])
        };
        s.ask(&format!("syncs with {kind:?} {name:?}"), 5, &request)?;
    }
    Ok(())
}

/// DescribeGroups, ListGroups, DeleteGroups.
pub fn administration(s: &mut Session) -> Result<(), Failure> {
    coordinator(s, "held")?;
    let mut held = Member::new("held");
    held.enter(s, 0, 9, "held")?;
    // Kafka describes what its log has, which is a moment later.
    until(s, "the group is described", |s| {
        let request = DescribeGroupsRequest { groups: vec!["held".into()], ..Default::default() };
        let reply = s.prepare(5, &request)?;
        let response = reply.read::<DescribeGroupsRequest<'_>>()?;
        Ok(response.groups.iter().all(|group| group.group_state != "Dead"))
    })?;
    for version in versions(ApiKey::DescribeGroups) {
        for operations in [false, true] {
            if operations && version < 3 {
                continue;
            }
            let request = DescribeGroupsRequest {
                groups: ["held", "alone-v9", "no-such-group", "", "held"].map(Into::into).to_vec(),
                include_authorized_operations: operations,
            };
            s.ask(&format!("described {operations} v{version}"), version, &request)?;
        }
        let request = DescribeGroupsRequest::default();
        s.ask(&format!("none described v{version}"), version, &request)?;
    }
    for version in versions(ApiKey::ListGroups) {
        s.ask(&format!("all v{version}"), version, &ListGroupsRequest::default())?;
        if version >= 4 {
            for state in ["Empty", "empty", "CompletingRebalance", "Dead", "Shredded", ""] {
                let request =
                    ListGroupsRequest { states_filter: vec![state.into()], types_filter: vec![] };
                s.ask(&format!("state {state:?} v{version}"), version, &request)?;
            }
        }
        if version >= 5 {
            for kind in ["classic", "Classic", "consumer", "share", "shredded", ""] {
                let request =
                    ListGroupsRequest { states_filter: vec![], types_filter: vec![kind.into()] };
                s.ask(&format!("type {kind:?} v{version}"), version, &request)?;
            }
        }
    }
    for version in versions(ApiKey::DeleteGroups) {
        let request = |names: &[&'static str]| DeleteGroupsRequest {
            groups_names: names.iter().map(|name| (*name).into()).collect(),
        };
        let doomed: &'static str =
            ["alone-v0", "alone-v1", "alone-v2"][usize::from(version.unsigned_abs())];
        let mixed = request(&["held", doomed, "no-such-group", ""]);
        s.ask(&format!("deleted v{version}"), version, &mixed)?;
        s.ask(&format!("deleted again v{version}"), version, &request(&[doomed, doomed]))?;
        s.ask(&format!("none deleted v{version}"), version, &request(&[]))?;
    }
    Ok(())
}
