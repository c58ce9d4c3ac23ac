//! How a member reaches the others: calls for votes, one stream for appends, one for heartbeats,
//! one for a snapshot, each a connection of its own.
//!
//! **Invariants**
//! - What counts for a member counts only if it comes from the member's own directory: every
//!   request names the directory it is meant for, and a stream's peer is compared with it.
//! - A heartbeat never waits behind entries or a snapshot.
//!
//! **Not here:** what is done with the others' requests (`inbound`).

mod append_stream;
pub(crate) mod messages;
pub(crate) mod snapshot_stream;

use std::future::Future;

use chronik_env::Env;
use chronik_peer::{Channel, Message, Peers};
use chronik_types::Monotonic;
use openraft::OptionalSend;
use openraft::anyerror::AnyError;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;

use crate::network::append_stream::AppendConnection;
use crate::network::messages::{
    Malformed, TransferHead, TransferredHead, VoteHead, VotedHead, head, kind, message,
};
use crate::network::snapshot_stream::send_snapshot;
use crate::state_machine::ImageSnapshot;
use crate::type_config::{Member, TypeConfig, Vote, broker_of};

/// Makes connections to other members.
pub(crate) struct Network {
    env: Env,
    peers: Peers,
}

impl Network {
    pub fn new(env: Env, peers: Peers) -> Self {
        Self { env, peers }
    }
}

/// What a client knows of the member it is for.
#[derive(Clone)]
pub(crate) struct Target {
    pub env: Env,
    pub peers: Peers,
    pub node: u64,
    pub member: Member,
}

impl Target {
    pub fn after(&self, wait: std::time::Duration) -> Monotonic {
        self.env.clock.monotonic().after(wait)
    }
}

/// A client for one member. Each user of it has one of its own.
pub(crate) struct Client {
    target: Target,
    appends: AppendConnection,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, node: u64, member: &Member) -> Client {
        let (env, peers) = (self.env.clone(), self.peers.clone());
        let target = Target { env, peers, node, member: member.clone() };
        Client { appends: AppendConnection::new(target.clone()), target }
    }
}

impl Client {
    async fn call(
        &self,
        request: Message,
        option: &RPCOption,
    ) -> Result<Message, RPCError<TypeConfig>> {
        let deadline = self.target.after(option.soft_ttl());
        let to = broker_of(self.target.node);
        let answer = self.target.peers.call(to, Channel::Raft, request, deadline).await;
        answer.map_err(|error| unreachable(&error).into())
    }

    async fn ask_for_vote(
        &self,
        kind: u16,
        request: &VoteRequest<TypeConfig>,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = message(kind, &VoteHead::new(self.target.member.directory, request));
        let answer = self.call(request, option).await?;
        let read = || head::<VotedHead>(&answer, kind::VOTED)?.response();
        read().map_err(|error| malformed(&error))
    }
}

impl NetVote<TypeConfig> for Client {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_for_vote(kind::VOTE, &request, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_for_vote(kind::PRE_VOTE, &request, &option).await
    }
}

impl NetTransferLeader<TypeConfig> for Client {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let (vote, heir) = (*request.from_leader(), *request.to_node_id());
        let to = self.target.member.directory;
        let transfer = TransferHead::new(to, &vote, heir, request.last_log_id());
        let answer = self.call(message(kind::TRANSFER, &transfer), &option).await?;
        let answer: TransferredHead =
            head(&answer, kind::TRANSFERRED).map_err(|error| malformed(&error))?;
        if answer.refused.is_empty() {
            return Ok(Ok(()));
        }
        tracing::warn!(node = self.target.node, why = answer.refused, "a voter does not take over");
        let expected = request.last_log_id().copied();
        Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual: None }))
    }
}

impl NetBackoff<TypeConfig> for Client {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<TypeConfig> for Client {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: futures_util::Stream<Item = AppendEntriesRequest<TypeConfig>>
            + OptionalSend
            + Unpin
            + 'static,
    {
        Box::pin(self.appends.run(input))
    }
}

impl NetSnapshot<TypeConfig> for Client {
    type SnapshotData = ImageSnapshot;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, ImageSnapshot>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = send_snapshot(&self.target, vote, snapshot) => sent,
        }
    }
}

fn unreachable(error: &(impl std::error::Error + 'static)) -> Unreachable<TypeConfig> {
    Unreachable::new(&AnyError::error(error.to_string()))
}

/// It was reached and answered with something else, a refusal for instance: asking again at once
/// would not help.
fn malformed(error: &Malformed) -> RPCError<TypeConfig> {
    unreachable(error).into()
}

/// The connection broke: another one may be made at once.
fn broken(why: &str) -> NetworkError<TypeConfig> {
    NetworkError::new(&AnyError::error(why.to_owned()))
}
