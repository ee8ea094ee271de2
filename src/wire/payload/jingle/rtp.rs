//! Audio and video over RTP (XEP-0167), with feedback (XEP-0293), header extensions (XEP-0294),
//! sources (XEP-0339), content categories (XEP-0507) and our own layers of simulcast.

use super::names;
use crate::payload::{
    PayloadError,
    dom::{owned, parsed, required},
};
use crate::{ns, xml::Element};

names! {
    Media {
        Application = "application", // No RTP: data channels (RFC 8841)
        Audio = "audio",
        Video = "video",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `None`: something that is not known.
    pub media: Option<Media>,
    pub payloads: Vec<PayloadType>,
    pub extensions: Vec<Extension>,
    pub sources: Vec<Source>,
    pub groups: Vec<SourceGroup>,
    /// Names of the layers, from the worst to the best.
    pub layers: Vec<String>,
    pub categories: Vec<String>,
    /// Whether packets may have their header extensions in either form (RFC 8285, section 4.1.2).
    pub mixed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadType {
    pub id: u8,
    /// As it is written.
    pub name: String,
    pub clockrate: Option<u32>,
    pub channels: Option<u8>,
    /// Packet lengths in milliseconds.
    pub ptime: Option<u32>,
    pub maxptime: Option<u32>,
    pub parameters: Vec<(String, String)>,
    pub feedback: Vec<Feedback>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    pub kind: String,
    pub subtype: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    pub id: u16,
    pub uri: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub ssrc: u32,
    pub parameters: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceGroup {
    /// Such as `FID` (RFC 5576, section 4.2).
    pub semantics: String,
    pub sources: Vec<u32>,
}

impl Description {
    #[must_use]
    pub const fn new(media: Media) -> Description {
        Description {
            media: Some(media),
            payloads: Vec::new(),
            extensions: Vec::new(),
            sources: Vec::new(),
            groups: Vec::new(),
            layers: Vec::new(),
            categories: Vec::new(),
            mixed: false,
        }
    }

    pub(super) fn parse(description: &Element) -> Result<Description, PayloadError> {
        let media = description.attr("media").and_then(Media::from_name);
        let mut read = Description { media, ..Description::new(Media::Audio) };
        for child in description.children() {
            match (child.name(), child.ns()) {
                ("payload-type", ns::JINGLE_RTP) => read.payloads.push(PayloadType::parse(child)?),
                ("rtp-hdrext", ns::JINGLE_HDREXT) => read.extensions.push(Extension::parse(child)?),
                ("source", ns::JINGLE_SSMA) => read.sources.push(Source::parse(child)?),
                ("ssrc-group", ns::JINGLE_SSMA) => read.groups.push(SourceGroup::parse(child)?),
                ("simulcast", ns::CALLS) => {
                    read.layers.extend(child.children().filter_map(|layer| owned(layer, "rid")));
                }
                ("extmap-allow-mixed", ns::JINGLE_HDREXT) => read.mixed = true,
                ("category", ns::JINGLE_CATEGORY) => read.categories.extend(owned(child, "name")),
                _ => {}
            }
        }
        Ok(read)
    }

    pub(super) fn to_element(&self) -> Element {
        let is_rtp = self.media != Some(Media::Application);
        let rtcp_mux = is_rtp.then(|| Element::new("rtcp-mux", ns::JINGLE_RTP));
        let mixed = self.mixed.then(|| Element::new("extmap-allow-mixed", ns::JINGLE_HDREXT));
        let layer = |rid: &String| Element::new("layer", ns::CALLS).with_attr("rid", rid.as_str());
        let simulcast = (!self.layers.is_empty()).then(|| {
            Element::new("simulcast", ns::CALLS).with_children(self.layers.iter().map(layer))
        });
        let category = |name: &String| {
            Element::new("category", ns::JINGLE_CATEGORY).with_attr("name", name.as_str())
        };
        Element::new("description", ns::JINGLE_RTP)
            .with_attr_opt("media", self.media.map(Media::name))
            .with_children(self.payloads.iter().map(PayloadType::to_element))
            .with_children(self.extensions.iter().map(Extension::to_element))
            .with_children(self.groups.iter().map(SourceGroup::to_element))
            .with_children(self.sources.iter().map(Source::to_element))
            .with_children(mixed)
            .with_children(simulcast)
            .with_children(self.categories.iter().map(category))
            .with_children(rtcp_mux)
    }
}

impl PayloadType {
    /// A parameter of its format, such as `apt`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn parse(payload: &Element) -> Result<PayloadType, PayloadError> {
        let id: Option<u8> = parsed(payload, "id")?;
        let id = id.filter(|id| *id < 128).ok_or(PayloadError::Invalid("id"))?;
        let feedback = payload.children().filter(|child| child.is("rtcp-fb", ns::JINGLE_RTCP_FB));
        let feedback = feedback.map(|child| {
            let kind = required(child, "type")?.to_owned();
            Ok(Feedback { kind, subtype: owned(child, "subtype") })
        });
        Ok(PayloadType {
            id,
            name: owned(payload, "name").unwrap_or_default(),
            clockrate: parsed(payload, "clockrate")?,
            channels: parsed(payload, "channels")?,
            ptime: parsed(payload, "ptime")?,
            maxptime: parsed(payload, "maxptime")?,
            parameters: parameters(payload, ns::JINGLE_RTP),
            feedback: feedback.collect::<Result<_, PayloadError>>()?,
        })
    }

    fn to_element(&self) -> Element {
        let feedback = |feedback: &Feedback| {
            Element::new("rtcp-fb", ns::JINGLE_RTCP_FB)
                .with_attr("type", feedback.kind.as_str())
                .with_attr_opt("subtype", feedback.subtype.as_deref())
        };
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let name = (!self.name.is_empty()).then_some(self.name.as_str());
        Element::new("payload-type", ns::JINGLE_RTP)
            .with_attr("id", self.id.to_string())
            .with_attr_opt("name", name)
            .with_attr_opt("clockrate", number(self.clockrate))
            .with_attr_opt("channels", number(self.channels.map(u32::from)))
            .with_attr_opt("ptime", number(self.ptime))
            .with_attr_opt("maxptime", number(self.maxptime))
            .with_children(written(&self.parameters, ns::JINGLE_RTP))
            .with_children(self.feedback.iter().map(feedback))
    }
}

impl Extension {
    fn parse(extension: &Element) -> Result<Extension, PayloadError> {
        let id = parsed(extension, "id")?.ok_or(PayloadError::Missing("id"))?;
        Ok(Extension { id, uri: required(extension, "uri")?.to_owned() })
    }

    fn to_element(&self) -> Element {
        Element::new("rtp-hdrext", ns::JINGLE_HDREXT)
            .with_attr("id", self.id.to_string())
            .with_attr("uri", self.uri.as_str())
    }
}

impl Source {
    fn parse(source: &Element) -> Result<Source, PayloadError> {
        Ok(Source { ssrc: ssrc(source)?, parameters: parameters(source, ns::JINGLE_SSMA) })
    }

    fn to_element(&self) -> Element {
        Element::new("source", ns::JINGLE_SSMA)
            .with_attr("ssrc", self.ssrc.to_string())
            .with_children(written(&self.parameters, ns::JINGLE_SSMA))
    }
}

impl SourceGroup {
    fn parse(group: &Element) -> Result<SourceGroup, PayloadError> {
        let sources = group.children().filter(|child| child.is("source", ns::JINGLE_SSMA));
        Ok(SourceGroup {
            semantics: required(group, "semantics")?.to_owned(),
            sources: sources.map(ssrc).collect::<Result<_, _>>()?,
        })
    }

    fn to_element(&self) -> Element {
        let source = |ssrc: &u32| {
            Element::new("source", ns::JINGLE_SSMA).with_attr("ssrc", ssrc.to_string())
        };
        Element::new("ssrc-group", ns::JINGLE_SSMA)
            .with_attr("semantics", self.semantics.as_str())
            .with_children(self.sources.iter().map(source))
    }
}

fn ssrc(source: &Element) -> Result<u32, PayloadError> {
    parsed(source, "ssrc")?.ok_or(PayloadError::Missing("ssrc"))
}

fn parameters(element: &Element, ns: &str) -> Vec<(String, String)> {
    let parameters = element.children().filter(|child| child.is("parameter", ns));
    let read = parameters.filter_map(|parameter| {
        Some((owned(parameter, "name")?, owned(parameter, "value").unwrap_or_default()))
    });
    read.collect()
}

fn written(parameters: &[(String, String)], ns: &'static str) -> impl Iterator<Item = Element> {
    parameters.iter().map(move |(name, value)| {
        let value = (!value.is_empty()).then_some(value.as_str());
        Element::new("parameter", ns).with_attr("name", name.as_str()).with_attr_opt("value", value)
    })
}
