//! A conference as plain state: sessions of those who are in it. Its methods take what somebody
//! asks and say in [`Effects`] what is to be sent and what the media engine has to do.

mod changes;
mod data;
mod join;
mod leave;
mod offers;
mod plain;
mod receive;
mod roster;
#[cfg(test)]
mod tests;
mod upgrade;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use wello_sfu::api::{Command, ConferenceId, Credentials, Fingerprint, LegId, Media, Mid, TrackId};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::jingle::{
    Action, Candidate, Fingerprint as WireFingerprint, Jingle, Setup, Transport,
};
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

pub use self::join::Caller;
pub use self::leave::Parting;
use self::plain::Plain;
use super::dialects::{Adapter, Dialect, Numbers};
use super::negotiate::{Offered, OfferedData};
use super::recording::Origin;

/// What a request leads to, in this order.
#[derive(Debug, Default)]
pub struct Effects {
    pub out: Vec<Stanza>,
    pub media: Vec<Command>,
    pub roster_changed: bool,
}

/// What does not change while there is the conference.
#[derive(Clone, Debug)]
pub struct Here {
    pub addresses: Vec<SocketAddr>,
    pub fingerprint: Fingerprint,
    pub participants: usize,
    pub streams: usize,
    /// Clients that get the others mixed.
    pub mixes: usize,
    /// What may be sent.
    pub media: Vec<Media>,
}

/// Gives ids, names and numbers that nobody can guess. Tests count.
pub trait Dice {
    fn id(&mut self) -> u64;
    fn name(&mut self) -> String;
    fn number(&mut self) -> u32;
}

/// An occupant of the room, as the room tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The device.
    pub jid: FullJid,
    /// `room@service/nick`.
    pub occupant: FullJid,
    /// May be heard.
    pub voice: bool,
    pub moderates: bool,
    pub sees_addresses: bool,
    /// Shows in the room that it is in a call (XEP-0272).
    pub shows_call: bool,
    /// Its client is Movim, which joins in its own way.
    pub speaks_movim: bool,
}

pub struct Conference {
    pub id: ConferenceId,
    pub focus: BareJid,
    here: Here,
    people: BTreeMap<FullJid, Person>,
    /// The sound of who speaks, or spoke last.
    speaker: Option<TrackId>,
    recorded: bool,
    /// Of the roster.
    version: u32,
}

/// A device that has joined.
pub struct Person {
    guest: Guest,
    dialect: Dialect,
    /// The address that it has called, from which it is answered.
    called: Jid,
    /// What it sends: never empty.
    ups: Vec<Up>,
    /// What it gets.
    downs: Vec<Down>,
    /// Contents that were offered to it so far.
    offered: u64,
    /// It gets all others as one.
    plain: Option<Plain>,
    /// Of how many who have spoken last it wants to see the cameras.
    view: Option<usize>,
}

/// A session by which somebody sends.
pub struct Up {
    sid: String,
    /// Names what is sent by it, to everybody.
    stream: String,
    leg: LegId,
    contents: Vec<Sent>,
    /// Data channels: the others of those who have them get what is written.
    data: Option<OfferedData>,
    /// Media has passed.
    connected: bool,
}

/// A content that is sent.
#[derive(Clone)]
pub struct Sent {
    offered: Offered,
    track: TrackId,
    /// Whether the client wants to send: not held.
    sending: bool,
    muted: bool,
}

/// A transport over which somebody gets what others send. How many there are, and of which session
/// they are, is the dialect's affair.
pub struct Down {
    sid: String,
    leg: LegId,
    local: Credentials,
    /// The client has told its side: the engine has it.
    open: bool,
    /// The request by which contents were offered that are not answered yet. There is one at the
    /// most: clients translate it into SDP, where offers must not overlap (RFC 3264, section 4).
    asked: Option<String>,
    numbers: Numbers,
    contents: Vec<Got>,
    /// Names of contents that were got and are gone, where they are given again.
    free: Vec<(Media, Mid)>,
}

