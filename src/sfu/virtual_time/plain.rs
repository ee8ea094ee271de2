//! A client that sends and gets one sound and one picture on one leg.

use std::time::Duration;

use ropus::{Application, Channels, Encoder};

use super::client::FRAME;
use super::{World, name, track, track_id};
use crate::api::{Command, LegId, LegSpec, Media, OutputSpec, TrackId};

/// What the plain client gets.
const MIX: TrackId = TrackId(900);
const PICTURE: TrackId = TrackId(901);

fn output(track: TrackId, media: Media) -> OutputSpec {
    let (source, payload) = if media == Media::Audio { (7000, 111) } else { (7001, 96) };
    let payloads = vec![(payload, payload)];
    OutputSpec { track, mid: name(media), media, source, rtx: None, payloads }
}

/// Two who send, and a plain client, which is the last one.
fn three() -> World {
    let mut world = World::new();
    world.sender();
    world.sender();
    let spec = |leg: &mut LegSpec| {
        leg.tracks = vec![track(2, Media::Audio), track(2, Media::Video)];
        leg.outputs = vec![output(MIX, Media::Audio), output(PICTURE, Media::Video)];
    };
    let open = |mut leg: LegSpec| {
        let outputs = std::mem::take(&mut leg.outputs);
        let id = leg.leg;
        let mut mix = track(0, Media::Audio);
        (mix.track, mix.sources) = (MIX, Vec::new());
        let add = |output| Command::AddOutput { leg: id, output };
        let mut commands = vec![Command::Open(Box::new(leg))];
        commands.push(Command::AddMix { leg: id, track: mix });
        commands.extend(outputs.into_iter().map(add));
        commands
    };
    world.connect_with(spec, open);
    world.run_until(|world| (0..3).all(|client| world.connected(client)));
    world
}

fn show(world: &mut World, whose: usize) {
    let (leg, mid) = (LegId(2), name(Media::Video));
    let track = track_id(whose, Media::Video);
    let switch = Command::Switch { leg, mid, track, payloads: vec![(96, 96)] };
    world.engine.handle_command(switch, world.now);
}

fn film(world: &mut World, who: &[usize], frames: usize, first_is_key: bool) {
    for frame in 0..frames {
        for client in who {
            let now = world.now;
            world.clients[*client].send(Media::Video, first_is_key && frame == 0, now);
        }
        world.run(FRAME);
    }
}

#[test]
fn it_hears_the_others_mixed() {
    let mut world = three();
    let mut encoder = Encoder::builder(48_000, Channels::Mono, Application::Voip).build().unwrap();
    let mut square = [8000_i16; 960];
    square.iter_mut().skip(1).step_by(2).for_each(|sample| *sample = -8000);
    for frame in 0..100 {
        let mut payload = vec![0; 1275];
        square.rotate_left(frame % 7);
        let length = encoder.encode(&square, &mut payload).unwrap();
        payload.truncate(length);
        let now = world.now;
        for client in 0..2 {
            world.clients[client].send_payload(Media::Audio, payload.clone(), -20, now);
        }
        world.run(FRAME);
    }
    let got: Vec<_> = world.clients[2].got.iter().filter(|packet| packet.track == MIX).collect();
    // Twenty milliseconds each, but for those before the first and after the last one.
    assert!((90..=105).contains(&got.len()), "{}", got.len());
    assert!(got.windows(2).all(|two| two[1].seq == two[0].seq + 1));
    assert!(got.iter().all(|packet| packet.pt == 111));
    // Those who get every stream get no mix, and nobody gets his own.
    assert!(world.clients[..2].iter().all(|client| client.got.is_empty()));
    // Nobody needs it any more: there is nothing to be waited for.
    for leg in 0..3 {
        world.engine.handle_command(Command::Close { leg: LegId(leg) }, world.now);
    }
    world.run(Duration::from_secs(60));
    assert_eq!(world.engine.poll_timeout(), None);
}

#[test]
fn its_picture_follows_without_a_gap() {
    let mut world = three();
    show(&mut world, 0);
    film(&mut world, &[0], 5, true);
    let pictures = |world: &World| world.clients[2].numbers(PICTURE);
    assert_eq!(pictures(&world).len(), 5);
    // Until the next one has a picture that stands alone, the last one goes on.
    let asked = world.clients[1].keyframes_wanted;
    show(&mut world, 1);
    film(&mut world, &[0, 1], 5, false);
    assert_eq!(pictures(&world).len(), 10);
    assert!(world.clients[1].keyframes_wanted > asked);
    film(&mut world, &[1], 5, true);
    assert_eq!(pictures(&world).len(), 15);
    film(&mut world, &[0], 5, true);
    assert_eq!(pictures(&world).len(), 15);
    // Who is shown leaves; another one comes later.
    world.engine.handle_command(Command::Close { leg: LegId(1) }, world.now);
    film(&mut world, &[0], 5, false);
    show(&mut world, 0);
    film(&mut world, &[0], 5, true);
    assert_eq!(pictures(&world).len(), 20);
    let got = world.clients[2].got.iter().filter(|packet| packet.track == PICTURE);
    let numbers: Vec<(u64, u32)> = got.map(|packet| (packet.seq, packet.timestamp)).collect();
    assert!(numbers.windows(2).all(|two| two[1].0 == two[0].0 + 1), "{numbers:?}");
    assert!(numbers.windows(2).all(|two| two[1].1 > two[0].1), "{numbers:?}");
}

#[test]
fn it_is_asked_for_pictures_like_others() {
    let mut world = three();
    show(&mut world, 0);
    film(&mut world, &[0], 5, true);
    let asked = world.clients[0].keyframes_wanted;
    world.run(Duration::from_secs(1));
    world.clients[2].request_keyframe(PICTURE);
    film(&mut world, &[0], 2, false);
    assert_eq!(world.clients[0].keyframes_wanted, asked + 1);
    // What is held is not sent, whether somebody is shown or not.
    let pause = |paused| Command::Pause { leg: LegId(2), mid: name(Media::Video), paused };
    world.engine.handle_command(pause(true), world.now);
    // The mix of those who are silent comes all the same, now and then.
    let before = world.clients[2].numbers(PICTURE).len();
    film(&mut world, &[0], 5, true);
    assert_eq!(world.clients[2].numbers(PICTURE).len(), before);
}
