//! What a client asks for: the attributes of `<body/>`, and its children as frames.

use axum::body::Bytes;
use wello_wire::ns;
use wello_wire::xml::{Element, Limits, Reader, StreamEvent, write_element};

use super::BAD_REQUEST;

/// Room for `<body>` itself around the stanzas.
pub(super) const WRAPPER_BYTES: usize = 4096;
/// XEP-0124, section 7.1: the largest number that every client can count to.
const MAX_RID: u64 = (1 << 53) - 1;

/// One request of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub rid: u64,
    pub key: Option<String>,
    pub newkey: Option<String>,
    /// Highest response that the client has.
    pub ack: Option<u64>,
    /// Seconds for which the client wants to be left alone.
    pub pause: Option<u64>,
    pub terminate: bool,
    /// XEP-0206, section 5.
    pub restart: Option<Bytes>,
    pub frames: Vec<Bytes>,
}

/// A document of which only the root's start tag was read, because the limits for the rest depend
/// on the session that it names.
pub(super) struct Document<'a> {
    pub root: Element,
    rest: &'a [u8],
    length: usize,
    reader: Reader,
}

impl<'a> Document<'a> {
    pub fn open(bytes: &'a [u8], limits: Limits) -> Result<Document<'a>, &'static str> {
        let mut rest = bytes;
        let mut reader = Reader::new(limits);
        match reader.read(&mut rest) {
            Ok(Some(StreamEvent::Open { header, .. })) if header.is("body", ns::BOSH) => {
                Ok(Document { root: header, rest, length: bytes.len(), reader })
            }
            _ => Err(BAD_REQUEST),
        }
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, &'static str> {
        let parse = |text: &str| text.parse().map_err(|_| BAD_REQUEST);
        self.root.attr(name).map(parse).transpose()
    }

    pub fn read(mut self, limits: Limits) -> Result<Request, &'static str> {
        if self.length > limits.stanza_bytes + WRAPPER_BYTES {
            return Err("policy-violation");
        }
        let rid = self.number("rid")?.filter(|rid| (1..=MAX_RID).contains(rid));
        let text = |name: &str| self.root.attr(name).map(str::to_owned);
        let restarts = matches!(self.root.attr_ns(ns::XBOSH, "restart"), Some("true" | "1"));
        let mut request = Request {
            rid: rid.ok_or(BAD_REQUEST)?,
            key: text("key"),
            newkey: text("newkey"),
            ack: self.number("ack")?,
            pause: self.number("pause")?,
            terminate: self.root.attr("type") == Some("terminate"),
            restart: restarts.then(|| open_frame(&self.root)),
            frames: Vec::new(),
        };
        self.reader.set_limits(limits);
        loop {
            match self.reader.read(&mut self.rest) {
                Ok(Some(StreamEvent::Element(element))) => {
                    let mut frame = Vec::new();
                    write_element(&mut frame, &element, "");
                    request.frames.push(frame.into());
                }
                Ok(Some(StreamEvent::Close)) if self.rest.trim_ascii().is_empty() => {
                    return Ok(request);
                }
                _ => return Err(BAD_REQUEST),
            }
        }
    }
}

/// What opens a stream in the framing of RFC 7395.
pub(super) fn open_frame(root: &Element) -> Bytes {
    let version = root.attr_ns(ns::XBOSH, "version").unwrap_or("1.0");
    let mut open = Element::new("open", ns::FRAMING)
        .with_attr_opt("to", root.attr("to"))
        .with_attr_opt("from", root.attr("from"))
        .with_attr("version", version);
    if let Some(lang) = root.lang() {
        open = open.with_lang(lang);
    }
    let mut frame = Vec::new();
    write_element(&mut frame, &open, "");
    frame.into()
}
