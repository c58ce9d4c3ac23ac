//! Which brokers get a new partition: striped over racks and brokers.
//!
//! **Invariants:** the replicas of a partition are different brokers; the first one is active;
//! fenced brokers come in only when there are not enough active ones; two replicas share a rack
//! only if each rack with a broker to spare has as many.
//!
//! Leaders go round over all active brokers, taking racks in turn, from a start drawn at random;
//! each full round, followers are shifted by one, so that the partitions of one leader do not all
//! have the same follower.

use std::collections::BTreeMap;

use chronik_metadata::Image;
use chronik_types::{BrokerId, ErrorCode};

use crate::error::ApiError;

/// A broker that can get replicas, and the number of its rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    id: BrokerId,
    rack: usize,
}

/// The brokers of a cluster in the order in which partitions go round over them.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    active: Vec<Candidate>,
    fenced: Vec<Candidate>,
    racks: usize,
    start: usize,
}

impl Placement {
    /// Looks at the brokers of `image`; `seed` draws where to start.
    pub(crate) fn new(image: &Image, seed: u64) -> Self {
        let mut racks: BTreeMap<Option<&str>, (Vec<BrokerId>, Vec<BrokerId>)> = BTreeMap::new();
        for broker in image.brokers().filter(|broker| !broker.in_controlled_shutdown) {
            let (active, fenced) = racks.entry(broker.rack.as_deref()).or_default();
            if broker.fenced { fenced } else { active }.push(broker.id);
        }
        let active = interleaved(racks.values().map(|(active, _)| active.as_slice()));
        let fenced = interleaved(racks.values().map(|(_, fenced)| fenced.as_slice()));
        let start = active.len().max(1) as u64;
        Self { active, fenced, racks: racks.len(), start: (seed % start) as usize }
    }

    /// Whether `replication_factor` replicas can be placed at all, in Kafka's words if not.
    pub(crate) fn check(&self, replication_factor: i16) -> Result<(), ApiError> {
        let refused = |why: String| {
            let message =
                format!("Unable to replicate the partition {replication_factor} time(s): {why}");
            Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message))
        };
        if self.active.is_empty() {
            return refused("All brokers are currently fenced.".to_owned());
        }
        let registered = self.active.len() + self.fenced.len();
        if usize::try_from(replication_factor).is_ok_and(|wanted| wanted > registered) {
            return refused(format!(
                "The target replication factor of {replication_factor} cannot be reached because \
                 only {registered} broker(s) are registered."
            ));
        }
        Ok(())
    }

    /// The replicas of the partition with this number; as many as there are brokers, if there are
    /// fewer than asked for.
    pub(crate) fn replicas(&self, partition: usize, replication_factor: usize) -> Vec<BrokerId> {
        let count = self.active.len();
        if count == 0 {
            return Vec::new();
        }
        let at = (self.start + partition) % count;
        let Some(leader) = self.active.get(at) else { return Vec::new() };
        let mut chosen = vec![*leader];
        if replication_factor > 1 {
            let shift = 1 + (partition / count) % (count - 1).max(1);
            let followers =
                (0..count - 1).map(|step| (at + 1 + (shift - 1 + step) % (count - 1)) % count);
            let active: Vec<_> =
                followers.filter_map(|index| self.active.get(index).copied()).collect();
            self.choose(&active, replication_factor, &mut chosen);
            self.choose(&self.fenced, replication_factor, &mut chosen);
        }
        chosen.into_iter().map(|candidate| candidate.id).collect()
    }

    /// Adds candidates in their order, each time from a rack that has the fewest replicas so far
    /// among those that still have a candidate.
    fn choose(&self, candidates: &[Candidate], wanted: usize, chosen: &mut Vec<Candidate>) {
        let mut used = vec![0usize; self.racks];
        for candidate in chosen.iter() {
            if let Some(count) = used.get_mut(candidate.rack) {
                *count += 1;
            }
        }
        let mut left = candidates.to_vec();
        while chosen.len() < wanted && !left.is_empty() {
            let load = |candidate: &Candidate| used.get(candidate.rack).copied().unwrap_or(0);
            let best = left.iter().enumerate().min_by_key(|(_, candidate)| load(candidate));
            let Some((at, _)) = best else { return };
            let candidate = left.remove(at);
            if let Some(count) = used.get_mut(candidate.rack) {
                *count += 1;
            }
            chosen.push(candidate);
        }
    }
}

/// The first of every rack, then the second of every rack, and so on.
fn interleaved<'a>(racks: impl Iterator<Item = &'a [BrokerId]> + Clone) -> Vec<Candidate> {
    let longest = racks.clone().map(<[_]>::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|depth| {
            let row = racks.clone().enumerate();
            row.filter_map(move |(rack, brokers)| {
                brokers.get(depth).map(|id| Candidate { id: *id, rack })
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
