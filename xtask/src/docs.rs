//! Documents must name what exists: every path in backticks is checked.

use std::path::Path;

/// Documents that are checked.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

pub fn faults(root: &Path) -> Vec<String> {
    let mut documents: Vec<_> = DOCUMENTS.iter().map(|name| root.join(name)).collect();
    collect(&root.join("docs"), &mut documents);
    let mut faults = Vec::new();
    for document in documents {
        let name = document.strip_prefix(root).unwrap_or(&document).display().to_string();
        let Ok(text) = std::fs::read_to_string(&document) else {
            faults.push(format!("{name}: missing"));
            continue;
        };
        for path in named_paths(&text) {
            if !root.join(&path).exists() {
                faults.push(format!("{name}: names {path}, which does not exist"));
            }
        }
    }
    faults
}

fn collect(folder: &Path, documents: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, documents);
        } else if path.extension().is_some_and(|e| e == "md") {
            documents.push(path);
        }
    }
}

/// The paths of this repository that stand in backticks: they begin with one of its folders.
fn named_paths(text: &str) -> Vec<String> {
    const FOLDERS: &[&str] = &["crates/", "docs/", "tests/", "bench/", "xtask/", ".ci/"];
    let mut paths = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for quoted in line.split('`').skip(1).step_by(2) {
            let first = quoted.split_whitespace().next().unwrap_or_default();
            let path = first.trim_start_matches("./").trim_end_matches([',', '.', ':']);
            let pattern = path.contains(['*', '<', '{', '…']);
            if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !pattern {
                paths.push(path.to_owned());
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_found_in_backticks_only() {
        let text = "see `crates/x/src/lib.rs` and crates/y, run `tests/run --all`, `crates/*/z`\n```\n`docs/no`\n```";
        assert_eq!(super::named_paths(text), ["crates/x/src/lib.rs", "tests/run"]);
    }
}
