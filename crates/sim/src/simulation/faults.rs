//! What goes wrong, and when: a script that is written before the run.

use std::fmt;
use std::time::Duration;

use chronik_env::{CrashKind, Rng};

use super::history::NodeId;
use super::node::host_name;
use super::plan::between;

/// One thing that goes wrong, or is put right again.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The process or the machine ends.
    Crash { nodes: Vec<NodeId>, kind: CrashKind },
    /// It ends after so many more calls of the disk that change something.
    CrashAfterCalls { node: NodeId, calls: u64, kind: CrashKind },
    /// Whoever has ended begins anew.
    Start { nodes: Vec<NodeId> },
    /// An orderly stop.
    Stop { node: NodeId },
    /// Calls of the disk take so much longer, or as long as ever (1).
    SlowDisk { node: NodeId, factor: u32 },
    /// The wall's clock jumps by so many milliseconds.
    ClockJump { node: NodeId, millis: i64 },
    /// All its timers are so much later at once, as after a machine that was suspended.
    Pause { node: NodeId, millis: u64 },
    /// What these hosts send those, and back if `both`, is lost.
    Cut { from: Vec<Host>, to: Vec<Host>, both: bool },
    /// What these hosts send each other is held back.
    Hold { from: Vec<Host>, to: Vec<Host> },
    /// What was cut or held between them flows again.
    Mend { from: Vec<Host>, to: Vec<Host> },
    /// Messages between them take so long.
    SlowLink { from: Vec<Host>, to: Vec<Host>, millis: u64 },
    /// The machine is there again with an empty disk.
    Wipe { node: NodeId },
}

/// A machine on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    Node(NodeId),
    Clients(u64),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => f.write_str(&host_name(*node)),
            Self::Clients(number) => write!(f, "clients-{number}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Faults with their times since the first, in order.
pub type Script = Vec<(Duration, Fault)>;

/// The faults of a run with so many nodes and machines of clients, within `chaos`. Which classes
/// there are and how often follows from the seed, too.
pub fn script(rng: &Rng, nodes: u64, clients: u64, chaos: Duration) -> Script {
    let mut script = Script::new();
    let end = chaos.as_millis() as u64;
    // With few classes each is seen alone; with many, together.
    let share = 0.2 + 0.15 * rng.below(5) as f64;
    let mut class = |name: &str, write: &mut dyn FnMut(&Rng, u64, &mut Script)| {
        let rng = rng.fork(name);
        if !rng.chance(share) {
            return;
        }
        let mean = between(&rng, 800, 8_000);
        let mut at = rng.below(mean * 2);
        while at < end {
            write(&rng, at, &mut script);
            at += 1 + rng.below(mean * 2);
        }
    };
    let millis = Duration::from_millis;
    let pick = |rng: &Rng| 1 + rng.below(nodes);
    let kind = |rng: &Rng| {
        if rng.chance(0.6) { CrashKind::PowerCut } else { CrashKind::Process }
    };
    class("crash", &mut |rng, at, script| {
        // Now and then all of them, as when the rack loses its power.
        let nodes = match rng.below(5) {
            0 => (1..=nodes).collect(),
            1 => (1..=nodes).filter(|_| rng.chance(0.5)).collect(),
            _ => vec![pick(rng)],
        };
        script.push((millis(at), Fault::Crash { nodes: nodes.clone(), kind: kind(rng) }));
        script.push((millis(at + between(rng, 1, 3_000)), Fault::Start { nodes }));
    });
    class("crash inside", &mut |rng, at, script| {
        let node = pick(rng);
        let calls = rng.below(60);
        script.push((millis(at), Fault::CrashAfterCalls { node, calls, kind: kind(rng) }));
        script.push((millis(at + between(rng, 500, 3_000)), Fault::Start { nodes: vec![node] }));
    });
    class("stop", &mut |rng, at, script| {
        let node = pick(rng);
        script.push((millis(at), Fault::Stop { node }));
        script.push((millis(at + between(rng, 500, 3_000)), Fault::Start { nodes: vec![node] }));
    });
    class("slow disk", &mut |rng, at, script| {
        let node = pick(rng);
        let factor = 1 << between(rng, 2, 7);
        script.push((millis(at), Fault::SlowDisk { node, factor }));
        let end = at + between(rng, 100, 4_000);
        script.push((millis(end), Fault::SlowDisk { node, factor: 1 }));
    });
    class("clock", &mut |rng, at, script| {
        let back = rng.chance(0.5);
        let jump = 1_i64 << between(rng, 0, 24);
        let millis_jumped = if back { -jump } else { jump };
        script.push((millis(at), Fault::ClockJump { node: pick(rng), millis: millis_jumped }));
    });
    class("pause", &mut |rng, at, script| {
        let pause = between(rng, 50, 12_000);
        script.push((millis(at), Fault::Pause { node: pick(rng), millis: pause }));
    });
    let hosts: Vec<Host> =
        (1..=nodes).map(Host::Node).chain((0..clients).map(Host::Clients)).collect();
    let sides = |rng: &Rng| {
        if rng.chance(0.5) {
            // One node on its own, with or without clients that reach it.
            let alone = pick(rng);
            hosts.iter().partition(|host| match host {
                Host::Node(node) => *node == alone,
                Host::Clients(_) => rng.chance(0.3),
            })
        } else {
            hosts.iter().partition::<Vec<Host>, _>(|_| rng.chance(0.5))
        }
    };
    class("cut", &mut |rng, at, script| {
        let (from, to) = sides(rng);
        let both = rng.chance(0.6);
        script.push((millis(at), Fault::Cut { from: from.clone(), to: to.clone(), both }));
        script.push((millis(at + between(rng, 100, 6_000)), Fault::Mend { from, to }));
    });
    class("alone", &mut |rng, at, script| {
        // Clients go on reaching a node that the others do not.
        let alone = pick(rng);
        let from = vec![Host::Node(alone)];
        let to: Vec<Host> = (1..=nodes).filter(|node| *node != alone).map(Host::Node).collect();
        script.push((millis(at), Fault::Cut { from: from.clone(), to: to.clone(), both: true }));
        script.push((millis(at + between(rng, 100, 6_000)), Fault::Mend { from, to }));
    });
    class("hold", &mut |rng, at, script| {
        let (from, to) = sides(rng);
        script.push((millis(at), Fault::Hold { from: from.clone(), to: to.clone() }));
        script.push((millis(at + between(rng, 100, 3_000)), Fault::Mend { from, to }));
    });
    class("slow link", &mut |rng, at, script| {
        let (from, to) = sides(rng);
        let slow = between(rng, 10, 400);
        let fault = |millis| Fault::SlowLink { from: from.clone(), to: to.clone(), millis };
        script.push((millis(at), fault(slow)));
        script.push((millis(at + between(rng, 200, 4_000)), fault(0)));
    });
    // Once at most: what was acknowledged is on one more disk than are ever lost.
    let wipe = rng.fork("wipe");
    if nodes >= 3 && wipe.chance(share / 2.0) {
        let node = pick(&wipe);
        script.push((millis(wipe.below(end)), Fault::Wipe { node }));
    }
    script.sort_by_key(|(at, _)| *at);
    script
}
