//! Group chat: rooms in which a few occupants talk and all listen (XEP-0045).

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    client::{Account, Client},
    message::{Id, Template},
    pairs::{DRAIN, Flow, LATE, Until},
    peer::Peer,
    receiver::message_id,
    scanner::{attr, has},
};

#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rooms: usize,
    pub(crate) occupants: usize,
    /// Occupants of each room that talk.
    pub(crate) talkers: usize,
}

/// Every message goes out fifty times: few are enough to keep a server busy.
pub(crate) const FLOW: Flow = Flow { window: 4, ack_every: 2, body: 100 };

pub(crate) struct Occupant {
    peer: Peer,
    voice: Option<Voice>,
    /// Sequence number of the next message of each talker in the room.
    due: Vec<u32>,
}

/// What only talkers have.
struct Voice {
    /// Own place among the talkers.
    number: usize,
    template: Template,
    flow: Flow,
    next: u32,
}

#[derive(Default)]
pub(crate) struct Round {
    /// Messages received by all occupants, each once and in the order of its talker.
    pub(crate) deliveries: u64,
    pub(crate) wall: Duration,
}

/// Creates the rooms and fills them, one account an occupant.
pub(crate) async fn open(
    client: &Client,
    accounts: &[Account],
    shape: Shape,
    flow: Flow,
) -> Result<Vec<Occupant>> {
    let needed = shape.rooms * shape.occupants;
    ensure!(accounts.len() >= needed, "the rooms need {needed} accounts");
    ensure!(shape.talkers <= shape.occupants, "more talkers than occupants");
    ensure!(
        flow.ack_every > 0 && flow.window >= flow.ack_every,
        "window is smaller than ack-every"
    );
    let mut occupants = Vec::with_capacity(needed);
    for (number, members) in accounts.chunks_exact(shape.occupants).take(shape.rooms).enumerate() {
        let room = format!("bench{}-{number}@conference.{}", std::process::id(), client.domain());
        for (place, account) in members.iter().enumerate() {
            let mut peer = Peer::open(client, account, "room").await?;
            join(&mut peer, &room, place).await?;
            let template = Template::new(&room, "groupchat", number, flow.body);
            let voice = Voice { number: place, template, flow, next: 0 };
            occupants.push(Occupant {
                peer,
                voice: (place < shape.talkers).then_some(voice),
                due: vec![0; shape.talkers],
            });
        }
    }
    Ok(occupants)
}

async fn join(peer: &mut Peer, room: &str, place: usize) -> Result<()> {
    let presence = format!(
        "<presence to='{room}/{place}'><x xmlns='http://jabber.org/protocol/muc'>\
         <history maxstanzas='0'/></x></presence>"
    );
    peer.send(presence.as_bytes(), 1).await?;
    let own = answer(peer, |s| s.starts_with(b"<presence") && is_own(s)).await?;
    if has_code(&own, "201") {
        // A new room is locked until its owner takes the default configuration (XEP-0045 §10.1.2).
        let submit = format!(
            "<iq type='set' id='unlock' to='{room}'>\
             <query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>"
        );
        peer.send(submit.as_bytes(), 1).await?;
        answer(peer, |s| attr(s, "id") == Some(b"unlock")).await?;
    }
    Ok(())
}

fn is_own(presence: &[u8]) -> bool {
    has_code(presence, "110")
}

/// Whether a presence has a status code (XEP-0045, section 15.6).
fn has_code(presence: &[u8], code: &str) -> bool {
    has(presence, &format!("code='{code}'")) || has(presence, &format!("code=\"{code}\""))
}

/// Waits for the stanza that is wanted; an error stanza is an error.
async fn answer(peer: &mut Peer, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let mut found = None;
    while found.is_none() {
        let take = |stanza: &[u8]| {
            if attr(stanza, "type") == Some(b"error") {
                bail!("refused: {}", String::from_utf8_lossy(stanza));
            }
            if wanted(stanza) {
                found = Some(stanza.to_vec());
            }
            Ok(())
        };
        timeout(DRAIN, peer.turn(take)).await??;
    }
    Ok(found.unwrap_or_default())
}

pub(crate) async fn close(occupants: Vec<Occupant>) {
    for mut occupant in occupants {
        // The measurement is over: a server that has gone away is no news here.
        let _ = occupant.peer.close().await;
    }
}

