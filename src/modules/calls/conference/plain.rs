//! Clients that know only calls between two: of all others they get one sound, which is mixed, and
//! one picture, which is that of who speaks, by the session by which they send.

use wello_sfu::api::{Command, Credentials, LegId, Media, Mid, OutputSpec, TrackId, TrackSpec};
use wello_sfu::mix::PAYLOAD as MIXED;
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{
    Action, Condition, Content, Jingle, Senders, Source, SourceGroup, Transport,
};

use super::super::dialects::{content, is_focus};
use super::super::negotiate::{self, Flaw, Offer, Offered};
use super::super::plain::{self, PlainOffer};
use super::join::{answering, track, up};
use super::{Caller, Conference, Dice, Effects, Guest, Person, Sent, Up, fresh, session};

/// What is special about such a client.
pub(super) struct Plain {
    /// Those of its transports that are not that of the session, by their contents.
    pub others: Vec<(Mid, LegId)>,
    /// Its contents share one transport (XEP-0338).
    pub is_bundled: bool,
    /// What it gets.
    pub gets: Vec<Gets>,
}

/// A content by which a plain client gets something.
pub(super) struct Gets {
    leg: LegId,
    offered: Offered,
    source: u32,
    rtx: Option<u32>,
    /// The mix, or whose picture it is.
    shown: Option<TrackId>,
}

/// A transport as it is opened.
pub(super) struct Opening {
    pub leg: LegId,
    pub local: Credentials,
    pub offer: Offer,
}

impl Plain {
    /// The transport that a request is about, if it is not that of the session.
    pub fn transport_of(&self, jingle: &Jingle) -> Option<(LegId, Mid)> {
        let content = jingle.contents.iter().find(|content| content.transport.is_some())?;
        let (mid, leg) = self.others.iter().find(|(mid, _)| mid.as_str() == content.name)?;
        Some((*leg, mid.clone()))
    }

    pub fn has(&self, leg: LegId) -> bool {
        self.others.iter().any(|(_, other)| *other == leg)
    }

    fn gets(&self, mid: &Mid) -> Option<&Gets> {
        self.gets.iter().find(|gets| gets.offered.mid == *mid)
    }
}

