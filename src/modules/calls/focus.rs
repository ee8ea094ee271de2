//! What comes to the focus, and what it does about it: the one place that locks, posts and
//! commands.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::clock::{random_bytes, random_id};
use wello_kernel::hooks::{MediaEvents, Service};
use wello_kernel::sessions::Session;
use wello_sfu::api::{ConferenceId, Event};
use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::disco::{DiscoInfo, Identity};
use wello_wire::payload::jingle::{Action, Jingle};
use wello_wire::stanza::{IqType, Kind, Stanza};
use wello_wire::xml::Element;

use super::Calls;
use super::conference::{Conference, Dice, Effects, Guest, Here, Parting, unknown_session};
use crate::muc::{Parted, RoomWatch};

/// Conferences at once; each has at least one participant who is in its room.
const MAX_CONFERENCES: usize = 10_000;
/// Changes of one device in a minute.
const MAX_CHANGES: u32 = 60;
/// What the focus can do (XEP-0166, section 11 and those of the others).
const FEATURES: [&str; 15] = [
    ns::AV_CONFERENCES,
    ns::COIN,
    ns::DISCO_INFO,
    ns::JINGLE,
    ns::JINGLE_CATEGORY,
    ns::JINGLE_DTLS,
    ns::JINGLE_GROUPING,
    ns::JINGLE_HDREXT,
    ns::JINGLE_ICE,
    ns::JINGLE_RTCP_FB,
    ns::JINGLE_RTP,
    ns::JINGLE_RTP_INFO,
    "urn:ietf:rfc:5576",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
];

#[async_trait]
impl Service for Calls {
    async fn info(&self, _kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        info()
    }

    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let handled = match (stanza.kind, stanza.iq_type()) {
            (Kind::Iq, Some(IqType::Get | IqType::Set)) => self.request(kernel, &stanza, session),
            (Kind::Iq, Some(IqType::Error)) => {
                self.bounced(kernel, &stanza);
                Ok(Vec::new())
            }
            (Kind::Message, _) => Err(StanzaError::service_unavailable("")),
            _ => Ok(Vec::new()),
        };
        match handled {
            Ok(later) => {
                for stanza in later {
                    kernel.route(stanza).await;
                }
            }
            Err(error) => kernel.refuse(session, &stanza, &error).await,
        }
        None
    }

    async fn shut_down(&self, kernel: &Arc<Kernel>) {
        let rooms: Vec<BareJid> = self.conferences.lock().keys().cloned().collect();
        for room in rooms {
            let later = self.on(kernel, &room, None, |conference, dice, fx| {
                let all = conference.devices().cloned();
                let partings = all.map(|jid| (jid, Parting::ShutDown)).collect();
                conference.room_changed(&HashMap::new(), &partings, dice, fx);
                Ok(())
            });
            for stanza in later.unwrap_or_default() {
                kernel.route(stanza).await;
            }
        }
    }
}

#[async_trait]
impl MediaEvents for Calls {
    async fn media(&self, kernel: &Arc<Kernel>, event: Event) {
        let room = {
            let conferences = self.conferences.lock();
            let mut all = conferences.iter();
            let found = all.find(|(_, conference)| match event {
                Event::Connected { leg } | Event::Closed { leg, .. } => {
                    conference.owner(leg).is_some()
                }
                Event::Speaker { conference: id, .. } => conference.id == id,
            });
            found.map(|(room, _)| room.clone())
        };
        let Some(room) = room else { return };
        let later = self.on(kernel, &room, None, |conference, dice, fx| {
            match event {
                Event::Connected { leg } => conference.connected(leg, dice, fx),
                Event::Closed { leg, why } => conference.closed(leg, why, dice, fx),
                Event::Speaker { track, .. } => conference.speaks(track, dice, fx),
            }
            Ok(())
        });
        for stanza in later.unwrap_or_default() {
            kernel.route(stanza).await;
        }
    }
}

#[async_trait]
impl RoomWatch for Calls {
    fn watches(&self, room: &BareJid) -> bool {
        self.conferences.lock().contains_key(room)
    }

    fn focus(&self, room: &BareJid) -> Option<BareJid> {
        let (focus, _) = self.domains.iter().find(|(_, rooms)| rooms == room.domain())?;
        BareJid::from_parts(room.local(), focus).ok()
    }

