//! What must not stand in the sources: the world outside the seams, unfinished work, history.

use std::path::{Path, PathBuf};

/// Calls that reach the world, allowed only in `crates/env` and where a program meets its user.
const OUTSIDE: &[&str] = &[
    "Instant::now(",
    "SystemTime::now(",
    "std::fs::",
    "tokio::fs::",
    "std::env::",
    "thread_rng(",
    "rand::rng(",
    "thread::sleep(",
    "spawn_blocking(",
];
/// Paths (prefixes) where they are.
const SEAMS: &[&str] = &["crates/env/", "crates/sim/", "xtask/", "bench/", "tests/"];

/// Words that say that something is not finished, or tell history instead of what is.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "FIXME", " XXX", " HACK"];

pub fn faults(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in rust_files(root) {
        if path.starts_with("xtask/") {
            continue;
        }
        let test_file = is_test_file(&path);
        let mut in_tests = test_file;
        for (number, line) in text.lines().enumerate() {
            in_tests |= line.starts_with("#[cfg(test)]");
            let at = || format!("{path}:{}", number + 1);
            if UNFINISHED.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}: unfinished: {}", at(), line.trim()));
            }
            let seam = SEAMS.iter().any(|seam| path.starts_with(seam));
            let comment = line.trim_start().starts_with("//");
            let reached = OUTSIDE.iter().find(|call| line.contains(**call));
            if let (Some(call), false, false, false) = (reached, seam, in_tests, comment) {
                faults.push(format!("{}: {call} outside the seams (crates/env)", at()));
            }
            if in_tests && path.starts_with("crates/") && line.contains("thread::sleep(") {
                faults.push(format!("{}: a test waits for a state, never for a time", at()));
            }
            if line.contains("#[ignore") {
                faults.push(format!("{}: a test that does not run is not a test", at()));
            }
        }
    }
    faults
}

/// Whether the file holds only what tests need.
pub fn is_test_file(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/examples/")
        || path.contains("/benches/")
        || path.starts_with("fuzz/")
}

/// Every Rust file of the repository, with its path from the root.
pub fn rust_files(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["crates", "xtask", "bench", "tests", "fuzz"] {
        walk(root, &root.join(folder), &mut found);
    }
    found.sort();
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "node_modules") && !name.starts_with('.') {
                walk(root, &path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let relative: PathBuf = path.strip_prefix(root).map(PathBuf::from).unwrap_or(path);
            found.push((relative.to_string_lossy().into_owned(), text));
        }
    }
}
