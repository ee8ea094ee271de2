//! Whatever a peer sends, in whatever pieces, is read the same way, within the limits, and what we
//! write in turn is read as what was meant.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wello_wire::stanza::Stanza;
use wello_wire::xml::{
    Element, Limits, ReadError, Reader, StreamEvent, read_document, write_element,
};

const LIMITS: Limits = Limits { stanza_bytes: 4096, depth: 8, attributes: 8, elements: 32 };

// The first byte of the input is the size of the pieces.
fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    // The parser may keep an error to itself until the byte after it arrives.
    let last: &[u8] = b" ";
    let whole = read([bytes, last]);
    let pieces = read(bytes.chunks(usize::from(size).max(1)).chain([last]));
    assert_eq!(whole, pieces);
    for event in &whole.0 {
        if let StreamEvent::Element(element) = event {
            assert_within_limits(element);
            assert_survives_writing(element);
        }
    }
});

/// All events, and whether an error ended them. Which error may depend on where the pieces end.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<StreamEvent>, bool) {
    let mut reader = Reader::new(LIMITS);
    let mut events = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match reader.read(&mut piece) {
                Ok(Some(StreamEvent::Close)) => return (events, false),
                Ok(Some(event)) => events.push(event),
                Ok(None) => {}
                Err(_) => return (events, true),
            }
        }
    }
    (events, false)
}

fn assert_within_limits(element: &Element) {
    let mut elements = 0;
    let mut level = vec![element];
    for depth in 1.. {
        if level.is_empty() {
            break;
        }
        assert!(depth <= LIMITS.depth, "too deep");
        elements += level.len();
        level = level.into_iter().flat_map(Element::children).collect();
    }
    assert!(elements <= LIMITS.elements, "too many elements");
}

fn assert_survives_writing(element: &Element) {
    let text = element.to_string();
    assert_eq!(reread(&text).as_ref(), Ok(element), "{text}");
    // Inside a stream the default namespace is declared by its header.
    let mut inside = b"<s:s xmlns:s='s' xmlns='jabber:client'>".to_vec();
    write_element(&mut inside, element, "jabber:client");
    let (events, failed) = read_generously(&inside);
    assert!(!failed && events.last() == Some(&StreamEvent::Element(element.clone())), "{text}");
    if let Ok(stanza) = Stanza::from_element(element.clone()) {
        let written = stanza.to_bytes();
        let again = read_document(&written, &generous()).map(Stanza::from_element);
        let again = again.expect("what we write is XML").expect("and still a stanza");
        assert_eq!(again.to_element(), stanza.to_element(), "{text}");
    }
}

fn reread(text: &str) -> Result<Element, ReadError> {
    read_document(text.as_bytes(), &generous())
}

fn read_generously(mut bytes: &[u8]) -> (Vec<StreamEvent>, bool) {
    let mut reader = Reader::new(generous());
    let mut events = Vec::new();
    loop {
        match reader.read(&mut bytes) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, false),
            Err(_) => return (events, true),
        }
    }
}

/// What we write can be longer than what was read: escapes, namespaces without their prefixes.
fn generous() -> Limits {
    Limits { stanza_bytes: 1 << 20, depth: 64, attributes: 64, elements: 4096 }
}
