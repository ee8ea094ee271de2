//! Software version (XEP-0092).

use super::{
    PayloadError,
    dom::{Build, child_text, expect},
};
use crate::{ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftwareVersion {
    pub name: String,
    pub version: String,
    pub os: Option<String>,
}

impl SoftwareVersion {
    /// Reads an answer; a request is the empty `<query/>`.
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::VERSION)?;
        let text = |name| child_text(query, name, ns::VERSION);
        Ok(Self {
            name: text("name").ok_or(PayloadError::Missing("name"))?,
            version: text("version").ok_or(PayloadError::Missing("version"))?,
            os: text("os"),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("query", ns::VERSION)
            .text_child("name", ns::VERSION, Some(&self.name))
            .text_child("version", ns::VERSION, Some(&self.version))
            .text_child("os", ns::VERSION, self.os.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        let element = el("<query xmlns='jabber:iq:version'><name>Exodus</name>\
             <version>0.7.0.4</version><os>Windows-XP 5.01.2600</os></query>");
        assert_eq!(SoftwareVersion::parse(&element).unwrap().to_element(), element);
    }

    #[test]
    fn lenient_and_strict() {
        let odd = el("<query xmlns='jabber:iq:version' x='y'><name>a</name><z/><version/></query>");
        assert_eq!(SoftwareVersion::parse(&odd).unwrap().os, None);
        let empty = el("<query xmlns='jabber:iq:version'/>");
        assert_eq!(SoftwareVersion::parse(&empty), Err(PayloadError::Missing("name")));
    }
}
