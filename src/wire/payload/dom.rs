//! Short forms for reading and building elements.

use std::str::FromStr;

use minidom::{Element, ElementBuilder, IntoAttributeValue, rxml};

use super::PayloadError;
use crate::{jid::Jid, ns};

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
    element.attr(attribute).map_or(Ok(false), |value| {
        boolean(value).ok_or(PayloadError::Invalid(attribute))
    })
}

/// xs:boolean.
pub(crate) fn boolean(value: &str) -> Option<bool> {
    match value.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

pub(crate) fn child_text(element: &Element, name: &str, namespace: &str) -> Option<String> {
    element.get_child(name, namespace).map(Element::text)
}

pub(crate) fn lang_of(element: &Element) -> Option<&str> {
    element.attr_ns(ns::XML, "lang")
}

/// What [`ElementBuilder`] needs too many words for.
pub(crate) trait Build: Sized {
    /// An attribute without namespace; an `Option` that is `None` adds nothing.
    fn put(self, name: &'static str, value: impl IntoAttributeValue) -> Self;
    /// A boolean attribute that is left out when false.
    fn flag(self, name: &'static str, value: bool) -> Self {
        self.put(name, value.then_some("true"))
    }
    fn lang(self, lang: &str) -> Self;
    /// `<name>text</name>`, or nothing.
    fn text_child(self, name: &str, namespace: &str, text: Option<&str>) -> Self;
    /// `<name/>`, or nothing.
    fn empty_child(self, name: &str, namespace: &str, present: bool) -> Self;
}

impl Build for ElementBuilder {
    fn put(self, name: &'static str, value: impl IntoAttributeValue) -> Self {
        self.attr(attribute_name(name), value)
    }

    fn lang(self, lang: &str) -> Self {
        self.attr_ns(rxml::Namespace::XML, attribute_name("lang"), lang)
    }

    fn text_child(self, name: &str, namespace: &str, text: Option<&str>) -> Self {
        self.append_all(text.map(|text| Element::builder(name, namespace).append(text)))
    }

    fn empty_child(self, name: &str, namespace: &str, present: bool) -> Self {
        self.append_all(present.then(|| Element::bare(name, namespace)))
    }
}

fn attribute_name(name: &'static str) -> rxml::NcName {
    // Names are literals of this crate, and a wrong one fails the first test that writes it.
    rxml::NcName::try_from(name).expect("a literal NCName")
}

#[cfg(test)]
pub(crate) fn el(xml: &str) -> Element {
    xml.parse()
        .unwrap_or_else(|e| panic!("{xml} does not parse: {e}"))
}
