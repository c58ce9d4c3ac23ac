//! The environment variables of this process.

/// The variable `name`; `None` when it is not set or not Unicode.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the seam")]
pub fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every variable whose name and value are Unicode, sorted by name.
#[must_use]
pub fn env_vars() -> Vec<(String, String)> {
    let mut vars: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    vars.sort();
    vars
}
