//! Groups, admission and recycling, one property at a time.

use std::time::Duration;

use chronik_env::{CallKind, CrashKind, Disk as _, Fault};
use chronik_types::Offset;

use super::rig::{Rig, append, batch};
use crate::{Class, Flushed, LogId, Lsn, Record, Refused, Step};

const EINVAL: i32 = 22;

fn flushed(lsn: Lsn, end: i64) -> Record {
    Record::Flushed(Flushed { lsn, end: Offset(end), ..Flushed::default() })
}

#[test]
fn a_thousand_logs_share_one_sync() {
    let mut rig = Rig::new(1);
    rig.options.file_bytes = 1 << 20;
    rig.options.first_file_bytes = 1 << 20;
    rig.options.max_bytes = 4 << 20;
    rig.reopen(CrashKind::Process);
    let logs: Vec<LogId> = (0..1_000).map(|_| rig.new_log()).collect();
    for log in &logs {
        rig.submit(*log, vec![append(0, batch(0, 8))]);
    }
    let before = rig.disk.calls(CallKind::Sync);
    rig.step();
    assert_eq!(rig.core.step(), Step::Idle);
    let stats = rig.journal().stats();
    assert_eq!((stats.groups, stats.syncs, stats.records), (1, 1, 1_000));
    // A new file with its header, and the group.
    assert_eq!(rig.disk.calls(CallKind::Sync) - before, 3);
    assert_eq!(rig.reports.lock().groups.len(), 1);
}

#[test]
fn nothing_is_reported_before_its_sync() {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    rig.submit(log, vec![append(0, batch(0, 8))]);
    rig.step();
    rig.submit(log, vec![append(1, batch(1, 8))]);
    rig.disk.fault_nth(CallKind::Sync, 1, Fault::Fail(5));
    assert_eq!(rig.core.step(), Step::Stopped);
    let reports = rig.reports.lock();
    assert_eq!(reports.groups.len(), 1);
    assert!(reports.failed.as_ref().unwrap().contains("syncing"));
}

#[test]
fn a_write_error_stops_and_a_full_disk_waits() {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    rig.submit(log, vec![append(0, batch(0, 8))]);
    rig.disk.set_capacity(1_000);
    assert_eq!(rig.core.step(), Step::WaitingForSpace);
    assert_eq!(rig.journal().try_reserve(Class::Client, 1).err(), Some(Refused::DiskFull));
    rig.disk.set_capacity(u64::MAX);
    assert_eq!(rig.core.step(), Step::Durable);
    assert_eq!(rig.reports.lock().freed, 1, "who was refused is told");
    rig.submit(log, vec![append(1, batch(1, 8))]);
    rig.disk.fault_nth(CallKind::Write, 1, Fault::Fail(28));
    assert_eq!(rig.core.step(), Step::WaitingForSpace);
    assert_eq!(rig.core.step(), Step::Durable);
    rig.submit(log, vec![append(2, batch(2, 8))]);
    rig.disk.fault_nth(CallKind::Write, 1, Fault::Fail(5));
    assert_eq!(rig.core.step(), Step::Stopped);
    assert!(rig.reports.lock().failed.is_some());
    assert_eq!(rig.journal().try_reserve(Class::Metadata, 1).err(), Some(Refused::Stopped));
}

fn found(rig: &mut Rig, log: LogId) -> usize {
    rig.reopen(CrashKind::PowerCut).logs[&log].records.len()
}

#[test]
fn where_files_cannot_be_opened_for_direct_writes_the_page_cache_is_used() {
    let mut rig = Rig::new(1);
    rig.options.recycle = false;
    rig.reopen(CrashKind::Process);
    let log = rig.new_log();
    // The first opening is that of the file's making.
    rig.disk.fault_nth(CallKind::Open, 2, Fault::Fail(EINVAL));
    rig.submit(log, vec![append(0, batch(0, 30_000))]);
    rig.step();
    assert!(!rig.core.files.direct.on && !rig.journal().stats().direct);
    let opened = rig.disk.calls(CallKind::Open);
    rig.submit(log, vec![append(1, batch(1, 30_000))]);
    rig.step();
    assert_eq!(rig.core.files.begun, 2);
    assert_eq!(rig.disk.calls(CallKind::Open) - opened, 2, "made and used: not tried again");
    assert_eq!(found(&mut rig, log), 2);
}

