//! Who this node is: `meta.properties` in every data directory, in Kafka's format.
//!
//! **Invariants**
//! - Every directory names the same cluster and node; a directory of another one is refused before
//!   anything in it is touched.
//! - Each directory has an id of its own, drawn when it is first used and never changed.

use std::io;
use std::path::{Path, PathBuf};

use chronik_env::Env;
use chronik_types::{BrokerId, DirectoryId, Uuid};

/// The name Kafka gives this file.
const FILE: &str = "meta.properties";
/// Far above what the file ever holds.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What the data directories say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: Uuid,
    /// The id of each directory, in the order of `log.dirs`.
    pub directories: Vec<DirectoryId>,
}

/// A data directory that this node may not use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It could not be read or written.
    #[error("{}: {source}; check that the directory exists or can be created and is writable", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one.
    #[error("{}: {why}; restore the file, or remove the directory if its data is not needed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The directory belongs to somebody else.
    #[error("{} belongs to {what} {found}, but this node's is {expected}; point log.dirs to this node's own directory, or set {what} back", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `cluster.id` or `node.id`.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What it should say.
        expected: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
struct Properties {
    cluster_id: Uuid,
    node_id: i32,
    directory_id: DirectoryId,
}

/// Reads `meta.properties` of every directory of `log_dirs`, writes those that are missing.
///
/// # Errors
/// See [`IdentityError`]; nothing was written then unless a directory was new.
pub fn establish(
    env: &Env,
    node_id: BrokerId,
    log_dirs: &[PathBuf],
) -> Result<Identity, IdentityError> {
    let mut found = Vec::with_capacity(log_dirs.len());
    for dir in log_dirs {
        env.disk
            .create_dir_all(dir)
            .map_err(|source| IdentityError::Io { path: dir.clone(), source })?;
        found.push(read(env, &dir.join(FILE))?);
    }
    let cluster_id = found.iter().flatten().map(|p| p.cluster_id).next();
    let cluster_id = cluster_id.unwrap_or_else(|| env.rng.uuid());
    let mut directories = Vec::with_capacity(log_dirs.len());
    for (dir, properties) in log_dirs.iter().zip(found) {
        let path = dir.join(FILE);
        let properties = match properties {
            Some(properties) => properties,
            None => {
                let directory_id = DirectoryId(env.rng.uuid());
                let new = Properties { cluster_id, node_id: node_id.0, directory_id };
                env.disk
                    .write_atomically(&path, format(&new).as_bytes())
                    .map_err(|source| IdentityError::Io { path: path.clone(), source })?;
                new
            }
        };
        check(&path, "node.id", &properties.node_id, &node_id.0)?;
        check(&path, "cluster.id", &properties.cluster_id, &cluster_id)?;
        directories.push(properties.directory_id);
    }
    Ok(Identity { cluster_id, directories })
}

fn check<T: PartialEq + ToString>(
    path: &Path,
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), IdentityError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.to_string(), expected.to_string());
    Err(IdentityError::Foreign { path: path.to_owned(), what, found, expected })
}

fn format(properties: &Properties) -> String {
    format!(
        "cluster.id={}\ndirectory.id={}\nnode.id={}\nversion=1\n",
        properties.cluster_id, properties.directory_id.0, properties.node_id
    )
}

fn read(env: &Env, path: &Path) -> Result<Option<Properties>, IdentityError> {
    if !env.disk.exists(path) {
        return Ok(None);
    }
    let bytes = env
        .disk
        .read(path, FILE_BYTES_MAX)
        .map_err(|source| IdentityError::Io { path: path.to_owned(), source })?;
    parse(&String::from_utf8_lossy(&bytes))
        .map(Some)
        .map_err(|why| IdentityError::Malformed { path: path.to_owned(), why })
}

fn parse(text: &str) -> Result<Properties, String> {
    let (mut cluster, mut node, mut directory, mut version) = (None, None, None, None);
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("'{line}' has no '='"))?;
        match key.trim() {
            "cluster.id" => cluster = Some(value.trim()),
            "node.id" => node = Some(value.trim()),
            "directory.id" => directory = Some(value.trim()),
            "version" => version = Some(value.trim()),
            _ => {}
        }
    }
    if version != Some("1") {
        return Err(format!("version {} is not known", version.unwrap_or("(none)")));
    }
    let uuid = |key: &str, value: Option<&str>| {
        let value = value.ok_or_else(|| format!("it names no {key}"))?;
        value.parse::<Uuid>().map_err(|e| format!("{key}: {e}"))
    };
    Ok(Properties {
        cluster_id: uuid("cluster.id", cluster)?,
        directory_id: DirectoryId(uuid("directory.id", directory)?),
        node_id: node
            .ok_or("it names no node.id")?
            .parse()
            .map_err(|_| "node.id is not a number".to_owned())?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chronik_env::{ManualClock, Rng, SimDisk};

    use super::*;

    fn env() -> Env {
        Env {
            disk: Arc::new(SimDisk::new(1)),
            clock: Arc::new(ManualClock::default()),
            rng: Rng::from_seed(1),
        }
    }

    #[test]
    fn identity_is_drawn_once_and_kept() {
        let env = env();
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        let first = establish(&env, BrokerId(1), &dirs).expect("drawn");
        assert_ne!(first.directories[0], first.directories[1]);
        assert_eq!(establish(&env, BrokerId(1), &dirs).expect("read"), first);
    }

    #[test]
    fn a_directory_of_another_node_is_refused() {
        let env = env();
        let dirs = [PathBuf::from("/a")];
        establish(&env, BrokerId(1), &dirs).expect("drawn");
        let error = establish(&env, BrokerId(2), &dirs).expect_err("foreign");
        assert!(error.to_string().contains("node.id 1"), "{error}");
    }

    #[test]
    fn a_malformed_file_is_refused_and_named() {
        let env = env();
        env.disk.create_dir_all(Path::new("/a")).expect("dir");
        env.disk.write_atomically(Path::new("/a/meta.properties"), b"version=7\n").expect("file");
        let error = establish(&env, BrokerId(1), &[PathBuf::from("/a")]).expect_err("malformed");
        assert!(error.to_string().contains("version 7"), "{error}");
    }
}
