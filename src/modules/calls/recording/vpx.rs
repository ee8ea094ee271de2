//! Takes pictures of VP8 (RFC 7741) and VP9 (RFC 9628) out of RTP packets.

use wello_sfu::api::Codec;

use super::bits::Bits;
use super::matroska::Picture;

/// A packet without its payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// A picture begins with it.
    pub begins: bool,
    pub data: &'a [u8],
}

/// RFC 7741, section 4.2.
pub fn vp8(payload: &[u8]) -> Option<Piece<'_>> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x80 != 0 {
        let (&more, after) = rest.split_first()?;
        rest = after;
        if more & 0x80 != 0 {
            rest = skip_picture_id(rest)?;
        }
        rest = rest.get(usize::from(more & 0x40 != 0)..)?;
        rest = rest.get(usize::from(more & 0x30 != 0)..)?;
    }
    Some(Piece { begins: first & 0x17 == 0x10, data: rest })
}

/// RFC 9628, section 4.2.
pub fn vp9(payload: &[u8]) -> Option<Piece<'_>> {
    let (&first, mut rest) = payload.split_first()?;
    let has = |bit: u8| first & bit != 0;
    let (picture_id, predicted, layers, flexible) = (has(0x80), has(0x40), has(0x20), has(0x10));
    if picture_id {
        rest = skip_picture_id(rest)?;
    }
    if layers {
        rest = rest.get(if flexible { 1 } else { 2 }..)?;
    }
    if predicted && flexible {
        loop {
            let (&reference, after) = rest.split_first()?;
            rest = after;
            if reference & 1 == 0 {
                break;
            }
        }
    }
    if has(0x02) {
        rest = skip_structure(rest)?;
    }
    Some(Piece { begins: has(0x08), data: rest })
}

/// 7 or 15 bits.
fn skip_picture_id(rest: &[u8]) -> Option<&[u8]> {
    let long = rest.first()? & 0x80 != 0;
    rest.get(1 + usize::from(long)..)
}

/// RFC 9628, section 4.2.1: the scalability structure.
fn skip_structure(rest: &[u8]) -> Option<&[u8]> {
    let (&head, mut rest) = rest.split_first()?;
    if head & 0x10 != 0 {
        rest = rest.get(4 * (usize::from(head >> 5) + 1)..)?;
    }
    if head & 0x08 != 0 {
        let (&count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count {
            let (&picture, after) = rest.split_first()?;
            rest = after.get(usize::from(picture >> 2 & 3)..)?;
        }
    }
    Some(rest)
}

/// What is said of a picture of VP8 if it stands alone.
pub fn vp8_picture(data: &[u8]) -> Option<Picture> {
    let (width, height) = vp8_size(data)?;
    Some(Picture { codec: Codec::Vp8, width, height, private: Vec::new() })
}

/// The same of VP9.
pub fn vp9_picture(data: &[u8]) -> Option<Picture> {
    let (width, height) = vp9_size(data)?;
    Some(Picture { codec: Codec::Vp9, width, height, private: Vec::new() })
}

/// Width and height (RFC 6386, section 9.1).
fn vp8_size(picture: &[u8]) -> Option<(u16, u16)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *picture else { return None };
    let (width, height) = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
    // The upper two bits say how to scale.
    (tag & 1 == 0).then_some((width & 0x3fff, height & 0x3fff))
}

/// The same of VP9 (its bitstream specification, section 6.2), for profile 0.
fn vp9_size(picture: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(picture);
    let (marker, profile) = (bits.take(2)?, bits.take(2)?);
    let (shown_again, inter) = (bits.take(1)?, bits.take(1)?);
    bits.take(2)?;
    let stands_alone = marker == 2 && profile == 0 && shown_again == 0 && inter == 0;
    if !stands_alone || bits.take(24)? != 0x49_83_42 {
        return None;
    }
    // The colour range is said for all spaces but RGB, which profile 0 has not.
    bits.take(3 + 1)?;
    let (width, height) = (bits.take(16)?, bits.take(16)?);
    let size = |less_one: u32| u16::try_from(less_one + 1).ok();
    Some((size(width)?, size(height)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn descriptors_are_taken_off() {
        let piece = |begins, data| Some(Piece { begins, data });
        assert_eq!(vp8(&[0x10, 7]), piece(true, &[7][..]));
        assert_eq!(vp8(&[0x00, 7]), piece(false, &[7][..]));
        assert_eq!(vp8(&[0x90, 0x80, 0x12, 7]), piece(true, &[7][..]));
        assert_eq!(vp8(&[0x90, 0xe0, 0x92, 1, 2, 3, 7]), piece(true, &[7][..]));
        assert_eq!(vp8(&[0x90, 0x80]), None);
        assert_eq!(vp9(&[0x8c, 0x92, 0x34, 7]), piece(true, &[7][..]));
        assert_eq!(vp9(&[0xa4, 0x12, 0, 1, 7]), piece(false, &[7][..]));
        // One layer with its size, and a group of one picture without references.
        let structure = [0x8a, 0x12, 0x18, 2, 0x80, 1, 0x68, 1, 0x00, 7];
        assert_eq!(vp9(&structure), piece(true, &[7][..]));
    }

    #[test]
    fn sizes_are_read() {
        let vp8_key = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        assert_eq!(vp8_size(&vp8_key), Some((640, 360)));
        assert_eq!(vp8_size(&[0x11; 10]), None);
        // Frame marker 10, profile 00, not shown again, key, shown, not resilient; the sync code;
        // colour space 001, range 0; 639 and 359 in 16 bits each.
        let vp9_key = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        assert_eq!(vp9_size(&vp9_key), Some((640, 360)));
        assert_eq!(vp9_size(&[0x86, 0x49, 0x83, 0x42, 0x20]), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (vp8(&bytes), vp9(&bytes), vp8_size(&bytes), vp9_size(&bytes));
        }
    }
}
