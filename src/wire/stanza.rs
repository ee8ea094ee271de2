//! Messages, presences and IQs as the router sees them (RFC 6120, section 8).
//!
//! The header is parsed, the payload is shared: a copy for another recipient costs a header, and
//! the payload is serialised once for all of them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use compact_str::CompactString;
use thiserror::Error;

use crate::error::StanzaError;
use crate::jid::{Jid, JidError};
use crate::ns;
use crate::xml::{Attr, Element, Node, Ns, write_attribute, write_element};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Iq,
    Message,
    Presence,
}

/// Names the stored copy of a stanza. Whoever stored it removes it once the client has the stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredCopy(pub i64);

/// A stanza. Cloning it shares the payload.
#[derive(Clone, Debug)]
pub struct Stanza {
    pub kind: Kind,
    pub from: Option<Jid>,
    pub to: Option<Jid>,
    pub id: Option<CompactString>,
    /// The `type` attribute as it came; see [`Stanza::message_type`] and its siblings.
    pub type_: Option<CompactString>,
    pub lang: Option<CompactString>,
    /// Attributes that the core specification does not define; carried along unharmed.
    pub extra_attrs: Vec<Attr>,
    /// Children that only this copy carries, such as its recipient's `<stanza-id/>`.
    pub stamps: Vec<Element>,
    /// Where a copy of it waits until the client has it; never sent.
    pub stored: Option<StoredCopy>,
    payload: Arc<Payload>,
}

#[derive(Debug, Default)]
struct Payload {
    nodes: Vec<Node>,
    /// The children as written where `jabber:client` is the default namespace.
    serialised: OnceLock<Bytes>,
}

/// RFC 6121, section 5.2.2. An unknown type counts as normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    Chat,
    Error,
    Groupchat,
    Headline,
    Normal,
}

/// RFC 6121, section 4.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresenceType {
    Available,
    Error,
    Probe,
    Subscribe,
    Subscribed,
    Unavailable,
    Unsubscribe,
    Unsubscribed,
}

/// RFC 6120, section 8.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IqType {
    Error,
    Get,
    Result,
    Set,
}

/// Why an element is no stanza that can be routed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StanzaParseError {
    /// Ends the stream with `unsupported-stanza-type` (RFC 6120, section 4.9.3.24).
    #[error("not a message, presence or iq of this stream's namespace")]
    NotAStanza,
    /// Answered with a `jid-malformed` error.
    #[error("bad {attribute} address: {error}")]
    BadAddress { attribute: &'static str, error: JidError },
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Iq => "iq",
            Kind::Message => "message",
            Kind::Presence => "presence",
        }
    }

    fn of(element: &Element) -> Option<Kind> {
        if element.ns() != ns::CLIENT {
            return None;
        }
        match element.name() {
            "iq" => Some(Kind::Iq),
            "message" => Some(Kind::Message),
            "presence" => Some(Kind::Presence),
            _ => None,
        }
    }
}

impl Stanza {
    pub fn new(kind: Kind) -> Stanza {
        Stanza {
            kind,
            from: None,
            to: None,
            id: None,
            type_: None,
            lang: None,
            extra_attrs: Vec::new(),
            stamps: Vec::new(),
            stored: None,
            payload: Arc::default(),
        }
    }

    pub fn message(type_: MessageType) -> Stanza {
        Stanza::new(Kind::Message).with_type(type_.name())
    }

    pub fn presence(type_: PresenceType) -> Stanza {
        let stanza = Stanza::new(Kind::Presence);
        if type_ == PresenceType::Available { stanza } else { stanza.with_type(type_.name()) }
    }

    pub fn iq(type_: IqType, id: impl Into<CompactString>) -> Stanza {
        Stanza::new(Kind::Iq).with_type(type_.name()).with_id(id)
    }

