//! The mark in a data directory that says: this directory has voted.
//!
//! **Invariants**
//! - It is written, once, after the first vote is durable and before anybody learns of it: where
//!   there is a mark there was a vote, and where there is none nobody counts on one.
//! - A directory with a mark and without a vote has lost its journal; its node must not start as
//!   the voter it was.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chronik_env::Env;

const FILE: &str = "quorum-member";
const TEXT: &[u8] = b"This directory has voted in the metadata quorum. Do not remove this file.\n";

/// The mark of one directory.
#[derive(Clone)]
pub(crate) struct MemberMark {
    env: Env,
    path: PathBuf,
    set: Arc<AtomicBool>,
}

impl MemberMark {
    pub fn read(env: &Env, dir: &Path) -> Self {
        let path = dir.join(FILE);
        let set = Arc::new(AtomicBool::new(env.disk.exists(&path)));
        Self { env: env.clone(), path, set }
    }

    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// Sets it; nothing to do from the second time on.
    pub async fn set(&self) -> io::Result<()> {
        if self.is_set() {
            return Ok(());
        }
        let (env, path) = (self.env.clone(), self.path.clone());
        chronik_env::blocking(move || {
            if let Some(dir) = path.parent() {
                env.disk.create_dir_all_durably(dir)?;
            }
            env.disk.write_atomically(&path, TEXT)
        })
        .await?;
        self.set.store(true, Ordering::Relaxed);
        Ok(())
    }
}
