//! The sending half of a pair.

use std::{rc::Rc, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep_until};

use crate::{
    message::{Id, Template},
    pairs::{Flow, Load, Until},
    peer::Peer,
    receiver::Progress,
    scanner::attr,
};

/// The runtime's timer is this coarse, and so is the moment at which a paced message can be sent.
const GRAIN: Duration = Duration::from_millis(3);

pub(crate) struct Sender {
    pub(crate) peer: Peer,
    /// Sequence number of the next message.
    pub(crate) next: u32,
    template: Template,
    flow: Flow,
    /// Part (0 to 1) of the time between two paced messages by which this sender begins later than others.
    phase: f64,
    received: Rc<Progress>,
}

impl Sender {
    pub(crate) fn new(
        peer: Peer,
        template: Template,
        flow: Flow,
        phase: f64,
        received: Rc<Progress>,
    ) -> Self {
        Self { peer, next: 0, template, flow, phase, received }
    }

    /// Sends the load and waits until all of it is acknowledged.
    pub(crate) async fn run(mut self, load: Load) -> Result<Self> {
        match load {
            Load::Full(until) => self.windowed(until).await?,
            Load::Paced { rate, time } => self.paced(rate, time).await?,
        }
        while self.peer.in_flight() > 0 {
            self.peer.turn(refuse).await?;
        }
        Ok(self)
    }

    /// Keeps the window full.
    async fn windowed(&mut self, until: Until) -> Result<()> {
        let (begin, first, batch) = (Instant::now(), self.next, self.flow.ack_every);
        loop {
            while self.peer.in_flight() + batch > self.flow.window {
                self.peer.turn(refuse).await?;
            }
            self.received.within(self.next.wrapping_add(batch), self.flow.ahead).await;
            let now = Instant::now();
            let end = until.last(self.next - first + batch, now - begin);
            self.batch(batch, end, |_| now).await?;
            if end {
                return Ok(());
            }
        }
    }

    /// Sends each message when it is due, and at least one.
    async fn paced(&mut self, rate: f64, time: Duration) -> Result<()> {
        let (begin, first, phase) = (Instant::now(), self.next, self.phase);
        let planned = |n: u32| begin + Duration::from_secs_f64((f64::from(n) + phase) / rate);
        loop {
            let sent = self.next - first;
            tokio::select! {
                () = sleep_until(planned(sent).min(begin + time)) => {}
                heard = self.peer.listen(refuse) => heard?,
            }
            self.peer.reply().await?;
            let now = Instant::now();
            let due = ((now - begin).min(time).as_secs_f64() * rate - phase).ceil() as u32;
            let end = now - begin >= time;
            if due > sent || end {
                let stamp = |i: u32| sent_at(planned(sent + i), now);
                self.batch(due.saturating_sub(sent).max(1), end, stamp).await?;
            }
            if end {
                return Ok(());
            }
        }
    }

    async fn batch(&mut self, count: u32, end: bool, stamp: impl Fn(u32) -> Instant) -> Result<()> {
        let mut bytes = Vec::with_capacity(self.template.batch_bytes(count));
        for i in 0..count {
            let last = end && i + 1 == count;
            self.template.write(Id { last, sequence: self.next, sent: stamp(i) }, &mut bytes);
            self.next += 1;
            if self.next.is_multiple_of(self.flow.ack_every) || last {
                bytes.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
            }
        }
        self.peer.send(&bytes, count).await
    }
}

/// From when a paced message's latency counts: what the clock's grain delays is the generator's doing, what a full
/// socket delays is the server's.
pub(crate) fn sent_at(planned: Instant, now: Instant) -> Instant {
    if now.saturating_duration_since(planned) > GRAIN { planned } else { now }
}

/// What a sender may hear: anything but an error or a message.
fn refuse(stanza: &[u8]) -> Result<()> {
    if stanza.starts_with(b"<message") || attr(stanza, "type") == Some(b"error") {
        bail!("unexpected stanza for a sender: {}", String::from_utf8_lossy(stanza));
    }
    Ok(())
}
