//! Dialects of Jingle in which clients speak with the focus. The conference decides who gets which
//! track over which transport; a dialect says it.

mod contents;
mod gathered;
mod numbers;
mod pair;
mod plain;
mod sessions;
#[cfg(test)]
mod tests;

use wello_sfu::api::Mid;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::jingle::{
    Action, Condition, Content, Jingle, Party, Reason, Senders, Transport,
};
use wello_wire::xml::Element;

use super::conference::Guest;
use super::plain::is_plain;

pub use self::numbers::{Numbers, SPOKEN};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A session of the focus for each stream: the ProtoXEP *Jingle Audio/Video Conferences*.
    Sessions,
    /// The same by one session of the focus: what our own clients ask for.
    Gathered,
    /// Everything within the client's own session: Movim.
    Contents,
    /// One session each way: `tigase:meet:0`.
    Pair,
    /// One session both ways: clients of calls between two, which get all others as one.
    Plain,
}

/// What a client has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The focus of a room.
    Focus,
    /// The room itself, or a call that was made without a room: both are addresses of
    /// `tigase:meet:0`.
    Meet,
}

/// The dialect of somebody who joins.
pub fn choose(door: Door, guest: &Guest, offer: &Jingle) -> Dialect {
    let has = |name, namespace| offer.others.iter().any(|other| other.is(name, namespace));
    let tagged = has(TAG, ns::JINGLE_PARTICIPANT);
    match door {
        Door::Meet => Dialect::Pair,
        Door::Focus if tagged || guest.speaks_movim => Dialect::Contents,
        Door::Focus if has("gather", ns::CALLS) => Dialect::Gathered,
        Door::Focus if is_plain(offer) => Dialect::Plain,
        Door::Focus => Dialect::Sessions,
    }
}

impl Dialect {
    pub fn adapter(self) -> &'static dyn Adapter {
        match self {
            Dialect::Sessions => &sessions::Sessions,
            Dialect::Gathered => &gathered::Gathered,
            Dialect::Contents => &contents::Contents,
            Dialect::Pair => &pair::Pair,
            Dialect::Plain => &plain::Plain,
        }
    }
}

/// What the dialects do each in its own way.
pub trait Adapter: Sync {
    /// Whether all that somebody gets comes over one transport.
    fn gathers(&self) -> bool {
        false
    }

    /// Whether names of contents that are gone are given to others. Descriptions in SDP do not
    /// grow then with all who come and go.
    fn names_again(&self) -> bool {
        false
    }

    /// Whether clients report on all that comes: their network is looked at, whoever sends later in
    /// layers, and all contents of a bundle say the same of a format.
    fn reports(&self) -> bool {
        false
    }

    /// Whether the transport stays when nothing is left on it.
    fn lingers(&self) -> bool {
        false
    }

    /// Whether what somebody gets belongs to the session that it has joined by.
    fn stays_home(&self) -> bool {
        false
    }

    /// Whether somebody gets all others as one sound and one picture: nothing is offered to it.
    fn mixes(&self) -> bool {
        false
    }

    /// Whether the client is told the roster and who speaks.
    fn is_told(&self) -> bool {
        false
    }

    /// What the receiver knows the sender's content as, `count` being different each time.
    fn name(&self, origin: &Mid, count: u64) -> Mid;

    /// `senders` of a content that the client sends, in the answer.
    fn taken(&self) -> Senders {
        Senders::Initiator
    }

    /// `senders` of what the client may not send any more.
    fn silenced(&self) -> Senders {
        Senders::None
    }