impl Conference {
    /// A session-initiate of such a client.
    pub(super) fn join_plain(
        &mut self,
        caller: &Caller,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let guest = &caller.guest;
        self.check_plain_place(guest)?;
        let offer = match plain::offer(jingle) {
            Ok(offer) => offer,
            Err(Flaw::NothingInCommon) => {
                let why = Condition::UnsupportedApplications;
                self.end_as(caller.called.clone(), &guest.jid, &jingle.sid, why, dice, fx);
                return Ok(());
            }
            Err(flaw) => return Err(flaw.into()),
        };
        let openings = openings(offer.transports.clone(), dice);
        // There is one for each of the contents, of which there is at least one.
        let first = openings.first().map_or(LegId(0), |opening| opening.leg);
        let contents = openings.iter().flat_map(|opening| &opening.offer.contents);
        let up = up(guest, &jingle.sid, first, contents, dice);
        let plain = plain_side(&openings, &offer, dice);
        self.open_plain(&openings, &up, &plain, dice, fx);
        let stream = up.stream.clone();
        let mut person = Person::new(caller.clone());
        person.ups.push(up);
        person.plain = Some(plain);
        self.people.insert(guest.jid.clone(), person);
        self.accept_plain(&guest.jid, &openings, dice, fx);
        self.offer_stream(&guest.jid, &stream, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    fn check_plain_place(&self, guest: &Guest) -> Result<(), StanzaError> {
        if self.people.contains_key(&guest.jid) {
            return Err(StanzaError::conflict("this device is in the call already"));
        }
        let plain = self.people.values().filter(|person| person.plain.is_some()).count();
        match plain < self.here.mixes && self.people.len() < self.here.participants {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint("the conference is full")),
        }
    }

    fn open_plain(
        &self,
        openings: &[Opening],
        up: &Up,
        plain: &Plain,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        for opening in openings {
            let is_here = |sent: &&Sent| opening.offer.contents.contains(&sent.offered);
            let tracks = up.contents.iter().filter(is_here).map(track).collect();
            let Opening { leg, local, offer } = opening;
            fx.media.push(Command::Open(Box::new(self.leg(*leg, offer, local, tracks))));
        }
        for gets in &plain.gets {
            gets.begin(dice, fx);
        }
    }

    fn accept_plain(
        &self,
        to: &FullJid,
        openings: &[Opening],
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(person) = self.people.get(to) else { return };
        let (Some(up), Some(plain)) = (person.ups.first(), &person.plain) else { return };
        let mut contents = Vec::new();
        for Opening { local, offer, .. } in openings {
            let transport = self.transport(local, Some(answering(offer.side.setup)));
            let taken = offer.contents.iter();
            contents.extend(taken.map(|offered| person.plainly(offered, transport.clone())));
        }
        let bundled = contents.iter().filter(|_| plain.is_bundled);
        let bundle = bundled.map(|content| content.name.clone()).collect();
        let jingle = Jingle {
            responder: Some(person.called.clone()),
            contents,
            bundle,
            others: vec![is_focus(None)],
            ..session(Action::SessionAccept, &up.sid)
        };
        self.send(to, &jingle, dice, fx);
    }

    /// content-modify of a plain client: whether it wants to get something, too.
    pub(super) fn pause_plain(&self, jid: &FullJid, jingle: &Jingle, fx: &mut Effects) {
        let plain = self.people.get(jid).and_then(|person| person.plain.as_ref());
        for gets in plain.into_iter().flat_map(|plain| &plain.gets) {
            let mid = gets.offered.mid.clone();
            let content = jingle.contents.iter().find(|content| content.name == mid.as_str());
            if let Some(content) = content {
                let paused = !plain::receives(content);
                fx.media.push(Command::Pause { leg: gets.leg, mid, paused });
            }
        }
    }

    /// Shows to those who get one picture of all who speaks now, or who did before.
    pub fn choose_pictures(&mut self, fx: &mut Effects) {
        let viewers: Vec<FullJid> = self
            .people
            .iter()
            .filter(|(_, person)| person.plain.is_some())
            .map(|(jid, _)| jid.clone())
            .collect();
        for viewer in viewers {
            let Some(picture) = self.picture(&viewer) else { continue };
            let Some((track, payloads)) = self.choice(&viewer, picture) else { continue };
            if picture.shown == Some(track) {
                continue;
            }
            let (leg, mid) = (picture.leg, picture.offered.mid.clone());
            fx.media.push(Command::Switch { leg, mid: mid.clone(), track, payloads });
            let plain = self.people.get_mut(&viewer).and_then(|person| person.plain.as_mut());
            let gets = plain.into_iter().flat_map(|plain| &mut plain.gets);
            for gets in gets.filter(|gets| gets.offered.mid == mid) {
                gets.shown = Some(track);
            }
        }
    }

    fn picture(&self, viewer: &FullJid) -> Option<&Gets> {
        let plain = self.people.get(viewer)?.plain.as_ref()?;
        plain.gets.iter().find(|gets| gets.offered.media == Media::Video)
    }

    /// Whose picture somebody is to see, and what its payload types are called there.
    fn choice(&self, viewer: &FullJid, picture: &Gets) -> Option<(TrackId, Vec<(u8, u8)>)> {
        let accepted = negotiate::answer(&picture.offered);
        let of = |person: &Person| {
            let contents = person.ups.iter().flat_map(|up| &up.contents);
            let shown = contents
                .filter(|sent| sent.offered.media == Media::Video && sent.sending && !sent.muted);
            let mapped = |sent: &Sent| (sent.track, negotiate::mapping(&sent.offered, &accepted));
            shown.map(mapped).find(|(_, payloads)| !payloads.is_empty())
        };
        let others = || self.people.iter().filter(|(jid, _)| *jid != viewer);
        let sends = |person: &Person, track: Option<TrackId>| {
            let mut contents = person.ups.iter().flat_map(|up| &up.contents);
            contents.any(|sent| Some(sent.track) == track)
        };
        let whose = |track| others().find(|(_, person)| sends(person, track));
        let speaker = whose(self.speaker).and_then(|(_, person)| of(person));
        let before = || whose(picture.shown).and_then(|(_, person)| of(person));
        speaker.or_else(before).or_else(|| others().find_map(|(_, person)| of(person)))
    }
}

impl Person {
    /// The answer to a content of a plain client.
    pub(super) fn plainly(&self, offered: &Offered, transport: Transport) -> Content {
        let gets = self.plain.as_ref().and_then(|plain| plain.gets(&offered.mid));
        let mut description = negotiate::answer(offered);
        if let (Some(gets), Some(up)) = (gets, self.ups.first()) {
            (description.sources, description.groups) = gets.sources(&up.stream);
        }
        Content {
            senders: Some(senders(offered.sends && self.guest.voice, gets.is_some())),
            description: Some(description),
            transport: Some(transport),
            ..content(offered.mid.as_str())
        }
    }
}

impl Gets {
    pub(super) fn new(leg: LegId, offered: &Offered, dice: &mut dyn Dice) -> Gets {
        let payloads = negotiate::engine_payloads(offered.media, &offered.payloads);
        let has_rtx = payloads.iter().any(|payload| payload.rtx.is_some());
        let is_mix = offered.media == Media::Audio;
        Gets {
            leg,
            offered: offered.clone(),
            source: dice.number(),
            rtx: has_rtx.then(|| dice.number()),
            shown: is_mix.then(|| TrackId(dice.id())),
        }
    }

