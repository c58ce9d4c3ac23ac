//! Reads all live files, tells a torn end from corruption, and makes what counts durable.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::panic::resume_unwind;
use std::thread;

use bytes::Bytes;
use chronik_env::{Disk, OpenMode};

use crate::damage::{Damage, Skips};
use crate::directory::{self, Directory, Headed};
use crate::file_header::HEADER_BYTES;
use crate::files::{Found, LiveFile};
use crate::reader::{FileReader, ReadGroup};
use crate::replay::Replay;
use crate::{OpenError, Options};

/// Files are read side by side when there is this much to read.
const PARALLEL_BYTES_MIN: u64 = 16 << 20;
/// How many at once: enough to keep the disk busy while CRCs are computed.
const PARALLEL_FILES: usize = 2;

/// The last valid group, to be written again.
struct LastGroup {
    position: u32,
    bytes: Bytes,
}

impl LastGroup {
    /// Where the next group would begin.
    fn end(&self) -> u32 {
        self.position.saturating_add(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX))
    }
}

/// What a scan found.
pub struct Scan {
    pub directory: Directory,
    pub replay: Replay,
    pub bytes_read: u64,
    skipped: bool,
    /// The last valid group's number; 0 if there is none.
    last_group: u64,
    /// Where the newest file's last group is, if it has one.
    last: Option<LastGroup>,
}

/// A live file, and the number of the last group before the next one, if there is a next one.
struct Job<'a> {
    file: &'a Headed,
    end: Option<u64>,
}

/// The groups of one file, with their positions.
struct FileScan {
    groups: Vec<(u32, ReadGroup)>,
    bytes_read: u64,
    skipped: bool,
}

/// Reads without changing anything.
pub fn scan(disk: &dyn Disk, options: &Options, skips: &Skips) -> Result<Scan, OpenError> {
    let directory = directory::read(disk, options, skips)?;
    let files: Vec<Headed> = directory.live.values().cloned().collect();
    let mut scan = Scan {
        replay: Replay::new(files.last().map_or(1, |newest| newest.header.next_log)),
        bytes_read: 0,
        skipped: directory.skipped,
        last_group: files.first().map_or(0, |oldest| oldest.header.previous_last_group),
        last: None,
        directory,
    };
    let ends = files.iter().skip(1).map(|next| Some(next.header.previous_last_group));
    let jobs = files.iter().zip(ends.chain([None])).map(|(file, end)| Job { file, end });
    if files.iter().map(|file| u64::from(file.bytes)).sum::<u64>() < PARALLEL_BYTES_MIN {
        for job in jobs {
            scan.take(&job, scan_file(disk, &job, skips)?)?;
        }
    } else {
        scan.side_by_side(disk, jobs, skips)?;
    }
    if scan.skipped {
        scan.replay.cut_at_gaps();
    }
    Ok(scan)
}

/// Reads one file up to its end, torn or not.
fn scan_file(disk: &dyn Disk, job: &Job<'_>, skips: &Skips) -> Result<FileScan, OpenError> {
    let Job { file, end } = job;
    let io = |error| OpenError::Io { path: file.path.clone(), error };
    let mut reader = FileReader::open(disk, &file.path, file.header).map_err(io)?;
    let mut scan = FileScan { groups: Vec::new(), bytes_read: 0, skipped: false };
    let (mut position, mut number) = (HEADER_BYTES, file.header.first_group);
    let mut last_group = file.header.previous_last_group;
    while end.is_none_or(|end| last_group < end) {
        if let Some(group) = reader.group(position, number).map_err(io)? {
            let at = position;
            last_group = number;
            (position, number) = (position + group.header.padded(), number + 1);
            scan.groups.push((at, group));
            continue;
        }
        // No whole group is where one should follow. In the newest file that is its torn end,
        // unless a later group shows that this one had once been durable.
        let later = reader.later_group(position, last_group).map_err(io)?;
        if end.is_none() && later.is_none() {
            break;
        }
        let damage = Damage::Group { file: file.header.sequence, position };
        if !skips.contains(damage) {
            let why = "a group that was durable is damaged";
            return Err(OpenError::Corrupt { path: file.path.clone(), damage, why });
        }
        scan.skipped = true;
        match later {
            Some(later) => (position, number) = later,
            None => break,
        }
    }
    scan.bytes_read = reader.bytes_read;
    Ok(scan)
}

