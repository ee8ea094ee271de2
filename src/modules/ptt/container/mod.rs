//! Recordings as apps make them, taken apart without decoding: Ogg, WebM and MP4, all within the
//! size of a clip.

mod mp4;
mod mp4_writer;
mod ogg;
mod opus;
#[cfg(test)]
mod tests;
mod webm;

use std::time::Duration;

use thiserror::Error;

pub(super) use mp4_writer::write_opus;
pub(crate) use ogg::checksum as ogg_checksum;
pub(super) use opus::OpusTrack;
pub(crate) use opus::samples as opus_samples;

/// One audio track.
#[derive(Debug)]
pub(super) enum Recording {
    /// To be written anew in a container that more clients play.
    Opus(OpusTrack),
    /// In the container that it is to stay in.
    Finished(Finished),
}

/// What is known of a track that is not taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Finished {
    pub(super) duration: Duration,
    pub(super) content: Coded,
}

/// What the loudness can be told from.
#[derive(Debug, PartialEq)]
pub(super) enum Coded {
    Opus(OpusTrack),
    /// Bytes of each frame: a codec that we do not decode.
    Sizes(Vec<u32>),
}

/// Why a file is no recording.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadRecording {
    #[error("neither Ogg, WebM nor M4A")]
    Unknown,
    #[error("the file is damaged or not complete")]
    Damaged,
    #[error("there is no audio in Opus or AAC in it")]
    NoAudio,
    #[error("its kind of stream is not supported")]
    Unsupported,
}

/// Reads a file by what it is, not by what it is called.
pub(super) fn read(file: &[u8]) -> Result<Recording, BadRecording> {
    match file {
        [b'O', b'g', b'g', b'S', ..] => ogg::read(file).map(Recording::Opus),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => webm::read(file).map(Recording::Opus),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4::read(file).map(Recording::Finished),
        _ => Err(BadRecording::Unknown),
    }
}