    pub(super) fn begin(&self, dice: &mut dyn Dice, fx: &mut Effects) {
        let Offered { mid, media, .. } = self.offered.clone();
        let payloads = match media {
            Media::Audio => {
                let opus = negotiate::engine_payloads(media, &self.offered.payloads);
                opus.first().map(|opus| (MIXED.pt, opus.pt)).into_iter().collect()
            }
            // They are known when it is known whose picture it is.
            Media::Video => Vec::new(),
        };
        // A picture begins as that of nobody.
        let track = self.shown.unwrap_or_else(|| TrackId(dice.id()));
        if media == Media::Audio {
            let (sources, layers) = (Vec::new(), Vec::new());
            let mix =
                TrackSpec { track, mid: mid.clone(), media, sources, layers, forwarded: true };
            fx.media.push(Command::AddMix { leg: self.leg, track: mix });
        }
        let output = OutputSpec { track, mid, media, source: self.source, rtx: self.rtx, payloads };
        fx.media.push(Command::AddOutput { leg: self.leg, output });
    }

    /// What it is sent as.
    fn sources(&self, stream: &str) -> (Vec<Source>, Vec<SourceGroup>) {
        let name = format!("{stream} {stream}-{}", self.offered.mid.as_str());
        let parameters = [("cname", stream), ("msid", &name)];
        let source = |ssrc: u32| Source {
            ssrc,
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        let pair = self.rtx.map(|rtx| vec![self.source, rtx]);
        let group = |sources| SourceGroup { semantics: "FID".to_owned(), sources };
        let sources = std::iter::once(self.source).chain(self.rtx).map(source);
        (sources.collect(), pair.map(group).into_iter().collect())
    }
}

pub(super) fn openings(transports: Vec<Offer>, dice: &mut dyn Dice) -> Vec<Opening> {
    let open = |offer| Opening { leg: LegId(dice.id()), local: fresh(dice), offer };
    transports.into_iter().map(open).collect()
}

fn plain_side(openings: &[Opening], offer: &PlainOffer, dice: &mut dyn Dice) -> Plain {
    let mut gets = Vec::new();
    for Opening { leg, offer: part, .. } in openings {
        for offered in part.contents.iter().filter(|it| offer.receives.contains(&it.mid)) {
            gets.push(Gets::new(*leg, offered, dice));
        }
    }
    let others = openings.iter().skip(1).filter_map(|opening| {
        let content = opening.offer.contents.first()?;
        Some((content.mid.clone(), opening.leg))
    });
    Plain { others: others.collect(), is_bundled: offer.is_bundled, gets }
}

/// Who sends, as the initiator is the client.
pub(super) fn senders(client: bool, focus: bool) -> Senders {
    match (client, focus) {
        (true, true) => Senders::Both,
        (true, false) => Senders::Initiator,
        (false, true) => Senders::Responder,
        (false, false) => Senders::None,
    }
}
