//! One run: from the command line to its verdict.

mod args;
mod bugs;
mod chance;
mod checks;
mod client;
mod cluster;
mod faults;
mod history;
mod node;
mod plan;
mod replicas;
mod trace;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use self::args::{Args, Command};
use self::world::Verdict;

/// The exit code of a run that found something, as the runner of many expects it.
const FOUND: u8 = 10;
/// The exit code of a run that did too little to prove anything.
const TOO_LITTLE: u8 = 11;
/// Whoever runs longer hangs, however busy the machine is.
const REAL_TIME_MAX: Duration = Duration::from_secs(900);

pub fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Run(args)) => args,
        Ok(Command::ListBugs) => {
            bugs::TABLE.iter().for_each(|bug| println!("{}\t{}", bug.name, bug.what));
            return ExitCode::SUCCESS;
        }
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    // Before anything that might ask the system for chance.
    chance::seed(args.seed);
    trace::install(&args);
    chronik_types::planted::plant(args.bug);
    end_in_time(args.seed);
    std::panic::set_hook(Box::new(|panic| trace::violation(format_args!("panic: {panic}"))));
    let run = catch_unwind(AssertUnwindSafe(|| world::run(&args)));
    // A panic in a task ends its runtime, which panics in turn: the first one says what is wrong.
    let panicked = || trace::violated().unwrap_or_else(|| "panic".to_owned());
    let verdict = run.unwrap_or_else(|_| Verdict::Found(panicked()));
    report(&args, &verdict)
}

/// Ends this process when a run hangs within one step of its world, which nothing else would notice.
fn end_in_time(seed: u64) {
    std::thread::spawn(move || {
        #[expect(clippy::disallowed_methods, reason = "it is real time that is measured")]
        std::thread::sleep(REAL_TIME_MAX);
        println!("SEED={seed} FAILED: hangs");
        std::process::exit(i32::from(FOUND));
    });
}

fn report(args: &Args, verdict: &Verdict) -> ExitCode {
    let (lines, hash) = trace::digest();
    let counts = trace::counts();
    match verdict {
        Verdict::Passed => {
            println!("SEED={} passed trace={hash:016x} lines={lines} {counts}", args.seed);
            ExitCode::SUCCESS
        }
        Verdict::TooLittle(what) => {
            println!(
                "SEED={} proved too little: {what} trace={hash:016x} lines={lines} {counts}",
                args.seed
            );
            ExitCode::from(TOO_LITTLE)
        }
        Verdict::Found(what) => {
            if !args.quiet {
                trace::print_tail();
            }
            println!("SEED={} FAILED: {what} trace={hash:016x} lines={lines} {counts}", args.seed);
            ExitCode::from(FOUND)
        }
    }
}
