//! A client that does as little as possible: what it measures is the broker.

use std::fmt;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use chronik_protocol::codec::Request;
use chronik_protocol::header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The run could not be finished.
pub struct Failed(pub String);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    next: i32,
}

impl Client {
    pub async fn connect(to: SocketAddr) -> Result<Self, Failed> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, next: 0 })
    }

    /// Sends a request and gives the frame of its response.
    pub async fn call<'m, M: Request<'m>>(
        &mut self,
        version: i16,
        request: &M,
    ) -> Result<Bytes, Failed> {
        self.next += 1;
        let frame = header::encode_request(self.next, Some("chronik-bench"), version, request)?;
        self.stream.write_all(&frame).await?;
        self.receive().await
    }

    /// The next response frame, without its length.
    pub async fn receive(&mut self) -> Result<Bytes, Failed> {
        let length = self.stream.read_i32().await?;
        let mut frame = BytesMut::zeroed(usize::try_from(length)?);
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.freeze())
    }
}
