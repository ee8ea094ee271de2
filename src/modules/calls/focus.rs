//! What comes to the focus.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqRequest, MediaEvents, Request, Service};
use wello_kernel::sessions::Session;
use wello_sfu::api::Event;
use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::disco::{DiscoInfo, Identity};
use wello_wire::payload::jingle::{Action, Jingle};
use wello_wire::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};
use wello_wire::xml::Element;

use super::Calls;
use super::conference::{Caller, Parting};
use super::dialects::choose;
use super::halls::Hall;
use super::propose::is_focus;
use super::run::Asked;
use super::{meets, presence};
use crate::muc::{Parted, RoomWatch};

/// Changes of one device in a minute.
const MAX_CHANGES: u32 = 60;
/// What the focus can do (XEP-0166, section 11 and those of the others).
const FEATURES: [&str; 18] = [
    ns::AV_CONFERENCES,
    ns::COIN,
    ns::COMMANDS,
    ns::DISCO_INFO,
    ns::JINGLE,
    ns::JINGLE_CATEGORY,
    ns::JINGLE_DTLS,
    ns::JINGLE_GROUPING,
    ns::JINGLE_HDREXT,
    ns::JINGLE_ICE,
    ns::JINGLE_MESSAGE,
    ns::JINGLE_RTCP_FB,
    ns::JINGLE_RTP,
    ns::JINGLE_RTP_INFO,
    ns::JINGLE_SCTP,
    "urn:ietf:rfc:5576",
    "urn:xmpp:jingle:apps:rtp:audio",
    "urn:xmpp:jingle:apps:rtp:video",
];

#[async_trait]
impl Service for Calls {
    async fn info(&self, _kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        info()
    }

    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let IqRequest { request: Request::Set, payload, session, ref to, .. } = request else {
            return Err(StanzaError::service_unavailable(""));
        };
        if !payload.is("create", ns::MEET) {
            return Err(StanzaError::service_unavailable(""));
        }
        self.create_meet(kernel, to.domain(), session, payload).map(IqAnswer::from)
    }

    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let asked = Asked { stanza: &stanza, session };
        let handled = match stanza.kind {
            Kind::Iq => match stanza.iq_type() {
                Some(IqType::Get | IqType::Set) => self.request(kernel, &asked).await,
                Some(IqType::Error) => self.bounced(kernel, &stanza).await,
                _ => Ok(()),
            },
            Kind::Message => self.message(kernel, &asked).await,
            Kind::Presence => {
                self.heard_presence(kernel, &stanza).await;
                Ok(())
            }
        };
        if let Err(error) = handled {
            kernel.refuse(session, &stanza, &error).await;
        }
        None
    }

    async fn shut_down(&self, kernel: &Arc<Kernel>) {
        let places: Vec<BareJid> = self.conferences.lock().keys().cloned().collect();
        for place in places {
            self.end(kernel, &place, Parting::ShutDown).await;
        }
    }
}

#[async_trait]
impl MediaEvents for Calls {
    async fn media(&self, kernel: &Arc<Kernel>, event: Event) {
        let place = {
            let conferences = self.conferences.lock();
            let mut all = conferences.iter();
            let found = all.find(|(_, conference)| match event {
                Event::Connected { leg } | Event::Closed { leg, .. } => conference.has(leg),
                Event::Speaker { conference: id, .. } => conference.id == id,
            });
            found.map(|(place, _)| place.clone())
        };
        let Some(place) = place else { return };
        let told = self.on(kernel, &place, None, |conference, dice, fx| {
            match event {
                Event::Connected { leg } => conference.connected(leg, dice, fx),
                Event::Closed { leg, why } => conference.closed(leg, why, dice, fx),
                Event::Speaker { track, .. } => {
                    conference.speaks(track, dice, fx);
                    self.recordings.speaks(conference.id, track);
                }
            }
            Ok(())
        });
        let _ = told.await;
    }
}

