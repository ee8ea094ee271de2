//! RTP headers (RFC 3550, section 5.1) with their extensions (RFC 8285).

use crate::api::{Mid, Rid};
use crate::peer::Marks;
use crate::peer::dependency::Described;

pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
pub const SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
pub const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
pub const ORIENTATION: &str = "urn:3gpp:video-orientation";
pub const DEPENDENCY: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// Without extensions.
const FIXED: usize = 12;
const VERSION: u8 = 2 << 6;
const EXTENDED: u8 = 1 << 4;
/// Where the first element begins.
const EXTENSIONS: usize = FIXED + 4;
/// RFC 8285, sections 4.2 and 4.3.
const ONE_BYTE: u16 = 0xbede;
const TWO_BYTE: u16 = 0x1000;
const MAX_ONE_BYTE: u8 = 14;
const MAX_ONE_BYTE_LENGTH: usize = 16;

/// Under which ids the other side knows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions {
    level: Option<u8>,
    orientation: Option<u8>,
    send_time: Option<u8>,
    transport_cc: Option<u8>,
    mid: Option<u8>,
    rid: Option<u8>,
    repaired_rid: Option<u8>,
    dependency: Option<u8>,
    has_long_ids: bool,
}

/// What a header says.
pub struct Header<'a> {
    pub pt: u8,
    pub marker: bool,
    pub seq: u16,
    pub timestamp: u32,
    pub source: u32,
    pub mid: &'a Mid,
    pub rid: Option<&'a Rid>,
    /// It repeats what another source has sent.
    pub is_repair: bool,
    pub marks: Marks,
    pub described: Option<&'a Described>,
    /// Seconds in 6.18 fixed point.
    pub send_time: u32,
    pub transport_seq: Option<u16>,
}

impl Extensions {
    /// Those that are not known here are left out.
    pub fn new(agreed: &[(u8, String)]) -> Extensions {
        let mut known = Extensions::default();
        for (id, uri) in agreed {
            let place = match uri.as_str() {
                AUDIO_LEVEL => &mut known.level,
                ORIENTATION => &mut known.orientation,
                SEND_TIME => &mut known.send_time,
                TRANSPORT_CC => &mut known.transport_cc,
                MID => &mut known.mid,
                RID => &mut known.rid,
                REPAIRED_RID => &mut known.repaired_rid,
                DEPENDENCY => &mut known.dependency,
                _ => continue,
            };
            *place = Some(*id);
            known.has_long_ids |= *id > MAX_ONE_BYTE;
        }
        known
    }

    /// Puts the number of a packet for the whole transport into a header that was written with another.
    pub fn set_transport_seq(&self, seq: u16, header: &mut [u8]) {
        // It is the first element.
        let is_long = header.get(FIXED..FIXED + 2) == Some(&TWO_BYTE.to_be_bytes());
        let place = EXTENSIONS + if is_long { 2 } else { 1 };
        if self.transport_cc.is_some()
            && let Some(value) = header.get_mut(place..place + 2)
        {
            value.copy_from_slice(&seq.to_be_bytes());
        }
    }
}

