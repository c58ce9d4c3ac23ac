//! Addresses as configurations spell them: `host:port` and `NAME://host:port`.

use std::{fmt, net::IpAddr};

/// `host:port`; an IPv6 address stands in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Reads an address of another node: host and port are both there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_lax(text).filter(|address| !address.host.is_empty() && address.port != 0)
    }

    /// Reads an address that may lack its host or leave the port to the system.
    pub(super) fn parse_lax(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']')?,
            None => host,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let port = port.parse().ok().filter(|_| host.chars().all(legal))?;
        Some(Self { host: host.to_owned(), port })
    }

    /// Whether the host stands for every address of a machine, which nobody can connect to.
    pub(super) fn is_wildcard(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// In capitals.
    pub name: String,
    pub address: HostPort,
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, address) = text.trim().split_once("://")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let sound = !name.is_empty() && name.chars().all(legal);
        let address = HostPort::parse_lax(address).filter(|_| sound)?;
        Some(Self { name: name.to_uppercase(), address })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.address)
    }
}
