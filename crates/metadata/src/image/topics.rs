//! Topics and their partitions in the image.

use std::sync::Arc;

use chronik_types::{PartitionId, TopicId};

use super::{ConfigMap, Partition};

/// How many partitions share one allocation: a change of one copies so many at most.
const CHUNK: usize = 32;

/// The partitions of a topic, by number from 0. Cloning is O(1); a change copies one chunk of
/// partitions and the list of chunks, unless nobody else holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitions {
    /// Each chunk but the last has [`CHUNK`] partitions; none is empty.
    chunks: Arc<[Arc<[Partition]>]>,
}

impl Default for Partitions {
    fn default() -> Self {
        Self { chunks: Arc::new([]) }
    }
}

impl Partitions {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, whole)) => whole.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The partition of this number.
    #[must_use]
    pub fn get(&self, partition: PartitionId) -> Option<&Partition> {
        let at = usize::try_from(partition).ok()?;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        (0..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()))
    }

    /// The numbers of the partitions in which the two differ, in order; all beyond the shorter
    /// one's end too. What they share is not looked at.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<PartitionId> {
        let mut differing = Vec::new();
        if Arc::ptr_eq(&self.chunks, &other.chunks) {
            return differing;
        }
        for at in 0..self.chunks.len().max(other.chunks.len()) {
            let (ours, theirs) = (self.chunks.get(at), other.chunks.get(at));
            if ours.zip(theirs).is_some_and(|(ours, theirs)| Arc::ptr_eq(ours, theirs)) {
                continue;
            }
            let ours = ours.map_or(&[][..], |chunk| chunk);
            let theirs = theirs.map_or(&[][..], |chunk| chunk);
            for inner in 0..ours.len().max(theirs.len()) {
                if ours.get(inner) != theirs.get(inner) {
                    differing.extend(PartitionId::try_from(at * CHUNK + inner));
                }
            }
        }
        differing
    }

    /// Puts a partition in place of another. False if there is none of this number.
    pub(crate) fn replace(&mut self, partition: PartitionId, with: Partition) -> bool {
        let Ok(at) = usize::try_from(partition) else { return false };
        if at >= self.len() {
            return false;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        let slot = chunks
            .get_mut(at / CHUNK)
            .map(Arc::make_mut)
            .and_then(|chunk| chunk.get_mut(at % CHUNK));
        match slot {
            Some(slot) => {
                *slot = with;
                true
            }
            None => false,
        }
    }

    /// Adds partitions behind the last one.
    pub(crate) fn extend(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        let mut partitions = partitions.into_iter();
        let (whole, open): (_, &[Partition]) = match self.chunks.split_last() {
            Some((last, whole)) if last.len() < CHUNK => (whole, last),
            _ => (&*self.chunks, &[]),
        };
        let fits = partitions.by_ref().take(CHUNK - open.len());
        let first: Arc<[Partition]> = open.iter().cloned().chain(fits).collect();
        if first.len() == open.len() {
            return;
        }
        let mut more: Vec<Arc<[Partition]>> = Vec::new();
        while more.last().unwrap_or(&first).len() == CHUNK {
            let next: Arc<[Partition]> = partitions.by_ref().take(CHUNK).collect();
            if next.is_empty() {
                break;
            }
            more.push(next);
        }
        self.chunks = whole.iter().cloned().chain(std::iter::once(first)).chain(more).collect();
    }
}

/// One incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Of this incarnation.
    pub id: TopicId,
    /// Unique among the topics of an image.
    pub name: Arc<str>,
    /// By number.
    pub partitions: Partitions,
    /// What the topic sets itself.
    pub configs: Arc<ConfigMap>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BrokerList;

    fn partition(broker: i32) -> Partition {
        let list = BrokerList::from([broker].as_slice());
        Partition::fresh(list.clone(), list)
    }

    #[test]
    fn chunks_fill_and_are_found_again() {
        let mut partitions = Partitions::default();
        for n in [1usize, 30, 0, 1, 1, 32, 40, 23, 64, 0] {
            let from = partitions.len() as i32;
            partitions.extend((from..from + n as i32).map(partition));
        }
        assert_eq!(partitions.len(), 192);
        assert!(partitions.chunks.iter().all(|chunk| chunk.len() == CHUNK));
        for (at, found) in partitions.iter() {
            assert_eq!(found, &partition(at));
            assert_eq!(partitions.get(at), Some(found));
        }
        assert_eq!(partitions.get(192), None);
        assert_eq!(partitions.get(-1), None);
    }

    #[test]
    fn a_replaced_partition_is_the_only_difference_and_leaves_clones_alone() {
        let mut partitions = Partitions::default();
        partitions.extend((0..100).map(partition));
        let before = partitions.clone();
        assert!(partitions.replace(77, partition(500)));
        assert!(!partitions.replace(100, partition(500)));
        assert_eq!(before.get(77), Some(&partition(77)));
        assert_eq!(before.differences(&partitions), [77]);
        partitions.extend([partition(100), partition(101)]);
        assert_eq!(before.differences(&partitions), [77, 100, 101]);
    }
}
