//! One scenario against one broker: requests out, their answers into the transcript.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use chronik_protocol::api::{self, ApiKey};
use chronik_protocol::codec::{Decode, DecodeError, EncodeError, Reader, Request};
use chronik_protocol::header;

use crate::client::{Connection, Received};
use crate::mask::Masks;
use crate::transcript::Transcript;
use crate::tree;

/// The name that every request bears.
pub const CLIENT_ID: &str = "differential";
/// The correlation id of every request: an answer must bear it.
pub const CORRELATION_ID: i32 = 0x0C0F_FEE0;

/// Why a scenario cannot go on. Not a difference: a fault of the test or of its surroundings.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The scenario asks for something that cannot be said in this version.
    #[error("cannot say this request: {0}")]
    Encode(#[from] EncodeError),
    /// An answer that later steps need did not come or is no such message.
    #[error("no answer to go on with")]
    NoAnswer,
    /// An answer that later steps need cannot be read.
    #[error("cannot read the answer: {0}")]
    Decode(#[from] DecodeError),
    /// A preparation did not come about.
    #[error("{0}")]
    Preparation(String),
}

/// The frame that answered, to be read again when a later step needs something from it.
#[derive(Debug)]
pub struct Reply {
    frame: Option<Vec<u8>>,
    version: i16,
}

impl Reply {
    /// The response, which later steps need.
    ///
    /// # Errors
    /// When there is none, or not such a one.
    pub fn read<'r, 'q, M: Request<'q>>(&'r self) -> Result<M::Response<'r>, Failure> {
        let frame = self.frame.as_ref().ok_or(Failure::NoAnswer)?;
        Ok(decode::<M>(frame, self.version)?.1)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    target: SocketAddr,
    connections: HashMap<u8, Connection>,
    transcript: Transcript,
    /// The words for this target's own values.
    pub masks: Masks,
}

