//! What members of the quorum say to each other: kinds `0x01xx` of the internal protocol.
//!
//! **Invariants**
//! - A tag is for ever. A field that is missing or does not fit is an error, never a panic, and
//!   nothing is allocated for what is only claimed.
//! - Every request of a voter names the directory it is meant for, so that one which reaches a
//!   node whose disk was replaced is not taken for its own.

use bytes::{Buf, Bytes};
use chronik_peer::Message;
use chronik_types::{DirectoryId, Uuid};
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, VoteRequest, VoteResponse};
use prost::Message as _;

use crate::entry_codec::MembershipBody;
use crate::proposal::Proposal;
use crate::type_config::{CommittedLeaderId, Entry, LogId, TypeConfig, Vote};

/// The kinds of message.
pub(crate) mod kind {
    pub const PROBE: u16 = 0x0101;
    pub const PROBED: u16 = 0x0102;
    pub const VOTE: u16 = 0x0103;
    pub const PRE_VOTE: u16 = 0x0104;
    pub const VOTED: u16 = 0x0105;
    pub const TRANSFER: u16 = 0x0106;
    pub const TRANSFERRED: u16 = 0x0107;
    pub const JOIN: u16 = 0x0108;
    pub const JOINED: u16 = 0x0109;
    pub const APPEND_STREAM: u16 = 0x0110;
    pub const APPEND: u16 = 0x0111;
    pub const APPENDED: u16 = 0x0112;
    pub const SNAPSHOT_STREAM: u16 = 0x0120;
    pub const SNAPSHOT_PIECE: u16 = 0x0121;
    pub const SNAPSHOT_END: u16 = 0x0122;
    pub const SNAPSHOT_INSTALLED: u16 = 0x0123;
    pub const REFUSED: u16 = 0x01FF;
}

/// Why another node's message is not served, or not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

fn missing(what: &str) -> Malformed {
    Malformed(format!("a message of the metadata quorum lacks {what}"))
}

/// A message with this head.
pub(crate) fn message(kind: u16, head: &impl prost::Message) -> Message {
    Message::new(kind, head.encode_to_vec())
}

/// The head of a message of this kind; what a peer refused is an error with its words.
pub(crate) fn head<H: prost::Message + Default>(
    message: &Message,
    kind: u16,
) -> Result<H, Malformed> {
    if message.kind == kind::REFUSED {
        return Err(Malformed(Refused::decode(message.head.clone())?.why));
    }
    if message.kind != kind {
        return Err(Malformed(format!("it answers {:#06x} instead of {kind:#06x}", message.kind)));
    }
    Ok(H::decode(message.head.clone())?)
}

/// The answer to a request that is not served.
pub(crate) fn refusal(why: impl Into<String>) -> Message {
    message(kind::REFUSED, &Refused { why: why.into() })
}

#[derive(Clone, PartialEq, prost::Message)]
struct Refused {
    #[prost(string, tag = "1")]
    why: String,
}

/// A vote.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct VoteBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(bool, tag = "3")]
    committed: bool,
}

impl From<&Vote> for VoteBody {
    fn from(vote: &Vote) -> Self {
        let leader = vote.leader_id;
        Self { term: leader.term, node: leader.voted_for, committed: vote.committed }
    }
}

impl From<VoteBody> for Vote {
    fn from(body: VoteBody) -> Self {
        if body.committed {
            Self::new_committed(body.term, body.node)
        } else {
            Self::new(body.term, body.node)
        }
    }
}

fn vote(body: Option<VoteBody>) -> Result<Vote, Malformed> {
    let vote: Vote = body.ok_or_else(|| missing("a vote"))?.into();
    // A term is a leader epoch, and a node's number is never negative: both fit.
    let fits = i32::try_from(vote.leader_id.term).is_ok()
        && i32::try_from(vote.leader_id.voted_for).is_ok();
    fits.then_some(vote).ok_or_else(|| Malformed("a term or number is out of range".to_owned()))
}

/// The name of an entry.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct LogIdBody {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

