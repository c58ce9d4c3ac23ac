//! What every handler knows of its request besides the body.

use std::sync::Arc;

use chronik_net::{Connection, Reply};
use chronik_protocol::api::ApiKey;
use chronik_protocol::codec::Chunks;
use chronik_protocol::codec::{Decode, Encode, Reader};
use chronik_protocol::header;
use chronik_types::Monotonic;

/// One request: where it came from and how to answer it.
#[derive(Clone)]
pub(crate) struct Context {
    /// Kafka's number of the API, known to be served in `version`.
    pub api_key: ApiKey,
    /// The version asked for.
    pub version: i16,
    /// The client's number for this request.
    pub correlation_id: i32,
    /// What the client calls itself; not unique and not to be trusted.
    pub client_id: Option<String>,
    /// The connection it came in on.
    pub connection: Arc<Connection>,
    /// When its frame was complete.
    pub received: Monotonic,
}

impl Context {
    /// The request in `body`, or `None` (with a word in the trace) if it is malformed; then the
    /// connection is closed, as in Kafka. Bytes behind the message are ignored, as in Kafka:
    /// librdkafka sends some with Metadata 13.
    pub fn decode<'b, M: Decode<'b>>(&self, body: &'b [u8]) -> Option<M> {
        M::decode(&mut Reader::new(body), self.version)
            .inspect_err(|error| {
                tracing::info!(
                    peer = %self.connection.peer, api = self.api_key.name(), version = self.version, %error,
                    "malformed request, closing the connection"
                );
            })
            .ok()
    }

    /// The response frame of `message`. `None` if it cannot be written in this version, which is
    /// a fault of ours; then the connection is closed rather than the client misled.
    pub fn encode(&self, message: &impl Encode) -> Option<Chunks> {
        match header::encode_response(self.api_key, self.version, self.correlation_id, message) {
            Ok(response) => Some(response),
            Err(error) => {
                tracing::error!(api = self.api_key.name(), version = self.version, %error,
                    "a response could not be written");
                None
            }
        }
    }

    /// The reply that carries `message`.
    pub fn reply(&self, message: &impl Encode) -> Reply {
        self.encode(message).map_or(Reply::Close, Reply::Now)
    }

    /// The client's address as Kafka writes it.
    pub fn host(&self) -> String {
        format!("/{}", self.connection.peer.ip())
    }
}
