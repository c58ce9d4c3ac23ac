//! One connection to a broker: bytes out, frames in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: group joins and long polls of these tests take far less.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// More than any answer of these tests.
const FRAME_MAX: usize = 64 << 20;

/// What came back.
#[derive(Debug)]
pub enum Received {
    /// A frame, without its length.
    Frame(Vec<u8>),
    /// The broker closed the connection.
    Closed,
    /// Neither, within the time given.
    Nothing,
}

/// A connection of its own.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(target: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&target, ANSWER_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream })
    }

    /// Sends bytes; a broker that has closed shows when its answer is awaited.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Waits for one frame.
    pub fn receive(&mut self) -> Received {
        let mut length = [0; 4];
        if let Err(outcome) = self.read(&mut length) {
            return outcome;
        }
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_MAX {
            return Received::Frame(Vec::new());
        }
        let mut frame = vec![0; length];
        match self.read(&mut frame) {
            Ok(()) => Received::Frame(frame),
            Err(outcome) => outcome,
        }
    }

    /// As [`Connection::receive`], with another patience.
    pub fn receive_within(&mut self, patience: Duration) -> Received {
        let _ = self.stream.set_read_timeout(Some(patience));
        let received = self.receive();
        let _ = self.stream.set_read_timeout(Some(ANSWER_TIMEOUT));
        received
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Received> {
        self.stream.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Received::Nothing,
            _ => Received::Closed,
        })
    }
}
