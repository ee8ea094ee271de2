//! Coming in: a session by which somebody sends, and what the others learn of it.

use wello_sfu::api::{Command, Credentials, Data, LegId, LegSpec, TrackId, TrackSpec};
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::payload::jingle::{Action, Condition, Content, Jingle, Reason, Senders, Setup};

use super::super::dialects::{Dialect, content, is_focus, terminated};
use super::super::narrowing;
use super::super::negotiate::{self, Flaw, Offer, Offered, Side};
use super::data::{accepted, data};
use super::{
    Conference, Dice, Effects, Guest, Person, Sent, Up, fresh, out_of_order, session,
    unknown_session,
};

/// Somebody who wants to join.
#[derive(Clone, Debug)]
pub struct Caller {
    pub guest: Guest,
    pub dialect: Dialect,
    /// The address that was called.
    pub called: Jid,
}

impl Conference {
    /// A session-initiate of somebody who may be in the conference.
    pub fn join(
        &mut self,
        caller: &Caller,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        if caller.dialect.adapter().mixes() {
            return self.join_plain(caller, jingle, dice, fx);
        }
        let guest = &caller.guest;
        self.check_place(guest, &jingle.sid)?;
        let offer = match self.offer(jingle) {
            Ok(offer) => offer,
            // Section 6.3.1: the request was fine, the session is not possible.
            Err(Flaw::NothingInCommon) => {
                let why = Condition::UnsupportedApplications;
                self.end_as(caller.called.clone(), &guest.jid, &jingle.sid, why, dice, fx);
                return Ok(());
            }
            Err(flaw) => return Err(flaw.into()),
        };
        let local = fresh(dice);
        let leg = LegId(dice.id());
        let mut up = up(guest, &jingle.sid, leg, &offer.contents, dice);
        up.data.clone_from(&offer.data);
        let tracks = up.contents.iter().map(track).collect();
        let data = data(up.data.is_some(), guest.voice);
        let spec = LegSpec { data, ..self.leg(leg, &offer, &local, tracks) };
        fx.media.push(Command::Open(Box::new(spec)));
        let stream = up.stream.clone();
        let is_new = !self.people.contains_key(&guest.jid);
        let person =
            self.people.entry(guest.jid.clone()).or_insert_with(|| Person::new(caller.clone()));
        person.guest = guest.clone();
        person.ups.push(up);
        if person.view.is_some() {
            person.tell_view(fx);
        }
        self.accept(&guest.jid, &offer.side, &local, dice, fx);
        if is_new {
            self.offer_others(&guest.jid, dice, fx);
        }
        self.offer_stream(&guest.jid, &stream, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    fn offer(&self, jingle: &Jingle) -> Result<Offer, Flaw> {
        let mut offer = negotiate::offer(jingle)?;
        offer.contents.retain(|offered| self.here.media.contains(&offered.media));
        if offer.contents.is_empty() { Err(Flaw::NothingInCommon) } else { Ok(offer) }
    }

    fn check_place(&self, guest: &Guest, sid: &str) -> Result<(), StanzaError> {
        let full = StanzaError::resource_constraint("the conference is full");
        let Some(person) = self.people.get(&guest.jid) else {
            return if self.people.len() < self.here.participants { Ok(()) } else { Err(full) };
        };
        if person.sends(sid) || person.downs.iter().any(|down| down.sid == sid) {
            return Err(StanzaError::conflict("this session is there already"));
        }
        match person.ups.len() < self.here.streams {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint("too many streams of one participant")),
        }
    }

    /// A transport that a client has begun.
    pub(super) fn leg(
        &self,
        leg: LegId,
        offer: &Offer,
        local: &Credentials,
        tracks: Vec<TrackSpec>,
    ) -> LegSpec {
        LegSpec {
            leg,
            conference: self.id,
            local: local.clone(),
            remote: offer.side.credentials.clone(),
            fingerprint: offer.side.fingerprint.clone(),
            dtls_client: offer.side.setup == Setup::Passive,
            controlling: false,
            payloads: narrowing::spoken(&offer.contents),
            extensions: negotiate::all_extensions(&offer.contents),
            tracks,
            outputs: Vec::new(),
            data: Data::Off,
        }
    }

    /// session-accept of the session that somebody has begun last.
    fn accept(
        &self,
        to: &FullJid,
        side: &Side,
        local: &Credentials,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(person) = self.people.get(to) else { return };
        let Some(up) = person.ups.last() else { return };
        let transport = self.transport(local, Some(answering(side.setup)));
        let taken = up
            .contents
            .iter()
            .map(|sent| Content { transport: Some(transport.clone()), ..person.taken(sent) });
        let data = up.data.iter().map(|offered| accepted(offered, transport.clone()));
        let jingle = Jingle {
            responder: Some(person.called.clone()),
            contents: taken.chain(data).collect(),
            bundle: bundle(up),
            others: vec![is_focus(None)],
            ..session(Action::SessionAccept, &up.sid)
        };
        self.send(to, &jingle, dice, fx);
    }

    /// Ends a session.
    pub(super) fn end(
        &self,
        to: &FullJid,
        sid: &str,
        why: Condition,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        self.send(to, &terminated(sid, why), dice, fx);
    }

    /// The same for somebody who is not in the conference, and who has called this address.
    pub(super) fn end_as(
        &self,
        called: Jid,
        to: &FullJid,
        sid: &str,
        why: Condition,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        self.request_as(called, to, terminated(sid, why).to_element(), dice, fx);
    }

    /// content-add on a session by which somebody sends.
    pub(super) fn add_contents(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let Some(person) = self.people.get(jid) else { return Err(unknown_session()) };
        if person.plain.is_some() {
            return self.upgrade(jid, jingle, dice, fx);
        }
        let Some(up) = person.ups.iter().find(|up| up.sid == jingle.sid) else {
            return Err(out_of_order("contents are added by who sends"));
        };
        let known: Vec<&Offered> = up.contents.iter().map(|sent| &sent.offered).collect();
        let mut added = negotiate::contents(&jingle.contents, &known)?;
        added.retain(|offered| self.here.media.contains(&offered.media));
        let added: Vec<Offered> =
            added.into_iter().filter_map(|offered| narrowing::narrowed(offered, &known)).collect();
        let (stream, leg, voice) = (up.stream.clone(), up.leg, person.guest.voice);
        let data = negotiate::data(&jingle.contents)?;
        let data = data.and_then(|offered| self.add_data(jid, &jingle.sid, offered, fx));
        if added.is_empty() && data.is_none() {
            self.send(jid, &refused(jingle), dice, fx);
            return Ok(());
        }
        let mut answer = session(Action::ContentAccept, &jingle.sid);
        answer.contents.extend(data);
        for offered in added {
            let sent = Sent {
                track: TrackId(dice.id()),
                sending: offered.sends && voice,
                muted: false,
                offered,
            };
            fx.media.push(Command::AddTrack { leg, track: track(&sent) });
            let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
            answer.contents.push(person.taken(&sent));
            let up = person.ups.iter_mut().find(|up| up.sid == jingle.sid);
            up.map(|up| up.contents.push(sent)).ok_or_else(unknown_session)?;
        }
        self.send(jid, &answer, dice, fx);
        self.offer_stream(jid, &stream, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }
}

impl Person {
    pub(super) fn new(caller: Caller) -> Person {
        let Caller { guest, dialect, called } = caller;
        let (ups, downs) = (Vec::new(), Vec::new());
        Person { guest, dialect, called, ups, downs, offered: 0, plain: None, view: None }
    }

    /// The answer to a content that it sends.
    fn taken(&self, sent: &Sent) -> Content {
        let senders = match sent.offered.sends && self.guest.voice {
            true => self.adapter().taken(),
            false => Senders::None,
        };
        Content {
            senders: Some(senders),
            description: Some(negotiate::answer(&sent.offered)),
            ..content(sent.offered.mid.as_str())
        }
    }
}

/// The end of contents that cannot be.
pub(super) fn refused(addition: &Jingle) -> Jingle {
    Jingle {
        contents: addition.contents.iter().map(|refused| content(&refused.name)).collect(),
        reason: Some(Reason::new(Condition::UnsupportedApplications)),
        ..session(Action::ContentReject, &addition.sid)
    }
}

/// Who begins the handshake, as the client has offered it (RFC 5763, section 5).
pub(super) fn answering(offered: Setup) -> Setup {
    match offered {
        Setup::Passive => Setup::Active,
        Setup::Active | Setup::ActPass => Setup::Passive,
    }
}

/// What somebody sends in a session, on one transport or with this as the first of several.
pub(super) fn up<'a>(
    guest: &Guest,
    sid: &str,
    leg: LegId,
    offered: impl IntoIterator<Item = &'a Offered>,
    dice: &mut dyn Dice,
) -> Up {
    let sent = |offered: &Offered| Sent {
        offered: offered.clone(),
        track: TrackId(dice.id()),
        sending: offered.sends && guest.voice,
        muted: false,
    };
    Up {
        sid: sid.to_owned(),
        contents: offered.into_iter().map(sent).collect(),
        stream: format!("s{}", dice.id()),
        leg,
        data: None,
        connected: false,
    }
}

pub(super) fn track(sent: &Sent) -> TrackSpec {
    TrackSpec {
        track: sent.track,
        mid: sent.offered.mid.clone(),
        media: sent.offered.media,
        sources: sent.offered.sources.clone(),
        layers: sent.offered.layers.clone(),
        forwarded: sent.sending,
    }
}

fn bundle(up: &Up) -> Vec<String> {
    let media = up.contents.iter().map(|sent| &sent.offered.mid);
    let data = up.data.iter().map(|offered| &offered.mid);
    media.chain(data).map(|mid| mid.as_str().to_owned()).collect()
}
