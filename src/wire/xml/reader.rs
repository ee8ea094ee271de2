//! From bytes to elements, with every limit checked before memory is spent.

use compact_str::CompactString;
use rxml::error::EndOrError;
use rxml::parser::RawQName;
use rxml::{Options, Parse, RawEvent, RawParser, WithOptions};
use thiserror::Error;

use super::{Attr, Element, Node, Ns, namespace};

/// What one peer may make us hold for one stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one top-level element (or of a whole document).
    pub stanza_bytes: usize,
    /// Nested elements, the stanza itself counted.
    pub depth: usize,
    /// Attributes on one element, namespace declarations included.
    pub attributes: usize,
    /// Elements in one stanza.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { stanza_bytes: 256 * 1024, depth: 64, attributes: 64, elements: 4096 }
    }
}

/// What a stream brings, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The start tag of the root, without children. `unprefixed` tells whether it was written
    /// without a prefix and `default_ns` which namespace its unprefixed children have.
    Open {
        header: Element,
        default_ns: Ns,
    },
    Element(Element),
    Close,
}

/// Why reading ended. Every one is fatal to the stream.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum ReadError {
    #[error("element is larger than {0} bytes")]
    TooLarge(usize),
    #[error("a name or an attribute is longer than {0} bytes")]
    TokenTooLong(usize),
    #[error("elements are nested deeper than {0}")]
    TooDeep(usize),
    #[error("more than {0} attributes on one element")]
    TooManyAttributes(usize),
    #[error("more than {0} elements in one stanza")]
    TooManyElements(usize),
    #[error("not well-formed XML: {0}")]
    NotWellFormed(rxml::Error),
    #[error("XML feature that XMPP forbids: {0}")]
    Restricted(&'static str),
    #[error("only UTF-8 is supported")]
    Encoding,
    #[error("character data between stanzas")]
    TextBetweenStanzas,
}

/// An attribute name or value may not be longer than this, in bytes.
const MAX_TOKEN: usize = 8192;

/// Reads one XML stream. After an error it must not be used again.
pub struct Reader {
    parser: RawParser,
    limits: Limits,
    scopes: Vec<Scope>,
    pending: Option<PendingTag>,
    open: Vec<Element>,
    /// Bytes that the parser took since the last complete event of ours.
    stanza_bytes: usize,
    elements: usize,
    in_stream: bool,
}

/// Namespace declarations of one open element.
#[derive(Default)]
struct Scope {
    default: Option<Ns>,
    prefixes: Vec<(CompactString, Ns)>,
}

/// A start tag whose attributes are still arriving.
struct PendingTag {
    name: RawQName,
    attrs: Vec<(RawQName, String)>,
    scope: Scope,
    attributes: usize,
}

impl Reader {
    pub fn new(limits: Limits) -> Reader {
        let options = Options { max_token_length: MAX_TOKEN, ..Options::default() };
        let mut parser = RawParser::with_options(options);
        // Whitespace keepalives must reach us as they come, not with the next stanza.
        parser.set_text_buffering(false);
        Reader {
            parser,
            limits,
            scopes: Vec::new(),
            pending: None,
            open: Vec::new(),
            stanza_bytes: 0,
            elements: 0,
            in_stream: false,
        }
    }

