//! Unique and stable stanza ids (XEP-0359).

use super::{
    PayloadError,
    dom::{expect, jid, required},
};
use crate::{
    jid::{BareJid, Jid},
    ns,
    xml::Element,
};

/// The id that an entity gave to a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaId {
    pub id: String,
    pub by: Jid,
}

impl StanzaId {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        expect(element, "stanza-id", ns::STANZA_ID)?;
        Ok(Self { id: required(element, "id")?.to_owned(), by: jid(element, "by")? })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("stanza-id", ns::STANZA_ID)
            .with_attr("id", self.id.as_str())
            .with_attr("by", self.by.as_str())
    }

    /// Removes every id that claims to be by `by`: only `by` may set those (§3 rule 2).
    pub fn strip(message: &mut Element, by: &BareJid) {
        // An address can be written in many ways, so the parsed forms are compared.
        let forged = |e: &Element| Self::parse(e).is_ok_and(|id| id.by == **by);
        message.retain_children(|child| !forged(child));
    }
}

/// The id that the sender gave to a message.
#[must_use]
pub fn origin_id(message: &Element) -> Option<&str> {
    message.child("origin-id", ns::STANZA_ID).and_then(|e| e.attr("id")).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        let element = el("<stanza-id xmlns='urn:xmpp:sid:0' id='de30' by='room@muc.example.com'/>");
        assert_eq!(StanzaId::parse(&element).unwrap().to_element(), element);
    }

    #[test]
    fn lenient_and_strict() {
        let odd = el("<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a@b' x='y'><z/></stanza-id>");
        assert_eq!(StanzaId::parse(&odd).unwrap().id, "1");
        let missing = el("<stanza-id xmlns='urn:xmpp:sid:0' by='a@b'/>");
        assert_eq!(StanzaId::parse(&missing), Err(PayloadError::Missing("id")));
        let missing = el("<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>");
        assert_eq!(StanzaId::parse(&missing), Err(PayloadError::Missing("by")));
    }

    #[test]
    fn forged_ids_go_and_others_stay() {
        let mut message = el("<message xmlns='jabber:client'>text\
             <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='me@host'/><body>hi</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' id='2' by='ME@Host.'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' id='3' by='room@muc'/>\
             <origin-id xmlns='urn:xmpp:sid:0' id='4'/></message>");
        StanzaId::strip(&mut message, &"me@host".parse().unwrap());
        let expected = el("<message xmlns='jabber:client'>text<body>hi</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' id='3' by='room@muc'/>\
             <origin-id xmlns='urn:xmpp:sid:0' id='4'/></message>");
        assert_eq!(message, expected);
        assert_eq!(origin_id(&message), Some("4"));
        assert_eq!(origin_id(&el("<message xmlns='jabber:client'/>")), None);
    }
}
