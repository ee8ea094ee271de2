//! Conferences through the real server: some send, all others receive.

mod endpoint;
mod janus;
mod measure;
mod participant;
mod signalling;

use std::{rc::Rc, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use wello_sfu::Identity;

use self::{endpoint::Traffic, participant::Participant, signalling::Role};
use crate::{
    client::{Account, Client},
    crowd::{self, Broadcast},
    histogram::Histogram,
    rooms,
};

pub(crate) use self::measure::Forwarding;

/// A conference that has not come about by then is not waited for.
const LIMIT: Duration = Duration::from_secs(60);
/// After a load nothing more comes when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(300);

/// How participants speak with the focus (docs/protocols/calls.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    /// Each stream that somebody gets has a session and a transport of its own
    Sessions,
    /// All that somebody gets comes in one session, by one transport
    Pair,
}

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Pair => "pair",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) conferences: usize,
    /// Of each conference.
    pub(crate) participants: usize,
    /// Of them; they are the first.
    pub(crate) senders: usize,
    /// Whether what they send has layers to choose from.
    pub(crate) layered: bool,
    pub(crate) dialect: Dialect,
}

impl Shape {
    /// Without layers, in the dialect that has most transports.
    pub(crate) const fn of(conferences: usize, participants: usize, senders: usize) -> Self {
        Self { conferences, participants, senders, layered: false, dialect: Dialect::Sessions }
    }

    /// Streams that participants of a conference get: of each sender to each other one.
    fn streams(self) -> usize {
        self.senders * (self.participants - 1)
    }

    /// Transports of a conference: by which each participant sends, or would, and by which it gets
    /// what others send.
    fn transports(self) -> usize {
        let receiving = match (self.dialect, self.senders) {
            (Dialect::Sessions, _) => self.streams(),
            (Dialect::Pair, 0) => 0,
            // Nobody gets what it sends itself.
            (Dialect::Pair, 1) => self.participants - 1,
            (Dialect::Pair, _) => self.participants,
        };
        self.participants + receiving
    }

    /// A conference while no more than the first so many participants are in it.
    fn begun(self, participants: usize) -> Self {
        Self { participants, senders: participants.min(self.senders), ..self }
    }

    fn role(self, place: usize) -> Role {
        match (place < self.senders, self.layered) {
            (false, _) => Role::Listener,
            (true, false) => Role::Sender,
            (true, true) => Role::LayeredSender,
        }
    }
}

/// What a load has come to.
pub(crate) struct Round {
    /// Packets that receivers got, and that they did not get.
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) latency: Histogram,
    pub(crate) wall: Duration,
}

/// Conferences that are going on.
pub(crate) struct Calls {
    shape: Shape,
    traffic: Rc<Traffic>,
    participants: JoinSet<Result<()>>,
}

/// Rooms with everybody in them, who have not joined the calls yet.
pub(crate) struct Halls {
    shape: Shape,
    halls: Vec<(Rc<str>, Vec<crowd::Guest>)>,
}

impl Halls {
    pub(crate) async fn open(client: &Client, accounts: &[Account], shape: Shape) -> Result<Self> {
        let needed = shape.conferences * shape.participants;
        ensure!(accounts.len() >= needed, "the conferences need {needed} accounts");
        let mut halls = Vec::new();
        for members in accounts[..needed].chunks_exact(shape.participants) {
            let room = rooms::address(client);
            let peers = crowd::log_in(client, members, &room).await?;
            let guests = crowd::fill(&room, peers, Broadcast::Moderators).await?;
            let focus = match shape.dialect {
                Dialect::Sessions => room.replacen("@conference.", "@calls.", 1),
                // The room is called itself.
                Dialect::Pair => room,
            };
            halls.push((focus.into(), guests));
        }
        Ok(Self { shape, halls })
    }

