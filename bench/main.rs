//! `wello-bench`: load generator for XMPP servers and side-by-side measurement of Wello with its peers.

mod client;
mod histogram;
mod idle;
mod login;
mod measure;
mod message;
mod pairs;
mod peer;
mod process;
mod receiver;
mod scanner;
mod scram;
mod sender;
mod stream;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::task::LocalSet;

use crate::{
    client::{Account, Client},
    measure::Measurement,
    pairs::{Flow, Load},
    process::Process,
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
    /// 1:1 chat between pairs of sessions, as fast as stream management's acknowledgements allow
    Pairs {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: PairLoad,
        /// Seconds of load
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Messages of each pair instead of a time
        #[arg(long)]
        count: Option<u32>,
    },
    /// 1:1 chat at a fixed rate: time from sending to receiving
    Latency {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: PairLoad,
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Messages per second of all pairs together; half of what is found by a short run if not given
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
    /// Memory of idle sessions, one for each account
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

#[derive(Args)]
struct PairLoad {
    #[arg(long, default_value_t = 50)]
    pairs: usize,
    /// Messages a sender may have unacknowledged
    #[arg(long, default_value_t = 20)]
    window: u32,
    /// Messages between two acknowledgement requests
    #[arg(long, default_value_t = 10)]
    ack_every: u32,
    /// Bytes of text in each message
    #[arg(long, default_value_t = 100)]
    body: usize,
}

impl Target {
    async fn open(&self) -> Result<(Client, Vec<Account>, Option<Process>)> {
        let mut addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let address: SocketAddr = addresses.next().context("no address for the host")?;
        let text = std::fs::read_to_string(&self.accounts)
            .with_context(|| format!("accounts file {}", self.accounts.display()))?;
        let accounts = client::parse_accounts(&text)?;
        let client = Client::new(address, &self.domain, self.direct_tls, self.mechanism)?;
        Ok((client, accounts, self.pid.map(Process::new)))
    }
}

impl PairLoad {
    fn flow(&self) -> Flow {
        Flow { window: self.window, ack_every: self.ack_every, body_bytes: self.body }
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
    let measurement: Measurement = match mode {
        Mode::Pairs { target, load, seconds, count } => {
            let (client, accounts, server) = target.open().await?;
            let how = count.map_or(Load::Time(Duration::from_secs(seconds)), Load::Count);
            measure::pairs(&client, &accounts, load.pairs, load.flow(), how, server).await?
        }
        Mode::Latency { target, load, seconds, rate } => {
            let (client, accounts, server) = target.open().await?;
            let time = Duration::from_secs(seconds);
            measure::latency(&client, &accounts, load.pairs, load.flow(), rate, time, server)
                .await?
        }
        Mode::Login { target, seconds, concurrency } => {
            let (client, accounts, server) = target.open().await?;
            let accounts = &accounts[..concurrency.min(accounts.len())];
            measure::login(&client, accounts, Duration::from_secs(seconds), server).await?
        }
        Mode::Idle { target, sessions } => {
            let (client, accounts, server) = target.open().await?;
            let server = server.context("idle needs --pid")?;
            measure::idle(&client, &accounts[..sessions.min(accounts.len())], server).await?
        }
    };
    println!("{}", serde_json::to_string_pretty(&measurement)?);
    Ok(())
}
