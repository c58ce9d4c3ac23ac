//! What every [`Disk`] must do, as one suite; the real and the simulated one both run it.
//!
//! Each check works in a directory of its own and panics with what it saw when the disk breaks the
//! contract. What happens at a crash is not here: only the simulated disk can crash on order.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite: breaking the contract is a panic"
)]

use std::io::{ErrorKind, IoSlice};
use std::path::Path;

use crate::{DIRECT_ALIGNMENT, Disk, DiskFile, OpenMode};

type Check = fn(&dyn Disk, &Path);

/// Runs all checks in new directories under `root`, which must exist and be empty.
///
/// # Panics
///
/// When the disk breaks the contract.
pub fn check(disk: &dyn Disk, root: &Path) {
    let checks: [(&str, Check); 10] = [
        ("open", open_modes),
        ("write", writes_are_positional_vectored_and_unbounded),
        ("read", reads_end_at_the_end),
        ("length", lengths_cut_and_extend_with_zeros),
        ("direct", direct_reads_see_what_was_written),
        ("direct-writes", direct_writes_are_aligned_and_seen_by_every_reader),
        ("names", names_move_and_vanish),
        ("directories", directories_list_sorted_and_go_whole),
        ("locks", locks_exclude),
        ("atomic", atomic_replacement_is_whole),
    ];
    for (name, check) in checks {
        let dir = root.join(name);
        disk.create_dir_all(&dir).unwrap();
        check(disk, &dir);
    }
    let names: Vec<_> = disk.read_dir(root).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), checks.len(), "{names:?}");
    assert!(disk.free_bytes(root).unwrap() > 0);
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("the call should have failed"),
        Err(error) => error.kind(),
    }
}

fn open_modes(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    assert_eq!(kind(disk.open(&path, OpenMode::READ)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&path, OpenMode::READ_WRITE)), ErrorKind::NotFound);
    disk.open(&path, OpenMode::CREATE_NEW).unwrap();
    assert_eq!(kind(disk.open(&path, OpenMode::CREATE_NEW)), ErrorKind::AlreadyExists);
    let file = disk.open(&path, OpenMode::CREATE).unwrap();
    file.write_all_at(&[IoSlice::new(b"kept")], 0).unwrap();
    assert_eq!(disk.open(&path, OpenMode::CREATE).unwrap().len().unwrap(), 4);
    let reader = disk.open(&path, OpenMode::READ).unwrap();
    reader.write_all_at(&[IoSlice::new(b"no")], 0).unwrap_err();
    assert!(disk.open(dir, OpenMode::READ).is_err());
    let below = path.join("below");
    assert_eq!(kind(disk.open(&below, OpenMode::CREATE)), ErrorKind::NotADirectory);
}

fn writes_are_positional_vectored_and_unbounded(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("file"), OpenMode::CREATE_NEW).unwrap();
    let parts: Vec<Vec<u8>> = (0..3_000u32).map(|n| vec![n as u8; (n % 7) as usize]).collect();
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    file.write_all_at(&slices, 10).unwrap();
    let expected = parts.concat();
    let mut read = vec![0xFF; expected.len()];
    file.read_exact_at(&mut read, 10).unwrap();
    assert_eq!(read, expected);
    file.write_all_at(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"c")], 11).unwrap();
    let mut head = [0xFF; 14];
    file.read_exact_at(&mut head, 0).unwrap();
    assert_eq!(&head[..10], &[0; 10]);
    assert_eq!(&head[11..14], b"abc");
    assert_eq!(file.len().unwrap(), 10 + expected.len() as u64);
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    file.start_writeback(0..100);
}

fn reads_end_at_the_end(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("file"), OpenMode::CREATE_NEW).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_all_at(&[IoSlice::new(&[7; 100])], 0).unwrap();
    let mut buffer = [0; 60];
    assert_eq!(file.read_at(&mut buffer, 80).unwrap(), 20);
    assert_eq!(file.read_at(&mut buffer, 100).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1_000).unwrap(), 0);
    assert_eq!(kind(file.read_exact_at(&mut buffer, 80)), ErrorKind::UnexpectedEof);
    assert_eq!(disk.read(&dir.join("file"), 100).unwrap(), [7; 100]);
    assert_eq!(kind(disk.read(&dir.join("file"), 99)), ErrorKind::FileTooLarge);
}

fn lengths_cut_and_extend_with_zeros(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("file"), OpenMode::CREATE_NEW).unwrap();
    file.write_all_at(&[IoSlice::new(&[7; 2_000])], 0).unwrap();
    file.set_len(700).unwrap();
    file.set_len(1_500).unwrap();
    let mut buffer = vec![0xFF; 1_500];
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert!(buffer[..700].iter().all(|byte| *byte == 7));
    assert!(buffer[700..].iter().all(|byte| *byte == 0));
    file.zero_fill(600..3_000_000).unwrap();
    assert_eq!(file.len().unwrap(), 3_000_000);
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!((buffer[599], buffer[600]), (7, 0));
}

fn direct_reads_see_what_was_written(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    let file = disk.open(&path, OpenMode::CREATE_NEW).unwrap();
    let bytes: Vec<u8> = (0..20_480u32).map(|n| (n / 512) as u8).collect();
    file.write_all_at(&[IoSlice::new(&bytes)], 0).unwrap();
    let mut memory = vec![0; 20_480 + DIRECT_ALIGNMENT];
    let start = memory.as_ptr().align_offset(DIRECT_ALIGNMENT);
    match disk.open(&path, OpenMode::READ_DIRECT) {
        // A filesystem may have no direct reads; it must say so when the file is opened.
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        Ok(direct) => {
            direct.read_exact_at(&mut memory[start..start + 20_480], 0).unwrap();
            assert_eq!(&memory[start..start + 20_480], &bytes);
        }
    }
    file.sync_data().unwrap();
    file.drop_cache().unwrap();
    let mut read = vec![0; bytes.len()];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, bytes);
}

