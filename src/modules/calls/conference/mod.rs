//! A conference as plain state: sessions of those who are in it. Its methods take what somebody
//! asks and say in [`Effects`] what is to be sent and what the media engine has to do.

mod changes;
mod join;
mod leave;
mod plain;
mod receive;
mod roster;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use wello_sfu::api::{Command, ConferenceId, Credentials, Fingerprint, LegId, TrackId};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::jingle::{
    Action, Candidate, Content, Fingerprint as WireFingerprint, Jingle, Party, Setup, Transport,
};
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

pub use self::leave::Parting;
use self::plain::Plain;
use super::negotiate::Offered;
use super::recording::Origin;

/// What a request leads to, in this order.
#[derive(Debug, Default)]
pub struct Effects {
    pub out: Vec<Stanza>,
    pub media: Vec<Command>,
}

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub struct Here {
    pub addresses: Vec<SocketAddr>,
    pub fingerprint: Fingerprint,
    pub participants: usize,
    pub streams: usize,
    /// Clients that get the others mixed.
    pub mixes: usize,
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
    /// What it sends: never empty.
    ups: Vec<Up>,
    /// What it gets.
    downs: Vec<Down>,
    /// It gets all others as one.
    plain: Option<Plain>,
}

/// A session by which somebody sends.
pub struct Up {
    sid: String,
    /// Names what is sent by it, to everybody.
    stream: String,
    leg: LegId,
    contents: Vec<Sent>,
    /// Media has passed.
    connected: bool,
}

/// A content that is sent.
pub struct Sent {
    offered: Offered,
    track: TrackId,
    /// Whether the client wants to send: not held.
    sending: bool,
    muted: bool,
}

/// A session by which somebody gets what another one sends.
pub struct Down {
    sid: String,
    /// That of the [`Up`].
    stream: String,
    sender: FullJid,
    leg: LegId,
    local: Credentials,
    accepted: bool,
    contents: Vec<Got>,
}

/// A content that is got.
pub struct Got {
    track: TrackId,
    offered: Offered,
    source: u32,
    rtx: Option<u32>,
    /// The engine sends it: it was accepted.
    sent: bool,
}

impl Conference {
    pub fn new(id: ConferenceId, focus: BareJid, here: Here) -> Conference {
        Conference {
            id,
            focus,
            here,
            people: BTreeMap::new(),
            speaker: None,
            recorded: false,
            version: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Whether somebody sends by this session.
    pub fn sends(&self, jid: &FullJid, sid: &str) -> bool {
        self.people.get(jid).is_some_and(|person| person.ups.iter().any(|up| up.sid == sid))
    }

    /// Finds out whose a transport is.
    pub fn owner(&self, leg: LegId) -> Option<(&FullJid, &str)> {
        self.people.iter().find_map(|(jid, person)| {
            let up = person.ups.iter().find(|up| up.leg == leg).map(|up| &up.sid);
            let down = || person.downs.iter().find(|down| down.leg == leg).map(|down| &down.sid);
            let plain = || person.plain.as_ref().filter(|plain| plain.has(leg));
            let plain = || plain().and(person.ups.first()).map(|up| &up.sid);
            Some((jid, up.or_else(down).or_else(plain)?.as_str()))
        })
    }

    /// From now on it is recorded, or not any more.
    pub fn record(&mut self, on: bool, dice: &mut dyn Dice, fx: &mut Effects) {
        self.recorded = on;
        fx.media.push(Command::Record { conference: self.id, on });
        self.tell_roster(dice, fx);
    }

    /// Whose the tracks are.
    pub fn origins(&self) -> HashMap<TrackId, Origin> {
        let of = |person: &Person, up: &Up, sent: &Sent| {
            let (stream, occupant) = (up.stream.clone(), person.guest.occupant.to_string());
            (sent.track, Origin { stream, occupant })
        };
        let ups =
            self.people.values().flat_map(|person| person.ups.iter().map(move |up| (person, up)));
        ups.flat_map(|(person, up)| up.contents.iter().map(move |sent| of(person, up, sent)))
            .collect()
    }

    /// All devices that are in it.
    pub fn devices(&self) -> impl Iterator<Item = &FullJid> {
        self.people.keys()
    }

    fn send(&self, to: &FullJid, jingle: &Jingle, dice: &mut dyn Dice, fx: &mut Effects) {
        let plain = self.people.get(to).and_then(|person| person.plain.as_ref());
        let from = plain.map_or_else(|| self.focus.clone().into(), |plain| plain.at.clone());
        self.send_from(&from, to, jingle, dice, fx);
    }

    /// `from`: the address by which the client knows the focus.
    fn send_from(
        &self,
        from: &Jid,
        to: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        // An error names the session by its id.
        let id = format!("{}.{}", jingle.sid, dice.id());
        fx.out.push(request(from.clone(), to, id, jingle.to_element()));
    }

    /// Our side of a transport.
    fn transport(&self, local: &Credentials, setup: Option<Setup>) -> Transport {
        let candidates = self.here.addresses.iter().enumerate().map(|(place, address)| {
            // RFC 8445, section 5.1.2.1: a host candidate, earlier ones first.
            let preference = 65_535 - u32::try_from(place).unwrap_or(65_535).min(65_535);
            Candidate {
                id: format!("c{place}"),
                foundation: (place + 1).to_string(),
                generation: 0,
                address: Some(address.ip()),
                port: address.port(),
                priority: (126 << 24) | (preference << 8) | 255,
                protocol: "udp".to_owned(),
                kind: "host".to_owned(),
            }
        });
        Transport {
            ufrag: Some(local.ufrag.clone()),
            password: Some(local.password.clone()),
            fingerprint: Some(WireFingerprint {
                hash: self.here.fingerprint.hash.clone(),
                bytes: self.here.fingerprint.bytes.clone(),
                setup,
            }),
            candidates: candidates.collect(),
        }
    }
}

fn request(from: Jid, to: &FullJid, id: String, payload: Element) -> Stanza {
    Stanza::iq(IqType::Set, id).with_from(from).with_to(to.clone()).with_child(payload)
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

fn content(name: &str) -> Content {
    Content {
        creator: Party::Initiator,
        name: name.to_owned(),
        senders: None,
        description: None,
        transport: None,
    }
}

/// XEP-0298: whoever sends this is the focus of a conference.
fn is_focus(users: Option<Element>) -> Element {
    Element::new("conference-info", ns::COIN).with_attr("isfocus", "true").with_children(users)
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
