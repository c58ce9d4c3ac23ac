//! The floor of a log with replicas on this machine: nodes that do nothing but what is asked of the
//! metadata log. No protocol, no consensus, no state: threads that block on sockets and files.
//!
//! ```text
//! client ─► leader ─┬─► follower: write, sync ─► acknowledgement ─┐
//!                   ├─► follower: write, sync ─► acknowledgement ─┤ quorum: the first of these
//!                   └─► write, sync ─► answer (leader) ───────────┴─► answer (quorum)
//! ```

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Failed;
use crate::floors::{REQUEST_BYTES, RESPONSE_BYTES, Wal};
use crate::stats::Times;

/// When the leader answers.
#[derive(Clone, Copy)]
enum Answer {
    /// When it has synced.
    Leader,
    /// When so many followers have synced too.
    Quorum(usize),
}

/// Prints what one client that waits for each answer sees, with so many nodes.
pub fn run(dir: &Path, nodes: usize, measured: Duration) -> Result<(), Failed> {
    let quorum = Answer::Quorum(nodes / 2);
    for (name, answer) in [("leader", Answer::Leader), ("quorum", quorum)] {
        let times = measure(dir, nodes, answer, measured)?;
        println!("replicated append, {nodes} nodes, {name}: {}", times.line(measured));
    }
    Ok(())
}

fn measure(dir: &Path, nodes: usize, answer: Answer, measured: Duration) -> Result<Times, Failed> {
    let path = |node: usize| dir.join(format!(".floor-{}-{node}", std::process::id()));
    let (acknowledged, acknowledgements) = channel();
    let followers = (1..nodes)
        .map(|node| follower(path(node), acknowledged.clone()))
        .collect::<Result<Vec<_>, Failed>>()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (mut accepted, _) = listener.accept()?;
    accepted.set_nodelay(true)?;
    let mut wal = Wal::create(&path(0))?;
    let leader = thread::spawn(move || {
        // It ends when the client has gone.
        let _ = lead(&mut accepted, &followers, &mut wal, answer, &acknowledgements);
    });
    let (request, mut response) = ([0u8; REQUEST_BYTES], [0u8; RESPONSE_BYTES]);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < measured {
        let before = Instant::now();
        client.write_all(&request)?;
        client.read_exact(&mut response)?;
        times.push(before.elapsed());
    }
    drop(client);
    leader.join().map_err(|_| Failed("the leader of the floor has panicked".to_owned()))?;
    (0..nodes).try_for_each(|node| std::fs::remove_file(path(node)))?;
    Ok(Times::new(times))
}

/// Starts a follower. What it has synced comes through `acknowledged`, by number.
fn follower(path: PathBuf, acknowledged: Sender<u64>) -> Result<TcpStream, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut accepted, _) = listener.accept()?;
    let mut answers = sender.try_clone()?;
    for stream in [&sender, &accepted] {
        stream.set_nodelay(true)?;
    }
    let mut wal = Wal::create(&path)?;
    thread::spawn(move || {
        let mut request = [0u8; REQUEST_BYTES];
        while accepted.read_exact(&mut request).is_ok()
            && wal.append().is_ok()
            && accepted.write_all(&request[..RESPONSE_BYTES]).is_ok()
        {}
    });
    thread::spawn(move || {
        let mut response = [0u8; RESPONSE_BYTES];
        let mut number = 0;
        while answers.read_exact(&mut response).is_ok() && acknowledged.send(number).is_ok() {
            number += 1;
        }
    });
    Ok(sender)
}

fn lead(
    client: &mut TcpStream,
    followers: &[TcpStream],
    wal: &mut Wal,
    answer: Answer,
    acknowledgements: &Receiver<u64>,
) -> Result<(), Failed> {
    let mut request = [0u8; REQUEST_BYTES];
    let mut number = 0;
    loop {
        client.read_exact(&mut request)?;
        for mut follower in followers {
            follower.write_all(&request)?;
        }
        wal.append()?;
        let mut missing = match answer {
            Answer::Leader => 0,
            Answer::Quorum(followers) => followers,
        };
        while missing > 0 {
            // Those of earlier requests come late.
            missing -= usize::from(acknowledgements.recv()? == number);
        }
        client.write_all(&request[..RESPONSE_BYTES])?;
        number += 1;
    }
}