    async fn changed(&self, kernel: &Arc<Kernel>, room: &BareJid, parted: Vec<(FullJid, Parted)>) {
        let partings: HashMap<FullJid, Parting> = parted
            .into_iter()
            .map(|(jid, why)| {
                let why = match why {
                    Parted::Left => Parting::Left,
                    Parted::Removed => Parting::Removed,
                    Parted::Destroyed => Parting::Destroyed,
                    Parted::ShutDown => Parting::ShutDown,
                };
                (jid, why)
            })
            .collect();
        let later = self.on(kernel, room, None, |conference, dice, fx| {
            // As it is by now: another change may have come between.
            let guests = self.guests(room).into_iter().map(|guest| (guest.jid.clone(), guest));
            conference.room_changed(&guests.collect(), &partings, dice, fx);
            Ok(())
        });
        for stanza in later.unwrap_or_default() {
            kernel.route(stanza).await;
        }
    }
}

/// A request and who has made it.
struct Asked<'a> {
    stanza: &'a Stanza,
    session: Option<&'a Arc<Session>>,
}

impl Calls {
    fn request(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Vec<Stanza>, StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
            return Err(StanzaError::bad_request(""));
        };
        let payload = stanza.children().next().filter(|_| to.local().is_some());
        let payload = payload.ok_or_else(|| StanzaError::service_unavailable(""))?;
        let is_set = stanza.iq_type() == Some(IqType::Set);
        let asked = Asked { stanza, session };
        match (payload.name(), payload.ns()) {
            ("query", ns::DISCO_INFO) if !is_set && payload.attr("node").is_none() => {
                Ok(self.post(kernel, session, vec![stanza.result(Some(info().to_element()))]))
            }
            ("ping", ns::PING) if !is_set => {
                Ok(self.post(kernel, session, vec![stanza.result(None)]))
            }
            ("jingle", ns::JINGLE) if is_set && to.is_bare() => {
                self.jingle(kernel, from, to, payload, &asked)
            }
            _ => Err(StanzaError::service_unavailable("")),
        }
    }

    fn jingle(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        to: &Jid,
        payload: &Element,
        asked: &Asked<'_>,
    ) -> Result<Vec<Stanza>, StanzaError> {
        let jingle = Jingle::parse(payload)?;
        let from = FullJid::try_from(from.clone());
        let from = from.map_err(|_| StanzaError::bad_request("only sessions call"))?;
        let room = self.room(to)?;
        self.count_change(kernel, &room, &from, &jingle)?;
        if jingle.action != Action::SessionInitiate {
            return self.on(kernel, &room, Some(asked), |conference, dice, fx| {
                conference.handle(&from, &jingle, dice, fx)
            });
        }
        let guests = self.guests(&room);
        let guest = admit(&guests, &from)?.clone();
        self.open(kernel, &room, to)?;
        let done = self.on(kernel, &room, Some(asked), |conference, dice, fx| {
            conference.join(&guest, &jingle, dice, fx)
        });
        // Who has left the room meanwhile was not there to be put out.
        if done.is_ok() && !self.guests(&room).iter().any(|guest| guest.jid == from) {
            let partings = HashMap::from([(from, Parting::Left)]);
            let guests = self.guests(&room).into_iter().map(|guest| (guest.jid.clone(), guest));
            let guests: HashMap<FullJid, Guest> = guests.collect();
            let ended = self.on(kernel, &room, None, |conference, dice, fx| {
                conference.room_changed(&guests, &partings, dice, fx);
                Ok(())
            });
            return Ok(done.into_iter().chain(ended).flatten().collect());
        }
        done
    }

    /// What everybody is told of, and each gets a whole roster for, is not to come too often.
    fn count_change(
        &self,
        kernel: &Kernel,
        room: &BareJid,
        from: &FullJid,
        jingle: &Jingle,
    ) -> Result<(), StanzaError> {
        let told = match jingle.action {
            Action::SessionInitiate | Action::ContentAdd | Action::ContentRemove => true,
            Action::SessionInfo | Action::ContentModify => {
                let conferences = self.conferences.lock();
                conferences.get(room).is_some_and(|conference| conference.sends(from, &jingle.sid))
            }
            _ => false,
        };
        if !told {
            return Ok(());
        }
        let (key, now): (Box<str>, _) = (from.as_str().into(), kernel.clock.now());
        if self.changes.count(&key, now) >= MAX_CHANGES {
            return Err(StanzaError::resource_constraint("too many changes, wait a minute"));
        }
        self.changes.add(key, now);
        Ok(())
    }

    /// An error that came to something that the focus has sent.
    fn bounced(&self, kernel: &Arc<Kernel>, stanza: &Stanza) {
        let (Some(from), Some(to), Some(id)) = (&stanza.from, &stanza.to, &stanza.id) else {
            return;
        };
        let Some((sid, _)) = id.rsplit_once('.') else { return };
        let (Ok(from), Ok(room)) = (FullJid::try_from(from.clone()), self.room(to)) else { return };
        let _ = self.on(kernel, &room, None, |conference, _, _| {
            conference.bounced(&from, sid);
            Ok(())
        });
    }

    fn room(&self, focus: &Jid) -> Result<BareJid, StanzaError> {
        let (_, rooms) = self
            .domains
            .iter()
            .find(|(domain, _)| domain == focus.domain())
            .ok_or_else(|| StanzaError::item_not_found(""))?;
        Ok(BareJid::from_parts(focus.local(), rooms)?)
    }

    fn guests(&self, room: &BareJid) -> Vec<Guest> {
        let guests = self.muc.company(room).into_iter().map(|present| Guest {
            jid: present.jid,
            occupant: present.occupant,
            voice: present.voice,
            sees_addresses: present.sees_addresses,
        });
        guests.collect()
    }

    /// Makes the conference of a room, unless it is there.
    fn open(&self, kernel: &Kernel, room: &BareJid, focus: &Jid) -> Result<(), StanzaError> {
        let engine = kernel.media.engine();
        let engine = engine.ok_or_else(|| StanzaError::service_unavailable("no media port"))?;
        let mut conferences = self.conferences.lock();
        if conferences.contains_key(room) {
            return Ok(());
        }
        if conferences.len() >= MAX_CONFERENCES {
            return Err(StanzaError::resource_constraint("too many conferences"));
        }
        let id = ConferenceId(self.next.fetch_add(1, Ordering::Relaxed));
        let here = Here {
            addresses: engine.addresses(id).to_vec(),
            fingerprint: engine.fingerprint().clone(),
            participants: kernel.config.calls.participants,
            streams: kernel.config.calls.streams,
        };
        conferences.insert(room.clone(), Conference::new(id, focus.bare(), here));
        Ok(())
    }

    /// Does something with a conference, posts what it leads to, in order, and returns what has to
    /// be routed.
    fn on(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        asked: Option<&Asked<'_>>,
        work: impl FnOnce(&mut Conference, &mut dyn Dice, &mut Effects) -> Result<(), StanzaError>,
    ) -> Result<Vec<Stanza>, StanzaError> {
        let mut conferences = self.conferences.lock();
        let conference = conferences.get_mut(room).ok_or_else(unknown_session)?;
        let mut fx = Effects::default();
        let worked = work(conference, &mut Chance(self), &mut fx);
        if conference.is_empty() {
            conferences.remove(room);
        }
        worked?;
        if let Some(asked) = asked {
            fx.out.insert(0, asked.stanza.result(None));
        }
        for command in fx.media {
            if kernel.media.post(command).is_err() {
                tracing::error!(%room, "the media engine is overloaded: a command is lost");
            }
        }
        // Under the lock, so that everybody gets everything in the same order.
        Ok(self.post(kernel, asked.and_then(|asked| asked.session), fx.out))
    }

    /// Posts to sessions that are here; returns what has to take the way of other stanzas.
    fn post(
        &self,
        kernel: &Arc<Kernel>,
        session: Option<&Arc<Session>>,
        out: Vec<Stanza>,
    ) -> Vec<Stanza> {
        let mut later = Vec::new();
        for stanza in out {
            let Some(to) = stanza.to.clone() else { continue };
            match session {
                Some(session) if *session.jid == to => session.reply(stanza),
                _ if !kernel.hosts.contains(to.domain()) => later.push(stanza),
                _ => {
                    if let Some(target) = kernel.sessions.find(&to) {
                        kernel.post(&target, stanza);
                    }
                }
            }
        }
        later
    }
}

/// Who may join: the room has decided who is in it.
fn admit<'a>(guests: &'a [Guest], who: &FullJid) -> Result<&'a Guest, StanzaError> {
    if guests.is_empty() {
        return Err(StanzaError::item_not_found("nobody is in this room"));
    }
    let guest = guests.iter().find(|guest| guest.jid == *who);
    guest.ok_or_else(|| StanzaError::forbidden("only for who is in the room"))
}

fn info() -> DiscoInfo {
    DiscoInfo {
        identities: vec![Identity::new("conference", "audio-video", Some("Calls"))],
        features: FEATURES.map(str::to_owned).to_vec(),
        ..DiscoInfo::default()
    }
}

struct Chance<'a>(&'a Calls);

impl Dice for Chance<'_> {
    fn id(&mut self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    fn name(&mut self) -> String {
        random_id()
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes(random_bytes::<4>()).max(1)
    }
}
