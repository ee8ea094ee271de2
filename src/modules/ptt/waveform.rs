//! How loud a clip is over its time, for players that draw it before they have it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opus_decoder::OpusDecoder;

use super::container::{Coded, OpusTrack};

/// Parts of the clip that a value stands for.
pub(super) const PARTS: usize = 64;
/// Voice is below half of this, and it is the fastest to decode to.
const RATE: u32 = 8_000;
/// Samples of the longest packet, 120 ms.
const MAX_SAMPLES: usize = 960;
/// What counts as silence: 60 dB below full scale.
const FLOOR_DB: f64 = -60.0;

/// A value for each part: 0 is silence (-60 dB or less), 255 full scale, even steps in decibels.
pub(super) fn waveform(content: &Coded) -> [u8; PARTS] {
    match content {
        Coded::Opus(track) => of_opus(track),
        Coded::Sizes(sizes) => of_sizes(sizes),
    }
}

fn of_opus(track: &OpusTrack) -> [u8; PARTS] {
    // The decoder reads what strangers made: should it fall, the clip has no waveform.
    let energies = catch_unwind(AssertUnwindSafe(|| energies(track))).unwrap_or_default();
    parts(&energies).map(|energy| level(10.0 * energy.log10()))
}

/// The mean energy of each packet; full scale is 1.
fn energies(track: &OpusTrack) -> Vec<f64> {
    let Ok(mut decoder) = OpusDecoder::new(RATE, 1) else { return Vec::new() };
    let mut pcm = [0i16; MAX_SAMPLES];
    let mut energies = Vec::with_capacity(track.packets.len());
    for packet in &track.packets {
        // What cannot be decoded is not heard.
        let count = decoder.decode(packet, &mut pcm, false).unwrap_or(0);
        let heard = pcm.get(..count).unwrap_or_default();
        let sum: f64 = heard.iter().map(|sample| (f64::from(*sample) / 32768.0).powi(2)).sum();
        energies.push(if count > 0 { sum / count as f64 } else { 0.0 });
    }
    energies
}

/// Of a codec that is not decoded here: an encoder with variable rate spends its bytes where the
/// sound is. The largest frame counts as full scale.
fn of_sizes(sizes: &[u32]) -> [u8; PARTS] {
    let sizes: Vec<f64> = sizes.iter().map(|size| f64::from(*size)).collect();
    let parts = parts(&sizes);
    let largest = parts.iter().copied().fold(1.0, f64::max);
    parts.map(|size| (size / largest * 255.0) as u8)
}

/// The means of even parts.
fn parts(values: &[f64]) -> [f64; PARTS] {
    std::array::from_fn(|part| {
        let start = part * values.len() / PARTS;
        let end = ((part + 1) * values.len() / PARTS).max(start + 1).min(values.len());
        let part = values.get(start..end).unwrap_or_default();
        if part.is_empty() { 0.0 } else { part.iter().sum::<f64>() / part.len() as f64 }
    })
}

fn level(decibels: f64) -> u8 {
    // The cast ends at the bounds of its type, and no sound at all (-inf) is 0.
    ((decibels - FLOOR_DB) / -FLOOR_DB * 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_even_in_decibels() {
        for (decibels, expected) in
            [(0.0, 255), (-30.0, 127), (-60.0, 0), (-90.0, 0), (f64::NEG_INFINITY, 0), (3.0, 255)]
        {
            assert_eq!(level(decibels), expected, "{decibels}");
        }
    }

    #[test]
    fn sizes_stand_for_loudness() {
        let loud_end: Vec<u32> = (0..640).map(|n| if n < 320 { 10 } else { 100 }).collect();
        let wave = of_sizes(&loud_end);
        assert_eq!((wave[0], wave[31], wave[32], wave[63]), (25, 25, 255, 255));
        assert_eq!(of_sizes(&[]), [0; PARTS]);
        assert_eq!(of_sizes(&[7]), [255; PARTS]);
    }
}