#[async_trait]
impl RoomWatch for Calls {
    fn watches(&self, room: &BareJid) -> bool {
        self.conferences.lock().contains_key(room) || self.is_inside(room)
    }

    fn focus(&self, room: &BareJid) -> Option<BareJid> {
        let (focus, _) = self.domains.iter().find(|(_, rooms)| rooms == room.domain())?;
        BareJid::from_parts(room.local(), focus).ok()
    }

    fn features(&self) -> &'static [&'static str] {
        // A room may be called itself (Tigase Meet Protocol, section 2.1).
        &meets::FEATURES
    }

    async fn changed(&self, kernel: &Arc<Kernel>, room: &BareJid, parted: Vec<(FullJid, Parted)>) {
        let parted: HashMap<FullJid, Parted> = parted.into_iter().collect();
        let why = |jid: &FullJid| match parted.get(jid) {
            Some(Parted::Left) | None => Parting::Left,
            Some(Parted::Removed) => Parting::Removed,
            Some(Parted::Destroyed) => Parting::Destroyed,
            Some(Parted::ShutDown) => Parting::ShutDown,
        };
        self.review(kernel, room, why).await;
        self.leave_if_alone(kernel, room).await;
    }

    async fn called(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<(), StanzaError> {
        self.request(kernel, &Asked { stanza, session }).await
    }
}

impl Calls {
    async fn request(&self, kernel: &Arc<Kernel>, asked: &Asked<'_>) -> Result<(), StanzaError> {
        let stanza = asked.stanza;
        let (Some(from), Some(to), Some(payload)) =
            (&stanza.from, &stanza.to, stanza.children().next())
        else {
            return Err(StanzaError::bad_request(""));
        };
        let is_set = stanza.iq_type() == Some(IqType::Set);
        let answer = match (payload.name(), payload.ns()) {
            _ if to.local().is_none() => return Err(StanzaError::service_unavailable("")),
            ("query", ns::DISCO_INFO) if !is_set => Some(described(payload)?),
            ("query", ns::DISCO_ITEMS) if !is_set => Some(self.command_items(to, payload)),
            ("ping", ns::PING) if !is_set => None,
            ("command", ns::COMMANDS) if is_set => {
                Some(self.command(kernel, from, to, payload).await?)
            }
            (_, ns::MEET) if is_set && to.is_bare() => {
                self.manage_meet(kernel, &to.bare(), from, payload).await?;
                None
            }
            ("jingle", ns::JINGLE) if is_set && is_focus(to) => {
                return self.jingle(kernel, from, to, payload, asked).await;
            }
            _ => return Err(StanzaError::service_unavailable("")),
        };
        kernel.answer(asked.session, stanza.result(answer)).await;
        Ok(())
    }

    async fn jingle(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        to: &Jid,
        payload: &Element,
        asked: &Asked<'_>,
    ) -> Result<(), StanzaError> {
        let jingle = Jingle::parse(payload)?;
        let from = FullJid::try_from(from.clone());
        let from = from.map_err(|_| StanzaError::bad_request("only sessions call"))?;
        let hall = self.hall(to)?;
        self.count_change(kernel, &hall.place, &from, &jingle)?;
        if jingle.action == Action::SessionInitiate {
            return self.join(kernel, &hall, to, &from, &jingle, asked).await;
        }
        let handled = self.on(kernel, &hall.place, Some(asked), |conference, dice, fx| {
            conference.handle(&from, &jingle, dice, fx)
        });
        handled.await
    }

