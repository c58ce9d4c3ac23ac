//! The two hellos of a connection, and what must hold between them.
//!
//! Both sides check the same things, so that a connection never rests on the other one's care.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use chronik_types::{BrokerId, DirectoryId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    Hello, Identity, PeerService, Refusal, RefusalCode, VERSIONS, VersionRange,
    hello_codec::{
        Answer, HelloError, Welcome, decode_answer, decode_hello, encode_answer, encode_hello,
        take_envelope,
    },
};

/// What one read of a hello brings at most.
const READ_BYTES: usize = 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer to the hello within {0:?}")]
    TimedOut(Duration),
    #[error("it closed the connection instead of answering; is its listener one for other nodes?")]
    Closed,
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A peer that was welcomed, or that welcomes.
#[derive(Debug)]
pub(crate) struct Met<T> {
    pub said: T,
    /// What came behind its hello.
    pub already_read: BytesMut,
}

/// Says `hello` and waits for the answer.
pub(crate) async fn greet<Io: AsyncRead + AsyncWrite + Unpin>(
    io: &mut Io,
    hello: &Hello,
) -> Result<Met<Welcome>, HandshakeError> {
    io.write_all(&encode_hello(hello)).await?;
    io.flush().await?;
    let mut already_read = BytesMut::new();
    let welcome = match decode_answer(read_envelope(io, &mut already_read).await?)? {
        Answer::Welcome(welcome) => welcome,
        Answer::Refused(refusal) => return Err(refusal.into()),
    };
    let expected = Expected { node: hello.expects_node, directory: hello.expects_directory };
    check_pair(&hello.identity, &welcome.identity)?;
    expected.check(&welcome.identity)?;
    let versions = VersionRange { min: welcome.version, max: welcome.version };
    common_version(hello.versions, versions)?;
    Ok(Met { said: welcome, already_read })
}

/// Waits for a hello behind `already_read`, and answers it.
pub(crate) async fn receive<Io: AsyncRead + AsyncWrite + Unpin>(
    io: &mut Io,
    already_read: Bytes,
    me: &Identity,
    mute_after: Duration,
    service: &dyn PeerService,
) -> Result<Met<Hello>, HandshakeError> {
    let mut already_read = BytesMut::from(already_read);
    let contents = read_envelope(io, &mut already_read).await?;
    let judged = decode_hello(contents)
        .map_err(|error| Refusal::new(RefusalCode::Malformed, error.to_string()))
        .and_then(|hello| judge(&hello, me, service).map(|version| (hello, version)));
    let answer = match &judged {
        Ok((_, version)) => {
            Answer::Welcome(Welcome { identity: me.clone(), version: *version, mute_after })
        }
        Err(refusal) => Answer::Refused(refusal.clone()),
    };
    io.write_all(&encode_answer(&answer)).await?;
    io.flush().await?;
    let (hello, _) = judged?;
    Ok(Met { said: hello, already_read })
}

/// Whether `hello` is welcome; the version to speak.
fn judge(hello: &Hello, me: &Identity, service: &dyn PeerService) -> Result<u32, Refusal> {
    let version = common_version(VERSIONS, hello.versions)?;
    check_pair(me, &hello.identity)?;
    Expected { node: hello.expects_node, directory: hello.expects_directory }.check(me)?;
    service.admit(hello)?;
    Ok(version)
}

/// Whom a connection is meant to reach.
struct Expected {
    node: Option<BrokerId>,
    directory: Option<DirectoryId>,
}

impl Expected {
    fn check(&self, found: &Identity) -> Result<(), Refusal> {
        if let Some(meant) = self.node
            && meant != found.node_id
        {
            let text = format!("node {meant} was meant, node {} is here", found.node_id);
            return Err(Refusal::new(RefusalCode::OtherNode, text));
        }
        match self.directory {
            Some(expected) if expected != found.directory_id => Err(Refusal::new(
                RefusalCode::OtherDirectory,
                format!(
                    "the directory {} was meant; node {} has {}",
                    expected.0, found.node_id, found.directory_id.0
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Whether two nodes may talk at all.
fn check_pair(me: &Identity, peer: &Identity) -> Result<(), Refusal> {
    if me.node_id == peer.node_id {
        let text = format!("both sides have node.id={}", me.node_id);
        return Err(Refusal::new(RefusalCode::SameNode, text));
    }
    match (me.cluster_id, peer.cluster_id) {
        (Some(mine), Some(its)) if mine != its => {
            let (me, peer) = (me.node_id, peer.node_id);
            let text = format!("node {me} is of the cluster {mine}, node {peer} of {its}");
            Err(Refusal::new(RefusalCode::OtherCluster, text))
        }
        _ => Ok(()),
    }
}

fn common_version(mine: VersionRange, its: VersionRange) -> Result<u32, Refusal> {
    mine.common(its).ok_or_else(|| {
        let text = format!(
            "one side speaks the versions {} to {}, the other {} to {}",
            mine.min, mine.max, its.min, its.max
        );
        Refusal::new(RefusalCode::Versions, text)
    })
}

/// The contents of the first envelope; what comes behind it stays in `read`.
async fn read_envelope<Io: AsyncRead + Unpin>(
    io: &mut Io,
    read: &mut BytesMut,
) -> Result<Bytes, HandshakeError> {
    loop {
        if let Some(contents) = take_envelope(read)? {
            return Ok(contents);
        }
        read.reserve(READ_BYTES);
        if io.read_buf(read).await? == 0 {
            return Err(HandshakeError::Closed);
        }
    }
}
