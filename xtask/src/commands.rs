//! The cargo commands that make up the checks.

use std::path::Path;
use std::process::Command;

/// Format and lints; writes nothing.
pub fn check(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(root, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

/// Every test of the workspace.
pub fn test(root: &Path) -> Result<(), String> {
    cargo(root, &["test", "--workspace", "--quiet"])
}

fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    println!("cargo {}", args.join(" "));
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(args)
        .current_dir(root)
        .status()
        .map_err(|e| format!("cargo could not be run: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args.join(" "))) }
}