impl From<&LogId> for LogIdBody {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl LogIdBody {
    fn log_id(self) -> Result<LogId, Malformed> {
        let fits = i32::try_from(self.term).is_ok() && i64::try_from(self.index).is_ok();
        let id = LogId { leader_id: CommittedLeaderId::from(self.term), index: self.index };
        fits.then_some(id).ok_or_else(|| Malformed("a term or index is out of range".to_owned()))
    }
}

fn log_id(body: Option<LogIdBody>) -> Result<Option<LogId>, Malformed> {
    body.map(LogIdBody::log_id).transpose()
}

/// Asks for a vote, or whether it would be given.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VoteHead {
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteBody>,
    #[prost(message, optional, tag = "3")]
    last_log_id: Option<LogIdBody>,
    #[prost(bool, tag = "4")]
    leadership_transfer: bool,
}

impl VoteHead {
    pub fn new(to: DirectoryId, request: &VoteRequest<TypeConfig>) -> Self {
        Self {
            to: directory(to),
            vote: Some((&request.vote).into()),
            last_log_id: request.last_log_id.as_ref().map(Into::into),
            leadership_transfer: request.leadership_transfer,
        }
    }

    pub fn request(self) -> Result<VoteRequest<TypeConfig>, Malformed> {
        let mut request = VoteRequest::new(vote(self.vote)?, log_id(self.last_log_id)?);
        request.leadership_transfer = self.leadership_transfer;
        Ok(request)
    }
}

/// The answer to [`VoteHead`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VotedHead {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteBody>,
    #[prost(message, optional, tag = "2")]
    last_log_id: Option<LogIdBody>,
    #[prost(bool, tag = "3")]
    granted: bool,
}

impl VotedHead {
    pub fn new(response: &VoteResponse<TypeConfig>) -> Self {
        Self {
            vote: Some((&response.vote).into()),
            last_log_id: response.last_log_id.as_ref().map(Into::into),
            granted: response.vote_granted,
        }
    }

    pub fn response(self) -> Result<VoteResponse<TypeConfig>, Malformed> {
        let (vote, last) = (vote(self.vote)?, log_id(self.last_log_id)?);
        Ok(VoteResponse::new(vote, last, self.granted))
    }
}

/// Hands the leadership over.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferHead {
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteBody>,
    #[prost(uint64, tag = "3")]
    pub heir: u64,
    #[prost(message, optional, tag = "4")]
    last_log_id: Option<LogIdBody>,
}

impl TransferHead {
    pub fn new(to: DirectoryId, vote: &Vote, heir: u64, last: Option<&LogId>) -> Self {
        Self { to: directory(to), vote: Some(vote.into()), heir, last_log_id: last.map(Into::into) }
    }

    pub fn parts(self) -> Result<(Vote, u64, Option<LogId>), Malformed> {
        Ok((vote(self.vote)?, self.heir, log_id(self.last_log_id)?))
    }
}

/// The answer to [`TransferHead`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferredHead {
    /// Empty: accepted.
    #[prost(string, tag = "1")]
    pub refused: String,
}

/// The first message of a stream of appends or of a snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamHead {
    #[prost(bytes = "bytes", tag = "1")]
    pub to: Bytes,
}

