//! The little that a forwarder reads of what it forwards.

use str0m::format::{detect_av1_keyframe, detect_h264_keyframe, detect_vp8_keyframe};
use str0m::rtp::Vp8Descriptor;

use super::dependency::Frame;
use crate::api::Codec;

/// What the payload descriptor of VP8 says to be there (RFC 7741, section 4.2): X, I and L.
const VP8_EXTENDED: u8 = 0x80;
const VP8_PICTURE: u8 = 0x80;
const VP8_BASE_LAYER: u8 = 0x40;

/// Whether a receiver can begin with this packet.
pub fn begins(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => detect_vp8_keyframe(payload),
        Codec::Vp9 => Vp9::parse(payload).is_some_and(|read| read.begins()),
        Codec::H264 => detect_h264_keyframe(payload),
        Codec::Av1 => detect_av1_keyframe(payload),
    }
}

/// What the payload's header says of its picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Only VP8 numbers its pictures so that a gap cannot be left.
    pub vp8: Option<Vp8Numbers>,
    pub temporal: Temporal,
    pub spatial: Spatial,
    /// Whether a receiver can begin with this packet.
    pub begins: bool,
    /// It has a descriptor that belongs to it, and what that says, if it can be read.
    pub is_described: bool,
    pub frame: Option<Frame>,
}

/// What numbers the pictures of VP8 (RFC 7741, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Numbers {
    pub picture: u16,
    pub base_layer: u8,
}

/// Where a picture stands among the temporal layers. H.264 says nothing of them in its headers, and
/// AV1 only in a header extension: without it they are all base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Temporal {
    /// 0 is the base, without which nothing can be decoded.
    pub id: u8,
    /// It needs nothing but the base (VP8's Y): who has had only layers below can go on with it.
    pub joins: bool,
    /// What follows needs nothing of higher layers that came before it (VP9's U).
    pub opens: bool,
}

/// Where a packet stands among the spatial layers of its picture. Only VP9 and AV1 say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spatial {
    /// 0 is the base, without which nothing can be decoded.
    pub id: u8,
    /// From this picture on more layers can be sent than before.
    pub opens: bool,
    /// Nothing of this layer follows in this picture.
    pub ends: bool,
}

impl Default for Spatial {
    /// Of a picture without layers: it keeps nobody from getting any.
    fn default() -> Spatial {
        Spatial { id: 0, opens: true, ends: false }
    }
}

pub fn header(codec: Codec, payload: &[u8]) -> Header {
    match codec {
        Codec::Vp8 => vp8(payload),
        Codec::Vp9 => Vp9::parse(payload).map_or_else(Header::default, |read| Header {
            temporal: read.temporal(),
            spatial: read.spatial(),
            begins: read.begins(),
            ..Header::default()
        }),
        Codec::Opus | Codec::H264 | Codec::Av1 => {
            Header { begins: begins(codec, payload), ..Header::default() }
        }
    }
}

fn vp8(payload: &[u8]) -> Header {
    let Ok(descriptor) = Vp8Descriptor::parse(payload) else { return Header::default() };
    let numbers = descriptor.picture_id().map(|picture| Vp8Numbers {
        picture,
        base_layer: descriptor.tl0_pic_idx().unwrap_or_default(),
    });
    Header {
        vp8: numbers,
        temporal: vp8_temporal(payload).unwrap_or_default(),
        begins: begins(Codec::Vp8, payload),
        ..Header::default()
    }
}

/// The header of a packet of AV1 that has a descriptor, and what that says, if it can be read: it refers
/// to what was said before, which may be lost.
pub fn described(payload: &[u8], frame: Option<Frame>) -> Header {
    let begins = begins(Codec::Av1, payload);
    let (temporal, spatial) = match &frame {
        Some(frame) => (frame.temporal(), frame.spatial()),
        // It has layers, nobody knows which.
        None => (Temporal::default(), Spatial { opens: false, ..Spatial::default() }),
    };
    Header { temporal, spatial, begins, is_described: true, frame, ..Header::default() }
}

