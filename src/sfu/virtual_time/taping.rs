//! Conferences that are recorded.

use super::client::FRAME;
use super::{World, track_id};
use crate::api::{Codec, Command, ConferenceId, Media};
use crate::tape::Taped;

fn record(world: &mut World, on: bool) {
    let conference = ConferenceId(1);
    world.engine.handle_command(Command::Record { conference, on }, world.now);
}

fn talk(world: &mut World, frames: usize, first_is_key: bool) -> Vec<Taped> {
    for frame in 0..frames {
        let now = world.now;
        world.clients[0].send(Media::Audio, true, now);
        world.clients[0].send(Media::Video, first_is_key && frame == 0, now);
        world.run(FRAME);
    }
    std::iter::from_fn(|| world.engine.poll_taped()).collect()
}

#[test]
fn the_tape_gets_what_receivers_get() {
    let mut world = World::new();
    world.sender();
    world.run_until(|world| world.connected(0));
    assert!(talk(&mut world, 5, true).is_empty());
    record(&mut world, true);
    // Sound at once, pictures from the next one that stands alone, which is asked for.
    let taped = talk(&mut world, 5, false);
    assert_eq!(taped.len(), 5);
    assert!(taped.iter().all(|packet| packet.codec == Codec::Opus));
    assert_eq!(world.clients[0].keyframes_wanted, 1);
    let taped = talk(&mut world, 5, true);
    let video = track_id(0, Media::Video);
    let pictures: Vec<&Taped> = taped.iter().filter(|packet| packet.track == video).collect();
    assert_eq!((taped.len(), pictures.len()), (10, 5));
    assert!(pictures.windows(2).all(|two| two[1].seq == two[0].seq + 1));
    assert!(pictures.iter().all(|packet| packet.marker && packet.conference == ConferenceId(1)));
    // What nobody may get is not recorded either.
    world.engine.handle_command(Command::Forward { track: video, on: false }, world.now);
    assert_eq!(talk(&mut world, 5, true).len(), 5);
    record(&mut world, false);
    assert!(talk(&mut world, 5, true).is_empty());
}

#[test]
fn a_tape_that_nobody_fetches_is_bounded() {
    let mut world = World::new();
    world.sender();
    world.run_until(|world| world.connected(0));
    record(&mut world, true);
    let large = 1000;
    for _ in 0..5000 {
        let now = world.now;
        world.clients[0].send_payload(Media::Audio, vec![0; large], -20, now);
        world.run(FRAME / 4);
    }
    assert!(world.engine.totals().untaped > 0);
    let waiting = std::iter::from_fn(|| world.engine.poll_taped()).count();
    assert!(waiting * large <= 4 * 1024 * 1024, "{waiting}");
}
