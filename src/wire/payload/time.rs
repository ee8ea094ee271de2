//! Entity time (XEP-0202).

use super::{
    PayloadError,
    datetime::Timestamp,
    dom::{Build, child_text, expect},
};
use crate::{ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTime {
    pub utc: Timestamp,
    /// The offset from UTC as `Z` or `±hh:mm`.
    pub zone: String,
}

impl EntityTime {
    /// A server has no place, so its zone is UTC.
    #[must_use]
    pub fn utc(utc: Timestamp) -> Self {
        Self { utc, zone: "Z".to_owned() }
    }

    /// Reads an answer; a request is the empty `<time/>`.
    pub fn parse(time: &Element) -> Result<Self, PayloadError> {
        expect(time, "time", ns::TIME)?;
        let text = |name| child_text(time, name, ns::TIME).ok_or(PayloadError::Missing(name));
        Ok(Self { utc: text("utc")?.parse()?, zone: text("tzo")? })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("time", ns::TIME).text_child("tzo", ns::TIME, Some(&self.zone)).text_child(
            "utc",
            ns::TIME,
            Some(&self.utc.to_string()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        let element = el(
            "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>",
        );
        assert_eq!(EntityTime::parse(&element).unwrap().to_element(), element);
        let ours = EntityTime::utc(Timestamp::from_micros(0));
        assert_eq!(EntityTime::parse(&ours.to_element()), Ok(ours));
    }

    #[test]
    fn lenient_and_strict() {
        let odd = el(
            "<time xmlns='urn:xmpp:time' x='y'><z/><tzo>Z</tzo><utc>1970-01-01T00:00:00Z</utc></time>",
        );
        assert!(EntityTime::parse(&odd).is_ok());
        assert_eq!(
            EntityTime::parse(&el("<time xmlns='urn:xmpp:time'/>")),
            Err(PayloadError::Missing("utc"))
        );
    }
}
