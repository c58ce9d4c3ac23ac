//! Any order of starts, answers, crashes and lost disks: one cluster.

use std::collections::{BTreeMap, BTreeSet};

use chronik_env::Rng;
use chronik_types::{BrokerId, DirectoryId, Uuid};

use super::decide::{Bootstrap, Local, Role, Said, Step, Voter};
use crate::type_config::Member;

/// One data directory and the process on it, if one runs.
struct Node {
    local: Local,
    directory: DirectoryId,
    process: Option<Bootstrap>,
    role: Option<Role>,
}

struct World {
    rng: Rng,
    voters: Vec<Voter>,
    nodes: BTreeMap<BrokerId, Node>,
    /// Answers on their way.
    flying: Vec<(BrokerId, BrokerId, Said)>,
    /// Clusters that were made.
    made: BTreeSet<Uuid>,
    wipes: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = Rng::from_seed(seed);
        let voter = |id| Voter { node_id: BrokerId(id), endpoint: format!("host{id}:9093") };
        let voters: Vec<Voter> = (1..=3).map(voter).collect();
        let node = |voter: &Voter| {
            let directory = DirectoryId(rng.uuid());
            let node = Node { local: Local::Empty, directory, process: None, role: None };
            (voter.node_id, node)
        };
        let nodes = voters.iter().map(node).collect();
        let (flying, made) = (Vec::new(), BTreeSet::new());
        Self { rng, voters, nodes, flying, made, wipes: 0 }
    }

    fn any(&self) -> BrokerId {
        BrokerId(1 + i32::try_from(self.rng.below(3)).unwrap())
    }

    fn act(&mut self, faults: bool) {
        let id = self.any();
        match self.rng.below(100) {
            0..15 => self.start(id),
            15..40 => self.ask(id),
            40..65 => self.answer(),
            65..92 => self.step(id),
            92..98 if faults => self.nodes.get_mut(&id).unwrap().process = None,
            98.. if faults => self.wipe(id),
            _ => self.start(id),
        }
    }

    fn start(&mut self, id: BrokerId) {
        let voters = self.voters.clone();
        let node = self.nodes.get_mut(&id).unwrap();
        if node.process.is_none() {
            let own = Member { directory: node.directory, endpoint: String::new(), stands: true };
            let start = Bootstrap::new(id, own, &voters, BTreeSet::new(), node.local);
            (node.process, node.role) = (Some(start), None);
        }
    }

    fn ask(&mut self, from: BrokerId) {
        let to = self.any();
        let node = &self.nodes[&to];
        if from == to || node.process.is_none() || self.nodes[&from].process.is_none() {
            return;
        }
        let voters = self.voters.iter().map(|voter| voter.node_id).collect();
        let said = Said { local: node.local, directory: node.directory, voters };
        self.flying.push((from, to, said));
    }

    fn answer(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let place = self.rng.below(self.flying.len() as u64) as usize;
        let (asker, of, said) = self.flying.swap_remove(place);
        if let Some(process) = &mut self.nodes.get_mut(&asker).unwrap().process {
            process.heard(of, said);
        }
    }

    fn step(&mut self, id: BrokerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(process) = &mut node.process else { return };
        match process.step() {
            Step::Ask(_) => {}
            Step::Format(cluster) => {
                let cluster = cluster.unwrap_or_else(|| self.rng.uuid());
                node.local = Local::Formatted(cluster);
                process.formatted(cluster);
            }
            Step::Done(decision) => {
                assert_eq!(node.local.cluster_id(), Some(decision.cluster_id));
                if node.role.is_none()
                    && let Role::Initialise(members) = &decision.role
                    && !matches!(node.local, Local::Member(_))
                {
                    assert_eq!(members[&id].directory, node.directory);
                    self.made.insert(decision.cluster_id);
                    node.local = Local::Member(decision.cluster_id);
                    // It is elected by those whose directories are the members' own.
                    let members = members.clone();
                    self.elect(&members, decision.cluster_id);
                }
                self.nodes.get_mut(&id).unwrap().role = Some(decision.role);
            }
        }
    }

    fn elect(&mut self, members: &BTreeMap<BrokerId, Member>, cluster: Uuid) {
        for (id, member) in members {
            let node = self.nodes.get_mut(id).unwrap();
            if node.directory == member.directory && node.local == Local::Formatted(cluster) {
                node.local = Local::Member(cluster);
            }
        }
    }

    /// A disk is replaced, of one node once its cluster is there.
    fn wipe(&mut self, id: BrokerId) {
        if self.wipes == 0 && !self.made.is_empty() {
            self.wipes += 1;
            let directory = DirectoryId(self.rng.uuid());
            let node = Node { local: Local::Empty, directory, process: None, role: None };
            self.nodes.insert(id, node);
        }
    }
}

#[test]
fn however_nodes_start_crash_and_lose_a_disk_there_is_one_cluster() {
    for seed in 0..2_000 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.act(true);
            assert!(world.made.len() <= 1, "SEED={seed}: two clusters");
        }
        for _ in 0..3_000 {
            world.act(false);
        }
        let clusters: BTreeSet<_> = world.nodes.values().map(|n| n.local.cluster_id()).collect();
        assert_eq!(clusters.len(), 1, "SEED={seed}");
        assert_eq!(world.made.len(), 1, "SEED={seed}: no cluster was made");
        assert_eq!(clusters.first(), Some(&world.made.first().copied()), "SEED={seed}");
    }
}

#[test]
pub(crate) fn an_empty_directory_beside_a_member_is_an_observer() {
    let voters: Vec<Voter> =
        (1..=3).map(|id| Voter { node_id: BrokerId(id), endpoint: String::new() }).collect();
    let cluster = Uuid([9; 16]);
    for me in 1..=3 {
        let mut state =
            Bootstrap::new(BrokerId(me), Member::default(), &voters, BTreeSet::new(), Local::Empty);
        let said = Said {
            local: Local::Member(cluster),
            directory: DirectoryId(Uuid([1; 16])),
            voters: voters.iter().map(|voter| voter.node_id).collect(),
        };
        state.heard(BrokerId(1 + me % 3), said);
        assert_eq!(state.step(), Step::Format(Some(cluster)));
        state.formatted(cluster);
        let Step::Done(decision) = state.step() else { panic!("it waits") };
        assert_eq!(decision.role, Role::Observer);
    }
}
