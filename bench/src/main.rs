//! Measures a Kafka-compatible broker over its wire protocol, with the machine's floors beside.
//!
//! Every figure is printed with the floors of the same run, so that machines can be compared:
//! a 4 KiB append with fdatasync, a round trip of as many bytes over loopback, and what several
//! nodes that share the machine make of the two.

#![allow(clippy::disallowed_methods, reason = "a program of its own, on the real machine")]

mod client;
mod cluster;
mod controller;
mod failover;
mod floors;
mod produce;
mod replicated;
mod stats;
mod topics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The floors: fdatasync of a 4 KiB append, and a loopback round trip.
    Floors {
        /// A directory on the disk that the broker uses.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Also an append that so many nodes sync, which do nothing else.
        #[arg(long, value_parser = clap::value_parser!(u8).range(2..))]
        nodes: Option<u8>,
    },
    /// Producers that send one request at a time, each to a partition of its own.
    Produce {
        #[arg(long, default_value = "127.0.0.1:9092")]
        bootstrap: SocketAddr,
        #[arg(long, default_value_t = 1)]
        producers: usize,
        /// Requests in flight per producer.
        #[arg(long, default_value_t = 1)]
        in_flight: usize,
        /// Bytes of the value of the one record of each request.
        #[arg(long, default_value_t = 1024)]
        bytes: usize,
        #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
        acks: i16,
        /// Replicas of the topic; -1 is the cluster's default.
        #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
        replication_factor: i16,
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        #[arg(long, default_value_t = 1)]
        warmup: u64,
    },
    /// Creates topics at the controller, so many in one request.
    Topics {
        #[arg(long, default_value = "127.0.0.1:9092")]
        bootstrap: SocketAddr,
        #[command(flatten)]
        load: topics::Load,
    },
    /// Creates topics without a broker: what the controller and the images cost in calculation.
    Controller(controller::Load),
    /// Sets metadata.acks for a running cluster: leader or quorum.
    MetadataAcks {
        #[arg(long, default_value = "127.0.0.1:9092")]
        bootstrap: SocketAddr,
        value: String,
    },
    /// Writes with acks=all while somebody ends the partition's leader: the longest standstill.
    Failover {
        #[arg(long, default_value = "127.0.0.1:9092")]
        bootstrap: SocketAddr,
        #[arg(long, default_value_t = 3)]
        replication_factor: i16,
        /// The node that is to lead the partition.
        #[arg(long)]
        leader: Option<i32>,
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> Result<(), client::Failed> {
    match Arguments::parse().command {
        Command::Floors { dir, seconds, nodes } => {
            let measured = Duration::from_secs(seconds);
            floors::run(&dir, measured).await?;
            nodes.map_or(Ok(()), |nodes| replicated::run(&dir, nodes.into(), measured))
        }
        Command::Produce {
            bootstrap,
            producers,
            in_flight,
            bytes,
            acks,
            replication_factor,
            seconds,
            warmup,
        } => {
            let load = produce::Load {
                producers,
                in_flight,
                bytes,
                acks,
                replication_factor,
                warmup: Duration::from_secs(warmup),
                measured: Duration::from_secs(seconds),
            };
            produce::run(bootstrap, load).await
        }
        Command::Topics { bootstrap, load } => topics::run(bootstrap, load).await,
        Command::Controller(load) => controller::run(load),
        Command::MetadataAcks { bootstrap, value } => {
            cluster::set_metadata_acks(bootstrap, &value).await
        }
        Command::Failover { bootstrap, replication_factor, leader, seconds } => {
            let measured = Duration::from_secs(seconds);
            failover::run(bootstrap, replication_factor, leader, measured).await
        }
    }
}
