//! The command line.

use super::bugs;

const USAGE: &str =
    "usage: chronik-sim --seed N [--trace] [--debug] [--quiet] [--calm] [--nodes N] [--bug NAME]
       chronik-sim --list-bugs";

pub enum Command {
    Run(Args),
    ListBugs,
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Args {
    pub seed: u64,
    /// Print every event.
    pub trace: bool,
    /// Debug events are part of the trace, which is another trace then.
    pub debug: bool,
    /// Print nothing but the verdict.
    pub quiet: bool,
    /// Nothing goes wrong.
    pub calm: bool,
    /// So many nodes, whatever the seed says.
    pub nodes: Option<u64>,
    /// The bug that is planted.
    pub bug: Option<&'static str>,
}

pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = Args::default();
    let mut seed = None;
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))
        };
        match word.as_str() {
            "--list-bugs" => return Ok(Command::ListBugs),
            "--seed" => seed = Some(number()?),
            "--nodes" => args.nodes = Some(number()?),
            "--trace" => args.trace = true,
            "--debug" => args.debug = true,
            "--quiet" => args.quiet = true,
            "--calm" => args.calm = true,
            "--bug" => {
                let name = words.next().unwrap_or_default();
                let bug = bugs::TABLE.iter().find(|bug| bug.name == name);
                let bug = bug.ok_or_else(|| format!("there is no bug {name:?}\n{USAGE}"))?;
                args.bug = Some(bug.name);
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    args.seed = seed.ok_or(USAGE)?;
    Ok(Command::Run(args))
}
