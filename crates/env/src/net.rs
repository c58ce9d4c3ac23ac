//! The network seam: the socket types every crate uses, named in one place so that a simulated
//! network can stand in for them (builds with `--cfg chronik_sim`).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(not(chronik_sim))]
pub use tokio::net::{TcpListener, TcpStream};
#[cfg(chronik_sim)]
pub use turmoil::net::{TcpListener, TcpStream};

/// When the system gives up a peer that no longer confirms anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// A silent peer is probed after this time…
    pub after: Duration,
    /// …and then so far apart.
    pub every: Duration,
    /// Data that the peer's machine does not confirm for this long means that it is gone.
    pub unconfirmed_max: Duration,
}

/// The addresses that `host` stands for.
///
/// # Errors
///
/// What the resolver says.
#[cfg(not(chronik_sim))]
pub async fn lookup_host(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// The address of a simulated host, or every address of this one.
///
/// # Errors
///
/// `NotFound` when `host` is not an address: simulated hosts listen on all of theirs.
#[cfg(chronik_sim)]
#[expect(clippy::unused_async, reason = "as outside of the simulation")]
pub async fn lookup_host(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let ip: std::net::IpAddr = host.parse().map_err(|_| io::ErrorKind::NotFound)?;
    Ok(vec![SocketAddr::new(ip, port)])
}

/// Sets what every connection needs: no delay of small writes, and the loss of the peer noticed.
/// A failure means that the peer is gone already, which reading will show.
#[cfg(not(chronik_sim))]
pub fn prepare(stream: &TcpStream, keepalive: Keepalive) {
    let socket = socket2::SockRef::from(stream);
    let probes =
        socket2::TcpKeepalive::new().with_time(keepalive.after).with_interval(keepalive.every);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&probes);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(keepalive.unconfirmed_max));
}

/// A simulated connection has no options, and its loss is seen by those who have a deadline.
#[cfg(chronik_sim)]
pub fn prepare(_stream: &TcpStream, _keepalive: Keepalive) {}
