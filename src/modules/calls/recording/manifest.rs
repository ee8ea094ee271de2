//! What is told of a recording, in `manifest.json` beside its files (docs/protocols/calls.md).

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const NAME: &str = "manifest.json";

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Manifest {
    pub id: String,
    pub room: String,
    /// Who has begun it, as the room sees it, and the account that it is stored for.
    pub begun_by: String,
    pub account: String,
    /// When (XEP-0082).
    pub begun: String,
    pub files: Vec<Part>,
    pub speakers: Vec<Speaker>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// Packets that were not written because the disk was too slow.
    pub dropped: u64,
}

/// A file, which holds what one participant has sent.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Part {
    pub name: String,
    pub occupant: String,
    pub stream: String,
    pub codecs: Vec<String>,
    /// When it begins, since the recording began.
    pub offset_ms: u64,
    /// 0: it was cut off, or is written still.
    pub duration_ms: u64,
    pub bytes: u64,
    /// Where it is, once it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Nothing was recorded between these times.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Pause {
    pub from_ms: u64,
    pub to_ms: u64,
}

/// From this time on somebody speaks.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Speaker {
    pub at_ms: u64,
    pub occupant: String,
}

impl Manifest {
    pub fn read(folder: &Path) -> io::Result<Manifest> {
        let text = std::fs::read(folder.join(NAME))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }

    /// Replaces the last one at once: a crash leaves one of them.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let fresh = folder.join("manifest.new");
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        let path = folder.join(NAME);
        std::fs::rename(fresh, &path)?;
        Ok(path)
    }
}
