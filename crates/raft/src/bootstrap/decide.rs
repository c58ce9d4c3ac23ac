//! The decision, without network or disk.

use std::collections::{BTreeMap, BTreeSet};

use chronik_types::{BrokerId, DirectoryId, Uuid};

use crate::bugs;
use crate::type_config::Member;

/// A voter as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its number.
    pub node_id: BrokerId,
    /// `host:port` of its controller listener.
    pub endpoint: String,
}

/// What a data directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Nothing: it belongs to no cluster yet.
    Empty,
    /// It knows its cluster; it has neither voted nor appended anything.
    Formatted(Uuid),
    /// It has voted, or holds entries of the metadata log.
    Member(Uuid),
}

impl Local {
    /// The cluster, if it is known.
    #[must_use]
    pub fn cluster_id(self) -> Option<Uuid> {
        match self {
            Self::Empty => None,
            Self::Formatted(id) | Self::Member(id) => Some(id),
        }
    }
}

/// As what a node goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It makes the cluster: these are the first voters.
    Initialise(BTreeMap<BrokerId, Member>),
    /// It is, or is about to become, a member: the leader will be in touch.
    Wait,
    /// It asks the leader to take part.
    Observer,
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The cluster.
    pub cluster_id: Uuid,
    /// As what to go on.
    pub role: Role,
}

/// What a voter has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub local: Local,
    pub directory: DirectoryId,
    /// Whom it takes for the voters.
    pub voters: BTreeSet<BrokerId>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask the voters again; this is why.
    Ask(String),
    /// Write `meta.properties` with this cluster, or with a new one, then say
    /// [`Bootstrap::formatted`].
    Format(Option<Uuid>),
    /// Go on.
    Done(Decision),
}

/// One node's view.
pub(crate) struct Bootstrap {
    me: BrokerId,
    own: Member,
    voters: BTreeMap<BrokerId, String>,
    /// Voters that an operator has declared gone.
    without: BTreeSet<BrokerId>,
    local: Local,
    said: BTreeMap<BrokerId, Said>,
    /// The cluster exists, so this directory, empty until now, is a new one.
    late: bool,
}

impl Bootstrap {
    pub fn new(
        me: BrokerId,
        own: Member,
        voters: &[Voter],
        without: BTreeSet<BrokerId>,
        local: Local,
    ) -> Self {
        let voters = voters.iter().map(|v| (v.node_id, v.endpoint.clone())).collect();
        Self { me, own, voters, without, local, said: BTreeMap::new(), late: false }
    }

    /// A voter has answered.
    pub fn heard(&mut self, from: BrokerId, said: Said) {
        self.said.insert(from, said);
    }

    /// `meta.properties` is written and synced.
    pub fn formatted(&mut self, cluster_id: Uuid) {
        self.local = Local::Formatted(cluster_id);
    }

    pub fn local(&self) -> Local {
        self.local
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        let done = |cluster_id, role| Step::Done(Decision { cluster_id, role });
        let votes = self.voters.contains_key(&self.me);
        match self.local {
            Local::Member(id) if votes => return done(id, Role::Wait),
            Local::Member(id) => return done(id, Role::Observer),
            Local::Formatted(id) if self.late || !votes => return done(id, Role::Observer),
            Local::Formatted(_) | Local::Empty => {}
        }
        if let Some(existing) = self.existing_cluster() {
            return match self.local {
                Local::Formatted(id) if id == existing => done(id, Role::Wait),
                Local::Formatted(_) | Local::Member(_) => Step::Ask(format!(
                    "the voters belong to cluster {existing}, this node does not"
                )),
                Local::Empty => {
                    self.late = !bugs::vote_with_a_new_disk();
                    Step::Format(Some(existing))
                }
            };
        }
        let first = self.founders().next();
        match (self.local, first) {
            (_, Some(first)) if first == self.me => self.found(),
            (Local::Formatted(id), _) => done(id, Role::Wait),
            (_, Some(first)) if votes => match self.said.get(&first).map(|said| said.local) {
                Some(Local::Formatted(id)) => Step::Format(Some(id)),
                Some(_) => Step::Ask(format!("node {first} has not made the cluster yet")),
                None => Step::Ask(format!("node {first} has not answered")),
            },
            _ => Step::Ask("no voter is a member of a cluster yet".to_owned()),
        }
    }

    /// The voters that make a cluster, lowest first.
    fn founders(&self) -> impl Iterator<Item = BrokerId> {
        self.voters.keys().copied().filter(|voter| !self.without.contains(voter))
    }

    /// The cluster of a voter that is a member.
    fn existing_cluster(&self) -> Option<Uuid> {
        let voters = self.said.iter().filter(|(id, _)| self.voters.contains_key(id));
        voters.into_iter().find_map(|(_, said)| match said.local {
            Local::Member(id) => Some(id),
            Local::Empty | Local::Formatted(_) => None,
        })
    }

    /// The steps of the voter that makes the cluster.
    fn found(&self) -> Step {
        let own: BTreeSet<BrokerId> = self.voters.keys().copied().collect();
        let mut members = BTreeMap::from([(self.me, self.own.clone())]);
        let mut clusters: BTreeSet<Uuid> = self.local.cluster_id().into_iter().collect();
        let mut unformatted = None;
        for voter in self.founders().filter(|voter| *voter != self.me) {
            let Some(said) = self.said.get(&voter) else {
                return Step::Ask(format!("node {voter} has not answered"));
            };
            if said.voters != own {
                return Step::Ask(format!("node {voter} has other voters in its configuration"));
            }
            clusters.extend(said.local.cluster_id());
            if said.local == Local::Empty {
                unformatted = Some(voter);
            }
            let endpoint = self.voters.get(&voter).cloned().unwrap_or_default();
            let member = Member { directory: said.directory, endpoint, stands: true };
            members.insert(voter, member);
        }
        let mut clusters = clusters.into_iter();
        match (clusters.next(), clusters.next(), self.local, unformatted) {
            (_, Some(_), _, _) => Step::Ask(
                "the voters' directories belong to different clusters; remove those that hold \
                 nothing"
                    .to_owned(),
            ),
            (cluster, None, Local::Empty, _) => Step::Format(cluster),
            (Some(_), None, _, Some(voter)) => {
                Step::Ask(format!("node {voter} has not adopted the cluster yet"))
            }
            (Some(cluster_id), None, _, None) => {
                Step::Done(Decision { cluster_id, role: Role::Initialise(members) })
            }
            (None, None, _, _) => Step::Format(None),
        }
    }
}
