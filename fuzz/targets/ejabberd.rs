//! Whatever stands in a dump or a database of ejabberd, it is read within bounds, and what was read of stanzas can
//! be written.

#![no_main]

use libfuzzer_sys::fuzz_target;

use transfer::ejabberd::{terms, xml};
use transfer::syntax::Pieces;

#[allow(dead_code, reason = "the import uses the rest")]
#[path = "../../src/main/transfer"]
mod transfer {
    pub mod syntax;
    pub mod ejabberd {
        pub mod terms;
        pub mod xml;
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(term) = terms::parse(data) {
        xml::element(&term, "").map(|element| element.to_string());
    }
    let mut pieces = Pieces::new(data, |line| line.ends_with(b"."));
    while let Some(piece) = pieces.next(terms::parse) {
        let Ok(term) = piece else { continue };
        for part in term.tuple().into_iter().flatten() {
            xml::stanza(part).map(|stanza| stanza.to_string());
        }
    }
});
