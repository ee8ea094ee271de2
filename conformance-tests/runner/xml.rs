//! The runner's own element tree. It keeps every attribute and namespace as received, which
//! typed payloads would lose, and accepts a pattern's wildcards in any value.

use std::fmt::Write as _;

use rxml::{Event, Options, Parse, Parser, WithOptions, parser::EventMetrics};

pub(crate) const NS_CLIENT: &str = "jabber:client";
pub(crate) const NS_COMPONENT: &str = "jabber:component:accept";
pub(crate) const NS_STREAM: &str = "http://etherx.jabber.org/streams";
pub(crate) const NS_SCN: &str = "urn:wello:conformance:scn";
pub(crate) const NS_XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A server may send attribute values up to its own stanza limit; the runner must not be stricter.
const MAX_TOKEN: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attr {
    pub(crate) ns: String,
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Element(Element),
    Text(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) ns: String,
    pub(crate) name: String,
    pub(crate) attrs: Vec<Attr>,
    pub(crate) nodes: Vec<Node>,
}

impl Element {
    pub(crate) fn is(&self, ns: &str, name: &str) -> bool {
        self.ns == ns && self.name == name
    }

    pub(crate) fn attr(&self, name: &str) -> Option<&str> {
        self.attr_ns("", name)
    }

    pub(crate) fn attr_ns(&self, ns: &str, name: &str) -> Option<&str> {
        self.attrs.iter().find(|a| a.ns == ns && a.name == name).map(|a| a.value.as_str())
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    pub(crate) fn child(&self, ns: &str, name: &str) -> Option<&Element> {
        self.children().find(|c| c.is(ns, name))
    }

    /// All text directly inside, in order, entities already resolved.
    pub(crate) fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|n| match n {
                Node::Text(t) => Some(t.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    pub(crate) fn rename_ns(&mut self, from: &str, to: &str) {
        if self.ns == from {
            to.clone_into(&mut self.ns);
        }
        for node in &mut self.nodes {
            if let Node::Element(child) = node {
                child.rename_ns(from, to);
            }
        }
    }

    /// A top-level stanza in the sense of RFC 6120 §8.
    pub(crate) fn is_stanza(&self) -> bool {
        matches!(self.name.as_str(), "message" | "presence" | "iq") && self.ns == NS_CLIENT
    }

    /// Serialises with an `xmlns` wherever the namespace changes, so that it stands alone.
    pub(crate) fn to_xml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, "", None);
        out
    }

    /// One child per line, for failure reports.
    pub(crate) fn to_pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, NS_CLIENT, Some(0));
        out
    }

    fn write(&self, out: &mut String, parent_ns: &str, indent: Option<usize>) {
        out.push('<');
        out.push_str(&self.name);
        if self.ns != parent_ns {
            push_attr(out, "xmlns", &self.ns);
        }
        for (i, a) in self.attrs.iter().enumerate() {
            match a.ns.as_str() {
                "" => push_attr(out, &a.name, &a.value),
                NS_XML => push_attr(out, &format!("xml:{}", a.name), &a.value),
                ns => {
                    push_attr(out, &format!("xmlns:a{i}"), ns);
                    push_attr(out, &format!("a{i}:{}", a.name), &a.value);
                }
            }
        }
        if self.nodes.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        self.write_nodes(out, indent);
        let _ = write!(out, "</{}>", self.name);
    }

    fn write_nodes(&self, out: &mut String, indent: Option<usize>) {
        let deeper = indent.map(|n| n + 1);
        let has_text = self.nodes.iter().any(|n| matches!(n, Node::Text(_)));
        for node in &self.nodes {
            match node {
                Node::Text(t) => out.push_str(&escape(t)),
                Node::Element(e) => {
                    if let (Some(depth), false) = (deeper, has_text) {
                        let _ = write!(out, "\n{}", "  ".repeat(depth));
                    }
                    e.write(out, &self.ns, deeper);
                }
            }
        }
        if let (Some(depth), false) = (indent, has_text) {
            let _ = write!(out, "\n{}", "  ".repeat(depth));
        }
    }
}

fn push_attr(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}='{}'", escape(value));
}

/// Escapes for text and for single- or double-quoted attribute values alike.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
    }
    out
}

/// What a stream parser yields: the root's start tag, each child of the root, the root's end tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamItem {
    Header(Element),
    Child(Element),
    Footer,
}

/// Builds the children of one root element out of bytes that arrive piecemeal.
pub(crate) struct StreamParser {
    parser: Parser,
    open: Vec<Element>,
    root_open: bool,
}

impl StreamParser {
    pub(crate) fn new() -> Self {
        let options = Options { max_token_length: MAX_TOKEN, ..Options::default() };
        Self { parser: Parser::with_options(options), open: Vec::new(), root_open: false }
    }

