//! Who this node is: `meta.properties` in every data directory, in Kafka's format.
//!
//! **Invariants**
//! - Every directory names the same cluster and node; a directory of another one is refused before
//!   anything in it is touched.
//! - Each directory has an id of its own, drawn when it is first used and never changed. The name
//!   of the cluster may come later: a new node asks the others first.

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
    /// `None` in a directory whose cluster is not known yet.
    cluster_id: Option<Uuid>,
    node_id: i32,
    directory_id: DirectoryId,
}

/// What was found in the data directories, with ids drawn for those that are new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// `None`: no directory knows its cluster yet.
    pub cluster_id: Option<Uuid>,
    /// The id of each directory, in the order of `log.dirs`.
    pub directories: Vec<DirectoryId>,
    node_id: BrokerId,
    /// Those whose `meta.properties` lacks the cluster, or is not there at all.
    unsettled: Vec<(PathBuf, DirectoryId)>,
}

impl Found {
    /// Reads `meta.properties` of every directory of `log_dirs`.
    ///
    /// # Errors
    /// See [`IdentityError`]; nothing is written by this.
    pub fn read(env: &Env, node_id: BrokerId, log_dirs: &[PathBuf]) -> Result<Self, IdentityError> {
        let mut found =
            Self { cluster_id: None, directories: Vec::new(), node_id, unsettled: Vec::new() };
        for dir in log_dirs {
            env.disk
                .create_dir_all_durably(dir)
                .map_err(|source| IdentityError::Io { path: dir.clone(), source })?;
            let path = dir.join(FILE);
            let properties = read(env, &path)?;
            let directory =
                properties.as_ref().map_or_else(|| DirectoryId(env.rng.uuid()), |p| p.directory_id);
            found.directories.push(directory);
            if let Some(properties) = &properties {
                check(&path, "node.id", &properties.node_id, &node_id.0)?;
            }
            match properties.and_then(|properties| properties.cluster_id) {
                None => found.unsettled.push((path, directory)),
                Some(cluster_id) => {
                    let expected = *found.cluster_id.get_or_insert(cluster_id);
                    check(&path, "cluster.id", &cluster_id, &expected)?;
                }
            }
        }
        Ok(found)
    }

    /// Writes the ids of new directories, so that they stay the same however long it takes until
    /// the cluster is known.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn keep(&self, env: &Env) -> Result<(), IdentityError> {
        self.write(env, self.cluster_id)
    }

    /// Writes the cluster into every directory that lacks it.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn settle(&self, env: &Env, cluster_id: Uuid) -> Result<Identity, IdentityError> {
        self.write(env, Some(cluster_id))?;
        Ok(Identity { cluster_id, directories: self.directories.clone() })
    }

    fn write(&self, env: &Env, cluster_id: Option<Uuid>) -> Result<(), IdentityError> {
        for (path, directory_id) in &self.unsettled {
            let properties =
                Properties { cluster_id, node_id: self.node_id.0, directory_id: *directory_id };
            env.disk
                .write_atomically(path, format(&properties).as_bytes())
                .map_err(|source| IdentityError::Io { path: path.clone(), source })?;
        }
        Ok(())
    }
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
    let cluster = properties.cluster_id.map(|id| format!("cluster.id={id}\n"));
    format!(
        "{}directory.id={}\nnode.id={}\nversion=1\n",
        cluster.unwrap_or_default(),
        properties.directory_id.0,
        properties.node_id
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
        cluster_id: cluster.map(|cluster| uuid("cluster.id", Some(cluster))).transpose()?,
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

    const CLUSTER: Uuid = Uuid([7; 16]);

    #[test]
    fn identity_is_drawn_once_and_kept() {
        let env = env();
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        let found = Found::read(&env, BrokerId(1), &dirs).expect("read");
        assert_eq!(found.cluster_id, None);
        let identity = found.settle(&env, CLUSTER).expect("written");
        assert_ne!(identity.directories[0], identity.directories[1]);
        let again = Found::read(&env, BrokerId(1), &dirs).expect("read");
        assert_eq!(again.cluster_id, Some(CLUSTER));
        assert_eq!(again.settle(&env, CLUSTER).expect("nothing to write"), identity);
    }

    #[test]
    fn a_directory_keeps_its_id_while_its_cluster_is_not_known() {
        let env = env();
        let dirs = [PathBuf::from("/a")];
        let found = Found::read(&env, BrokerId(1), &dirs).expect("read");
        found.keep(&env).expect("written");
        assert_eq!(Found::read(&env, BrokerId(1), &dirs).expect("read"), found);
        found.settle(&env, CLUSTER).expect("written");
        let settled = Found::read(&env, BrokerId(1), &dirs).expect("read");
        assert_eq!((settled.cluster_id, settled.directories), (Some(CLUSTER), found.directories));
    }

    #[test]
    fn a_new_directory_adopts_the_cluster_of_the_others() {
        let env = env();
        let [a, b] = ["/a", "/b"].map(PathBuf::from);
        let read = |dirs: &[PathBuf]| Found::read(&env, BrokerId(1), dirs);
        read(std::slice::from_ref(&a)).expect("read").settle(&env, CLUSTER).expect("written");
        let found = read(&[a.clone(), b.clone()]).expect("read");
        assert_eq!(found.cluster_id, Some(CLUSTER));
        found.settle(&env, CLUSTER).expect("written");
        assert_eq!(read(&[b]).expect("read").cluster_id, Some(CLUSTER));
    }

    #[test]
    fn a_directory_of_another_node_or_cluster_is_refused() {
        let env = env();
        let dirs = [PathBuf::from("/a")];
        Found::read(&env, BrokerId(1), &dirs).expect("read").settle(&env, CLUSTER).expect("set");
        let error = Found::read(&env, BrokerId(2), &dirs).expect_err("foreign");
        assert!(error.to_string().contains("node.id 1"), "{error}");
        let other = [PathBuf::from("/b")];
        let found = Found::read(&env, BrokerId(1), &other).expect("read");
        found.settle(&env, Uuid([8; 16])).expect("set");
        let both = ["/a", "/b"].map(PathBuf::from);
        let error = Found::read(&env, BrokerId(1), &both).expect_err("foreign");
        assert!(error.to_string().contains("cluster.id"), "{error}");
    }

    #[test]
    fn a_malformed_file_is_refused_and_named() {
        let env = env();
        env.disk.create_dir_all(Path::new("/a")).expect("dir");
        env.disk.write_atomically(Path::new("/a/meta.properties"), b"version=7\n").expect("file");
        let error = Found::read(&env, BrokerId(1), &[PathBuf::from("/a")]).expect_err("malformed");
        assert!(error.to_string().contains("version 7"), "{error}");
    }
}
