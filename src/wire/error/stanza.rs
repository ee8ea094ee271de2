use thiserror::Error;

use super::conditions;
use crate::jid::{Jid, JidError};
use crate::ns;
use crate::xml::{Element, Ns};

conditions! {
    /// What the sender of the stanza should do about it (RFC 6120 §8.3.2).
    ErrorType {
        Auth = "auth",
        Cancel = "cancel",
        Continue = "continue",
        Modify = "modify",
        Wait = "wait",
    }
}

conditions! {
    /// RFC 6120 §8.3.3.
    #[expect(clippy::enum_variant_names, reason = "undefined-condition is its name")]
    Condition {
        BadRequest = "bad-request",
        Conflict = "conflict",
        FeatureNotImplemented = "feature-not-implemented",
        Forbidden = "forbidden",
        Gone = "gone",
        InternalServerError = "internal-server-error",
        ItemNotFound = "item-not-found",
        JidMalformed = "jid-malformed",
        NotAcceptable = "not-acceptable",
        NotAllowed = "not-allowed",
        NotAuthorized = "not-authorized",
        PolicyViolation = "policy-violation",
        RecipientUnavailable = "recipient-unavailable",
        Redirect = "redirect",
        RegistrationRequired = "registration-required",
        RemoteServerNotFound = "remote-server-not-found",
        RemoteServerTimeout = "remote-server-timeout",
        ResourceConstraint = "resource-constraint",
        ServiceUnavailable = "service-unavailable",
        SubscriptionRequired = "subscription-required",
        UndefinedCondition = "undefined-condition",
        UnexpectedRequest = "unexpected-request",
    }
}

impl Condition {
    /// The type that RFC 6120 §8.3.3 associates; the first one where it names two,
    /// `cancel` for `undefined-condition`, where it names none.
    #[must_use]
    pub const fn default_type(self) -> ErrorType {
        match self {
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect => ErrorType::Modify,
            Self::Forbidden
            | Self::NotAuthorized
            | Self::RegistrationRequired
            | Self::SubscriptionRequired => ErrorType::Auth,
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorType::Wait,
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition => ErrorType::Cancel,
        }
    }
}

/// The `<error/>` of a stanza of type error.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{condition}{}", text.as_deref().map(|t| format!(": {t}")).unwrap_or_default())]
pub struct StanzaError {
    pub error_type: ErrorType,
    pub condition: Condition,
    /// Where the entity is to be found now: for `gone` and `redirect` only.
    pub new_address: Option<String>,
    pub text: Option<String>,
    /// The application-specific condition, in a namespace of its own.
    pub application: Option<Box<Element>>,
    /// Who found the error, when that is not the sender of the stanza.
    pub by: Option<Jid>,
}

macro_rules! constructors {
    ($($function:ident = $condition:ident,)*) => {$(
        #[must_use]
        pub fn $function(text: impl Into<String>) -> Self {
            Self::new(Condition::$condition).with_text(text)
        }
    )*};
}

impl StanzaError {
    #[must_use]
    pub const fn new(condition: Condition) -> Self {
        Self {
            error_type: condition.default_type(),
            condition,
            new_address: None,
            text: None,
            application: None,
            by: None,
        }
    }

    constructors! {
        bad_request = BadRequest,
        conflict = Conflict,
        feature_not_implemented = FeatureNotImplemented,
        forbidden = Forbidden,
        internal_server_error = InternalServerError,
        item_not_found = ItemNotFound,
        jid_malformed = JidMalformed,
        not_acceptable = NotAcceptable,
        not_allowed = NotAllowed,
        not_authorized = NotAuthorized,
        policy_violation = PolicyViolation,
        recipient_unavailable = RecipientUnavailable,
        registration_required = RegistrationRequired,
        remote_server_not_found = RemoteServerNotFound,
        remote_server_timeout = RemoteServerTimeout,
        resource_constraint = ResourceConstraint,
        service_unavailable = ServiceUnavailable,
        subscription_required = SubscriptionRequired,
        undefined_condition = UndefinedCondition,
        unexpected_request = UnexpectedRequest,
    }

    /// The entity is gone; `new_address` is a URI (RFC 6120 §8.3.3.5).
    #[must_use]
    pub fn gone(new_address: Option<String>) -> Self {
        Self { new_address, ..Self::new(Condition::Gone) }
    }

    /// `new_address` is a URI (RFC 6120 §8.3.3.14).
    #[must_use]
    pub fn redirect(new_address: String) -> Self {
        Self { new_address: Some(new_address), ..Self::new(Condition::Redirect) }
    }

    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    #[must_use]
    pub fn with_type(mut self, error_type: ErrorType) -> Self {
        self.error_type = error_type;
        self
    }

    #[must_use]
    pub fn with_application(mut self, condition: Element) -> Self {
        self.application = Some(Box::new(condition));
        self
    }

