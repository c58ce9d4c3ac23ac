//! Which files a journal's directory holds, and which of them are live.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use chronik_env::Disk;

use crate::damage::{Damage, Skips};
use crate::file_header::{FileHeader, HeaderBlock, VERSION, read_block};
use crate::files::SUFFIX;
use crate::prepare::FreeFile;
use crate::reader::read_first_block;
use crate::{OpenError, Options};

/// A file with a readable header.
#[derive(Clone, Debug)]
pub struct Headed {
    pub path: PathBuf,
    pub header: FileHeader,
    pub bytes: u32,
}

/// What a directory holds.
#[derive(Default)]
pub struct Directory {
    /// Live files by sequence; skipped ones are missing.
    pub live: BTreeMap<u64, Headed>,
    /// Read no more, and free to be used again.
    pub free: Vec<FreeFile>,
    /// Never used.
    pub blank: Vec<PathBuf>,
    pub next_slot: u64,
    /// What was skipped.
    pub skipped: bool,
}

/// A file of the directory, by the number in its name.
pub struct Slot {
    pub slot: u64,
    pub path: PathBuf,
    pub bytes: u32,
    pub block: HeaderBlock,
}

/// Reads the first block of every journal file.
pub fn slots(disk: &dyn Disk, dir: &Path) -> Result<Vec<Slot>, OpenError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |error: io::Error| OpenError::Io { path, error }
    };
    let mut slots = Vec::new();
    for entry in disk.read_dir(dir).map_err(at(dir))? {
        let Some(slot) = entry.name.strip_suffix(SUFFIX).and_then(|name| name.parse().ok()) else {
            continue;
        };
        let path = dir.join(&entry.name);
        let block = read_block(&read_first_block(disk, &path).map_err(at(&path))?);
        let bytes = u32::try_from(entry.len).unwrap_or(u32::MAX);
        slots.push(Slot { slot, path, bytes, block });
    }
    Ok(slots)
}

/// Reads the directory and decides what is live.
pub fn read(disk: &dyn Disk, options: &Options, skips: &Skips) -> Result<Directory, OpenError> {
    let mut directory = Directory::default();
    let mut headed: BTreeMap<u64, Headed> = BTreeMap::new();
    for Slot { slot, path, bytes, block } in slots(disk, &options.dir)? {
        directory.next_slot = directory.next_slot.max(slot + 1);
        match block {
            HeaderBlock::Blank => directory.blank.push(path),
            HeaderBlock::Newer(version) => {
                return Err(OpenError::Version { path, version, known: VERSION });
            }
            HeaderBlock::Damaged if skips.contains(Damage::Header { slot }) => {
                directory.skipped = true;
                directory.blank.push(path);
            }
            HeaderBlock::Damaged => {
                let damage = Damage::Header { slot };
                let why = "neither copy of the file header is readable";
                return Err(OpenError::Corrupt { path, damage, why });
            }
            HeaderBlock::Valid(header) => {
                check_owner(options, &path, &header)?;
                let sequence = header.sequence;
                if let Some(other) = headed.insert(sequence, Headed { path, header, bytes }) {
                    let damage = Damage::Missing { file: sequence };
                    let why = "another file claims the same sequence number";
                    return Err(OpenError::Corrupt { path: other.path, damage, why });
                }
            }
        }
    }
    decide_live(&mut directory, headed, options, skips)?;
    Ok(directory)
}

fn decide_live(
    directory: &mut Directory,
    mut headed: BTreeMap<u64, Headed>,
    options: &Options,
    skips: &Skips,
) -> Result<(), OpenError> {
    let Some(newest) = headed.last_key_value().map(|(_, file)| file.header) else { return Ok(()) };
    let live = headed.split_off(&newest.oldest_live);
    let free = headed.into_values().map(|file| FreeFile { path: file.path, bytes: file.bytes });
    directory.free = free.collect();
    directory.live = live;
    for file in newest.oldest_live..=newest.sequence {
        if directory.live.contains_key(&file) {
            continue;
        }
        let damage = Damage::Missing { file };
        if !skips.contains(damage) {
            let why = "a file that is still needed is missing";
            return Err(OpenError::Corrupt { path: options.dir.clone(), damage, why });
        }
        directory.skipped = true;
    }
    Ok(())
}

fn check_owner(options: &Options, path: &Path, header: &FileHeader) -> Result<(), OpenError> {
    let foreign = |what| Err(OpenError::Foreign { path: path.to_path_buf(), what });
    if header.cluster_id != options.cluster_id {
        return foreign("cluster");
    }
    if header.node_id != options.node_id {
        return foreign("node");
    }
    if header.directory_id != options.directory_id {
        return foreign("data directory");
    }
    Ok(())
}