/// Entries, or none: a heartbeat. Their bytes are the payload.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendHead {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(message, optional, tag = "2")]
    vote: Option<VoteBody>,
    #[prost(message, optional, tag = "3")]
    prev: Option<LogIdBody>,
    #[prost(message, optional, tag = "4")]
    committed: Option<LogIdBody>,
    #[prost(message, repeated, tag = "5")]
    entries: Vec<EntryHead>,
    /// Only a refusal is answered.
    #[prost(bool, tag = "6")]
    tacit: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct EntryHead {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(enumeration = "EntryKind", tag = "2")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum EntryKind {
    Blank = 0,
    Changes = 1,
    Membership = 2,
}

/// The message of an append; one that is `tacit` is answered only if it is refused.
pub(crate) fn append(
    number: u64,
    request: &AppendEntriesRequest<TypeConfig>,
    tacit: bool,
) -> Message {
    let mut payload = Vec::with_capacity(request.entries.len());
    let mut entries = Vec::with_capacity(request.entries.len());
    for entry in &request.entries {
        let (kind, bytes) = match &entry.payload {
            EntryPayload::Blank => (EntryKind::Blank, Bytes::new()),
            EntryPayload::Normal(proposal) => (EntryKind::Changes, proposal.encoded().clone()),
            EntryPayload::Membership(membership) => {
                let body = MembershipBody::from(membership).encode_to_vec();
                (EntryKind::Membership, body.into())
            }
        };
        entries.push(EntryHead {
            term: entry.log_id.leader_id.term,
            kind: kind.into(),
            // An entry fits in a batch, which is far below 4 GiB.
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        });
        if !bytes.is_empty() {
            payload.push(bytes);
        }
    }
    let head = AppendHead {
        number,
        vote: Some((&request.vote).into()),
        prev: request.prev_log_id.as_ref().map(Into::into),
        committed: request.leader_commit.as_ref().map(Into::into),
        entries,
        tacit,
    };
    message(kind::APPEND, &head).with_payload(payload)
}

/// An append as it arrived.
#[derive(Debug)]
pub(crate) struct NumberedAppend {
    pub number: u64,
    /// Only a refusal is answered.
    pub tacit: bool,
    pub request: AppendEntriesRequest<TypeConfig>,
}

/// The append in `message`.
///
/// # Errors
/// When it does not hold together: openraft takes the order of entries for granted.
pub(crate) fn read_append(message: &Message) -> Result<NumberedAppend, Malformed> {
    let head: AppendHead = head(message, kind::APPEND)?;
    let (vote, prev) = (vote(head.vote)?, log_id(head.prev)?);
    let mut body = message.body();
    let mut entries = Vec::new();
    let mut last = prev;
    for entry in head.entries {
        let id = LogId {
            leader_id: CommittedLeaderId::from(entry.term),
            index: last.map_or(0, |last| last.index.saturating_add(1)),
        };
        if last.is_some_and(|last| last.leader_id > id.leader_id)
            || entry.term > vote.leader_id.term
        {
            return Err(Malformed("its entries are out of order".to_owned()));
        }
        entries.push(Entry { log_id: id, payload: payload(entry, &mut body)? });
        last = Some(id);
    }
    if body.has_remaining() {
        return Err(Malformed("it has bytes that no entry claims".to_owned()));
    }
    let leader_commit = log_id(head.committed)?;
    let request = AppendEntriesRequest { vote, prev_log_id: prev, entries, leader_commit };
    Ok(NumberedAppend { number: head.number, tacit: head.tacit, request })
}

fn payload(
    entry: EntryHead,
    body: &mut Bytes,
) -> Result<EntryPayload<Proposal, u64, crate::Member>, Malformed> {
    let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
    if bytes > body.len() {
        return Err(Malformed("an entry is cut off".to_owned()));
    }
    let bytes = body.split_to(bytes);
    match EntryKind::try_from(entry.kind) {
        Ok(EntryKind::Blank) => Ok(EntryPayload::Blank),
        // The message holds many entries; one that stays in memory does not keep the others.
        Ok(EntryKind::Changes) => {
            let own = Bytes::copy_from_slice(&bytes);
            Ok(EntryPayload::Normal(Proposal::from_encoded(own)))
        }
        Ok(EntryKind::Membership) => {
            let membership = MembershipBody::decode(bytes)?.try_into().map_err(Malformed)?;
            Ok(EntryPayload::Membership(membership))
        }
        Err(_) => Err(Malformed(format!("an entry is of the unknown kind {}", entry.kind))),
    }
}

/// What became of an append.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AppendedHead {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(oneof = "AppendedBody", tags = "2, 3, 4")]
    outcome: Option<AppendedBody>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
enum AppendedBody {
    #[prost(message, tag = "2")]
    Matching(MatchingBody),
    #[prost(message, tag = "3")]
    Conflict(LogIdBody),
    #[prost(message, tag = "4")]
    Higher(VoteBody),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct MatchingBody {
    #[prost(message, optional, tag = "1")]
    last: Option<LogIdBody>,
}

type Outcome = Result<Option<LogId>, StreamAppendError<TypeConfig>>;

impl AppendedHead {
    pub fn new(number: u64, outcome: &Outcome) -> Self {
        let outcome = match outcome {
            Ok(last) => {
                AppendedBody::Matching(MatchingBody { last: last.as_ref().map(Into::into) })
            }
            Err(StreamAppendError::Conflict(id)) => AppendedBody::Conflict(id.into()),
            Err(StreamAppendError::HigherVote(vote)) => AppendedBody::Higher(vote.into()),
        };
        Self { number, outcome: Some(outcome) }
    }

    pub fn outcome(self) -> Result<Outcome, Malformed> {
        Ok(match self.outcome.ok_or_else(|| missing("an outcome"))? {
            AppendedBody::Matching(matching) => Ok(log_id(matching.last)?),
            AppendedBody::Conflict(id) => Err(StreamAppendError::Conflict(id.log_id()?)),
            AppendedBody::Higher(body) => Err(StreamAppendError::HigherVote(vote(Some(body))?)),
        })
    }
}

/// The last message of a snapshot: what it is a snapshot of. The pieces before it are the image.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SnapshotEndHead {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteBody>,
    #[prost(message, optional, tag = "2")]
    last: Option<LogIdBody>,
    #[prost(message, optional, tag = "3")]
    membership: Option<MembershipBody>,
    #[prost(message, optional, tag = "4")]
    membership_at: Option<LogIdBody>,
}

type Meta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

impl SnapshotEndHead {
    pub fn new(vote: &Vote, meta: &Meta) -> Self {
        let membership = &meta.last_membership;
        Self {
            vote: Some(vote.into()),
            last: meta.last_log_id.as_ref().map(Into::into),
            membership: Some(membership.membership().into()),
            membership_at: membership.log_id().as_ref().map(Into::into),
        }
    }

    pub fn parts(self) -> Result<(Vote, Meta), Malformed> {
        let vote = vote(self.vote)?;
        let last = log_id(self.last)?.ok_or_else(|| missing("the last entry"))?;
        if last.leader_id.term > vote.leader_id.term {
            return Err(Malformed("a snapshot is of a later term than its leader".to_owned()));
        }
        let membership = self.membership.ok_or_else(|| missing("a membership"))?;
        let membership = membership.try_into().map_err(Malformed)?;
        let at = log_id(self.membership_at)?;
        let last_membership = crate::type_config::StoredMembership::new(at, membership);
        Ok((vote, Meta { last_log_id: Some(last), last_membership }))
    }
}

/// The answer to a snapshot.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct InstalledHead {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteBody>,
}

