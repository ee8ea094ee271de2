//! `wello-bench`: load generator for XMPP servers and side-by-side measurement of Wello with its peers.

mod archive;
mod client;
mod compare;
mod crowd;
// The tests' own name server, which does more than is needed here and gives up where it cannot go on.
#[allow(dead_code, clippy::unwrap_used)]
#[path = "../src/main/tests/federation/dns.rs"]
mod dns;
mod histogram;
mod idle;
mod login;
mod measure;
mod media;
mod message;
mod pairs;
mod peer;
mod process;
mod receiver;
mod rooms;
mod scanner;
mod scram;
mod sender;
mod stream;
mod transfer;
mod visitors;

use std::{cell::RefCell, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::task::LocalSet;

use crate::{
    client::Client,
    crowd::Broadcast,
    measure::Subject,
    pairs::{Flow, Until},
    process::Process,
    rooms::Shape,
    scram::Mechanism,
};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Measure Wello, Prosody and ejabberd one after the other and print the table
    Compare(compare::Options),
    /// 1:1 chat between pairs of sessions, as fast as stream management's acknowledgements allow
    Pairs {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 50)]
        pairs: usize,
        #[command(flatten)]
        flow: Flow,
        /// Seconds of load
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Messages of each pair instead of a time
        #[arg(long)]
        count: Option<u32>,
    },
    /// Group chat: a few occupants of each room talk, all listen
    Rooms {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 4)]
        rooms: usize,
        /// Occupants of each room
        #[arg(long, default_value_t = 50)]
        occupants: usize,
        /// Occupants of each room that talk
        #[arg(long, default_value_t = 5)]
        talkers: usize,
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Measure the entry of all into one room, instead of what is said there
        #[arg(long, conflicts_with = "rooms")]
        join: bool,
        /// Tell the presence of moderators only
        #[arg(long)]
        quiet: bool,
        /// Time from sending to receiving at half of what goes through, but at most this many deliveries a second
        #[arg(long, conflicts_with = "join")]
        at_most: Option<f64>,
    },
    /// 1:1 chat at a fixed rate: time from sending to receiving
    Latency {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 50)]
        pairs: usize,
        #[command(flatten)]
        flow: Flow,
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Messages per second of all pairs together; half of what a short run reaches if not given
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Full TLS handshake, SCRAM, bind, close
    Login {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Sessions being opened at the same time, each with its own account
        #[arg(long, default_value_t = 8)]
        concurrency: usize,
    },
    /// Memory of idle sessions; the accounts take turns
    Idle {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 5000)]
        sessions: usize,
    },
}

#[derive(Args)]
struct Target {
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    #[arg(long, default_value_t = 5222)]
    port: u16,
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// TLS from the first byte instead of STARTTLS
    #[arg(long)]
    direct_tls: bool,
    /// File with one `jid password` a line
    #[arg(long)]
    accounts: PathBuf,
    #[arg(long, value_enum, default_value = "sha1")]
    mechanism: Mechanism,
    /// Server process, for CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
}

impl Target {
    async fn subject(&self) -> Result<Subject> {
        let mut addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let address = addresses.next().context("no address for the host")?;
        let text = std::fs::read_to_string(&self.accounts)
            .with_context(|| format!("accounts file {}", self.accounts.display()))?;
        let client = Client::new(address, &self.domain, self.direct_tls, self.mechanism)?;
        Ok(Subject {
            others: client.clone(),
            client,
            accounts: client::parse_accounts(&text)?,
            process: self.pid.map(Process::new),
            videoroom: None,
            visitors: None,
            crowd: RefCell::default(),
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(cli.mode)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wello-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mode: Mode) -> Result<()> {
    let measurement = match mode {
        Mode::Compare(options) => return compare::run(&options).await,
        Mode::Pairs { target, pairs, flow, seconds, count } => {
            let until = count.map_or(Until::Time(Duration::from_secs(seconds)), Until::Count);
            target.subject().await?.pairs(pairs, flow, until).await?
        }
        Mode::Rooms { target, rooms, occupants, talkers, seconds, join, quiet, at_most } => {
            let broadcast = if quiet { Broadcast::Moderators } else { Broadcast::Everybody };
            let shape = Shape { rooms, occupants, talkers, broadcast };
            idle::raise_file_limit(rooms * occupants)?;
            let subject = target.subject().await?;
            let time = Duration::from_secs(seconds);
            match at_most {
                _ if join => subject.join(shape).await?,
                Some(most) => subject.room_latency(shape, most, time).await?,
                None => subject.rooms(shape, Until::Time(time)).await?,
            }
        }
        Mode::Latency { target, pairs, flow, seconds, rate } => {
            let time = Duration::from_secs(seconds);
            target.subject().await?.latency(pairs, flow, rate, time).await?
        }
        Mode::Login { target, seconds, concurrency } => {
            target.subject().await?.login(concurrency, Duration::from_secs(seconds)).await?
        }
        Mode::Idle { target, sessions } => {
            target.subject().await?.idle(usize::MAX, sessions).await?
        }
    };
    println!("{}", serde_json::to_string_pretty(&measurement)?);
    Ok(())
}
