//! The SASL profile of RFC 6120, section 6.4.

use wello_wire::ns;
use wello_wire::xml::Element;

use super::{AuthFailure, data_element, data_of};
use crate::sasl::{Condition, Failure, Reason, encoding};

/// Every element of the profile, from either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sasl1 {
    Auth {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
    Challenge(Vec<u8>),
    Response(Vec<u8>),
    Abort,
    /// With the additional data, if the mechanism has some.
    Success(Option<Vec<u8>>),
    Failure(AuthFailure),
}

impl Sasl1 {
    /// Reads an element in the namespace of the profile; `None` for those of other namespaces.
    ///
    /// # Errors
    /// What to refuse the peer with: `incorrect-encoding` for bad base64, `malformed-request`
    /// for more than `max` octets of data and for unknown elements, `invalid-mechanism` if
    /// there is none.
    pub fn read(element: Element, max: usize) -> Option<Result<Sasl1, Failure>> {
        (element.ns() == ns::SASL).then(|| Sasl1::read_known(element, max))
    }

    fn read_known(element: Element, max: usize) -> Result<Sasl1, Failure> {
        match element.name() {
            "auth" => Ok(Sasl1::Auth {
                mechanism: mechanism(&element)?,
                initial: encoding::decode_initial(&element.text(), max)?,
            }),
            "challenge" => data_of(&element, max).map(Sasl1::Challenge),
            "response" => data_of(&element, max).map(Sasl1::Response),
            "abort" => Ok(Sasl1::Abort),
            "success" => encoding::decode_initial(&element.text(), max).map(Sasl1::Success),
            "failure" => Ok(Sasl1::Failure(AuthFailure::read(element))),
            _ => Err(Failure::new(Condition::MalformedRequest, Reason::Syntax)),
        }
    }

    pub fn write(&self) -> Element {
        match self {
            Sasl1::Auth { mechanism, initial } => {
                optional("auth", initial.as_deref()).with_attr("mechanism", mechanism.as_str())
            }
            Sasl1::Challenge(data) => data_element("challenge", ns::SASL, data),
            Sasl1::Response(data) => data_element("response", ns::SASL, data),
            Sasl1::Abort => Element::new("abort", ns::SASL),
            Sasl1::Success(data) => optional("success", data.as_deref()),
            Sasl1::Failure(failure) => failure.write(ns::SASL),
        }
    }
}

/// The mechanism that an `<auth/>` or `<authenticate/>` names (RFC 6120, section 6.5.7).
pub(super) fn mechanism(element: &Element) -> Result<String, Failure> {
    let missing = Failure::new(Condition::InvalidMechanism, Reason::UnknownMechanism);
    element.attr("mechanism").map(str::to_owned).ok_or(missing)
}

/// Data that may be absent: empty data is then written as `=`.
fn optional(name: &str, data: Option<&[u8]>) -> Element {
    let element = Element::new(name, ns::SASL);
    match data {
        None => element,
        data => element.with_text(encoding::encode_success(data)),
    }
}
