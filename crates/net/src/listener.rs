//! Binds one listener and takes connections from it.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chronik_env::net::{self, Keepalive, TcpListener, TcpStream};

use crate::{ListenerInfo, ListenerOptions, server::BindError};

/// Between failed calls of `accept`: from this…
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// …doubling up to this, so that a lack of file descriptors does not make the thread spin.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
const KEEPALIVE: Keepalive = Keepalive {
    after: Duration::from_secs(60),
    every: Duration::from_secs(10),
    unconfirmed_max: Duration::from_secs(60),
};

/// A bound listener.
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) info: Arc<ListenerInfo>,
}

impl Listener {
    /// Binds the first of the addresses that the host stands for that can be bound.
    pub(crate) async fn bind(options: &ListenerOptions) -> Result<Self, BindError> {
        let mut failure = None;
        for address in addresses(options).await? {
            match TcpListener::bind(address).await {
                Ok(socket) => return Self::bound(options, socket),
                Err(error) => failure = failure.or(Some(BindError::new(options, error))),
            }
        }
        Err(failure.unwrap_or_else(|| BindError::unresolved(options)))
    }

    fn bound(options: &ListenerOptions, socket: TcpListener) -> Result<Self, BindError> {
        let address = socket.local_addr().map_err(|error| BindError::new(options, error))?;
        let advertised_port = match options.advertised_port {
            0 => address.port(),
            port => port,
        };
        let info = ListenerInfo {
            name: options.name.clone(),
            advertised_host: options.advertised_host.clone(),
            advertised_port,
            address,
            internal: options.internal,
        };
        Ok(Self { socket, info: Arc::new(info) })
    }

    /// Hands every connection to `take`, and every failure that is not a connection's own to
    /// `failed`; never returns.
    pub(crate) async fn accept_all(
        &self,
        take: impl Fn(TcpStream, SocketAddr),
        failed: impl Fn(&io::Error),
    ) {
        let mut back_off = BACK_OFF_MIN;
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    back_off = BACK_OFF_MIN;
                    take(stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    failed(&error);
                    tokio::time::sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                }
            }
        }
    }
}

async fn addresses(options: &ListenerOptions) -> Result<Vec<SocketAddr>, BindError> {
    let port = options.port;
    if options.host.is_empty() {
        // The first takes IPv4 clients too; the second is for machines without IPv6.
        let (v6, v4) = (Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
        return Ok(vec![(v6, port).into(), (v4, port).into()]);
    }
    let host = options.host.trim_start_matches('[').trim_end_matches(']');
    let found = net::lookup_host(host, port).await;
    found.map_err(|_| BindError::unresolved(options))
}

/// Whether the connection failed before it was accepted, which says nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}

/// Sets what every connection needs.
pub(crate) fn prepare(stream: &TcpStream) {
    net::prepare(stream, KEEPALIVE);
}