    /// Takes effect with the next element.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes bytes off the front of `input` until there is something to tell or nothing is left.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<StreamEvent>, ReadError> {
        loop {
            let before = input.len();
            // Never let the parser see more than the limit allows: what it holds for an
            // unfinished token or tag is bounded by what it was given.
            let allowed = self.limits.stanza_bytes.saturating_sub(self.stanza_bytes);
            let mut window = &input[..before.min(allowed)];
            let offered = window.len();
            let event = self.parser.parse(&mut window, false);
            let taken = offered - window.len();
            *input = &input[taken..];
            self.stanza_bytes += taken;
            match event {
                Ok(Some(event)) => {
                    if let Some(told) = self.apply(event)? {
                        self.stanza_bytes = 0;
                        return Ok(Some(told));
                    }
                }
                Ok(None) => return Ok(None),
                Err(EndOrError::NeedMoreData) if offered < before => {
                    return Err(ReadError::TooLarge(self.limits.stanza_bytes));
                }
                Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(error.into()),
            }
        }
    }

    /// Gives scratch memory back; to be called when a connection falls idle.
    pub fn release_temporaries(&mut self) {
        self.parser.release_temporaries();
        self.scopes.shrink_to_fit();
        self.open.shrink_to_fit();
    }

    fn apply(&mut self, event: RawEvent) -> Result<Option<StreamEvent>, ReadError> {
        match event {
            RawEvent::XmlDeclaration(..) => Ok(None),
            RawEvent::ElementHeadOpen(_, name) => {
                self.pending = Some(PendingTag {
                    name,
                    attrs: Vec::new(),
                    scope: Scope::default(),
                    attributes: 0,
                });
                Ok(None)
            }
            RawEvent::Attribute(_, name, value) => self.attribute(name, value).map(|()| None),
            RawEvent::ElementHeadClose(_) => self.start_tag(),
            RawEvent::ElementFoot(_) => Ok(self.end_tag()),
            RawEvent::Text(_, text) => self.text(text).map(|()| None),
        }
    }

    fn attribute(&mut self, name: RawQName, value: String) -> Result<(), ReadError> {
        let limit = self.limits.attributes;
        // The parser tells no attribute outside a start tag.
        let Some(tag) = &mut self.pending else { return Ok(()) };
        tag.attributes += 1;
        if tag.attributes > limit {
            return Err(ReadError::TooManyAttributes(limit));
        }
        match &name {
            (None, local) if *local == "xmlns" => {
                if tag.scope.default.replace(Ns::intern(&value)).is_some() {
                    return Err(rxml::Error::DuplicateAttribute.into());
                }
            }
            (Some(prefix), local) if *prefix == "xmlns" => {
                if tag.scope.prefixes.iter().any(|(known, _)| known == local.as_str()) {
                    return Err(rxml::Error::DuplicateAttribute.into());
                }
                tag.scope.prefixes.push((local.as_str().into(), Ns::intern(&value)));
            }
            _ => tag.attrs.push((name, value)),
        }
        Ok(())
    }

    fn start_tag(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        // The parser closes only heads that it opened.
        let Some(tag) = self.pending.take() else { return Ok(None) };
        self.scopes.push(tag.scope);
        let (prefix, local) = tag.name;
        let ns = self.resolve(prefix.as_ref().map(|prefix| prefix.as_str()))?;
        let mut attrs: Vec<Attr> = Vec::with_capacity(tag.attrs.len());
        for ((prefix, local), value) in tag.attrs {
            let ns = match prefix {
                None => Ns::NONE,
                Some(prefix) => self.resolve(Some(&prefix))?,
            };
            let name = CompactString::from(local.as_str());
            if attrs.iter().any(|attr| attr.name == name && attr.ns == ns) {
                return Err(rxml::Error::DuplicateAttribute.into());
            }
            attrs.push(Attr { ns, name, value: value.into() });
        }
        let element = Element::from_parts(local.as_str().into(), ns, attrs, Vec::new());
        if !self.in_stream {
            self.in_stream = true;
            let default_ns = self.resolve(None)?;
            return Ok(Some(StreamEvent::Open { header: element, default_ns }));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(ReadError::TooManyElements(self.limits.elements));
        }
        if self.open.len() >= self.limits.depth {
            return Err(ReadError::TooDeep(self.limits.depth));
        }
        self.open.push(element);
        Ok(None)
    }

    fn end_tag(&mut self) -> Option<StreamEvent> {
        self.scopes.pop();
        let Some(element) = self.open.pop() else { return Some(StreamEvent::Close) };
        match self.open.last_mut() {
            Some(parent) => {
                parent.nodes.push(Node::Element(element));
                None
            }
            None => {
                self.elements = 0;
                Some(StreamEvent::Element(element))
            }
        }
    }

    fn text(&mut self, text: String) -> Result<(), ReadError> {
        match self.open.last_mut() {
            Some(element) => element.push_text(text),
            // Whitespace keepalives (RFC 6120, section 4.6.1) count for no stanza.
            None if text.bytes().all(|byte| byte.is_ascii_whitespace()) => self.stanza_bytes = 0,
            None => return Err(ReadError::TextBetweenStanzas),
        }
        Ok(())
    }

    fn resolve(&self, prefix: Option<&str>) -> Result<Ns, ReadError> {
        let Some(prefix) = prefix else {
            let declared = self.scopes.iter().rev().find_map(|scope| scope.default.clone());
            return Ok(declared.unwrap_or(Ns::NONE));
        };
        if prefix == "xml" {
            return Ok(Ns::from(namespace::XML));
        }
        let mut declared = self.scopes.iter().rev().flat_map(|scope| &scope.prefixes);
        match declared.find(|(known, _)| known == prefix) {
            Some((_, ns)) => Ok(ns.clone()),
            None => Err(rxml::Error::UndeclaredNamespacePrefix(None).into()),
        }
    }
}

/// Reads one whole document, as a WebSocket frame (RFC 7395, section 3.3.3) carries it.
pub fn read_document(mut input: &[u8], limits: &Limits) -> Result<Element, ReadError> {
    if input.len() > limits.stanza_bytes {
        return Err(ReadError::TooLarge(limits.stanza_bytes));
    }
    let mut reader = Reader::new(*limits);
    reader.in_stream = true;
    match reader.read(&mut input)? {
        Some(StreamEvent::Element(element)) if input.trim_ascii().is_empty() => Ok(element),
        Some(_) => Err(ReadError::TextBetweenStanzas),
        None => Err(ReadError::NotWellFormed(rxml::Error::InvalidEof(None))),
    }
}

impl From<rxml::Error> for ReadError {
    fn from(error: rxml::Error) -> ReadError {
        match error {
            rxml::Error::RestrictedXml(what) if what.contains("encoding") => ReadError::Encoding,
            // The parser tells its own limit like this.
            rxml::Error::RestrictedXml(what) if what.starts_with("long") => {
                ReadError::TokenTooLong(MAX_TOKEN)
            }
            rxml::Error::RestrictedXml(what) => ReadError::Restricted(what),
            // RFC 6120, section 11.1: entity references other than the predefined ones, and DTDs.
            rxml::Error::UndeclaredEntity => ReadError::Restricted("entity reference"),
            other => ReadError::NotWellFormed(other),
        }
    }
}
