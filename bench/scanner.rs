//! Cuts a server's byte stream into stream-level elements without building a tree.
//!
//! Only delimiters are looked at: a `<`, the quotes inside a tag and its `>`. That is enough for what a
//! conforming server sends (RFC 6120 §11.1 forbids comments, DTDs and processing instructions) and costs the
//! generator a fraction of what a parser would.

use anyhow::{Result, bail};
use memchr::{memchr, memchr3};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// The `<stream:stream …>` start tag.
    Header(&'a [u8]),
    /// A complete child of the stream element, start tag to end tag.
    Element(&'a [u8]),
    /// `</stream:stream>`.
    End,
}

#[derive(Default)]
pub(crate) struct Scanner {
    buf: Vec<u8>,
    /// Where the element being collected begins.
    start: usize,
    /// Everything before this offset has been looked at.
    pos: usize,
    /// Open elements, the stream element included.
    depth: usize,
}

impl Scanner {
    /// Where newly received bytes are to be appended; drops what was already handed out.
    pub(crate) fn space(&mut self, want: usize) -> &mut Vec<u8> {
        if self.start == self.buf.len() {
            self.buf.clear();
        } else {
            self.buf.drain(..self.start);
        }
        self.pos -= self.start;
        self.start = 0;
        self.buf.reserve(want);
        &mut self.buf
    }

    /// Forgets the stream: the next bytes begin a new one (after STARTTLS or SASL).
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Next complete item, or `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>> {
        loop {
            let Some(lt) = memchr(b'<', &self.buf[self.pos..]) else {
                self.skip_text();
                return Ok(None);
            };
            let open = self.pos + lt;
            if self.depth <= 1 {
                self.start = open;
            }
            self.pos = open;
            let Some(end) = tag_end(&self.buf, open) else {
                return Ok(None);
            };
            self.pos = end;
            match (Tag::of(&self.buf[open..end]), self.depth) {
                (Tag::Declaration, _) => {}
                (Tag::Open, 0) => {
                    self.depth = 1;
                    return Ok(Some(Item::Header(self.take())));
                }
                (Tag::Open, _) => self.depth += 1,
                (Tag::Empty, 1) | (Tag::Close, 2) => {
                    self.depth = 1;
                    return Ok(Some(Item::Element(self.take())));
                }
                (Tag::Empty, d) if d > 1 => {}
                (Tag::Close, 1) => {
                    self.depth = 0;
                    self.start = self.pos;
                    return Ok(Some(Item::End));
                }
                (Tag::Close, d) if d > 1 => self.depth -= 1,
                (Tag::Empty | Tag::Close, _) => bail!("element outside a stream"),
            }
        }
    }

    fn skip_text(&mut self) {
        self.pos = self.buf.len();
        if self.depth <= 1 {
            self.start = self.pos;
        }
    }

    fn take(&mut self) -> &[u8] {
        let element = &self.buf[self.start..self.pos];
        self.start = self.pos;
        element
    }
}

enum Tag {
    Declaration,
    Open,
    Empty,
    Close,
}

impl Tag {
    fn of(tag: &[u8]) -> Self {
        match tag {
            [_, b'?', ..] => Self::Declaration,
            [_, b'/', ..] => Self::Close,
            [.., b'/', _] => Self::Empty,
            _ => Self::Open,
        }
    }
}

/// Offset just after the `>` that ends the tag at `open`; a `>` inside quotes does not count.
fn tag_end(buf: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        let hit = at + memchr3(b'>', b'\'', b'"', &buf[at..])?;
        match buf[hit] {
            b'>' => return Some(hit + 1),
            quote => at = hit + 2 + memchr(quote, &buf[hit + 1..])?,
        }
    }
}

/// Value of attribute `name` in the start tag that begins `element`, unescaped.
pub(crate) fn attr<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let tag = &element[..tag_end(element, 0)?];
    let mut at = 0;
    loop {
        let quote = at + tag[at..].iter().position(|b| matches!(b, b'\'' | b'"'))?;
        let close = quote + 1 + memchr(tag[quote], &tag[quote + 1..])?;
        let before = tag[at..quote].strip_suffix(b"=")?;
        if before.strip_suffix(name.as_bytes()).is_some_and(|b| b.ends_with(b" ")) {
            return Some(&tag[quote + 1..close]);
        }
        at = close + 1;
    }
}

/// Text between `<name…>` and `</name>` of the first element of that name inside `element`.
pub(crate) fn text<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let open = memchr::memmem::find(element, format!("<{name}").as_bytes())?;
    let from = tag_end(element, open)?;
    let len = memchr(b'<', &element[from..])?;
    Some(&element[from..from + len])
}

/// Whether `element` contains `needle` anywhere.
pub(crate) fn has(element: &[u8], needle: &str) -> bool {
    memchr::memmem::find(element, needle.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' id=\"a>b\">\
        <message id='1' note=\"it's > that\"><body>x<y/></body><m><message/></m></message> <r xmlns='urn:xmpp:sm:3'/>\
        <iq/></stream:stream>";

    fn collect(chunk: usize) -> Vec<String> {
        let mut scanner = Scanner::default();
        let mut seen = Vec::new();
        for part in STREAM.as_bytes().chunks(chunk) {
            scanner.space(part.len()).extend_from_slice(part);
            while let Some(item) = scanner.next().unwrap() {
                seen.push(match item {
                    Item::Header(_) => "header".into(),
                    Item::Element(e) => String::from_utf8_lossy(e).into_owned(),
                    Item::End => "end".into(),
                });
            }
        }
        seen
    }

    #[test]
    fn cuts_the_same_items_whatever_the_chunking() {
        let whole = collect(STREAM.len());
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[0], "header");
        assert!(whole[1].starts_with("<message id='1'") && whole[1].ends_with("</m></message>"));
        assert_eq!(whole[2..], ["<r xmlns='urn:xmpp:sm:3'/>", "<iq/>", "end"]);
        for chunk in 1..STREAM.len() {
            assert_eq!(collect(chunk), whole, "chunk {chunk}");
        }
    }

    #[test]
    fn finds_attributes_of_the_first_tag_only() {
        let element = br#"<message xml:id='no' to="a'b" id='7'><x id='8' late='1'/></message>"#;
        assert_eq!(attr(element, "id"), Some(&b"7"[..]));
        assert_eq!(attr(element, "to"), Some(&b"a'b"[..]));
        assert_eq!(attr(element, "late"), None);
    }

    #[test]
    fn refuses_an_element_before_the_stream() {
        let mut scanner = Scanner::default();
        scanner.space(8).extend_from_slice(b"<iq/>");
        assert!(scanner.next().is_err());
    }
}
