//! Damage, and the operator's leave to go on without what is damaged.
//!
//! The file `skip` in the journal's directory lists what may be skipped, one place a line, as long
//! as the file with the damage is live. The file `lossy` beside it says that acknowledged records
//! may be missing, until the replicas of this directory have been filled again.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use chronik_env::Disk;

/// The file whose presence says that something was skipped.
pub const LOSSY: &str = "lossy";
const SKIP: &str = "skip";
const SKIP_BYTES_MAX: u64 = 1 << 20;

/// A place in the journal that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A group, by file sequence and position.
    Group {
        /// Sequence of the file.
        file: u64,
        /// Bytes from its start.
        position: u32,
    },
    /// A whole live file, by its sequence.
    Missing {
        /// Sequence of the file.
        file: u64,
    },
    /// A file whose header cannot be read, by its slot: the number in its name.
    Header {
        /// The number in its name.
        slot: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group { file, position } => write!(f, "group {file} {position}"),
            Self::Missing { file } => write!(f, "file {file}"),
            Self::Header { slot } => write!(f, "header {slot}"),
        }
    }
}

/// A line that names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the journal")]
pub struct ParseDamageError;

impl FromStr for Damage {
    type Err = ParseDamageError;

    fn from_str(line: &str) -> Result<Self, ParseDamageError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().map_err(|_| ParseDamageError);
        match words.as_slice() {
            ["group", file, position] => Ok(Self::Group {
                file: number(file)?,
                position: position.parse().map_err(|_| ParseDamageError)?,
            }),
            ["file", file] => Ok(Self::Missing { file: number(file)? }),
            ["header", slot] => Ok(Self::Header { slot: number(slot)? }),
            _ => Err(ParseDamageError),
        }
    }
}

/// What may be skipped.
#[derive(Clone, Debug, Default)]
pub struct Skips(Vec<Damage>);

impl Skips {
    /// Reads the list; none is an empty one.
    pub fn load(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let path = dir.join(SKIP);
        if !disk.exists(&path) {
            return Ok(Self::default());
        }
        let bytes = disk.read(&path, SKIP_BYTES_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let skips: Result<_, _> = lines.map(str::parse).collect();
        skips.map(Self).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes the list.
    pub fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let text: String = self.0.iter().map(|damage| format!("{damage}\n")).collect();
        disk.write_atomically(&dir.join(SKIP), text.as_bytes())
    }

    /// Forgets damage in files that are not read any more, and in headers: a file with such a one
    /// has been removed. Says whether there was any.
    pub fn prune(&mut self, oldest_live: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|damage| match damage {
            Damage::Group { file, .. } | Damage::Missing { file } => *file >= oldest_live,
            Damage::Header { .. } => false,
        });
        self.0.len() < before
    }

    pub fn add(&mut self, damage: Damage) {
        self.0.push(damage);
    }

    pub fn contains(&self, damage: Damage) -> bool {
        self.0.contains(&damage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_round_trip_and_other_lines_are_refused() {
        for damage in [
            Damage::Group { file: 3, position: 4096 },
            Damage::Missing { file: 9 },
            Damage::Header { slot: 0 },
        ] {
            assert_eq!(damage.to_string().parse(), Ok(damage));
        }
        for line in ["", "group 1", "file x", "group 1 -1", "all"] {
            assert_eq!(line.parse::<Damage>(), Err(ParseDamageError));
        }
    }
}
