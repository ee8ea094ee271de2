use thiserror::Error;

use super::conditions;
use crate::ns;
use crate::xml::Element;

conditions! {
    /// RFC 6120 §4.9.3.
    StreamCondition {
        BadFormat = "bad-format",
        BadNamespacePrefix = "bad-namespace-prefix",
        Conflict = "conflict",
        ConnectionTimeout = "connection-timeout",
        HostGone = "host-gone",
        HostUnknown = "host-unknown",
        ImproperAddressing = "improper-addressing",
        InternalServerError = "internal-server-error",
        InvalidFrom = "invalid-from",
        InvalidNamespace = "invalid-namespace",
        InvalidXml = "invalid-xml",
        NotAuthorized = "not-authorized",
        NotWellFormed = "not-well-formed",
        PolicyViolation = "policy-violation",
        RemoteConnectionFailed = "remote-connection-failed",
        Reset = "reset",
        ResourceConstraint = "resource-constraint",
        RestrictedXml = "restricted-xml",
        SeeOtherHost = "see-other-host",
        SystemShutdown = "system-shutdown",
        UndefinedCondition = "undefined-condition",
        UnsupportedEncoding = "unsupported-encoding",
        UnsupportedFeature = "unsupported-feature",
        UnsupportedStanzaType = "unsupported-stanza-type",
        UnsupportedVersion = "unsupported-version",
    }
}

/// A `<stream:error/>`, after which the stream is closed.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{condition}{}", text.as_deref().map(|t| format!(": {t}")).unwrap_or_default())]
pub struct StreamError {
    pub condition: StreamCondition,
    /// The host (and port) to go to: for `see-other-host` only.
    pub other_host: Option<String>,
    pub text: Option<String>,
    pub application: Option<Box<Element>>,
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self::new(condition)
    }
}

impl StreamError {
    #[must_use]
    pub const fn new(condition: StreamCondition) -> Self {
        Self { condition, other_host: None, text: None, application: None }
    }

    /// `host` is a name or address, with `:port` if it is not the default (RFC 6120 §4.9.3.19).
    #[must_use]
    pub fn see_other_host(host: String) -> Self {
        Self { other_host: Some(host), ..Self::new(StreamCondition::SeeOtherHost) }
    }

    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    #[must_use]
    pub fn with_application(mut self, condition: Element) -> Self {
        self.application = Some(Box::new(condition));
        self
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), ns::STREAM_ERRORS);
        if let Some(host) = &self.other_host {
            condition.push_text(host);
        }
        let text = self.text.as_deref().filter(|text| !text.is_empty());
        let text = text
            .map(|text| Element::new("text", ns::STREAM_ERRORS).with_lang("en").with_text(text));
        Element::new("error", ns::STREAM)
            .with_child(condition)
            .with_children(text)
            .with_children(self.application.as_deref().cloned())
    }

    /// Reads what a peer sent; an unknown or missing condition becomes `undefined-condition`.
    #[must_use]
    pub fn from_element(error: &Element) -> Self {
        let standard = error
            .children()
            .filter(|c| c.ns() == ns::STREAM_ERRORS)
            .find_map(|c| StreamCondition::from_name(c.name()).map(|condition| (condition, c)));
        let condition =
            standard.map_or(StreamCondition::UndefinedCondition, |(condition, _)| condition);
        Self {
            condition,
            other_host: standard
                .filter(|_| condition == StreamCondition::SeeOtherHost)
                .map(|(_, element)| element.text().into_owned())
                .filter(|host| !host.is_empty()),
            text: error
                .child("text", ns::STREAM_ERRORS)
                .map(|text| text.text().into_owned())
                .filter(|text| !text.is_empty()),
            application: error
                .children()
                .find(|c| c.ns() != ns::STREAM_ERRORS)
                .cloned()
                .map(Box::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Element {
        text.parse().unwrap()
    }

    #[test]
    fn round_trip() {
        for &condition in StreamCondition::ALL {
            let error = StreamError::new(condition).with_text("why");
            assert_eq!(StreamError::from_element(&error.to_element()), error);
        }
        let moved = StreamError::see_other_host("[::1]:5222".into());
        assert_eq!(StreamError::from_element(&moved.to_element()), moved);
        let odd = StreamError::new(StreamCondition::UndefinedCondition)
            .with_application(Element::new("x", "urn:example"));
        assert_eq!(StreamError::from_element(&odd.to_element()), odd);
    }

    #[test]
    fn written_as_the_rfc_shows() {
        let written = StreamError::new(StreamCondition::HostUnknown).to_element();
        let expected = parse(
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>\
             <host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        );
        assert_eq!(written, expected);
    }

    #[test]
    fn unknown_condition() {
        let read = StreamError::from_element(&parse(
            "<error xmlns='http://etherx.jabber.org/streams'>\
             <invalid-id xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>",
        ));
        assert_eq!(read, StreamCondition::UndefinedCondition.into());
    }
}
