//! The only code that turns elements into bytes for a peer.

use super::{Attr, Element, Node, Ns, namespace};

/// Appends `element` where `default_ns` is the default namespace in force.
pub fn write_element(out: &mut Vec<u8>, element: &Element, default_ns: &str) {
    out.push(b'<');
    out.extend_from_slice(element.name.as_bytes());
    if *element.ns != *default_ns {
        write_attribute(out, "xmlns", &element.ns);
    }
    write_attributes(out, &element.attrs);
    if element.nodes.is_empty() {
        out.extend_from_slice(b"/>");
        return;
    }
    out.push(b'>');
    for node in &element.nodes {
        match node {
            Node::Element(child) => write_element(out, child, &element.ns),
            Node::Text(text) => write_escaped_text(out, text),
        }
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(element.name.as_bytes());
    out.push(b'>');
}

/// Appends ` name='value'`.
pub fn write_attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape(out, value, attribute_escape);
    out.push(b'\'');
}

/// Appends character data.
pub fn write_escaped_text(out: &mut Vec<u8>, text: &str) {
    escape(out, text, text_escape);
}

pub(crate) fn write_attributes(out: &mut Vec<u8>, attrs: &[Attr]) {
    let mut declared: Vec<&Ns> = Vec::new();
    for attr in attrs {
        if attr.ns.is_empty() {
            write_attribute(out, &attr.name, &attr.value);
        } else if *attr.ns == *namespace::XML {
            write_attribute(out, &format!("xml:{}", attr.name), &attr.value);
        } else {
            let index = declared.iter().position(|ns| **ns == attr.ns).unwrap_or_else(|| {
                write_attribute(out, &format!("xmlns:ns{}", declared.len()), &attr.ns);
                declared.push(&attr.ns);
                declared.len() - 1
            });
            write_attribute(out, &format!("ns{index}:{}", attr.name), &attr.value);
        }
    }
}

/// The bytes at which a replacement may begin; most text has none of them.
const SUSPECT: [bool; 256] = {
    let mut suspect = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        suspect[control] = true;
        control += 1;
    }
    let others = *b"<>&'\"\xef";
    let mut other = 0;
    while other < others.len() {
        suspect[others[other] as usize] = true;
        other += 1;
    }
    suspect
};

/// Copies runs that need no escape in one go.
fn escape(out: &mut Vec<u8>, text: &str, replacement: fn(&[u8]) -> Option<(&'static str, usize)>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !SUSPECT[usize::from(bytes[at])] {
            at += 1;
            continue;
        }
        match replacement(&bytes[at..]) {
            None => at += 1,
            Some((with, length)) => {
                out.extend_from_slice(&bytes[start..at]);
                out.extend_from_slice(with.as_bytes());
                at += length;
                start = at;
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

fn text_escape(rest: &[u8]) -> Option<(&'static str, usize)> {
    match rest[0] {
        b'<' => Some(("&lt;", 1)),
        b'>' => Some(("&gt;", 1)),
        b'&' => Some(("&amp;", 1)),
        // A bare CR would come back as LF (XML 1.0, section 2.11).
        b'\r' => Some(("&#13;", 1)),
        _ => forbidden(rest),
    }
}

fn attribute_escape(rest: &[u8]) -> Option<(&'static str, usize)> {
    match rest[0] {
        b'<' => Some(("&lt;", 1)),
        b'&' => Some(("&amp;", 1)),
        b'\'' => Some(("&apos;", 1)),
        b'"' => Some(("&quot;", 1)),
        // Unescaped, attribute normalisation turns them into spaces (XML 1.0, section 3.3.3).
        b'\t' => Some(("&#9;", 1)),
        b'\n' => Some(("&#10;", 1)),
        b'\r' => Some(("&#13;", 1)),
        _ => forbidden(rest),
    }
}

/// Characters outside the production `Char` (XML 1.0, section 2.2) would end the peer's stream;
/// text that came from elsewhere than XML may hold them.
fn forbidden(rest: &[u8]) -> Option<(&'static str, usize)> {
    const REPLACEMENT: &str = "\u{fffd}";
    match rest {
        [b'\t' | b'\n', ..] => None,
        [0x00..=0x1f, ..] => Some((REPLACEMENT, 1)),
        [0xef, 0xbf, 0xbe | 0xbf, ..] => Some((REPLACEMENT, 3)),
        _ => None,
    }
}
