//! Stream management (XEP-0198).

use compact_str::ToCompactString;

use super::{
    PayloadError,
    dom::{Build, flag, owned, parsed, required},
};
use crate::{
    error::{Condition, StreamCondition, StreamError},
    ns,
    xml::Element,
};

/// Everything that is sent outside of stanzas. Counters wrap at 2^32 (§4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmNonza {
    Enable {
        resume: bool,
        /// Seconds that the client would like to have for resuming.
        max: Option<u32>,
    },
    Enabled {
        /// Present when the stream can be resumed.
        id: Option<String>,
        resume: bool,
        /// Seconds that there are for resuming.
        max: Option<u32>,
        /// Where to resume: `host:port`.
        location: Option<String>,
    },
    Request,
    Ack {
        h: u32,
    },
    Resume {
        h: u32,
        previd: String,
    },
    Resumed {
        h: u32,
        previd: String,
    },
    Failed {
        condition: Condition,
        /// What was handled of the stream that cannot be resumed.
        h: Option<u32>,
    },
}

impl SmNonza {
    /// True for an element that [`Self::parse`] is there for.
    #[must_use]
    pub fn matches(element: &Element) -> bool {
        element.ns() == ns::SM
    }

    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        if element.ns() != ns::SM {
            return Err(PayloadError::Unexpected("enable"));
        }
        let h = || parsed(element, "h")?.ok_or(PayloadError::Missing("h"));
        let previd = || required(element, "previd").map(str::to_owned);
        Ok(match element.name() {
            "enable" => {
                Self::Enable { resume: flag(element, "resume")?, max: parsed(element, "max")? }
            }
            "enabled" => Self::Enabled {
                id: owned(element, "id"),
                resume: flag(element, "resume")?,
                max: parsed(element, "max")?,
                location: owned(element, "location"),
            },
            "r" => Self::Request,
            "a" => Self::Ack { h: h()? },
            "resume" => Self::Resume { h: h()?, previd: previd()? },
            "resumed" => Self::Resumed { h: h()?, previd: previd()? },
            "failed" => Self::Failed {
                condition: element
                    .children()
                    .filter(|c| c.ns() == ns::STANZA_ERRORS)
                    .find_map(|c| Condition::from_name(c.name()))
                    .unwrap_or(Condition::UndefinedCondition),
                h: parsed(element, "h")?,
            },
            _ => return Err(PayloadError::Unexpected("enable")),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let named = |name: &str| Element::new(name, ns::SM);
        match self {
            Self::Enable { resume, max } => named("enable")
                .flag("resume", *resume)
                .with_attr_opt("max", max.map(|n| n.to_compact_string())),
            Self::Enabled { id, resume, max, location } => named("enabled")
                .with_attr_opt("id", id.as_deref())
                .flag("resume", *resume)
                .with_attr_opt("max", max.map(|n| n.to_compact_string()))
                .with_attr_opt("location", location.as_deref()),
            Self::Request => named("r"),
            Self::Ack { h } => named("a").with_attr("h", h.to_compact_string()),
            Self::Resume { h, previd } => {
                named("resume").with_attr("h", h.to_compact_string()).with_attr("previd", previd)
            }
            Self::Resumed { h, previd } => {
                named("resumed").with_attr("h", h.to_compact_string()).with_attr("previd", previd)
            }
            Self::Failed { condition, h } => named("failed")
                .with_attr_opt("h", h.map(|n| n.to_compact_string()))
                .with_child(Element::new(condition.as_str(), ns::STANZA_ERRORS)),
        }
    }
}

/// The peer acknowledged more than was ever sent (§6).
#[must_use]
pub fn handled_count_too_high(h: u32, send_count: u32) -> StreamError {
    StreamError::new(StreamCondition::UndefinedCondition)
        .with_text(format!("you acknowledged {h} stanzas, but only {send_count} were sent"))
        .with_application(
            Element::new("handled-count-too-high", ns::SM)
                .with_attr("h", h.to_compact_string())
                .with_attr("send-count", send_count.to_compact_string()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn round_trip() {
        for xml in [
            "<enable xmlns='urn:xmpp:sm:3'/>",
            "<enable xmlns='urn:xmpp:sm:3' resume='true' max='300'/>",
            "<enabled xmlns='urn:xmpp:sm:3'/>",
            "<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' resume='true' max='600' location='[2001:db8::1]:9222'/>",
            "<r xmlns='urn:xmpp:sm:3'/>",
            "<a xmlns='urn:xmpp:sm:3' h='4294967295'/>",
            "<resume xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>",
            "<resumed xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>",
            "<failed xmlns='urn:xmpp:sm:3' h='9'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
        ] {
            let read = SmNonza::parse(&el(xml)).expect(xml);
            assert_eq!(read.to_element(), el(xml));
        }
    }

    #[test]
    fn lenient() {
        let enable = el("<enable xmlns='urn:xmpp:sm:3' resume='1' x='y' max=''><z/></enable>");
        let expected = SmNonza::Enable { resume: true, max: None };
        assert_eq!(SmNonza::parse(&enable), Ok(expected));
        let failed = SmNonza::parse(&el("<failed xmlns='urn:xmpp:sm:3'><x/></failed>"));
        let expected = SmNonza::Failed { condition: Condition::UndefinedCondition, h: None };
        assert_eq!(failed, Ok(expected));
    }

    #[test]
    fn refused() {
        for xml in [
            "<a xmlns='urn:xmpp:sm:3'/>",
            "<a xmlns='urn:xmpp:sm:3' h='-1'/>",
            "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>",
            "<resume xmlns='urn:xmpp:sm:3' h='1'/>",
            "<resume xmlns='urn:xmpp:sm:3' previd='x'/>",
            "<enable xmlns='urn:xmpp:sm:3' resume='maybe'/>",
            "<other xmlns='urn:xmpp:sm:3'/>",
            "<r xmlns='urn:xmpp:sm:2'/>",
        ] {
            assert!(SmNonza::parse(&el(xml)).is_err(), "{xml}");
        }
    }

    #[test]
    fn too_high() {
        let error = handled_count_too_high(10, 8);
        let expected = el("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>");
        assert_eq!(error.application.as_deref(), Some(&expected));
    }
}
