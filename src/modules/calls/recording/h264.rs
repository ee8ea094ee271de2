//! Takes pictures of H.264 out of RTP packets (RFC 6184) and writes them as Matroska holds them.

use wello_sfu::api::Codec;

use super::bits::Bits;
use super::matroska::Picture;

/// Kinds of NAL units (H.264, table 7-1, and RFC 6184, table 1).
const KEY: u8 = 5;
const SEQUENCE: u8 = 7;
const PARAMETERS: u8 = 8;
const AGGREGATE: u8 = 24;
const FRAGMENT: u8 = 28;
/// Profiles whose sequences say more of themselves (H.264, section 7.3.2.1.1).
const HIGH: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Adds what is in a packet to the NAL units of its picture. `None`: it is damaged.
pub fn take(payload: &[u8], units: &mut Vec<Vec<u8>>) -> Option<()> {
    match payload.first()? & 0x1f {
        AGGREGATE => {
            let mut rest = &payload[1..];
            while let Some((length, after)) = rest.split_first_chunk::<2>() {
                let (unit, after) =
                    after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                units.push(unit.to_vec());
                rest = after;
            }
        }
        FRAGMENT => {
            let [indicator, header, part @ ..] = payload else { return None };
            if header & 0x80 != 0 {
                units.push(vec![indicator & 0xe0 | header & 0x1f]);
            }
            units.last_mut()?.extend_from_slice(part);
        }
        1..=23 => units.push(payload.to_vec()),
        _ => return None,
    }
    Some(())
}

/// The NAL units with their lengths in front, and what is said of the picture if it stands alone.
pub fn finish(units: &[Vec<u8>]) -> (Vec<u8>, Option<Picture>) {
    let mut data = Vec::new();
    for unit in units {
        // No larger than a picture.
        data.extend((unit.len() as u32).to_be_bytes());
        data.extend_from_slice(unit);
    }
    (data, describe(units))
}

fn describe(units: &[Vec<u8>]) -> Option<Picture> {
    let of =
        |kind: u8| units.iter().find(|unit| unit.first().is_some_and(|head| head & 0x1f == kind));
    let (sequence, parameters) = (of(SEQUENCE)?, of(PARAMETERS)?);
    of(KEY)?;
    let (width, height) = size(sequence)?;
    Some(Picture {
        codec: Codec::H264,
        width,
        height,
        private: configuration(sequence, parameters)?,
    })
}

/// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, section 5.3.3.1.2), with lengths of 4 bytes.
fn configuration(sequence: &[u8], parameters: &[u8]) -> Option<Vec<u8>> {
    let [_, profile, compatibility, level, ..] = *sequence else { return None };
    let length = |unit: &[u8]| Some(u16::try_from(unit.len()).ok()?.to_be_bytes());
    let mut record = vec![1, profile, compatibility, level, 0xff, 0xe1];
    record.extend(length(sequence)?);
    record.extend_from_slice(sequence);
    record.push(1);
    record.extend(length(parameters)?);
    record.extend_from_slice(parameters);
    Some(record)
}

/// Width and height of a sequence (H.264, section 7.3.2.1.1).
fn size(sequence: &[u8]) -> Option<(u16, u16)> {
    let plain = unescaped(sequence.get(1..)?);
    let mut bits = Bits::new(&plain);
    let profile = u8::try_from(bits.take(8)?).ok()?;
    bits.take(16)?;
    bits.exp_golomb()?;
    let chroma = if HIGH.contains(&profile) { skip_high(&mut bits)? } else { 1 };
    bits.exp_golomb()?;
    skip_order(&mut bits)?;
    bits.exp_golomb()?;
    bits.take(1)?;
    let (columns, rows) = (bits.exp_golomb()? + 1, bits.exp_golomb()? + 1);
    let fields = 2 - bits.take(1)?;
    bits.take(if fields == 2 { 2 } else { 1 })?;
    let mut cut = [0; 4];
    if bits.take(1)? == 1 {
        for side in &mut cut {
            *side = bits.exp_golomb()?;
        }
    }
    // What one step of cutting takes away (table 6-1).
    let (step_x, step_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let [left, right, top, bottom] = cut;
    let width =
        columns.checked_mul(16)?.checked_sub(left.checked_add(right)?.checked_mul(step_x)?)?;
    let height = rows.checked_mul(16 * fields)?;
    let height = height.checked_sub(top.checked_add(bottom)?.checked_mul(step_y * fields)?)?;
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

/// What only high profiles say; the format of colours.
fn skip_high(bits: &mut Bits<'_>) -> Option<u32> {
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.take(1)?;
    }
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.take(1)?;
    // Matrices of their own are not what real-time encoders send.
    (bits.take(1)? == 0).then_some(chroma)
}

/// The order of pictures.
fn skip_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()? {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Without the bytes that keep start codes out of the data (section 7.4.1).
fn unescaped(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if *byte == 3 && zeros >= 2 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture of 32 by 16 dots that stands alone, and one that does not.
    pub const SPS: [u8; 22] = [
        0x67, 0x42, 0xc0, 0x0a, 0xda, 0x2e, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00,
        0x03, 0x00, 0x52, 0x3c, 0x48, 0x9a, 0x80,
    ];
    pub const PPS: [u8; 4] = [0x68, 0xce, 0x0f, 0xc8];
    pub const IDR: [u8; 20] = [
        0x65, 0x88, 0x84, 0x3a, 0x11, 0x8a, 0x00, 0x02, 0x18, 0xf1, 0xc0, 0x00, 0x40, 0xf6, 0x38,
        0x00, 0x08, 0x79, 0x49, 0xe0,
    ];
    pub const NEXT: [u8; 5] = [0x41, 0x9a, 0x20, 0x32, 0x9c];

    #[test]
    fn units_come_alone_together_and_in_pieces() {
        let mut units = Vec::new();
        let together = [&[0x78, 0, 22][..], &SPS, &[0, 4], &PPS].concat();
        take(&together, &mut units).unwrap();
        take(&[&[0x7c, 0x85][..], &IDR[1..10]].concat(), &mut units).unwrap();
        take(&[&[0x7c, 0x45][..], &IDR[10..]].concat(), &mut units).unwrap();
        assert_eq!(units, [SPS.to_vec(), PPS.to_vec(), IDR.to_vec()]);
        let (data, picture) = finish(&units);
        assert_eq!(data.len(), 22 + 4 + 20 + 12);
        let picture = picture.unwrap();
        assert_eq!((picture.width, picture.height), (32, 16));
        assert_eq!(picture.private[..8], [1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 22]);
        let mut units = Vec::new();
        take(&NEXT, &mut units).unwrap();
        assert_eq!(finish(&units), ([&[0, 0, 0, 5][..], &NEXT].concat(), None));
        assert_eq!(take(&[0x7c, 0x05, 1], &mut Vec::new()), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut units = vec![PPS.to_vec(), IDR.to_vec()];
            let _ = take(&bytes, &mut units);
            finish(&units);
            let _ = size(&[&[0x67][..], &bytes].concat());
        }
    }
}
