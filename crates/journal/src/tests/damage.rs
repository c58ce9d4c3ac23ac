//! Torn or corrupt, and the one way out of the latter.

use std::path::PathBuf;

use chronik_env::{CrashKind, Disk as _};
use proptest::prelude::*;

use super::rig::{Rig, append, batch};
use crate::{Damage, Flushed, LogId, Lsn, OpenError, Record, Sight, clear_lossy, inspect, skip};

/// Three groups in one file: where each begins is 4096, 8192, 12288.
fn three_groups() -> (Rig, LogId) {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    for offset in 0..3 {
        rig.submit(log, vec![append(offset, batch(offset, 100))]);
        rig.step();
    }
    (rig, log)
}

fn file() -> PathBuf {
    PathBuf::from("/data/journal/0000000000.journal")
}

fn corrupt(rig: &Rig) -> Damage {
    match rig.try_open() {
        Err(OpenError::Corrupt { damage, .. }) => damage,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the damage is not seen"),
    }
}

#[test]
fn rot_in_the_last_group_is_a_torn_end_and_before_it_is_corruption() {
    let (rig, log) = three_groups();
    rig.disk.rot(&file(), 12_288 + 200, 1).unwrap();
    let (recovery, _) = rig.try_open().unwrap();
    assert_eq!(recovery.logs[&log].records.len(), 2);
    assert!(!recovery.clean);

    let (rig, _) = three_groups();
    rig.disk.rot(&file(), 8_192 + 200, 1).unwrap();
    assert_eq!(corrupt(&rig), Damage::Group { file: 1, position: 8_192 });
}

#[test]
fn in_a_sealed_journal_all_rot_is_corruption() {
    let (mut rig, _) = three_groups();
    rig.shutdown();
    rig.disk.rot(&file(), 12_288 + 200, 1).unwrap();
    assert_eq!(corrupt(&rig), Damage::Group { file: 1, position: 12_288 });
}

#[test]
fn rot_in_an_older_file_is_corruption_even_in_its_last_group() {
    let (mut rig, log) = three_groups();
    rig.reopen(CrashKind::PowerCut);
    rig.submit(log, vec![append(3, batch(3, 100))]);
    rig.step();
    rig.disk.rot(&file(), 12_288, 1).unwrap();
    assert_eq!(corrupt(&rig), Damage::Group { file: 1, position: 12_288 });
}

#[test]
fn a_missing_file_is_corruption() {
    let (mut rig, log) = three_groups();
    rig.reopen(CrashKind::PowerCut);
    rig.submit(log, vec![append(3, batch(3, 100))]);
    rig.step();
    rig.disk.remove_file(&file()).unwrap();
    assert_eq!(corrupt(&rig), Damage::Missing { file: 1 });
}

#[test]
fn skipping_goes_on_without_the_damage_and_says_so_until_cleared() {
    let (mut rig, log) = three_groups();
    let other = rig.new_log();
    rig.submit(other, vec![append(0, batch(9, 100))]);
    rig.step();
    rig.disk.rot(&file(), 8_192 + 200, 1).unwrap();
    let damage = Damage::Group { file: 1, position: 8_192 };
    assert_eq!(skip(&rig.disk, &rig.options).unwrap(), [damage]);
    let (recovery, _) = rig.try_open().unwrap();
    assert!(recovery.lossy);
    // Of the log with the hole, what is before it; of the other, everything.
    assert_eq!(recovery.logs[&log].records.len(), 1);
    assert_eq!(recovery.logs[&other].records.len(), 1);
    assert_eq!(skip(&rig.disk, &rig.options).unwrap(), []);
    clear_lossy(&rig.disk, &rig.options.dir).unwrap();
    assert!(!rig.try_open().unwrap().0.lossy, "and the damage is still passed over");
}

#[test]
fn a_file_of_another_node_or_a_newer_version_is_refused_by_name() {
    let (rig, _) = three_groups();
    let mut other = rig.options.clone();
    other.node_id = chronik_types::BrokerId(77);
    let error = crate::open(&rig.env, other).err().unwrap();
    assert!(error.to_string().contains("belongs to another node"), "{error}");
    let mut header = [0; 512];
    let opened = rig.disk.open(&file(), chronik_env::OpenMode::READ_WRITE).unwrap();
    opened.read_exact_at(&mut header, 0).unwrap();
    header[12] = 9;
    let crc = crate::crc::crc32c(&header[12..]);
    header[8..12].copy_from_slice(&crc.to_le_bytes());
    opened.write_all_at(&[std::io::IoSlice::new(&header)], 0).unwrap();
    let error = rig.try_open().err().unwrap();
    assert!(error.to_string().contains("format version 9"), "{error}");
}

#[test]
fn inspection_shows_every_group_and_the_damage() {
    let (rig, _) = three_groups();
    let show = || {
        let mut lines = String::new();
        inspect(&rig.disk, &rig.options.dir, &mut |sight: Sight| {
            lines += &format!("{sight}\n");
        })
        .unwrap();
        lines
    };
    let shown = show();
    assert!(shown.contains("12288 group 3, 4096 bytes"), "{shown}");
    assert!(shown.contains("log 1 append 2..=2 epoch 0, 108 bytes"), "{shown}");
    assert!(shown.contains("16384 end"), "{shown}");
    rig.disk.rot(&file(), 4_096, 1).unwrap();
    let shown = show();
    assert!(shown.contains("4096 DAMAGED: the next valid group is at 8192"), "{shown}");
}

#[test]
fn a_client_cannot_forge_a_group() {
    // A batch that holds a copy of a real group, at a block boundary.
    let (mut rig, log) = three_groups();
    let mut stolen = vec![0; 4_096];
    let opened = rig.disk.open(&file(), chronik_env::OpenMode::READ).unwrap();
    opened.read_exact_at(&mut stolen, 12_288).unwrap();
    let mut batch = vec![0; 3 * 4_096];
    for at in 0..2 * 4_096 {
        batch[at + 4_000] = stolen[at % 4_096];
    }
    rig.submit(log, vec![append(3, batch.into())]);
    rig.step();
    let (recovery, _) = rig.try_open().unwrap();
    assert_eq!(recovery.logs[&log].records.len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_recovery_panic_or_invent(
        changes in prop::collection::vec((0u64..20_480, any::<u8>()), 1..30),
    ) {
        let (mut rig, log) = three_groups();
        let lsn = Lsn { file: 1, position: 4_096 };
        rig.submit(log, vec![Record::Flushed(Flushed { lsn, ..Flushed::default() })]);
        rig.step();
        for (position, mask) in changes {
            rig.disk.rot(&file(), position, mask).unwrap();
        }
        let _ = inspect(&rig.disk, &rig.options.dir, &mut |_| {});
        if let Ok((recovery, _)) = rig.try_open() {
            for (_, record) in recovery.logs.get(&log).map_or(&[][..], |log| &log.records) {
                let Record::Append { base_offset, batch: found, .. } = record else {
                    panic!("{record:?}");
                };
                prop_assert_eq!(found, &batch(base_offset.0, 100));
            }
        }
    }
}
