//! Snapshots of the image as files: `<offset>-<epoch>.checkpoint` in the metadata log's directory.
//!
//! Layout: magic, format version (u32), length of the head (u32), head (protobuf: last log id,
//! membership), then chunks of the image (u32 length each, ended by a zero length),
//! then a CRC-32C (u32) of everything before it. All integers big-endian.
//!
//! **Invariants**
//! - A file under its final name is complete and synced, and so is the name of its directory; a
//!   temporary one is never read.
//! - Older snapshots are removed only after a newer one and its directory entry are synced.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_env::Env;
use chronik_metadata::snapshot::{self, SnapshotReader};
use openraft::SnapshotMeta;
use openraft::type_config::alias::SnapshotOf;
use parking_lot::Mutex;
use prost::Message;

use crate::entry_codec::MembershipBody;
use crate::state_machine::ImageSnapshot;
use crate::type_config::{LogId, StoredMembership, TypeConfig, epoch_of, log_id, offset_of};

const MAGIC: &[u8; 8] = b"CHRKSNAP";
const FORMAT: u32 = 1;
const SUFFIX: &str = ".checkpoint";
/// The largest snapshot that is read back: above any image that fits in memory.
const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;

type Snapshot = SnapshotOf<TypeConfig, ImageSnapshot>;

#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(int64, optional, tag = "1")]
    offset: Option<i64>,
    #[prost(int32, tag = "2")]
    epoch: i32,
    #[prost(message, optional, tag = "3")]
    membership: Option<MembershipBody>,
    #[prost(int64, optional, tag = "4")]
    membership_offset: Option<i64>,
    #[prost(int32, tag = "5")]
    membership_epoch: i32,
}

/// The snapshot files of one metadata log.
#[derive(Clone)]
pub(crate) struct SnapshotFiles {
    dir: PathBuf,
    /// The log id of the newest complete file, kept so that nobody lists the directory to know.
    newest: Arc<Mutex<Option<LogId>>>,
}

impl SnapshotFiles {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, newest: Arc::default() }
    }

    pub fn newest_written(&self) -> Option<LogId> {
        *self.newest.lock()
    }

    /// Writes `snapshot`, syncs it and its directory, and removes older ones.
    pub async fn write(&self, env: &Env, snapshot: &Snapshot) -> io::Result<()> {
        let Some(last) = snapshot.meta.last_log_id else { return Ok(()) };
        let path = self.dir.join(file_name(&last));
        let (env, snapshot, dir) = (env.clone(), snapshot.clone(), self.dir.clone());
        chronik_env::blocking(move || {
            env.disk.create_dir_all_durably(&dir)?;
            env.disk.write_atomically(&path, &encode(&snapshot))?;
            for older in list(&env, &dir)?.into_iter().filter(|name| *name < file_name(&last)) {
                env.disk.remove_file(&dir.join(older))?;
            }
            Ok::<_, io::Error>(())
        })
        .await?;
        *self.newest.lock() = Some(last);
        Ok(())
    }

    /// Reads the newest snapshot, if there is one.
    pub fn load_newest(&self, env: &Env) -> io::Result<Option<Snapshot>> {
        let Some(name) = list(env, &self.dir)?.pop() else { return Ok(None) };
        let path = self.dir.join(name);
        let bytes = env.disk.read(&path, SNAPSHOT_BYTES_MAX)?;
        let snapshot = decode(Bytes::from(bytes)).map_err(|why| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "metadata snapshot {} is damaged: {why}; restore the file from a backup or \
                     from another member's data directory",
                    path.display()
                ),
            )
        })?;
        *self.newest.lock() = snapshot.meta.last_log_id;
        Ok(Some(snapshot))
    }
}

fn file_name(last: &LogId) -> String {
    format!("{:020}-{:010}{SUFFIX}", offset_of(last.index).0, epoch_of(last).0)
}

/// The names of the snapshots in `dir`, oldest first.
fn list(env: &Env, dir: &Path) -> io::Result<Vec<String>> {
    if !env.disk.exists(dir) {
        return Ok(Vec::new());
    }
    let mut names: Vec<_> = env
        .disk
        .read_dir(dir)?
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| name.ends_with(SUFFIX))
        .collect();
    names.sort();
    Ok(names)
}

fn crc(bytes: &[u8]) -> u32 {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum).unwrap_or_default()
}

fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let meta = &snapshot.meta;
    let membership_at = meta.last_membership.log_id();
    let head = Head {
        offset: meta.last_log_id.map(|id| offset_of(id.index).0),
        epoch: meta.last_log_id.as_ref().map_or(0, |id| epoch_of(id).0),
        membership: Some(MembershipBody::from(meta.last_membership.membership())),
        membership_offset: membership_at.as_ref().map(|id| offset_of(id.index).0),
        membership_epoch: membership_at.as_ref().map_or(0, |id| epoch_of(id).0),
    };
    let head = head.encode_to_vec();
    let mut out = BytesMut::new();
    out.put_slice(MAGIC);
    out.put_u32(FORMAT);
    out.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
    out.put_slice(&head);
    for chunk in snapshot::write(&snapshot.snapshot) {
        out.put_u32(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
        out.put_slice(&chunk);
    }
    out.put_u32(0);
    let sum = crc(&out);
    out.put_u32(sum);
    out.into()
}

fn decode(mut bytes: Bytes) -> Result<Snapshot, String> {
    let body_len = bytes.len().checked_sub(4).ok_or("it is too short")?;
    let mut tail = bytes.split_off(body_len);
    if tail.get_u32() != crc(&bytes) {
        return Err("its checksum does not match".to_owned());
    }
    let magic = bytes.try_get_u64().map_err(|e| e.to_string())?;
    if magic.to_be_bytes() != *MAGIC {
        return Err("it does not begin with the magic of a snapshot".to_owned());
    }
    let format = bytes.try_get_u32().map_err(|e| e.to_string())?;
    if format != FORMAT {
        return Err(format!("format {format} is not known to this version"));
    }
    let head = Head::decode(take_frame(&mut bytes)?).map_err(|e| e.to_string())?;
    let mut reader = SnapshotReader::default();
    loop {
        let chunk = take_frame(&mut bytes)?;
        if chunk.is_empty() {
            break;
        }
        reader.push(&chunk).map_err(|e| e.to_string())?;
    }
    let image = reader.finish().map_err(|e| e.to_string())?;
    let at = |offset: Option<i64>, epoch| {
        offset.map(|o| log_id(chronik_types::LeaderEpoch(epoch), chronik_types::Offset(o)))
    };
    let membership = head.membership.ok_or("it names no membership")?.try_into()?;
    let stored =
        StoredMembership::new(at(head.membership_offset, head.membership_epoch), membership);
    Ok(Snapshot {
        meta: SnapshotMeta { last_log_id: at(head.offset, head.epoch), last_membership: stored },
        snapshot: image,
    })
}

fn take_frame(bytes: &mut Bytes) -> Result<Bytes, String> {
    let len = bytes.try_get_u32().map_err(|e| e.to_string())? as usize;
    if len > bytes.len() {
        return Err(format!("a part of {len} bytes has only {} left", bytes.len()));
    }
    Ok(bytes.split_to(len))
}