/// A content that is got.
pub struct Got {
    track: TrackId,
    sender: Guest,
    /// That of the [`Up`].
    stream: String,
    /// What the sender calls it.
    origin: Mid,
    /// As the receiver is told.
    offered: Offered,
    /// The sender's payload types and what they are called in `offered`.
    numbers: Vec<(u8, u8)>,
    source: u32,
    rtx: Option<u32>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It will be offered once what was offered before is answered.
    Waiting,
    Offered,
    /// Accepted: the engine sends it.
    Sent,
    /// It is not offered again.
    Declined,
}

impl Person {
    fn adapter(&self) -> &'static dyn Adapter {
        self.dialect.adapter()
    }

    fn sends(&self, sid: &str) -> bool {
        self.ups.iter().any(|up| up.sid == sid)
    }

    /// The session of a transport by which it sends.
    fn sends_over(&self, leg: LegId) -> Option<&str> {
        let up = self.ups.iter().find(|up| up.leg == leg);
        let plain = || self.plain.as_ref().filter(|plain| plain.has(leg)).and(self.ups.first());
        up.or_else(plain).map(|up| up.sid.as_str())
    }

    /// Has the engine know how many cameras it wants to see.
    fn tell_view(&self, fx: &mut Effects) {
        let own: Vec<LegId> = self.ups.iter().map(|up| up.leg).collect();
        let open = self.downs.iter().filter(|down| down.open);
        let watch =
            |down: &Down| Command::Watch { leg: down.leg, speakers: self.view, own: own.clone() };
        fx.media.extend(open.map(watch));
    }

    /// The session that it has joined by.
    fn home(&self) -> &str {
        self.ups.first().map_or("", |up| &up.sid)
    }
}

impl Down {
    fn with(&self, progress: Progress) -> impl Iterator<Item = &Got> {
        self.contents.iter().filter(move |got| got.progress == progress)
    }

    fn is_empty(&self) -> bool {
        self.contents.iter().all(|got| got.progress == Progress::Declined)
    }
}

