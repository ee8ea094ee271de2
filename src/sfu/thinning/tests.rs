#![expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::api::TrackId;
use crate::peer::Marks;
use crate::peer::bitstream::{Spatial, described};
use crate::peer::dependency::Descriptions;
use crate::peer::dependency::tests::L2T2_KEY;

fn packet(seq: u64, picture: u32) -> Packet {
    Packet {
        track: TrackId(1),
        layer: 0,
        pt: 96,
        seq,
        timestamp: picture.wrapping_mul(3000).wrapping_sub(9000),
        marker: false,
        marks: Marks::default(),
        arrived: Instant::now(),
        captured: None,
        payload: [][..].into(),
        descriptor: None,
    }
}

fn layer(id: u8) -> Temporal {
    Temporal { id, ..Temporal::default() }
}

fn of(temporal: Temporal) -> Header {
    Header { temporal, ..Header::default() }
}

fn temporal(highest: u8) -> Highest {
    Highest { temporal: highest, ..Highest::ALL }
}

fn shift(packets: u64, pictures: u16) -> Option<Shift> {
    Some(Shift { packets, pictures, ..Shift::default() })
}

#[test]
fn what_is_left_out_leaves_no_gap() {
    let mut thinning = Thinning::default();
    let mut take = |seq, picture, id, allowed| {
        thinning.take(&packet(seq, picture), &of(layer(id)), temporal(allowed))
    };
    assert_eq!(take(10, 1, 0, ALL), shift(0, 0));
    assert_eq!(take(11, 2, 1, ALL), shift(0, 0));
    // A picture that has begun goes on.
    assert_eq!(take(12, 2, 1, 0), shift(0, 0));
    assert_eq!(take(13, 3, 0, 0), shift(0, 0));
    assert_eq!(take(14, 4, 1, 0), None);
    assert_eq!(take(15, 4, 1, 0), None);
    assert_eq!(take(16, 5, 0, 0), shift(2, 1));
    // Something of the picture before, late.
    assert_eq!(take(13, 3, 0, 0), shift(0, 0));
    // 18 and 19 come after 20: of a picture that passes and of one that does not.
    assert_eq!(take(17, 6, 1, 0), None);
    assert_eq!(take(20, 8, 0, 0), shift(3, 2));
    assert_eq!(take(18, 6, 1, 0), None);
    assert_eq!(take(19, 7, 0, 0), shift(3, 2));
}

#[test]
fn more_is_sent_only_where_that_can_be_decoded() {
    let mut thinning = Thinning::default();
    let mut seq = 0;
    let mut passes = |layer, allowed| {
        seq += 1;
        thinning.take(&packet(seq, seq as u32), &of(layer), temporal(allowed)).is_some()
    };
    let joins = |id| Temporal { joins: true, ..layer(id) };
    let opens = |id| Temporal { opens: true, ..layer(id) };
    assert!(passes(layer(0), 0) && !passes(layer(1), 0) && !passes(joins(1), 0));
    assert!(!passes(layer(1), ALL));
    assert!(!passes(joins(2), ALL), "the layer below comes first");
    assert!(passes(joins(1), ALL) && passes(layer(1), ALL) && !passes(layer(2), ALL));
    assert!(passes(joins(2), ALL) && passes(layer(2), ALL));
    assert!(!passes(layer(1), 0) && passes(opens(0), 0) && !passes(layer(2), 0));
    assert!(passes(opens(0), ALL) && passes(layer(2), ALL));
}

/// A packet of a spatial layer that is all that a picture has of it.
fn frame(id: u8, opens: bool) -> Header {
    Header { spatial: Spatial { id, opens, ends: true }, ..Header::default() }
}

#[test]
fn spatial_layers_are_left_out_of_each_picture() {
    let mut thinning = Thinning::default();
    let mut seq = 0;
    // What becomes of the three layers of the next picture: whether they pass, and end it.
    let mut picture = |alone: bool, highest: u8| {
        let allowed = Highest { spatial: highest, ..Highest::ALL };
        let taken = [0, 1, 2].map(|id| {
            seq += 1;
            let packet = packet(seq, (seq as u32 - 1) / 3);
            let shift = thinning.take(&packet, &frame(id, alone), allowed);
            shift.map(|shift| (seq - shift.packets, shift.ends))
        });
        (taken, thinning.waits())
    };
    let (none, all) = (None::<(u64, bool)>, ALL);
    assert_eq!(picture(true, all).0, [Some((1, false)), Some((2, false)), Some((3, false))]);
    // The upper ones go at once, and the last one that is left ends the picture.
    assert_eq!(picture(false, 1), ([Some((4, false)), Some((5, true)), none], false));
    assert_eq!(picture(false, 0), ([Some((6, true)), none, none], false));
    // They come back with a picture that stands alone.
    assert_eq!(picture(false, 1), ([Some((7, true)), none, none], true));
    assert_eq!(picture(true, 1), ([Some((8, false)), Some((9, true)), none], false));
    assert_eq!(picture(false, all), ([Some((10, false)), Some((11, true)), none], true));
    let whole = [Some((12, false)), Some((13, false)), Some((14, false))];
    assert_eq!(picture(true, all), (whole, false));
}

