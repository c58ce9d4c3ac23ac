//! Simulations: the build with its flags, one process for each seed, and what they came to.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: cargo xtask sim [what] [options]

  without `what`: the seeds that found something (crates/sim/seeds.txt), each twice; 1250 that are
                   always the same; then fresh ones
  --seed N         that one; with --trace every event of it, with --debug more of them
  --seeds A..B     these
  --bugs           each planted bug with these seeds (--seeds, or 1..41): in how many it is caught

  --nodes N        so many nodes, whatever the seed says
  --bug NAME       with this bug planted
  --calm           without faults
  --minutes M      fresh seeds until then, counted from the beginning; without it, 50 of them
  --jobs N         so many at a time; as many as there are cores";

/// The flags of a simulation build: the simulated side of the seams, and a runtime whose own chance
/// follows from a seed.
const RUSTFLAGS: &str = "--cfg chronik_sim --cfg tokio_unstable";
/// Seeds that every change is judged by.
const ALWAYS: Range<u64> = 1..1251;
/// Fresh seeds of a run that is not told how long to go on.
const FRESH: u64 = 50;
/// The exit codes of a run that found something, and of one that did too little.
const FOUND: i32 = 10;
const TOO_LITTLE: i32 = 11;

#[derive(Default)]
struct Options {
    seed: Option<u64>,
    seeds: Option<Range<u64>>,
    bugs: bool,
    minutes: Option<u64>,
    jobs: Option<usize>,
    /// What every run is given.
    passed_on: Vec<String>,
}

fn options(words: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or_else(|| format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
        match word.as_str() {
            "--seed" => options.seed = Some(number(value()?)?),
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or("--seeds needs A..B")?;
                options.seeds = Some(number(from.to_owned())?..number(to.to_owned())?);
            }
            "--bugs" => options.bugs = true,
            "--minutes" => options.minutes = Some(number(value()?)?),
            "--jobs" => options.jobs = usize::try_from(number(value()?)?).ok(),
            "--trace" | "--debug" | "--calm" => options.passed_on.push(word.clone()),
            "--nodes" | "--bug" => options.passed_on.extend([word.clone(), value()?]),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

/// One run to make: the seed, and what else its process is given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    seed: u64,
    extra: Vec<String>,
}

impl Run {
    fn of(seed: u64) -> Self {
        Self { seed, extra: Vec::new() }
    }

    /// A line of the file of fixed seeds: the seed, options, a comment.
    fn parse(line: &str) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let seed = words.next()?.parse().ok()?;
        Some(Self { seed, extra: words.map(str::to_owned).collect() })
    }
}

/// See [`USAGE`].
pub fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let options = options(words)?;
    let program = build(root)?;
    let jobs = options.jobs.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
    });
    let runner = Runner { program, passed_on: options.passed_on.clone(), jobs };
    if let Some(seed) = options.seed {
        return runner.one(seed);
    }
    if options.bugs {
        return runner.bugs(options.seeds.unwrap_or(1..41));
    }
    if let Some(seeds) = options.seeds {
        return runner.sweep(seeds.map(Run::of).collect(), false);
    }
    let fixed = std::fs::read_to_string(root.join("crates/sim/seeds.txt"))
        .map_err(|error| format!("crates/sim/seeds.txt: {error}"))?;
    let begin = Instant::now();
    let fixed: Vec<Run> = fixed.lines().filter_map(Run::parse).collect();
    println!("{} fixed seeds, each twice", fixed.len());
    runner.sweep(fixed, true)?;
    println!("seeds {} to {}", ALWAYS.start, ALWAYS.end - 1);
    runner.sweep(ALWAYS.map(Run::of).collect(), false)?;
    // Below 2^32, so that a seed is easy to hand on.
    let first = RandomState::new().hash_one(std::process::id()) >> 32;
    println!("fresh seeds from {first} on");
    match options.minutes {
        Some(minutes) => runner.fresh(first, begin + Duration::from_secs(60 * minutes)),
        None => runner.sweep((first..first + FRESH).map(Run::of).collect(), false),
    }
}

fn build(root: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target = root.join("target/sim");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "chronik-sim", "--profile", "sim", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", RUSTFLAGS)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo could not be run: {error}"))?;
    if !status.success() {
        return Err("the simulator could not be built".to_owned());
    }
    Ok(target.join("sim/chronik-sim"))
}

struct Runner {
    program: PathBuf,
    passed_on: Vec<String>,
    jobs: usize,
}

/// What runs came to.
#[derive(Default)]
struct Totals {
    runs: AtomicU64,
    found: AtomicU64,
    too_little: AtomicU64,
}