    /// Takes an element of namespace `jabber:client` apart.
    pub fn from_element(element: Element) -> Result<Stanza, StanzaParseError> {
        let kind = Kind::of(&element).ok_or(StanzaParseError::NotAStanza)?;
        let address = |attribute: &'static str| match element.attr(attribute) {
            None => Ok(None),
            Some(text) => text
                .parse::<Jid>()
                .map(Some)
                .map_err(|error| StanzaParseError::BadAddress { attribute, error }),
        };
        let mut stanza = Stanza::new(kind);
        stanza.from = address("from")?;
        stanza.to = address("to")?;
        let (_, _, attrs, nodes) = element.into_parts();
        for attr in attrs {
            match (&*attr.ns, attr.name.as_str()) {
                ("", "from" | "to") => {}
                ("", "id") => stanza.id = Some(attr.value),
                ("", "type") => stanza.type_ = Some(attr.value),
                (ns, "lang") if *ns == *Ns::XML => stanza.lang = Some(attr.value),
                _ => stanza.extra_attrs.push(attr),
            }
        }
        stanza.payload = Arc::new(Payload { nodes, serialised: OnceLock::new() });
        Ok(stanza)
    }

    pub fn with_from(mut self, from: impl Into<Jid>) -> Stanza {
        self.from = Some(from.into());
        self
    }

    pub fn with_to(mut self, to: impl Into<Jid>) -> Stanza {
        self.to = Some(to.into());
        self
    }

    pub fn with_id(mut self, id: impl Into<CompactString>) -> Stanza {
        self.id = Some(id.into());
        self
    }

    pub fn with_type(mut self, type_: &str) -> Stanza {
        self.type_ = Some(type_.into());
        self
    }

    pub fn with_child(mut self, child: Element) -> Stanza {
        self.edit(|nodes| nodes.push(Node::Element(child)));
        self
    }

    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Stanza {
        self.edit(|nodes| nodes.extend(children.into_iter().map(Node::Element)));
        self
    }

    pub fn message_type(&self) -> MessageType {
        match self.type_.as_deref() {
            Some("chat") => MessageType::Chat,
            Some("error") => MessageType::Error,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            _ => MessageType::Normal,
        }
    }

    /// `None` for a type that RFC 6121 does not know; such a presence is refused.
    pub fn presence_type(&self) -> Option<PresenceType> {
        Some(match self.type_.as_deref() {
            None => PresenceType::Available,
            Some("error") => PresenceType::Error,
            Some("probe") => PresenceType::Probe,
            Some("subscribe") => PresenceType::Subscribe,
            Some("subscribed") => PresenceType::Subscribed,
            Some("unavailable") => PresenceType::Unavailable,
            Some("unsubscribe") => PresenceType::Unsubscribe,
            Some("unsubscribed") => PresenceType::Unsubscribed,
            Some(_) => return None,
        })
    }

    /// `None` for a missing or unknown type; such an IQ is refused.
    pub fn iq_type(&self) -> Option<IqType> {
        match self.type_.as_deref()? {
            "error" => Some(IqType::Error),
            "get" => Some(IqType::Get),
            "result" => Some(IqType::Result),
            "set" => Some(IqType::Set),
            _ => None,
        }
    }

    pub fn is_error(&self) -> bool {
        self.type_.as_deref() == Some("error")
    }

    /// The shared children first, then this copy's stamps.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.payload.nodes.iter().filter_map(Node::as_element).chain(&self.stamps)
    }

    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, ns))
    }

    pub fn has_child(&self, name: &str, ns: &str) -> bool {
        self.child(name, ns).is_some()
    }

    /// The text of the first `<body/>`.
    pub fn body(&self) -> Option<String> {
        self.child("body", ns::CLIENT).map(|body| body.text().into_owned())
    }

    /// Drops children for which `keep` does not hold; costs nothing when all stay.
    pub fn retain_children(&mut self, keep: impl Fn(&Element) -> bool) {
        if self.payload.nodes.iter().filter_map(Node::as_element).all(&keep) {
            self.stamps.retain(&keep);
            return;
        }
        self.edit(|nodes| nodes.retain(|node| node.as_element().is_none_or(&keep)));
        self.stamps.retain(&keep);
    }

    /// Changes the children of this copy; other copies keep theirs.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<Node>)) {
        let mut nodes = match Arc::get_mut(&mut self.payload) {
            Some(payload) => std::mem::take(&mut payload.nodes),
            None => self.payload.nodes.clone(),
        };
        change(&mut nodes);
        self.payload = Arc::new(Payload { nodes, serialised: OnceLock::new() });
    }

    /// The stanza as an element of namespace `jabber:client`, for embedding in another.
    pub fn to_element(&self) -> Element {
        let mut element = Element::new(self.kind.name(), ns::CLIENT);
        let pairs = [("from", self.from.as_ref()), ("to", self.to.as_ref())];
        for (name, jid) in pairs {
            if let Some(jid) = jid {
                element.set_attr(name, jid.to_string());
            }
        }
        let pairs = [("id", self.id.as_ref()), ("type", self.type_.as_ref())];
        for (name, value) in pairs {
            if let Some(value) = value {
                element.set_attr(name, value.clone());
            }
        }
        if let Some(lang) = &self.lang {
            element.set_attr_ns(Ns::XML, "lang", lang.clone());
        }
        for attr in &self.extra_attrs {
            element.set_attr_ns(attr.ns.clone(), &attr.name, attr.value.clone());
        }
        let (name, ns, attrs, _) = element.into_parts();
        let stamps = self.stamps.iter().cloned().map(Node::Element);
        let nodes = self.payload.nodes.iter().cloned().chain(stamps).collect();
        Element::from_parts(name, ns, attrs, nodes)
    }

    /// Appends the stanza where `default_ns` is the default namespace in force. On the stream of a
    /// server or a component it takes that stream's namespace, and so do its children: what is written
    /// without a namespace is in the one around it.
    pub fn write(&self, out: &mut Vec<u8>, default_ns: &str) {
        let name = self.kind.name().as_bytes();
        out.push(b'<');
        out.extend_from_slice(name);
        if !matches!(default_ns, ns::CLIENT | ns::SERVER | ns::COMPONENT_ACCEPT) {
            write_attribute(out, "xmlns", ns::CLIENT);
        }
        self.write_header(out);
        let payload = self.serialised();
        if payload.is_empty() && self.stamps.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        out.extend_from_slice(payload);
        for stamp in &self.stamps {
            write_element(out, stamp, ns::CLIENT);
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(name);
        out.push(b'>');
    }

    /// The stanza as a document of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.weight());
        self.write(&mut out, "");
        out
    }

    /// Roughly how many bytes this copy occupies in a queue.
    pub fn weight(&self) -> usize {
        const HEADER: usize = 320;
        HEADER + self.serialised().len() + 128 * self.stamps.len()
    }

    fn write_header(&self, out: &mut Vec<u8>) {
        if let Some(from) = &self.from {
            write_attribute(out, "from", from.as_str());
        }
        if let Some(to) = &self.to {
            write_attribute(out, "to", to.as_str());
        }
        if let Some(id) = &self.id {
            write_attribute(out, "id", id);
        }
        if let Some(type_) = &self.type_ {
            write_attribute(out, "type", type_);
        }
        if let Some(lang) = &self.lang {
            write_attribute(out, "xml:lang", lang);
        }
        crate::xml::write_attributes(out, &self.extra_attrs);
    }

    fn serialised(&self) -> &Bytes {
        self.payload.serialised.get_or_init(|| {
            let mut out = Vec::with_capacity(256);
            for node in &self.payload.nodes {
                match node {
                    Node::Element(child) => write_element(&mut out, child, ns::CLIENT),
                    Node::Text(text) => crate::xml::write_escaped_text(&mut out, text),
                }
            }
            out.into()
        })
    }
}

