//! The elements of stream management that both kinds of streams write and read alike.

use std::time::Duration;

use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::{HandledCountTooHigh, StreamManagement};

/// `<failed/>` with a stanza error condition (XEP-0198, section 6).
pub(crate) fn failed(condition: &'static str) -> Element {
    Element::new("failed", ns::SM).with_child(Element::new(condition, ns::STANZA_ERRORS))
}

/// `<enabled/>`, with the id and the time by and within which the stream may be resumed.
pub(crate) fn enabled(resumption: Option<(&str, Duration)>) -> Element {
    let enabled = Element::new("enabled", ns::SM);
    match resumption {
        None => enabled,
        Some((id, max)) => enabled
            .with_attr("id", id)
            .with_attr("resume", "true")
            .with_attr("max", max.as_secs().to_string()),
    }
}

pub(crate) fn resume(management: &StreamManagement) -> Element {
    resumption("resume", management)
}

pub(crate) fn resumed(management: &StreamManagement) -> Element {
    resumption("resumed", management)
}

fn resumption(name: &'static str, management: &StreamManagement) -> Element {
    Element::new(name, ns::SM)
        .with_attr("previd", management.id())
        .with_attr("h", management.handled().to_string())
}

/// What a `<resume/>` says (XEP-0198, section 5).
pub(crate) struct Resumption {
    pub(crate) id: String,
    pub(crate) h: u32,
}

impl Resumption {
    /// `None` when something is missing.
    pub(crate) fn read(element: &Element) -> Option<Resumption> {
        Some(Resumption { id: element.attr("previd")?.to_owned(), h: handled_count(element)? })
    }
}

pub(crate) fn acknowledgement(h: u32) -> Element {
    Element::new("a", ns::SM).with_attr("h", h.to_string())
}

/// Whether an `<enable/>` asks for more than acknowledgements, or an `<enabled/>` grants it.
pub(crate) fn has_resumption(element: &Element) -> bool {
    matches!(element.attr("resume"), Some("true" | "1"))
}

/// The count of handled stanzas.
pub(crate) fn handled_count(element: &Element) -> Option<u32> {
    element.attr("h")?.trim().parse().ok()
}

impl From<HandledCountTooHigh> for StreamError {
    fn from(error: HandledCountTooHigh) -> StreamError {
        let detail = Element::new("handled-count-too-high", ns::SM)
            .with_attr("h", error.h.to_string())
            .with_attr("send-count", error.sent.to_string());
        let condition = StreamError::new(StreamCondition::UndefinedCondition);
        condition.with_application(detail).with_text(error.to_string())
    }
}
