//! Short forms for reading and building elements.

use std::str::FromStr;

use super::PayloadError;
use crate::{jid::Jid, xml::Element};

/// Refuses any other element than `<name xmlns='namespace'/>`.
pub(crate) fn expect(
    element: &Element,
    name: &'static str,
    namespace: &str,
) -> Result<(), PayloadError> {
    match element.is(name, namespace) {
        true => Ok(()),
        false => Err(PayloadError::Unexpected(name)),
    }
}

pub(crate) fn required<'a>(
    element: &'a Element,
    attribute: &'static str,
) -> Result<&'a str, PayloadError> {
    element
        .attr(attribute)
        .filter(|value| !value.is_empty())
        .ok_or(PayloadError::Missing(attribute))
}

pub(crate) fn owned(element: &Element, attribute: &'static str) -> Option<String> {
    element.attr(attribute).map(str::to_owned)
}

pub(crate) fn jid(element: &Element, attribute: &'static str) -> Result<Jid, PayloadError> {
    Ok(required(element, attribute)?.parse()?)
}

/// A number or other simple type; an empty attribute counts as absent.
pub(crate) fn parsed<T: FromStr>(
    element: &Element,
    attribute: &'static str,
) -> Result<Option<T>, PayloadError> {
    element
        .attr(attribute)
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(|value| value.parse().map_err(|_| PayloadError::Invalid(attribute)))
        .transpose()
}

/// xs:boolean; absent is false.
pub(crate) fn flag(element: &Element, attribute: &'static str) -> Result<bool, PayloadError> {
    element
        .attr(attribute)
        .map_or(Ok(false), |value| boolean(value).ok_or(PayloadError::Invalid(attribute)))
}

/// xs:boolean.
pub(crate) fn boolean(value: &str) -> Option<bool> {
    match value.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The text directly inside.
pub(crate) fn text_of(element: &Element) -> String {
    element.text().into_owned()
}

pub(crate) fn child_text(element: &Element, name: &str, namespace: &str) -> Option<String> {
    element.child(name, namespace).map(text_of)
}

/// Optional parts of an element.
pub(crate) trait Build: Sized {
    /// A boolean attribute that is left out when false.
    fn flag(self, name: &'static str, value: bool) -> Self;
    /// `<name>text</name>`, or nothing.
    fn text_child(self, name: &str, namespace: &'static str, text: Option<&str>) -> Self;
    /// `<name/>`, or nothing.
    fn empty_child(self, name: &str, namespace: &'static str, present: bool) -> Self;
}

impl Build for Element {
    fn flag(self, name: &'static str, value: bool) -> Self {
        self.with_attr_opt(name, value.then_some("true"))
    }

    fn text_child(self, name: &str, namespace: &'static str, text: Option<&str>) -> Self {
        self.with_children(text.map(|text| Element::new(name, namespace).with_text(text)))
    }

    fn empty_child(self, name: &str, namespace: &'static str, present: bool) -> Self {
        self.with_children(present.then(|| Element::new(name, namespace)))
    }
}

#[cfg(test)]
pub(crate) fn el(xml: &str) -> Element {
    xml.parse().unwrap_or_else(|e| panic!("{xml} does not parse: {e}"))
}
