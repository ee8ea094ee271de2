//! Writes Matroska and WebM (RFC 8794, RFC 9559) while they are recorded: sizes that are not known yet are left
//! open, so that a file that is cut off can be played.

use std::io::{self, Seek, SeekFrom, Write};

use wello_sfu::api::Codec;

use super::opus;

const EBML: &[u8] = &[0x1a, 0x45, 0xdf, 0xa3];
const SEGMENT: &[u8] = &[0x18, 0x53, 0x80, 0x67];
const INFO: &[u8] = &[0x15, 0x49, 0xa9, 0x66];
const TRACKS: &[u8] = &[0x16, 0x54, 0xae, 0x6b];
const CLUSTER: &[u8] = &[0x1f, 0x43, 0xb6, 0x75];
const SIMPLE_BLOCK: &[u8] = &[0xa3];
const DURATION: &[u8] = &[0x44, 0x89];
const VOID: &[u8] = &[0xec];
/// Of an element whose end is not known (RFC 8794, section 6.2).
const UNKNOWN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// Bytes of a duration: its id, its length and a number of 8 bytes.
const DURATION_BYTES: usize = 11;
/// A player looks for a position cluster by cluster.
const MAX_CLUSTER_MS: u64 = 5000;
/// RFC 9559, section 23.2: what a decoder of Opus needs to hear before it is right, in nanoseconds.
const SEEK_PRE_ROLL: u64 = 80_000_000;

/// What a track is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opus.
    Sound,
    Picture(Picture),
}

/// What is told of pictures before the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub codec: Codec,
    pub width: u16,
    pub height: u16,
    /// What its decoder has to know (`CodecPrivate`); empty where that is nothing.
    pub private: Vec<u8>,
}

impl Kind {
    /// Whether all of it may be in a file of WebM.
    pub fn is_web(&self) -> bool {
        match self {
            Kind::Sound => true,
            Kind::Picture(picture) => matches!(picture.codec, Codec::Vp8 | Codec::Vp9),
        }
    }

    /// Whether they may be in one track. WebM tells sizes with each picture that stands alone.
    pub fn is_like(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Sound, Kind::Sound) => true,
            (Kind::Picture(one), Kind::Picture(other)) => {
                one.codec == other.codec && one.private == other.private
            }
            _ => false,
        }
    }

    pub fn codec(&self) -> Codec {
        match self {
            Kind::Sound => Codec::Opus,
            Kind::Picture(picture) => picture.codec,
        }
    }
}

pub struct Matroska<W> {
    out: W,
    /// Where the duration is going to be.
    duration_at: u64,
    cluster: Option<u64>,
}

/// Something that is shown or heard at a time.
pub struct Block<'a> {
    /// Its place among the tracks of the file.
    pub track: u8,
    /// Milliseconds since the file began.
    pub at: u64,
    /// It stands alone.
    pub key: bool,
    /// A cluster had best begin with it.
    pub begins: bool,
    pub data: &'a [u8],
}

impl<W: Write + Seek> Matroska<W> {
    pub fn begin(mut out: W, tracks: &[Kind]) -> io::Result<Matroska<W>> {
        let is_web = tracks.iter().all(Kind::is_web);
        let mut head = header(if is_web { b"webm" } else { b"matroska" });
        head.extend(SEGMENT);
        head.extend(UNKNOWN);
        let info = [
            element(&[0x2a, 0xd7, 0xb1], &number(1_000_000)),
            element(&[0x4d, 0x80], b"Wello"),
            element(&[0x57, 0x41], b"Wello"),
            element(VOID, &[0; DURATION_BYTES - 2]),
        ];
        head.extend(element(INFO, &info.concat()));
        let duration_at = (head.len() - DURATION_BYTES) as u64;
        let entries: Vec<u8> =
            (1..).zip(tracks).flat_map(|(place, kind)| entry(place, kind)).collect();
        head.extend(element(TRACKS, &entries));
        out.write_all(&head)?;
        Ok(Matroska { out, duration_at, cluster: None })
    }

    pub fn write(&mut self, block: &Block<'_>) -> io::Result<()> {
        let start = match self.cluster {
            Some(start) if !block.begins && block.at < start + MAX_CLUSTER_MS => start,
            _ => self.begin_cluster(block.at)?,
        };
        // Sound that was sent before a picture may come after it: within the range of the type.
        let relative = block.at as i64 - start as i64;
        let relative = relative.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        let flags = if block.key { 0x80 } else { 0 };
        let [high, low] = relative.to_be_bytes();
        let body = [&[0x81 + block.track, high, low, flags], block.data].concat();
        self.out.write_all(&element(SIMPLE_BLOCK, &body))
    }

