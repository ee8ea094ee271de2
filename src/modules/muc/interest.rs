//! Who wants to know that something was said in rooms that they are not in (XEP-0437).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::sessions::Session;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::Muc;
use super::refusals::store_failed;
use super::room::Affiliation;

pub const RAI: &str = "urn:xmpp:rai:0";

/// Rooms of one account that it is told about.
const MAX_ROOMS: usize = 500;

/// Sessions that wait for the next message of a room; each is told of it once.
#[derive(Default)]
pub struct Interest {
    state: Mutex<State>,
    /// Saves the look for those who never say anything to anybody.
    any: AtomicBool,
}

#[derive(Default)]
struct State {
    /// All rooms of each session that asked.
    sessions: HashMap<FullJid, HashSet<Box<str>>>,
    waiting: HashMap<Box<str>, HashSet<FullJid>>,
}

impl Interest {
    fn subscribe(&self, session: &FullJid, rooms: &[Box<str>], waiting: &[Box<str>]) {
        let mut state = self.state.lock();
        state.remove(session);
        state.sessions.insert(session.clone(), rooms.iter().cloned().collect());
        for room in waiting {
            state.waiting.entry(room.clone()).or_default().insert(session.clone());
        }
        self.any.store(true, Ordering::Release);
    }

    fn unsubscribe(&self, session: &FullJid) {
        let mut state = self.state.lock();
        state.remove(session);
        self.any.store(!state.sessions.is_empty(), Ordering::Release);
    }

    /// The session has left a room: it may be told again.
    fn left(&self, session: &FullJid, room: &str) {
        let mut state = self.state.lock();
        if state.sessions.get(session).is_some_and(|rooms| rooms.contains(room)) {
            state.waiting.entry(room.into()).or_default().insert(session.clone());
        }
    }

    /// Who is to be told that something was said; they are not told again.
    fn take(&self, room: &str) -> HashSet<FullJid> {
        if !self.any.load(Ordering::Acquire) {
            return HashSet::new();
        }
        self.state.lock().waiting.remove(room).unwrap_or_default()
    }
}

impl State {
    fn remove(&mut self, session: &FullJid) {
        for room in self.sessions.remove(session).unwrap_or_default() {
            if let Some(waiting) = self.waiting.get_mut(&room) {
                waiting.remove(session);
                if waiting.is_empty() {
                    self.waiting.remove(&room);
                }
            }
        }
    }
}

impl Muc {
    /// A presence to the service itself.
    pub(super) async fn handle_interest(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        from: &FullJid,
        service: &Jid,
        session: Option<&Arc<Session>>,
    ) -> Result<(), StanzaError> {
        if stanza.type_.is_some() {
            self.interest.unsubscribe(from);
            return Ok(());
        }
        let Some(session) = session.filter(|_| stanza.has_child("rai", RAI)) else { return Ok(()) };
        let account = from.bare();
        let affiliated = kernel.store.rooms.affiliated(account.as_str()).await;
        let affiliated = affiliated.map_err(|error| store_failed(&error))?;
        let domain = format!("@{}", service.domain());
        let ours = affiliated.into_iter().filter(|found| found.jid.ends_with(&domain));
        let (mut rooms, mut waiting, mut active) = (Vec::new(), Vec::new(), Vec::new());
        for found in ours.take(MAX_ROOMS) {
            let room: Box<str> = found.jid.as_str().into();
            rooms.push(room.clone());
            if self.is_in(&room, from) {
                continue;
            }
            let bounds = kernel.store.archive.bounds(&room).await;
            let bounds = bounds.map_err(|error| store_failed(&error))?;
            let last = bounds.map(|bounds| bounds.last.1);
            match last > found.seen {
                true => active.push(room),
                false => waiting.push(room),
            }
        }
        self.interest.subscribe(from, &rooms, &waiting);
        if !active.is_empty() {
            session.reply(notice(service.clone(), from, &active));
        }
        Ok(())
    }

    fn is_in(&self, room: &str, session: &Jid) -> bool {
        let live = self.rooms.get(room);
        live.is_some_and(|live| live.state.lock().room.occupant_of(session).is_some())
    }

    /// Something was said.
    pub(super) async fn tell_interested(&self, kernel: &Arc<Kernel>, room: &BareJid) {
        for session in self.interest.take(room.as_str()) {
            // Who is in the room has heard it; who has been put off the lists must not know.
            let may_know = self.rooms.get(room.as_str()).is_some_and(|live| {
                let state = live.state.lock();
                state.room.occupant_of(&session).is_none()
                    && state.room.affiliation(session.bare_str()) >= Affiliation::Member
            });
            if may_know {
                let service = room.domain_jid();
                kernel.route(notice(service.into(), &session, &[room.as_str().into()])).await;
            }
        }
    }

    /// Somebody has left.
    pub(super) async fn note_leaving(
        &self,
        kernel: &Kernel,
        room: &BareJid,
        session: &FullJid,
    ) -> Result<(), StanzaError> {
        let live = self.rooms.get(room.as_str());
        let is_listed = live.is_none_or(|live| {
            let state = live.state.lock();
            state.stored && state.room.affiliation(session.bare_str()) >= Affiliation::Member
        });
        if !is_listed {
            return Ok(());
        }
        let now = kernel.clock.now();
        let seen = kernel.store.rooms.set_seen(room.as_str(), session.bare_str(), now).await;
        seen.map_err(|error| store_failed(&error))?;
        self.interest.left(session, room.as_str());
        Ok(())
    }
}

fn notice(service: Jid, to: &FullJid, rooms: &[Box<str>]) -> Stanza {
    let activity = rooms.iter().map(|room| Element::new("activity", RAI).with_text(&**room));
    let mut notice = Stanza::message(MessageType::Normal)
        .with_from(service)
        .with_to(to.clone())
        .with_child(Element::new("rai", RAI).with_children(activity));
    notice.type_ = None;
    notice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_told_once_until_it_was_in_the_room() {
        let interest = Interest::default();
        let (a, b): (FullJid, FullJid) = ("a@b/1".parse().unwrap(), "a@b/2".parse().unwrap());
        let rooms: [Box<str>; 2] = ["r@c".into(), "s@c".into()];
        assert!(interest.take("r@c").is_empty());
        interest.subscribe(&a, &rooms, &rooms);
        interest.subscribe(&b, &rooms, &rooms[1..]);
        assert_eq!(interest.take("r@c"), HashSet::from([a.clone()]));
        assert!(interest.take("r@c").is_empty());
        interest.left(&a, "r@c");
        interest.left(&a, "elsewhere@c");
        assert_eq!(interest.take("r@c").len(), 1);
        assert!(interest.take("elsewhere@c").is_empty());
        interest.unsubscribe(&a);
        assert_eq!(interest.take("s@c"), HashSet::from([b.clone()]));
        interest.left(&a, "s@c");
        interest.unsubscribe(&b);
        assert!(interest.take("s@c").is_empty() && interest.state.lock().waiting.is_empty());
    }
}