    async fn join(
        &self,
        kernel: &Arc<Kernel>,
        hall: &Hall,
        called: &Jid,
        from: &FullJid,
        jingle: &Jingle,
        asked: &Asked<'_>,
    ) -> Result<(), StanzaError> {
        let guest = self.admit(&hall.place, from)?;
        let dialect = choose(hall.door, &guest, jingle);
        let caller = Caller { guest, dialect, called: called.clone() };
        let is_new = self.open(kernel, hall)?;
        let joined = self.on(kernel, &hall.place, Some(asked), |conference, dice, fx| {
            conference.join(&caller, jingle, dice, fx)
        });
        joined.await?;
        // Who has left the room meanwhile was not there to be put out.
        if self.admit(&hall.place, from).is_err() {
            self.review(kernel, &hall.place, |_| Parting::Left).await;
        } else if is_new {
            self.ring_at_the_beginning(kernel, hall, from).await;
        }
        Ok(())
    }

    /// What everybody is told of, and each gets a whole roster for, is not to come too often.
    fn count_change(
        &self,
        kernel: &Kernel,
        place: &BareJid,
        from: &FullJid,
        jingle: &Jingle,
    ) -> Result<(), StanzaError> {
        let told = match jingle.action {
            Action::SessionInitiate | Action::ContentAdd | Action::ContentRemove => true,
            Action::SessionInfo | Action::ContentModify => {
                let conferences = self.conferences.lock();
                conferences.get(place).is_some_and(|conference| conference.sends(from, &jingle.sid))
            }
            _ => false,
        };
        if !told {
            return Ok(());
        }
        let (key, now): (Box<str>, _) = (from.as_str().into(), kernel.clock.now());
        match self.changes.admit(key, MAX_CHANGES, now) {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint("too many changes, wait a minute")),
        }
    }

    /// An error that came to something that the focus has sent.
    async fn bounced(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Result<(), StanzaError> {
        let (Some(from), Some(to), Some(id)) = (&stanza.from, &stanza.to, &stanza.id) else {
            return Ok(());
        };
        let (Ok(from), Ok(hall)) = (FullJid::try_from(from.clone()), self.hall(to)) else {
            return Ok(());
        };
        let told = self.on(kernel, &hall.place, None, |conference, dice, fx| {
            conference.bounced(&from, id, dice, fx);
            Ok(())
        });
        // There may be no conference any more.
        let _ = told.await;
        Ok(())
    }

    async fn message(&self, kernel: &Arc<Kernel>, asked: &Asked<'_>) -> Result<(), StanzaError> {
        let stanza = asked.stanza;
        // What is said in rooms that the focus is in, and what could not be delivered.
        let is_idle = matches!(stanza.message_type(), MessageType::Groupchat | MessageType::Error);
        if is_idle || self.invited(kernel, stanza).await {
            return Ok(());
        }
        self.propose(kernel, asked).await
    }

    async fn heard_presence(&self, kernel: &Arc<Kernel>, stanza: &Stanza) {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        self.heard_room(from, to, stanza);
        // Clients of `tigase:meet:0` send presence to a call; it is the only word of their end.
        let (is_gone, call) =
            (stanza.presence_type() == Some(PresenceType::Unavailable), to.bare());
        if is_gone
            && self.meets.has(&call)
            && let Ok(who) = FullJid::try_from(from.clone())
        {
            let left = self.on(kernel, &call, None, |conference, dice, fx| {
                conference.part(&who, Parting::Left, dice, fx);
                Ok(())
            });
            let _ = left.await;
        }
    }
}

/// disco#info of a focus.
fn described(query: &Element) -> Result<Element, StanzaError> {
    let node = query.attr("node").filter(|node| !node.is_empty());
    if node.is_some_and(|node| presence::caps().is_none_or(|caps| caps.query_node() != node)) {
        return Err(StanzaError::item_not_found("no such node"));
    }
    Ok(DiscoInfo { node: node.map(str::to_owned), ..info() }.to_element())
}

pub fn info() -> DiscoInfo {
    let features = FEATURES.into_iter().chain(meets::FEATURES);
    DiscoInfo {
        identities: vec![Identity::new("conference", "audio-video", Some("Calls"))],
        features: features.map(str::to_owned).collect(),
        ..DiscoInfo::default()
    }
}
