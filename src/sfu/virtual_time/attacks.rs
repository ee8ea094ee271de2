use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::client::FRAME;
use super::{World, output, track, track_id};
use crate::api::{Command, Event, LegId, Media, Why};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn another_certificate_ends_the_leg() {
    let mut world = World::new();
    let client = world.connect(|leg| {
        leg.fingerprint.bytes[0] ^= 1;
        leg.tracks = vec![track(0, Media::Audio)];
    });
    world.run(SECOND * 5);
    assert!(!world.connected(client));
    let closed = Event::Closed { leg: LegId(0), why: Why::Insecure };
    assert_eq!(world.events, [closed]);
    assert_eq!(world.engine.totals().legs, 0);
}

#[test]
fn a_wrong_password_never_connects() {
    let mut world = World::new();
    let client = world.connect(|leg| leg.local.password.push('x'));
    world.clients[client].theirs.password.pop();
    world.run(SECOND * 31);
    assert!(!world.clients[client].connected || !world.connected(client));
}

#[test]
fn what_a_stranger_sends_is_dropped() {
    let mut world = World::new();
    world.sender();
    world.receiver(0);
    world.run_until(|world| world.connected(0) && world.connected(1));
    world.clients[0].send(Media::Audio, true, world.now);
    world.run(FRAME * 2);
    let audio = track_id(0, Media::Audio);
    assert_eq!(world.clients[1].numbers(audio).len(), 1);
    let media = world.clients[0].last_media.clone().unwrap();
    // The same packet again: a replay.
    let there = world.clients[0].address;
    world.deliver(there, &media);
    // From another address: nobody there has proved that it is the sender.
    let stranger: SocketAddr = "203.0.113.9:999".parse().unwrap();
    let before = world.engine.totals().foreign;
    world.deliver(stranger, &media);
    assert_eq!(world.engine.totals().foreign, before + 1);
    // Changed on the way.
    let mut changed = media.clone();
    changed[3] = changed[3].wrapping_add(1);
    world.deliver(there, &changed);
    // Of a source that was not told.
    let mut other = media;
    other[8] ^= 0xff;
    world.deliver(there, &other);
    world.run(FRAME * 5);
    assert_eq!(world.clients[1].numbers(audio).len(), 1);
    world.clients[0].send(Media::Audio, true, world.now);
    world.run(FRAME * 2);
    assert_eq!(world.clients[1].numbers(audio).len(), 2);
}

#[test]
fn media_before_the_handshake_is_dropped() {
    let mut world = World::new();
    world.sender();
    world.receiver(0);
    // An RTP packet as it would look without encryption, before anything else.
    let early = [0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 3, 0xe8, 1, 2, 3, 4, 5, 6, 7, 8];
    let there = world.clients[0].address;
    for _ in 0..100 {
        world.deliver(there, &early);
        world.run(FRAME);
    }
    assert_eq!(world.clients[1].got.len(), 0);
    assert!(world.connected(0) && world.connected(1));
    world.deliver(there, &early);
    world.run(FRAME * 2);
    assert_eq!(world.clients[1].got.len(), 0);
}

#[test]
fn what_contradicts_itself_is_refused_not_panicked_about() {
    let mut world = World::new();
    world.open(|leg| leg.tracks = vec![track(0, Media::Audio), track(0, Media::Audio)]);
    world.open(|leg| leg.outputs = vec![output(0, Media::Video), output(0, Media::Video)]);
    world.step();
    let refused = Event::Closed { leg: LegId(0), why: Why::Refused };
    assert_eq!(world.events, [refused.clone(), refused]);
    let unknown = LegId(77);
    for command in [
        Command::AddTrack { leg: unknown, track: track(0, Media::Audio) },
        Command::RemoveTrack { track: track_id(9, Media::Audio) },
        Command::AddOutput { leg: unknown, output: output(0, Media::Audio) },
        Command::Forward { track: track_id(9, Media::Audio), on: true },
        Command::Close { leg: unknown },
    ] {
        world.engine.handle_command(command, world.now);
    }
    assert_eq!(world.engine.totals().panics, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn garbage_ends_nothing(
        garbage in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 200),
        first in proptest::collection::vec(0_u8..=255, 200),
    ) {
        let mut world = World::new();
        world.sender();
        world.run_until(|world| world.connected(0));
        let there = world.clients[0].address;
        for (mut datagram, first) in garbage.into_iter().zip(first) {
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            world.deliver(there, &datagram);
        }
        world.run(SECOND);
        prop_assert_eq!(world.engine.totals().panics, 0);
        prop_assert!(world.engine.totals().legs == 1, "{:?}", world.events);
    }
}
