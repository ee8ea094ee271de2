//! Resource binding (RFC 6120 §7).

use super::{
    PayloadError,
    dom::{Build, child_text, expect},
};
use crate::{jid::FullJid, ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRequest {
    /// What the client would like; the server decides (§7.7).
    pub resource: Option<String>,
}

impl BindRequest {
    pub fn parse(bind: &Element) -> Result<Self, PayloadError> {
        expect(bind, "bind", ns::BIND)?;
        Ok(Self { resource: child_text(bind, "resource", ns::BIND).filter(|r| !r.is_empty()) })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("bind", ns::BIND).text_child("resource", ns::BIND, self.resource.as_deref())
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub jid: FullJid,
}

impl Bound {
    pub fn parse(bind: &Element) -> Result<Self, PayloadError> {
        expect(bind, "bind", ns::BIND)?;
        let jid = child_text(bind, "jid", ns::BIND).ok_or(PayloadError::Missing("jid"))?;
        Ok(Self { jid: jid.parse()? })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("bind", ns::BIND).text_child("jid", ns::BIND, Some(self.jid.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn request() {
        let element = el(
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind>",
        );
        let read = BindRequest::parse(&element).unwrap();
        assert_eq!(read.resource.as_deref(), Some("balcony"));
        assert_eq!(read.to_element(), element);
        let odd = el("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind' x='y'><z/><resource/></bind>");
        assert_eq!(BindRequest::parse(&odd).unwrap().resource, None);
        assert!(BindRequest::parse(&el("<bind xmlns='urn:xmpp:bind:0'/>")).is_err());
    }

    #[test]
    fn answer() {
        let element = el("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@b/c</jid></bind>");
        assert_eq!(Bound::parse(&element).unwrap().to_element(), element);
        let none = el("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>");
        assert_eq!(Bound::parse(&none), Err(PayloadError::Missing("jid")));
        let bare = el("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@b</jid></bind>");
        assert!(Bound::parse(&bare).is_err());
    }
}
