//! Whatever stands in a file of Prosody's storage, it is read within bounds, and what was read of stanzas can be
//! written.

#![no_main]

use libfuzzer_sys::fuzz_target;

use transfer::prosody::{lua, stanza};

#[allow(dead_code, reason = "the import uses the rest")]
#[path = "../../src/main/transfer"]
mod transfer {
    pub mod syntax;
    pub mod prosody {
        pub mod lua;
        pub mod stanza;
    }
}

fuzz_target!(|data: &[u8]| {
    let whole = lua::parse_return(data).ok();
    let items = lua::Items::new(data).filter_map(Result::ok);
    for value in whole.into_iter().chain(items) {
        let Some(table) = value.table() else { continue };
        for (_, part) in table.named() {
            part.table().and_then(|part| stanza::element(part, "")).map(|part| part.to_string());
        }
        stanza::element(table, "jabber:client").map(|stanza| stanza.to_string());
    }
});
