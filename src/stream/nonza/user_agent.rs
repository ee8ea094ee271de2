//! `<user-agent/>` of XEP-0388: which installation of which client logs in.

use std::fmt;
use std::str::FromStr;

use wello_wire::ns;
use wello_wire::xml::Element;

use super::{text_element, text_of};
use crate::sasl::{Condition, Failure, Reason};

/// What a client says about itself. Not to be shown to anybody but its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAgent {
    pub id: Option<UserAgentId>,
    pub software: Option<String>,
    pub device: Option<String>,
}

/// The identifier of one installation of a client: a UUID of version 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserAgentId([u8; 16]);

impl UserAgent {
    /// # Errors
    /// `malformed-request` if there is an `id` that is not a UUID of version 4.
    pub(super) fn read(element: &Element) -> Result<UserAgent, Failure> {
        let text = |name| element.child(name, ns::SASL2).and_then(text_of);
        Ok(UserAgent {
            id: element.attr("id").map(str::parse).transpose()?,
            software: text("software"),
            device: text("device"),
        })
    }

    pub(super) fn write(&self) -> Element {
        let text = |name, text: &Option<String>| {
            text.as_ref().map(|text| text_element(name, ns::SASL2, text))
        };
        Element::new("user-agent", ns::SASL2)
            .with_attr_opt("id", self.id.map(|id| id.to_string()))
            .with_children(text("software", &self.software))
            .with_children(text("device", &self.device))
    }
}

impl FromStr for UserAgentId {
    type Err = Failure;

    fn from_str(text: &str) -> Result<UserAgentId, Failure> {
        parse_uuid(text.trim())
            .filter(|id| id[6] >> 4 == 4 && id[8] >> 6 == 0b10)
            .map(UserAgentId)
            .ok_or(Failure::new(Condition::MalformedRequest, Reason::Syntax))
    }
}

/// In lower case, whatever the client wrote.
impl fmt::Display for UserAgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for UserAgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `8-4-4-4-12` hexadecimal digits (RFC 9562, section 4).
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<&[u8]> = text.as_bytes().split(|octet| *octet == b'-').collect();
    if !groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) {
        return None;
    }
    let mut id = [0; 16];
    for (octet, digits) in id.iter_mut().zip(groups.concat().chunks_exact(2)) {
        *octet = hex_digit(digits[0])? << 4 | hex_digit(digits[1])?;
    }
    Some(id)
}

fn hex_digit(digit: u8) -> Option<u8> {
    // At most 15, so it fits.
    char::from(digit).to_digit(16).map(|value| value as u8)
}
