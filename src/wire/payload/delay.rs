//! Delayed delivery (XEP-0203).

use compact_str::ToCompactString;

use super::{
    PayloadError,
    datetime::Timestamp,
    dom::{expect, parsed, required, text_of},
};
use crate::{jid::Jid, ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// Who held the stanza back.
    pub from: Option<Jid>,
    /// When it was sent first.
    pub stamp: Timestamp,
    pub reason: Option<String>,
}

impl Delay {
    #[must_use]
    pub const fn new(stamp: Timestamp) -> Self {
        Self { from: None, stamp, reason: None }
    }

    #[must_use]
    pub fn by(stamp: Timestamp, from: impl Into<Jid>) -> Self {
        Self { from: Some(from.into()), ..Self::new(stamp) }
    }

    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        expect(element, "delay", ns::DELAY)?;
        Ok(Self {
            from: parsed(element, "from")?,
            stamp: required(element, "stamp")?.parse()?,
            reason: Some(text_of(element)).filter(|reason| !reason.trim().is_empty()),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("delay", ns::DELAY)
            .with_attr_opt("from", self.from.as_ref().map(Jid::as_str))
            .with_attr("stamp", self.stamp.to_compact_string())
            .with_text(self.reason.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        let element = el(
            "<delay xmlns='urn:xmpp:delay' from='juliet@capulet.com/balcony' stamp='2002-09-10T23:41:07Z'>Offline Storage</delay>",
        );
        let delay = Delay::parse(&element).unwrap();
        assert_eq!(delay.reason.as_deref(), Some("Offline Storage"));
        assert_eq!(delay.to_element(), element);
    }

    #[test]
    fn lenient_and_strict() {
        let delay = Delay::parse(&el(
            "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:41:07Z' x='y'><z/> </delay>",
        ));
        assert_eq!(delay.unwrap().reason, None);
        assert_eq!(
            Delay::parse(&el("<delay xmlns='urn:xmpp:delay'/>")),
            Err(PayloadError::Missing("stamp"))
        );
        assert!(Delay::parse(&el("<delay xmlns='urn:xmpp:delay' stamp='now'/>")).is_err());
        assert!(Delay::parse(&el("<delay xmlns='jabber:x:delay' stamp='now'/>")).is_err());
    }
}
