//! The project's own checks and helpers: `cargo xtask <command>`.

#![allow(clippy::disallowed_methods, reason = "a program of its own, on the real machine")]

mod commands;
mod deps;
mod docs;
mod files;
mod sim;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  tidy     dependency edges, seams, file sizes, documents that name what exists
  check    what must hold before a commit: format, clippy, tidy (changes nothing)
  test     check, then every test of the workspace
  sim      whole clusters in the deterministic simulator (--help says more)
";

fn main() -> ExitCode {
    let root = root();
    let command = std::env::args().nth(1).unwrap_or_default();
    let result = match command.as_str() {
        "tidy" => tidy(&root),
        "check" => tidy(&root).and_then(|()| commands::check(&root)),
        "test" => {
            tidy(&root).and_then(|()| commands::check(&root)).and_then(|()| commands::test(&root))
        }
        "sim" => sim::run(&root, &std::env::args().skip(2).collect::<Vec<_>>()),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Every structural rule that a program can check.
fn tidy(root: &std::path::Path) -> Result<(), String> {
    let mut faults = Vec::new();
    faults.extend(deps::faults(root));
    faults.extend(files::faults(root));
    faults.extend(sources::faults(root));
    faults.extend(docs::faults(root));
    if faults.is_empty() {
        println!("tidy: nothing to complain about");
        return Ok(());
    }
    Err(format!("tidy: {} faults\n  {}", faults.len(), faults.join("\n  ")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        if let Err(faults) = super::tidy(&super::root()) {
            panic!("{faults}");
        }
    }
}
