//! One file's bytes, as cached and as on the device, sector by sector.

use std::collections::{BTreeMap, BTreeSet};

use crate::Rng;

pub const SECTOR: usize = 512;

/// Contents a sector had since the last sync, older than the cached one.
type Older = Vec<Box<[u8]>>;

/// # Invariants
///
/// - A sector outside `dirty`, `lied` and `shown` is the same in both views, as far as both reach.
/// - `direct` is a part of `dirty`.
/// - `device` is what a power cut leaves if no unsynced write survives.
#[derive(Default)]
pub struct Content {
    cached: Vec<u8>,
    device: Vec<u8>,
    dirty: BTreeMap<usize, Older>,
    /// Sectors a failed sync called clean without writing them.
    lied: BTreeSet<usize>,
    /// Dirty sectors that were last written directly: the device has them, in a volatile cache.
    direct: BTreeSet<usize>,
    /// Sectors that the device shows and, after a failed sync, will not keep.
    shown: BTreeSet<usize>,
    /// Lengths the file had since the last sync, older than the cached one.
    older_lens: Vec<usize>,
}

impl Content {
    pub fn len(&self) -> usize {
        self.cached.len()
    }

    pub fn read(&self, buffer: &mut [u8], position: usize, direct: bool) -> usize {
        let from = position.min(self.cached.len());
        let len = buffer.len().min(self.cached.len() - from);
        buffer[..len].copy_from_slice(&self.cached[from..from + len]);
        if direct && len > 0 {
            let sectors = from / SECTOR..(from + len).div_ceil(SECTOR);
            for sector in self.lied.range(sectors) {
                let start = (sector * SECTOR).max(from);
                let end = ((sector + 1) * SECTOR).min(from + len);
                for at in start..end {
                    buffer[at - from] = self.device.get(at).copied().unwrap_or(0);
                }
            }
        }
        len
    }

    pub fn write(&mut self, bytes: &[u8], position: usize, direct: bool) {
        if bytes.is_empty() {
            return;
        }
        let end = position + bytes.len();
        if end > self.cached.len() {
            self.set_len(end);
        }
        for sector in position / SECTOR..end.div_ceil(SECTOR) {
            self.mark_dirty(sector);
            if direct {
                self.direct.insert(sector);
            }
        }
        self.cached[position..end].copy_from_slice(bytes);
    }

    /// Keeps what a sector holds before it is overwritten.
    fn mark_dirty(&mut self, sector: usize) {
        let start = (sector * SECTOR).min(self.cached.len());
        let end = ((sector + 1) * SECTOR).min(self.cached.len());
        let before = &self.cached[start..end];
        self.lied.remove(&sector);
        self.direct.remove(&sector);
        self.shown.remove(&sector);
        match self.dirty.entry(sector) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Vec::new());
            }
            std::collections::btree_map::Entry::Occupied(mut occupied) => {
                occupied.get_mut().push(before.into());
            }
        }
    }

    pub fn set_len(&mut self, len: usize) {
        if len == self.cached.len() {
            return;
        }
        self.older_lens.push(self.cached.len());
        let old = self.cached.len();
        if len < old {
            // What is cut off and grown again reads as zeros: both are writes to those sectors.
            for sector in len / SECTOR..old.div_ceil(SECTOR) {
                self.mark_dirty(sector);
            }
        }
        self.cached.resize(len, 0);
    }

    pub fn sync(&mut self) {
        let Self { cached, device, dirty, .. } = self;
        device.resize(cached.len(), 0);
        for sector in dirty.keys() {
            let start = (sector * SECTOR).min(cached.len());
            let end = ((sector + 1) * SECTOR).min(cached.len());
            device[start..end].copy_from_slice(&cached[start..end]);
        }
        self.dirty.clear();
        self.direct.clear();
        self.older_lens.clear();
    }

    /// A sync that fails: chance decides what reaches the device, and everything is called clean.
    /// What was written directly and is lost may go on being shown by the device itself.
    pub fn fail_sync(&mut self, rng: &Rng) {
        let dirty = std::mem::take(&mut self.dirty);
        let direct = std::mem::take(&mut self.direct);
        self.device.resize(self.device.len().max(self.cached.len()), 0);
        for sector in dirty.into_keys() {
            if rng.chance(0.5) {
                let start = (sector * SECTOR).min(self.cached.len());
                let end = ((sector + 1) * SECTOR).min(self.cached.len());
                self.device[start..end].copy_from_slice(&self.cached[start..end]);
            } else if direct.contains(&sector) && rng.chance(0.5) {
                self.shown.insert(sector);
            } else {
                self.lied.insert(sector);
            }
        }
        self.older_lens.clear();
        self.device.truncate(self.cached.len());
    }

    /// Clean pages are forgotten: what a failed sync lost becomes visible.
    pub fn drop_cache(&mut self) {
        for sector in std::mem::take(&mut self.lied) {
            self.show_device(sector);
        }
    }

    fn show_device(&mut self, sector: usize) {
        let end = ((sector + 1) * SECTOR).min(self.cached.len());
        for at in (sector * SECTOR).min(end)..end {
            self.cached[at] = self.device.get(at).copied().unwrap_or(0);
        }
    }

    pub fn power_cut(&mut self, rng: &Rng) {
        let told_apart = [&self.lied, &self.shown].iter().any(|sectors| !sectors.is_empty());
        if self.dirty.is_empty() && !told_apart && self.older_lens.is_empty() {
            return;
        }
        let mut lens = std::mem::take(&mut self.older_lens);
        lens.push(self.device.len());
        lens.push(self.cached.len());
        let len = lens[usize::try_from(rng.below(lens.len() as u64)).unwrap_or(0)];
        let mut left = std::mem::take(&mut self.device);
        left.resize(len.max(left.len()), 0);
        for (sector, mut older) in std::mem::take(&mut self.dirty) {
            let fate = usize::try_from(rng.below(older.len() as u64 + 2)).unwrap_or(0);
            let start = sector * SECTOR;
            if fate == 0 || start >= len {
                continue;
            }
            let cached_end = ((sector + 1) * SECTOR).min(self.cached.len());
            let written: Box<[u8]> = if fate <= older.len() {
                older.swap_remove(fate - 1)
            } else {
                self.cached[start.min(cached_end)..cached_end].into()
            };
            let end = (start + written.len()).min(left.len());
            left[start..end].copy_from_slice(&written[..end - start]);
        }
        left.truncate(len);
        self.lied.clear();
        self.direct.clear();
        self.shown.clear();
        self.cached.clone_from(&left);
        self.device = left;
    }

    pub fn rot(&mut self, position: u64, mask: u8) -> bool {
        let at = usize::try_from(position).unwrap_or(usize::MAX);
        let seen = self.cached.get_mut(at).map(|byte| *byte ^= mask).is_some();
        let held = self.device.get_mut(at).map(|byte| *byte ^= mask).is_some();
        seen || held
    }

    pub fn hash(&self, mut hash: u64) -> u64 {
        for bytes in [&self.cached, &self.device] {
            hash = (hash ^ bytes.len() as u64).wrapping_mul(0x0100_0000_01b3);
            for chunk in bytes.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}