impl Scan {
    /// As many files at once as keep disk and processors busy, taken in by their order.
    fn side_by_side<'a>(
        &mut self,
        disk: &dyn Disk,
        mut jobs: impl Iterator<Item = Job<'a>>,
        skips: &Skips,
    ) -> Result<(), OpenError> {
        thread::scope(|scope| {
            let mut running = VecDeque::new();
            loop {
                while running.len() < PARALLEL_FILES
                    && let Some(job) = jobs.next()
                {
                    let path = job.file.path.clone();
                    let work = move || {
                        let scan = scan_file(disk, &job, skips);
                        (job, scan)
                    };
                    let thread = thread::Builder::new().name("journal-read".into());
                    let running_one = thread.spawn_scoped(scope, work);
                    running.push_back(running_one.map_err(|error| OpenError::Io { path, error })?);
                }
                let Some(oldest) = running.pop_front() else { return Ok(()) };
                let (job, scan) = oldest.join().unwrap_or_else(|panic| resume_unwind(panic));
                self.take(&job, scan?)?;
            }
        })
    }

    /// Takes in the next file.
    fn take(&mut self, job: &Job<'_>, scan: FileScan) -> Result<(), OpenError> {
        self.skipped |= scan.skipped;
        self.bytes_read += scan.bytes_read;
        self.last = None;
        for (position, group) in scan.groups {
            self.last_group = group.header.group;
            self.last = Some(LastGroup { position, bytes: group.bytes.clone() });
            match self.replay.group(group) {
                // With groups missing, a record may well name a log whose mapping was in one.
                Err(why) if !self.skipped => {
                    let damage = Damage::Group { file: job.file.header.sequence, position };
                    return Err(OpenError::Corrupt { path: job.file.path.clone(), damage, why });
                }
                _ => {}
            }
        }
        self.last_group = self.last_group.max(job.end.unwrap_or(0));
        Ok(())
    }

    /// Makes durable what the scan counted: a process may have died between a write and its sync,
    /// and the page cache, or a device's own, is no disk. Gives back what the newest file does not
    /// need, since it is never written to again: otherwise every crash would cost a whole file, and a
    /// few in a row would fill the journal with nothing.
    pub fn make_durable(&mut self, disk: &dyn Disk, options: &Options) -> Result<(), OpenError> {
        let Some(newest) = self.directory.live.values_mut().next_back() else { return Ok(()) };
        let dir = &options.dir;
        disk.sync_dir(dir).map_err(|error| OpenError::Io { path: dir.clone(), error })?;
        if crate::bugs::trust_the_page_cache() {
            return Ok(());
        }
        let io = |error| OpenError::Io { path: newest.path.clone(), error };
        let file = disk.open(&newest.path, OpenMode::READ_WRITE).map_err(io)?;
        // The same bytes in the same places: a crash in between changes nothing that was durable.
        file.write_all_at(&[IoSlice::new(&newest.header.encode())], 0).map_err(io)?;
        if let Some(last) = &self.last {
            file.write_all_at(&[IoSlice::new(&last.bytes)], last.position.into()).map_err(io)?;
        }
        let end = self.last.as_ref().map_or(HEADER_BYTES, LastGroup::end);
        if !self.skipped && newest.bytes > end {
            file.set_len(end.into()).map_err(io)?;
            newest.bytes = end;
        }
        file.sync_data().map_err(io)
    }

    /// Removes files that were never used, and says from where the writer goes on.
    pub fn found(&mut self, disk: &dyn Disk) -> Result<Found, OpenError> {
        for path in &self.directory.blank {
            disk.remove_file(path).map_err(|error| OpenError::Io { path: path.clone(), error })?;
        }
        let newest = self.directory.live.values().next_back().map(|file| file.header);
        let live = self.directory.live.values().map(|file| LiveFile {
            sequence: file.header.sequence,
            path: file.path.clone(),
            bytes: file.bytes,
        });
        // A group after the last valid one may have been begun: its number is not used again.
        let begun = newest.map_or(0, |header| header.first_group).max(self.last_group + 1);
        Ok(Found {
            live: live.collect(),
            free: std::mem::take(&mut self.directory.free),
            next_slot: self.directory.next_slot,
            next_sequence: newest.map_or(1, |header| header.sequence + 1),
            last_group: self.last_group,
            next_group: if newest.is_some() { begun + 1 } else { 1 },
        })
    }
}