    #[must_use]
    pub fn with_by(mut self, by: impl Into<Jid>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// `stanza_ns` is the namespace of the stanza around it.
    #[must_use]
    pub fn to_element(&self, stanza_ns: &str) -> Element {
        let mut condition = Element::new(self.condition.as_str(), ns::STANZA_ERRORS);
        if let Some(address) = &self.new_address {
            condition.push_text(address);
        }
        let text = self.text.as_deref().filter(|text| !text.is_empty());
        let text = text
            .map(|text| Element::new("text", ns::STANZA_ERRORS).with_lang("en").with_text(text));
        Element::new("error", Ns::intern(stanza_ns))
            .with_attr("type", self.error_type.as_str())
            .with_attr_opt("by", self.by.as_ref().map(Jid::as_str))
            .with_child(condition)
            .with_children(text)
            .with_children(self.application.as_deref().cloned())
    }

    /// Reads what a peer sent, however wrong: an unknown or missing condition becomes
    /// `undefined-condition`, an unknown or missing type the default of the condition.
    #[must_use]
    pub fn from_element(error: &Element) -> Self {
        let standard = error
            .children()
            .filter(|c| c.ns() == ns::STANZA_ERRORS)
            .find_map(|c| Condition::from_name(c.name()).map(|condition| (condition, c)));
        let condition = standard.map_or(Condition::UndefinedCondition, |(condition, _)| condition);
        let new_address = standard
            .filter(|_| matches!(condition, Condition::Gone | Condition::Redirect))
            .map(|(_, element)| element.text().into_owned())
            .filter(|address| !address.is_empty());
        Self {
            error_type: error
                .attr("type")
                .and_then(ErrorType::from_name)
                .unwrap_or_else(|| condition.default_type()),
            condition,
            new_address,
            text: text_of(error),
            application: error
                .children()
                .find(|c| c.ns() != ns::STANZA_ERRORS)
                .cloned()
                .map(Box::new),
            by: error.attr("by").and_then(|by| by.parse().ok()),
        }
    }
}

/// The English text where there are several, as that is what logs are written in.
fn text_of(error: &Element) -> Option<String> {
    let texts = || error.children().filter(|c| c.is("text", ns::STANZA_ERRORS));
    texts()
        .find(|t| t.lang().is_some_and(|l| l.starts_with("en")))
        .or_else(|| texts().next())
        .map(|text| text.text().into_owned())
        .filter(|text| !text.is_empty())
}

impl From<JidError> for StanzaError {
    fn from(error: JidError) -> Self {
        Self::jid_malformed(error.to_string())
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
        let errors = [
            StanzaError::bad_request("why"),
            StanzaError::new(Condition::ServiceUnavailable).with_by("b".parse::<Jid>().unwrap()),
            StanzaError::gone(Some("xmpp:new@b".into())),
            StanzaError::redirect("xmpp:new@b".into()).with_type(ErrorType::Wait),
            StanzaError::not_acceptable("blocked")
                .with_application(Element::new("blocked", ns::BLOCKING_ERRORS)),
        ];
        for error in errors {
            let element = error.to_element(ns::CLIENT);
            assert!(element.is("error", ns::CLIENT));
            assert_eq!(StanzaError::from_element(&element), error);
        }
        for &condition in Condition::ALL {
            let element = StanzaError::new(condition).to_element(ns::SERVER);
            assert_eq!(StanzaError::from_element(&element).condition, condition);
        }
    }

    #[test]
    fn default_types() {
        use Condition as C;
        let of = |error_type| {
            let conditions = C::ALL.iter().copied();
            conditions.filter(|c| c.default_type() == error_type).collect::<Vec<_>>()
        };
        assert_eq!(
            of(ErrorType::Modify),
            [C::BadRequest, C::JidMalformed, C::NotAcceptable, C::PolicyViolation, C::Redirect]
        );
        assert_eq!(
            of(ErrorType::Auth),
            [C::Forbidden, C::NotAuthorized, C::RegistrationRequired, C::SubscriptionRequired]
        );
        assert_eq!(
            of(ErrorType::Wait),
            [
                C::RecipientUnavailable,
                C::RemoteServerTimeout,
                C::ResourceConstraint,
                C::UnexpectedRequest
            ]
        );
        assert_eq!(of(ErrorType::Cancel).len(), 9);
        assert_eq!(of(ErrorType::Continue), []);
    }

    #[test]
    fn written_as_the_rfc_shows() {
        let written = StanzaError::jid_malformed("no").to_element(ns::CLIENT);
        let expected = parse(
            "<error xmlns='jabber:client' type='modify'>\
             <jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no</text></error>",
        );
        assert_eq!(written, expected);
    }

    #[test]
    fn lenient() {
        let empty = StanzaError::from_element(&parse("<error xmlns='jabber:client'/>"));
        assert_eq!(empty, StanzaError::new(Condition::UndefinedCondition));
        let odd = StanzaError::from_element(&parse(
            "<error xmlns='jabber:client' type='later' code='404' by='@'>\
             <never-heard-of xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xml:lang='de' xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>nein</text>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xml:lang='en' xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error>",
        ));
        assert_eq!(odd, StanzaError::item_not_found("no"));
    }
}
