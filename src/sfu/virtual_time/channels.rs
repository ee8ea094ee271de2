//! Data channels through the engine.

use super::*;
use crate::peer::{Channel, ChannelSpec, Message, Reliability};

fn text(text: &str) -> Message {
    Message { binary: false, data: text.as_bytes().into() }
}

fn octets(length: usize) -> Message {
    Message { binary: true, data: vec![7; length].into() }
}

fn chat() -> ChannelSpec {
    ChannelSpec {
        label: "chat".to_owned(),
        protocol: "lines".to_owned(),
        ordered: true,
        reliability: Reliability::Whole,
    }
}

impl World {
    /// Clients with nothing but data channels; those in `mute` may only read.
    fn with_data(count: usize, mute: &[usize]) -> World {
        let mut world = World::new();
        for place in 0..count {
            let data = if mute.contains(&place) { Data::Reads } else { Data::Writes };
            world.connect(|leg| leg.data = data);
        }
        world.run_until(|world| (0..count).all(|client| world.connected(client)));
        world
    }

    /// The first client opens a channel, and all others get it.
    fn open_channel(&mut self, spec: &ChannelSpec) -> Channel {
        let channel = self.clients[0].open_channel(spec);
        self.run_until(|world| world.clients[1..].iter().all(|other| other.channels.len() == 1));
        channel
    }

    /// Writes once there is room.
    fn write(&mut self, client: usize, channel: Channel, message: &Message) {
        let until = self.now + Duration::from_secs(10);
        while !self.clients[client].write(channel, message) {
            assert!(self.now < until, "there is no room");
            self.run(self.step);
        }
    }

    fn told(&self, client: usize) -> Vec<Message> {
        self.clients[client].messages.iter().map(|(_, message)| message.clone()).collect()
    }
}

#[test]
fn what_one_writes_all_others_get() {
    let mut world = World::with_data(3, &[]);
    let spec = ChannelSpec { ordered: false, reliability: Reliability::Times(3), ..chat() };
    let channel = world.open_channel(&spec);
    assert_eq!(world.clients[1].channels[0].1, spec);
    let said = [text("Good morrow"), octets(40_000)];
    for message in &said {
        world.write(0, channel, message);
    }
    world.run_until(|world| world.clients[1..].iter().all(|client| client.messages.len() == 2));
    for message in said {
        assert!(world.told(1).contains(&message) && world.told(2).contains(&message));
    }
    // And what is written by one of those, too.
    let (copy, _) = world.clients[2].channels[0];
    world.write(2, copy, &text("Well met"));
    world.run_until(|world| world.told(0) == [text("Well met")] && world.told(1).len() == 3);
    assert_eq!(world.told(2).len(), 2);
}

#[test]
fn who_comes_later_gets_channels_that_are_there() {
    let mut world = World::with_data(2, &[]);
    let channel = world.open_channel(&chat());
    let late = world.connect(|leg| leg.data = Data::Reads);
    world.run_until(|world| world.clients[2].channels.len() == 1);
    world.write(0, channel, &text("Welcome"));
    world.run_until(|world| world.told(late) == [text("Welcome")]);
    // One may do without it; with who has opened it, it ends for all.
    let (copy, _) = world.clients[1].channels[0];
    world.clients[1].close_channel(copy);
    world.write(0, channel, &text("Go on"));
    world.run_until(|world| world.told(late).len() == 2);
    assert_eq!(world.told(1), [text("Welcome")]);
    world.engine.handle_command(Command::Close { leg: LegId(0) }, world.now);
    world.run_until(|world| world.clients[2].closed.len() == 1);
}

#[test]
fn who_may_not_speak_may_not_write() {
    let mut world = World::with_data(2, &[1]);
    let refused = world.clients[1].open_channel(&chat());
    world.run_until(|world| world.clients[1].closed.contains(&refused));
    let channel = world.open_channel(&chat());
    let (copy, _) = world.clients[1].channels[0];
    world.write(1, copy, &text("Psst"));
    world.write(0, channel, &text("Hark"));
    world.run_until(|world| world.told(1) == [text("Hark")]);
    world.run(Duration::from_secs(1));
    assert!(world.told(0).is_empty());
    // Voice is given and taken.
    let data = |data| Command::Data { leg: LegId(1), data };
    world.engine.handle_command(data(Data::Writes), world.now);
    world.write(1, copy, &text("Now"));
    world.run_until(|world| world.told(0) == [text("Now")]);
    world.engine.handle_command(data(Data::Reads), world.now);
    world.write(1, copy, &text("Still?"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.told(0).len(), 1);
}

#[test]
fn who_does_not_read_holds_nobody_up() {
    let mut world = World::with_data(3, &[]);
    let channel = world.open_channel(&chat());
    world.clients[2].vanish();
    for _ in 0..40 {
        world.write(0, channel, &octets(16_000));
        // As fast as one may.
        world.run(Duration::from_millis(130));
    }
    world.run_until(|world| world.told(1).len() == 40);
    assert!(world.clients[0].closed.is_empty() && world.clients[1].closed.is_empty());
    let waiting = world.engine.waiting_for(LegId(2));
    assert_eq!(waiting, Some(0), "its channel was given up, and what waited for it");
}

#[test]
fn a_flood_ends_the_channel() {
    let mut world = World::with_data(2, &[]);
    let channel = world.open_channel(&chat());
    let until = world.now + Duration::from_secs(10);
    while world.clients[0].closed.is_empty() {
        assert!(world.now < until, "it is let through");
        while world.clients[0].write(channel, &octets(16_000)) {}
        world.run(STEP);
    }
    world.run_until(|world| world.clients[1].closed.len() == 1);
    let got: usize = world.told(1).iter().map(|message| message.data.len()).sum();
    assert!(got < 2_000_000, "{got}");
}

#[test]
fn channels_of_one_client_are_counted() {
    let mut world = World::with_data(2, &[]);
    for _ in 0..9 {
        world.clients[0].open_channel(&chat());
    }
    world.run_until(|world| {
        world.clients[0].closed.len() == 1 && world.clients[1].channels.len() == 8
    });
    let long = ChannelSpec { label: "x".repeat(257), ..chat() };
    let mut other = World::with_data(2, &[]);
    let refused = other.clients[0].open_channel(&long);
    other.run_until(|world| world.clients[0].closed == [refused]);
    assert!(other.clients[1].channels.is_empty());
}

#[test]
fn text_is_text() {
    let mut world = World::with_data(2, &[]);
    let channel = world.open_channel(&chat());
    world.write(0, channel, &Message { binary: false, data: [0xff, 0xfe][..].into() });
    world.write(0, channel, &text("after it"));
    world.run_until(|world| world.told(1) == [text("after it")]);
}
