//! A snapshot on its way to a member: in pieces, over a stream of its own.
//!
//! **Invariants**: neither side holds more than a piece beside the image itself, and building and
//! reading pieces gives other tasks their turn.

use std::time::Duration;

use chronik_metadata::Image;
use chronik_metadata::snapshot::{self, SnapshotReader};
use chronik_peer::{Channel, Message, PeerStream};
use openraft::errors::StreamingError;
use openraft::raft::SnapshotResponse;
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};

use crate::network::messages::{
    InstalledHead, Malformed, SnapshotEndHead, StreamHead, directory, head, kind, message,
};
use crate::network::{Target, broken, unreachable};
use crate::state_machine::ImageSnapshot;
use crate::type_config::{TypeConfig, Vote, broker_of};

/// How long to try to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Sends `snapshot`; the answer comes when it is installed, or refused for its leader's vote.
pub(super) async fn send_snapshot(
    target: &Target,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, ImageSnapshot>,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let first = StreamHead { to: directory(target.member.directory) };
    let first = message(kind::SNAPSHOT_STREAM, &first);
    let (node, deadline) = (broker_of(target.node), target.after(CONNECT));
    let opened = target.peers.open(node, Channel::Raft, first, deadline).await;
    let mut stream = opened.map_err(|error| unreachable(&error))?;
    if stream.peer.directory_id != target.member.directory {
        let why = Malformed("another directory answers".to_owned());
        return Err(unreachable(&why).into());
    }
    let end = message(kind::SNAPSHOT_END, &SnapshotEndHead::new(&vote, &snapshot.meta));
    for piece in snapshot::write(&snapshot.snapshot) {
        let piece = Message::new(kind::SNAPSHOT_PIECE, Vec::new()).with_payload(vec![piece]);
        let queued = stream.sender.send(piece).await;
        queued.map_err(|_| broken("the stream has ended"))?;
        tokio::task::yield_now().await;
    }
    stream.sender.send(end).await.map_err(|_| broken("the stream has ended"))?;
    let answer = stream.receiver.next().await.ok_or_else(|| broken("the stream has ended"))?;
    let read = || head::<InstalledHead>(&answer, kind::SNAPSHOT_INSTALLED)?.vote();
    let vote = read().map_err(|error| unreachable(&error))?;
    Ok(SnapshotResponse { vote })
}

/// What arrives of a snapshot.
pub(crate) struct Received {
    /// The vote of the leader that sent it.
    pub vote: Vote,
    /// What it is a snapshot of.
    pub meta: SnapshotMetaOf<TypeConfig>,
    /// The image.
    pub image: Image,
}

/// Receives a snapshot.
///
/// # Errors
/// When it is cut off or does not hold together.
pub(crate) async fn receive_snapshot(stream: &mut PeerStream) -> Result<Received, Malformed> {
    let mut reader = SnapshotReader::default();
    let malformed = |error: snapshot::SnapshotError| Malformed(error.to_string());
    loop {
        let cut_off = || Malformed("a snapshot is cut off".to_owned());
        let message = stream.receiver.next().await.ok_or_else(cut_off)?;
        if message.kind == kind::SNAPSHOT_PIECE {
            reader.push(&message.body()).map_err(malformed)?;
            tokio::task::yield_now().await;
            continue;
        }
        let (vote, meta) = head::<SnapshotEndHead>(&message, kind::SNAPSHOT_END)?.parts()?;
        let image = reader.finish().map_err(malformed)?;
        return Ok(Received { vote, meta, image });
    }
}