impl Runner {
    fn command(&self, run: &Run) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--seed", &run.seed.to_string()]).args(&self.passed_on).args(&run.extra);
        command
    }

    fn output(&self, run: &Run, more: &[&str]) -> Result<Output, String> {
        let mut command = self.command(run);
        command.args(more).output().map_err(|error| format!("a run could not be started: {error}"))
    }

    /// One seed, with everything that it prints.
    fn one(&self, seed: u64) -> Result<(), String> {
        let status = self.command(&Run::of(seed)).status();
        let status = status.map_err(|error| format!("the run could not be started: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("seed {seed} did not pass")) }
    }

    /// Calls `work` with the numbers from 0 on, in as many threads as there are jobs, until it says
    /// that there is no more.
    fn spread(&self, work: impl Fn(usize) -> bool + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| while work(next.fetch_add(1, Ordering::Relaxed)) {});
            }
        });
    }

    /// Makes one run, or the same twice, and prints what is worth it.
    fn judge(&self, run: &Run, twice: bool, totals: &Totals) {
        totals.runs.fetch_add(1, Ordering::Relaxed);
        let more: &[&str] = if twice { &["--debug", "--trace"] } else { &[] };
        let (text, code) = match self.output(run, more) {
            Ok(output) => (output.stdout, output.status.code()),
            Err(error) => (error.into_bytes(), None),
        };
        let differs = twice && self.output(run, more).is_ok_and(|again| again.stdout != text);
        let text = String::from_utf8_lossy(&text);
        let verdict = text.lines().last().unwrap_or("the run died without a word").to_owned();
        let extra = if run.extra.is_empty() { String::new() } else { run.extra.join(" ") + " " };
        match code {
            Some(0) if differs => {
                totals.found.fetch_add(1, Ordering::Relaxed);
                println!("SEED={} {extra}FAILED: two runs differ", run.seed);
            }
            Some(0) => {}
            Some(TOO_LITTLE) => {
                totals.too_little.fetch_add(1, Ordering::Relaxed);
                println!("{extra}{verdict}");
            }
            Some(FOUND) => {
                totals.found.fetch_add(1, Ordering::Relaxed);
                println!("{extra}{verdict}");
            }
            _ => {
                totals.found.fetch_add(1, Ordering::Relaxed);
                println!("SEED={} {extra}FAILED: the process died ({code:?}): {verdict}", run.seed);
            }
        }
        let _ = std::io::stdout().flush();
    }

    fn sweep(&self, runs: Vec<Run>, twice: bool) -> Result<(), String> {
        let (totals, begin) = (Totals::default(), Instant::now());
        self.spread(|at| runs.get(at).map(|run| self.judge(run, twice, &totals)).is_some());
        summary(&totals, begin)
    }

    /// Fresh seeds until the time is over.
    fn fresh(&self, first: u64, end: Instant) -> Result<(), String> {
        let (totals, begin) = (Totals::default(), Instant::now());
        self.spread(|at| {
            let more = Instant::now() < end;
            if more {
                self.judge(&Run::of(first + at as u64), false, &totals);
            }
            more
        });
        summary(&totals, begin)
    }

    /// The table of planted bugs.
    fn bugs(&self, seeds: Range<u64>) -> Result<(), String> {
        let listed = Command::new(&self.program).arg("--list-bugs").output();
        let listed = listed.map_err(|error| format!("the simulator could not be run: {error}"))?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        println!("| bug | what is wrong | caught | first seed | as |\n|---|---|---|---|---|");
        let mut missed = 0;
        for line in listed.lines() {
            let (name, what) = line.split_once('\t').unwrap_or((line, ""));
            let caught: Mutex<Vec<(u64, String)>> = Mutex::default();
            self.spread(|at| {
                let seed = seeds.start + at as u64;
                if seed >= seeds.end {
                    return false;
                }
                let run = Run { seed, extra: vec!["--bug".to_owned(), name.to_owned()] };
                if let Ok(output) = self.output(&run, &["--quiet"])
                    && !matches!(output.status.code(), Some(0 | TOO_LITTLE))
                    && let Ok(mut caught) = caught.lock()
                {
                    caught.push((seed, reason(&String::from_utf8_lossy(&output.stdout))));
                }
                true
            });
            let mut caught = caught.into_inner().unwrap_or_default();
            caught.sort();
            missed += u32::from(caught.is_empty());
            let (first, reason) = match caught.first() {
                Some((seed, reason)) => (seed.to_string(), reason.as_str()),
                None => ("—".to_owned(), "missed"),
            };
            let count = caught.len();
            println!(
                "| `{name}` | {what} | {count}/{} | {first} | {reason} |",
                seeds.end - seeds.start
            );
            let _ = std::io::stdout().flush();
        }
        println!("\n{missed} missed");
        Ok(())
    }
}

/// What a failed run says, without its numbers at the end.
fn reason(text: &str) -> String {
    let verdict = text.lines().last().unwrap_or("died");
    let reason = verdict.split_once("FAILED: ").map_or(verdict, |(_, reason)| reason);
    let reason = reason.split(" trace=").next().unwrap_or(reason);
    reason.chars().take(120).collect::<String>().replace('|', "/")
}

fn summary(totals: &Totals, begin: Instant) -> Result<(), String> {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (runs, found, too_little) = (of(&totals.runs), of(&totals.found), of(&totals.too_little));
    println!(
        "{runs} seeds in {} s: {found} failed, {too_little} proved too little",
        begin.elapsed().as_secs()
    );
    // A few may be unlucky; many mean that the simulation has lost its grip.
    if found > 0 {
        return Err(format!("{found} seeds failed"));
    }
    if too_little * 5 > runs {
        return Err(format!("{too_little} of {runs} seeds proved too little"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_fixed_seeds_has_a_seed_options_and_a_comment() {
        let run = Run::parse("17 --nodes 3  # lost a record").unwrap();
        assert_eq!(run, Run { seed: 17, extra: vec!["--nodes".to_owned(), "3".to_owned()] });
        assert_eq!(Run::parse("# nothing"), None);
    }
}
