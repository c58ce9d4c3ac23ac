//! What happened, line by line: what is printed, and what two runs of one seed are compared by.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::args::Args;

/// The wall's clock at the beginning, in milliseconds.
pub const EPOCH: i64 = 1_700_000_000_000;
/// Lines that are kept for the report of a failure.
const TAIL: usize = 60;

#[derive(Default)]
struct Trace {
    /// Milliseconds since the beginning.
    now: u64,
    hash: u64,
    lines: u64,
    echo: bool,
    tail: VecDeque<String>,
    counts: BTreeMap<&'static str, u64>,
    /// The node that led the metadata in each term.
    leaders: BTreeMap<i64, String>,
    violation: Option<String>,
}

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::default();
}

/// Sends every event of the cluster's own code to the trace.
pub fn install(args: &Args) {
    TRACE.with_borrow_mut(|trace| {
        trace.echo = trace.echo || args.trace;
        trace.hash = 0xcbf2_9ce4_8422_2325;
    });
    let level = if args.debug { Level::DEBUG } else { Level::INFO };
    let subscriber = Registry::default().with(Events { level });
    tracing::subscriber::set_global_default(subscriber).expect("nobody else installs one");
}

/// The time of all lines from now on.
pub fn set_now(millis: u64) {
    TRACE.with_borrow_mut(|trace| trace.now = millis);
}

/// The time of the current step, in milliseconds since the beginning.
pub fn now() -> u64 {
    TRACE.with_borrow(|trace| trace.now)
}

/// What clients take for the wall's clock: a day behind, so that no broker whose clock jumps back
/// takes their records for records of the future.
pub fn wall() -> i64 {
    EPOCH - 86_400_000 + now() as i64
}

/// Adds a line.
pub fn note(who: &str, what: impl fmt::Display) {
    TRACE.with_borrow_mut(|trace| {
        let line = format!("{:>7} {who:<9} {what}", trace.now);
        for byte in line.bytes().chain([b'\n']) {
            trace.hash = (trace.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        trace.lines += 1;
        if trace.echo {
            println!("{line}");
        }
        if trace.tail.len() == TAIL {
            trace.tail.pop_front();
        }
        trace.tail.push_back(line);
    });
}

/// Counts something that a run must have done often enough to prove anything.
pub fn count(what: &'static str) {
    TRACE.with_borrow_mut(|trace| *trace.counts.entry(what).or_default() += 1);
}

/// How often something was counted.
pub fn counted(what: &str) -> u64 {
    TRACE.with_borrow(|trace| trace.counts.get(what).copied().unwrap_or(0))
}

/// All counts, as text.
pub fn counts() -> String {
    TRACE.with_borrow(|trace| {
        let words = trace.counts.iter().map(|(what, count)| format!("{what}={count}"));
        words.collect::<Vec<_>>().join(" ")
    })
}

/// Takes note of something that must never be; the first one ends the run.
pub fn violation(what: impl fmt::Display) {
    let what = what.to_string().replace('\n', " ");
    note("CHECK", format_args!("violated: {what}"));
    TRACE.with_borrow_mut(|trace| {
        trace.violation.get_or_insert(what);
    });
}

/// What was violated, if anything.
pub fn violated() -> Option<String> {
    TRACE.with_borrow(|trace| trace.violation.clone())
}

/// Lines and their hash.
pub fn digest() -> (u64, u64) {
    TRACE.with_borrow(|trace| (trace.lines, trace.hash))
}

/// Prints the last lines, unless all were printed.
pub fn print_tail() {
    TRACE.with_borrow(|trace| {
        if !trace.echo {
            trace.tail.iter().for_each(|line| println!("{line}"));
        }
    });
}

/// One leader in each term of the metadata.
fn became_leader(node: &str, term: i64) {
    count("elected");
    let other = TRACE.with_borrow_mut(|trace| {
        let leader = trace.leaders.entry(term).or_insert_with(|| node.to_owned());
        (leader != node).then(|| leader.clone())
    });
    if let Some(other) = other {
        violation(format_args!("{node} and {other} both led the metadata in term {term}"));
    }
}

/// The layer that turns events into lines.
struct Events {
    level: Level,
}

/// The host whose span it is.
struct Host(String);

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
    name: String,
    epoch: Option<i64>,
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "epoch" {
            self.epoch = Some(value);
        }
        self.record_debug(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            value.clone_into(&mut self.name);
        }
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Events {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = metadata.target().starts_with("chronik");
        metadata.is_span() || (own && *metadata.level() <= self.level)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "node"
            && let Some(span) = context.span(id)
        {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(Host(fields.name));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans = context.event_scope(event).into_iter().flatten();
        let host = spans.filter_map(|span| Some(span.extensions().get::<Host>()?.0.clone())).next();
        let host = host.unwrap_or_else(|| "-".to_owned());
        let level = event.metadata().level();
        let Fields { message, rest, epoch, .. } = fields;
        note(&host, format_args!("{level} {message}{rest}"));
        if message == "became leader" {
            became_leader(&host, epoch.unwrap_or_default());
        }
    }
}
