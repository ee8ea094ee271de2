//! What a server reads in vCards: the photo (XEP-0054, XEP-0153, XEP-0398) and the name.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use super::{
    PayloadError,
    dom::{Build, child_text, expect},
};
use crate::{hex, ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// MIME type.
    pub media_type: Option<String>,
    pub data: Vec<u8>,
}

impl Photo {
    /// The photo in a vcard-temp; one that is only a link counts as none.
    pub fn within(vcard: &Element) -> Result<Option<Self>, PayloadError> {
        expect(vcard, "vCard", ns::VCARD_TEMP)?;
        let Some(photo) = vcard.child("PHOTO", ns::VCARD_TEMP) else {
            return Ok(None);
        };
        let Some(encoded) = child_text(photo, "BINVAL", ns::VCARD_TEMP) else {
            return Ok(None);
        };
        // Clients break lines and indent.
        let encoded: String = encoded.split_ascii_whitespace().collect();
        let data = STANDARD.decode(encoded).map_err(|_| PayloadError::Invalid("BINVAL"))?;
        let media_type = child_text(photo, "TYPE", ns::VCARD_TEMP);
        Ok((!data.is_empty()).then_some(Self { media_type, data }))
    }

    /// Puts this photo, or none, in the place of what is in `vcard`.
    pub fn replace(photo: Option<&Self>, vcard: &mut Element) {
        vcard.retain_children(|child| !child.is("PHOTO", ns::VCARD_TEMP));
        if let Some(photo) = photo {
            vcard.push(photo.to_element());
        }
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("PHOTO", ns::VCARD_TEMP)
            .text_child("TYPE", ns::VCARD_TEMP, self.media_type.as_deref())
            .text_child("BINVAL", ns::VCARD_TEMP, Some(&STANDARD.encode(&self.data)))
    }

    /// SHA-1 in hexadecimal, by which XEP-0084 and XEP-0153 name an image.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha1::digest(&self.data))
    }
}

/// What presence says about the avatar (XEP-0153 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AvatarUpdate {
    /// The client does not know yet what the vCard holds.
    NotReady,
    NoPhoto,
    /// SHA-1 in hexadecimal.
    Hash(String),
}

impl AvatarUpdate {
    pub fn parse(x: &Element) -> Result<Self, PayloadError> {
        expect(x, "x", ns::VCARD_UPDATE)?;
        Ok(match child_text(x, "photo", ns::VCARD_UPDATE) {
            None => Self::NotReady,
            Some(hash) if hash.trim().is_empty() => Self::NoPhoto,
            Some(hash) => Self::Hash(hash.trim().to_owned()),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let photo = match self {
            Self::NotReady => None,
            Self::NoPhoto => Some(""),
            Self::Hash(hash) => Some(hash.as_str()),
        };
        Element::new("x", ns::VCARD_UPDATE).text_child("photo", ns::VCARD_UPDATE, photo)
    }
}

/// How somebody wants to be called: the nickname, else the full name,
/// of a vcard-temp or a vCard 4 (XEP-0292).
#[must_use]
pub fn display_name(vcard: &Element) -> Option<String> {
    let text = |name: &str| {
        if vcard.ns() == ns::VCARD4 {
            child_text(vcard.child(name, ns::VCARD4)?, "text", ns::VCARD4)
        } else {
            child_text(vcard, &name.to_ascii_uppercase(), ns::VCARD_TEMP)
        }
    };
    ["nickname", "fn"]
        .into_iter()
        .filter_map(text)
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    fn vcard(children: &str) -> Element {
        el(&format!("<vCard xmlns='vcard-temp' x='y'>{children}</vCard>"))
    }

    #[test]
    fn photo() {
        let card = vcard(
            "<FN>A</FN><PHOTO><TYPE>image/png</TYPE><z/><BINVAL>\n  aGVs\n  bG8=\n</BINVAL></PHOTO>",
        );
        let photo = Photo::within(&card).unwrap().unwrap();
        assert_eq!(photo.data, b"hello");
        assert_eq!(photo.media_type.as_deref(), Some("image/png"));
        assert_eq!(photo.hash(), "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        let card = Element::new("vCard", ns::VCARD_TEMP).with_child(photo.to_element());
        assert_eq!(Photo::within(&card), Ok(Some(photo)));
    }

    #[test]
    fn no_photo() {
        for children in [
            "",
            "<PHOTO/>",
            "<PHOTO><EXTVAL>http://x/</EXTVAL></PHOTO>",
            "<PHOTO><TYPE>image/png</TYPE><BINVAL/></PHOTO>",
        ] {
            assert_eq!(Photo::within(&vcard(children)), Ok(None), "{children}");
        }
        let bad = vcard("<PHOTO><BINVAL>?</BINVAL></PHOTO>");
        assert_eq!(Photo::within(&bad), Err(PayloadError::Invalid("BINVAL")));
        assert!(Photo::within(&el("<vCard xmlns='other'/>")).is_err());
    }

    #[test]
    fn replacing() {
        let photo = Photo { media_type: None, data: b"hello".to_vec() };
        let mut card = vcard("<FN>A</FN><PHOTO/><PHOTO/>");
        Photo::replace(Some(&photo), &mut card);
        assert_eq!(Photo::within(&card), Ok(Some(photo)));
        Photo::replace(None, &mut card);
        assert_eq!(card, vcard("<FN>A</FN>"));
    }

    #[test]
    fn update() {
        let states = [
            AvatarUpdate::NotReady,
            AvatarUpdate::NoPhoto,
            AvatarUpdate::Hash("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d".into()),
        ];
        for state in states {
            assert_eq!(AvatarUpdate::parse(&state.to_element()), Ok(state));
        }
        let odd = el("<x xmlns='vcard-temp:x:update' y='z'><q/><photo> a </photo></x>");
        assert_eq!(AvatarUpdate::parse(&odd), Ok(AvatarUpdate::Hash("a".into())));
        assert!(AvatarUpdate::parse(&el("<x xmlns='other'/>")).is_err());
    }

    #[test]
    fn names() {
        let both = vcard("<FN>Anna Muster</FN><NICKNAME> anna </NICKNAME>");
        assert_eq!(display_name(&both).as_deref(), Some("anna"));
        let blank = vcard("<NICKNAME/><FN>Anna</FN>");
        assert_eq!(display_name(&blank).as_deref(), Some("Anna"));
        assert_eq!(display_name(&vcard("")), None);
        let four = el(
            "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Anna</text></fn></vcard>",
        );
        assert_eq!(display_name(&four).as_deref(), Some("Anna"));
    }
}
