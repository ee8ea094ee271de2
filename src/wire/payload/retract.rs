//! Message retraction (XEP-0424) and fallback texts (XEP-0428).

use compact_str::ToCompactString;

use super::{
    PayloadError,
    datetime::Timestamp,
    dom::{expect, owned, parsed, required},
};
use crate::{jid::Jid, ns, xml::Element};

/// The wish that a message be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retract {
    /// The id of the message; in a room the stanza id that the room gave it.
    pub id: String,
}

impl Retract {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        expect(element, "retract", ns::RETRACT)?;
        Ok(Self { id: required(element, "id")?.to_owned() })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("retract", ns::RETRACT).with_attr("id", self.id.as_str())
    }
}

/// The tombstone in place of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retracted {
    /// The id of the message that retracted it.
    pub id: String,
    pub stamp: Option<Timestamp>,
    pub by: Option<Jid>,
}

impl Retracted {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        expect(element, "retracted", ns::RETRACT)?;
        Ok(Self {
            id: required(element, "id")?.to_owned(),
            stamp: parsed(element, "stamp")?,
            by: parsed(element, "by")?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("retracted", ns::RETRACT)
            .with_attr("id", self.id.as_str())
            .with_attr_opt("stamp", self.stamp.map(|t| t.to_compact_string()))
            .with_attr_opt("by", self.by.as_ref().map(Jid::as_str))
    }
}

/// Says that a text is only there for those who do not know some extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The namespace of that extension.
    pub purpose: Option<String>,
    /// The whole body is fallback, so the message has no text of its own.
    pub whole_body: bool,
}

impl Fallback {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        expect(element, "fallback", ns::FALLBACK)?;
        let mut regions = element
            .children()
            .filter(|c| c.ns() == ns::FALLBACK && matches!(c.name(), "body" | "subject"))
            .peekable();
        let whole_body = regions.peek().is_none()
            || regions.any(|region| {
                region.name() == "body"
                    && region.attr("start").is_none()
                    && region.attr("end").is_none()
            });
        Ok(Self { purpose: owned(element, "for"), whole_body })
    }

    /// A fallback for everything in the message.
    #[must_use]
    pub fn whole(purpose: &str) -> Element {
        Element::new("fallback", ns::FALLBACK).with_attr("for", purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn retraction() {
        let element = el("<retract id='wrong-recipient-1' xmlns='urn:xmpp:message-retract:1'/>");
        assert_eq!(Retract::parse(&element).unwrap().to_element(), element);
        let odd = el("<retract id='1' x='y' xmlns='urn:xmpp:message-retract:1'><z/></retract>");
        assert_eq!(Retract::parse(&odd).unwrap().id, "1");
        let none = el("<retract xmlns='urn:xmpp:message-retract:1'/>");
        assert_eq!(Retract::parse(&none), Err(PayloadError::Missing("id")));
    }

    #[test]
    fn tombstone() {
        let element = el(
            "<retracted stamp='2019-09-20T23:09:32Z' by='a@b' xmlns='urn:xmpp:message-retract:1' id='r1'/>",
        );
        assert_eq!(Retracted::parse(&element).unwrap().to_element(), element);
        let short =
            el("<retracted xmlns='urn:xmpp:message-retract:1' id='r1' x='y'><z/></retracted>");
        assert_eq!(Retracted::parse(&short).unwrap().stamp, None);
        let none = el("<retracted xmlns='urn:xmpp:message-retract:1'/>");
        assert_eq!(Retracted::parse(&none), Err(PayloadError::Missing("id")));
    }

    #[test]
    fn fallback() {
        let whole = |children: &str| {
            let xml =
                format!("<fallback xmlns='urn:xmpp:fallback:0' for='urn:x'>{children}</fallback>");
            Fallback::parse(&el(&xml)).unwrap().whole_body
        };
        assert!(whole(""));
        assert!(whole("<body/>"));
        assert!(whole("<x/>"));
        assert!(whole("<body start='0' end='3'/><body/>"));
        assert!(!whole("<body start='0' end='33'/>"));
        assert!(!whole("<subject/>"));
        let written = Fallback::parse(&Fallback::whole(ns::RETRACT)).unwrap();
        assert_eq!(written.purpose.as_deref(), Some(ns::RETRACT));
        assert!(Fallback::parse(&el("<fallback xmlns='other'/>")).is_err());
    }
}
