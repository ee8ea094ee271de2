//! Voice clips: the message that every client understands, each in its way. Older ones read the
//! body and XEP-0066, newer ones XEP-0447 with XEP-0446, ours the clip itself.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::{ns, xml::Element};

/// A voice clip that is on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    pub url: String,
    pub name: String,
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    pub sha256: [u8; 32],
    /// Milliseconds.
    pub duration: u64,
    /// Loudness of even parts.
    pub waveform: Vec<u8>,
    /// The room that it is for.
    pub channel: Option<String>,
}

impl Clip {
    /// The children of its message.
    #[must_use]
    pub fn to_children(&self) -> Vec<Element> {
        let body = Element::new("body", ns::CLIENT).with_text(self.url.as_str());
        let url = Element::new("url", ns::OOB).with_text(self.url.as_str());
        // XEP-0428: those that read the file need not show the body.
        let fallback = Element::new("fallback", ns::FALLBACK)
            .with_attr("for", ns::SFS)
            .with_child(Element::new("body", ns::FALLBACK));
        let clip = Element::new("clip", ns::PTT)
            .with_attr_opt("channel", self.channel.as_deref())
            .with_attr("duration", self.duration.to_string())
            .with_attr("waveform", BASE64_STANDARD.encode(&self.waveform));
        vec![
            body,
            Element::new("x", ns::OOB).with_child(url),
            self.sharing(),
            fallback,
            clip,
            Element::new("store", ns::HINTS),
        ]
    }

    fn sharing(&self) -> Element {
        let field = |name, text: &str| Element::new(name, ns::FILE_METADATA).with_text(text);
        let hash = Element::new("hash", ns::HASHES)
            .with_attr("algo", "sha-256")
            .with_text(BASE64_STANDARD.encode(self.sha256));
        let file = Element::new("file", ns::FILE_METADATA).with_children([
            field("media-type", &self.media_type),
            field("name", &self.name),
            field("size", &self.size.to_string()),
            field("length", &self.duration.to_string()),
            field("desc", "Voice message").with_lang("en"),
            hash,
        ]);
        let source = Element::new("url-data", ns::URL_DATA).with_attr("target", self.url.as_str());
        Element::new("file-sharing", ns::SFS)
            .with_attr("disposition", "inline")
            .with_child(file)
            .with_child(Element::new("sources", ns::SFS).with_child(source))
    }
}

/// Whether [`Clip::to_children`] brings this child anew.
#[must_use]
pub fn is_of_clip(child: &Element) -> bool {
    child.is("body", ns::CLIENT)
        || child.is("x", ns::OOB)
        || child.is("file-sharing", ns::SFS)
        || (child.is("fallback", ns::FALLBACK) && child.attr("for") == Some(ns::SFS))
        || child.is("clip", ns::PTT)
        || child.is("store", ns::HINTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn written_for_every_client() {
        let clip = Clip {
            url: "https://a/b.m4a".into(),
            name: "b.m4a".into(),
            media_type: "audio/mp4".into(),
            size: 5,
            sha256: [0; 32],
            duration: 3000,
            waveform: vec![0, 255],
            channel: None,
        };
        let message = Element::new("message", ns::CLIENT).with_children(clip.to_children());
        let expected = el("<message xmlns='jabber:client'><body>https://a/b.m4a</body>\
            <x xmlns='jabber:x:oob'><url>https://a/b.m4a</url></x>\
            <file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'>\
            <file xmlns='urn:xmpp:file:metadata:0'><media-type>audio/mp4</media-type>\
            <name>b.m4a</name><size>5</size><length>3000</length>\
            <desc xml:lang='en'>Voice message</desc>\
            <hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</hash>\
            </file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://a/b.m4a'/></sources>\
            </file-sharing><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback>\
            <clip xmlns='urn:wello:ptt:0' duration='3000' waveform='AP8='/>\
            <store xmlns='urn:xmpp:hints'/></message>");
        assert_eq!(message, expected);
        assert!(message.children().all(is_of_clip));
    }
}
