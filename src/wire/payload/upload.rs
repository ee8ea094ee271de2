//! Slots for files (XEP-0363 version 1.2).

use super::{
    PayloadError,
    datetime::Timestamp,
    dom::{expect, parsed, required},
};
use crate::{error::StanzaError, ns, xml::Element};

/// What an upload is for (§5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Message,
    Profile,
    Ephemeral { expire_before: Timestamp },
    Permanent,
}

impl Purpose {
    fn parse(purpose: &Element) -> Result<Option<Self>, PayloadError> {
        Ok(match purpose.name() {
            "message" => Some(Self::Message),
            "profile" => Some(Self::Profile),
            "permanent" => Some(Self::Permanent),
            "ephemeral" => {
                let expire_before = required(purpose, "expire-before")?.parse()?;
                Some(Self::Ephemeral { expire_before })
            }
            _ => None,
        })
    }
}

/// A client asks for a slot (§4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRequest {
    pub filename: String,
    /// Bytes; not 0.
    pub size: u64,
    pub content_type: Option<String>,
    pub purpose: Purpose,
}

impl SlotRequest {
    pub fn parse(request: &Element) -> Result<Self, PayloadError> {
        expect(request, "request", ns::HTTP_UPLOAD)?;
        let size = parsed(request, "size")?.ok_or(PayloadError::Missing("size"))?;
        if size == 0 {
            return Err(PayloadError::Invalid("size"));
        }
        let purposes = request.children().filter(|c| c.ns() == ns::HTTP_UPLOAD_PURPOSE);
        let mut purpose = None;
        for child in purposes {
            purpose = purpose.or(Purpose::parse(child)?);
        }
        Ok(Self {
            filename: required(request, "filename")?.to_owned(),
            size,
            content_type: request.attr("content-type").filter(|t| !t.is_empty()).map(str::to_owned),
            // §5: what a service does not know counts as the default.
            purpose: purpose.unwrap_or(Purpose::Message),
        })
    }
}

/// Where to upload a file, and where it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub put: String,
    pub get: String,
}

impl Slot {
    #[must_use]
    pub fn to_element(&self) -> Element {
        let url = |name, url: &str| Element::new(name, ns::HTTP_UPLOAD).with_attr("url", url);
        Element::new("slot", ns::HTTP_UPLOAD)
            .with_child(url("put", &self.put))
            .with_child(url("get", &self.get))
    }
}

/// §6: the file is too large.
#[must_use]
pub fn file_too_large(max: u64) -> StanzaError {
    let max_size = Element::new("max-file-size", ns::HTTP_UPLOAD).with_text(max.to_string());
    StanzaError::not_acceptable(format!("File too large. The maximum file size is {max} bytes"))
        .with_application(Element::new("file-too-large", ns::HTTP_UPLOAD).with_child(max_size))
}

/// §6: not now, but perhaps at a time.
#[must_use]
pub fn quota_reached(text: &str, retry: Option<Timestamp>) -> StanzaError {
    let error = StanzaError::resource_constraint(text);
    match retry {
        Some(at) => {
            let stamp = at.to_string();
            error.with_application(Element::new("retry", ns::HTTP_UPLOAD).with_attr("stamp", stamp))
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    fn parse(attributes: &str, children: &str) -> Result<SlotRequest, PayloadError> {
        let request =
            format!("<request xmlns='urn:xmpp:http:upload:0' {attributes}>{children}</request>");
        SlotRequest::parse(&el(&request))
    }

    #[test]
    fn requests() {
        let request = parse("filename='très cool.jpg' size='23456' content-type='image/jpeg'", "");
        let request = request.unwrap();
        assert_eq!((request.filename.as_str(), request.size), ("très cool.jpg", 23456));
        assert_eq!(request.content_type.as_deref(), Some("image/jpeg"));
        assert_eq!(request.purpose, Purpose::Message);
        let purpose = |name: &str| {
            let child = format!("<x xmlns='u'/><{name} xmlns='urn:xmpp:http:upload:purpose:0'/>");
            parse("filename='a' size='1'", &child).map(|request| request.purpose)
        };
        assert_eq!(purpose("profile"), Ok(Purpose::Profile));
        assert_eq!(purpose("permanent"), Ok(Purpose::Permanent));
        assert_eq!(purpose("message"), Ok(Purpose::Message));
        assert_eq!(purpose("new"), Ok(Purpose::Message));
        assert_eq!(
            purpose("ephemeral expire-before='1970-01-01T00:00:01Z'"),
            Ok(Purpose::Ephemeral { expire_before: Timestamp::from_secs(1) })
        );
        assert!(purpose("ephemeral").is_err());
        assert!(purpose("ephemeral expire-before='soon'").is_err());
    }

    #[test]
    fn refused() {
        for attributes in [
            "",
            "filename='a'",
            "size='1'",
            "filename='' size='1'",
            "filename='a' size='0'",
            "filename='a' size='-1'",
            "filename='a' size='many'",
            "filename='a' size='99999999999999999999'",
        ] {
            assert!(parse(attributes, "").is_err(), "{attributes}");
        }
    }

    #[test]
    fn answers() {
        let slot = Slot { put: "https://a/b".into(), get: "https://a/c".into() };
        let expected = "<slot xmlns='urn:xmpp:http:upload:0'><put url='https://a/b'/><get url='https://a/c'/></slot>";
        assert_eq!(slot.to_element(), el(expected));
        let error = quota_reached("full", Some(Timestamp::from_secs(0)));
        let retry = el("<retry xmlns='urn:xmpp:http:upload:0' stamp='1970-01-01T00:00:00Z'/>");
        assert_eq!(error.application.as_deref(), Some(&retry));
        assert!(quota_reached("full", None).application.is_none());
        let large = file_too_large(9).application.unwrap();
        assert_eq!(large.child("max-file-size", ns::HTTP_UPLOAD).unwrap().text(), "9");
    }
}