impl Header<'_> {
    /// Appends it. `scratch` is of no importance before and afterwards.
    pub fn write(&self, known: &Extensions, scratch: &mut Vec<u8>, to: &mut Vec<u8>) {
        let begin = to.len();
        to.push(VERSION);
        to.push(u8::from(self.marker) << 7 | self.pt & 0x7f);
        to.extend(self.seq.to_be_bytes());
        to.extend(self.timestamp.to_be_bytes());
        to.extend(self.source.to_be_bytes());
        scratch.clear();
        if let Some(described) = self.described.filter(|_| known.dependency.is_some()) {
            described.write(scratch);
        }
        // Both forms may come on one stream (RFC 8285, section 4.1.2).
        let is_long = known.has_long_ids || scratch.len() > MAX_ONE_BYTE_LENGTH;
        let profile = if is_long { TWO_BYTE } else { ONE_BYTE };
        to.extend(profile.to_be_bytes());
        to.extend([0, 0]);
        let elements = to.len();
        self.write_extensions(known, is_long, scratch, to);
        if to.len() == elements {
            return to.truncate(begin + FIXED);
        }
        let length = (to.len() - elements).next_multiple_of(4);
        to.resize(elements + length, 0);
        to[begin] |= EXTENDED;
        // Seven elements of 18 octets at most, and one of 257.
        to[elements - 2..elements].copy_from_slice(&((length / 4) as u16).to_be_bytes());
    }

    fn write_extensions(
        &self,
        known: &Extensions,
        is_long: bool,
        descriptor: &[u8],
        to: &mut Vec<u8>,
    ) {
        let mut put = |id: Option<u8>, value: &[u8]| {
            let Some(id) = id.filter(|_| !value.is_empty()) else { return };
            // Names are 16 octets at most, descriptors 255.
            let length = value.len() as u8;
            match is_long {
                true => to.extend([id, length]),
                false => to.push(id << 4 | (length - 1)),
            }
            to.extend_from_slice(value);
        };
        if let Some(seq) = self.transport_seq {
            put(known.transport_cc, &seq.to_be_bytes());
        }
        put(known.send_time, &self.send_time.to_be_bytes()[1..]);
        if let Some(level) = self.marks.level {
            let voice = u8::from(self.marks.voice.unwrap_or(false)) << 7;
            // RFC 6464: in -dBov, 127 is silence.
            put(known.level, &[voice | level.unsigned_abs().min(127)]);
        }
        if let Some(turned) = self.marks.orientation {
            put(known.orientation, &[turned]);
        }
        put(known.mid, self.mid.as_str().as_bytes());
        if let Some(rid) = self.rid {
            let id = if self.is_repair { known.repaired_rid } else { known.rid };
            put(id, rid.as_str().as_bytes());
        }
        put(known.dependency, descriptor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(agreed: &[(u8, &str)], header: &Header<'_>) -> Vec<u8> {
        let agreed: Vec<_> = agreed.iter().map(|(id, uri)| (*id, (*uri).to_owned())).collect();
        let mut to = vec![9];
        header.write(&Extensions::new(&agreed), &mut Vec::new(), &mut to);
        to.split_off(1)
    }

    fn header(mid: &Mid) -> Header<'_> {
        Header {
            pt: 96,
            marker: true,
            seq: 0x0102,
            timestamp: 0x0304_0506,
            source: 0x0708_090a,
            mid,
            rid: None,
            is_repair: false,
            marks: Marks { level: Some(-20), voice: Some(true), orientation: None },
            described: None,
            send_time: 0x0011_2233,
            transport_seq: Some(0x0b0c),
        }
    }

    const BARE: [u8; 12] = [0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    #[test]
    fn what_was_not_agreed_on_is_left_out() {
        let mid = Mid::new("v").unwrap();
        assert_eq!(written(&[], &header(&mid)), BARE);
        assert_eq!(written(&[(3, "urn:other")], &header(&mid)), BARE);
    }

    #[test]
    fn extensions_of_one_byte() {
        let mid = Mid::new("v1").unwrap();
        let agreed = [(1, AUDIO_LEVEL), (3, TRANSPORT_CC), (4, MID), (5, SEND_TIME)];
        let written = written(&agreed, &header(&mid));
        assert_eq!(written[0], 0x90);
        assert_eq!(written[1..12], BARE[1..]);
        assert_eq!(written[12..16], [0xbe, 0xde, 0, 3]);
        let elements = [0x31, 0x0b, 0x0c, 0x52, 0x11, 0x22, 0x33, 0x10, 0x94, 0x41, b'v', b'1'];
        assert_eq!(written[16..], elements);
        let mut other = written;
        Extensions::new(&[(3, TRANSPORT_CC.to_owned())]).set_transport_seq(0x0d0e, &mut other);
        assert_eq!(other[16..20], [0x31, 0x0d, 0x0e, 0x52]);
    }

    #[test]
    fn an_id_above_14_takes_the_other_form_for_all() {
        let mid = Mid::new("v").unwrap();
        let written = written(&[(15, MID), (3, TRANSPORT_CC)], &header(&mid));
        assert_eq!(written[12..16], [0x10, 0, 0, 2]);
        assert_eq!(written[16..], [3, 2, 0x0b, 0x0c, 15, 1, b'v', 0]);
    }

    #[test]
    fn a_long_descriptor_takes_the_other_form_for_this_packet() {
        let mid = Mid::new("v").unwrap();
        let agreed = [(3, TRANSPORT_CC), (5, DEPENDENCY)];
        let described = |length: usize| Described::new(&vec![7; length].into(), None, 0x0102, None);
        let short = described(16);
        let short = written(&agreed, &Header { described: Some(&short), ..header(&mid) });
        assert_eq!(short[12..24], [0xbe, 0xde, 0, 5, 0x31, 0x0b, 0x0c, 0x5f, 7, 1, 2, 7]);
        let long = described(17);
        let header = Header { described: Some(&long), ..header(&mid) };
        let mut long = written(&agreed, &header);
        let elements = [0x10, 0, 0, 6, 3, 2, 0x0b, 0x0c, 5, 17, 7, 1, 2, 7];
        assert_eq!((&long[12..26], long.len()), (&elements[..], 40));
        let agreed = agreed.map(|(id, uri)| (id, uri.to_owned()));
        Extensions::new(&agreed).set_transport_seq(0x0d0e, &mut long);
        assert_eq!(long[16..20], [3, 2, 0x0d, 0x0e]);
        assert_eq!(written(&[], &header), BARE, "it was not agreed on");
    }

    #[test]
    fn a_repair_names_the_layer_by_another_extension() {
        let (mid, rid) = (Mid::new("v").unwrap(), Rid::new("h").unwrap());
        let repair = Header { rid: Some(&rid), is_repair: true, ..header(&mid) };
        let written = written(&[(6, RID), (7, REPAIRED_RID)], &repair);
        assert_eq!((written[0], &written[16..]), (0x90, &[0x70, b'h', 0, 0][..]));
    }
}