#[test]
fn a_direct_write_that_is_refused_goes_through_the_page_cache_before_anything_counts() {
    for refused in ["header", "group"] {
        let mut rig = Rig::new(1);
        let log = rig.new_log();
        if refused == "group" {
            rig.submit(log, vec![append(0, batch(0, 8))]);
            rig.step();
        }
        assert!(rig.core.files.direct.on && rig.journal().stats().direct);
        // The first write of all is that of a new file's zeros.
        let nth = if refused == "group" { 1 } else { 2 };
        rig.disk.fault_nth(CallKind::Write, nth, Fault::Short { bytes: 4_096, errno: EINVAL });
        let syncs = rig.journal().stats().syncs;
        rig.submit(log, vec![append(1, batch(1, 9_000))]);
        rig.step();
        assert!(!rig.core.files.direct.on && !rig.journal().stats().direct, "{refused}");
        assert_eq!(rig.journal().stats().syncs, syncs + 1);
        rig.submit(log, vec![append(2, batch(2, 8))]);
        rig.step();
        // Through the page cache already: there is nothing left to try.
        rig.disk.fault_nth(CallKind::Write, 1, Fault::Fail(EINVAL));
        rig.submit(log, vec![append(3, batch(3, 8))]);
        assert_eq!(rig.core.step(), Step::Stopped);
        assert_eq!(found(&mut rig, log), if refused == "group" { 3 } else { 2 });
    }
}

#[test]
fn clients_are_refused_at_the_floor_and_told_when_it_has_passed() {
    let mut rig = Rig::new(1);
    rig.options.free_bytes_floor = 1 << 20;
    rig.reopen(CrashKind::Process);
    let journal = rig.journal();
    drop(journal.try_reserve(Class::Client, 1).unwrap());
    rig.disk.set_capacity(1 << 19);
    drop(journal.try_reserve(Class::Client, 1).unwrap());
    rig.clock.advance(Duration::from_millis(300));
    assert_eq!(journal.try_reserve(Class::Client, 1).err(), Some(Refused::DiskFull));
    assert!(journal.try_reserve(Class::Internal, 1).is_ok());
    assert!(journal.try_reserve(Class::Metadata, 1).is_ok());
    rig.disk.set_capacity(u64::MAX);
    assert_eq!(rig.core.step(), Step::Idle);
    assert_eq!(rig.reports.lock().freed, 0, "not looked at again yet");
    rig.clock.advance(Duration::from_millis(300));
    assert_eq!(rig.core.step(), Step::Idle);
    assert_eq!(rig.reports.lock().freed, 1);
    assert!(journal.try_reserve(Class::Client, 1).is_ok());
}

