//! From what the journal says about a log, and the names in its directory, to the log.
//!
//! ```text
//! last FLUSHED ─► start, end, epochs, bytes of the last segment
//! records after it, in order ─► the tail, and what was cut since
//! directory listing ─► which segments and sidecars those are, and which files are leftovers
//! ```
//!
//! **Invariants**
//! - Flushed data is not judged by reading it: the journal says how long the last segment is. A
//!   shorter file, a missing one, or a record that would leave a gap is damage, reported and never
//!   cut away.
//! - Recovery writes nothing that counts, so it may be interrupted and begun again at any point.
//! - The time it takes does not depend on the size of segments.
//!
//! **Not here:** what the records say (`replay`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use chronik_env::{DirEntry, Env, OpenMode};
use chronik_journal::{Flushed, LogId, RecoveredLog};
use chronik_types::{Offset, TopicPartition};

use crate::checkpoint;
use crate::config::LogConfig;
use crate::cut::find_boundary;
use crate::deletion::Deletion;
use crate::dirs::{Dirs, dir_name};
use crate::error::{DiskError, LogError};
use crate::log::{State, Written};
use crate::replay::{Replayed, replay};
use crate::segment::{
    PRODUCER_SUFFIXES, SEGMENT_SUFFIXES, Segment, Segments, parse_file_name, path_of,
};
use crate::storage::Shared;

/// Logs found in the journal, not opened yet.
pub(crate) type Parked = HashMap<TopicPartition, (LogId, RecoveredLog)>;

/// Sorts what the journal knew: logs to be opened, and deletions to be finished.
pub(crate) fn park(
    logs: BTreeMap<LogId, RecoveredLog>,
    env: &Env,
    dirs: &Dirs,
) -> (Parked, Vec<Deletion>) {
    let mut parked = Parked::new();
    let mut dropped = Vec::new();
    for (id, log) in logs {
        if log.dropped {
            dropped.push(log.partition);
        } else {
            // A later incarnation has the greater id.
            parked.insert(log.partition, (id, log));
        }
    }
    let mut deletions: Vec<_> = dirs.leftovers().into_iter().map(Deletion::unlink).collect();
    dropped.sort_unstable();
    dropped.dedup();
    for partition in dropped {
        // The directory may be the next incarnation's by now, if that one was flushed: it renamed
        // this one's away before.
        let taken = parked.get(&partition).is_some_and(|(_, log)| log.flushed.is_some());
        if !taken && let Some(dir) = dirs.find_partition(env, partition) {
            deletions.push(Deletion::retire(dir));
        }
    }
    (parked, deletions)
}

/// Builds the state of a log.
pub(crate) fn recover(
    shared: &Arc<Shared>,
    id: LogId,
    recovered: &RecoveredLog,
    topic: &str,
    config: Arc<LogConfig>,
) -> Result<State, LogError> {
    let partition = recovered.partition;
    let replayed = replay(partition, recovered)?;
    let flushed = recovered.flushed.clone().unwrap_or_default();
    let segments = find_segments(shared, partition, topic, &flushed, &replayed)?;
    let charge = replayed.tail.charge(replayed.flushed_end, replayed.end);
    let memory = shared.admission.recovered(charge);
    let mut written = Box::new(Written::new(id, memory, replayed.flushed_end));
    written.tail = replayed.tail;
    written.segments = segments;
    written.durable_lsn = replayed.lsn;
    written.oldest_unflushed = recovered.records.first().map(|(lsn, _)| *lsn);
    written.rebuild_producers(replayed.end, shared.env.clock.wall().0);
    Ok(State {
        config,
        start: replayed.start,
        end: replayed.end,
        durable: replayed.end,
        high_watermark: replayed.high_watermark,
        epochs: replayed.epochs,
        gone: false,
        written: Some(written),
    })
}

/// The log's files as the journal has them.
fn find_segments(
    shared: &Arc<Shared>,
    partition: TopicPartition,
    topic: &str,
    flushed: &Flushed,
    replayed: &Replayed,
) -> Result<Segments, LogError> {
    let env = &shared.env;
    let name = dir_name(topic, partition.partition);
    let needed = !replayed.reset && replayed.start < replayed.flushed_end;
    let Some(dir) = shared.dirs.find(&name) else {
        if needed && flushed.active_segment.is_some() {
            let dir = shared.dirs.expected(&name);
            return Err(DiskError::corrupt(&dir, 0, "the log's directory is missing").into());
        }
        return Ok(Segments::empty(replayed.flushed_end));
    };
    if flushed.active_segment.is_none()
        && checkpoint::read_partition_metadata(env, &dir) != Some(partition.topic_id)
    {
        // Another partition's of the same name; the first flush moves it out of the way.
        return Ok(Segments::empty(replayed.flushed_end));
    }
    if *flushed == Flushed::default() {
        // A crash interrupted the first flush; that what it made can be seen does not make it
        // durable.
        shared.dirs.set_unfinished(&name);
        return Ok(Segments::empty(replayed.flushed_end));
    }
    let listing = env.disk.read_dir(&dir).map_err(DiskError::io(&dir))?;
    let mut files = Listing::new(&listing, flushed, replayed);
    if let Some((base, bytes)) = flushed.active_segment {
        let uncut = needed && replayed.flushed_end == flushed.end;
        files.judge_active(&dir, base, bytes, uncut)?;
    }
    let Listing { list, sidecars, stale, active_len } = files;
    let active = list.last().copied();
    let mut segments = Segments::recovered(Arc::clone(&dir), list, flushed.end, sidecars, stale);
    segments.cut_unproved = replayed.reset || replayed.flushed_end < flushed.end;
    if replayed.reset {
        segments.reset(replayed.flushed_end);
    } else if replayed.flushed_end < flushed.end {
        cut_segments(shared, &dir, &mut segments, replayed.flushed_end, needed)?;
    } else if active_len.is_none() {
        // The start had passed the last segment, and its files are gone; what is left of earlier
        // ones was to go with it.
        segments.drop_below(flushed.end);
    }
    if let Some(active) = active.filter(|active| segments.list().last() == Some(active)) {
        trim(env, &dir, &listing, &active)?;
    }
    Ok(segments)
}