    fn begin_cluster(&mut self, at: u64) -> io::Result<u64> {
        self.out.write_all(CLUSTER)?;
        self.out.write_all(&UNKNOWN)?;
        self.out.write_all(&element(&[0xe7], &number(at)))?;
        self.cluster = Some(at);
        Ok(at)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Says how long it has become.
    pub fn finish(mut self, duration_ms: u64) -> io::Result<W> {
        self.out.seek(SeekFrom::Start(self.duration_at))?;
        self.out.write_all(&element(DURATION, &(duration_ms as f64).to_be_bytes()))?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn header(kind: &[u8]) -> Vec<u8> {
    let fields = [
        element(&[0x42, 0x86], &number(1)),
        element(&[0x42, 0xf7], &number(1)),
        element(&[0x42, 0xf2], &number(4)),
        element(&[0x42, 0xf3], &number(8)),
        element(&[0x42, 0x82], kind),
        element(&[0x42, 0x87], &number(4)),
        element(&[0x42, 0x85], &number(2)),
    ];
    element(EBML, &fields.concat())
}

fn entry(place: u64, kind: &Kind) -> Vec<u8> {
    let (number_of_kind, id, private, specific) = match kind {
        Kind::Sound => (2, codec_id(Codec::Opus), opus::head(), sound()),
        Kind::Picture(picture) => {
            (1, codec_id(picture.codec), picture.private.clone(), size_of(picture))
        }
    };
    let mut fields = vec![
        element(&[0xd7], &number(place)),
        element(&[0x73, 0xc5], &number(place)),
        element(&[0x83], &number(number_of_kind)),
        // No lacing.
        element(&[0x9c], &number(0)),
        element(&[0x86], id.as_bytes()),
    ];
    if !private.is_empty() {
        fields.push(element(&[0x63, 0xa2], &private));
    }
    fields.push(specific);
    element(&[0xae], &fields.concat())
}

fn sound() -> Vec<u8> {
    let settings = [
        element(&[0xb5], &f64::from(opus::RATE).to_be_bytes()),
        element(&[0x9f], &number(opus::CHANNELS.into())),
    ];
    [element(&[0x56, 0xbb], &number(SEEK_PRE_ROLL)), element(&[0xe1], &settings.concat())].concat()
}

fn size_of(picture: &Picture) -> Vec<u8> {
    let size = [
        element(&[0xb0], &number(picture.width.into())),
        element(&[0xba], &number(picture.height.into())),
    ];
    element(&[0xe0], &size.concat())
}

fn codec_id(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "A_OPUS",
        Codec::Vp8 => "V_VP8",
        Codec::Vp9 => "V_VP9",
        Codec::H264 => "V_MPEG4/ISO/AVC",
        Codec::Av1 => "V_AV1",
    }
}

fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &size(body.len() as u64), body].concat()
}

/// A length in as few bytes as it takes (RFC 8794, section 4).
fn size(length: u64) -> Vec<u8> {
    let bytes = (1..=8).find(|bytes| length < (1 << (7 * bytes)) - 1).unwrap_or(8);
    let marked = length | 1 << (7 * bytes);
    marked.to_be_bytes()[8 - bytes as usize..].to_vec()
}

fn number(value: u64) -> Vec<u8> {
    let bytes = (8 - value.leading_zeros() as usize / 8).max(1);
    value.to_be_bytes()[8 - bytes..].to_vec()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn lengths_and_numbers_are_as_short_as_can_be() {
        assert_eq!(size(0), [0x80]);
        assert_eq!(size(126), [0xfe]);
        // All ones would mean that it is not known.
        assert_eq!(size(127), [0x40, 0x7f]);
        assert_eq!(size(16_383), [0x20, 0x3f, 0xff]);
        assert_eq!((number(0), number(255), number(256)), (vec![0], vec![255], vec![1, 0]));
    }

    #[test]
    fn a_file_begins_with_its_tracks_and_goes_on_in_clusters() {
        let private = vec![1, 2, 3];
        let picture = Picture { codec: Codec::H264, width: 640, height: 360, private };
        let kinds = [Kind::Picture(picture), Kind::Sound];
        let mut file = Matroska::begin(Cursor::new(Vec::new()), &kinds).unwrap();
        let head = file.out.get_ref().len();
        let block = |track, at, begins, data| Block { track, at, key: true, begins, data };
        file.write(&block(0, 100, true, b"picture")).unwrap();
        file.write(&block(1, 90, false, b"sound")).unwrap();
        file.write(&block(1, 5100, false, b"later")).unwrap();
        let written = file.finish(5120).unwrap().into_inner();
        let clusters = &written[head..];
        let cluster = |at: &[u8]| [CLUSTER, &UNKNOWN, &element(&[0xe7], at)].concat();
        let expected = [
            cluster(&[100]),
            vec![0xa3, 0x80 + 4 + 7, 0x81, 0, 0, 0x80],
            b"picture".to_vec(),
            vec![0xa3, 0x80 + 4 + 5, 0x82, 0xff, 0xf6, 0x80],
            b"sound".to_vec(),
            cluster(&[0x13, 0xec]),
            vec![0xa3, 0x80 + 4 + 5, 0x82, 0, 0, 0x80],
            b"later".to_vec(),
        ];
        assert_eq!(clusters, expected.concat());
        let duration = element(DURATION, &5120_f64.to_be_bytes());
        assert!(written[..head].windows(duration.len()).any(|part| part == duration));
        assert!(written[..head].windows(6).any(|part| part == b"\x63\xa2\x83\x01\x02\x03"));
    }
}
