//! Audio in MP4 (ISO/IEC 14496-12), as phones and Safari record it; with fragments, too. Opus in it
//! as the mapping "Encapsulation of Opus in ISO Base Media File Format" says.

use std::time::Duration;

use super::opus::OpusTrack;
use super::{BadRecording, Coded, Finished};

/// Boxes inside boxes: moov, trak, mdia, minf, stbl, stsd, Opus, dOps.
const MAX_BOXES: usize = 10_000;

pub(super) fn read(file: &[u8]) -> Result<Finished, BadRecording> {
    let moov = find(file, b"moov")?.ok_or(BadRecording::Damaged)?;
    for trak in children(moov, b"trak")? {
        if let Some(track) = Track::of(trak)? {
            return track.finish(file, moov);
        }
    }
    Err(BadRecording::NoAudio)
}

/// An audio track.
struct Track<'a> {
    id: u32,
    timescale: u32,
    table: &'a [u8],
    /// With Opus: its head.
    opus: Option<OpusTrack>,
}

impl<'a> Track<'a> {
    fn of(trak: &'a [u8]) -> Result<Option<Track<'a>>, BadRecording> {
        let mdia = required(trak, b"mdia")?;
        if u32_at(required(mdia, b"hdlr")?, 8)? != u32::from_be_bytes(*b"soun") {
            return Ok(None);
        }
        let tkhd = required(trak, b"tkhd")?;
        let id = u32_at(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
        let mdhd = required(mdia, b"mdhd")?;
        let timescale = u32_at(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })?;
        let table = required(required(mdia, b"minf")?, b"stbl")?;
        let description = required(table, b"stsd")?;
        // Version, flags and the number of descriptions.
        let entry = boxes(description.get(8..).ok_or(BadRecording::Damaged)?)?;
        let opus = match entry.first() {
            Some((b"Opus", entry)) => Some(opus_head(entry)?),
            Some((b"mp4a", _)) => None,
            _ => return Ok(None),
        };
        if timescale == 0 {
            return Err(BadRecording::Damaged);
        }
        Ok(Some(Track { id, timescale, table, opus }))
    }

    fn finish(self, file: &[u8], moov: &[u8]) -> Result<Finished, BadRecording> {
        let mut samples = self.samples(file)?;
        if samples.sizes.is_empty() {
            samples = self.fragments(file, moov)?;
        }
        if samples.sizes.is_empty() {
            return Err(BadRecording::NoAudio);
        }
        let units = u128::from(samples.units) * 1_000_000 / u128::from(self.timescale);
        let micros = u64::try_from(units).map_err(|_| BadRecording::Damaged)?;
        let content = match self.opus {
            Some(mut track) if !samples.offsets.is_empty() => {
                for (offset, size) in samples.offsets.iter().zip(&samples.sizes) {
                    let end = offset.saturating_add(*size as usize);
                    track.push(file.get(*offset..end).ok_or(BadRecording::Damaged)?)?;
                }
                return Ok(Finished { duration: track.duration(), content: Coded::Opus(track) });
            }
            _ => Coded::Sizes(samples.sizes),
        };
        Ok(Finished { duration: Duration::from_micros(micros), content })
    }

    /// From the tables of a file without fragments.
    fn samples(&self, file: &[u8]) -> Result<Samples, BadRecording> {
        let sizes = sizes(required(self.table, b"stsz")?, file.len())?;
        let mut units = 0u64;
        let mut counted = 0u64;
        for entry in entries(required(self.table, b"stts")?, 8)? {
            let (count, delta) = (u32_at(entry, 0)?, u32_at(entry, 4)?);
            counted += u64::from(count);
            units = units.saturating_add(u64::from(count) * u64::from(delta));
        }
        if counted != sizes.len() as u64 {
            return Err(BadRecording::Damaged);
        }
        let offsets = self.offsets(&sizes)?;
        Ok(Samples { sizes, offsets, units })
    }

    /// Where each sample begins.
    fn offsets(&self, sizes: &[u32]) -> Result<Vec<usize>, BadRecording> {
        let chunks: Vec<u64> = match find(self.table, b"stco")? {
            Some(table) => {
                let places = entries(table, 4)?.map(|entry| u32_at(entry, 0).map(u64::from));
                places.collect::<Result<_, _>>()?
            }
            None => {
                let places = entries(required(self.table, b"co64")?, 8)?.map(|entry| {
                    Ok(u64::from(u32_at(entry, 0)?) << 32 | u64::from(u32_at(entry, 4)?))
                });
                places.collect::<Result<_, BadRecording>>()?
            }
        };
        let runs: Vec<(u32, u32)> = entries(required(self.table, b"stsc")?, 12)?
            .map(|entry| Ok((u32_at(entry, 0)?, u32_at(entry, 4)?)))
            .collect::<Result<_, BadRecording>>()?;
        let mut offsets = Vec::with_capacity(sizes.len());
        for (number, start) in (1u32..).zip(chunks) {
            let run = runs.iter().rev().find(|(first, _)| *first <= number);
            let mut place = usize::try_from(start).map_err(|_| BadRecording::Damaged)?;
            for _ in 0..run.map_or(0, |(_, count)| *count) {
                let Some(size) = sizes.get(offsets.len()) else { return Ok(offsets) };
                offsets.push(place);
                place = place.saturating_add(*size as usize);
            }
        }
        if offsets.len() == sizes.len() { Ok(offsets) } else { Err(BadRecording::Damaged) }
    }

    /// From the fragments of a file that was written while it was recorded.
    fn fragments(&self, file: &[u8], moov: &[u8]) -> Result<Samples, BadRecording> {
        let mut defaults = (0, 0);
        if let Some(extends) = find(moov, b"mvex")? {
            for trex in children(extends, b"trex")? {
                if u32_at(trex, 4)? == self.id {
                    defaults = (u32_at(trex, 12)?, u32_at(trex, 16)?);
                }
            }
        }
        let mut samples = Samples { sizes: Vec::new(), offsets: Vec::new(), units: 0 };
        for moof in children(file, b"moof")? {
            for traf in children(moof, b"traf")? {
                let header = required(traf, b"tfhd")?;
                if u32_at(header, 4)? != self.id {
                    continue;
                }
                let defaults = fragment_defaults(header, defaults)?;
                for run in children(traf, b"trun")? {
                    samples.add_run(run, defaults, file.len())?;
                }
            }
        }
        Ok(samples)
    }
}

/// What a table says of the samples of a track.
struct Samples {
    sizes: Vec<u32>,
    /// Empty where it is not looked for.
    offsets: Vec<usize>,
    /// Their length in the units of the track.
    units: u64,
}

impl Samples {
    fn add_run(
        &mut self,
        run: &[u8],
        (duration, size): (u32, u32),
        room: usize,
    ) -> Result<(), BadRecording> {
        let flags = u32_at(run, 0)? & 0x00ff_ffff;
        let count = u32_at(run, 4)?;
        let mut place = 8 + 4 * (flags & 1) as usize + (flags & 4) as usize;
        for _ in 0..count {
            let mut field = |bit: u32, default: u32| -> Result<u32, BadRecording> {
                if flags & bit == 0 {
                    return Ok(default);
                }
                place += 4;
                u32_at(run, place - 4)
            };
            let duration = field(0x100, duration)?;
            let size = field(0x200, size)?;
            field(0x400, 0)?;
            field(0x800, 0)?;
            // Each of them takes at least a byte, so what is counted is bounded by the file.
            if size == 0 || self.sizes.len() >= room {
                return Err(BadRecording::Damaged);
            }
            self.units = self.units.saturating_add(u64::from(duration));
            self.sizes.push(size);
        }
        Ok(())
    }
}

/// Duration and size of a sample where a run names none.
fn fragment_defaults(tfhd: &[u8], given: (u32, u32)) -> Result<(u32, u32), BadRecording> {
    let flags = u32_at(tfhd, 0)? & 0x00ff_ffff;
    let mut place = 8;
    let mut field = |bit: u32, bytes: usize, default: u32| -> Result<u32, BadRecording> {
        if flags & bit == 0 {
            return Ok(default);
        }
        place += bytes;
        u32_at(tfhd, place - 4)
    };
    field(0x01, 8, 0)?;
    field(0x02, 4, 0)?;
    Ok((field(0x08, 4, given.0)?, field(0x10, 4, given.1)?))
}

/// Sample sizes; all of them together are no more than the file.
fn sizes(stsz: &[u8], room: usize) -> Result<Vec<u32>, BadRecording> {
    let (all, count) = (u32_at(stsz, 4)?, u32_at(stsz, 8)? as usize);
    if count > room {
        return Err(BadRecording::Damaged);
    }
    let sizes: Vec<u32> = match all {
        0 => (0..count).map(|n| u32_at(stsz, 12 + 4 * n)).collect::<Result<_, _>>()?,
        _ => vec![all; count],
    };
    let total: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
    if total > room as u64 { Err(BadRecording::Damaged) } else { Ok(sizes) }
}

/// The `dOps` of a sample description.
fn opus_head(entry: &[u8]) -> Result<OpusTrack, BadRecording> {
    // The fields of every audio description are before its boxes.
    let dops = required(entry.get(28..).ok_or(BadRecording::Damaged)?, b"dOps")?;
    let [0, channels, s0, s1, r0, r1, r2, r3, g0, g1, family, ..] = *dops else {
        return Err(BadRecording::Unsupported);
    };
    if !(1..=2).contains(&channels) || family != 0 {
        return Err(BadRecording::Unsupported);
    }
    Ok(OpusTrack {
        channels,
        pre_skip: u16::from_be_bytes([s0, s1]),
        input_rate: u32::from_be_bytes([r0, r1, r2, r3]),
        gain: i16::from_be_bytes([g0, g1]),
        packets: Vec::new(),
    })
}

type Boxes<'a> = Vec<(&'a [u8; 4], &'a [u8])>;

/// The boxes that follow one another, with their kinds.
fn boxes(mut rest: &[u8]) -> Result<Boxes<'_>, BadRecording> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let size = u32_at(rest, 0)? as usize;
        let kind = rest.get(4..8).and_then(|kind| kind.try_into().ok());
        let kind: &[u8; 4] = kind.ok_or(BadRecording::Damaged)?;
        let (header, size) = match size {
            // To the end of the file.
            0 => (8, rest.len()),
            1 => {
                let high = u32_at(rest, 8)?;
                let size = if high == 0 { u32_at(rest, 12)? as usize } else { usize::MAX };
                (16, size)
            }
            size => (8, size),
        };
        let (this, after) = rest.split_at_checked(size).ok_or(BadRecording::Damaged)?;
        found.push((kind, this.get(header..).ok_or(BadRecording::Damaged)?));
        if found.len() > MAX_BOXES {
            return Err(BadRecording::Damaged);
        }
        rest = after;
    }
    Ok(found)
}

fn children<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Result<Vec<&'a [u8]>, BadRecording> {
    let all = boxes(parent)?.into_iter();
    Ok(all.filter(|(found, _)| *found == kind).map(|(_, content)| content).collect())
}

fn find<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Result<Option<&'a [u8]>, BadRecording> {
    Ok(children(parent, kind)?.into_iter().next())
}

fn required<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Result<&'a [u8], BadRecording> {
    find(parent, kind)?.ok_or(BadRecording::Damaged)
}

/// The entries of a table, which come after version, flags and their number.
fn entries(table: &[u8], size: usize) -> Result<impl Iterator<Item = &[u8]>, BadRecording> {
    let count = u32_at(table, 4)? as usize;
    let room = table[8..].len();
    if count.checked_mul(size).is_none_or(|bytes| bytes > room) {
        return Err(BadRecording::Damaged);
    }
    Ok(table[8..].chunks_exact(size).take(count))
}

fn u32_at(bytes: &[u8], place: usize) -> Result<u32, BadRecording> {
    let end = place.checked_add(4).ok_or(BadRecording::Damaged)?;
    let four = bytes.get(place..end).and_then(|four| four.try_into().ok());
    Ok(u32::from_be_bytes(four.ok_or(BadRecording::Damaged)?))
}
