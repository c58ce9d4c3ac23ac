//! Directories, as seen and as on the device.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::content::Content;
use crate::{DirEntry, Rng};

/// The root directory.
const ROOT: u64 = 0;

#[derive(Default)]
pub struct Directory {
    seen: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
}

pub enum Node {
    File(Content),
    Dir(Directory),
}

impl Node {
    pub fn directory() -> Self {
        Self::Dir(Directory::default())
    }
}

/// One entry set or removed.
struct Change {
    directory: u64,
    name: String,
    inode: Option<u64>,
}

/// # Invariants
///
/// - Applying all of `unsynced`, in order, to the durable entries gives the seen ones.
pub struct Tree {
    nodes: BTreeMap<u64, Node>,
    next_inode: u64,
    /// Operations not yet durable, in order; each is all or nothing.
    unsynced: Vec<Vec<Change>>,
}

impl Tree {
    pub fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::directory())]);
        Self { nodes, next_inode: 1, unsynced: Vec::new() }
    }

    pub fn node_mut(&mut self, inode: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&inode)
    }

    fn directory(&self, inode: u64) -> io::Result<&Directory> {
        match self.nodes.get(&inode) {
            Some(Node::Dir(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub fn lookup(&self, path: &Path) -> io::Result<u64> {
        let mut inode = ROOT;
        for part in path.components() {
            match part {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    let name = name.to_str().ok_or(io::ErrorKind::InvalidInput)?;
                    let found = self.directory(inode)?.seen.get(name);
                    inode = *found.ok_or(io::ErrorKind::NotFound)?;
                }
                Component::Prefix(_) | Component::ParentDir => {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
            }
        }
        Ok(inode)
    }

    /// The directory an entry is in, and its name there.
    fn place(&self, path: &Path) -> io::Result<(u64, String)> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or(io::ErrorKind::InvalidInput)?;
        let directory = self.lookup(path.parent().unwrap_or(Path::new("")))?;
        self.directory(directory)?;
        Ok((directory, name.to_owned()))
    }

    pub fn create(&mut self, path: &Path, node: Node) -> io::Result<u64> {
        let (directory, name) = self.place(path)?;
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, node);
        self.change(vec![Change { directory, name, inode: Some(inode) }]);
        Ok(inode)
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.lookup(from)?;
        let (from_directory, from_name) = self.place(from)?;
        let (to_directory, to_name) = self.place(to)?;
        let replaced = self.directory(to_directory)?.seen.get(&to_name).copied();
        if let Some(replaced) = replaced {
            if replaced == inode {
                return Ok(());
            }
            let moves_directory = matches!(self.nodes.get(&inode), Some(Node::Dir(_)));
            match self.nodes.get(&replaced) {
                Some(Node::Dir(_)) if !moves_directory => {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                Some(Node::Dir(directory)) if !directory.seen.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                Some(Node::File(_)) if moves_directory => {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                _ => {}
            }
        }
        self.change(vec![
            Change { directory: from_directory, name: from_name, inode: None },
            Change { directory: to_directory, name: to_name, inode: Some(inode) },
        ]);
        Ok(())
    }

    pub fn remove(&mut self, path: &Path, recursive: bool) -> io::Result<()> {
        let inode = self.lookup(path)?;
        let is_dir = matches!(self.nodes.get(&inode), Some(Node::Dir(_)));
        if is_dir != recursive {
            let kind =
                if is_dir { io::ErrorKind::IsADirectory } else { io::ErrorKind::NotADirectory };
            return Err(kind.into());
        }
        if is_dir {
            // As the system call does it: entry by entry, so that a crash may leave some.
            let names: Vec<String> = self.directory(inode)?.seen.keys().cloned().collect();
            for name in names {
                let child = path.join(name);
                let child_inode = self.lookup(&child)?;
                let is_dir = matches!(self.nodes.get(&child_inode), Some(Node::Dir(_)));
                self.remove(&child, is_dir)?;
            }
        }
        let (directory, name) = self.place(path)?;
        self.change(vec![Change { directory, name, inode: None }]);
        Ok(())
    }

    pub fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let directory = self.directory(self.lookup(path)?)?;
        let entry = |(name, inode): (&String, &u64)| {
            let len = match self.nodes.get(inode) {
                Some(Node::File(content)) => Some(content.len() as u64),
                _ => None,
            };
            DirEntry { name: name.clone(), is_dir: len.is_none(), len: len.unwrap_or(0) }
        };
        Ok(directory.seen.iter().map(entry).collect())
    }

    fn change(&mut self, operation: Vec<Change>) {
        for change in &operation {
            if let Some(Node::Dir(directory)) = self.nodes.get_mut(&change.directory) {
                apply(&mut directory.seen, change);
            }
        }
        self.unsynced.push(operation);
    }

    fn make_durable(nodes: &mut BTreeMap<u64, Node>, operation: &[Change]) {
        for change in operation {
            if let Some(Node::Dir(directory)) = nodes.get_mut(&change.directory) {
                apply(&mut directory.durable, change);
            }
        }
    }

    /// An operation over two directories is one transaction: syncing either makes it durable.
    pub fn sync_dir(&mut self, inode: u64) -> io::Result<()> {
        self.directory(inode)?;
        let mut rest: Vec<Vec<Change>> = Vec::new();
        for operation in std::mem::take(&mut self.unsynced) {
            if operation.iter().any(|change| change.directory == inode) {
                // What is durable now must not be undone by an older, still unsynced operation.
                for change in &operation {
                    for older in &mut rest {
                        older.retain(|old| {
                            old.directory != change.directory || old.name != change.name
                        });
                    }
                }
                Self::make_durable(&mut self.nodes, &operation);
            } else {
                rest.push(operation);
            }
        }
        self.unsynced = rest;
        Ok(())
    }

    pub fn power_cut(&mut self, rng: &Rng) {
        for operation in std::mem::take(&mut self.unsynced) {
            if rng.chance(0.5) {
                Self::make_durable(&mut self.nodes, &operation);
            }
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => content.power_cut(rng),
                Node::Dir(directory) => directory.seen.clone_from(&directory.durable),
            }
        }
    }

    /// Drops what no name leads to any more, on either side.
    pub fn forget_unreachable(&mut self) {
        let mut found = BTreeSet::new();
        let mut next = vec![ROOT];
        next.extend(self.unsynced.iter().flatten().filter_map(|change| change.inode));
        while let Some(inode) = next.pop() {
            if found.insert(inode)
                && let Some(Node::Dir(directory)) = self.nodes.get(&inode)
            {
                next.extend(directory.seen.values());
                next.extend(directory.durable.values());
            }
        }
        self.nodes.retain(|inode, _| found.contains(inode));
    }

    /// Bytes of all files a process can see.
    pub fn used_bytes(&self) -> u64 {
        let mut used = 0;
        let mut next = vec![ROOT];
        while let Some(inode) = next.pop() {
            match self.nodes.get(&inode) {
                Some(Node::File(content)) => used += content.len() as u64,
                Some(Node::Dir(directory)) => next.extend(directory.seen.values()),
                None => {}
            }
        }
        used
    }

    pub fn digest(&self) -> u64 {
        self.nodes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, (inode, node)| {
            let hash = (hash ^ inode).wrapping_mul(0x0100_0000_01b3);
            match node {
                Node::File(content) => content.hash(hash),
                Node::Dir(directory) => {
                    let entries = directory.seen.iter().chain(&directory.durable);
                    entries.fold(hash, |hash, (name, inode)| {
                        let mix =
                            |hash: u64, byte: u64| (hash ^ byte).wrapping_mul(0x0100_0000_01b3);
                        mix(name.bytes().fold(hash, |hash, byte| mix(hash, byte.into())), *inode)
                    })
                }
            }
        })
    }
}

fn apply(entries: &mut BTreeMap<String, u64>, change: &Change) {
    match change.inode {
        Some(inode) => entries.insert(change.name.clone(), inode),
        None => entries.remove(&change.name),
    };
}
