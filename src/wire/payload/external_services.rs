//! External Service Discovery (XEP-0215).

use super::PayloadError;
use super::datetime::Timestamp;
use super::dom::{Build, expect, owned, parsed, required};
use crate::ns;
use crate::xml::Element;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub kind: String,
    pub host: String,
    pub port: Option<u16>,
    /// `udp` or `tcp`.
    pub transport: Option<String>,
    pub name: Option<String>,
    pub credentials: Option<Credentials>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    pub expires: Option<Timestamp>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServicesRequest {
    /// All services, or those of a type.
    List { kind: Option<String> },
    /// Credentials for the services at a place.
    Credentials(Vec<Place>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub kind: String,
    pub host: String,
    pub port: Option<u16>,
}

impl std::fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl ServicesRequest {
    pub fn parse(request: &Element) -> Result<Self, PayloadError> {
        if request.is("services", ns::EXTDISCO) {
            let kind = owned(request, "type").filter(|kind| !kind.is_empty());
            return Ok(Self::List { kind });
        }
        expect(request, "credentials", ns::EXTDISCO)?;
        let services = request.children().filter(|child| child.is("service", ns::EXTDISCO));
        let places = services.map(|service| {
            let kind = required(service, "type")?.to_owned();
            let host = required(service, "host")?.to_owned();
            Ok(Place { kind, host, port: parsed(service, "port")? })
        });
        let places = places.collect::<Result<Vec<_>, PayloadError>>()?;
        match places.is_empty() {
            true => Err(PayloadError::Missing("service")),
            false => Ok(Self::Credentials(places)),
        }
    }
}

impl Place {
    #[must_use]
    pub fn is_of(&self, service: &Service) -> bool {
        self.kind == service.kind
            && self.host.eq_ignore_ascii_case(&service.host)
            && self.port.is_none_or(|port| service.port == Some(port))
    }
}

impl Service {
    #[must_use]
    pub fn to_element(&self) -> Element {
        let port = self.port.map(|port| port.to_string());
        let service = Element::new("service", ns::EXTDISCO)
            .with_attr("type", self.kind.as_str())
            .with_attr("host", self.host.as_str())
            .with_attr_opt("port", port)
            .with_attr_opt("transport", self.transport.clone())
            .with_attr_opt("name", self.name.clone())
            .flag("restricted", self.credentials.is_some());
        match &self.credentials {
            Some(credentials) => credentials.add_to(service),
            None => service,
        }
    }
}

impl Credentials {
    fn add_to(&self, service: Element) -> Element {
        service
            .with_attr("username", self.username.as_str())
            .with_attr("password", self.password.as_str())
            .with_attr_opt("expires", self.expires.map(|expires| expires.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    fn read(xml: &str) -> Result<ServicesRequest, PayloadError> {
        ServicesRequest::parse(&el(xml))
    }

    #[test]
    fn requests() {
        let all = read("<services xmlns='urn:xmpp:extdisco:2'/>");
        assert_eq!(all, Ok(ServicesRequest::List { kind: None }));
        let some = read("<services xmlns='urn:xmpp:extdisco:2' type='turn'/>");
        assert_eq!(some, Ok(ServicesRequest::List { kind: Some("turn".into()) }));
        let one = "<credentials xmlns='urn:xmpp:extdisco:2'>
            <service host='a' type='turn' port='1'/></credentials>";
        let place = Place { kind: "turn".into(), host: "a".into(), port: Some(1) };
        assert_eq!(read(one), Ok(ServicesRequest::Credentials(vec![place])));
        for wrong in ["", "<service type='turn'/>", "<service host='a'/>"] {
            let xml = format!("<credentials xmlns='urn:xmpp:extdisco:2'>{wrong}</credentials>");
            assert!(read(&xml).is_err(), "{wrong}");
        }
        assert!(read("<other xmlns='urn:xmpp:extdisco:2'/>").is_err());
    }

    #[test]
    fn a_service_with_credentials() {
        let credentials = Credentials {
            username: "u".into(),
            password: "p".into(),
            expires: Some(Timestamp::from_secs(0)),
        };
        assert!(!format!("{credentials:?}").contains("\"p\""));
        let service = Service {
            kind: "turn".into(),
            host: "h".into(),
            port: Some(3478),
            transport: Some("udp".into()),
            name: None,
            credentials: Some(credentials),
        };
        let xml = "<service xmlns='urn:xmpp:extdisco:2' type='turn' host='h' port='3478'
            transport='udp' restricted='true' username='u' password='p'
            expires='1970-01-01T00:00:00Z'/>";
        assert_eq!(service.to_element(), el(xml));
    }
}
