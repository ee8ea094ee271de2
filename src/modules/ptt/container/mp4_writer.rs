//! Opus in MP4, the form of it that most clients play inline. What tells how to play it comes
//! before the audio, so that playing can begin before everything is there.

use super::opus::{OpusTrack, RATE};

/// Number of the only track.
const TRACK: u32 = 1;
/// No rotation, no scale, in 16.16 and 2.30 fixed point.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// A whole file.
pub(crate) fn write_opus(track: &OpusTrack) -> Vec<u8> {
    let kind = boxed(b"ftyp", &[*b"M4A ", [0; 4], *b"M4A ", *b"isom", *b"mp42"].concat());
    // The size of what says where the audio begins does not depend on where that is.
    let offset = kind.len() + movie(track, 0).len() + 8;
    let audio: Vec<u8> = track.packets.concat();
    // A clip is far below 4 GiB.
    let movie = movie(track, u32::try_from(offset).unwrap_or(u32::MAX));
    [kind, movie, boxed(b"mdat", &audio)].concat()
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap_or(u32::MAX);
    [&size.to_be_bytes(), &kind[..], content].concat()
}

/// With version 0 and flags.
fn full(kind: &[u8; 4], flags: u32, content: &[u8]) -> Vec<u8> {
    boxed(kind, &[&flags.to_be_bytes(), content].concat())
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn movie(track: &OpusTrack, offset: u32) -> Vec<u8> {
    let played = samples(track).saturating_sub(u32::from(track.pre_skip));
    let header = [
        numbers(&[0, 0, RATE, played, 0x1_0000, 0x0100_0000, 0, 0]),
        numbers(&MATRIX),
        numbers(&[0, 0, 0, 0, 0, 0, TRACK + 1]),
    ];
    let content = [full(b"mvhd", 0, &header.concat()), trak(track, played, offset)];
    boxed(b"moov", &content.concat())
}

fn trak(track: &OpusTrack, played: u32, offset: u32) -> Vec<u8> {
    // Enabled and in the movie; at full volume.
    let header = [
        numbers(&[0, 0, TRACK, 0, played, 0, 0, 0, 0x0100_0000]),
        numbers(&MATRIX),
        numbers(&[0, 0]),
    ];
    // What is skipped at the start.
    let edit = full(b"elst", 0, &numbers(&[1, played, u32::from(track.pre_skip), 0x1_0000]));
    let content = [full(b"tkhd", 3, &header.concat()), boxed(b"edts", &edit), mdia(track, offset)];
    boxed(b"trak", &content.concat())
}

fn mdia(track: &OpusTrack, offset: u32) -> Vec<u8> {
    // The language is not known: "und".
    let header = [numbers(&[0, 0, RATE, samples(track)]), vec![0x55, 0xc4, 0, 0]].concat();
    let handler = [numbers(&[0]), b"soun".to_vec(), numbers(&[0, 0, 0]), b"Sound\0".to_vec()];
    // The data is in this file.
    let reference = [numbers(&[1]), full(b"url ", 1, &[])].concat();
    let content = [
        full(b"smhd", 0, &numbers(&[0])),
        boxed(b"dinf", &full(b"dref", 0, &reference)),
        sample_table(track, offset),
    ];
    let content = [
        full(b"mdhd", 0, &header),
        full(b"hdlr", 0, &handler.concat()),
        boxed(b"minf", &content.concat()),
    ];
    boxed(b"mdia", &content.concat())
}

fn sample_table(track: &OpusTrack, offset: u32) -> Vec<u8> {
    let sizes: Vec<u32> =
        track.packets.iter().map(|packet| u32::try_from(packet.len()).unwrap_or(0)).collect();
    let count = u32::try_from(sizes.len()).unwrap_or(0);
    let durations = durations(track);
    let entries = u32::try_from(durations.len()).unwrap_or(0);
    let durations: Vec<u32> = durations.into_iter().flatten().collect();
    // Opus needs 80 ms before a place from which it is played.
    let roll = [b"roll".to_vec(), numbers(&[2, 1]), (-4i16).to_be_bytes().to_vec()].concat();
    let grouped = [b"roll".to_vec(), numbers(&[1, count, 1])].concat();
    let content = [
        full(b"stsd", 0, &[numbers(&[1]), description(track)].concat()),
        full(b"stts", 0, &[numbers(&[entries]), numbers(&durations)].concat()),
        full(b"stsc", 0, &numbers(&[1, 1, count, 1])),
        full(b"stsz", 0, &[numbers(&[0, count]), numbers(&sizes)].concat()),
        full(b"stco", 0, &numbers(&[1, offset])),
        boxed(b"sgpd", &[numbers(&[0x0100_0000]), roll].concat()),
        full(b"sbgp", 0, &grouped),
    ];
    boxed(b"stbl", &content.concat())
}

/// Runs of packets of the same length: how many, and how long.
fn durations(track: &OpusTrack) -> Vec<[u32; 2]> {
    let mut runs: Vec<[u32; 2]> = Vec::new();
    for length in track.lengths() {
        match runs.last_mut() {
            Some([count, of]) if *of == length => *count += 1,
            _ => runs.push([1, length]),
        }
    }
    runs
}

fn description(track: &OpusTrack) -> Vec<u8> {
    let channels = u16::from(track.channels).to_be_bytes();
    let specific = [
        &[0, track.channels][..],
        &track.pre_skip.to_be_bytes(),
        &track.input_rate.to_be_bytes(),
        &track.gain.to_be_bytes(),
        &[0],
    ];
    let content = [
        &[0, 0, 0, 0, 0, 0, 0, 1][..],
        &[0; 8],
        &channels,
        &16u16.to_be_bytes(),
        &[0; 4],
        &(RATE << 16).to_be_bytes(),
        &boxed(b"dOps", &specific.concat()),
    ];
    boxed(b"Opus", &content.concat())
}

fn samples(track: &OpusTrack) -> u32 {
    u32::try_from(track.samples()).unwrap_or(u32::MAX)
}
