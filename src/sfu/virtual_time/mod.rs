//! Clients by the same implementation, in memory and in virtual time.

mod attacks;
mod channels;
mod client;
mod described;
mod estimation;
mod forwarding;
mod link;
mod plain;
mod spatial;
mod stage;
mod taping;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::api::{
    Codec, Command, ConferenceId, Data, Event, LegId, LegSpec, Media, Mid, OutputSpec, Payload,
    Rid, TrackId, TrackSpec,
};
use crate::peer::webrtc::{AUDIO_LEVEL, MID, TRANSPORT_CC};
use crate::peer::{Datagram, Transport};
use crate::{Engine, Identity, Limits, Outgoing};

use client::Client;
use link::Link;

const HERE: &str = "192.0.2.1:10000";
const STEP: Duration = Duration::from_millis(5);

/// An engine, its clients and the time.
struct World {
    engine: Engine,
    clients: Vec<Client>,
    now: Instant,
    events: Vec<Event>,
    /// What of the engine's datagrams gets lost: every so many.
    loss: Option<usize>,
    sent: usize,
    /// How exact time is.
    step: Duration,
}

impl World {
    fn new() -> World {
        World::with_last_speakers(0)
    }

    /// One who sends a picture, a receiver with a good network and one with another.
    fn broadcast(
        sends: impl FnOnce(&mut LegSpec),
        receives: impl Fn(&mut LegSpec),
        link: Link,
    ) -> World {
        let mut world = World::new();
        world.step = Duration::from_millis(1);
        world.connect(sends);
        for _ in 0..2 {
            world.connect(|leg| {
                receives(leg);
                leg.controlling = true;
                leg.outputs = vec![output(0, Media::Video)];
            });
        }
        world.run_until(|world| (0..3).all(|client| world.connected(client)));
        world.clients[2].link = Some(link);
        world
    }

    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn with_last_speakers(last_speakers: usize) -> World {
        let now = Instant::now();
        let identity = Identity::generate(now).unwrap();
        let here = vec![HERE.parse().unwrap()];
        let engine = Engine::new(identity, here, Limits { legs: 100, last_speakers });
        World {
            engine,
            clients: Vec::new(),
            now,
            events: Vec::new(),
            loss: None,
            sent: 0,
            step: STEP,
        }
    }

    /// A leg without a client.
    fn open(&mut self, spec: impl FnOnce(&mut LegSpec)) {
        let mut leg = self.leg(&Client::new(0, self.now), 0);
        spec(&mut leg);
        self.engine.handle_command(Command::Open(Box::new(leg)), self.now);
    }

    /// A client and a leg to it.
    fn connect(&mut self, spec: impl FnOnce(&mut LegSpec)) -> usize {
        self.connect_with(spec, |leg| vec![Command::Open(Box::new(leg))])
    }

    /// The same, opened by other commands.
    fn connect_with(
        &mut self,
        spec: impl FnOnce(&mut LegSpec),
        open: impl FnOnce(LegSpec) -> Vec<Command>,
    ) -> usize {
        let place = self.clients.len();
        let mut client = Client::new(place, self.now);
        let mut leg = self.leg(&client, place);
        spec(&mut leg);
        client.begin(&leg, self.engine.common_for_tests().fingerprint(), HERE.parse().unwrap());
        for command in open(leg) {
            self.engine.handle_command(command, self.now);
        }
        self.clients.push(client);
        place
    }

    fn leg(&self, client: &Client, place: usize) -> LegSpec {
        LegSpec {
            leg: LegId(place as u64),
            conference: ConferenceId(1),
            local: client.theirs.clone(),
            remote: client.ours.clone(),
            fingerprint: client.fingerprint.clone(),
            dtls_client: false,
            controlling: false,
            payloads: payloads(),
            extensions: extensions(),
            tracks: Vec::new(),
            outputs: Vec::new(),
            data: Data::Off,
        }
    }

    /// A client that sends audio and video.
    fn sender(&mut self) -> usize {
        let place = self.clients.len();
        self.connect(|leg| {
            leg.tracks = vec![track(place, Media::Audio), track(place, Media::Video)];
        })
    }