/// All talkers talk as fast as their windows allow; ends when every occupant has heard everything.
pub(crate) async fn round(
    occupants: Vec<Occupant>,
    until: Until,
) -> Result<(Vec<Occupant>, Round)> {
    let begin = Instant::now();
    let deadline = begin + DRAIN + until.time();
    let mut tasks = JoinSet::new();
    for occupant in occupants {
        tasks.spawn_local(occupant.run(until));
    }
    let mut sum = Round::default();
    let mut occupants = Vec::with_capacity(tasks.len());
    while let Some(done) = timeout_at(deadline, tasks.join_next()).await.context(LATE)? {
        let (occupant, heard) = done??;
        sum.deliveries += heard;
        occupants.push(occupant);
    }
    sum.wall = begin.elapsed();
    Ok((occupants, sum))
}

impl Occupant {
    /// Talks, if it is a talker, and listens until all talkers have said their last; returns what was heard.
    async fn run(mut self, until: Until) -> Result<(Self, u64)> {
        let begin = Instant::now();
        let first = self.voice.as_ref().map_or(0, |v| v.next);
        let mut talking = self.voice.is_some();
        let (mut heard, mut talkers) = (0, self.due.len());
        while talkers > 0 {
            let Self { peer, voice, due } = &mut self;
            if let Some(voice) = voice.as_mut().filter(|v| talking && v.may_talk(due)) {
                let sent = voice.next - first + voice.flow.ack_every;
                talking = !until.last(sent, begin.elapsed());
                peer.send(&voice.batch(!talking), voice.flow.ack_every).await?;
                continue;
            }
            let take = |stanza: &[u8]| {
                if let Some((talker, id)) = spoken(stanza)? {
                    let Some(due) = due.get_mut(talker) else { bail!("{talker} is no talker") };
                    ensure!(id.sequence == *due, "message {} came, {due} was due", id.sequence);
                    *due += 1;
                    heard += 1;
                    talkers -= usize::from(id.last);
                }
                Ok(())
            };
            peer.turn(take).await?;
        }
        Ok((self, heard))
    }
}

impl Voice {
    /// A talker's own messages come back to it: what has not is on the way.
    fn may_talk(&self, due: &[u32]) -> bool {
        self.next - due[self.number] + self.flow.ack_every <= self.flow.window
    }

    fn batch(&mut self, end: bool) -> Vec<u8> {
        let (count, sent) = (self.flow.ack_every, Instant::now());
        let mut bytes = Vec::with_capacity(self.template.batch_bytes(count));
        for i in 0..count {
            let last = end && i + 1 == count;
            self.template.write(Id { last, sequence: self.next, sent }, &mut bytes);
            self.next += 1;
        }
        bytes.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        bytes
    }
}

/// Talker and id of a message; none for presence, the room's subject and the like.
fn spoken(stanza: &[u8]) -> Result<Option<(usize, Id)>> {
    if !stanza.starts_with(b"<message") || has(stanza, "<subject") {
        return Ok(None);
    }
    let id = message_id(stanza)?;
    let nick = attr(stanza, "from").and_then(|from| from.rsplit(|b| *b == b'/').next());
    let talker = nick.and_then(|nick| std::str::from_utf8(nick).ok()?.parse().ok());
    let Some(talker) = talker else {
        bail!("from nobody we know: {}", String::from_utf8_lossy(stanza));
    };
    Ok(Some((talker, id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_who_speaks() {
        let mut bytes = Vec::new();
        let id = Id { last: false, sequence: 9, sent: Instant::now() };
        Template::new(
            "r@conference.localhost/12' from='r@conference.localhost/12",
            "groupchat",
            1,
            10,
        )
        .write(id, &mut bytes);
        let (talker, read) = spoken(&bytes).unwrap().unwrap();
        assert_eq!((talker, read.sequence, read.last), (12, 9, false));
        assert!(spoken(b"<message type='groupchat'><subject/></message>").unwrap().is_none());
        assert!(spoken(b"<presence from='r@c/1'/>").unwrap().is_none());
        assert!(spoken(b"<message id='x' from='r@c/1'><body/></message>").is_err());
    }
}
