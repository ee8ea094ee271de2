//! The receiving half of a pair.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use anyhow::{Context, Result, ensure};
use tokio::{sync::Notify, time::Instant};

use crate::{
    histogram::Histogram,
    message::Id,
    peer::Peer,
    scanner::{attr, has},
};

pub(crate) struct Receiver {
    pub(crate) peer: Peer,
    /// Sequence number of the next message.
    pub(crate) next: u32,
    /// Messages of the last round.
    pub(crate) messages: u64,
    pub(crate) latency: Histogram,
    progress: Rc<Progress>,
}

/// How far a receiver has come, for its sender.
#[derive(Default)]
pub(crate) struct Progress {
    next: Cell<u32>,
    changed: Notify,
}

impl Progress {
    /// Waits until no more than `ahead` messages before number `next` are missing.
    pub(crate) async fn within(&self, next: u32, ahead: u32) {
        while next.wrapping_sub(self.next.get()) > ahead {
            self.changed.notified().await;
        }
    }
}

impl Receiver {
    pub(crate) fn new(peer: Peer) -> Self {
        let (latency, progress) = (Histogram::default(), Rc::default());
        Self { peer, next: 0, messages: 0, latency, progress }
    }

    pub(crate) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }

    /// Receives until the message that says it is the last; one lost, doubled or out of order is an error.
    pub(crate) async fn run(mut self) -> Result<Self> {
        self.messages = 0;
        self.latency = Histogram::default();
        let mut done = false;
        while !done {
            let Self { peer, next, messages, latency, .. } = &mut self;
            let arrival = OnceCell::new();
            let take = |stanza: &[u8]| {
                if !stanza.starts_with(b"<message") {
                    return Ok(());
                }
                let id = message_id(stanza)?;
                ensure!(id.sequence == *next, "message {} came when {next} was due", id.sequence);
                *next += 1;
                *messages += 1;
                let now = *arrival.get_or_init(Instant::now);
                latency.record(now.saturating_duration_since(id.sent));
                done = id.last;
                Ok(())
            };
            peer.turn(take).await?;
            self.progress.next.set(self.next);
            self.progress.changed.notify_one();
        }
        Ok(self)
    }
}

/// Id of a message that the generator sent.
pub(crate) fn message_id(stanza: &[u8]) -> Result<Id> {
    let id = attr(stanza, "id").and_then(Id::parse).filter(|_| !has(stanza, "<error"));
    id.with_context(|| format!("not a message of ours: {}", String::from_utf8_lossy(stanza)))
}