/// A truncation is in the journal: the segments end at `end` now. If the start has passed what it
/// left, nothing of that is `needed`, and some of its files may be gone already.
fn cut_segments(
    shared: &Arc<Shared>,
    dir: &Path,
    segments: &mut Segments,
    end: Offset,
    needed: bool,
) -> Result<(), LogError> {
    let holds = Offset(end.0.saturating_sub(1));
    let segment = segments.from(holds).first().copied().filter(|segment| segment.base < end);
    let mut cut = None;
    if let Some(segment) = segment {
        let place = find_boundary(&shared.files, dir, &segment, end)?;
        if place.reached < end && !needed {
            segments.truncate(end, None);
            segments.drop_below(end);
            return Ok(());
        }
        if place.end != end {
            let path = path_of(dir, segment.base, "log");
            let position = place.cut.map_or(0, |(_, position)| position);
            let why = "no batch ends where the log was cut";
            return Err(DiskError::corrupt(&path, position, why).into());
        }
        cut = place.cut;
    }
    segments.truncate(end, cut);
    Ok(())
}

/// Bytes behind what counts are leftovers of a flush that did not finish. The next flush would
/// overwrite them; until then tools should not see them.
fn trim(env: &Env, dir: &Path, listing: &[DirEntry], active: &Segment) -> Result<(), LogError> {
    let path = path_of(dir, active.base, "log");
    let name = path.file_name().unwrap_or_default();
    let longer = |entry: &DirEntry| *entry.name == *name && entry.len > active.bytes;
    if listing.iter().any(longer) {
        let file = env.disk.open(&path, OpenMode::READ_WRITE).map_err(DiskError::io(&path))?;
        file.set_len(active.bytes).map_err(DiskError::io(&path))?;
    }
    Ok(())
}

/// A directory's names, sorted out.
struct Listing {
    list: Vec<Segment>,
    sidecars: Vec<Offset>,
    stale: BTreeSet<String>,
    active_len: Option<u64>,
}

impl Listing {
    fn new(entries: &[DirEntry], flushed: &Flushed, replayed: &Replayed) -> Self {
        let active = flushed.active_segment.map(|(base, _)| base);
        let mut files = Self {
            list: Vec::new(),
            sidecars: Vec::new(),
            stale: BTreeSet::new(),
            active_len: None,
        };
        for entry in entries {
            let Some((offset, suffix)) = parse_file_name(&entry.name) else { continue };
            let counts = if SEGMENT_SUFFIXES.contains(&suffix) {
                active.is_some_and(|active| offset <= active)
            } else if PRODUCER_SUFFIXES.contains(&suffix) {
                offset <= replayed.flushed_end && !replayed.reset
            } else {
                continue;
            };
            if !counts {
                files.stale.insert(entry.name.clone());
            } else if suffix == "log" {
                if Some(offset) == active {
                    files.active_len = Some(entry.len);
                }
                let bytes = entry.len;
                files.list.push(Segment { base: offset, bytes, max_timestamp: None });
            } else if suffix != "snapshot" && PRODUCER_SUFFIXES.contains(&suffix) {
                files.sidecars.push(offset);
            }
        }
        files.list.sort_by_key(|segment| segment.base);
        files.sidecars.sort_unstable();
        files.sidecars.dedup();
        files
    }

    /// The last segment counts up to `bytes`; it must have them, unless it was cut since.
    fn judge_active(
        &mut self,
        dir: &Path,
        base: Offset,
        bytes: u64,
        uncut: bool,
    ) -> Result<(), LogError> {
        let path = path_of(dir, base, "log");
        match self.active_len {
            Some(len) if len < bytes && uncut => {
                let why = "the file is shorter than what was flushed to it";
                return Err(DiskError::corrupt(&path, len, why).into());
            }
            None if uncut => {
                return Err(DiskError::corrupt(&path, 0, "the segment is missing").into());
            }
            _ => {}
        }
        if let Some(last) = self.list.last_mut().filter(|last| last.base == base) {
            last.bytes = last.bytes.min(bytes);
        }
        Ok(())
    }
}