/// Appends a payload of VP8 whose picture has other numbers (RFC 7741, section 4.2). One that is not
/// numbered stays as it is.
pub fn renumber_vp8(payload: &[u8], numbers: Vp8Numbers, to: &mut Vec<u8>) {
    let [first, extension, rest @ ..] = payload else { return to.extend_from_slice(payload) };
    let is_numbered = first & VP8_EXTENDED != 0 && extension & VP8_PICTURE != 0;
    let is_long = rest.first().is_some_and(|picture| picture & 0x80 != 0);
    let picture = if is_long { 2 } else { 1 };
    let Some(mut rest) = rest.get(picture..).filter(|_| is_numbered) else {
        return to.extend_from_slice(payload);
    };
    to.extend([*first, *extension]);
    // Fifteen bits, however many it had.
    to.extend((numbers.picture | 0x8000).to_be_bytes());
    if extension & VP8_BASE_LAYER != 0
        && let Some((_, behind)) = rest.split_first()
    {
        to.push(numbers.base_layer);
        rest = behind;
    }
    to.extend_from_slice(rest);
}

/// RFC 7741, section 4.2: `None` when there are no temporal layers.
fn vp8_temporal(payload: &[u8]) -> Option<Temporal> {
    const TEMPORAL: u8 = 0x20;
    let [first, extension, rest @ ..] = payload else { return None };
    if first & VP8_EXTENDED == 0 || extension & TEMPORAL == 0 {
        return None;
    }
    let picture = match (extension & VP8_PICTURE != 0).then(|| rest.first()) {
        None => 0,
        Some(long) => 1 + usize::from(long? & 0x80 != 0),
    };
    let place = picture + usize::from(extension & VP8_BASE_LAYER != 0);
    let layer = rest.get(place)?;
    Some(Temporal { id: layer >> 6, joins: layer & 0x20 != 0, opens: false })
}

/// What the VP9 payload descriptor begins with (RFC 9628, section 4.2).
struct Vp9 {
    flags: u8,
    /// TID, U, SID and D, if its pictures have layers.
    layers: Option<u8>,
}

impl Vp9 {
    /// P: it needs a picture that came before.
    const PREDICTED: u8 = 0x40;
    /// B and E: of the frame, which is what a picture has of one spatial layer.
    const BEGINS: u8 = 0x08;
    const ENDS: u8 = 0x04;

    fn parse(payload: &[u8]) -> Option<Vp9> {
        const PICTURE: u8 = 0x80;
        const LAYERS: u8 = 0x20;
        let (&flags, rest) = payload.split_first()?;
        let picture = match (flags & PICTURE != 0).then(|| rest.first()) {
            None => 0,
            Some(long) => 1 + usize::from(long? & 0x80 != 0),
        };
        let layers = match flags & LAYERS != 0 {
            true => Some(*rest.get(picture)?),
            false => None,
        };
        Some(Vp9 { flags, layers })
    }

    /// The upper spatial layers of a picture that stands alone need the lowest one.
    fn begins(&self) -> bool {
        self.is_alone() && self.flags & Vp9::BEGINS != 0 && self.spatial().id == 0
    }

    fn is_alone(&self) -> bool {
        self.flags & Vp9::PREDICTED == 0
    }

    fn temporal(&self) -> Temporal {
        let Some(layers) = self.layers else { return Temporal::default() };
        Temporal { id: layers >> 5, joins: false, opens: layers & 0x10 != 0 || self.is_alone() }
    }

