//! A connection that another node has made.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use futures_util::future::join;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{
    Hello, Identity, Options, PeerService, PeerStream, Purpose, answerer,
    frame::FrameType,
    handshake::{HandshakeError, Met, receive},
    pipe::Pipe,
    stream_driver,
    wire::{Wire, WireError},
};

/// Waits for the hello and answers it.
pub(crate) async fn welcome<Io: AsyncRead + AsyncWrite + Unpin>(
    io: &mut Io,
    already_read: Bytes,
    me: &Identity,
    options: &Options,
    service: &dyn PeerService,
) -> Result<Met<Hello>, HandshakeError> {
    let patience = options.connect_timeout;
    let met = receive(io, already_read, me, options.mute_after, service);
    timeout(patience, met).await.unwrap_or(Err(HandshakeError::TimedOut(patience)))
}

/// Serves a peer that was welcomed, until the connection ends.
pub(crate) async fn serve<Io: AsyncRead + AsyncWrite + Unpin>(
    io: Io,
    met: Met<Hello>,
    service: &dyn PeerService,
    options: &Options,
    draining: impl Future<Output = ()>,
) -> Result<(), WireError> {
    let Met { said: hello, already_read } = met;
    let wire = Wire::new(io, already_read, hello.mute_after, options);
    match hello.purpose {
        Purpose::Calls => {
            answerer::run(wire, &hello.identity, hello.channel, service, options, draining).await
        }
        Purpose::Stream => tokio::select! {
            biased;
            () = draining => Ok(()),
            ended = stream(wire, hello, service, options) => ended,
        },
    }
}

/// Serves a stream in one task with its connection: nothing is handed from task to task between
/// the socket and the service.
async fn stream<Io: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<Io, ()>,
    hello: Hello,
    service: &dyn PeerService,
    options: &Options,
) -> Result<(), WireError> {
    let first = std::future::poll_fn(|cx| wire.poll_frame(cx));
    let first = match timeout(options.mute_after, first).await {
        Ok(frame) => frame?,
        Err(_) => return Err(WireError::Mute(options.mute_after)),
    };
    if first.frame_type != FrameType::Item {
        return Err(WireError::Unexpected(first.frame_type));
    }
    let pipe = Arc::new(Pipe::new(options));
    let stream = PeerStream::new(hello.identity, &pipe);
    let service = service.stream(hello.channel, first.message, stream);
    let (ended, ()) = join(stream_driver::run(wire, &pipe), service).await;
    ended
}