#[test]
fn clients_cannot_use_the_reserve_and_get_room_when_the_oldest_file_is_let_go() {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    let journal = rig.journal();
    let mut offset = 0;
    let refused = loop {
        match journal.try_reserve(Class::Client, 4_000) {
            Ok(reservation) => {
                journal.submit(
                    reservation,
                    Class::Client,
                    log,
                    vec![append(offset, batch(0, 4_000))],
                );
                rig.step();
                offset += 1;
            }
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::JournalFull);
    assert!(journal.stats().used_bytes + 8_192 > (256 - 64) << 10);
    assert!(journal.try_reserve(Class::Internal, 4_000).is_ok());
    assert!(journal.try_reserve(Class::Metadata, 4_000).is_ok());
    assert_eq!(journal.oldest_unrecyclable(), Some((1, vec![log])));
    let last = rig.reports.lock().groups.last().unwrap().lsn;
    rig.submit(log, vec![flushed(last, offset)]);
    rig.step();
    assert!(journal.oldest_unrecyclable().is_none());
    assert!(rig.reports.lock().freed > 0);
    assert!(journal.try_reserve(Class::Client, 4_000).is_ok());
}

#[test]
fn a_journal_that_is_full_takes_the_facts_that_empty_it() {
    let rig = Rig::new(1);
    let journal = rig.journal();
    let mut held = Vec::new();
    while let Ok(reservation) = journal.try_reserve(Class::Metadata, 4_000) {
        held.push(reservation);
    }
    assert!(journal.stats().queue_bytes > (256 + 64 - 16) << 10, "beyond what others may fill");
    assert!(journal.stats().queue_bytes <= (256 + 64) << 10, "but not without bound");
    while journal.try_reserve(Class::Internal, 4_000).is_err() {
        held.pop();
    }
    assert!(journal.stats().queue_bytes < (256 - 8) << 10);
}

#[test]
fn however_full_the_journal_is_what_empties_it_goes_in() {
    let mut rig = Rig::new(1);
    let (log, journal) = (rig.new_log(), rig.journal());
    let mut offset = 0;
    while let Ok(reservation) = journal.try_reserve(Class::Metadata, 20_000) {
        let record = append(offset, batch(offset, 20_000));
        journal.submit(reservation, Class::Metadata, log, vec![record]);
        rig.step();
        offset += 1;
    }
    let all = rig.reports.lock().groups.last().unwrap().lsn;
    let reservation = journal.reserve_to_free(100).unwrap();
    journal.submit(reservation, Class::Metadata, log, vec![flushed(all, offset)]);
    rig.step();
    assert!(journal.stats().used_bytes <= 64 << 10, "{:?}", journal.stats());
    assert!(journal.try_reserve(Class::Client, 20_000).is_ok());
}

/// Every start takes a file of its own: a crash must not leave a whole one behind.
#[test]
fn a_crash_costs_what_was_written() {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    for offset in 0..30 {
        rig.submit(log, vec![append(offset, batch(offset, 8))]);
        rig.step();
        let kind = if offset % 2 == 0 { CrashKind::PowerCut } else { CrashKind::Process };
        let recovery = rig.reopen(kind);
        assert_eq!(recovery.logs[&log].records.len() as i64, offset + 1);
        assert_eq!(rig.journal().stats().used_bytes, (offset as u64 + 1) * (8 << 10));
    }
}

/// A disk that fails whenever the first group of a run is written leaves a file each time.
#[test]
fn a_journal_full_of_files_that_hold_nothing_frees_itself() {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    rig.submit(log, vec![append(0, batch(0, 8))]);
    rig.step();
    let last = rig.reports.lock().groups.last().unwrap().lsn;
    rig.submit(log, vec![flushed(last, 1)]);
    rig.step();
    for _ in 0..200 {
        rig.reopen(CrashKind::PowerCut);
        let Ok(reservation) = rig.journal().try_reserve(Class::Metadata, 0) else { break };
        rig.journal().submit(reservation, Class::Metadata, log, vec![append(1, batch(1, 8))]);
        let mut headed = false;
        rig.disk.set_hook(move |call| {
            let is_write = call.kind == CallKind::Write;
            let fails = is_write && headed && call.position > 0;
            headed |= is_write && call.position == 0 && call.bytes <= 4_096;
            if fails { Fault::Fail(5) } else { Fault::None }
        });
        assert_eq!(rig.core.step(), Step::Stopped);
        rig.disk.clear_faults();
    }
    assert_eq!(
        rig.journal().try_reserve(Class::Metadata, 0).err(),
        Some(Refused::JournalFull),
        "the journal is not full"
    );
    while rig.core.step() == Step::Durable {}
    assert!(rig.journal().stats().used_bytes <= 64 << 10, "{:?}", rig.journal().stats());
    let recovery = rig.reopen(CrashKind::PowerCut);
    assert_eq!(recovery.logs[&log].flushed.as_ref().map(|flushed| flushed.end), Some(Offset(1)));
}

#[test]
fn a_reservation_is_given_back_in_parts_or_whole() {
    let rig = Rig::new(1);
    let journal = rig.journal();
    let mut whole = journal.try_reserve(Class::Client, 30_000).unwrap();
    let reserved = journal.stats().queue_bytes;
    let part = whole.split(10_000);
    assert_eq!(journal.stats().queue_bytes, reserved);
    drop(part);
    assert!(journal.stats().queue_bytes < reserved);
    drop(whole);
    assert_eq!(journal.stats().queue_bytes, 0);
    assert_eq!(journal.try_reserve(Class::Client, 40_000).err(), Some(Refused::TooLarge));
}

#[test]
fn no_log_forgets_its_end_however_often_the_files_go_round() {
    let mut rig = Rig::new(1);
    let (quiet, busy) = (rig.new_log(), rig.new_log());
    rig.submit(quiet, vec![append(0, batch(0, 100))]);
    rig.step();
    let lsn = rig.reports.lock().groups.last().unwrap().lsn;
    rig.submit(quiet, vec![flushed(lsn, 1)]);
    rig.step();
    for offset in 0..400 {
        rig.submit(busy, vec![append(offset, batch(0, 4_000))]);
        rig.step();
        let lsn = rig.reports.lock().groups.last().unwrap().lsn;
        rig.submit(busy, vec![flushed(lsn, offset + 1)]);
        rig.step();
    }
    let stats = rig.journal().stats();
    assert!(stats.files_recycled > 20 && stats.facts_repeated > 10, "{stats:?}");
    assert!(stats.used_bytes <= 256 << 10);
    assert!(rig.disk.read_dir(&rig.options.dir).unwrap().len() <= 5);
    let recovery = rig.reopen(CrashKind::PowerCut);
    let fact = recovery.logs[&quiet].flushed.as_ref().unwrap();
    assert_eq!((fact.end, fact.lsn), (Offset(1), lsn));
    assert!(recovery.next_log > busy);
}

#[test]
fn a_submission_is_one_unit_even_if_larger_than_a_group() {
    let mut rig = Rig::new(1);
    rig.options.group_bytes_max = 4_096;
    rig.reopen(CrashKind::Process);
    let log = rig.new_log();
    let records = (0..5).map(|offset| append(offset, batch(offset, 5_000))).collect();
    rig.submit(log, records);
    rig.submit(log, vec![append(5, batch(5, 10))]);
    rig.step();
    assert_eq!(rig.reports.lock().groups[0].records.len(), 5);
    rig.step();
    assert_eq!(rig.reopen(CrashKind::PowerCut).logs[&log].records.len(), 6);
}

#[test]
fn the_vote_comes_back_and_the_last_one_counts() {
    let mut rig = Rig::new(1);
    for vote in [b"one", b"two"] {
        rig.journal().save_vote(vote.as_slice().into());
        rig.step();
    }
    let log = rig.reports.lock().groups[1].records[0].log;
    assert_eq!(log, LogId::JOURNAL);
    assert_eq!(rig.reopen(CrashKind::PowerCut).vote.unwrap().as_ref(), b"two");
}

#[test]
fn a_dropped_log_is_reported_until_its_drop_is_recycled() {
    let mut rig = Rig::new(1);
    let log = rig.new_log();
    rig.submit(log, vec![append(0, batch(0, 10))]);
    rig.submit(log, vec![Record::Drop]);
    rig.step();
    assert!(rig.journal().oldest_unrecyclable().is_none());
    let recovery = rig.reopen(CrashKind::PowerCut);
    assert!(recovery.logs[&log].dropped && recovery.logs[&log].records.is_empty());
    assert!(rig.journal().new_log(chronik_types::TopicPartition::METADATA) > log);
}
