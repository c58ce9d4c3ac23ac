//! One connection of a simulated Kafka client.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronik_env::net::TcpStream;
use chronik_protocol::codec::Request;
use chronik_protocol::header;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Frames are smaller than this, or the broker is wrong.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// A request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nobody has seen it.
    NotSent,
    /// Somebody may have.
    Unknown,
}

/// An open connection. After a lost request it must not be used again.
pub struct Connection {
    stream: TcpStream,
    next: i32,
}

impl Connection {
    pub async fn open(host: &str, port: u16) -> Result<Self, Lost> {
        match timeout(CONNECT_PATIENCE, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => Ok(Self { stream, next: 0 }),
            Ok(Err(_)) | Err(_) => Err(Lost::NotSent),
        }
    }

    /// Sends a request that nobody answers.
    pub async fn send<'m, M: Request<'m>>(
        &mut self,
        version: i16,
        request: &M,
    ) -> Result<(), Lost> {
        self.next += 1;
        let frame = header::encode_request(self.next, Some("sim"), version, request)
            .expect("the simulator's own requests are sound");
        self.stream.write_all(&frame).await.map_err(|_| Lost::Unknown)
    }

    /// Sends a request and gives the frame of its response.
    pub async fn call<'m, M: Request<'m>>(
        &mut self,
        version: i16,
        request: &M,
        patience: Duration,
    ) -> Result<Bytes, Lost> {
        let answered = async {
            self.send(version, request).await?;
            let length = self.stream.read_i32().await.map_err(|_| Lost::Unknown)?;
            let length = usize::try_from(length).ok().filter(|length| *length < FRAME_BYTES_MAX);
            let mut frame = BytesMut::zeroed(length.expect("a frame has a sensible length"));
            self.stream.read_exact(&mut frame).await.map_err(|_| Lost::Unknown)?;
            Ok(frame.freeze())
        };
        timeout(patience, answered).await.unwrap_or(Err(Lost::Unknown))
    }
}
