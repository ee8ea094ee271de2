//! Message carbons (XEP-0280).

use super::{PayloadError, delay::Delay, forward::Forwarded};
use crate::{ns, xml::Element};

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarbonsRequest {
    Enable,
    Disable,
}

impl CarbonsRequest {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        if element.is("enable", ns::CARBONS) {
            Ok(Self::Enable)
        } else if element.is("disable", ns::CARBONS) {
            Ok(Self::Disable)
        } else {
            Err(PayloadError::Unexpected("enable"))
        }
    }
}

/// Which way the copied message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Received,
    Sent,
}

/// The wrapper around a copied message, in `jabber:client`.
#[must_use]
pub fn carbon(direction: Direction, message: Element, delay: Option<Delay>) -> Element {
    let name = match direction {
        Direction::Received => "received",
        Direction::Sent => "sent",
    };
    let stanza = message;
    Element::new(name, ns::CARBONS).with_child(Forwarded { delay, stanza }.to_element())
}

/// True if a message is a carbon copy itself, which must not be copied again.
#[must_use]
pub fn is_carbon(message: &Element) -> bool {
    message.child("received", ns::CARBONS).is_some() || message.child("sent", ns::CARBONS).is_some()
}

/// True if the sender wants no copies (§9). The element stays where it is: removing it
/// would let the sender hide how the message was delivered.
#[must_use]
pub fn is_private(message: &Element) -> bool {
    message.child("private", ns::CARBONS).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn requests() {
        let parse = |xml| CarbonsRequest::parse(&el(xml));
        assert_eq!(
            parse("<enable xmlns='urn:xmpp:carbons:2' x='y'><z/></enable>"),
            Ok(CarbonsRequest::Enable)
        );
        assert_eq!(parse("<disable xmlns='urn:xmpp:carbons:2'/>"), Ok(CarbonsRequest::Disable));
        assert!(parse("<enable xmlns='urn:xmpp:carbons:1'/>").is_err());
    }

    #[test]
    fn wrapper() {
        let message = el("<message xmlns='jabber:client' from='a@b/c'><body>hi</body></message>");
        let sent = carbon(Direction::Sent, message.clone(), None);
        let expected = el(
            "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client' from='a@b/c'><body>hi</body></message></forwarded></sent>",
        );
        assert_eq!(sent, expected);
        assert_eq!(carbon(Direction::Received, message.clone(), None).name(), "received");
        assert!(!is_carbon(&message));
        let copy = Element::new("message", ns::CLIENT).with_child(sent);
        assert!(is_carbon(&copy));
    }

    #[test]
    fn private() {
        let message = el("<message xmlns='jabber:client'><body>hi</body>\
             <private xmlns='urn:xmpp:carbons:2'/></message>");
        assert!(is_private(&message));
        assert!(!is_private(&el("<message xmlns='jabber:client'><private/></message>")));
    }
}
