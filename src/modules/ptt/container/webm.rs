//! Opus in WebM (RFC 8794, RFC 9559), as browsers record it: written while it is recorded, so that
//! clusters do not say how long they are.

use super::BadRecording;
use super::opus::OpusTrack;

/// Elements whose content is looked into.
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
/// And those that say something.
const TRACK_NUMBER: u32 = 0xd7;
const CODEC: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK: u32 = 0xa1;

#[derive(Default)]
struct Entry {
    number: u64,
    is_opus: bool,
    head: Option<OpusTrack>,
}

pub(super) fn read(file: &[u8]) -> Result<OpusTrack, BadRecording> {
    let mut rest = file;
    let mut entries: Vec<Entry> = Vec::new();
    let mut chosen: Option<(u64, OpusTrack)> = None;
    while !rest.is_empty() {
        let id = take_id(&mut rest)?;
        let size = take_size(&mut rest)?;
        // What is inside comes next; where it ends does not matter.
        if matches!(id, SEGMENT | TRACKS | TRACK_ENTRY | CLUSTER | BLOCK_GROUP) {
            if id == TRACK_ENTRY {
                entries.push(Entry::default());
            }
            continue;
        }
        let size = usize::try_from(size.ok_or(BadRecording::Damaged)?);
        let data = size.ok().and_then(|size| rest.split_at_checked(size));
        let (data, after) = data.ok_or(BadRecording::Damaged)?;
        rest = after;
        match (id, entries.last_mut()) {
            (TRACK_NUMBER, Some(entry)) => entry.number = number(data),
            (CODEC, Some(entry)) => entry.is_opus = data == b"A_OPUS",
            (CODEC_PRIVATE, Some(entry)) => entry.head = OpusTrack::from_head(data).ok(),
            (SIMPLE_BLOCK | BLOCK, _) => {
                if chosen.is_none() {
                    chosen = choose(&mut entries);
                }
                let (track, opus) = chosen.as_mut().ok_or(BadRecording::NoAudio)?;
                add_block(*track, opus, data)?;
            }
            _ => {}
        }
    }
    let track = chosen.map(|(_, track)| track).filter(|track| !track.packets.is_empty());
    track.ok_or(BadRecording::NoAudio)
}

fn choose(entries: &mut [Entry]) -> Option<(u64, OpusTrack)> {
    let entry = entries.iter_mut().find(|entry| entry.is_opus && entry.head.is_some())?;
    Some((entry.number, entry.head.take()?))
}

fn add_block(track: u64, opus: &mut OpusTrack, block: &[u8]) -> Result<(), BadRecording> {
    let mut rest = block;
    let number = take_size(&mut rest)?.ok_or(BadRecording::Damaged)?;
    let [_, _, flags, frame @ ..] = rest else { return Err(BadRecording::Damaged) };
    if number != track {
        return Ok(());
    }
    // Several frames in one block; nobody records voice like that.
    if flags & 0x06 != 0 {
        return Err(BadRecording::Unsupported);
    }
    opus.push(frame)
}

/// Bytes of a number with a length of its own (RFC 8794, section 4).
fn take_number(rest: &mut &[u8], keep_marker: bool) -> Result<(u64, u32), BadRecording> {
    let first = *rest.first().ok_or(BadRecording::Damaged)?;
    let length = first.leading_zeros() + 1;
    if length > 8 {
        return Err(BadRecording::Damaged);
    }
    let (bytes, after) = rest.split_at_checked(length as usize).ok_or(BadRecording::Damaged)?;
    *rest = after;
    let value = number(bytes);
    let marker = 1u64 << (7 * length);
    Ok((if keep_marker { value } else { value & (marker - 1) }, length))
}

fn take_id(rest: &mut &[u8]) -> Result<u32, BadRecording> {
    let (id, length) = take_number(rest, true)?;
    u32::try_from(id).ok().filter(|_| length <= 4).ok_or(BadRecording::Damaged)
}

/// `None` for a size that is not known.
fn take_size(rest: &mut &[u8]) -> Result<Option<u64>, BadRecording> {
    let (size, length) = take_number(rest, false)?;
    Ok((size != (1u64 << (7 * length)) - 1).then_some(size))
}

/// Longer ones are cut: they are none that mean anything here.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}
