//! What the machine allows: the disk's sync and the loopback's round trip.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Failed;
use crate::stats::Times;

/// A produce request with a record of 1 KiB, and an answer.
pub const REQUEST_BYTES: usize = 1100;
pub const RESPONSE_BYTES: usize = 64;

const BLOCK: usize = 4096;
/// The file is written through again and again, as the journal does with its files.
const FILE_BYTES: u64 = 64 << 20;

pub async fn run(dir: &Path, measured: Duration) -> Result<(), Failed> {
    let syncs = syncs(dir, measured)?;
    println!("4 KiB append + fdatasync: {}", syncs.line(measured));
    let trips = round_trips(measured).await?;
    println!("loopback round trip 1 KiB: {}", trips.line(measured));
    let sum = syncs.percentile(0.5) + trips.percentile(0.5);
    println!("sum of the medians: {:.0} µs", sum.as_secs_f64() * 1e6);
    Ok(())
}

/// A file that is written block by block, each synced.
pub struct Wal {
    file: File,
    at: u64,
}

impl Wal {
    /// Writes the file whole first: a sync must not have to write where its blocks are.
    pub fn create(path: &Path) -> Result<Self, Failed> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let zeros = vec![0u8; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes a block and syncs it.
    pub fn append(&mut self) -> Result<(), Failed> {
        self.file.write_all_at(&[0x5A; BLOCK], self.at)?;
        self.file.sync_data()?;
        self.at = (self.at + BLOCK as u64) % FILE_BYTES;
        Ok(())
    }
}

fn syncs(dir: &Path, measured: Duration) -> Result<Times, Failed> {
    let path = dir.join(format!(".floor-{}", std::process::id()));
    let mut wal = Wal::create(&path)?;
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < measured {
        let before = Instant::now();
        wal.append()?;
        times.push(before.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(Times::new(times))
}

async fn round_trips(measured: Duration) -> Result<Times, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let _ = stream.set_nodelay(true);
        let mut request = vec![0u8; REQUEST_BYTES];
        while stream.read_exact(&mut request).await.is_ok() {
            if stream.write_all(&request[..RESPONSE_BYTES]).await.is_err() {
                return;
            }
        }
    });
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (request, mut response) = (vec![0u8; REQUEST_BYTES], [0u8; RESPONSE_BYTES]);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < measured {
        let before = Instant::now();
        stream.write_all(&request).await?;
        stream.read_exact(&mut response).await?;
        times.push(before.elapsed());
    }
    Ok(Times::new(times))
}
