//! A conference as plain state: sessions of those who are in it. Its methods take what somebody
//! asks and say in [`Effects`] what is to be sent and what the media engine has to do.

mod changes;
mod join;
mod leave;
mod receive;
mod roster;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wello_sfu::api::{Command, ConferenceId, Credentials, Fingerprint, LegId, TrackId};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::ns;
use wello_wire::payload::jingle::{
    Action, Candidate, Content, Fingerprint as WireFingerprint, Jingle, Party, Setup, Transport,
};
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

pub use self::leave::Parting;
use super::negotiate::Offered;

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
    pub sees_addresses: bool,
}

pub struct Conference {
    pub id: ConferenceId,
    pub focus: BareJid,
    here: Here,
    people: BTreeMap<FullJid, Person>,
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
        Conference { id, focus, here, people: BTreeMap::new(), version: 0 }
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
            Some((jid, up.or_else(down)?.as_str()))
        })
    }

    /// All devices that are in it.
    pub fn devices(&self) -> impl Iterator<Item = &FullJid> {
        self.people.keys()
    }

    fn stanza(&self, to: &FullJid, id: String, payload: Element) -> Stanza {
        Stanza::iq(IqType::Set, id)
            .with_from(self.focus.clone())
            .with_to(to.clone())
            .with_child(payload)
    }

    fn send(&self, to: &FullJid, jingle: &Jingle, dice: &mut dyn Dice, fx: &mut Effects) {
        // An error names the session by its id.
        let id = format!("{}.{}", jingle.sid, dice.id());
        fx.out.push(self.stanza(to, id, jingle.to_element()));
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
