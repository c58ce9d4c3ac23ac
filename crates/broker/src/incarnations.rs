//! Which incarnations of this broker the disk has carried: `incarnations` in the first of
//! `log.dirs`.
//!
//! The controller takes what a disk has acknowledged for intact only if the disk knows the
//! incarnation that is registered. One that was exchanged, or put back to an earlier state, does
//! not know it.
//!
//! **Invariants**
//! - An incarnation is on disk before it is registered, so a crash in between cannot make an intact
//!   disk look like a foreign one.
//! - Earlier ones are dropped only once the present one is known to be registered.

use std::io;
use std::path::{Path, PathBuf};

use chronik_env::Env;
use chronik_types::Uuid;

const FILE: &str = "incarnations";
/// Far above what the file ever holds.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Starts in a row that got as far as asking for a registration and never heard of it. The oldest
/// is kept, and the newest of the others.
const KNOWN_MAX: usize = 256;

/// The incarnations that may be the registered one.
#[derive(Debug)]
pub(crate) struct Incarnations {
    path: PathBuf,
    earlier: Vec<Uuid>,
    current: Uuid,
}

impl Incarnations {
    /// Draws this start's incarnation and writes it down behind the earlier ones.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn begin(env: &Env, dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let mut earlier = read(env, &path)?;
        if earlier.len() >= KNOWN_MAX {
            earlier.remove(1);
        }
        let begun = Self { path, earlier, current: env.rng.uuid() };
        let all: Vec<_> = begun.earlier.iter().copied().chain([begun.current]).collect();
        env.disk.write_atomically(&begun.path, &format(&all))?;
        Ok(begun)
    }

    /// This start's.
    pub fn current(&self) -> Uuid {
        self.current
    }

    /// Those of earlier starts, one of which may be registered.
    pub fn earlier(&self) -> &[Uuid] {
        &self.earlier
    }

    /// The controller has registered this start's incarnation.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn registered(&mut self, env: &Env) -> io::Result<()> {
        self.earlier.clear();
        env.disk.write_atomically(&self.path, &format(&[self.current]))
    }
}

fn format(incarnations: &[Uuid]) -> Vec<u8> {
    let mut text = "version=1\n".to_owned();
    for incarnation in incarnations {
        text.push_str(&format!("incarnation={incarnation}\n"));
    }
    text.into_bytes()
}

/// A file that is not one is taken for none: then the disk counts as one that may lack something,
/// which is safe.
fn read(env: &Env, path: &Path) -> io::Result<Vec<Uuid>> {
    if !env.disk.exists(path) {
        return Ok(Vec::new());
    }
    let bytes = env.disk.read(path, FILE_BYTES_MAX)?;
    let parsed = parse(&String::from_utf8_lossy(&bytes));
    Ok(parsed.unwrap_or_else(|| {
        tracing::warn!(
            file = %path.display(),
            "the file is damaged: replicas here are filled again from other brokers"
        );
        Vec::new()
    }))
}

fn parse(text: &str) -> Option<Vec<Uuid>> {
    let rest = text.strip_prefix("version=1\n")?;
    rest.lines().map(|line| line.strip_prefix("incarnation=")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chronik_env::{ManualClock, Rng, SimDisk};

    use super::*;

    fn env() -> Env {
        let env = Env {
            disk: Arc::new(SimDisk::new(1)),
            clock: Arc::new(ManualClock::default()),
            rng: Rng::from_seed(1),
        };
        env.disk.create_dir_all(Path::new("/a")).expect("dir");
        env
    }

    fn begin(env: &Env) -> Incarnations {
        Incarnations::begin(env, Path::new("/a")).expect("readable")
    }

    #[test]
    fn every_start_that_may_have_been_registered_is_remembered_until_one_is() {
        let env = env();
        let first = begin(&env);
        assert!(first.earlier().is_empty());
        let mut second = begin(&env);
        assert_eq!(second.earlier(), [first.current()]);
        let third = begin(&env);
        assert_eq!(third.earlier(), [first.current(), second.current()]);
        second.registered(&env).expect("written");
        assert_eq!(begin(&env).earlier(), [second.current()]);
    }

    #[test]
    fn starts_in_vain_do_not_pile_up_for_ever() {
        let env = env();
        let first = begin(&env);
        let last = (0..2 * KNOWN_MAX).fold(begin(&env), |_, _| begin(&env));
        assert_eq!(last.earlier().len(), KNOWN_MAX - 1);
        assert_eq!(last.earlier().first(), Some(&first.current()));
    }

    #[test]
    fn a_damaged_file_counts_as_none() {
        let env = env();
        begin(&env);
        for damaged in ["", "version=2\n", "version=1\nincarnation=x\n"] {
            let path = Path::new("/a").join(FILE);
            env.disk.write_atomically(&path, damaged.as_bytes()).expect("written");
            assert!(begin(&env).earlier().is_empty(), "{damaged}");
        }
    }
}
