//! Which crate may depend on which: arrows go only down.

use std::path::Path;

/// The allowed edges, one row a crate: adding one is a decision about the architecture.
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("protocol", &["types"]),
    ("env", &["types"]),
    ("config", &["types", "env"]),
    ("journal", &["types", "env"]),
    ("log", &["types", "protocol", "env", "journal"]),
    ("metadata", &["types"]),
    ("controller", &["types", "metadata", "config"]),
    ("coordinator", &["types", "protocol"]),
    ("replication", &["types", "protocol"]),
    ("raft", &["types", "protocol", "env", "journal", "log", "metadata", "peer"]),
    ("net", &["types", "protocol", "env"]),
    ("peer", &["types", "protocol", "env"]),
    (
        "broker",
        &[
            "types",
            "protocol",
            "env",
            "config",
            "journal",
            "log",
            "metadata",
            "controller",
            "coordinator",
            "replication",
            "raft",
            "net",
            "peer",
        ],
    ),
    // Its dependencies are a simulation build's only, and it may reach everything.
    ("sim", &[]),
    (
        "server",
        &[
            "types",
            "protocol",
            "env",
            "config",
            "journal",
            "log",
            "metadata",
            "coordinator",
            "raft",
            "net",
            "peer",
            "broker",
        ],
    ),
];

/// Crates that decide and therefore must not act: no runtime, no disk, no clock.
const PURE: &[&str] =
    &["types", "protocol", "metadata", "controller", "coordinator", "replication"];
/// What a pure crate must not depend on.
const ACTING: &[&str] = &["tokio", "rustix", "chronik-env", "parking_lot", "rand", "tracing"];

pub fn faults(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, _) in crates(root) {
        if !ALLOWED.iter().any(|(known, _)| *known == name) {
            faults
                .push(format!("crates/{name}: not in the table of allowed edges (xtask/deps.rs)"));
        }
    }
    for (name, allowed) in ALLOWED {
        let path = root.join("crates").join(name).join("Cargo.toml");
        let Ok(manifest) = std::fs::read_to_string(&path) else {
            faults.push(format!("crates/{name}: no Cargo.toml"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let forbidden = match dependency.strip_prefix("chronik-") {
                Some(ours) => !allowed.contains(&ours),
                None => false,
            };
            if forbidden {
                faults.push(format!("crates/{name}: must not depend on {dependency}"));
            }
            if PURE.contains(name) && ACTING.contains(&dependency.as_str()) {
                faults.push(format!("crates/{name}: decides, so it must not use {dependency}"));
            }
        }
    }
    faults
}

fn crates(root: &Path) -> Vec<(String, std::path::PathBuf)> {
    let Ok(entries) = std::fs::read_dir(root.join("crates")) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect()
}

/// The names in `[dependencies]`; what only tests use is free.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[dependencies]";
            continue;
        }
        if inside
            && !line.is_empty()
            && let Some(name) = line.split(['.', '=', ' ']).next()
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_real_dependencies_count() {
        let manifest =
            "[dependencies]\nbytes.workspace = true\nx = \"1\"\n[dev-dependencies]\ny = \"1\"";
        assert_eq!(super::dependencies(manifest), ["bytes", "x"]);
    }
}
