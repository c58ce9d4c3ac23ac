//! How many connections there may be, in all and per address.
//!
//! **Invariant:** `total` is the sum of `by_address`, which has no entry of zero.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::Options;

/// The limits and what is used of them.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    max: usize,
    per_address: usize,
    overrides: HashMap<IpAddr, usize>,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Total,
    Address,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limits: Arc<ConnectionLimits>,
    address: IpAddr,
}

impl ConnectionLimits {
    pub(crate) fn new(options: &Options) -> Arc<Self> {
        let overrides = &options.max_connections_per_ip_overrides;
        Arc::new(Self {
            max: options.max_connections,
            per_address: options.max_connections_per_ip,
            overrides: overrides.iter().map(|(ip, max)| (ip.to_canonical(), *max)).collect(),
            used: Mutex::default(),
        })
    }

    /// A place for a connection from `peer`. An IPv4 client of a dual-stack listener counts under
    /// its IPv4 address. The total does not keep out whoever comes in where it is `protected`.
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: SocketAddr,
        protected: bool,
    ) -> Result<Place, Refused> {
        let address = peer.ip().to_canonical();
        let per_address = self.overrides.get(&address).copied().unwrap_or(self.per_address);
        let mut used = self.used.lock();
        if used.total >= self.max && !protected {
            return Err(Refused::Total);
        }
        if used.by_address.get(&address).copied().unwrap_or(0) >= per_address {
            return Err(Refused::Address);
        }
        used.total += 1;
        *used.by_address.entry(address).or_insert(0) += 1;
        Ok(Place { limits: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.limits.used.lock();
        used.total -= 1;
        if let Some(count) = used.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                used.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: usize, per_ip: usize) -> Arc<ConnectionLimits> {
        ConnectionLimits::new(&Options {
            max_connections: max,
            max_connections_per_ip: per_ip,
            max_connections_per_ip_overrides: HashMap::from([([10, 0, 0, 9].into(), 3)]),
            ..Options::default()
        })
    }

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    #[test]
    fn the_total_and_each_address_have_their_limit_and_places_come_back() {
        let limits = limits(4, 2);
        let a = [
            limits.enter(peer("10.0.0.1"), false).unwrap(),
            limits.enter(peer("10.0.0.1"), false).unwrap(),
        ];
        assert_eq!(limits.enter(peer("10.0.0.1"), false).unwrap_err(), Refused::Address);
        let _b = limits.enter(peer("10.0.0.2"), false).unwrap();
        let _c = limits.enter(peer("10.0.0.3"), false).unwrap();
        assert_eq!(limits.enter(peer("10.0.0.4"), false).unwrap_err(), Refused::Total);
        assert!(limits.enter(peer("10.0.0.4"), true).is_ok(), "nodes come in even so");
        drop(a);
        assert!(limits.enter(peer("10.0.0.1"), false).is_ok());
        assert_eq!(limits.used.lock().by_address.len(), 2);
    }

    #[test]
    fn an_override_and_a_mapped_address_mean_the_same_client() {
        let limits = limits(100, 1);
        let _places: Vec<_> = ["10.0.0.9", "::ffff:10.0.0.9", "10.0.0.9"]
            .map(|ip| limits.enter(peer(ip), false).unwrap())
            .into();
        assert_eq!(limits.enter(peer("::ffff:10.0.0.9"), false).unwrap_err(), Refused::Address);
    }
}
