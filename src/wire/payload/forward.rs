//! Stanza forwarding (XEP-0297).

use minidom::Element;

use super::{PayloadError, delay::Delay, dom::expect};
use crate::ns;

#[derive(Debug, Clone, PartialEq)]
pub struct Forwarded {
    pub delay: Option<Delay>,
    /// The stanza, in `jabber:client`.
    pub stanza: Element,
}

impl Forwarded {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        expect(element, "forwarded", ns::FORWARD)?;
        let stanza = element
            .children()
            .find(|c| {
                matches!(c.name(), "message" | "presence" | "iq")
                    && (c.has_ns(ns::CLIENT) || c.has_ns(ns::SERVER))
            })
            .ok_or(PayloadError::Missing("a stanza"))?;
        let delay = element.get_child("delay", ns::DELAY);
        Ok(Self {
            delay: delay.map(Delay::parse).transpose()?,
            stanza: stanza.clone(),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::builder("forwarded", ns::FORWARD)
            .append_all(self.delay.as_ref().map(Delay::to_element))
            .append(self.stanza.clone())
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        let element = el("<forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>\
             <message xmlns='jabber:client' to='a@b'><body>hi</body></message></forwarded>");
        assert_eq!(Forwarded::parse(&element).unwrap().to_element(), element);
    }

    #[test]
    fn lenient_and_strict() {
        let odd = el("<forwarded xmlns='urn:xmpp:forward:0' x='y'><z/>text\
             <message xmlns='jabber:client'/></forwarded>");
        assert_eq!(Forwarded::parse(&odd).unwrap().delay, None);
        let other =
            el("<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='urn:other'/></forwarded>");
        assert_eq!(
            Forwarded::parse(&other),
            Err(PayloadError::Missing("a stanza"))
        );
    }
}
