//! Group chat: rooms in which a few occupants talk and all listen (XEP-0045).

use std::{
    cell::OnceCell,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    client::{Account, Client},
    crowd::{self, Broadcast, Guest},
    histogram::Histogram,
    message::{Id, Template},
    pairs::{DRAIN, Flow, LATE, Load},
    peer::Peer,
    receiver::message_id,
    scanner::{attr, has},
    sender::sent_at,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rooms: usize,
    pub(crate) occupants: usize,
    /// Occupants of each room that talk.
    pub(crate) talkers: usize,
    pub(crate) broadcast: Broadcast,
}

/// Every message goes out fifty times: few are enough to keep a server busy.
pub(crate) const FLOW: Flow = Flow { window: 4, ack_every: 2, body: 100, ahead: u32::MAX };

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
    /// Part (0 to 1) of the time between two paced messages by which it begins later than others.
    phase: f64,
}

/// One load as a talker goes through it.
#[derive(Clone, Copy)]
struct Talk {
    load: Load,
    begin: Instant,
    /// Sequence number of the first message.
    first: u32,
}

/// Messages that are to be sent now.
struct Batch {
    count: u32,
    last: bool,
}

#[derive(Default)]
pub(crate) struct Round {
    /// Messages received by all occupants, each once and in the order of its talker.
    pub(crate) deliveries: u64,
    pub(crate) wall: Duration,
    pub(crate) latency: Histogram,
}

/// An address that no room has had.
pub(crate) fn address(client: &Client) -> String {
    static ROOMS: AtomicU32 = AtomicU32::new(0);
    let number = ROOMS.fetch_add(1, Ordering::Relaxed);
    format!("bench{}-{number}@conference.{}", std::process::id(), client.domain())
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
    let mut occupants = Vec::with_capacity(needed);
    for members in accounts.chunks_exact(shape.occupants).take(shape.rooms) {
        let room = address(client);
        let peers = crowd::log_in(client, members, &room).await?;
        let guests = crowd::fill(&room, peers, shape.broadcast).await?;
        occupants.extend(seat(&room, guests, shape.talkers, flow)?);
    }
    Ok(occupants)
}

/// The first of a room's guests talk.
pub(crate) fn seat(
    room: &str,
    guests: Vec<Guest>,
    talkers: usize,
    flow: Flow,
) -> Result<Vec<Occupant>> {
    ensure!(talkers <= guests.len(), "more talkers than occupants");
    ensure!(
        flow.ack_every > 0 && flow.window >= flow.ack_every,
        "window is smaller than ack-every"
    );
    let occupant = |Guest { peer, place, .. }: Guest| {
        let template = Template::new(room, "groupchat", place, flow.body);
        let phase = place as f64 / talkers as f64;
        let voice = Voice { number: place, template, flow, next: 0, phase };
        Occupant { peer, voice: (place < talkers).then_some(voice), due: vec![0; talkers] }
    };
    Ok(guests.into_iter().map(occupant).collect())
}

pub(crate) async fn close(occupants: Vec<Occupant>) {
    for mut occupant in occupants {
        // The measurement is over: a server that has gone away is no news here.
        let _ = occupant.peer.close().await;
    }
}

/// All talkers talk; ends when every occupant has heard everything. A fixed rate is that of each talker.
pub(crate) async fn round(occupants: Vec<Occupant>, load: Load) -> Result<(Vec<Occupant>, Round)> {
    let begin = Instant::now();
    let deadline = begin + DRAIN + load.time();
    let mut tasks = JoinSet::new();
    for occupant in occupants {
        tasks.spawn_local(occupant.run(load));
    }
    let mut sum = Round::default();
    let mut occupants = Vec::with_capacity(tasks.len());
    while let Some(done) = timeout_at(deadline, tasks.join_next()).await.context(LATE)? {
        let (occupant, heard, latency) = done??;
        sum.deliveries += heard;
        sum.latency.merge(&latency);
        occupants.push(occupant);
    }
    sum.wall = begin.elapsed();
    Ok((occupants, sum))
}

