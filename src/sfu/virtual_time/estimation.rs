//! What receivers get whose networks carry less than others'.

use std::time::Duration;

use super::client::PICTURE;
use super::link::Link;
use super::{World, layered_track, name, track_id};
use crate::api::{Codec, Command, ConferenceId, LegId, LegSpec, Media, Rid};
use crate::peer::Packet;
use crate::peer::bitstream::header;
use crate::peer::webrtc::RID;

const SECOND: Duration = Duration::from_secs(1);
/// Octets of a picture in both layers: 150 and 1800 kbit/s, half of it in the highest temporal layer.
const SIZES: [usize; 2] = [750, 9000];

/// A sender of two layers, a receiver with a good network and one with another.
fn broadcast(link: Link) -> World {
    let sends = |leg: &mut LegSpec| {
        leg.tracks = vec![layered_track(0)];
        leg.extensions.push((5, RID.to_owned()));
    };
    World::broadcast(sends, |_| {}, link)
}

/// Both layers for so long, with pictures that stand alone when they are asked for.
fn send(world: &mut World, time: Duration) {
    let until = world.now + time;
    while world.now < until {
        let now = world.now;
        let key = world.clients[0].takes_requests();
        for (layer, size) in SIZES.into_iter().enumerate() {
            world.clients[0].send_picture(layer, key, size, now);
        }
        world.run(PICTURE);
    }
}

/// Of what a receiver has got since it was asked the last time.
struct Got {
    best: usize,
    low: usize,
    highest_temporal: u8,
}

fn got(world: &mut World, client: usize) -> Got {
    let packets: Vec<Packet> = world.clients[client].got.drain(..).collect();
    let layer = |packet: &Packet| packet.payload.last().copied().unwrap_or_default();
    let temporal = |packet: &Packet| header(Codec::Vp8, &packet.payload).temporal.id;
    Got {
        best: packets.iter().filter(|packet| layer(packet) == 1).count(),
        low: packets.iter().filter(|packet| layer(packet) == 0).count(),
        highest_temporal: packets.iter().map(temporal).max().unwrap_or_default(),
    }
}

fn layer_of(world: &World, leg: u64) -> (Option<Rid>, u32) {
    let figures = world.engine.figures(ConferenceId(1));
    let leg = figures.into_iter().find(|figures| figures.leg == LegId(leg)).unwrap();
    (leg.outputs[0].layer.clone(), leg.outputs[0].switches)
}

#[test]
fn who_is_behind_a_narrow_link_gets_the_low_layer_and_recovers() {
    let mut world = broadcast(Link::new(300_000, 7));
    send(&mut world, SECOND * 8);
    got(&mut world, 2);
    got(&mut world, 1);
    send(&mut world, SECOND * 5);
    let narrow = got(&mut world, 2);
    // It is tried out now and then whether there is room for more, not by sending more.
    assert!(narrow.best == 0 && narrow.low > 50, "{} {}", narrow.best, narrow.low);
    let wide = got(&mut world, 1);
    assert!(wide.low == 0 && wide.best > 600, "{} {}", wide.best, wide.low);
    assert_eq!(layer_of(&world, 2).0, Rid::new("l"));
    assert_eq!(layer_of(&world, 1).0, Rid::new("h"));

    world.clients[2].link.as_mut().unwrap().rate = 5_000_000;
    // It is tried out ever more rarely.
    send(&mut world, SECOND * 40);
    got(&mut world, 2);
    send(&mut world, SECOND * 2);
    let recovered = got(&mut world, 2);
    assert!(recovered.low == 0 && recovered.best > 200, "{} {}", recovered.best, recovered.low);
}

#[test]
fn temporal_layers_go_before_the_layer() {
    // 1800 kbit/s do not fit, 900 without the highest temporal layer do.
    let mut world = broadcast(Link::new(1_500_000, 3));
    send(&mut world, SECOND * 20);
    got(&mut world, 2);
    send(&mut world, SECOND * 5);
    let thinned = got(&mut world, 2);
    assert!(thinned.best > thinned.low, "{} {}", thinned.best, thinned.low);
    assert!(thinned.highest_temporal < 2, "{}", thinned.highest_temporal);
}

#[test]
fn a_lossy_way_that_is_wide_enough_is_used() {
    let mut link = Link::new(20_000_000, 11);
    (link.lost, link.overtaken) = (1, 2);
    let mut world = broadcast(link);
    send(&mut world, SECOND * 15);
    got(&mut world, 2);
    send(&mut world, SECOND * 3);
    let lossy = got(&mut world, 2);
    assert!(lossy.low == 0 && lossy.best > 400, "{} {}", lossy.best, lossy.low);
    assert!(layer_of(&world, 2).1 <= 4, "it does not jump: {}", layer_of(&world, 2).1);
    let figures = world.engine.figures(ConferenceId(1));
    assert!(figures[2].estimate.unwrap() > 1_800_000, "{figures:?}");
    assert!(figures[2].round_trip.unwrap() >= Duration::from_millis(15), "{figures:?}");
    assert!(figures[2].sent.loss.unwrap() > 0.0, "{figures:?}");
    assert!(figures[0].received.bitrate > 1_000_000, "{figures:?}");
    assert!(figures[0].joined_after.is_some(), "{figures:?}");
}

#[test]
fn the_wish_of_a_receiver_stays_the_ceiling() {
    let mut world = broadcast(Link::new(20_000_000, 5));
    send(&mut world, SECOND * 10);
    assert_eq!(layer_of(&world, 2).0, Rid::new("h"));
    let limit = |layer| Command::Limit { leg: LegId(2), mid: name(Media::Video), layer };
    world.engine.handle_command(limit(Rid::new("l")), world.now);
    send(&mut world, SECOND);
    got(&mut world, 2);
    send(&mut world, SECOND * 10);
    assert_eq!(got(&mut world, 2).best, 0);
    world.engine.handle_command(limit(None), world.now);
    send(&mut world, SECOND * 5);
    assert_eq!(layer_of(&world, 2).0, Rid::new("h"));
    assert_eq!(
        track_id(0, Media::Video),
        world.engine.figures(ConferenceId(1))[2].outputs[0].track
    );
}
