//! Jingle (XEP-0166): sessions that two negotiate.

mod ice;
mod rtp;
#[cfg(test)]
pub(super) mod tests;

use super::{
    PayloadError,
    dom::{expect, owned, parsed, required},
};
use crate::{jid::Jid, ns, xml::Element};

pub use ice::{Candidate, Fingerprint, SctpMap, Setup, Transport};
pub use rtp::{Description, Extension, Feedback, Media, PayloadType, Source, SourceGroup};

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($variant,)* }

        impl $type {
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
use names;

names! {
    /// XEP-0166, section 7.2.
    Action {
        ContentAccept = "content-accept",
        ContentAdd = "content-add",
        ContentModify = "content-modify",
        ContentReject = "content-reject",
        ContentRemove = "content-remove",
        DescriptionInfo = "description-info",
        SecurityInfo = "security-info",
        SessionAccept = "session-accept",
        SessionInfo = "session-info",
        SessionInitiate = "session-initiate",
        SessionTerminate = "session-terminate",
        TransportAccept = "transport-accept",
        TransportInfo = "transport-info",
        TransportReject = "transport-reject",
        TransportReplace = "transport-replace",
    }
}

names! {
    /// XEP-0166, section 7.4.
    Condition {
        AlternativeSession = "alternative-session",
        Busy = "busy",
        Cancel = "cancel",
        ConnectivityError = "connectivity-error",
        Decline = "decline",
        Expired = "expired",
        FailedApplication = "failed-application",
        FailedTransport = "failed-transport",
        GeneralError = "general-error",
        Gone = "gone",
        IncompatibleParameters = "incompatible-parameters",
        MediaError = "media-error",
        SecurityError = "security-error",
        Success = "success",
        Timeout = "timeout",
        UnsupportedApplications = "unsupported-applications",
        UnsupportedTransports = "unsupported-transports",
    }
}

names! {
    Party {
        Initiator = "initiator",
        Responder = "responder",
    }
}

names! {
    /// Who sends (XEP-0166, section 7.3).
    Senders {
        Both = "both",
        Initiator = "initiator",
        None = "none",
        Responder = "responder",
    }
}

/// `<jingle/>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Jingle {
    pub action: Action,
    pub sid: String,
    pub initiator: Option<Jid>,
    pub responder: Option<Jid>,
    pub contents: Vec<Content>,
    /// Names of the contents that share a transport (XEP-0338, semantics BUNDLE).
    pub bundle: Vec<String>,
    pub reason: Option<Reason>,
    /// Everything else, such as the payload of a session-info.
    pub others: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub condition: Condition,
    pub text: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub creator: Party,
    pub name: String,
    /// `None`: not said, which means both in an offer and as offered in an answer.
    pub senders: Option<Senders>,
    /// `None` also for another application than RTP.
    pub description: Option<Description>,
    /// `None` also for another transport than ICE over UDP.
    pub transport: Option<Transport>,
}

impl Jingle {
    #[must_use]
    pub fn new(action: Action, sid: &str) -> Jingle {
        Jingle {
            action,
            sid: sid.to_owned(),
            initiator: None,
            responder: None,
            contents: Vec::new(),
            bundle: Vec::new(),
            reason: None,
            others: Vec::new(),
        }
    }

    pub fn parse(jingle: &Element) -> Result<Jingle, PayloadError> {
        expect(jingle, "jingle", ns::JINGLE)?;
        let action = required(jingle, "action")?;
        let action = Action::from_name(action).ok_or(PayloadError::Invalid("action"))?;
        let mut parsed = Jingle {
            initiator: parsed(jingle, "initiator")?,
            responder: parsed(jingle, "responder")?,
            ..Jingle::new(action, required(jingle, "sid")?)
        };
        for child in jingle.children() {
            if child.is("content", ns::JINGLE) {
                parsed.contents.push(Content::parse(child)?);
            } else if child.is("group", ns::JINGLE_GROUPING) {
                if child.attr("semantics") == Some("BUNDLE") {
                    let names = child.children().filter_map(|content| owned(content, "name"));
                    parsed.bundle.extend(names);
                }
            } else if child.is("reason", ns::JINGLE) {
                parsed.reason = Some(Reason::parse(child));
            } else {
                parsed.others.push(child.clone());
            }
        }
        Ok(parsed)
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let group = (!self.bundle.is_empty()).then(|| {
            let content = |name: &String| {
                Element::new("content", ns::JINGLE_GROUPING).with_attr("name", name.as_str())
            };
            Element::new("group", ns::JINGLE_GROUPING)
                .with_attr("semantics", "BUNDLE")
                .with_children(self.bundle.iter().map(content))
        });
        Element::new("jingle", ns::JINGLE)
            .with_attr("action", self.action.name())
            .with_attr("sid", self.sid.as_str())
            .with_attr_opt("initiator", self.initiator.as_ref().map(Jid::as_str))
            .with_attr_opt("responder", self.responder.as_ref().map(Jid::as_str))
            .with_children(group)
            .with_children(self.contents.iter().map(Content::to_element))
            .with_children(self.reason.as_ref().map(Reason::to_element))
            .with_children(self.others.iter().cloned())
    }
}

impl Reason {
    #[must_use]
    pub const fn new(condition: Condition) -> Reason {
        Reason { condition, text: None }
    }

    /// What is not known counts as general-error.
    fn parse(reason: &Element) -> Reason {
        let known = |child: &Element| {
            Condition::from_name(child.name()).filter(|_| child.ns() == ns::JINGLE)
        };
        let text = reason.child("text", ns::JINGLE).map(|text| text.text().into_owned());
        let condition = reason.children().find_map(known).unwrap_or(Condition::GeneralError);
        Reason { condition, text }
    }

    fn to_element(&self) -> Element {
        let text = self.text.as_ref();
        Element::new("reason", ns::JINGLE)
            .with_child(Element::new(self.condition.name(), ns::JINGLE))
            .with_children(
                text.map(|text| Element::new("text", ns::JINGLE).with_text(text.clone())),
            )
    }
}

impl Content {
    fn parse(content: &Element) -> Result<Content, PayloadError> {
        let creator = match content.attr("creator") {
            None => Party::Initiator,
            Some(name) => Party::from_name(name).ok_or(PayloadError::Invalid("creator"))?,
        };
        let senders = match content.attr("senders") {
            None => None,
            Some(name) => Some(Senders::from_name(name).ok_or(PayloadError::Invalid("senders"))?),
        };
        let description = content.child("description", ns::JINGLE_RTP);
        let transport = content.child("transport", ns::JINGLE_ICE);
        Ok(Content {
            creator,
            name: required(content, "name")?.to_owned(),
            senders,
            description: description.map(Description::parse).transpose()?,
            transport: transport.map(Transport::parse).transpose()?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new("content", ns::JINGLE)
            .with_attr("creator", self.creator.name())
            .with_attr("name", self.name.as_str())
            .with_attr_opt("senders", self.senders.map(Senders::name))
            .with_children(self.description.as_ref().map(Description::to_element))
            .with_children(self.transport.as_ref().map(Transport::to_element))
    }
}