impl InstalledHead {
    pub fn new(vote: &Vote) -> Self {
        Self { vote: Some(vote.into()) }
    }

    pub fn vote(self) -> Result<Vote, Malformed> {
        vote(self.vote)
    }
}

/// Asks the leader to take part.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct JoinHead {
    #[prost(bytes = "bytes", tag = "1")]
    pub directory: Bytes,
    #[prost(string, tag = "2")]
    pub endpoint: String,
    #[prost(bool, tag = "3")]
    pub stands: bool,
}

/// The answer to [`JoinHead`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct JoinedHead {
    /// The leader, if the one asked is not, and knows.
    #[prost(int32, optional, tag = "1")]
    pub leader: Option<i32>,
    /// Where the leader is.
    #[prost(string, tag = "2")]
    pub leader_endpoint: String,
    /// Empty: on its way.
    #[prost(string, tag = "3")]
    pub refused: String,
}

/// A directory id as a field.
pub(crate) fn directory(id: DirectoryId) -> Bytes {
    Bytes::copy_from_slice(&id.0.0)
}

/// A field as a directory id.
pub(crate) fn read_directory(bytes: &[u8]) -> Result<DirectoryId, Malformed> {
    let bytes: [u8; 16] =
        bytes.try_into().map_err(|_| Malformed("a directory id has not 16 bytes".to_owned()))?;
    Ok(DirectoryId(Uuid(bytes)))
}