    /// All join, one after the other, while `rate` packets a second come of each sender who is there:
    /// none only where nobody is to send, for streams are waited for.
    pub(crate) async fn join(self, rate: f64) -> Result<Calls> {
        let identity = Identity::generate(Instant::now().into_std()).context("no certificate")?;
        let (identity, traffic) = (Rc::new(identity), Rc::new(Traffic::new()));
        traffic.rate.set(rate);
        let mut calls = Calls::new(self.shape, traffic);
        let shape = self.shape;
        let (mut transports, mut streams) = (0, 0);
        for (focus, guests) in self.halls {
            for guest in guests {
                let (focus, identity) = (Rc::clone(&focus), Rc::clone(&identity));
                let role = shape.role(guest.place);
                let traffic = Rc::clone(&calls.traffic);
                let joined = Participant::join(guest.peer, focus, role, identity, traffic).await?;
                calls.participants.spawn_local(joined.run());
                let begun = shape.begun(guest.place + 1);
                calls.connected(transports + begun.transports()).await?;
                // A transport may be up long before the last stream that comes by it.
                calls.heard(streams + begun.streams()).await?;
            }
            transports += shape.transports();
            streams += shape.streams();
        }
        Ok(calls)
    }
}

impl Calls {
    fn new(shape: Shape, traffic: Rc<Traffic>) -> Self {
        Self { shape, traffic, participants: JoinSet::new() }
    }

    /// Waits until so many transports are up.
    async fn connected(&mut self, transports: usize) -> Result<()> {
        self.until(transports, "transports are up", |traffic| traffic.connected.get()).await
    }

    /// Waits until something has come of so many streams.
    async fn heard(&mut self, streams: usize) -> Result<()> {
        self.until(streams, "streams have come", |traffic| traffic.heard.get()).await
    }

    async fn until(
        &mut self,
        wanted: usize,
        what: &str,
        count: impl Fn(&Traffic) -> usize,
    ) -> Result<()> {
        let begin = Instant::now();
        while count(&self.traffic) < wanted {
            self.check()?;
            let counted = count(&self.traffic);
            ensure!(begin.elapsed() < LIMIT, "{counted} of {wanted} {what}");
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Nobody leaves before the end.
    fn check(&mut self) -> Result<()> {
        match self.participants.try_join_next() {
            Some(ended) => ended?.context("a participant has left the call"),
            None => Ok(()),
        }
    }

    /// Times from joining to the first packet.
    pub(crate) fn first(&self) -> Histogram {
        self.traffic.first.borrow().clone()
    }

    /// So many packets a second of each sender, for so long.
    pub(crate) async fn round(&mut self, rate: f64, time: Duration) -> Result<Round> {
        let traffic = Rc::clone(&self.traffic);
        traffic.rate.set(0.0);
        self.rest().await?;
        traffic.reset();
        let begin = Instant::now();
        traffic.rate.set(rate);
        sleep(time).await;
        traffic.rate.set(0.0);
        let wall = begin.elapsed();
        self.rest().await?;
        let expected = traffic.sent.get() * (self.shape.participants as u64 - 1);
        let received = traffic.received.get();
        let latency = traffic.latency.take();
        Ok(Round { received, lost: expected.saturating_sub(received), latency, wall })
    }

    /// Waits until nothing comes any more.
    async fn rest(&mut self) -> Result<()> {
        loop {
            let before = self.traffic.received.get();
            sleep(QUIET).await;
            self.check()?;
            if self.traffic.received.get() == before {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_depend_on_the_dialect_and_streams_do_not() {
        let shape = |senders, dialect| Shape { dialect, ..Shape::of(1, 10, senders) };
        let of = |shape: Shape| (shape.transports(), shape.streams());
        for (senders, sessions, pair, streams) in
            [(0, 10, 10, 0), (1, 19, 19, 9), (2, 28, 20, 18), (10, 100, 20, 90)]
        {
            assert_eq!(of(shape(senders, Dialect::Sessions)), (sessions, streams));
            assert_eq!(of(shape(senders, Dialect::Pair)), (pair, streams));
        }
    }

    #[test]
    fn a_conference_begins_with_its_senders() {
        let shape = Shape { dialect: Dialect::Pair, ..Shape::of(1, 10, 3) };
        let of = |participants| {
            let begun = shape.begun(participants);
            (begun.transports(), begun.streams())
        };
        assert_eq!([1, 2, 3, 4].map(of), [(1, 0), (4, 2), (6, 6), (8, 9)]);
    }
}
