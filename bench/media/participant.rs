//! Somebody in a room who takes part in its call.

use std::{collections::HashMap, net::SocketAddr, rc::Rc};

use anyhow::{Context, Result, bail};
use tokio::{sync::mpsc::Sender, task::JoinSet, time::Instant};
use wello_sfu::{
    Identity,
    api::{Credentials, TrackSpec},
};
use wello_wire::payload::jingle::{Action, Jingle};

use super::{
    endpoint::{Endpoint, Traffic},
    signalling::{self, Role, Side},
};
use crate::{
    peer::Peer,
    scanner::{attr, has},
};

const SID: &str = "up";

pub(super) struct Participant {
    peer: Peer,
    focus: Rc<str>,
    role: Role,
    identity: Rc<Identity>,
    traffic: Rc<Traffic>,
    asked: Instant,
    /// Of its own session with the focus.
    side: Side,
    /// By their ids: sessions by which it gets what others send, one for each stream or one for all.
    downs: HashMap<String, Down>,
    endpoints: JoinSet<Result<()>>,
}

/// A session by which something comes.
struct Down {
    side: Side,
    /// How many tracks it has.
    tracks: u64,
    additions: Sender<TrackSpec>,
}

impl Participant {
    /// Asks to join.
    pub(super) async fn join(
        peer: Peer,
        focus: Rc<str>,
        role: Role,
        identity: Rc<Identity>,
        traffic: Rc<Traffic>,
    ) -> Result<Self> {
        let side = side(&identity);
        let mut joining = Self {
            peer,
            focus,
            role,
            identity,
            traffic,
            asked: Instant::now(),
            side,
            downs: HashMap::new(),
            endpoints: JoinSet::new(),
        };
        joining.say(&signalling::offer(role, SID, &joining.side)).await?;
        Ok(joining)
    }

    /// Does what the focus wants, as long as it lasts.
    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            let mut heard = Vec::new();
            let take = |stanza: &[u8]| {
                if stanza.starts_with(b"<iq") {
                    heard.push(stanza.to_vec());
                }
                Ok(())
            };
            tokio::select! {
                listened = self.peer.listen(take) => listened?,
                Some(ended) = self.endpoints.join_next() => ended??,
            }
            self.peer.reply().await?;
            for iq in heard {
                self.take(&iq).await?;
            }
        }
    }

    async fn take(&mut self, iq: &[u8]) -> Result<()> {
        match attr(iq, "type") {
            Some(b"set") => {}
            Some(b"error") => bail!("refused: {}", String::from_utf8_lossy(iq)),
            _ => return Ok(()),
        }
        let id = attr(iq, "id").map(String::from_utf8_lossy).context("an IQ without id")?;
        let result = format!("<iq type='result' id='{id}' to='{}'/>", self.focus);
        self.peer.send(result.as_bytes(), 1).await?;
        if !has(iq, "<jingle") {
            return Ok(());
        }
        let Some(jingle) = signalling::jingle(iq)? else { return Ok(()) };
        match jingle.action {
            Action::SessionAccept => self.send(&jingle).await,
            Action::SessionInitiate => self.receive(&jingle).await,
            Action::ContentAdd => self.receive_more(&jingle).await,
            Action::SessionTerminate => bail!("the focus has ended a session"),
            _ => Ok(()),
        }
    }

    /// The way to the server that it sends by, or would.
    async fn send(&mut self, answer: &Jingle) -> Result<()> {
        let leg = signalling::sending_leg(self.role, answer, &self.side)?;
        let mut endpoint = self.endpoint(&leg, answer).await?;
        if self.role == Role::LayeredSender {
            endpoint.add_layers(&signalling::mid(&answer.contents[0].name)?);
        }
        self.endpoints.spawn_local(endpoint.run());
        Ok(())
    }

    async fn receive(&mut self, offer: &Jingle) -> Result<()> {
        let side = side(&self.identity);
        let leg = signalling::receiving_leg(offer, &side)?;
        let mut endpoint = self.endpoint(&leg, offer).await?;
        let (tracks, additions) = (leg.tracks.len() as u64, endpoint.additions());
        self.endpoints.spawn_local(endpoint.run());
        let accepted = signalling::accept(offer, &side);
        self.downs.insert(offer.sid.clone(), Down { side, tracks, additions });
        self.say(&accepted).await
    }

    /// What comes by a transport that is there.
    async fn receive_more(&mut self, offer: &Jingle) -> Result<()> {
        let down = self.downs.get_mut(&offer.sid).context("contents for an unknown session")?;
        for track in signalling::tracks(offer, down.tracks)? {
            down.tracks += 1;
            down.additions.send(track).await.context("contents for a transport that has ended")?;
        }
        let accepted = signalling::accept(offer, &down.side);
        self.say(&accepted).await
    }

    async fn endpoint(&self, leg: &wello_sfu::api::LegSpec, theirs: &Jingle) -> Result<Endpoint> {
        let server = address(theirs).context("no candidate by UDP")?;
        Endpoint::new(&self.identity, leg, server, Rc::clone(&self.traffic), self.asked).await
    }

    async fn say(&mut self, jingle: &Jingle) -> Result<()> {
        let iq =
            format!("<iq type='set' id='say' to='{}'>{}</iq>", self.focus, jingle.to_element());
        self.peer.send(iq.as_bytes(), 1).await
    }
}

pub(super) fn side(identity: &Identity) -> Side {
    // Nobody else is on this machine's loopback: they need not be hard to guess, only different.
    thread_local!(static NUMBER: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
    let number = NUMBER.replace(NUMBER.get() + 1);
    Side {
        credentials: Credentials {
            ufrag: format!("bench{number:07}"),
            password: format!("password-of-bench-{number:015}"),
        },
        fingerprint: identity.fingerprint().clone(),
    }
}

pub(super) fn address(theirs: &Jingle) -> Option<SocketAddr> {
    let transport = theirs.contents.first()?.transport.as_ref()?;
    let mut candidates = transport.candidates.iter();
    let candidate = candidates.find(|candidate| candidate.protocol == "udp")?;
    Some(SocketAddr::new(candidate.address?, candidate.port))
}