    /// A client that gets both from another one.
    fn receiver(&mut self, of: usize) -> usize {
        self.connect(|leg| {
            leg.controlling = true;
            leg.outputs = vec![output(of, Media::Audio), output(of, Media::Video)];
        })
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += self.step;
            self.step();
        }
    }

    /// Until something is so, ten virtual seconds at the most.
    fn run_until(&mut self, what: impl Fn(&World) -> bool) {
        let until = self.now + Duration::from_secs(10);
        while !what(self) {
            assert!(self.now < until, "does not happen: {:?}", self.events);
            self.now += self.step;
            self.step();
        }
    }

    fn step(&mut self) {
        let mut wire: VecDeque<Outgoing> = VecDeque::new();
        for client in &mut self.clients {
            client.receive_what_has_arrived(self.now);
            wire.extend(client.tick(self.now));
        }
        for outgoing in wire {
            for datagram in outgoing.datagrams() {
                self.deliver_by(outgoing.transport, outgoing.source, datagram);
            }
        }
        self.engine.handle_timeout(self.now);
        while let Some(outgoing) = self.engine.poll_outgoing(self.now) {
            let client =
                self.clients.iter_mut().find(|client| client.address == outgoing.destination);
            let Some(client) = client else { continue };
            for contents in outgoing.datagrams() {
                self.sent += 1;
                if self.loss.is_some_and(|every| self.sent.is_multiple_of(every)) {
                    continue;
                }
                let (contents, segment) = (contents.to_vec(), contents.len());
                client.post(Outgoing { contents, segment, ..outgoing.clone() }, self.now);
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
    }

    fn deliver(&mut self, source: SocketAddr, contents: &[u8]) {
        self.deliver_by(Transport::Udp, source, contents);
    }

    fn deliver_by(&mut self, transport: Transport, source: SocketAddr, contents: &[u8]) {
        let destination = HERE.parse().unwrap();
        let datagram = Datagram { transport, source, destination, contents };
        self.engine.handle_datagram(&datagram, self.now);
    }

    fn connected(&self, client: usize) -> bool {
        let leg = LegId(client as u64);
        self.clients[client].connected && self.events.contains(&Event::Connected { leg })
    }
}

fn payloads() -> Vec<Payload> {
    vec![
        Payload { pt: 111, rtx: None, codec: Codec::Opus },
        Payload { pt: 96, rtx: Some(97), codec: Codec::Vp8 },
    ]
}

fn extensions() -> Vec<(u8, String)> {
    [(1, AUDIO_LEVEL), (3, TRANSPORT_CC), (4, MID)].map(|(id, uri)| (id, uri.to_owned())).to_vec()
}

fn name(media: Media) -> Mid {
    Mid::new(if media == Media::Audio { "0" } else { "1" }).unwrap()
}

fn track_id(client: usize, media: Media) -> TrackId {
    TrackId(client as u64 * 2 + u64::from(media == Media::Video))
}

/// The source of what a client sends; of what it gets, with 1 << 16 added.
fn source(client: usize, media: Media) -> u32 {
    1000 + client as u32 * 10 + u32::from(media == Media::Video)
}

fn track(client: usize, media: Media) -> TrackSpec {
    TrackSpec {
        track: track_id(client, media),
        mid: name(media),
        media,
        sources: vec![(source(client, media), None)],
        layers: Vec::new(),
        forwarded: true,
    }
}

/// Video in two layers.
fn layered_track(client: usize) -> TrackSpec {
    let layers = ["l", "h"].map(|name| Rid::new(name).unwrap()).to_vec();
    TrackSpec { sources: Vec::new(), layers, ..track(client, Media::Video) }
}

fn output(of: usize, media: Media) -> OutputSpec {
    let source = source(of, media) + (1 << 16);
    OutputSpec {
        track: track_id(of, media),
        mid: name(media),
        media,
        source,
        rtx: (media == Media::Video).then_some(source + 5),
        payloads: vec![(if media == Media::Audio { (111, 111) } else { (96, 96) })],
    }
}
