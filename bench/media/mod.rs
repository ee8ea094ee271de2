//! Conferences through the real server: some send, all others receive.

mod endpoint;
mod janus;
mod measure;
mod participant;
mod signalling;

use std::{rc::Rc, time::Duration};

use anyhow::{Context, Result, ensure};
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

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) conferences: usize,
    /// Of each conference.
    pub(crate) participants: usize,
    /// Of them; they are the first.
    pub(crate) senders: usize,
    /// Whether what they send has layers to choose from.
    pub(crate) layered: bool,
}

impl Shape {
    /// Transports of a conference: of each participant, and of each stream to each other one.
    fn transports(self) -> usize {
        self.participants + self.senders * (self.participants - 1)
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
            halls.push((room.replacen("@conference.", "@calls.", 1).into(), guests));
        }
        Ok(Self { shape, halls })
    }

    /// All join, one after the other, while `rate` packets a second come of each sender who is there.
    pub(crate) async fn join(self, rate: f64) -> Result<Calls> {
        let identity = Identity::generate(Instant::now().into_std()).context("no certificate")?;
        let (identity, traffic) = (Rc::new(identity), Rc::new(Traffic::new()));
        traffic.rate.set(rate);
        let mut calls = Calls::new(self.shape, traffic);
        let mut before = 0;
        for (focus, guests) in self.halls {
            for guest in guests {
                let (focus, identity) = (Rc::clone(&focus), Rc::clone(&identity));
                let role = self.shape.role(guest.place);
                let traffic = Rc::clone(&calls.traffic);
                let joined = Participant::join(guest.peer, focus, role, identity, traffic).await?;
                calls.participants.spawn_local(joined.run());
                let present = guest.place + 1;
                let senders = present.min(self.shape.senders);
                // Of each sender to each other one who is there.
                calls.connected(before + present + senders * (present - 1)).await?;
            }
            before += self.shape.transports();
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
        let begin = Instant::now();
        while self.traffic.connected.get() < transports {
            self.check()?;
            let connected = self.traffic.connected.get();
            ensure!(begin.elapsed() < LIMIT, "{connected} of {transports} transports are up");
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
