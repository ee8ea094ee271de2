//! Private XML storage (XEP-0049).

use super::{PayloadError, dom::expect};
use crate::{ns, xml::Element};

/// What is stored or asked for, all in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateStorage {
    pub items: Vec<Element>,
}

impl PrivateStorage {
    /// # Errors
    /// No child, children of several namespaces, or one that is reserved (§2.1, §2.3 and §3).
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::PRIVATE)?;
        let mut items = query.children();
        let first =
            items.next().ok_or(PayloadError::Unacceptable("an element to store is missing"))?;
        let namespace = first.ns();
        if is_reserved(namespace) {
            return Err(PayloadError::Unacceptable("this namespace is reserved"));
        }
        if !items.all(|item| item.ns() == namespace) {
            return Err(PayloadError::Unacceptable("only one namespace at a time"));
        }
        Ok(Self { items: query.children().cloned().collect() })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("query", ns::PRIVATE).with_children(self.items.iter().cloned())
    }
}

fn is_reserved(namespace: &str) -> bool {
    namespace.starts_with("jabber:")
        || namespace.starts_with("http://jabber.org/")
        || namespace == ns::VCARD_TEMP
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    fn parse(children: &str) -> Result<PrivateStorage, PayloadError> {
        let query = format!("<query xmlns='jabber:iq:private' x='y'>{children}</query>");
        PrivateStorage::parse(&el(&query))
    }

    #[test]
    fn round_trip() {
        let prefs = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>";
        let read = parse(prefs).unwrap();
        assert_eq!(read.items, [el(prefs)]);
        assert_eq!(PrivateStorage::parse(&read.to_element()), Ok(read));
        assert_eq!(parse("<a xmlns='u'/> <b xmlns='u'/>").unwrap().items.len(), 2);
    }

    #[test]
    fn refused() {
        for children in [
            "",
            "text",
            "<a/>",
            "<a xmlns='jabber:iq:roster'/>",
            "<a xmlns='http://jabber.org/protocol/muc'/>",
            "<vCard xmlns='vcard-temp'/>",
            "<a xmlns='u'/><a xmlns='v'/>",
        ] {
            let refusal = parse(children);
            assert!(matches!(refusal, Err(PayloadError::Unacceptable(_))), "{children}");
        }
    }
}
