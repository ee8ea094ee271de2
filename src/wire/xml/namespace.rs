//! XML namespace names, cheap to clone and to compare.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A namespace name. Names this program knows cost nothing to clone; others are shared.
#[derive(Clone)]
pub struct Ns(Repr);

#[derive(Clone)]
enum Repr {
    Known(&'static str),
    Foreign(Arc<str>),
}

impl Ns {
    /// No namespace at all, as on unprefixed attributes.
    pub const NONE: Ns = Ns(Repr::Known(""));
    /// The namespace of `xml:lang`.
    pub const XML: Ns = Ns(Repr::Known(XML));

    /// Takes a name from the wire, without allocating when it is a usual one.
    pub fn intern(name: &str) -> Ns {
        match USUAL.iter().find(|known| **known == name) {
            Some(known) => Ns(Repr::Known(known)),
            None => Ns(Repr::Foreign(name.into())),
        }
    }

    /// The name as text; empty for "no namespace".
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Known(name) => name,
            Repr::Foreign(name) => name,
        }
    }
}

impl From<&'static str> for Ns {
    fn from(name: &'static str) -> Ns {
        Ns(Repr::Known(name))
    }
}

impl Deref for Ns {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Ns {
    fn eq(&self, other: &Ns) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Ns {}

impl PartialEq<str> for Ns {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl Hash for Ns {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Ns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The namespace bound to the prefix `xml` (Namespaces in XML 1.0, section 3).
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Found in most stanzas; the most frequent stand first because the search is linear.
const USUAL: &[&str] = &[
    "jabber:client",
    "urn:xmpp:sm:3",
    "",
    "http://etherx.jabber.org/streams",
    "urn:xmpp:receipts",
    "http://jabber.org/protocol/chatstates",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:sid:0",
    "urn:xmpp:hints",
    "http://jabber.org/protocol/caps",
    "eu.siacs.conversations.axolotl",
    "urn:xmpp:eme:0",
    "jabber:iq:roster",
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "urn:xmpp:ping",
    "urn:xmpp:mam:2",
    "jabber:x:data",
    "http://jabber.org/protocol/rsm",
    "http://jabber.org/protocol/muc",
    "http://jabber.org/protocol/muc#user",
    "http://jabber.org/protocol/pubsub",
    "http://jabber.org/protocol/pubsub#event",
    "urn:ietf:params:xml:ns:xmpp-sasl",
    "urn:ietf:params:xml:ns:xmpp-tls",
    "urn:ietf:params:xml:ns:xmpp-bind",
    "urn:ietf:params:xml:ns:xmpp-stanzas",
    "urn:xmpp:sasl:2",
    "urn:xmpp:carbons:2",
    "urn:xmpp:forward:0",
    "urn:xmpp:delay",
    "urn:xmpp:csi:0",
    "jabber:server",
    XML,
];