impl Session {
    /// A scenario that begins.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            connections: HashMap::new(),
            transcript: Transcript::default(),
            masks: Masks::new(target.port()),
        }
    }

    /// What was answered.
    pub fn into_transcript(self) -> Transcript {
        self.transcript
    }

    /// Sends a request and records its answer as step `label`.
    ///
    /// # Errors
    /// [`Failure::Connect`], [`Failure::Encode`]; an answer of any kind is none.
    pub fn ask<'q, M>(&mut self, label: &str, version: i16, request: &M) -> Result<Reply, Failure>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        self.send(0, version, request)?;
        self.receive::<M>(0, label, version)
    }

    /// As [`Session::ask`], of a question that may never be answered.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn ask_briefly<'q, M>(
        &mut self,
        label: &str,
        version: i16,
        request: &M,
    ) -> Result<(), Failure>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        self.send(0, version, request)?;
        let received = self.connection(0)?.receive_within(Duration::from_secs(5));
        self.record::<M>(0, label, version, received);
        Ok(())
    }

    /// Sends a request and does not record the answer: a preparation.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn prepare<'q, M: Request<'q>>(
        &mut self,
        version: i16,
        request: &M,
    ) -> Result<Reply, Failure> {
        self.send(0, version, request)?;
        let frame = match self.connection(0)?.receive() {
            Received::Frame(frame) => Some(frame),
            Received::Closed | Received::Nothing => self.hang_up(0),
        };
        Ok(Reply { frame, version })
    }

    /// Sends a request over one of several connections; [`Session::receive`] gets its answer.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn send<'q, M: Request<'q>>(
        &mut self,
        connection: u8,
        version: i16,
        request: &M,
    ) -> Result<(), Failure> {
        let bytes = header::encode_request(CORRELATION_ID, Some(CLIENT_ID), version, request)?;
        self.connection(connection)?.send(&bytes);
        Ok(())
    }

    /// Records the next answer of a connection.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn receive<'q, M>(
        &mut self,
        connection: u8,
        label: &str,
        version: i16,
    ) -> Result<Reply, Failure>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        let received = self.connection(connection)?.receive();
        Ok(self.record::<M>(connection, label, version, received))
    }

    fn record<'q, M>(
        &mut self,
        connection: u8,
        label: &str,
        version: i16,
        received: Received,
    ) -> Reply
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        let frame = match received {
            Received::Frame(frame) => {
                let lines = self.lines::<M>(&frame, version);
                self.transcript.step(label, lines);
                Some(frame)
            }
            Received::Closed => {
                self.transcript.outcome(label, "closed");
                self.hang_up(connection)
            }
            Received::Nothing => {
                self.transcript.outcome(label, "no answer");
                self.hang_up(connection)
            }
        };
        Reply { frame, version }
    }

    fn lines<'q, M>(&mut self, frame: &[u8], version: i16) -> Vec<(String, String)>
    where
        M: Request<'q>,
        for<'r> M::Response<'r>: Debug,
    {
        match decode::<M>(frame, version) {
            Ok((CORRELATION_ID, response)) => {
                let mut tree = tree::parse(&format!("{response:#?}"));
                self.masks.apply(M::KEY, &mut tree);
                let mut lines = tree::flatten(&tree);
                lines.extend(order(M::KEY, &tree));
                lines
            }
            Ok((other, _)) => vec![("correlation_id".into(), format!("{other:#x}"))],
            Err(error) => vec![("undecodable".into(), error.to_string())],
        }
    }

    /// Sends bytes as they are over a connection of their own and records only what kind of answer
    /// comes: these are the malformed frames.
    ///
    /// # Errors
    /// [`Failure::Connect`].
    pub fn throw(&mut self, label: &str, bytes: &[u8], patience: Duration) -> Result<(), Failure> {
        let outcome = self.outcome_of(bytes, patience)?;
        self.transcript.outcome(label, &outcome);
        Ok(())
    }

    /// What kind of answer these bytes get: `closed`, `no answer` or `answer`.
    ///
    /// # Errors
    /// [`Failure::Connect`].
    pub fn outcome_of(&mut self, bytes: &[u8], patience: Duration) -> Result<String, Failure> {
        let connection = self.connection(RAW)?;
        connection.send(bytes);
        Ok(match connection.receive_within(patience) {
            Received::Frame(frame) => match frame.first_chunk() {
                Some(id) if *id == CORRELATION_ID.to_be_bytes() => "answer".to_owned(),
                _ => {
                    self.hang_up(RAW);
                    "answer with another correlation id".to_owned()
                }
            },
            Received::Closed => {
                self.hang_up(RAW);
                "closed".to_owned()
            }
            Received::Nothing => {
                self.hang_up(RAW);
                "no answer".to_owned()
            }
        })
    }

    /// Adds a step that says one thing.
    pub fn note(&mut self, label: &str, outcome: &str) {
        self.transcript.outcome(label, outcome);
    }

    /// Ends a connection; the next use of its number opens another.
    pub fn hang_up(&mut self, connection: u8) -> Option<Vec<u8>> {
        self.connections.remove(&connection);
        None
    }

    /// The connection of this number, opened if need be.
    ///
    /// # Errors
    /// [`Failure::Connect`].
    pub fn connection(&mut self, number: u8) -> Result<&mut Connection, Failure> {
        if !self.connections.contains_key(&number) {
            self.connections.insert(number, Connection::open(self.target)?);
        }
        self.connections.get_mut(&number).ok_or(Failure::NoAnswer)
    }
}

/// The connection of [`Session::throw`].
const RAW: u8 = u8::MAX;

/// The correlation id and response of a frame, which the response must fill. Unlike
/// `header::decode_response` it lets the request have lived elsewhere than the frame.
fn decode<'r, 'q, M: Request<'q>>(
    frame: &'r [u8],
    version: i16,
) -> Result<(i32, M::Response<'r>), DecodeError> {
    let mut r = Reader::new(frame);
    let correlation_id = r.i32()?;
    if api::response_header_version(M::KEY, version) >= 1 {
        r.tagged_fields(&mut |_, _| Ok(false))?;
    }
    let response = M::Response::decode(&mut r, version)?;
    match r.remaining() {
        0 => Ok((correlation_id, response)),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}

/// A line with the order of elements, where Kafka promises one.
fn order(key: ApiKey, tree: &tree::Value) -> Option<(String, String)> {
    let list = match key {
        ApiKey::Fetch => "responses",
        ApiKey::DescribeTopicPartitions => "topics",
        ApiKey::DescribeGroups => "groups",
        _ => return None,
    };
    Some((format!("{list}.order"), tree::order_of(tree, list)?))
}