#[test]
fn frames_of_a_picture_may_be_of_other_temporal_layers() {
    let (mut thinning, mut known) = (Thinning::default(), Descriptions::default());
    let shape = &L2T2_KEY;
    let mut seq = 0;
    // What becomes of both frames of the next picture: whether they pass, and what is said.
    let mut picture = |templates: [u32; 2], highest: Highest| {
        templates.map(|template| {
            seq += 1;
            let octets = match template {
                0 => shape.key(seq as u16),
                _ => shape.whole(template, seq as u16),
            };
            let header = described(&[], known.read(seq, &octets));
            let shift = thinning.take(&packet(seq, (seq as u32 - 1) / 2), &header, highest);
            shift.map(|shift| (seq - shift.packets, shift.targets))
        })
    };
    let (all, base) = (Highest::ALL, temporal(0));
    assert_eq!(picture([0, 3], all), [Some((1, None)), Some((2, None))]);
    assert_eq!(picture([2, 4], base), [None, Some((3, Some(0b0101)))]);
    assert_eq!(picture([1, 5], base), [Some((4, Some(0b0101))), None]);
    // The upper layer comes back by itself, and the lower one with the next picture.
    assert_eq!(picture([2, 4], all), [None, Some((5, Some(0b0101)))]);
    assert_eq!(picture([1, 5], all), [Some((6, Some(0b1111))), Some((7, Some(0b1111)))]);
    let low = Highest { spatial: 0, ..all };
    assert_eq!(picture([2, 4], low), [Some((8, Some(0b0011))), None]);
    assert_eq!(picture([1, 4], all), [Some((9, Some(0b0011))), None]);
    // Nothing more has to be said once a picture begins anew with all.
    assert_eq!(picture([0, 3], all), [Some((10, None)), Some((11, None))]);
    assert_eq!(picture([1, 4], all), [Some((12, None)), Some((13, None))]);
}

#[test]
fn where_there_are_no_spatial_layers_nothing_is_waited_for() {
    let mut thinning = Thinning::default();
    for (seq, allowed) in (1..).zip([Highest::ALL, Highest::BASE, Highest::ALL, Highest::ALL]) {
        let packet = packet(seq, seq as u32);
        assert!(thinning.take(&packet, &of(layer(0)), allowed).is_some() && !thinning.waits());
    }
}

proptest! {
    /// Pictures of up to three packets, of which some get lost or swap places.
    #[test]
    fn no_two_packets_get_one_number(
        pictures in proptest::collection::vec(
            (0_u8..3, 1_u8..4, any::<bool>(), 0_u8..3, 0_u8..3),
            1..200,
        ),
        swaps in proptest::collection::vec(0_usize..400, 0..40),
    ) {
        let mut packets = Vec::new();
        for (number, (id, count, joins, temporal, spatial)) in pictures.into_iter().enumerate() {
            let allowed = Highest { spatial, temporal };
            for place in 0..count {
                let header = Header {
                    temporal: Temporal { joins, ..layer(id) },
                    ..frame(place, joins)
                };
                let packet = packet(packets.len() as u64 + 1000, number as u32);
                packets.push((packet, header, allowed));
            }
        }
        for place in swaps {
            if place + 1 < packets.len() {
                packets.swap(place, place + 1);
            }
        }
        let mut thinning = Thinning::default();
        let mut numbers = std::collections::HashSet::new();
        for (packet, header, allowed) in packets {
            if let Some(shift) = thinning.take(&packet, &header, allowed) {
                prop_assert!(numbers.insert(packet.seq - shift.packets));
            } else {
                prop_assert!(header.temporal.id > 0 || header.spatial.id > 0);
            }
        }
    }
}