fn direct_writes_are_aligned_and_seen_by_every_reader(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    let buffered = disk.open(&path, OpenMode::CREATE_NEW).unwrap();
    let mut expected = vec![1; 3 << 20];
    buffered.write_all_at(&[IoSlice::new(&expected)], 0).unwrap();
    let direct = match disk.open(&path, OpenMode::READ_WRITE_DIRECT) {
        // As for reads.
        Err(error) => return assert_eq!(kind::<()>(Err(error)), ErrorKind::InvalidInput),
        Ok(direct) => direct,
    };
    // Over dirty pages, in slices of any length, and longer than what any buffer may hold.
    let parts: Vec<Vec<u8>> = (0..1_500u32).map(|n| vec![n as u8; (n % 3_001) as usize]).collect();
    let bytes: usize = parts.iter().map(Vec::len).sum();
    let padding = vec![0; bytes.next_multiple_of(DIRECT_ALIGNMENT) - bytes];
    let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    slices.push(IoSlice::new(&padding));
    direct.write_all_at(&slices, 8_192).unwrap();
    let written = [parts.concat(), padding.clone()].concat();
    assert!(written.len() > 1 << 20);
    expected[8_192..8_192 + written.len()].copy_from_slice(&written);
    let seen = |file: &dyn DiskFile, expected: &[u8]| {
        let mut memory = vec![0; expected.len() + DIRECT_ALIGNMENT];
        let start = memory.as_ptr().align_offset(DIRECT_ALIGNMENT);
        let view = &mut memory[start..start + expected.len()];
        file.read_exact_at(view, 0).unwrap();
        assert!(view == expected, "what was written is not what is read");
    };
    seen(buffered.as_ref(), &expected);
    seen(direct.as_ref(), &expected);
    // Turn about at the same place: the pages that the reads above left are not shown again.
    for round in 2..6u8 {
        let block = [round; DIRECT_ALIGNMENT];
        let writer = if round % 2 == 0 { &direct } else { &buffered };
        writer.write_all_at(&[IoSlice::new(&block)], 4_096).unwrap();
        expected[4_096..8_192].copy_from_slice(&block);
        seen(buffered.as_ref(), &expected);
        seen(direct.as_ref(), &expected);
    }
    for (position, len) in [(512, 4_096), (4_096, 512), (0, 4_095), (1, 8_192)] {
        let refused = direct.write_all_at(&[IoSlice::new(&[9; 8_192][..len])], position);
        assert_eq!(kind(refused), ErrorKind::InvalidInput, "{len} bytes at {position}");
    }
    direct.write_all_at(&[], 0).unwrap();
    let end = expected.len() as u64;
    direct.zero_fill(end..end + 8_192).unwrap();
    direct.sync_data().unwrap();
    expected.resize(expected.len() + 8_192, 0);
    assert_eq!(buffered.len().unwrap(), expected.len() as u64);
    seen(buffered.as_ref(), &expected);
}

fn names_move_and_vanish(disk: &dyn Disk, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    let file = disk.open(&a, OpenMode::CREATE_NEW).unwrap();
    file.write_all_at(&[IoSlice::new(b"from a")], 0).unwrap();
    disk.open(&b, OpenMode::CREATE_NEW).unwrap();
    disk.rename(&a, &b).unwrap();
    assert!(!disk.exists(&a));
    assert_eq!(disk.read(&b, 100).unwrap(), b"from a");
    assert_eq!(kind(disk.rename(&a, &b)), ErrorKind::NotFound);
    disk.sync_dir(dir).unwrap();
    disk.remove_file(&b).unwrap();
    assert!(!disk.exists(&b));
    assert_eq!(kind(disk.remove_file(&b)), ErrorKind::NotFound);
    // The open file outlives its name.
    file.write_all_at(&[IoSlice::new(b"still")], 0).unwrap();
    assert_eq!(file.len().unwrap(), 6);
}

fn directories_list_sorted_and_go_whole(disk: &dyn Disk, dir: &Path) {
    let deep = dir.join("x/y/z");
    disk.create_dir_all(&deep).unwrap();
    disk.create_dir_all(&deep).unwrap();
    let file = disk.open(&dir.join("x/file"), OpenMode::CREATE_NEW).unwrap();
    file.write_all_at(&[IoSlice::new(&[0; 5])], 0).unwrap();
    let entries = disk.read_dir(&dir.join("x")).unwrap();
    let shown: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.is_dir, e.len)).collect();
    assert_eq!(shown, [("file", false, 5), ("y", true, 0)]);
    disk.rename(&dir.join("x"), &dir.join("w")).unwrap();
    assert!(disk.exists(&dir.join("w/y/z")));
    disk.remove_dir_all(&dir.join("w")).unwrap();
    assert_eq!(kind(disk.read_dir(&dir.join("w"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_dir(&dir.join("w"))), ErrorKind::NotFound);
}

fn locks_exclude(disk: &dyn Disk, dir: &Path) {
    let path = dir.join(".lock");
    let held = disk.lock_exclusive(&path).unwrap();
    assert_eq!(kind(disk.lock_exclusive(&path)), ErrorKind::WouldBlock);
    drop(held);
    disk.lock_exclusive(&path).unwrap();
}

fn atomic_replacement_is_whole(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("meta");
    disk.write_atomically(&path, b"a longer first content").unwrap();
    disk.write_atomically(&path, b"second").unwrap();
    assert_eq!(disk.read(&path, 100).unwrap(), b"second");
    assert_eq!(disk.read_dir(dir).unwrap().len(), 1);
}
