//! AddRaftVoter and RemoveRaftVoter: who votes in the metadata quorum (KIP-853). Answered by the
//! node that leads it; the others relay (`quorum_relay`).

use std::time::Duration;

use chronik_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse,
};
use chronik_raft::{Member, MembershipError};
use chronik_types::{BrokerId, DirectoryId, ErrorCode, Uuid};

use crate::Broker;
use crate::api::context::Context;
use crate::quorum_relay::{self, Answer};

/// RemoveRaftVoter carries no timeout; Kafka's clients give up after this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Code and words.
type Outcome = (ErrorCode, Option<String>);

/// Serves AddRaftVoter.
pub(crate) async fn add(
    broker: &Broker,
    ctx: &Context,
    body: &[u8],
    request: AddRaftVoterRequest<'_>,
) -> Answer<AddRaftVoterResponse<'static>> {
    if broker.leads_quorum() {
        return Answer::Here(add_here(broker, request).await);
    }
    let deadline = broker.deadline(request.timeout_ms);
    match quorum_relay::ask(broker, ctx, body, deadline).await {
        Some(answer) => Answer::Relayed(answer),
        None => Answer::Here(AddRaftVoterResponse {
            error_code: ErrorCode::RequestTimedOut.code(),
            error_message: None,
            ..Default::default()
        }),
    }
}

/// Serves RemoveRaftVoter.
pub(crate) async fn remove(
    broker: &Broker,
    ctx: &Context,
    body: &[u8],
    request: RemoveRaftVoterRequest<'_>,
) -> Answer<RemoveRaftVoterResponse<'static>> {
    if broker.leads_quorum() {
        return Answer::Here(remove_here(broker, request).await);
    }
    let deadline = broker.env.clock.monotonic().after(PATIENCE);
    match quorum_relay::ask(broker, ctx, body, deadline).await {
        Some(answer) => Answer::Relayed(answer),
        None => Answer::Here(RemoveRaftVoterResponse {
            error_code: ErrorCode::RequestTimedOut.code(),
            error_message: None,
            ..Default::default()
        }),
    }
}

/// Answers AddRaftVoter on the node that leads.
pub(crate) async fn add_here(
    broker: &Broker,
    request: AddRaftVoterRequest<'_>,
) -> AddRaftVoterResponse<'static> {
    let (code, message) = match check_cluster(broker, request.cluster_id.as_deref()) {
        Some(refused) => refused,
        None => add_voter(broker, request).await,
    };
    AddRaftVoterResponse {
        error_code: code.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}

async fn add_voter(broker: &Broker, request: AddRaftVoterRequest<'_>) -> Outcome {
    let invalid = |why: &str| (ErrorCode::InvalidRequest, Some(why.to_owned()));
    let directory = DirectoryId(request.voter_directory_id);
    if request.voter_id < 0 || request.voter_directory_id == Uuid::ZERO {
        return invalid("Add voter request didn't include a valid voter");
    }
    let wanted = broker.options.internal.as_ref().map(|internal| internal.listener.as_str());
    let named = request.listeners.iter().find(|listener| Some(&*listener.name) == wanted);
    let Some(listener) = named else {
        return invalid("Add voter request didn't include the endpoint for the default listener");
    };
    let host = if listener.host.contains(':') {
        format!("[{}]", listener.host)
    } else {
        listener.host.to_string()
    };
    let endpoint = format!("{host}:{}", listener.port);
    let member = Member { directory, endpoint, stands: true };
    let deadline = broker.deadline(request.timeout_ms);
    told(broker.metadata.add_voter(BrokerId(request.voter_id), member, deadline).await)
}

/// Answers RemoveRaftVoter on the node that leads.
pub(crate) async fn remove_here(
    broker: &Broker,
    request: RemoveRaftVoterRequest<'_>,
) -> RemoveRaftVoterResponse<'static> {
    let (code, message) = match check_cluster(broker, request.cluster_id.as_deref()) {
        Some(refused) => refused,
        None if request.voter_id < 0 || request.voter_directory_id == Uuid::ZERO => {
            let why = "Remove voter request didn't include a valid voter";
            (ErrorCode::InvalidRequest, Some(why.to_owned()))
        }
        None => {
            let deadline = broker.env.clock.monotonic().after(PATIENCE);
            let voter = BrokerId(request.voter_id);
            let directory = DirectoryId(request.voter_directory_id);
            told(broker.metadata.remove_voter(voter, directory, deadline).await)
        }
    };
    RemoveRaftVoterResponse {
        error_code: code.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}

fn check_cluster(broker: &Broker, cluster_id: Option<&str>) -> Option<Outcome> {
    let own = broker.cluster_id.to_string();
    let given = cluster_id.filter(|given| *given != own)?;
    let why = format!("The given id \"{given}\" doesn't match the cluster id \"{own}\"");
    Some((ErrorCode::InconsistentClusterId, Some(why)))
}

fn told(result: Result<(), MembershipError>) -> Outcome {
    let Err(error) = result else { return (ErrorCode::None, None) };
    let code = match error {
        MembershipError::NotLeader(_) => ErrorCode::NotLeaderOrFollower,
        MembershipError::DuplicateVoter(_) | MembershipError::InUse(_) => ErrorCode::DuplicateVoter,
        MembershipError::NoSuchVoter(_) => ErrorCode::VoterNotFound,
        MembershipError::LastVoter(_) => ErrorCode::InvalidRequest,
        MembershipError::TimedOut => ErrorCode::RequestTimedOut,
        MembershipError::Stopped(_) => ErrorCode::BrokerNotAvailable,
    };
    (code, Some(error.to_string()))
}
