//! Last activity (XEP-0012).

use compact_str::ToCompactString;

use super::{
    PayloadError,
    dom::{expect, parsed, text_of},
};
use crate::{ns, xml::Element};

/// Empty in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastActivity {
    /// Of a session: since it was idle; of an account: since it was online; of a server: its uptime.
    pub seconds: Option<u64>,
    /// The status of the last unavailable presence.
    pub status: Option<String>,
}

impl LastActivity {
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::LAST)?;
        Ok(Self {
            seconds: parsed(query, "seconds")?,
            status: Some(text_of(query)).filter(|status| !status.is_empty()),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("query", ns::LAST)
            .with_attr_opt("seconds", self.seconds.map(|s| s.to_compact_string()))
            .with_text(self.status.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        let element = el("<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>");
        let read = LastActivity::parse(&element).unwrap();
        assert_eq!(read.seconds, Some(903));
        assert_eq!(read.to_element(), element);
    }

    #[test]
    fn lenient_and_strict() {
        let odd = el("<query xmlns='jabber:iq:last' x='y'><z/></query>");
        assert_eq!(LastActivity::parse(&odd), Ok(LastActivity::default()));
        let bad = el("<query xmlns='jabber:iq:last' seconds='-1'/>");
        assert_eq!(LastActivity::parse(&bad), Err(PayloadError::Invalid("seconds")));
        assert!(LastActivity::parse(&el("<query xmlns='other'/>")).is_err());
    }
}