impl Occupant {
    /// Talks, if it is a talker, and listens until all talkers have said their last; returns how many messages it
    /// heard and how late.
    async fn run(mut self, load: Load) -> Result<(Self, u64, Histogram)> {
        let first = self.voice.as_ref().map(|v| v.next);
        let mut talk = first.map(|first| Talk { load, begin: Instant::now(), first });
        let (mut heard, mut talkers) = (0, self.due.len());
        let mut latency = Histogram::default();
        while talkers > 0 {
            let Self { peer, voice, due } = &mut self;
            let speaking = voice.as_mut().zip(talk);
            let pause = match speaking {
                Some((voice, now)) => {
                    if let Some(batch) = voice.batch(now, due) {
                        peer.send(&voice.write(now, &batch), batch.count).await?;
                        talk = talk.filter(|_| !batch.last);
                        continue;
                    }
                    voice.pause(now)
                }
                None => None,
            };
            let arrival = OnceCell::new();
            let take = |stanza: &[u8]| {
                if let Some((talker, id)) = spoken(stanza)? {
                    let Some(due) = due.get_mut(talker) else { bail!("{talker} is no talker") };
                    ensure!(id.sequence == *due, "message {} came, {due} was due", id.sequence);
                    *due += 1;
                    heard += 1;
                    talkers -= usize::from(id.last);
                    let now = *arrival.get_or_init(Instant::now);
                    latency.record(now.saturating_duration_since(id.sent));
                }
                Ok(())
            };
            match pause {
                Some(until) => tokio::select! {
                    () = sleep_until(until) => {}
                    heard = peer.listen(take) => heard?,
                },
                None => peer.listen(take).await?,
            }
            peer.reply().await?;
        }
        Ok((self, heard, latency))
    }
}

impl Voice {
    /// What is to be said now. `due` tells which of its own messages have come back.
    fn batch(&self, talk: Talk, due: &[u32]) -> Option<Batch> {
        let (sent, elapsed) = (self.next - talk.first, talk.begin.elapsed());
        match talk.load {
            Load::Full(until) => {
                let count = self.flow.ack_every;
                // What has not come back is on the way.
                let free = self.next - due[self.number] + count <= self.flow.window;
                free.then(|| Batch { count, last: until.last(sent + count, elapsed) })
            }
            Load::Paced { rate, time } => {
                let planned = (elapsed.min(time).as_secs_f64() * rate - self.phase).ceil() as u32;
                let last = elapsed >= time;
                let count = planned.saturating_sub(sent).max(u32::from(last));
                (count > 0).then_some(Batch { count, last })
            }
        }
    }

    /// When it has to say something, whatever it hears.
    fn pause(&self, talk: Talk) -> Option<Instant> {
        match talk.load {
            Load::Full(_) => None,
            Load::Paced { time, .. } => {
                Some(self.planned(talk, self.next).unwrap_or(talk.begin).min(talk.begin + time))
            }
        }
    }

    fn planned(&self, talk: Talk, sequence: u32) -> Option<Instant> {
        let Load::Paced { rate, .. } = talk.load else { return None };
        let place = f64::from(sequence - talk.first) + self.phase;
        Some(talk.begin + Duration::from_secs_f64(place / rate))
    }

    fn write(&mut self, talk: Talk, batch: &Batch) -> Vec<u8> {
        let now = Instant::now();
        let mut bytes = Vec::with_capacity(self.template.batch_bytes(batch.count));
        for i in 0..batch.count {
            let sent = self.planned(talk, self.next).map_or(now, |planned| sent_at(planned, now));
            let last = batch.last && i + 1 == batch.count;
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
    use crate::pairs::Until;

    fn voice(phase: f64) -> Voice {
        let template = Template::new("r@conference.localhost", "groupchat", 0, 10);
        Voice { number: 0, template, flow: FLOW, next: 0, phase }
    }

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

    #[test]
    fn a_full_load_waits_for_what_comes_back() {
        let mut voice = voice(0.0);
        let load = Load::Full(Until::Count(6));
        let talk = Talk { load, begin: Instant::now(), first: 0 };
        for _ in 0..2 {
            let batch = voice.batch(talk, &[0]).unwrap();
            assert_eq!((batch.count, batch.last), (2, false));
            voice.write(talk, &batch);
        }
        assert!(voice.batch(talk, &[0]).is_none());
        assert!(voice.batch(talk, &[2]).unwrap().last);
    }

    #[test]
    fn a_paced_load_says_what_is_due() {
        let voice = voice(0.5);
        let load = Load::Paced { rate: 100.0, time: Duration::from_secs(60) };
        let begin = Instant::now().checked_sub(Duration::from_millis(96)).unwrap();
        let talk = Talk { load, begin, first: 0 };
        let count = voice.batch(talk, &[0]).unwrap().count;
        assert!((10..20).contains(&count), "{count}");
        assert_eq!(voice.pause(talk), Some(begin + Duration::from_millis(5)));
        let over = Talk { begin: begin.checked_sub(Duration::from_secs(60)).unwrap(), ..talk };
        assert!(voice.batch(over, &[0]).unwrap().last);
    }
}
