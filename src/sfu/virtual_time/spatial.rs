//! Spatial layers of VP9, of which receivers get what their networks carry.

use std::time::Duration;

use super::client::PICTURE;
use super::link::Link;
use super::{World, payloads, track};
use crate::api::{Codec, LegSpec, Media, Payload};
use crate::peer::Packet;
use crate::peer::bitstream::header;

const SECOND: Duration = Duration::from_secs(1);
/// Octets of a picture in its layers: 100, 300 and 1400 kbit/s.
const SIZES: [usize; 3] = [500, 1500, 7000];

/// A sender of three layers, a receiver with a good network and one with another.
fn broadcast(link: Link) -> World {
    let speak = |leg: &mut LegSpec| {
        leg.payloads = payloads();
        leg.payloads[1] = Payload { codec: Codec::Vp9, ..leg.payloads[1] };
    };
    let sends = |leg: &mut LegSpec| {
        speak(leg);
        leg.tracks = vec![track(0, Media::Video)];
    };
    World::broadcast(sends, speak, link)
}

/// Pictures for so long, which stand alone when that is asked for.
fn send(world: &mut World, time: Duration) {
    let until = world.now + time;
    while world.now < until {
        let now = world.now;
        let key = world.clients[0].takes_requests();
        world.clients[0].send_spatial(key, SIZES, now);
        world.run(PICTURE);
    }
}

/// The highest layer that a receiver has got since it was asked the last time, of pictures that are
/// whole and end where they say.
fn highest(world: &mut World, client: usize) -> u8 {
    let mut packets: Vec<Packet> = world.clients[client].got.drain(..).collect();
    packets.sort_unstable_by_key(|packet| packet.seq);
    for two in packets.windows(2) {
        assert_eq!(two[1].seq, two[0].seq + 1, "a gap");
        assert_eq!(two[0].marker, two[0].timestamp != two[1].timestamp, "{two:?}");
    }
    let layer = |packet: &Packet| header(Codec::Vp9, &packet.payload).spatial.id;
    packets.iter().map(layer).max().unwrap_or_default()
}

#[test]
fn a_narrow_link_gets_the_spatial_layers_that_fit_and_the_others_later() {
    let mut world = broadcast(Link::new(1_200_000, 7));
    // More comes at first than fits, and it is tried out ever more rarely how much does.
    send(&mut world, SECOND * 30);
    (1..3).for_each(|client| world.clients[client].got.clear());
    send(&mut world, SECOND * 5);
    assert_eq!((highest(&mut world, 1), highest(&mut world, 2)), (2, 1));

    world.clients[2].link.as_mut().unwrap().rate = 10_000_000;
    let before = world.clients[0].keyframes_wanted;
    send(&mut world, SECOND * 40);
    world.clients[2].got.clear();
    send(&mut world, SECOND * 2);
    assert_eq!(highest(&mut world, 2), 2);
    let asked = world.clients[0].keyframes_wanted - before;
    assert!((1..10).contains(&asked), "{asked} pictures that stand alone were asked for");
}
