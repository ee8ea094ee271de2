//! Whatever a file of XEP-0227 says, and whatever it includes, it is read to an end.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use transfer::document::{Document, Piece};

#[allow(dead_code, reason = "the import uses the rest")]
#[path = "../../src/main/transfer"]
mod transfer {
    pub mod document;
}

/// In a folder of its own, so that it can include nothing but itself.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("wello-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the file");
    folder.join("all.xml")
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("a file that can be written");
    let mut document = Document::open(&FILE).expect("a file that is there");
    while let Ok(Some(piece)) = document.next() {
        if let Piece::Part(part) | Piece::RoomPart(part) | Piece::NodesPart(part) = piece {
            assert!(!part.name().is_empty());
        }
    }
});
