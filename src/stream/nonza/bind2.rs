//! Bind 2 (XEP-0386).

use wello_wire::ns;
use wello_wire::xml::Element;

use super::{text_element, text_of};

/// `<bind/>` among the inline features of `<authentication/>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindFeature {
    /// Features that can be switched on together with the binding.
    pub inline: Vec<String>,
}

/// `<bind/>` in `<authenticate/>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindRequest {
    /// The name of the client, for the resource.
    pub tag: Option<String>,
    /// Features that the client wants in its new session.
    pub inline: Vec<Element>,
}

/// `<bound/>` in `<success/>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Metadata of the archive and answers of the features.
    pub inline: Vec<Element>,
}

impl BindFeature {
    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<BindFeature> {
        if !element.is("bind", ns::BIND2) {
            return None;
        }
        let features = element.child("inline", ns::BIND2).into_iter().flat_map(Element::children);
        let features = features.filter(|child| child.is("feature", ns::BIND2));
        let names = features.filter_map(|feature| feature.attr("var")).map(str::to_owned);
        Some(BindFeature { inline: names.collect() })
    }

    pub fn write(&self) -> Element {
        let feature =
            |name: &String| Element::new("feature", ns::BIND2).with_attr("var", name.as_str());
        let inline = (!self.inline.is_empty()).then(|| {
            Element::new("inline", ns::BIND2).with_children(self.inline.iter().map(feature))
        });
        Element::new("bind", ns::BIND2).with_children(inline)
    }
}

impl BindRequest {
    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<BindRequest> {
        element.is("bind", ns::BIND2).then(|| BindRequest {
            tag: element.child("tag", ns::BIND2).and_then(text_of),
            inline: element.children().filter(|child| child.ns() != ns::BIND2).cloned().collect(),
        })
    }

    pub fn write(&self) -> Element {
        Element::new("bind", ns::BIND2)
            .with_children(self.tag.iter().map(|tag| text_element("tag", ns::BIND2, tag)))
            .with_children(self.inline.iter().cloned())
    }
}

impl Bound {
    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<Bound> {
        let bound = || Bound { inline: element.children().cloned().collect() };
        element.is("bound", ns::BIND2).then(bound)
    }

    pub fn write(&self) -> Element {
        Element::new("bound", ns::BIND2).with_children(self.inline.iter().cloned())
    }
}
