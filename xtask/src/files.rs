//! File sizes: one idea per file. The list of exceptions may only shrink.

use std::path::Path;

use crate::sources::{is_test_file, rust_files};

/// Lines a file may have before it must be split.
const LINES_MAX: usize = 800;
/// Files that are larger for a reason, with the size they may not exceed.
const EXCEPTIONS: &[(&str, usize, &str)] = &[];

pub fn faults(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in rust_files(root) {
        if is_test_file(&path) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text);
        let lines = code.lines().count();
        let limit = EXCEPTIONS
            .iter()
            .find(|(name, _, _)| path.ends_with(name))
            .map_or(LINES_MAX, |(_, limit, _)| *limit);
        if lines > limit {
            faults.push(format!("{path}: {lines} lines, at most {limit}; is it one idea?"));
        }
    }
    faults
}
