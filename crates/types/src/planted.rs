//! Bugs planted on order, so that tests and simulations can show that they would be seen.
//!
//! A crate lists its bugs with [`planted_bugs!`](crate::planted_bugs) in a module `bugs`. In a build
//! that is neither a test nor a simulation each of them is the constant `false`.

use std::cell::Cell;

thread_local! {
    /// Per thread, because tests run side by side.
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Plants this bug, or none, in everything this thread does.
pub fn plant(bug: Option<&'static str>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted.
#[must_use]
pub fn is(bug: &str) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether a test fails with this bug planted: one that cannot fail proves nothing.
#[must_use]
pub fn is_seen_by(bug: &'static str, test: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    plant(Some(bug));
    let outcome = std::panic::catch_unwind(test);
    plant(None);
    outcome.is_err()
}

/// Defines a function for each bug that says whether it is planted.
#[macro_export]
macro_rules! planted_bugs {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $($(#[$doc])*
        #[inline]
        pub(crate) fn $name() -> bool {
            #[cfg(any(test, chronik_sim))]
            return $crate::planted::is(stringify!($name));
            #[cfg(not(any(test, chronik_sim)))]
            return false;
        })+

        /// All of them.
        #[cfg(test)]
        #[allow(dead_code, reason = "tests of some crates name each bug with the test that sees it")]
        pub(crate) const ALL: &[&str] = &[$(stringify!($name)),+];
    };
}
