//! Client state indication (XEP-0352).

use super::PayloadError;
use crate::{ns, xml::Element};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    Active,
    Inactive,
}

impl ClientState {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        if element.is("active", ns::CSI) {
            Ok(Self::Active)
        } else if element.is("inactive", ns::CSI) {
            Ok(Self::Inactive)
        } else {
            Err(PayloadError::Unexpected("active"))
        }
    }

    #[must_use]
    pub fn to_element(self) -> Element {
        let name = match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        };
        Element::new(name, ns::CSI)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn both_ways() {
        for state in [ClientState::Active, ClientState::Inactive] {
            assert_eq!(ClientState::parse(&state.to_element()), Ok(state));
        }
        let odd = el("<inactive xmlns='urn:xmpp:csi:0' x='y'><z/></inactive>");
        assert_eq!(ClientState::parse(&odd), Ok(ClientState::Inactive));
        assert!(ClientState::parse(&el("<idle xmlns='urn:xmpp:csi:0'/>")).is_err());
        assert!(ClientState::parse(&el("<active xmlns='other'/>")).is_err());
    }
}