impl Conference {
    pub fn new(id: ConferenceId, focus: BareJid, here: Here) -> Conference {
        let people = BTreeMap::new();
        Conference { id, focus, here, people, speaker: None, recorded: false, version: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Whether somebody sends by this session.
    pub fn sends(&self, jid: &FullJid, sid: &str) -> bool {
        self.people.get(jid).is_some_and(|person| person.sends(sid))
    }

    /// Whether a transport is one of its own.
    pub fn has(&self, leg: LegId) -> bool {
        self.people.values().any(|person| {
            person.sends_over(leg).is_some() || person.downs.iter().any(|down| down.leg == leg)
        })
    }

    pub fn has_joined(&self, jid: &FullJid) -> bool {
        self.people.contains_key(jid)
    }

    /// From now on it is recorded, or not any more.
    pub fn record(&mut self, on: bool, dice: &mut dyn Dice, fx: &mut Effects) {
        self.recorded = on;
        fx.media.push(Command::Record { conference: self.id, on });
        self.tell_roster(dice, fx);
    }

    /// Whose the tracks are.
    pub fn origins(&self) -> HashMap<TrackId, Origin> {
        let mut origins = HashMap::new();
        for person in self.people.values() {
            for up in &person.ups {
                let (stream, occupant) = (up.stream.clone(), person.guest.occupant.to_string());
                let origin = Origin { stream, occupant };
                origins.extend(up.contents.iter().map(|sent| (sent.track, origin.clone())));
            }
        }
        origins
    }

    /// All transports, and whose they are.
    pub fn transports(&self) -> HashMap<LegId, FullJid> {
        let of = |person: &Person| {
            let ups = person.ups.iter().map(|up| up.leg);
            let downs = person.downs.iter().map(|down| down.leg);
            let plain = person.plain.iter().flat_map(|plain| &plain.others).map(|(_, leg)| *leg);
            let legs: Vec<LegId> = ups.chain(downs).chain(plain).collect();
            let occupant = person.guest.occupant.clone();
            legs.into_iter().map(move |leg| (leg, occupant.clone()))
        };
        self.people.values().flat_map(of).collect()
    }

    /// All devices that are in it.
    pub fn devices(&self) -> impl Iterator<Item = &FullJid> {
        self.people.keys()
    }

    /// Sends a request; returns its id, by which an error names it.
    fn request(
        &self,
        to: &FullJid,
        payload: Element,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> String {
        let person = self.people.get(to);
        let called =
            person.map_or_else(|| self.focus.clone().into(), |person| person.called.clone());
        self.request_as(called, to, payload, dice, fx)
    }

    fn request_as(
        &self,
        called: Jid,
        to: &FullJid,
        payload: Element,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> String {
        let id = format!("focus{}", dice.id());
        let stanza = Stanza::iq(IqType::Set, id.clone()).with_from(called);
        fx.out.push(stanza.with_to(to.clone()).with_child(payload));
        id
    }

    fn send(&self, to: &FullJid, jingle: &Jingle, dice: &mut dyn Dice, fx: &mut Effects) {
        self.request(to, jingle.to_element(), dice, fx);
    }

    /// Our side of a transport.
    fn transport(&self, local: &Credentials, setup: Option<Setup>) -> Transport {
        let candidates = self.here.addresses.iter().enumerate();
        let candidates = candidates.flat_map(|(place, address)| candidates_at(place, *address));
        Transport {
            ufrag: Some(local.ufrag.clone()),
            password: Some(local.password.clone()),
            fingerprint: Some(WireFingerprint {
                hash: self.here.fingerprint.hash.clone(),
                bytes: self.here.fingerprint.bytes.clone(),
                setup,
            }),
            candidates: candidates.collect(),
            sctp: None,
        }
    }
}

/// Host candidates by UDP and by TCP (RFC 6544), which is for whom no UDP reaches: it comes last.
/// RFC 8445, section 5.1.2.1: earlier addresses first.
fn candidates_at(place: usize, address: SocketAddr) -> [Candidate; 2] {
    const PASSIVE: u32 = 4 << 13;
    let later = u32::try_from(place).unwrap_or(u32::MAX);
    let candidate = |protocol: &str, type_preference: u32, preference: u32| Candidate {
        id: format!("{protocol}{place}"),
        foundation: format!("{protocol}{}", place + 1),
        generation: 0,
        address: Some(address.ip()),
        port: address.port(),
        priority: (type_preference << 24) | (preference.saturating_sub(later) << 8) | 255,
        protocol: protocol.to_owned(),
        kind: "host".to_owned(),
        tcptype: (protocol == "tcp").then(|| "passive".to_owned()),
    };
    [candidate("udp", 126, 65_535), candidate("tcp", 90, PASSIVE + 8191)]
}

/// New credentials of ours; letters and digits are allowed in both (RFC 8839, section 5.4).
fn fresh(dice: &mut dyn Dice) -> Credentials {
    let mut alphanumeric = |length: usize| {
        let mut text = String::new();
        while text.len() < length {
            text.extend(dice.name().chars().filter(char::is_ascii_alphanumeric));
        }
        text.truncate(length);
        text
    };
    Credentials { ufrag: alphanumeric(16), password: alphanumeric(32) }
}

/// XEP-0166, section 10.
pub fn unknown_session() -> StanzaError {
    let mut error = StanzaError::item_not_found("no such session");
    error.application = Some(Box::new(Element::new("unknown-session", ns::JINGLE_ERRORS)));
    error
}

fn out_of_order(text: &str) -> StanzaError {
    let mut error = StanzaError::unexpected_request(text);
    error.application = Some(Box::new(Element::new("out-of-order", ns::JINGLE_ERRORS)));
    error
}

fn session(action: Action, sid: &str) -> Jingle {
    Jingle::new(action, sid)
}
