//! XML as XMPP uses it: an element tree, a reader with limits and a writer.
//!
//! The tree keeps what a router must not lose (namespaced attributes, the order of children,
//! mixed text) and nothing more: no prefixes, no comments.

mod namespace;
mod reader;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;

pub use namespace::Ns;
pub use reader::{Limits, ReadError, Reader, StreamEvent, read_document};
pub(crate) use writer::write_attributes;
pub use writer::{write_attribute, write_element, write_escaped_text};

/// An XML element with everything below it.
#[derive(Clone, Debug, Eq)]
pub struct Element {
    name: CompactString,
    ns: Ns,
    attrs: Vec<Attr>,
    nodes: Vec<Node>,
}

/// One attribute; `ns` is [`Ns::NONE`] for the usual unprefixed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    pub ns: Ns,
    pub name: CompactString,
    pub value: CompactString,
}

/// What an element contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub fn new(name: impl Into<CompactString>, ns: impl Into<Ns>) -> Element {
        Element { name: name.into(), ns: ns.into(), attrs: Vec::new(), nodes: Vec::new() }
    }

    pub fn with_attr(mut self, name: &str, value: impl Into<CompactString>) -> Element {
        self.set_attr(name, value);
        self
    }

    /// Sets the attribute if there is a value for it.
    pub fn with_attr_opt(self, name: &str, value: Option<impl Into<CompactString>>) -> Element {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    pub fn with_lang(mut self, lang: impl Into<CompactString>) -> Element {
        self.set_attr_ns(Ns::XML, "lang", lang);
        self
    }

    pub fn with_child(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Element {
        self.nodes.extend(children.into_iter().map(Node::Element));
        self
    }

    pub fn with_text(mut self, text: impl Into<String>) -> Element {
        self.push_text(text);
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ns(&self) -> &str {
        &self.ns
    }

    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && *self.ns == *ns
    }

    /// The value of an unprefixed attribute.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attr_ns("", name)
    }

    pub fn attr_ns(&self, ns: &str, name: &str) -> Option<&str> {
        let found = self.attrs.iter().find(|attr| attr.name == name && *attr.ns == *ns);
        found.map(|attr| attr.value.as_str())
    }

    /// The element's own `xml:lang`; inheritance is the caller's concern.
    pub fn lang(&self) -> Option<&str> {
        self.attr_ns(namespace::XML, "lang")
    }

    pub fn attrs(&self) -> &[Attr] {
        &self.attrs
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn children(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.nodes.iter().filter_map(Node::as_element)
    }

    /// The first child of that name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, ns))
    }

    pub fn child_mut(&mut self, name: &str, ns: &str) -> Option<&mut Element> {
        self.nodes.iter_mut().find_map(|node| match node {
            Node::Element(child) if child.is(name, ns) => Some(child),
            _ => None,
        })
    }

    /// The text directly inside this element, without that of its children.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.nodes.iter().filter_map(Node::as_text);
        let Some(first) = texts.next() else { return Cow::Borrowed("") };
        let mut text = Cow::Borrowed(first);
        for more in texts {
            text.to_mut().push_str(more);
        }
        text
    }

    pub fn set_attr(&mut self, name: &str, value: impl Into<CompactString>) {
        self.set_attr_ns(Ns::NONE, name, value);
    }

    pub fn set_attr_ns(&mut self, ns: Ns, name: &str, value: impl Into<CompactString>) {
        let value = value.into();
        match self.attrs.iter_mut().find(|attr| attr.name == name && attr.ns == ns) {
            Some(attr) => attr.value = value,
            None => self.attrs.push(Attr { ns, name: name.into(), value }),
        }
    }

    pub fn remove_attr(&mut self, name: &str) {
        self.attrs.retain(|attr| attr.name != name || !attr.ns.is_empty());
    }

    pub fn push(&mut self, child: Element) {
        self.nodes.push(Node::Element(child));
    }

    /// Empty text adds nothing, so that the tree is the one a reader would make.
    pub fn push_text(&mut self, text: impl Into<String>) {
        let text = text.into();
        match self.nodes.last_mut() {
            _ if text.is_empty() => {}
            Some(Node::Text(last)) => last.push_str(&text),
            _ => self.nodes.push(Node::Text(text)),
        }
    }

    /// Keeps the children for which `keep` holds; text stays.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Element) -> bool) {
        self.nodes.retain(|node| node.as_element().is_none_or(&mut keep));
    }

    /// Moves everything of namespace `from` in this tree to `to`, as between the streams of servers
    /// and those of clients (RFC 6120, section 4.8.3).
    pub fn rename_ns(&mut self, from: &str, to: &Ns) {
        if *self.ns == *from {
            self.ns = to.clone();
        }
        for node in &mut self.nodes {
            if let Node::Element(child) = node {
                child.rename_ns(from, to);
            }
        }
    }

    pub fn into_children(self) -> impl Iterator<Item = Element> {
        self.nodes.into_iter().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    pub(crate) fn into_parts(self) -> (CompactString, Ns, Vec<Attr>, Vec<Node>) {
        (self.name, self.ns, self.attrs, self.nodes)
    }

    pub(crate) fn from_parts(
        name: CompactString,
        ns: Ns,
        attrs: Vec<Attr>,
        nodes: Vec<Node>,
    ) -> Element {
        Element { name, ns, attrs, nodes }
    }
}

/// The order of attributes means nothing (XML 1.0, section 3.1).
impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        self.name == other.name
            && self.ns == other.ns
            && self.attrs.len() == other.attrs.len()
            && self.attrs.iter().all(|attr| other.attrs.contains(attr))
            && self.nodes == other.nodes
    }
}

impl Node {
    pub fn as_element(&self) -> Option<&Element> {
        match self {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Node::Element(_) => None,
            Node::Text(text) => Some(text),
        }
    }
}

/// Writes the element as a document of its own.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        write_element(&mut out, self, "");
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl FromStr for Element {
    type Err = ReadError;

    fn from_str(text: &str) -> Result<Element, ReadError> {
        read_document(text.as_bytes(), &Limits::default())
    }
}

#[cfg(test)]
mod tests;
