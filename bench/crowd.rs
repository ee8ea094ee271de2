//! A crowd enters a room (XEP-0045, section 7.2).

use std::{cell::Cell, pin::pin, rc::Rc, time::Duration};

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    client::{Account, Client},
    measure::Unfinished,
    pairs::DRAIN,
    peer::Peer,
    scanner::attr,
};

/// Logins, and later entries, that are going on at the same time.
const AT_ONCE: usize = 16;

/// A server that has not let everybody in by then is not waited for.
const LIMIT: Duration = Duration::from_secs(240);

/// Whose presence the room tells the others (`muc#roomconfig_presencebroadcast`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broadcast {
    Everybody,
    Moderators,
}

/// Somebody who has entered.
pub(crate) struct Guest {
    pub(crate) peer: Peer,
    /// Number and nickname.
    pub(crate) place: usize,
    pub(crate) told: Told,
}

/// What the room has told a guest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// Presences of occupants, its own included.
    pub(crate) presences: u64,
    pub(crate) bytes: u64,
    /// From asking to being told that it is in.
    pub(crate) entry: Duration,
}

/// Opens a session for each account, in their order; `room` tells them from sessions that go to others.
pub(crate) async fn log_in(client: &Client, accounts: &[Account], room: &str) -> Result<Vec<Peer>> {
    let resource = room.split('@').next().unwrap_or(room);
    let mut openers = JoinSet::new();
    let part = accounts.len().div_ceil(AT_ONCE).max(1);
    for (number, some) in accounts.chunks(part).enumerate() {
        let (client, some, resource) = (client.clone(), some.to_vec(), resource.to_owned());
        openers.spawn_local(async move {
            let mut opened = Vec::with_capacity(some.len());
            for account in &some {
                opened.push(Peer::open(&client, account, &resource).await?);
            }
            anyhow::Ok((number, opened))
        });
    }
    let mut parts = Vec::new();
    while let Some(done) = openers.join_next().await {
        parts.push(done??);
    }
    parts.sort_by_key(|(number, _)| *number);
    Ok(parts.into_iter().flat_map(|(_, opened)| opened).collect())
}

/// Makes the room and lets everybody in, the first one as its owner; ends when all have been told of all whose
/// presence is broadcast.
pub(crate) async fn fill(room: &str, peers: Vec<Peer>, broadcast: Broadcast) -> Result<Vec<Guest>> {
    let crowd = peers.len();
    let mut guests = peers.into_iter().enumerate().map(|(place, peer)| Guest::new(peer, place));
    let Some(mut owner) = guests.next() else { return Ok(Vec::new()) };
    owner.found(room, broadcast).await?;
    let entered = Rc::new(Cell::new(1));
    let seen = match broadcast {
        Broadcast::Everybody => crowd,
        Broadcast::Moderators => 1,
    };
    let filled = gather(room, std::iter::once(owner).chain(guests), seen, &entered);
    match timeout(LIMIT, filled).await {
        Ok(guests) => guests,
        Err(_) => bail!(Unfinished(format!(
            "{} of {crowd} were in after {} s",
            entered.get(),
            LIMIT.as_secs()
        ))),
    }
}

/// One more enters, alone, and all hear of it.
pub(crate) async fn admit(
    room: &str,
    guests: Vec<Guest>,
    last: Peer,
    broadcast: Broadcast,
) -> Result<Vec<Guest>> {
    let crowd = guests.len() + 1;
    let seen = match broadcast {
        Broadcast::Everybody => crowd,
        Broadcast::Moderators => 1,
    };
    let guests = guests.into_iter().chain([Guest::new(last, crowd - 1)]);
    let entered = Rc::default();
    let all = gather(room, guests, seen, &entered);
    timeout(DRAIN, all).await.context("the last one was not let in in time")?
}

/// Lets in who is not yet, and reads until each has been told of `seen` occupants.
async fn gather(
    room: &str,
    guests: impl Iterator<Item = Guest>,
    seen: usize,
    entered: &Rc<Cell<usize>>,
) -> Result<Vec<Guest>> {
    let (room, gate): (Rc<str>, _) = (room.into(), Rc::new(Semaphore::new(AT_ONCE)));
    let mut tasks = JoinSet::new();
    for guest in guests {
        let (room, gate, entered) = (Rc::clone(&room), Rc::clone(&gate), Rc::clone(entered));
        tasks.spawn_local(guest.come_in(room, gate, seen as u64, entered));
    }
    let mut inside = Vec::with_capacity(tasks.len());
    while let Some(done) = tasks.join_next().await {
        inside.push(done??);
    }
    inside.sort_by_key(|guest| guest.place);
    Ok(inside)
}

impl Guest {
    fn new(peer: Peer, place: usize) -> Self {
        Self { peer, place, told: Told::default() }
    }

