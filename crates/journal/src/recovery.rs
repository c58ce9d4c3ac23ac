//! Reads all live files, tells a torn end from corruption, and makes what counts durable.

use std::io::IoSlice;
use std::ops::ControlFlow;

use chronik_env::{Disk, OpenMode};

use crate::damage::{Damage, Skips};
use crate::directory::{self, Directory, Headed};
use crate::file_header::HEADER_BYTES;
use crate::files::{Found, LiveFile};
use crate::reader::{FileReader, ReadGroup};
use crate::replay::Replay;
use crate::{OpenError, Options};

/// The last valid group, to be written again.
struct LastGroup {
    position: u32,
    bytes: bytes::Bytes,
}

/// What a scan found.
pub struct Scan {
    pub directory: Directory,
    pub replay: Replay,
    pub bytes_read: u64,
    pub skipped: bool,
    /// The last valid group's number; 0 if there is none.
    last_group: u64,
    /// Where the newest file's last group is, if it has one.
    last: Option<LastGroup>,
}

/// Reads without changing anything.
pub fn scan(disk: &dyn Disk, options: &Options, skips: &Skips) -> Result<Scan, OpenError> {
    let directory = directory::read(disk, options, skips)?;
    let oldest = directory.live.values().next().map(|file| file.header);
    let mut scan = Scan {
        replay: Replay::new(),
        bytes_read: 0,
        skipped: directory.skipped,
        last_group: oldest.map_or(0, |header| header.previous_last_group),
        last: None,
        directory,
    };
    if let Some(header) = oldest {
        // Ids below are in use or were; what the newest file says covers them all.
        let newest = scan.directory.live.values().next_back().map_or(header, |file| file.header);
        scan.replay.table = crate::table::Table::new(newest.next_log);
    }
    let files: Vec<Headed> = scan.directory.live.values().cloned().collect();
    let mut next = files.iter().skip(1);
    for file in &files {
        let end = next.next().map(|next| next.header.previous_last_group);
        scan.file(disk, file, end, skips)?;
    }
    if scan.skipped {
        scan.replay.cut_at_gaps();
    }
    Ok(scan)
}

impl Scan {
    /// Reads one file. `end` is the number of the last group before the next file.
    fn file(
        &mut self,
        disk: &dyn Disk,
        file: &Headed,
        end: Option<u64>,
        skips: &Skips,
    ) -> Result<(), OpenError> {
        let io = |error| OpenError::Io { path: file.path.clone(), error };
        let mut reader = FileReader::open(disk, &file.path, file.header).map_err(io)?;
        let mut position = HEADER_BYTES;
        let mut number = file.header.first_group;
        self.last = None;
        loop {
            if end.is_some_and(|end| self.last_group >= end) {
                break;
            }
            match reader.group(position, number).map_err(io)? {
                Some(group) => {
                    let at = position;
                    (position, number) = (position + group.header.padded(), number + 1);
                    self.take(file, at, group)?;
                }
                None => match self.bad_group(&mut reader, file, position, end, skips)? {
                    ControlFlow::Continue((at, group)) => (position, number) = (at, group),
                    ControlFlow::Break(()) => break,
                },
            }
        }
        if let Some(end) = end {
            self.last_group = self.last_group.max(end);
        }
        self.bytes_read += reader.bytes_read;
        Ok(())
    }

    fn take(&mut self, file: &Headed, position: u32, group: ReadGroup) -> Result<(), OpenError> {
        self.last_group = group.header.group;
        self.last = Some(LastGroup { position, bytes: group.bytes.clone() });
        match self.replay.group(group) {
            // With groups missing, a record may well name a log whose mapping was in one of them.
            Err(_) if self.skipped => Ok(()),
            Err(why) => {
                let damage = Damage::Group { file: file.header.sequence, position };
                Err(OpenError::Corrupt { path: file.path.clone(), damage, why })
            }
            Ok(()) => Ok(()),
        }
    }

    /// No whole group is where one should follow. In the newest file that is its torn end, unless a
    /// later group shows that this one had once been durable; in an older one it is corruption.
    fn bad_group(
        &mut self,
        reader: &mut FileReader,
        file: &Headed,
        position: u32,
        end: Option<u64>,
        skips: &Skips,
    ) -> Result<ControlFlow<(), (u32, u64)>, OpenError> {
        let io = |error| OpenError::Io { path: file.path.clone(), error };
        let later = reader.later_group(position, self.last_group).map_err(io)?;
        if end.is_none() && later.is_none() {
            return Ok(ControlFlow::Break(()));
        }
        let damage = Damage::Group { file: file.header.sequence, position };
        if !skips.contains(damage) {
            let why = "a group that was durable is damaged";
            return Err(OpenError::Corrupt { path: file.path.clone(), damage, why });
        }
        self.skipped = true;
        Ok(later.map_or(ControlFlow::Break(()), ControlFlow::Continue))
    }

    /// Makes durable what the scan counted: a process may have died between a write and its sync,
    /// and the page cache, or a device's own, is no disk.
    pub fn make_durable(&self, disk: &dyn Disk, options: &Options) -> Result<(), OpenError> {
        let Some(newest) = self.directory.live.values().next_back() else { return Ok(()) };
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
