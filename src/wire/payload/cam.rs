//! Client access management (XEP-0494).

use super::{
    PayloadError,
    datetime::Timestamp,
    dom::{Build, required},
};
use crate::{
    error::{Condition, StanzaError},
    ns,
    xml::Element,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CamRequest {
    List,
    Revoke {
        /// The id of a [`Client`].
        id: String,
    },
}

impl CamRequest {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        if element.is("list", ns::CAM) {
            Ok(Self::List)
        } else if element.is("revoke", ns::CAM) {
            let id = required(element, "id")?.to_owned();
            Ok(Self::Revoke { id })
        } else {
            Err(PayloadError::Unexpected("list"))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    Session,
    /// Never had an XMPP session.
    Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    Password,
    Grant,
    Fast,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Unrestricted,
    /// All but managing access.
    Normal,
    Restricted,
}

/// Something that may use the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: String,
    pub kind: ClientKind,
    /// Has a session, if only one waiting to be resumed.
    pub connected: bool,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub auth: Vec<AuthMethod>,
    pub permission: Permission,
    pub software: Option<String>,
    pub uri: Option<String>,
    pub device: Option<String>,
}

impl Client {
    fn to_element(&self) -> Element {
        let auth = self.auth.iter().map(|method| {
            let name = match method {
                AuthMethod::Password => "password",
                AuthMethod::Grant => "grant",
                AuthMethod::Fast => "fast",
            };
            Element::new(name, ns::CAM)
        });
        let permission = match self.permission {
            Permission::Unrestricted => "unrestricted",
            Permission::Normal => "normal",
            Permission::Restricted => "restricted",
        };
        let kind = match self.kind {
            ClientKind::Session => "session",
            ClientKind::Access => "access",
        };
        let user_agent = Element::new("user-agent", ns::CAM)
            .text_child("software", ns::CAM, self.software.as_deref())
            .text_child("uri", ns::CAM, self.uri.as_deref())
            .text_child("device", ns::CAM, self.device.as_deref());
        Element::new("client", ns::CAM)
            .with_attr("connected", if self.connected { "true" } else { "false" })
            .with_attr("id", self.id.as_str())
            .with_attr("type", kind)
            .text_child("first-seen", ns::CAM, Some(&self.first_seen.to_string()))
            .text_child("last-seen", ns::CAM, Some(&self.last_seen.to_string()))
            .with_child(Element::new("auth", ns::CAM).with_children(auth))
            .with_child(Element::new("permission", ns::CAM).with_attr("status", permission))
            .with_child(user_agent)
    }
}

/// The answer to [`CamRequest::List`].
#[must_use]
pub fn clients(clients: &[Client]) -> Element {
    Element::new("clients", ns::CAM).with_children(clients.iter().map(Client::to_element))
}

/// A client that knows the password cannot be shut out but by a new one (§3.2).
#[must_use]
pub fn password_reset_required() -> StanzaError {
    StanzaError::new(Condition::ServiceUnavailable)
        .with_text("this client knows the password, so the password must be changed")
        .with_application(Element::new("password-reset-required", ns::CAM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn requests() {
        let parse = |xml| CamRequest::parse(&el(xml));
        assert_eq!(parse("<list xmlns='urn:xmpp:cam:0' x='y'><z/></list>"), Ok(CamRequest::List));
        assert_eq!(
            parse("<revoke xmlns='urn:xmpp:cam:0' id='HjEEr45_LQr'/>"),
            Ok(CamRequest::Revoke { id: "HjEEr45_LQr".into() })
        );
        assert_eq!(parse("<revoke xmlns='urn:xmpp:cam:0'/>"), Err(PayloadError::Missing("id")));
        assert!(parse("<list xmlns='other'/>").is_err());
    }

    #[test]
    fn list() {
        let gajim = Client {
            id: "zeiP41HLglIu".into(),
            kind: ClientKind::Session,
            connected: true,
            first_seen: "2023-04-06T14:26:08Z".parse().unwrap(),
            last_seen: "2023-04-06T14:37:25Z".parse().unwrap(),
            auth: vec![AuthMethod::Password],
            permission: Permission::Unrestricted,
            software: Some("Gajim".into()),
            uri: Some("https://gajim.org/".into()),
            device: None,
        };
        let expected = el("<clients xmlns='urn:xmpp:cam:0'>\
             <client connected='true' id='zeiP41HLglIu' type='session'>\
             <first-seen>2023-04-06T14:26:08Z</first-seen><last-seen>2023-04-06T14:37:25Z</last-seen>\
             <auth><password/></auth><permission status='unrestricted'/>\
             <user-agent><software>Gajim</software><uri>https://gajim.org/</uri></user-agent>\
             </client></clients>");
        assert_eq!(clients(&[gajim]), expected);
    }

    #[test]
    fn refusal() {
        let error = password_reset_required().to_element(ns::CLIENT);
        assert!(error.child("password-reset-required", ns::CAM).is_some());
        assert!(error.child("service-unavailable", ns::STANZA_ERRORS).is_some());
    }
}