    /// Consumes from `bytes` up to the end of the next item. `None` means that more is needed.
    pub(crate) fn next(
        &mut self,
        bytes: &mut &[u8],
        at_eof: bool,
    ) -> Result<Option<StreamItem>, String> {
        loop {
            let event = match self.parser.parse(bytes, at_eof) {
                Ok(Some(event)) => event,
                Ok(None) | Err(rxml::error::EndOrError::NeedMoreData) => return Ok(None),
                Err(e) => return Err(format!("{e:?}")),
            };
            if let Some(item) = self.push(event) {
                return Ok(Some(item));
            }
        }
    }

    fn push(&mut self, event: Event) -> Option<StreamItem> {
        match event {
            Event::XmlDeclaration(EventMetrics { .. }, _) => None,
            Event::StartElement(_, (ns, name), attrs) => {
                let element = Element {
                    ns: ns.as_str().to_owned(),
                    name: name.to_string(),
                    attrs: collect_attrs(&attrs),
                    nodes: Vec::new(),
                };
                if !self.root_open {
                    self.root_open = true;
                    return Some(StreamItem::Header(element));
                }
                self.open.push(element);
                None
            }
            Event::Text(_, text) => {
                push_text(self.open.last_mut()?, text);
                None
            }
            Event::EndElement(_) => match self.open.pop() {
                None => Some(StreamItem::Footer),
                Some(done) => match self.open.last_mut() {
                    Some(parent) => {
                        parent.nodes.push(Node::Element(done));
                        None
                    }
                    None => Some(StreamItem::Child(done)),
                },
            },
        }
    }
}

fn push_text(parent: &mut Element, text: String) {
    if let Some(Node::Text(last)) = parent.nodes.last_mut() {
        last.push_str(&text);
    } else {
        parent.nodes.push(Node::Text(text));
    }
}

fn collect_attrs(attrs: &rxml::AttrMap) -> Vec<Attr> {
    attrs
        .iter()
        .map(|((ns, name), value)| Attr {
            ns: ns.as_str().to_owned(),
            name: name.to_string(),
            value: value.clone(),
        })
        .collect()
}

/// Parses the elements of a script block. `jabber:client` is the default namespace; the prefixes
/// `stream:` and `scn:` are declared.
pub(crate) fn parse_fragment(text: &str) -> Result<Vec<Element>, String> {
    let wrapped = format!(
        "<scn:block xmlns='{NS_CLIENT}' xmlns:stream='{NS_STREAM}' xmlns:scn='{NS_SCN}'>{text}</scn:block>"
    );
    parse_children(&wrapped)
}

/// Parses a whole document.
pub(crate) fn parse_document(text: &str) -> Result<Element, String> {
    let mut wrapped = String::from("<doc>");
    wrapped.push_str(strip_declaration(text));
    wrapped.push_str("</doc>");
    match parse_children(&wrapped)?.as_slice() {
        [one] => Ok(one.clone()),
        many => Err(format!("{} root elements", many.len())),
    }
}

fn strip_declaration(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.strip_prefix("<?xml").and_then(|r| r.split_once("?>")) {
        Some((_, rest)) => rest,
        None => text,
    }
}

fn parse_children(wrapped: &str) -> Result<Vec<Element>, String> {
    let mut parser = StreamParser::new();
    let mut bytes = wrapped.as_bytes();
    let mut out = Vec::new();
    loop {
        match parser.next(&mut bytes, true)? {
            Some(StreamItem::Header(_)) => {}
            Some(StreamItem::Child(e)) => out.push(e),
            Some(StreamItem::Footer) => return Ok(out),
            None => return Err("unfinished XML".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragment_keeps_namespaces_and_prefixes() {
        let parsed =
            parse_fragment("<message to='a'><x xmlns='u' b='1'/>t</message><stream:features/>")
                .unwrap();
        assert_eq!(parsed.len(), 2);
        assert!(parsed[0].is(NS_CLIENT, "message"));
        assert!(parsed[0].child("u", "x").is_some());
        assert!(parsed[1].is(NS_STREAM, "features"));
        assert_eq!(parse_fragment(&parsed[0].to_xml()).unwrap()[0], parsed[0]);
    }

    #[test]
    fn stream_items_survive_any_split() {
        let text = "<?xml version='1.0'?><stream:stream xmlns:stream='s' xmlns='jabber:client' id='1'>\
                    <iq><q xmlns='x'>a&amp;b</q></iq> </stream:stream>";
        for cut in 1..text.len() {
            let mut parser = StreamParser::new();
            let mut got = Vec::new();
            for (mut part, eof) in
                [(&text.as_bytes()[..cut], false), (&text.as_bytes()[cut..], true)]
            {
                while let Some(item) = parser.next(&mut part, eof).unwrap() {
                    got.push(item);
                }
            }
            assert_eq!(got.len(), 3, "cut at {cut}");
            let StreamItem::Child(iq) = &got[1] else { panic!("no child") };
            assert_eq!(iq.child("x", "q").unwrap().text(), "a&b");
        }
    }
}
