//! Asks Apache Kafka and Chronik the same questions and compares the answers field by field.
//!
//! Apache Kafka is the oracle. Every API in every version that is served gets ordinary requests,
//! edge cases and malformed frames; what is the cluster's own (ids, times, ports, paths) is masked.
//! A difference that remains must stand in `docs/differences.md` with its reason, and what stands
//! there must still occur.

#![allow(clippy::disallowed_methods, reason = "a program of its own, on the real machine")]

mod batches;
mod client;
mod compare;
mod mask;
mod scenarios;
mod session;
mod transcript;
mod tree;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use compare::Allowed;
use scenarios::Scenario;
use session::{Failure, Session};
use transcript::Transcript;

/// Compares the answers of two brokers, or of one broker with recorded ones. Each broker must be
/// fresh: the scenarios build upon the topics and groups of those before them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Apache Kafka, live.
    #[arg(long)]
    kafka: Option<SocketAddr>,
    /// Apache Kafka's answers as recorded in this directory, instead of a live one.
    #[arg(long, conflicts_with = "kafka")]
    oracle: Option<PathBuf>,
    /// The broker to compare.
    #[arg(long)]
    chronik: Option<SocketAddr>,
    /// Only scenarios whose name contains this; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Writes Kafka's answers into this directory.
    #[arg(long)]
    record: Option<PathBuf>,
    /// The list of allowed differences.
    #[arg(long)]
    allowed: Option<PathBuf>,
    /// Prints at most so many differences of a scenario.
    #[arg(long, default_value_t = 40)]
    show: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many scenarios failed.
fn run(arguments: &Arguments) -> Result<usize, String> {
    let allowed = match &arguments.allowed {
        Some(path) => compare::allowed(&read(path)?)?,
        None => Vec::new(),
    };
    let wanted = |scenario: &&Scenario| {
        arguments.only.is_empty() || arguments.only.iter().any(|part| scenario.name.contains(part))
    };
    let mut used = HashSet::new();
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios::ALL.iter().filter(wanted) {
        match compare_one(arguments, scenario, &allowed, &mut used) {
            Ok(true) => passed += 1,
            Ok(false) => failed += 1,
            Err(error) => {
                println!("FAILED {}: {error}", scenario.name);
                failed += 1;
            }
        }
    }
    if arguments.chronik.is_some() && arguments.only.is_empty() {
        for entry in allowed.iter().filter(|entry| !used.contains(&entry.line)) {
            println!("no longer occurs: {}", entry.line);
            failed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

/// Whether the answers agree, but for what is allowed.
fn compare_one(
    arguments: &Arguments,
    scenario: &Scenario,
    allowed: &[Allowed],
    used: &mut HashSet<String>,
) -> Result<bool, String> {
    let begin = Instant::now();
    // Both at once: most of the time goes in waiting for what a request has set off.
    let (kafka, ours) = thread::scope(|both| {
        let ours = arguments.chronik.map(|target| both.spawn(move || play(scenario, target)));
        let kafka = match (&arguments.kafka, &arguments.oracle) {
            (Some(target), _) => play(scenario, *target).map_err(|error| format!("Kafka: {error}")),
            (None, Some(oracle)) => {
                read(&recorded(oracle, scenario)).map(|text| Transcript::parse(&text))
            }
            (None, None) => Err("give --kafka or --oracle".to_owned()),
        };
        (kafka, ours.map(|ours| ours.join().expect("a scenario ends in a transcript or an error")))
    });
    let kafka = kafka?;
    if let Some(directory) = &arguments.record {
        let path = recorded(directory, scenario);
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        fs::write(&path, kafka.to_string())
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let Some(ours) = ours else {
        println!("recorded {} ({} steps, {:?})", scenario.name, kafka.steps.len(), begin.elapsed());
        return Ok(true);
    };
    let ours = ours.map_err(|error| format!("Chronik: {error}"))?;
    let mut unexpected = Vec::new();
    for difference in compare::differences(scenario.name, &kafka, &ours) {
        let entries: Vec<_> = allowed.iter().filter(|entry| entry.covers(&difference)).collect();
        if entries.is_empty() {
            unexpected.push(difference);
        }
        used.extend(entries.into_iter().map(|entry| entry.line.clone()));
    }
    report(scenario, &kafka, &unexpected, arguments.show, begin.elapsed());
    Ok(unexpected.is_empty())
}

fn report(
    scenario: &Scenario,
    kafka: &Transcript,
    unexpected: &[compare::Difference],
    show: usize,
    took: Duration,
) {
    if unexpected.is_empty() {
        println!("passed {} ({} steps, {took:.1?})", scenario.name, kafka.steps.len());
        return;
    }
    println!("FAILED {}: {} differences", scenario.name, unexpected.len());
    for difference in unexpected.iter().take(show) {
        println!("  {difference}");
    }
    let mut hidden: BTreeMap<&str, usize> = BTreeMap::new();
    for difference in unexpected.iter().skip(show) {
        *hidden.entry(&difference.step).or_default() += 1;
    }
    for (step, count) in hidden {
        println!("  and {count} more in `{step}`");
    }
}

fn play(scenario: &Scenario, target: SocketAddr) -> Result<Transcript, Failure> {
    let mut session = Session::new(target);
    (scenario.steps)(&mut session)?;
    Ok(session.into_transcript())
}

fn recorded(directory: &Path, scenario: &Scenario) -> PathBuf {
    directory.join(format!("{}.txt", scenario.name))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
