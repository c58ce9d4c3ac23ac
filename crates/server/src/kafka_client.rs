//! One connection to a node, and one request at a time over it.
//!
//! **Invariants**
//! - Whatever is waited for has a deadline.
//! - Memory for an answer is taken as its bytes arrive.

use std::{collections::BTreeMap, io, time::Duration};

use chronik_config::HostPort;
use chronik_env::net::{TcpStream, lookup_host};
use chronik_protocol::{
    codec::{DecodeError, EncodeError, Request, Versioned},
    header,
    messages::ApiVersionsRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A node that takes longer for one answer counts as not answering.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer beyond this is none of a Kafka node's.
const ANSWER_BYTES_MAX: u64 = 512 << 20;
const CLIENT_ID: &str = "chronik-server";
/// Every node answers ApiVersions in this version.
const API_VERSIONS_VERSION: i16 = 0;

/// Why a node's answer is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{address}: {error}")]
    Io { address: HostPort, error: io::Error },
    #[error("{0}: the host name cannot be resolved")]
    Unresolved(HostPort),
    #[error("{address}: no answer within {} s", PATIENCE.as_secs())]
    Late { address: HostPort },
    #[error("{address}: the answer is not of the Kafka protocol: {why}")]
    NotKafka { address: HostPort, why: String },
    #[error("{address}: the node does not serve {api}")]
    NotServed { address: HostPort, api: &'static str },
    #[error("{address}: {error}")]
    Request { address: HostPort, error: EncodeError },
}

/// A connection.
pub(crate) struct Client {
    pub address: HostPort,
    stream: TcpStream,
    /// Lowest and highest version that the node serves, by API key.
    served: BTreeMap<i16, (i16, i16)>,
    correlation_id: i32,
}

impl Client {
    /// Connects, and asks what the node serves.
    pub async fn connect(address: &HostPort) -> Result<Self, ClientError> {
        let late = || ClientError::Late { address: address.clone() };
        let connecting = tokio::time::timeout(PATIENCE, connect(address));
        let stream = connecting.await.map_err(|_| late())??;
        let mut client =
            Self { address: address.clone(), stream, served: BTreeMap::new(), correlation_id: 0 };
        let request = ApiVersionsRequest::default();
        let frame = client.exchange(&request, API_VERSIONS_VERSION).await?;
        let answer = decode::<ApiVersionsRequest<'_>>(address, &frame, API_VERSIONS_VERSION)?;
        let keys = answer.api_keys.iter();
        client.served = keys.map(|key| (key.api_key, (key.min_version, key.max_version))).collect();
        Ok(client)
    }

    /// Sends a request in the highest version that both sides know: the frame of its answer, for
    /// [`decode`], and that version.
    pub async fn call<'m, M: Request<'m> + Versioned>(
        &mut self,
        request: &M,
    ) -> Result<(Vec<u8>, i16), ClientError> {
        let served = self.served.get(&M::KEY.code());
        let version = served.map(|(min, max)| (*min, M::MAX.min(*max)));
        let version = version.filter(|(min, version)| version >= min && *version >= M::MIN);
        let Some((_, version)) = version else {
            return Err(ClientError::NotServed {
                address: self.address.clone(),
                api: M::KEY.name(),
            });
        };
        Ok((self.exchange(request, version).await?, version))
    }

    async fn exchange<'m, M: Request<'m>>(
        &mut self,
        request: &M,
        version: i16,
    ) -> Result<Vec<u8>, ClientError> {
        self.correlation_id += 1;
        let address = self.address.clone();
        let frame = header::encode_request(self.correlation_id, Some(CLIENT_ID), version, request);
        let frame =
            frame.map_err(|error| ClientError::Request { address: address.clone(), error })?;
        let exchange = async {
            self.stream.write_all(&frame).await?;
            let length = u64::from(self.stream.read_u32().await?);
            if length > ANSWER_BYTES_MAX {
                let why = format!("{length} bytes were announced");
                return Ok(Err(ClientError::NotKafka { address: address.clone(), why }));
            }
            let mut answer = Vec::new();
            (&mut self.stream).take(length).read_to_end(&mut answer).await?;
            if (answer.len() as u64) < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Ok(answer))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(ClientError::Io { address, error }),
            Err(_) => Err(ClientError::Late { address }),
        }
    }
}

/// Tries every address of the host.
async fn connect(address: &HostPort) -> Result<TcpStream, ClientError> {
    let found = lookup_host(&address.host, address.port).await;
    let found = found.map_err(|error| ClientError::Io { address: address.clone(), error })?;
    let mut failed = ClientError::Unresolved(address.clone());
    for target in found {
        match TcpStream::connect(target).await {
            Ok(stream) => {
                // Without it small requests wait; they arrive all the same.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failed = ClientError::Io { address: address.clone(), error },
        }
    }
    Err(failed)
}

/// The message of an answer's frame.
pub(crate) fn decode<'a, M: Request<'a>>(
    address: &HostPort,
    frame: &'a [u8],
    version: i16,
) -> Result<M::Response<'a>, ClientError> {
    let decoded = header::decode_response::<M>(frame, version);
    decoded.map(|(_, response)| response).map_err(|error: DecodeError| ClientError::NotKafka {
        address: address.clone(),
        why: error.to_string(),
    })
}
