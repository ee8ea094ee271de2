//! Stanza forwarding (XEP-0297).

use super::{PayloadError, delay::Delay, dom::expect};
use crate::{ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
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
                    && (c.ns() == ns::CLIENT || c.ns() == ns::SERVER)
            })
            .ok_or(PayloadError::Missing("a stanza"))?;
        let delay = element.child("delay", ns::DELAY);
        Ok(Self { delay: delay.map(Delay::parse).transpose()?, stanza: stanza.clone() })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("forwarded", ns::FORWARD)
            .with_children(self.delay.as_ref().map(Delay::to_element))
            .with_child(self.stanza.clone())
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
        assert_eq!(Forwarded::parse(&other), Err(PayloadError::Missing("a stanza")));
    }
}
