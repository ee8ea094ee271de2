//! Chat between pairs of sessions: the first of each pair sends, the second receives.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    client::{Account, Client},
    histogram::Histogram,
    message::Template,
    peer::Peer,
    receiver::Receiver,
    sender::Sender,
};

/// How long a round may take to deliver and acknowledge its last messages.
pub(crate) const DRAIN: Duration = Duration::from_secs(60);

pub(crate) const LATE: &str = "not all messages were acknowledged and delivered in time";

/// How a sender's messages look and how many may be on the way.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Messages a sender may have unacknowledged
    #[arg(long, default_value_t = Self::default().window)]
    pub(crate) window: u32,
    /// Messages between two acknowledgement requests
    #[arg(long, default_value_t = Self::default().ack_every)]
    pub(crate) ack_every: u32,
    /// Bytes of text in each message
    #[arg(long, default_value_t = Self::default().body)]
    pub(crate) body: usize,
    /// Messages that may be on the way to a receiver, acknowledged to their sender or not
    #[arg(long, default_value_t = Self::default().ahead)]
    pub(crate) ahead: u32,
}

impl Default for Flow {
    fn default() -> Self {
        Self { window: 20, ack_every: 10, body: 100, ahead: u32::MAX }
    }
}

/// When a sender stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Messages of each sender, rounded up to whole batches.
    Count(u32),
    Time(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// As fast as the window allows.
    Full(Until),
    /// At a fixed rate (messages per second of each pair), whatever the server does.
    Paced { rate: f64, time: Duration },
}

impl Until {
    /// Whether the batch that makes it `sent` messages is the last one.
    pub(crate) fn last(self, sent: u32, elapsed: Duration) -> bool {
        match self {
            Self::Count(count) => sent >= count,
            Self::Time(time) => elapsed >= time,
        }
    }

    /// Time that sending may take; a count is expected to be small.
    pub(crate) fn time(self) -> Duration {
        match self {
            Self::Count(_) => DRAIN,
            Self::Time(time) => time,
        }
    }
}

impl Load {
    /// Time that sending may take.
    pub(crate) fn time(self) -> Duration {
        match self {
            Self::Full(until) => until.time(),
            Self::Paced { time, .. } => time,
        }
    }
}

pub(crate) struct Pair {
    sender: Sender,
    receiver: Receiver,
}

#[derive(Default)]
pub(crate) struct Round {
    /// Messages sent; every one was acknowledged to its sender and received once, in order.
    pub(crate) messages: u64,
    pub(crate) wall: Duration,
    pub(crate) latency: Histogram,
}

/// Opens `count` pairs, two accounts each; `others` is where the receivers are.
pub(crate) async fn open(
    client: &Client,
    others: &Client,
    accounts: &[Account],
    count: usize,
    flow: Flow,
) -> Result<Vec<Pair>> {
    let needed = 2 * count;
    ensure!(accounts.len() >= needed, "{count} pairs need {needed} accounts");
    ensure!(flow.ack_every > 0, "an acknowledgement must be asked for now and then");
    ensure!(flow.window.min(flow.ahead) >= flow.ack_every, "window is smaller than ack-every");
    let mut pairs = Vec::new();
    for (number, two) in accounts.chunks_exact(2).take(count).enumerate() {
        let to = format!("{}@{}", two[1].user, others.domain());
        let template = Template::new(&to, "chat", number, flow.body);
        let phase = number as f64 / count as f64;
        let receiver = Receiver::new(Peer::open(others, &two[1], "receiver").await?);
        let sender = Peer::open(client, &two[0], "sender").await?;
        let sender = Sender::new(sender, template, flow, phase, receiver.progress());
        pairs.push(Pair { sender, receiver });
    }
    Ok(pairs)
}

pub(crate) async fn close(pairs: Vec<Pair>) {
    for mut pair in pairs {
        // The measurement is over: a server that has gone away is no news here.
        let _ = pair.sender.peer.close().await;
        let _ = pair.receiver.peer.close().await;
    }
}

/// One load on all pairs, from silence to silence: ends when every message is acknowledged and delivered.
pub(crate) async fn round(pairs: Vec<Pair>, load: Load) -> Result<(Vec<Pair>, Round)> {
    let begin = Instant::now();
    let deadline = begin + DRAIN + load.time();
    let mut tasks = JoinSet::new();
    for pair in pairs {
        tasks.spawn_local(pair.run(load));
    }
    let mut sum = Round::default();
    let mut pairs = Vec::with_capacity(tasks.len());
    while let Some(done) = timeout_at(deadline, tasks.join_next()).await.context(LATE)? {
        let pair = done??;
        sum.messages += pair.receiver.messages;
        sum.latency.merge(&pair.receiver.latency);
        pairs.push(pair);
    }
    sum.wall = begin.elapsed();
    Ok((pairs, sum))
}

impl Pair {
    async fn run(self, load: Load) -> Result<Self> {
        let (sender, receiver) = tokio::try_join!(self.sender.run(load), self.receiver.run())?;
        let (sent, received) = (sender.next, receiver.next);
        ensure!(sent == received, "{sent} messages sent, {received} received");
        Ok(Self { sender, receiver })
    }
}