    /// Requests that offer contents.
    fn offer(&self, offer: Offer<'_>) -> Vec<Element>;

    /// Requests that take back contents that were offered.
    fn withdraw(&self, withdrawal: Withdrawal<'_>) -> Vec<Element>;

    /// Something about contents of one sender.
    fn inform(&self, sid: &str, _about: &Portion<'_>, others: Vec<Element>) -> Jingle {
        Jingle { others, ..Jingle::new(Action::SessionInfo, sid) }
    }
}

/// Contents that are offered together.
pub struct Offer<'a> {
    /// The address that the receiver has called.
    pub focus: &'a Jid,
    pub sid: &'a str,
    /// Nothing was offered on this transport before.
    pub is_first: bool,
    pub transport: Transport,
    /// Without their transport.
    pub contents: Vec<Content>,
    /// Names of all contents of the transport, these among them.
    pub bundle: Vec<String>,
    /// Whose they are: never empty.
    pub portions: Vec<Portion<'a>>,
}

/// Contents that are taken back together.
pub struct Withdrawal<'a> {
    pub sid: &'a str,
    /// What the receiver was told of, by sender; empty when that is nothing.
    pub portions: Vec<Portion<'a>>,
    /// Nothing else is left on the transport.
    pub is_last: bool,
    /// The transport was accepted.
    pub open: bool,
    /// What has gone wrong, if anything has.
    pub why: Option<Condition>,
}

/// What of a transport one sender's stream is, for one receiver.
pub struct Portion<'a> {
    pub sender: &'a Guest,
    pub receiver: &'a Guest,
    pub stream: &'a str,
    pub names: Vec<String>,
}

impl Offer<'_> {
    fn with_transport(&self) -> Vec<Content> {
        let content = |content: &Content| Content {
            transport: Some(self.transport.clone()),
            ..content.clone()
        };
        self.contents.iter().map(content).collect()
    }
}

impl Withdrawal<'_> {
    /// The end of the session with what is left of it, or else content-remove.
    fn end_or_removal(&self) -> Option<Jingle> {
        if !self.is_last {
            return self.removal();
        }
        let why = if self.open { Condition::Success } else { Condition::Cancel };
        Some(terminated(self.sid, why))
    }

    /// content-remove of everything in it.
    fn removal(&self) -> Option<Jingle> {
        let names = self.portions.iter().flat_map(|portion| &portion.names);
        let contents: Vec<Content> = names.map(|name| content(name)).collect();
        let reason = self.why.map(Reason::new);
        let removal =
            || Jingle { contents, reason, ..Jingle::new(Action::ContentRemove, self.sid) };
        (!self.portions.is_empty()).then(removal)
    }
}

impl Portion<'_> {
    /// The sender's address as the receiver may know it.
    fn address(&self) -> &str {
        address(self.sender, self.receiver)
    }
}

/// The address of a participant as another one may know it.
pub fn address<'a>(who: &'a Guest, viewer: &Guest) -> &'a str {
    match viewer.sees_addresses {
        true => who.jid.bare_str(),
        false => who.occupant.as_str(),
    }
}

/// A content of which there is nothing to say but its name.
pub fn content(name: &str) -> Content {
    Content {
        creator: Party::Initiator,
        name: name.to_owned(),
        senders: None,
        description: None,
        transport: None,
    }
}

/// The end of a session.
pub fn terminated(sid: &str, why: Condition) -> Jingle {
    Jingle { reason: Some(Reason::new(why)), ..Jingle::new(Action::SessionTerminate, sid) }
}

/// XEP-0298: whoever sends this is the focus of a conference.
pub fn is_focus(users: Option<Element>) -> Element {
    Element::new("conference-info", ns::COIN).with_attr("isfocus", "true").with_children(users)
}

/// Whose contents are offered (XEP-0298).
fn users(portions: &[Portion<'_>]) -> Element {
    let user = |portion: &Portion<'_>| {
        let name = portion.sender.occupant.resource();
        Element::new("user", ns::COIN)
            .with_attr("entity", format!("xmpp:{}", portion.address()))
            .with_child(Element::new("display-text", ns::COIN).with_text(name))
    };
    Element::new("users", ns::COIN).with_children(portions.iter().map(user))
}

/// Whose stream it is, in our own way.
fn stream(portion: &Portion<'_>) -> Element {
    Element::new("stream", ns::CALLS)
        .with_attr("id", portion.stream)
        .with_attr("occupant", portion.sender.occupant.as_str())
}

/// Names the participant in what Movim says and hears.
const TAG: &str = "jingle-participant";

/// A name that no other content has that the focus offers to somebody.
fn numbered(origin: &Mid, count: u64) -> Mid {
    // It fits for the first 10^15 contents.
    Mid::new(&format!("f{count}")).unwrap_or_else(|| origin.clone())
}
