//! The two ways a stream is put on a transport: one document (RFC 6120, section 4) or one
//! document for each element (RFC 7395).

use wello_wire::ns;
use wello_wire::xml::{
    Element, Limits, Node, ReadError, Reader, StreamEvent, read_document, write_attribute,
    write_element, write_escaped_text,
};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// TCP, with or without TLS.
    Stream,
    /// WebSocket, and BOSH, whose wrappers are taken off elsewhere.
    Framed,
}

/// Reads what a peer sends.
pub struct Input {
    framing: Framing,
    reader: Reader,
    limits: Limits,
    /// Something other than whitespace has come.
    begun: bool,
}

impl Input {
    pub fn new(framing: Framing, limits: Limits) -> Input {
        Input { framing, reader: Reader::new(limits), limits, begun: false }
    }

    /// Begins a new document, as after STARTTLS and SASL.
    pub fn restart(&mut self) {
        self.reader = Reader::new(self.limits);
        self.begun = false;
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.reader.set_limits(limits);
    }

    /// Takes bytes off the front of `bytes` up to the next event. A framed input must be one
    /// whole frame.
    pub fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<StreamEvent>, ReadError> {
        match self.framing {
            Framing::Stream => {
                if !self.begun {
                    // COMPAT: some clients end what came before the new stream with a newline.
                    *bytes = bytes.trim_ascii_start();
                    self.begun = !bytes.is_empty();
                }
                self.reader.read(bytes)
            }
            Framing::Framed => {
                let frame = std::mem::take(bytes);
                read_document(frame, &self.limits).map(|element| Some(framed_event(element)))
            }
        }
    }

    pub fn release_temporaries(&mut self) {
        self.reader.release_temporaries();
    }
}

/// RFC 7395, section 3.3: `<open/>` and `<close/>` stand for the stream's tags.
pub fn framed_event(element: Element) -> StreamEvent {
    match (element.name(), element.ns()) {
        // The namespaces of the stream follow from the framing itself.
        ("open", ns::FRAMING) => {
            let mut header = Element::new("stream", ns::STREAM);
            for attr in element.attrs() {
                header.set_attr_ns(attr.ns.clone(), &attr.name, attr.value.clone());
            }
            StreamEvent::Open { header, default_ns: ns::CLIENT.into() }
        }
        ("close", ns::FRAMING) => StreamEvent::Close,
        _ => StreamEvent::Element(element),
    }
}

/// Collects what goes to a peer. For framed transports it remembers where each frame ends.
#[derive(Debug)]
pub struct Output {
    framing: Framing,
    /// Of the stream, where it is one document.
    content_ns: &'static str,
    bytes: Vec<u8>,
    frame_ends: Vec<usize>,

    open: bool,
}

impl Output {
    pub fn new(framing: Framing) -> Output {
        Output::with_content(framing, ns::CLIENT)
    }

    /// A stream of `jabber:server` or of a component.
    pub fn of_server(content_ns: &'static str) -> Output {
        Output::with_content(Framing::Stream, content_ns)
    }

    fn with_content(framing: Framing, content_ns: &'static str) -> Output {
        let (bytes, frame_ends) = (Vec::new(), Vec::new());
        Output { framing, content_ns, bytes, frame_ends, open: false }
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The stream is replaced by a new one without being closed, as after STARTTLS and SASL.
    pub fn restart(&mut self) {
        self.open = false;
    }

    /// Whether the header was sent and the footer was not.
    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The namespace that needs no declaration on what is written.
    pub fn default_ns(&self) -> &'static str {
        match self.framing {
            Framing::Stream => self.content_ns,
            Framing::Framed => "",
        }
    }

    /// Opens the stream; `attributes` in the order they are to be written.
    pub fn header(&mut self, attributes: &[(&str, &str)]) {
        self.open = true;
        match self.framing {
            Framing::Stream => {
                self.bytes.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
                self.bytes.extend_from_slice(self.content_ns.as_bytes());
                self.bytes.extend_from_slice(b"' xmlns:stream='http://etherx.jabber.org/streams'");
                if self.content_ns == ns::SERVER {
                    write_attribute(&mut self.bytes, "xmlns:db", ns::DIALBACK);
                }
                self.attributes(attributes);
                self.bytes.push(b'>');
            }
            Framing::Framed => {
                self.bytes.extend_from_slice(b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'");
                self.attributes(attributes);
                self.bytes.extend_from_slice(b"/>");
                self.end_frame();
            }
        }
    }

    pub fn element(&mut self, element: &Element) {
        let default_ns = self.default_ns();
        // COMPAT: many clients look for the prefix, not the namespace.
        match element.ns() {
            ns::STREAM => self.prefixed(element, "stream"),
            ns::DIALBACK if self.content_ns == ns::SERVER => self.prefixed(element, "db"),
            _ => write_element(&mut self.bytes, element, default_ns),
        }
        self.end_frame();
    }

    /// Appends one element by a function that writes it.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>, &'static str)) {
        let default_ns = self.default_ns();
        write(&mut self.bytes, default_ns);
        self.end_frame();
    }

    pub fn footer(&mut self) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let footer: &[u8] = match self.framing {
            Framing::Stream => b"</stream:stream>",
            Framing::Framed => b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
        };
        self.bytes.extend_from_slice(footer);
        self.end_frame();
    }

    /// Takes all bytes; frames are not told apart.
    pub fn take(&mut self) -> Vec<u8> {
        self.frame_ends.clear();
        std::mem::take(&mut self.bytes)
    }

    /// Takes all bytes, leaving `buffer` in their place so that its room is used again.
    pub fn swap(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        self.frame_ends.clear();
        std::mem::swap(&mut self.bytes, buffer);
    }

    /// Takes the frames one by one.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        let ends = std::mem::take(&mut self.frame_ends);
        let bytes = std::mem::take(&mut self.bytes);
        let mut start = 0;
        let frames = ends.into_iter().map(|end| {
            let frame = bytes[start..end].to_vec();
            start = end;
            frame
        });
        frames.collect()
    }

    fn attributes(&mut self, attributes: &[(&str, &str)]) {
        attributes.iter().for_each(|(name, value)| write_attribute(&mut self.bytes, name, value));
    }

    /// Writes an element by the prefix that the stream's header declares.
    fn prefixed(&mut self, element: &Element, prefix: &'static str) {
        let tag = |bytes: &mut Vec<u8>, begin: &[u8]| {
            bytes.extend_from_slice(begin);
            bytes.extend_from_slice(prefix.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(element.name().as_bytes());
        };
        tag(&mut self.bytes, b"<");
        if self.framing == Framing::Framed {
            write_attribute(&mut self.bytes, "xmlns:stream", ns::STREAM);
        }
        for attr in element.attrs() {
            write_attribute(&mut self.bytes, &attr.name, &attr.value);
        }
        self.bytes.push(b'>');
        let default_ns = self.default_ns();
        for node in element.nodes() {
            match node {
                Node::Element(child) => write_element(&mut self.bytes, child, default_ns),
                Node::Text(text) => write_escaped_text(&mut self.bytes, text),
            }
        }
        tag(&mut self.bytes, b"</");
        self.bytes.push(b'>');
    }

    fn end_frame(&mut self) {
        if self.framing == Framing::Framed {
            self.frame_ends.push(self.bytes.len());
        }
    }
}
