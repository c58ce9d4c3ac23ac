//! Asks the voters until it is clear which cluster this node belongs to.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Env;
use chronik_peer::{Address, Channel, Message, Peers};
use chronik_types::{BrokerId, DirectoryId, Uuid};
use parking_lot::Mutex;

use super::decide::{Bootstrap, Decision, Local, Said, Step, Voter};
use super::wire::{probe, probed, read_probed};
use crate::endpoint::parse_endpoint;
use crate::member_mark::MemberMark;
use crate::network::messages::kind;
use crate::type_config::Member;

/// Between two rounds of questions.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How often it is said why this node still waits.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A node that does not know yet how to go on.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its number.
    pub node_id: BrokerId,
    /// Its first data directory; the id is on disk already, so that it stays the same whatever
    /// happens.
    pub directory: DirectoryId,
    /// `host:port` where other nodes reach it.
    pub endpoint: String,
    /// The configured voters.
    pub voters: Vec<Voter>,
    /// Those of them that an operator has declared gone, to make a cluster without them.
    pub without: BTreeSet<BrokerId>,
    /// What the directory holds.
    pub local: Local,
}

/// What the directories of a node hold: `cluster_id` is what `meta.properties` says, `snapshot_dir`
/// where snapshots of the image are kept.
#[must_use]
pub fn local_state(env: &Env, cluster_id: Option<Uuid>, snapshot_dir: &Path) -> Local {
    match cluster_id {
        None => Local::Empty,
        Some(id) if MemberMark::read(env, snapshot_dir).is_set() => Local::Member(id),
        Some(id) => Local::Formatted(id),
    }
}

/// The cluster could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// A voter's address is not one.
    #[error("`{0}` is not the host:port of a voter")]
    Endpoint(String),
    /// `meta.properties` could not be written.
    #[error("the data directory could not be formatted: {0}")]
    Format(#[from] io::Error),
}

/// Answers the others' questions, from before the cluster is known until the quorum runs. Clones
/// share it.
#[derive(Clone)]
pub struct Answers {
    local: Arc<Mutex<Local>>,
    directory: DirectoryId,
    voters: Arc<BTreeSet<BrokerId>>,
}

impl Answers {
    /// What `node` answers.
    #[must_use]
    pub fn new(node: &Newcomer) -> Self {
        Self {
            local: Arc::new(Mutex::new(node.local)),
            directory: node.directory,
            voters: Arc::new(node.voters.iter().map(|voter| voter.node_id).collect()),
        }
    }

    /// The answer to `request`, if it is a question of this module.
    #[must_use]
    pub fn handle(&self, request: &Message) -> Option<Message> {
        (request.kind == kind::PROBE)
            .then(|| probed(*self.local.lock(), self.directory, &self.voters))
    }
}

/// Finds out which cluster this node belongs to, asking as long as it takes, and as what it goes
/// on. `format` writes `meta.properties` with the cluster it is given, and syncs it; it is called
/// only for an empty directory. Meanwhile `answers` must answer the others' questions.
///
/// # Errors
/// See [`BootstrapError`].
pub async fn join<F>(
    env: &Env,
    peers: &Peers,
    node: Newcomer,
    answers: &Answers,
    mut format: impl FnMut(Uuid) -> F,
) -> Result<Decision, BootstrapError>
where
    F: Future<Output = io::Result<()>>,
{
    for voter in node.voters.iter().filter(|voter| voter.node_id != node.node_id) {
        let endpoint = &voter.endpoint;
        let (host, port) =
            parse_endpoint(endpoint).ok_or_else(|| BootstrapError::Endpoint(endpoint.clone()))?;
        peers.set_address(voter.node_id, Address { host, port, directory_id: None });
    }
    let own = Member { directory: node.directory, endpoint: node.endpoint, stands: true };
    let mut state = Bootstrap::new(node.node_id, own, &node.voters, node.without, node.local);
    let mut said_at = None;
    loop {
        match state.step() {
            Step::Done(decision) => return Ok(decision),
            Step::Format(cluster_id) => {
                let cluster_id = cluster_id.unwrap_or_else(|| env.rng.uuid());
                format(cluster_id).await?;
                state.formatted(cluster_id);
                *answers.local.lock() = state.local();
            }
            Step::Ask(why) => {
                let now = env.clock.monotonic();
                if said_at.is_some_and(|at| now.since(at) >= SAY_EVERY) {
                    tracing::info!(why, "waiting for the cluster");
                }
                if said_at.is_none_or(|at| now.since(at) >= SAY_EVERY) {
                    said_at = Some(now);
                }
                ask(env, peers, node.node_id, &node.voters, &mut state).await;
            }
        }
    }
}

/// One round of questions.
async fn ask(env: &Env, peers: &Peers, me: BrokerId, voters: &[Voter], state: &mut Bootstrap) {
    let deadline = env.clock.monotonic().after(ANSWER);
    let questions = voters.iter().filter(|voter| voter.node_id != me).map(|voter| async {
        let answer = peers.call(voter.node_id, Channel::Raft, probe(), deadline).await;
        let said: Option<Said> = match answer.map(|answer| read_probed(&answer)) {
            Ok(Ok(said)) => Some(said),
            Ok(Err(why)) => {
                tracing::debug!(node = voter.node_id.0, %why, "a voter answers something else");
                None
            }
            Err(error) => {
                tracing::debug!(node = voter.node_id.0, %error, "a voter does not answer");
                None
            }
        };
        (voter.node_id, said)
    });
    let answers = futures_util::future::join_all(questions).await;
    for (node, said) in answers {
        if let Some(said) = said {
            state.heard(node, said);
        }
    }
    if !matches!(state.step(), Step::Done(_) | Step::Format(_)) {
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
