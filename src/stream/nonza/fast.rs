//! Fast Authentication Streamlining Tokens (XEP-0484, version 0.2.0).

use wello_wire::ns;
use wello_wire::xml::Element;

use super::features::names;
use super::{is_true, text_element, texts};
use crate::sasl::{Condition, Failure, Offer, Reason, Secret};

/// `<fast/>` among the inline features of `<authentication/>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastFeature {
    pub mechanisms: Vec<String>,
    /// Whether `<authenticate/>` is accepted in TLS early data.
    pub tls_0rtt: bool,
}

/// `<fast/>` in `<authenticate/>`: the client logs in with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastRequest {
    /// Grows with each use of a token; required in TLS early data.
    pub count: Option<u64>,
    /// The client wants the token to be void after this login.
    pub invalidate: bool,
}

/// `<request-token/>` in `<authenticate/>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestToken {
    /// Without a name that is offered, there is no token, but the login goes on.
    pub mechanism: Option<String>,
}

/// `<token/>` in `<success/>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub token: Secret,
    /// In the DateTime profile of XEP-0082.
    pub expiry: String,
}

impl FastFeature {
    /// `None` if there is nothing to offer.
    pub fn offer(offer: &Offer) -> Option<FastFeature> {
        let mechanisms = names(&offer.fast);
        (!mechanisms.is_empty()).then_some(FastFeature { mechanisms, tls_0rtt: false })
    }

    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<FastFeature> {
        element.is("fast", ns::FAST).then(|| FastFeature {
            mechanisms: texts(element, "mechanism", ns::FAST),
            tls_0rtt: is_true(element.attr("tls-0rtt")),
        })
    }

    pub fn write(&self) -> Element {
        let names = self.mechanisms.iter().map(|name| text_element("mechanism", ns::FAST, name));
        Element::new("fast", ns::FAST)
            .with_attr_opt("tls-0rtt", self.tls_0rtt.then_some("true"))
            .with_children(names)
    }
}

impl FastRequest {
    /// `None` if it is another element.
    ///
    /// # Errors
    /// `malformed-request` if `count` is not a number: ignoring it would allow replays.
    pub fn read(element: &Element) -> Option<Result<FastRequest, Failure>> {
        if !element.is("fast", ns::FAST) {
            return None;
        }
        let malformed = Failure::new(Condition::MalformedRequest, Reason::Syntax);
        let count = element.attr("count").map(|count| count.trim().parse()).transpose();
        let invalidate = is_true(element.attr("invalidate"));
        Some(count.map(|count| FastRequest { count, invalidate }).map_err(|_| malformed))
    }

    pub fn write(self) -> Element {
        Element::new("fast", ns::FAST)
            .with_attr_opt("count", self.count.map(|count| count.to_string()))
            .with_attr_opt("invalidate", self.invalidate.then_some("true"))
    }
}

impl RequestToken {
    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<RequestToken> {
        let mechanism = || element.attr("mechanism").map(str::to_owned);
        element.is("request-token", ns::FAST).then(|| RequestToken { mechanism: mechanism() })
    }

    pub fn write(&self) -> Element {
        Element::new("request-token", ns::FAST)
            .with_attr_opt("mechanism", self.mechanism.as_deref())
    }
}

impl Token {
    /// `None` if it is another element, or one without a token.
    pub fn read(element: &Element) -> Option<Token> {
        let token = element.attr("token").filter(|_| element.is("token", ns::FAST))?;
        let expiry = element.attr("expiry").unwrap_or_default().to_owned();
        Some(Token { token: Secret::new(token), expiry })
    }

    pub fn write(&self) -> Element {
        Element::new("token", ns::FAST)
            .with_attr("expiry", self.expiry.as_str())
            .with_attr("token", self.token.expose())
    }
}
