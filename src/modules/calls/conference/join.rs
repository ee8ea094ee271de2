//! Coming in: a session by which somebody sends, and what the others learn of it.

use wello_sfu::api::{Command, Credentials, LegId, LegSpec, TrackId, TrackSpec};
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::payload::jingle::{
    Action, Condition, Content, Jingle, Party, Reason, Senders, Setup,
};

use super::super::negotiate::{self, Flaw, Offer, Offered};
use super::{
    Conference, Dice, Effects, Guest, Person, Sent, Up, fresh, is_focus, out_of_order, session,
};

impl Conference {
    /// A session-initiate of an occupant.
    pub fn join(
        &mut self,
        guest: &Guest,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        self.check_place(guest, &jingle.sid)?;
        let offer = match negotiate::offer(jingle) {
            Ok(offer) => offer,
            // Section 6.3.1: the request was fine, the session is not possible.
            Err(Flaw::NothingInCommon) => {
                self.end(&guest.jid, &jingle.sid, Condition::UnsupportedApplications, dice, fx);
                return Ok(());
            }
            Err(flaw) => return Err(flaw.into()),
        };
        let local = fresh(dice);
        let up = self.up(guest, &jingle.sid, &offer, dice);
        fx.media.push(Command::Open(Box::new(self.leg(guest, &up, &offer, &local))));
        self.accept(&guest.jid, &up, &offer, &local, guest.voice, dice, fx);
        let stream = up.stream.clone();
        let is_new = !self.people.contains_key(&guest.jid);
        let person = self.people.entry(guest.jid.clone()).or_insert_with(|| Person {
            guest: guest.clone(),
            ups: Vec::new(),
            downs: Vec::new(),
            plain: None,
        });
        person.guest = guest.clone();
        person.ups.push(up);
        if is_new {
            self.offer_others(&guest.jid, dice, fx);
        }
        self.offer_stream(&guest.jid, &stream, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    fn check_place(&self, guest: &Guest, sid: &str) -> Result<(), StanzaError> {
        let full = StanzaError::resource_constraint("the conference is full");
        let Some(person) = self.people.get(&guest.jid) else {
            return if self.people.len() < self.here.participants { Ok(()) } else { Err(full) };
        };
        let taken = person.ups.iter().any(|up| up.sid == sid)
            || person.downs.iter().any(|down| down.sid == sid);
        if taken {
            return Err(StanzaError::conflict("this session is there already"));
        }
        match person.ups.len() < self.here.streams {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint("too many streams of one participant")),
        }
    }

    fn up(&self, guest: &Guest, sid: &str, offer: &Offer, dice: &mut dyn Dice) -> Up {
        let mut sent = |offered: &Offered| Sent {
            offered: offered.clone(),
            track: TrackId(dice.id()),
            sending: offered.sends && guest.voice,
            muted: false,
        };
        Up {
            sid: sid.to_owned(),
            contents: offer.contents.iter().map(&mut sent).collect(),
            stream: format!("s{}", dice.id()),
            leg: LegId(dice.id()),
            connected: false,
        }
    }

    fn leg(&self, _guest: &Guest, up: &Up, offer: &Offer, local: &Credentials) -> LegSpec {
        LegSpec {
            leg: up.leg,
            conference: self.id,
            local: local.clone(),
            remote: offer.side.credentials.clone(),
            fingerprint: offer.side.fingerprint.clone(),
            dtls_client: offer.side.setup == Setup::Passive,
            controlling: false,
            payloads: negotiate::all_payloads(&offer.contents),
            extensions: negotiate::all_extensions(&offer.contents),
            tracks: up.contents.iter().map(track).collect(),
            outputs: Vec::new(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is in the answer")]
    fn accept(
        &self,
        to: &FullJid,
        up: &Up,
        offer: &Offer,
        local: &Credentials,
        voice: bool,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let setup = match offer.side.setup {
            Setup::Passive => Setup::Active,
            Setup::Active | Setup::ActPass => Setup::Passive,
        };
        let transport = self.transport(local, Some(setup));
        let content = |sent: &Sent| Content {
            creator: Party::Initiator,
            name: sent.offered.mid.as_str().to_owned(),
            senders: Some(match sent.offered.sends && voice {
                true => Senders::Initiator,
                false => Senders::None,
            }),
            description: Some(negotiate::answer(&sent.offered)),
            transport: Some(transport.clone()),
        };
        let jingle = Jingle {
            responder: Some(self.focus.clone().into()),
            contents: up.contents.iter().map(content).collect(),
            bundle: bundle(&up.contents),
            others: vec![is_focus(None)],
            ..session(Action::SessionAccept, &up.sid)
        };
        self.send(to, &jingle, dice, fx);
    }

    /// Ends a session that is not among ours, or not any more.
    pub(super) fn end(
        &self,
        to: &FullJid,
        sid: &str,
        why: Condition,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        self.send(to, &ended(sid, why), dice, fx);
    }

    /// The same to a client that knows the focus by this address.
    pub(super) fn end_from(
        &self,
        at: &Jid,
        to: &FullJid,
        sid: &str,
        why: Condition,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        self.send_from(at, to, &ended(sid, why), dice, fx);
    }

    /// content-add on a session by which somebody sends.
    pub(super) fn add_contents(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let Some(person) = self.people.get(jid) else { return Err(super::unknown_session()) };
        let Some(up) = person.ups.iter().find(|up| up.sid == jingle.sid) else {
            return Err(out_of_order("contents are added by who sends"));
        };
        let known: Vec<&Offered> = up.contents.iter().map(|sent| &sent.offered).collect();
        let payloads = negotiate::all_payloads(known.iter().copied());
        let mut added = negotiate::contents(&jingle.contents, &known)?;
        // A transport speaks what it was opened with.
        let spoken = |offered: &Offered| {
            let wanted = negotiate::engine_payloads(offered.media, &offered.payloads);
            wanted.iter().all(|payload| payloads.contains(payload))
        };
        added.retain(spoken);
        let (stream, leg, voice) = (up.stream.clone(), up.leg, person.guest.voice);
        if added.is_empty() {
            let mut refusal = session(Action::ContentReject, &jingle.sid);
            let names = jingle.contents.iter().map(|content| super::content(&content.name));
            refusal.contents = names.collect();
            refusal.reason = Some(Reason::new(Condition::UnsupportedApplications));
            self.send(jid, &refusal, dice, fx);
            return Ok(());
        }
        let mut answer = session(Action::ContentAccept, &jingle.sid);
        let mut names = Vec::new();
        for offered in added {
            let sent = Sent {
                track: TrackId(dice.id()),
                sending: offered.sends && voice,
                muted: false,
                offered,
            };
            fx.media.push(Command::AddTrack { leg, track: track(&sent) });
            answer.contents.push(Content {
                senders: Some(if sent.sending { Senders::Initiator } else { Senders::None }),
                description: Some(negotiate::answer(&sent.offered)),
                ..super::content(sent.offered.mid.as_str())
            });
            names.push(sent.offered.mid.clone());
            let up = self
                .people
                .get_mut(jid)
                .and_then(|person| person.ups.iter_mut().find(|up| up.sid == jingle.sid));
            up.map(|up| up.contents.push(sent)).ok_or_else(super::unknown_session)?;
        }
        self.send(jid, &answer, dice, fx);
        self.offer_more(jid, &stream, &names, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }
}

fn ended(sid: &str, why: Condition) -> Jingle {
    Jingle { reason: Some(Reason::new(why)), ..session(Action::SessionTerminate, sid) }
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

fn bundle(contents: &[Sent]) -> Vec<String> {
    contents.iter().map(|sent| sent.offered.mid.as_str().to_owned()).collect()
}