    /// Enters first and configures the room.
    async fn found(&mut self, room: &str, broadcast: Broadcast) -> Result<()> {
        let begin = Instant::now();
        self.peer.send(request(room, self.place).as_bytes(), 1).await?;
        while self.told.entry.is_zero() {
            let Self { peer, told, .. } = self;
            timeout(DRAIN, peer.turn(|stanza| told.hear(room, stanza, begin))).await??;
        }
        let field = match broadcast {
            Broadcast::Everybody => "",
            Broadcast::Moderators => {
                "<field var='muc#roomconfig_presencebroadcast'><value>moderator</value></field>"
            }
        };
        // A new room is locked until its owner configures it (section 10.1.2).
        let submit = format!(
            "<iq type='set' id='unlock' to='{room}'>\
             <query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/muc#roomconfig</value></field>{field}</x></query></iq>"
        );
        self.peer.send(submit.as_bytes(), 1).await?;
        let mut done = false;
        while !done {
            let take = |stanza: &[u8]| {
                if attr(stanza, "id") == Some(b"unlock") {
                    refuse_error(stanza)?;
                    done = true;
                }
                Ok(())
            };
            timeout(DRAIN, self.peer.turn(take)).await??;
        }
        Ok(())
    }

    /// Enters when it is its turn, if it has not yet, and listens until it knows of `seen` occupants.
    async fn come_in(
        mut self,
        room: Rc<str>,
        gate: Rc<Semaphore>,
        seen: u64,
        entered: Rc<Cell<usize>>,
    ) -> Result<Self> {
        let mut begin = Instant::now();
        let mut turn = pin!(gate.acquire());
        let mut asked = !self.told.entry.is_zero();
        let mut permit = None;
        while self.told.entry.is_zero() || self.told.presences < seen {
            let Self { peer, told, place } = &mut self;
            let hear = |stanza: &[u8]| told.hear(&room, stanza, begin);
            tokio::select! {
                biased;
                permitted = &mut turn, if !asked => {
                    permit = Some(permitted?);
                    asked = true;
                    begin = Instant::now();
                    peer.send(request(&room, *place).as_bytes(), 1).await?;
                }
                heard = peer.listen(hear) => heard?,
            }
            self.peer.reply().await?;
            if !self.told.entry.is_zero() && permit.take().is_some() {
                entered.set(entered.get() + 1);
            }
        }
        Ok(self)
    }
}

impl Told {
    fn hear(&mut self, room: &str, stanza: &[u8], asked: Instant) -> Result<()> {
        let of_room = attr(stanza, "from").is_some_and(|from| from.starts_with(room.as_bytes()));
        if !of_room || !stanza.starts_with(b"<presence") {
            return Ok(());
        }
        refuse_error(stanza)?;
        self.presences += 1;
        self.bytes += stanza.len() as u64;
        if self.entry.is_zero() && has_code(stanza, "110") {
            self.entry = asked.elapsed().max(Duration::from_nanos(1));
        }
        Ok(())
    }
}

fn request(room: &str, nick: usize) -> String {
    format!(
        "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'>\
         <history maxstanzas='0'/></x></presence>"
    )
}

fn refuse_error(stanza: &[u8]) -> Result<()> {
    if attr(stanza, "type") == Some(b"error") {
        bail!("refused: {}", String::from_utf8_lossy(stanza));
    }
    Ok(())
}

/// Whether a presence has a status code (section 15.6).
fn has_code(presence: &[u8], code: &str) -> bool {
    memmem::find_iter(presence, code).any(|at| {
        let (before, after) = (&presence[..at], presence.get(at + code.len()));
        (before.ends_with(b"code='") && after == Some(&b'\''))
            || (before.ends_with(b"code=\"") && after == Some(&b'"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_presences_of_the_room_and_its_own_entry() {
        let mut told = Told::default();
        let now = Instant::now();
        let room = "r@conference.localhost";
        let mut hear = |stanza: &str| told.hear(room, stanza.as_bytes(), now);
        hear("<presence from='a@localhost/x'/>").unwrap();
        hear("<message from='r@conference.localhost'/>").unwrap();
        hear("<presence from='r@conference.localhost/7'/>").unwrap();
        assert!(hear("<presence from='r@conference.localhost/7' type='error'/>").is_err());
        assert_eq!((told.presences, told.entry), (1, Duration::ZERO));
        let own =
            "<presence from='r@conference.localhost/8'><x><status code=\"110\"/></x></presence>";
        told.hear(room, own.as_bytes(), now).unwrap();
        assert_eq!(told.presences, 2);
        assert!(told.entry > Duration::ZERO);
    }

    #[test]
    fn a_code_is_an_attribute_and_no_other_number() {
        assert!(has_code(b"<x><status code='110'/></x>", "110"));
        assert!(!has_code(b"<x nick='110'><status code='1101'/></x>", "110"));
        assert!(!has_code(b"110", "110"));
    }
}
