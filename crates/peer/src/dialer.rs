//! Making connections to one node on one channel, one attempt at a time as `pacing` allows.

use std::sync::Arc;

use bytes::BytesMut;
use chronik_env::{Clock, Rng, net::TcpStream};
use chronik_types::BrokerId;
use tokio::{sync::watch, time::timeout};

use crate::{
    Address, CallError, Channel, Hello, Identity, IdentityCell, OpenError, Options, Purpose,
    Refusal, VERSIONS,
    handshake::{HandshakeError, greet},
    hello_codec::Welcome,
    pacing::Pacing,
};

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(crate) enum DialError {
    Unreachable(String),
    Refused(Refusal),
}

impl DialError {
    pub(crate) fn new(whom: &str, error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Unreachable(format!("{whom}: {error}")),
        }
    }
}

impl From<DialError> for CallError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Unreachable(text) => Self::NotSent(text),
            DialError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<DialError> for OpenError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Unreachable(text) => Self::Unreachable(text),
            DialError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// A connection after the hellos.
#[derive(Debug)]
pub(crate) struct Connected {
    pub io: TcpStream,
    /// What this side said of itself.
    pub me: Identity,
    pub welcome: Welcome,
    pub already_read: BytesMut,
}

/// What every attempt needs to know of this side.
#[derive(Debug)]
pub(crate) struct Me {
    pub identity: Arc<IdentityCell>,
    pub options: Options,
}

impl Me {
    /// Makes one attempt; `expects` is who has to be there, if that is known.
    pub(crate) async fn connect(
        &self,
        target: &Address,
        expects: Option<BrokerId>,
        channel: Channel,
        purpose: Purpose,
    ) -> Result<Connected, HandshakeError> {
        let me = self.identity.get();
        let hello = Hello {
            identity: me.clone(),
            versions: VERSIONS,
            channel,
            purpose,
            expects_node: expects,
            expects_directory: target.directory_id,
            mute_after: self.options.mute_after,
        };
        let patience = self.options.connect_timeout;
        let attempt = async {
            let mut io = TcpStream::connect((target.host.as_str(), target.port)).await?;
            io.set_nodelay(true)?;
            let met = greet(&mut io, &hello).await?;
            Ok(Connected { io, me, welcome: met.said, already_read: met.already_read })
        };
        timeout(patience, attempt).await.unwrap_or(Err(HandshakeError::TimedOut(patience)))
    }
}

/// Makes connections to one node on one channel.
pub(crate) struct Dialer {
    pub node: BrokerId,
    pub channel: Channel,
    pub address: watch::Receiver<Address>,
    pub me: Arc<Me>,
    pub clock: Arc<dyn Clock>,
    pub rng: Rng,
    pub pacing: Pacing,
}

impl Dialer {
    /// Waits for its turn and makes one attempt; begins anew when the address changes meanwhile.
    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<Connected, DialError> {
        let mut address = self.address.clone();
        loop {
            self.pacing.turn(&*self.clock).await;
            let target = address.borrow_and_update().clone();
            tokio::select! {
                biased;
                Ok(()) = address.changed() => {}
                result = self.me.connect(&target, Some(self.node), self.channel, purpose) => {
                    return self.note(&target, result);
                }
            }
        }
    }

    fn note(
        &self,
        target: &Address,
        result: Result<Connected, HandshakeError>,
    ) -> Result<Connected, DialError> {
        let Address { host, port, .. } = target;
        let (node, channel) = (self.node, self.channel);
        let error = match result {
            Ok(connected) => {
                self.pacing.reset();
                tracing::debug!(%node, ?channel, %host, port, "connected");
                return Ok(connected);
            }
            Err(error) => error,
        };
        let Options { backoff_min, backoff_max, .. } = self.me.options;
        let now = self.clock.monotonic();
        if self.pacing.failed(now, backoff_min, backoff_max, &self.rng) {
            tracing::warn!(%node, ?channel, %host, port, %error, "cannot connect to a node; it is tried again");
        }
        Err(DialError::new(&format!("node {node} at {host}:{port}"), error))
    }
}
