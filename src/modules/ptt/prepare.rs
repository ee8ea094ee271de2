//! From what an app recorded to what is sent.

use std::time::Duration;

use thiserror::Error;

use super::container::{BadRecording, Coded, Finished, Recording, read, write_opus};
use super::waveform::{PARTS, waveform};

/// A recording that can be sent, and what is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    /// `None`: as it came.
    pub(super) file: Option<Vec<u8>>,
    pub(super) duration: Duration,
    pub(super) waveform: [u8; PARTS],
}

/// What all clips are: most clients play it inline.
pub(super) const MEDIA_TYPE: &str = "audio/mp4";

/// Why a recording is not sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("this is no recording that can be sent: {0}")]
    Bad(#[from] BadRecording),
    #[error("a clip may be {0} seconds long")]
    TooLong(u64),
    #[error("the recording is empty")]
    Empty,
}

/// Takes what is not too long; Opus is put into MP4 without being decoded and encoded again.
pub(super) fn prepare(file: &[u8], longest: Duration) -> Result<Prepared, Unfit> {
    let (content, duration, file) = match read(file)? {
        Recording::Opus(track) => {
            let (duration, file) = (track.duration(), write_opus(&track));
            (Coded::Opus(track), duration, Some(file))
        }
        Recording::Finished(Finished { duration, content }) => (content, duration, None),
    };
    if duration.is_zero() {
        return Err(Unfit::Empty);
    }
    // Before anything is decoded.
    if duration > longest {
        return Err(Unfit::TooLong(longest.as_secs()));
    }
    Ok(Prepared { file, duration, waveform: waveform(&content) })
}
