//! What is written beside the log stays at a power cut, in a directory that was never written before.

use std::path::{Path, PathBuf};

use chronik_env::{CrashKind, SimDisk};
use chronik_metadata::Image;
use openraft::SnapshotMeta;
use openraft::type_config::alias::SnapshotOf;

use super::support::env;
use crate::member_mark::MemberMark;
use crate::snapshot_file::SnapshotFiles;
use crate::state_machine::ImageSnapshot;
use crate::type_config::{CommittedLeaderId, LogId, TypeConfig};

#[tokio::test]
async fn the_first_snapshot_and_the_mark_of_a_member_survive_a_power_cut() {
    let dir = PathBuf::from("/data/snapshots");
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let before = env(&disk, 1);
        before.disk.create_dir_all_durably(Path::new("/data")).unwrap();
        let last = LogId { leader_id: CommittedLeaderId::from(1), index: 8 };
        let snapshot = SnapshotOf::<TypeConfig, ImageSnapshot> {
            meta: SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() },
            snapshot: Image::default(),
        };
        if seed % 2 == 0 {
            SnapshotFiles::new(dir.clone()).write(&before, &snapshot).await.unwrap();
        } else {
            MemberMark::read(&before, &dir).set().await.unwrap();
        }
        disk.crash(CrashKind::PowerCut);
        let after = env(&disk, 2);
        if seed % 2 == 0 {
            let found = SnapshotFiles::new(dir.clone()).load_newest(&after).unwrap();
            assert_eq!(found.unwrap().meta.last_log_id, Some(last), "seed {seed}");
        } else {
            assert!(MemberMark::read(&after, &dir).is_set(), "seed {seed}");
        }
    }
}
