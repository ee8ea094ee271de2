use std::time::Duration;

use super::client::FRAME;
use super::{HERE, World, layered_track, name, output, track_id};
use crate::api::{Command, ConferenceId, Credentials, Event, LegId, Media, OutputSpec, Rid, Why};
use crate::peer::Transport;
use crate::peer::webrtc::RID;

const SECOND: Duration = Duration::from_secs(1);

fn talk(world: &mut World, who: usize, frames: usize, first_is_key: bool) {
    for frame in 0..frames {
        let now = world.now;
        world.clients[who].send(Media::Audio, true, now);
        world.clients[who].send(Media::Video, first_is_key && frame == 0, now);
        world.run(FRAME);
    }
    world.run(SECOND / 2);
}

fn joined() -> World {
    let mut world = World::new();
    let (sender, receiver) = (world.sender(), world.receiver(0));
    world.run_until(|world| world.connected(sender) && world.connected(receiver));
    world
}

/// Numbers that follow each other.
fn run_of(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|two| two[1] == two[0] + 1)
}

#[test]
fn packets_pass_in_order_and_decrypted_alike() {
    let mut world = joined();
    talk(&mut world, 0, 50, true);
    for media in [Media::Audio, Media::Video] {
        let numbers = world.clients[1].numbers(track_id(0, media));
        assert_eq!(numbers.len(), 50, "{media:?} {numbers:?}");
        assert!(run_of(&numbers), "{media:?} {numbers:?}");
        let got = world.clients[1].got.iter().filter(|got| got.track == track_id(0, media));
        // What the sender's numbers are is its own affair.
        let seqs: Vec<u64> = got.map(|packet| packet.seq).collect();
        assert!(seqs[0] < 1 << 15 && seqs.is_sorted(), "{seqs:?}");
    }
    let level = world.clients[1].got.iter().find_map(|packet| packet.marks.level);
    assert_eq!(level, Some(-20));
    let totals = world.engine.totals();
    assert_eq!((totals.packets_in, totals.packets_out), (100, 100));
    assert_eq!((totals.legs, totals.tracks, totals.conferences), (2, 2, 1));
}

#[test]
fn who_speaks_is_told_once() {
    let mut world = joined();
    talk(&mut world, 0, 100, true);
    let speakers: Vec<_> =
        world.events.iter().filter(|event| matches!(event, Event::Speaker { .. })).collect();
    let track = Some(track_id(0, Media::Audio));
    assert_eq!(speakers, [&Event::Speaker { conference: ConferenceId(1), track }]);
}

#[test]
fn video_begins_with_a_keyframe_that_is_asked_for() {
    let mut world = joined();
    talk(&mut world, 0, 5, false);
    assert!(world.clients[1].numbers(track_id(0, Media::Video)).is_empty());
    assert_eq!(world.clients[1].numbers(track_id(0, Media::Audio)).len(), 5);
    assert_eq!(world.clients[0].keyframes_wanted, 1);
    talk(&mut world, 0, 5, true);
    assert_eq!(world.clients[1].numbers(track_id(0, Media::Video)).len(), 5);
}

#[test]
fn requests_for_keyframes_are_gathered() {
    let mut world = World::new();
    world.sender();
    for _ in 0..3 {
        world.receiver(0);
    }
    world.run_until(|world| (0..4).all(|client| world.connected(client)));
    talk(&mut world, 0, 5, true);
    world.run(SECOND);
    let before = world.clients[0].keyframes_wanted;
    for receiver in 1..4 {
        world.clients[receiver].request_keyframe(track_id(0, Media::Video));
    }
    world.run(FRAME * 2);
    assert_eq!(world.clients[0].keyframes_wanted, before + 1);
}

#[test]
fn what_is_lost_is_sent_again() {
    let mut world = joined();
    world.loss = Some(7);
    talk(&mut world, 0, 100, true);
    world.loss = None;
    // Later packets show the receiver what is missing at the end.
    talk(&mut world, 0, 10, false);
    let count = |media| {
        let mut numbers = world.clients[1].numbers(track_id(0, media));
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    };
    // What nobody knows to be missing is not asked for: the very first ones.
    assert!(count(Media::Video) >= 105, "{}", count(Media::Video));
    // Audio is not repeated: it would come too late.
    assert!(count(Media::Audio) < 110, "{}", count(Media::Audio));
}

#[test]
fn what_cannot_be_sent_again_may_be_asked_for_in_vain() {
    let mut world = World::new();
    let sender = world.sender();
    let receiver = world.connect(|leg| {
        leg.controlling = true;
        leg.outputs = vec![OutputSpec { rtx: None, ..output(0, Media::Video) }];
    });
    world.run_until(|world| world.connected(sender) && world.connected(receiver));
    world.loss = Some(7);
    talk(&mut world, 0, 100, true);
    world.loss = None;
    talk(&mut world, 0, 10, false);
    let numbers = world.clients[receiver].numbers(track_id(0, Media::Video));
    assert!(numbers.len() < 110 && numbers.last() > numbers.get(90), "{numbers:?}");
    assert_eq!((world.engine.totals().panics, world.engine.totals().legs), (0, 2));
}

