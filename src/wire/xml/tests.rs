use proptest::prelude::*;

use super::*;

const OPEN: &[u8] = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='a' version='1.0'>";

fn stream(rest: &[u8]) -> Result<Vec<StreamEvent>, ReadError> {
    feed(&mut Reader::new(Limits::default()), &[OPEN, rest].concat(), usize::MAX)
}

fn feed(reader: &mut Reader, all: &[u8], chunk: usize) -> Result<Vec<StreamEvent>, ReadError> {
    let mut events = Vec::new();
    for mut part in all.chunks(chunk.min(all.len())) {
        while let Some(event) = reader.read(&mut part)? {
            events.push(event);
        }
        assert!(part.is_empty());
    }
    Ok(events)
}

#[test]
fn a_stream_is_a_header_then_elements_then_a_close() {
    let events = stream(b"<message to='b'><body>x &amp; y</body></message> \n</stream:stream>");
    let events = events.unwrap();
    let StreamEvent::Open { header, default_ns } = &events[0] else { panic!("{events:?}") };
    assert!(header.is("stream", "http://etherx.jabber.org/streams"));
    assert_eq!(header.attr("to"), Some("a"));
    assert_eq!(&**default_ns, "jabber:client");
    let StreamEvent::Element(message) = &events[1] else { panic!("{events:?}") };
    assert_eq!(message.child("body", "jabber:client").unwrap().text(), "x & y");
    assert_eq!(events[2], StreamEvent::Close);
}

#[test]
fn namespaces_and_mixed_content_survive() {
    let text = "<message xmlns='jabber:client' xmlns:x='urn:x' x:foo='1' bar='2' xml:lang='de'>\
        a<x:p x:a='1'><x:q/></x:p>b<y xmlns=''/></message>";
    let element: Element = text.parse().unwrap();
    assert_eq!(element.attr_ns("urn:x", "foo"), Some("1"));
    assert_eq!(element.lang(), Some("de"));
    assert_eq!(element.text(), "ab");
    assert!(element.child("y", "").is_some());
    assert_eq!(element.to_string().parse::<Element>().unwrap(), element);
}

#[test]
fn forbidden_xml_is_named() {
    for bad in ["<!-- c -->", "<?php ?>", "<a>&foo;</a>"] {
        let error = stream(bad.as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Restricted(_)), "{bad}: {error:?}");
    }
    let dtd = b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a/>";
    let error = feed(&mut Reader::new(Limits::default()), dtd, 7).unwrap_err();
    assert!(matches!(error, ReadError::NotWellFormed(_) | ReadError::Restricted(_)), "{error:?}");
    let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a/>";
    assert_eq!(feed(&mut Reader::new(Limits::default()), latin, 99), Err(ReadError::Encoding));
}

#[test]
fn malformed_xml_is_refused() {
    for bad in [
        &b"<a></b>"[..],
        b"<a b='1' b='2'/>",
        b"<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>",
        b"<a xmlns='u' xmlns='v'/>",
        b"<u:a/>",
        b"<a>\x00</a>",
        b"<a>\xc0\x80</a>",
        b"<a>\xed\xa0\x80</a>",
        b"<a>&#0;</a>",
        b"<a b='<'/>",
    ] {
        let error = stream(bad).unwrap_err();
        assert!(matches!(error, ReadError::NotWellFormed(_)), "{bad:?}: {error:?}");
    }
    assert_eq!(stream(b"hello"), Err(ReadError::TextBetweenStanzas));
}

#[test]
fn limits_hold_exactly() {
    let limits = Limits { stanza_bytes: 1000, depth: 3, attributes: 2, elements: 4 };
    let run = |rest: &str| {
        let mut reader = Reader::new(limits);
        let mut open: &[u8] = b"<s xmlns='jabber:client'>";
        reader.read(&mut open).unwrap();
        feed(&mut reader, rest.as_bytes(), 10)
    };
    assert!(run("<a><b><c/></b></a>").is_ok());
    assert_eq!(run("<a><b><c><d/></c></b></a>"), Err(ReadError::TooDeep(3)));
    assert!(run("<a b='' c=''/>").is_ok());
    assert_eq!(run("<a b='' c='' d=''/>"), Err(ReadError::TooManyAttributes(2)));
    assert_eq!(run("<a><b/><b/><b/><b/></a>"), Err(ReadError::TooManyElements(4)));
    assert!(run(&format!("<a>{}</a>", "x".repeat(993))).is_ok());
    assert_eq!(run(&format!("<a>{}</a>", "x".repeat(994))), Err(ReadError::TooLarge(1000)));
    assert_eq!(run(&format!("<{}", "x".repeat(2000))), Err(ReadError::TooLarge(1000)));
    let mut reader = Reader::new(Limits::default());
    let long = format!("<a b='{}'/>", "x".repeat(10_000));
    assert_eq!(feed(&mut reader, long.as_bytes(), 10), Err(ReadError::TokenTooLong(8192)));
    let keepalives = " ".repeat(5000);
    assert!(run(&format!("{keepalives}<a/>")).is_ok());
}

#[test]
fn text_from_elsewhere_cannot_break_a_stream() {
    let element = Element::new("a", "u").with_attr("b", "\u{1}'\"\n").with_text("]]>\u{0}\u{ffff}");
    let back: Element = element.to_string().parse().unwrap();
    assert_eq!(back.attr("b"), Some("\u{fffd}'\"\n"));
    assert_eq!(back.text(), "]]>\u{fffd}\u{fffd}");
}

#[test]
fn equal_is_what_reads_the_same() {
    let element: Element = "<a xmlns='u' b='1' c='2'/>".parse().unwrap();
    let built = Element::new("a", "u").with_attr("c", "2").with_attr("b", "1").with_text("");
    assert_eq!(built, element);
    assert_ne!(built.clone().with_attr("b", "2"), element);
    assert_ne!(built.with_attr("d", ""), element);
}

fn any_element() -> impl Strategy<Value = Element> {
    let name = "[a-z][a-z0-9]{0,4}";
    let ns = prop_oneof![Just("u"), Just("jabber:client"), Just("")];
    let text = "[ -~\\n\\r\\t\u{e9}\u{1f600}]{1,12}";
    let leaf = (name, ns.clone(), prop::collection::btree_map(name, text, 0..3)).prop_map(
        |(name, ns, attrs)| {
            let mut element = Element::new(name.as_str(), Ns::intern(ns));
            attrs.iter().for_each(|(name, value)| element.set_attr(name, value.as_str()));
            element
        },
    );
    leaf.prop_recursive(4, 24, 4, move |inner| {
        (inner.clone(), prop::collection::vec((inner, text), 0..4)).prop_map(|(parent, nodes)| {
            nodes
                .into_iter()
                .fold(parent, |parent, (child, text)| parent.with_child(child).with_text(text))
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(element in any_element()) {
        prop_assert_eq!(element.to_string().parse::<Element>().unwrap(), element);
    }

    #[test]
    fn chunking_makes_no_difference(element in any_element(), chunk in 1_usize..40) {
        let all = [OPEN, element.to_string().as_bytes(), b"</stream:stream>"].concat();
        let whole = feed(&mut Reader::new(Limits::default()), &all, usize::MAX);
        prop_assert_eq!(feed(&mut Reader::new(Limits::default()), &all, chunk), whole);
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = stream(&bytes);
        let _ = read_document(&bytes, &Limits::default());
    }
}
