//! The questions: each scenario is a list of steps against one broker.

use crate::session::{Failure, Session};

mod malformed;
mod ordinary;
mod setup;

/// A list of steps with a name.
pub struct Scenario {
    /// Also the name of the file with Kafka's answers.
    pub name: &'static str,
    /// Takes the steps.
    pub steps: fn(&mut Session) -> Result<(), Failure>,
}

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        /// All scenarios, in the order they must run: later ones see what earlier ones created.
        pub const ALL: &[Scenario] = &[$($(
            Scenario { name: concat!(stringify!($module), "-", stringify!($name)), steps: $module::$name },
        )+)+];
    };
}

scenarios! {
    ordinary: every_api_and_version;
    malformed: frames, headers, bodies;
}
