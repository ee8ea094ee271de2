//! The top-level elements of authentication, between XML and types.
//!
//! Reading is lenient where clients differ: unknown attributes and children are ignored or kept,
//! optional parts may be missing, mechanism names are only text until an offer is asked. What
//! cannot be read is refused with the condition that the peer is to be told.

mod bind2;
mod fast;
mod features;
mod sasl1;
mod sasl2;
#[cfg(test)]
mod tests;
mod upgrade;
mod user_agent;

use wello_wire::ns;
use wello_wire::xml::Element;

use crate::sasl::{Condition, Failure, encoding};

pub use bind2::{BindFeature, BindRequest, Bound};
pub use fast::{FastFeature, FastRequest, RequestToken, Token};
pub use features::{Authentication, ChannelBindingTypes, Mechanisms};
pub use sasl1::Sasl1;
pub use sasl2::{Authenticate, Authenticated, Continue, Next, Sasl2};
pub use upgrade::{read_hash, requested_upgrades, salt};
pub use user_agent::{UserAgent, UserAgentId};

/// `<failure/>` of RFC 6120, section 6.5 and of XEP-0388, which differ in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFailure {
    pub condition: Condition,
    /// For people, in English.
    pub text: Option<String>,
    /// Application-specific conditions.
    pub extra: Vec<Element>,
}

impl From<Failure> for AuthFailure {
    fn from(failure: Failure) -> AuthFailure {
        let text = Some(failure.reason.to_string());
        AuthFailure { condition: failure.condition, text, extra: Vec::new() }
    }
}

impl AuthFailure {
    /// A missing or unknown condition is taken as `not-authorized`, the most general one.
    fn read(element: Element) -> AuthFailure {
        let outer = element.ns().to_owned();
        let mut failure =
            AuthFailure { condition: Condition::NotAuthorized, text: None, extra: Vec::new() };
        for child in element.into_children() {
            match Condition::from_name(child.name()) {
                Some(condition) if child.ns() == ns::SASL => failure.condition = condition,
                _ if child.is("text", &outer) => failure.text = text_of(&child),
                _ if child.ns() == ns::SASL => {}
                _ => failure.extra.push(child),
            }
        }
        failure
    }

    fn write(&self, namespace: &'static str) -> Element {
        let text =
            |text: &String| Element::new("text", namespace).with_lang("en").with_text(text.clone());
        Element::new("failure", namespace)
            .with_child(Element::new(self.condition.name(), ns::SASL))
            .with_children(self.extra.iter().cloned())
            .with_children(self.text.iter().map(text))
    }
}

/// The SASL data inside an element.
fn data_of(element: &Element, max: usize) -> Result<Vec<u8>, Failure> {
    encoding::decode(&element.text(), max)
}

fn data_element(name: &str, namespace: &'static str, data: &[u8]) -> Element {
    let element = Element::new(name, namespace);
    match data {
        [] => element,
        data => element.with_text(encoding::encode(data)),
    }
}

/// The text without the white space around it, unless nothing is left.
fn text_of(element: &Element) -> Option<String> {
    let text = element.text();
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts of the children with that name.
fn texts(parent: &Element, name: &str, namespace: &str) -> Vec<String> {
    parent.children().filter(|child| child.is(name, namespace)).filter_map(text_of).collect()
}

fn text_element(name: &str, namespace: &'static str, text: &str) -> Element {
    Element::new(name, namespace).with_text(text)
}

/// `xs:boolean`
fn is_true(value: Option<&str>) -> bool {
    matches!(value.map(str::trim), Some("true" | "1"))
}
