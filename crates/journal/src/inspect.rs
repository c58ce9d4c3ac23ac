//! What an operator can see of a journal, and do about damage in it. Works on a stopped journal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chronik_env::Disk;
use chronik_types::Uuid;

use crate::damage::{Damage, LOSSY, Skips};
use crate::directory;
use crate::entry::Entry;
use crate::file_header::{FileHeader, HEADER_BYTES, HeaderBlock};
use crate::reader::{FileReader, Located};
use crate::recovery;
use crate::{OpenError, Options, Record};

/// One thing seen, in the order of the files' names and positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its length.
        bytes: u32,
        /// What its header says, in words.
        header: String,
    },
    /// A whole, valid group in it.
    Group {
        /// Its number.
        number: u64,
        /// Bytes from the file's start.
        position: u32,
        /// Bytes with padding.
        bytes: u32,
        /// One line for each entry.
        entries: Vec<String>,
    },
    /// No group is here, though one with a higher number is at `later`.
    Gap {
        /// Bytes from the file's start.
        position: u32,
        /// Where the later group is.
        later: u32,
    },
    /// The valid groups of the file end here.
    End {
        /// Bytes from the file's start.
        position: u32,
    },
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, bytes, header } => {
                write!(f, "{} ({bytes} bytes): {header}", path.display())
            }
            Self::Group { number, position, bytes, entries } => {
                write!(f, "  {position:>10} group {number}, {bytes} bytes")?;
                entries.iter().try_for_each(|entry| write!(f, "\n             {entry}"))
            }
            Self::Gap { position, later } => {
                write!(f, "  {position:>10} DAMAGED: the next valid group is at {later}")
            }
            Self::End { position } => write!(f, "  {position:>10} end"),
        }
    }
}

/// Shows everything in the journal's directory, file by file, to `see`. Changes nothing, and needs
/// no ids: it shows the files of any cluster and node.
///
/// # Errors
///
/// When the system refuses a read.
pub fn inspect(disk: &dyn Disk, dir: &Path, see: &mut dyn FnMut(Sight)) -> Result<(), OpenError> {
    for slot in directory::slots(disk, dir)? {
        let header = match slot.block {
            HeaderBlock::Blank => "never used".to_owned(),
            HeaderBlock::Damaged => "DAMAGED: neither copy of the header is readable".to_owned(),
            HeaderBlock::Newer(version) => format!("format version {version}, unknown here"),
            HeaderBlock::Valid(header) => describe(&header),
        };
        see(Sight::File { path: slot.path.clone(), bytes: slot.bytes, header });
        if let HeaderBlock::Valid(header) = slot.block {
            groups(disk, &slot.path, header, see)
                .map_err(|error| OpenError::Io { path: slot.path.clone(), error })?;
        }
    }
    Ok(())
}

fn describe(header: &FileHeader) -> String {
    let FileHeader { sequence, first_group, previous_last_group, oldest_live, .. } = header;
    let show = |uuid: Uuid| uuid.to_string();
    format!(
        "file {sequence}, groups from {first_group}, the one before is {previous_last_group}, \
         oldest live file {oldest_live}, node {}, cluster {}, directory {}",
        header.node_id,
        show(header.cluster_id),
        show(header.directory_id.0),
    )
}

fn groups(
    disk: &dyn Disk,
    path: &Path,
    header: FileHeader,
    see: &mut dyn FnMut(Sight),
) -> io::Result<()> {
    let mut reader = FileReader::open(disk, path, header)?;
    let (mut position, mut number) = (HEADER_BYTES, header.first_group);
    loop {
        if let Some(group) = reader.group(position, number)? {
            let entries = group.entries.iter().map(describe_entry).collect();
            let bytes = group.header.padded();
            see(Sight::Group { number, position, bytes, entries });
            (position, number) = (position + bytes, number + 1);
            continue;
        }
        match reader.later_group(position, number.saturating_sub(1))? {
            Some((later, group)) => {
                see(Sight::Gap { position, later });
                (position, number) = (later, group);
            }
            None => {
                see(Sight::End { position });
                return Ok(());
            }
        }
    }
}

fn describe_entry(located: &Located) -> String {
    let bytes = located.payload.len();
    match &located.entry {
        Entry::Mapping { log, partition } => format!("log {log} is {partition}"),
        Entry::Append { log, base_offset, last_offset, epoch, .. } => {
            format!("log {log} append {base_offset}..={last_offset} epoch {epoch}, {bytes} bytes")
        }
        Entry::Record { log, record } => match record {
            Record::Append { .. } | Record::Drop => format!("log {log} drop"),
            Record::TruncateTo { end } => format!("log {log} truncate to {end}"),
            Record::ResetTo { start, epoch } => format!("log {log} reset to {start} epoch {epoch}"),
            Record::StartOffset { start } => format!("log {log} start offset {start}"),
            Record::EpochStart { epoch, start } => {
                format!("log {log} epoch {epoch} starts at {start}")
            }
            Record::Flushed(flushed) => format!(
                "log {log} flushed {}..{} up to {}, high watermark {}",
                flushed.start, flushed.end, flushed.lsn, flushed.high_watermark
            ),
        },
        Entry::Vote { .. } => format!("vote, {bytes} bytes"),
        Entry::Seal => "seal".to_owned(),
    }
}

/// Gives leave to go on without everything that is damaged, and returns what that is. From then on
/// the journal reports itself as lossy, until [`clear_lossy`].
///
/// # Errors
///
/// When the journal cannot be opened for another reason than damage.
pub fn skip(disk: &dyn Disk, options: &Options) -> Result<Vec<Damage>, OpenError> {
    let dir = &options.dir;
    let io = |error| OpenError::Io { path: dir.clone(), error };
    let mut skips = Skips::load(disk, dir).map_err(io)?;
    let mut skipped = Vec::new();
    loop {
        match recovery::scan(disk, options, &skips) {
            Err(OpenError::Corrupt { damage, .. }) if !skips.contains(damage) => {
                skips.add(damage);
                skipped.push(damage);
            }
            Err(error) => return Err(error),
            Ok(_) if skipped.is_empty() => return Ok(skipped),
            Ok(_) => {
                // The mark first: what is skipped must never go unreported.
                disk.write_atomically(&dir.join(LOSSY), b"").map_err(io)?;
                skips.save(disk, dir).map_err(io)?;
                return Ok(skipped);
            }
        }
    }
}

/// Takes back the mark of [`skip`]: the replicas of this directory have been filled again.
///
/// # Errors
///
/// When the system refuses.
pub fn clear_lossy(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(LOSSY);
    let io = |error| OpenError::Io { path: path.clone(), error };
    if disk.exists(&path) {
        disk.remove_file(&path).map_err(io)?;
        disk.sync_dir(dir).map_err(io)?;
    }
    Ok(())
}