#[test]
fn nothing_is_forwarded_that_is_not_to_be() {
    let mut world = joined();
    talk(&mut world, 0, 5, true);
    let audio = track_id(0, Media::Audio);
    world.engine.handle_command(Command::Forward { track: audio, on: false }, world.now);
    let pause = |paused| Command::Pause { leg: LegId(1), mid: name(Media::Video), paused };
    world.engine.handle_command(pause(true), world.now);
    talk(&mut world, 0, 5, true);
    assert_eq!(world.clients[1].numbers(audio).len(), 5);
    assert_eq!(world.clients[1].numbers(track_id(0, Media::Video)).len(), 5);
    world.engine.handle_command(Command::Forward { track: audio, on: true }, world.now);
    world.engine.handle_command(pause(false), world.now);
    talk(&mut world, 0, 5, true);
    assert_eq!(world.clients[1].numbers(audio).len(), 10);
    let video = world.clients[1].got.iter().filter(|got| got.track == track_id(0, Media::Video));
    // The receiver sees no gap, so it asks for nothing again.
    let seqs: Vec<u64> = video.map(|packet| packet.seq).collect();
    assert_eq!(seqs.len(), 10);
    assert!(run_of(&seqs), "{seqs:?}");
}

#[test]
fn legs_come_and_go() {
    let mut world = joined();
    world.engine.handle_command(Command::Close { leg: LegId(1) }, world.now);
    talk(&mut world, 0, 5, true);
    assert_eq!(world.clients[1].got.len(), 0);
    assert_eq!(world.engine.totals().legs, 1);
    world.clients[0].vanish();
    world.run(SECOND * 90);
    let closed = Event::Closed { leg: LegId(0), why: Why::Unreachable };
    assert!(world.events.contains(&closed), "{:?}", world.events);
    let totals = world.engine.totals();
    assert_eq!((totals.legs, totals.tracks, totals.conferences), (0, 0, 0));
    world.run(SECOND * 60);
    assert_eq!(world.engine.poll_timeout(), None);
}

/// A sender of two layers by rid and one receiver.
fn layered() -> World {
    let mut world = World::new();
    let sender = world.connect(|leg| {
        leg.tracks = vec![layered_track(0)];
        leg.extensions.push((5, RID.to_owned()));
    });
    let receiver = world.connect(|leg| {
        leg.controlling = true;
        leg.outputs = vec![output(0, Media::Video)];
    });
    world.run_until(|world| world.connected(sender) && world.connected(receiver));
    world
}

#[test]
fn a_receiver_gets_one_layer_and_may_choose_it() {
    let mut world = layered();
    let frames = |world: &mut World, layers: &[usize], count: usize| {
        for _ in 0..count {
            for layer in layers {
                let now = world.now;
                // Every picture stands alone, so that the switch needs no waiting.
                world.clients[0].send_layer(*layer, now);
            }
            world.run(FRAME);
        }
        let got: Vec<(u64, u8)> = world.clients[1]
            .got
            .drain(..)
            .map(|packet| (packet.seq, packet.payload.last().copied().unwrap_or_default()))
            .collect();
        got
    };
    // The best one, once it is known to come.
    let got = frames(&mut world, &[0, 1], 20);
    assert_eq!(got.last().map(|(_, layer)| *layer), Some(1));
    assert!(got.len() >= 20 && got.len() <= 21, "{got:?}");
    assert!(run_of(&got.iter().map(|(seq, _)| *seq).collect::<Vec<_>>()), "{got:?}");
    let limit = |rid: Option<&str>| Command::Limit {
        leg: LegId(1),
        mid: name(Media::Video),
        layer: rid.and_then(Rid::new),
    };
    world.engine.handle_command(limit(Some("l")), world.now);
    let low = frames(&mut world, &[0, 1], 20);
    // What comes of the other one before the first picture of this one is sent still.
    assert!(low[1..].iter().all(|(_, layer)| *layer == 0), "{low:?}");
    assert_eq!(low[0].0, got.last().unwrap().0 + 1);
    world.engine.handle_command(limit(None), world.now);
    assert_eq!(frames(&mut world, &[0, 1], 20).last().map(|(_, layer)| *layer), Some(1));
    // The sender stops the best one, as browsers do when the network is bad.
    frames(&mut world, &[0], 150);
    let low = frames(&mut world, &[0], 20);
    assert!(low.len() == 20 && low.iter().all(|(_, layer)| *layer == 0), "{low:?}");
}

#[test]
fn who_is_reached_by_tcp_alone_takes_part() {
    let mut world = World::new();
    let (sender, receiver) = (world.sender(), world.receiver(0));
    world.clients[receiver].only_by_tcp(HERE.parse().unwrap());
    world.run_until(|world| world.connected(sender) && world.connected(receiver));
    let (tcp, address) = (Transport::Tcp, world.clients[receiver].address);
    assert!(world.engine.knows(tcp, address) && !world.engine.knows(Transport::Udp, address));
    talk(&mut world, 0, 20, true);
    for media in [Media::Audio, Media::Video] {
        assert_eq!(world.clients[receiver].numbers(track_id(0, media)).len(), 20);
    }
}

#[test]
fn a_client_may_begin_anew() {
    let mut world = joined();
    talk(&mut world, 0, 5, true);
    let credentials = |side: &str| Credentials {
        ufrag: format!("{side}-again"),
        password: format!("{side}-another-long-password"),
    };
    let (server, client) = (credentials("server"), credentials("client"));
    let restart = Command::Restart { leg: LegId(0), local: server.clone(), remote: client.clone() };
    world.engine.handle_command(restart, world.now);
    world.clients[0].restart(&client, &server);
    // Longer than a leg lives without checks that succeed.
    world.run(SECOND * 60);
    talk(&mut world, 0, 5, true);
    let numbers = world.clients[1].numbers(track_id(0, Media::Audio));
    assert_eq!(numbers.len(), 10, "{numbers:?}");
    assert!(!world.events.iter().any(|event| matches!(event, Event::Closed { .. })));
}
