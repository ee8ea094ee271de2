//! Opus in Ogg (RFC 3533, RFC 7845).

use super::BadRecording;
use super::opus::OpusTrack;

const HEADER: usize = 27;
const CONTINUED: u8 = 1;
const FIRST: u8 = 2;

struct Page<'a> {
    flags: u8,
    stream: [u8; 4],
    lacing: &'a [u8],
    body: &'a [u8],
}

pub(super) fn read(file: &[u8]) -> Result<OpusTrack, BadRecording> {
    let mut rest = file;
    let mut packets = Packets::default();
    let mut track: Option<OpusTrack> = None;
    let mut stream = None;
    let mut number = 0;
    while !rest.is_empty() {
        let page = take_page(&mut rest)?;
        // The first stream that is Opus; others are passed over.
        if page.flags & FIRST != 0 && stream.is_none() && page.body.starts_with(b"OpusHead") {
            stream = Some(page.stream);
        }
        if stream != Some(page.stream) {
            continue;
        }
        for packet in packets.of(&page) {
            match (number, &mut track) {
                (0, _) => track = Some(OpusTrack::from_head(&packet)?),
                // OpusTags.
                (1, _) => {}
                (_, Some(track)) => track.push(&packet)?,
                (_, None) => return Err(BadRecording::Damaged),
            }
            number += 1;
        }
    }
    track.filter(|track| !track.packets.is_empty()).ok_or(BadRecording::NoAudio)
}

fn take_page<'a>(rest: &mut &'a [u8]) -> Result<Page<'a>, BadRecording> {
    let file = *rest;
    let header = file.get(..HEADER).ok_or(BadRecording::Damaged)?;
    if !header.starts_with(b"OggS\0") {
        return Err(BadRecording::Damaged);
    }
    let lacing = file.get(HEADER..HEADER + usize::from(header[26])).ok_or(BadRecording::Damaged)?;
    let start = HEADER + lacing.len();
    let end = start + lacing.iter().map(|length| usize::from(*length)).sum::<usize>();
    let body = file.get(start..end).ok_or(BadRecording::Damaged)?;
    if checksum(&file[..end]) != header[22..26] {
        return Err(BadRecording::Damaged);
    }
    *rest = &file[end..];
    let stream = [header[14], header[15], header[16], header[17]];
    Ok(Page { flags: header[5], stream, lacing, body })
}

/// Packets that go over pages.
#[derive(Default)]
struct Packets {
    begun: Vec<u8>,
}

impl Packets {
    /// The packets that end on a page.
    fn of(&mut self, page: &Page<'_>) -> Vec<Vec<u8>> {
        if page.flags & CONTINUED == 0 {
            self.begun.clear();
        }
        let (mut whole, mut body) = (Vec::new(), page.body);
        for length in page.lacing {
            let (part, after) = body.split_at(usize::from(*length));
            self.begun.extend_from_slice(part);
            body = after;
            if *length < 255 {
                whole.push(std::mem::take(&mut self.begun));
            }
        }
        whole
    }
}

/// CRC-32 with the polynomial 0x04c11db7, not reflected (RFC 3533, section 6), of a page whose own
/// checksum counts as 0.
pub(crate) fn checksum(page: &[u8]) -> [u8; 4] {
    let mut crc: u32 = 0;
    for (place, byte) in page.iter().enumerate() {
        let byte = if (22..26).contains(&place) { 0 } else { *byte };
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 != 0 { (crc << 1) ^ 0x04c1_1db7 } else { crc << 1 };
        }
    }
    crc.to_le_bytes()
}