/// Answers.
impl Stanza {
    /// The result for an IQ request, from its addressee to its sender.
    pub fn result(&self, payload: Option<Element>) -> Stanza {
        let mut answer = self.answer("result");
        if let Some(payload) = payload {
            answer.edit(|nodes| nodes.push(Node::Element(payload)));
        }
        answer
    }

    /// The error answer (RFC 6120, section 8.3.1). `None` where one is forbidden: errors are
    /// never answered with errors, results neither.
    pub fn refusal(&self, error: &StanzaError) -> Option<Stanza> {
        let forbidden =
            self.is_error() || (self.kind == Kind::Iq && self.iq_type() == Some(IqType::Result));
        if forbidden {
            return None;
        }
        let mut answer = self.answer("error");
        answer.edit(|nodes| nodes.push(Node::Element(error.to_element(ns::CLIENT))));
        Some(answer)
    }

    fn answer(&self, type_: &str) -> Stanza {
        let mut answer = Stanza::new(self.kind).with_type(type_);
        answer.from = self.to.clone();
        answer.to = self.from.clone();
        answer.id = self.id.clone();
        answer
    }
}

impl MessageType {
    pub fn name(self) -> &'static str {
        match self {
            MessageType::Chat => "chat",
            MessageType::Error => "error",
            MessageType::Groupchat => "groupchat",
            MessageType::Headline => "headline",
            MessageType::Normal => "normal",
        }
    }
}

impl PresenceType {
    /// The value of the `type` attribute; empty for availability.
    pub fn name(self) -> &'static str {
        match self {
            PresenceType::Available => "",
            PresenceType::Error => "error",
            PresenceType::Probe => "probe",
            PresenceType::Subscribe => "subscribe",
            PresenceType::Subscribed => "subscribed",
            PresenceType::Unavailable => "unavailable",
            PresenceType::Unsubscribe => "unsubscribe",
            PresenceType::Unsubscribed => "unsubscribed",
        }
    }

    /// One of the four that change subscriptions (RFC 6121, section 3).
    pub fn is_subscription(self) -> bool {
        use PresenceType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
        matches!(self, Subscribe | Subscribed | Unsubscribe | Unsubscribed)
    }
}

impl IqType {
    pub fn name(self) -> &'static str {
        match self {
            IqType::Error => "error",
            IqType::Get => "get",
            IqType::Result => "result",
            IqType::Set => "set",
        }
    }
}
