//! Who is seen and heard when there are many.

use std::time::Duration;

use super::client::FRAME;
use super::{World, output, track_id};
use crate::api::{Command, LegId, Media, OutputSpec};

const SECOND: Duration = Duration::from_secs(1);

/// So many senders, of whom so many are seen, and one who gets all of them.
fn crowd(senders: usize, seen: usize) -> World {
    let mut world = World::with_last_speakers(seen);
    (0..senders).for_each(|_| {
        world.sender();
    });
    world.connect(|leg| {
        leg.controlling = true;
        let both = |sender| {
            [Media::Audio, Media::Video].map(|media| OutputSpec {
                mid: crate::api::Mid::new(&format!("{media:?}{sender}")).unwrap(),
                ..output(sender, media)
            })
        };
        leg.outputs = (0..senders).flat_map(both).collect();
    });
    world.run_until(|world| (0..=senders).all(|client| world.connected(client)));
    world
}

/// All send; one of them speaks.
fn talk(world: &mut World, senders: usize, speaker: usize, time: Duration) {
    let until = world.now + time;
    while world.now < until {
        let now = world.now;
        for sender in 0..senders {
            let level = if sender == speaker { -20 } else { -70 - sender as i8 };
            world.clients[sender].send_sound(level, now);
            world.clients[sender].send(Media::Video, true, now);
        }
        world.run(FRAME);
    }
}

/// Who was received, and how much of each.
fn received(world: &mut World, senders: usize, media: Media) -> Vec<usize> {
    let receiver = &world.clients[senders];
    (0..senders).map(|sender| receiver.numbers(track_id(sender, media)).len()).collect()
}

#[test]
fn those_who_have_spoken_last_are_seen() {
    let mut world = crowd(3, 2);
    talk(&mut world, 3, 2, SECOND * 2);
    world.clients[3].got.clear();
    talk(&mut world, 3, 2, SECOND);
    let seen = received(&mut world, 3, Media::Video);
    assert!(seen[0] >= 48 && seen[1] == 0 && seen[2] >= 48, "{seen:?}");
    assert!(world.engine.totals().held_back > 0);
    talk(&mut world, 3, 1, SECOND * 3);
    world.clients[3].got.clear();
    talk(&mut world, 3, 1, SECOND);
    let seen = received(&mut world, 3, Media::Video);
    assert!(seen[0] == 0 && seen[1] >= 48 && seen[2] >= 48, "{seen:?}");
}

#[test]
fn a_receiver_sees_as_many_as_it_wants() {
    let mut world = crowd(3, 0);
    let watch = |world: &mut World, speakers| {
        let (leg, own) = (LegId(3), vec![LegId(2)]);
        world.engine.handle_command(Command::Watch { leg, speakers, own }, world.now);
        world.clients[3].got.clear();
        talk(world, 3, 1, SECOND * 2);
        received(world, 3, Media::Video)
    };
    talk(&mut world, 3, 1, SECOND * 2);
    let seen = watch(&mut world, Some(1));
    // The one that is sent by its own client counts neither as seen nor as hidden.
    assert!(seen[0] == 0 && seen[1] >= 95, "{seen:?}");
    let seen = watch(&mut world, Some(0));
    assert_eq!(seen[..2], [0, 0]);
    let heard = received(&mut world, 3, Media::Audio);
    assert!(heard.iter().all(|count| *count >= 95), "{heard:?}");
    let seen = watch(&mut world, None);
    assert!(seen.iter().all(|count| *count >= 95), "{seen:?}");
}

#[test]
fn silent_microphones_are_not_heard_and_lose_no_word() {
    let mut world = crowd(7, 0);
    talk(&mut world, 7, 0, SECOND * 8);
    world.clients[7].got.clear();
    talk(&mut world, 7, 0, SECOND);
    let heard = received(&mut world, 7, Media::Audio);
    assert!(heard[..5].iter().all(|count| *count >= 48), "{heard:?}");
    assert_eq!(heard[5..], [0, 0]);
    let audio = track_id(6, Media::Audio);
    let first_word = world.clients[6].next_number(Media::Audio);
    talk(&mut world, 7, 6, SECOND);
    assert_eq!(world.clients[7].numbers(audio).first(), Some(&first_word));
    // As after a pause of the sender: no gap in the numbers, one in time, and a mark.
    let first = world.clients[7].got.iter().find(|packet| packet.track == audio).unwrap();
    assert!(first.marker);
}
