//! Takes pictures of AV1 out of RTP packets (the AV1 payload format of AOMedia) and writes them as
//! Matroska holds them: a temporal unit whose units (OBUs) say how long they are.

use wello_sfu::api::Codec;

use super::bits::Bits;
use super::matroska::Picture;

/// Kinds of units (AV1, section 6.2.2).
const SEQUENCE: u8 = 1;
const DELIMITER: u8 = 2;
/// Bits of their headers (section 5.3.2).
const EXTENDED: u8 = 4;
const SIZED: u8 = 2;

/// Adds what is in a packet to the units of its picture (section 4.4). `None`: it is damaged.
pub fn take(payload: &[u8], units: &mut Vec<Vec<u8>>) -> Option<()> {
    let (&head, mut rest) = payload.split_first()?;
    let (mut goes_on, count) = (head & 0x80 != 0, head >> 4 & 3);
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        // The last one of a known number goes up to the end.
        let length = if number == count { rest.len() } else { leb128(&mut rest)? };
        let (unit, after) = rest.split_at_checked(length)?;
        rest = after;
        match std::mem::replace(&mut goes_on, false) {
            true => units.last_mut()?.extend_from_slice(unit),
            false => units.push(unit.to_vec()),
        }
    }
    Some(())
}

/// The units with their lengths, and what is said of the picture if it stands alone.
pub fn finish(units: &[Vec<u8>]) -> (Vec<u8>, Option<Picture>) {
    let kept = units.iter().filter(|unit| kind(unit).is_some_and(|kind| kind != DELIMITER));
    let data = kept.filter_map(|unit| sized(unit)).flatten().collect();
    let sequence = units.iter().find(|unit| kind(unit) == Some(SEQUENCE));
    (data, sequence.and_then(|sequence| describe(sequence)))
}

fn kind(unit: &[u8]) -> Option<u8> {
    unit.first().map(|head| head >> 3 & 15)
}

/// What a unit says, and its header.
fn parts(unit: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = unit.first()?;
    let (header, mut content) = unit.split_at_checked(if head & EXTENDED == 0 { 1 } else { 2 })?;
    if head & SIZED != 0 {
        let length = leb128(&mut content)?;
        content = content.get(..length)?;
    }
    Some((header, content))
}

fn sized(unit: &[u8]) -> Option<Vec<u8>> {
    let (header, content) = parts(unit)?;
    let mut sized = header.to_vec();
    sized[0] |= SIZED;
    let mut length = content.len();
    while length >= 0x80 {
        sized.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    sized.push(length as u8);
    sized.extend_from_slice(content);
    Some(sized)
}

/// Section 5.5.1, of the main profile with one operating point and without times, as it is sent.
fn describe(sequence: &[u8]) -> Option<Picture> {
    let (_, content) = parts(sequence)?;
    let mut bits = Bits::new(content);
    let (profile, reduced) = (bits.take(3)?, bits.take(2)? & 1);
    // Times, delays and the number of points; then the layers of the first one.
    if profile != 0 || reduced != 0 || bits.take(1 + 1 + 5)? != 0 {
        return None;
    }
    bits.take(12)?;
    let level = bits.take(5)?;
    let tier = if level > 7 { bits.take(1)? } else { 0 };
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let (width, height) = (bits.take(width_bits)? + 1, bits.take(height_bits)? + 1);
    // 8 bits, and colours of half the size in both directions.
    let depth = tier << 7 | 0x0c;
    let head = [0x81, u8::try_from(level).ok()?, u8::try_from(depth).ok()?, 0];
    let private = [&head[..], &sized(sequence)?].concat();
    let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    Some(Picture { codec: Codec::Av1, width, height, private })
}

/// Section 4.10.5.
fn leb128(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for place in 0..4 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture of 32 by 16 dots, as RTP has it: without lengths.
    pub const HEAD: [u8; 11] = [0x08, 0x00, 0x00, 0x00, 0x02, 0x1f, 0xfc, 0xda, 0xf9, 0x00, 0x40];
    pub const FRAME: [u8; 20] = [
        0x30, 0x10, 0x00, 0xc0, 0x00, 0x00, 0x02, 0x80, 0x00, 0x00, 0x01, 0xe0, 0x07, 0x42, 0x4e,
        0x66, 0xc3, 0xf9, 0xf3, 0x72,
    ];

    #[test]
    fn units_come_together_and_in_pieces() {
        let mut units = Vec::new();
        // Two units, of which the last one goes on in the next packet.
        let first = [&[0x68, 11][..], &HEAD, &FRAME[..9]].concat();
        take(&first, &mut units).unwrap();
        take(&[&[0x90][..], &FRAME[9..]].concat(), &mut units).unwrap();
        assert_eq!(units, [HEAD.to_vec(), FRAME.to_vec()]);
        let (data, picture) = finish(&units);
        assert_eq!(data[..3], [0x0a, 10, 0]);
        assert_eq!(data[12..14], [0x32, 19]);
        let picture = picture.unwrap();
        assert_eq!((picture.width, picture.height), (32, 16));
        assert_eq!(picture.private[..6], [0x81, 0, 0x0c, 0, 0x0a, 10]);
        // Each with its length, and a delimiter, which files do not have.
        let mut units = Vec::new();
        take(&[&[0x00, 1, 0x10, 20][..], &FRAME].concat(), &mut units).unwrap();
        assert_eq!(finish(&units), ([&[0x32, 19][..], &FRAME[1..]].concat(), None));
        assert_eq!(take(&[0x80, 1, 7], &mut Vec::new()), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut units = Vec::new();
            let _ = take(&bytes, &mut units);
            finish(&units);
            finish(&[[&[0x08][..], &bytes].concat()]);
        }
    }
}