    /// The frames of a picture that stands alone need nothing but each other.
    fn spatial(&self) -> Spatial {
        let Some(layers) = self.layers else { return Spatial::default() };
        Spatial { id: layers >> 1 & 7, opens: self.is_alone(), ends: self.flags & Vp9::ENDS != 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn temporal_layers_of_vp8() {
        let temporal = |payload: &[u8]| header(Codec::Vp8, payload).temporal;
        let layer = |id, joins| Temporal { id, joins, opens: false };
        // X; I, L, T; 15 bits of picture; base layer; TID 2 with Y.
        assert_eq!(temporal(&[0x90, 0xe0, 0x81, 0x02, 7, 0xa0, 1]), layer(2, true));
        // 7 bits of picture.
        assert_eq!(temporal(&[0x90, 0xe0, 0x01, 7, 0x40, 1]), layer(1, false));
        // No picture and no base layer.
        assert_eq!(temporal(&[0x90, 0x20, 0x40, 1]), layer(1, false));
        assert_eq!(temporal(&[0x90, 0xc0, 0x01, 7, 1]), Temporal::default());
        assert_eq!(temporal(&[0x10, 0]), Temporal::default());
    }

    #[test]
    fn pictures_of_vp8_get_other_numbers() {
        let renumbered = |payload: &[u8]| {
            let mut to = vec![7];
            let numbers = Vp8Numbers { picture: 0x0102, base_layer: 9 };
            renumber_vp8(payload, numbers, &mut to);
            to.split_off(1)
        };
        // X; I, L, T; 15 bits of picture; base layer; TID.
        let long = [0x90, 0xe0, 0x81, 0x03, 7, 0xa0, 1];
        assert_eq!(renumbered(&long), [0x90, 0xe0, 0x81, 0x02, 9, 0xa0, 1]);
        // 7 bits become 15.
        assert_eq!(renumbered(&[0x90, 0x80, 0x03, 1]), [0x90, 0x80, 0x81, 0x02, 1]);
        assert_eq!(renumbered(&[0x90, 0x20, 0x40, 1]), [0x90, 0x20, 0x40, 1], "not numbered");
        for cut in 0..5 {
            renumbered(&long[..cut]);
        }
    }

    #[test]
    fn temporal_layers_of_vp9() {
        let temporal = |payload: &[u8]| header(Codec::Vp9, payload).temporal;
        // I, L, B, E; 15 bits of picture; TID 1 with U.
        assert_eq!(
            temporal(&[0xac, 0x81, 0x02, 0x30, 9]),
            Temporal { id: 1, joins: false, opens: true }
        );
        let predicted = temporal(&[0x6c, 0x40, 9]);
        assert_eq!(predicted, Temporal { id: 2, joins: false, opens: false });
        assert_eq!(temporal(&[0x8c, 0x01]), Temporal::default());
    }

    #[test]
    fn spatial_layers_of_vp9() {
        let spatial = |payload: &[u8]| header(Codec::Vp9, payload).spatial;
        // L, E: SID 2 of a picture that stands alone; then P, L: SID 1 of one that does not.
        assert_eq!(spatial(&[0x24, 0x05, 9]), Spatial { id: 2, opens: true, ends: true });
        assert_eq!(spatial(&[0x60, 0x03, 9]), Spatial { id: 1, opens: false, ends: false });
        assert_eq!(spatial(&[0x4c, 9]), Spatial::default());
        assert_eq!(header(Codec::Vp8, &[0x90, 0x20, 0x40, 1]).spatial, Spatial::default());
    }

    #[test]
    fn a_receiver_of_vp9_begins_with_the_lowest_layer_of_a_picture_that_stands_alone() {
        let begins = |payload: &[u8]| header(Codec::Vp9, payload).begins;
        // I, L, B; 7 bits of picture; then TID, U, SID and D.
        assert!(begins(&[0xa8, 1, 0x00, 9]));
        assert!(!begins(&[0xe8, 1, 0x00, 9]), "predicted");
        assert!(!begins(&[0xa0, 1, 0x00, 9]), "the middle of it");
        assert!(!begins(&[0xa8, 1, 0x03, 9]), "its second spatial layer");
        assert!(!begins(&[0xa8, 1]), "cut off");
        // Without layers.
        assert!(begins(&[0x88, 1, 9]) && !begins(&[0x80, 1, 9]));
    }

    #[test]
    fn where_a_descriptor_cannot_be_read_no_layer_comes_back() {
        let read = described(&[0x18], None);
        assert!(read.begins && read.is_described && !read.spatial.opens);
        assert!(header(Codec::Av1, &[0x18]).spatial.opens, "it has none");
    }

    proptest! {
        #[test]
        fn any_payload_has_some_header(payload in proptest::collection::vec(any::<u8>(), 0..20)) {
            for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
                let read = header(codec, &payload);
                prop_assert!(read.temporal.id < 8 && read.spatial.id < 8);
            }
        }
    }
}
