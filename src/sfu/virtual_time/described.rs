//! Layers of AV1, which a header extension tells apart: receivers get what their networks carry, and can
//! decode it.

use std::collections::HashMap;
use std::time::Duration;

use super::client::{Framed, PICTURE};
use super::link::Link;
use super::{World, layered_track, name, payloads, track};
use crate::api::{Codec, Command, LegId, LegSpec, Media, Payload, Rid};
use crate::peer::Packet;
use crate::peer::dependency::tests::{L1T3, L2T2, L2T2_KEY, More, Shape};
use crate::peer::dependency::{Descriptions, Layers, number};
use crate::peer::webrtc::{DEPENDENCY, RID};

const SECOND: Duration = Duration::from_secs(1);
const PACKET: usize = 1000;

/// What is sent, frame by frame. The payload of each packet says the frame's number and those of the
/// frames that it needs.
struct Camera {
    shape: &'static Shape,
    layer: Option<usize>,
    /// Pictures since the last one that stood alone, and all.
    place: usize,
    pictures: u32,
    number: u16,
    /// Octets of a frame of each spatial layer.
    sizes: &'static [usize],
    /// The decode targets that are sent.
    active: Option<u32>,
}

impl Camera {
    fn new(shape: &'static Shape, sizes: &'static [usize]) -> Camera {
        Camera { shape, layer: None, place: 0, pictures: 0, number: 65_500, sizes, active: None }
    }

    /// The templates of the frames of a picture.
    fn templates(&self) -> &'static [u32] {
        match (self.sizes.len(), self.place) {
            (1, 0) => &[0],
            (1, place) => [&[1], &[3], &[2], &[4]][place % 4],
            (_, 0) => &[0, 3],
            (_, place) if place % 2 == 0 => &[1, 4],
            _ => &[2, 5],
        }
    }

    fn send(&mut self, world: &mut World, key: bool) {
        if key {
            self.place = 0;
        }
        let templates = self.templates();
        self.pictures += 1;
        for (place, (template, size)) in templates.iter().zip(self.sizes).enumerate() {
            self.number = self.number.wrapping_add(1);
            let count = size.div_ceil(PACKET);
            let head = self.head(*template);
            for packet in 0..count {
                let begins = *template == 0 && packet == 0;
                let mut payload = [&[0x10 | u8::from(begins) << 3][..], &head].concat();
                payload.resize(size / count, 7);
                let edges = (packet == 0, packet + 1 == count);
                let more = More { attaches: begins, active: self.active, ..More::default() };
                let frame = Framed {
                    timestamp: self.pictures * 3600,
                    marker: edges.1 && place + 1 == templates.len(),
                    descriptor: self.shape.packet(edges, *template, self.number, more),
                    payload,
                };
                let now = world.now;
                world.clients[0].send_frame(self.layer, frame, now);
            }
        }
        self.place += 1;
    }

    /// Its own number and those that it needs, their count before them.
    fn head(&self, template: u32) -> Vec<u8> {
        let (.., (differences, _)) = self.shape.templates[template as usize];
        let needed = differences.iter().map(|back| self.number.wrapping_sub((*back).into()));
        let all = std::iter::once(self.number).chain(needed);
        let octets = all.flat_map(u16::to_be_bytes);
        std::iter::once(differences.len() as u8 + 1).chain(octets).collect()
    }
}

/// For so long, with pictures that stand alone when they are asked for.
fn send(world: &mut World, cameras: &mut [Camera], time: Duration) {
    let until = world.now + time;
    while world.now < until {
        let key = world.clients[0].takes_requests();
        cameras.iter_mut().for_each(|camera| camera.send(world, key));
        world.run(PICTURE);
    }
}

/// Who reads as a decoder would.
#[derive(Default)]
struct Viewer {
    known: Descriptions,
    /// The number that it knows a frame by, by that of the sender.
    frames: HashMap<u16, u16>,
    newest: Option<(u64, u16)>,
    active: u32,
}

impl Viewer {
    /// The layers of what has come since the last time.
    fn sees(&mut self, world: &mut World, client: usize) -> Vec<Layers> {
        let mut packets: Vec<Packet> = world.clients[client].got.drain(..).collect();
        packets.sort_unstable_by_key(|packet| packet.seq);
        for two in packets.windows(2) {
            assert_eq!(two[1].seq, two[0].seq + 1, "a gap");
            assert_eq!(two[0].marker, two[0].timestamp != two[1].timestamp, "{two:?}");
        }
        packets.iter().map(|packet| self.read(packet)).collect()
    }

    fn read(&mut self, packet: &Packet) -> Layers {
        let octets = packet.descriptor.as_deref().unwrap();
        let frame = self.known.read(packet.seq, octets).expect("what it refers to is known");
        if let Some((seq, before)) = self.newest {
            assert_eq!(packet.seq, seq + 1, "nothing is missing");
            let more = number(octets).unwrap().wrapping_sub(before);
            assert!(more < 1000, "it goes on: {more}");
        }
        self.newest = Some((packet.seq, frame.number));
        let count = usize::from(packet.payload[1]);
        let numbers = packet.payload[2..][..count * 2].chunks(2);
        let mut numbers = numbers.map(|number| u16::from_be_bytes([number[0], number[1]]));
        let own = numbers.next().unwrap();
        if frame.attaches {
            self.frames.clear();
        }
        for needed in numbers {
            let known = self.frames.get(&needed).expect("what it needs has come");
            assert_eq!(frame.number.wrapping_sub(*known), own.wrapping_sub(needed));
        }
        self.frames.insert(own, frame.number);
        let least = frame.targets(|of| of == frame.layers);
        self.active = frame.targets(|_| true) & frame.active();
        assert!(self.active & least != 0, "what comes is said to come");
        frame.layers
    }
}

fn most(seen: &[Layers]) -> (u8, u8) {
    let spatial = seen.iter().map(|layers| layers.spatial).max().unwrap();
    (spatial, seen.iter().map(|layers| layers.temporal).max().unwrap())
}

fn speak(leg: &mut LegSpec) {
    leg.payloads = payloads();
    leg.payloads[1] = Payload { codec: Codec::Av1, ..leg.payloads[1] };
    leg.extensions.push((6, DEPENDENCY.to_owned()));
}

fn broadcast(link: Link) -> World {
    let sends = |leg: &mut LegSpec| {
        speak(leg);
        leg.tracks = vec![track(0, Media::Video)];
    };
    World::broadcast(sends, speak, link)
}

/// 100 kbit/s and 1400 kbit/s.
const SPATIAL: &[usize] = &[500, 7000];

#[test]
fn a_narrow_link_gets_the_spatial_layer_that_fits_and_the_other_later() {
    for shape in [&L2T2, &L2T2_KEY] {
        let mut world = broadcast(Link::new(400_000, 7));
        let mut camera = [Camera::new(shape, SPATIAL)];
        // More comes at first than fits, and it is tried out ever more rarely how much does.
        send(&mut world, &mut camera, SECOND * 10);
        // From a picture that stands alone on.
        world.clients[1].request_keyframe(super::track_id(0, Media::Video));
        send(&mut world, &mut camera, SECOND * 5);
        let (mut wide, mut narrow) = (Viewer::default(), Viewer::default());
        forget_the_beginning(&mut world);
        assert_eq!(most(&wide.sees(&mut world, 1)), (1, 1));
        assert_eq!(wide.active, 0b1111);
        assert_eq!(most(&narrow.sees(&mut world, 2)).0, 0);
        assert_eq!(narrow.active & 0b1100, 0, "what is left out is said");

        world.clients[2].link.as_mut().unwrap().rate = 10_000_000;
        let before = world.clients[0].keyframes_wanted;
        send(&mut world, &mut camera, SECOND * 40);
        narrow.sees(&mut world, 2);
        send(&mut world, &mut camera, SECOND * 2);
        assert_eq!(most(&narrow.sees(&mut world, 2)), (1, 1));
        assert_eq!(narrow.active, 0b1111);
        let asked = world.clients[0].keyframes_wanted - before;
        assert!((1..10).contains(&asked), "{asked} pictures that stand alone were asked for");
    }
}

/// All that came before the last picture that stands alone.
fn forget_the_beginning(world: &mut World) {
    for client in &mut world.clients[1..] {
        client.got.sort_unstable_by_key(|packet| packet.seq);
        let begins = |packet: &Packet| packet.payload[0] & 8 != 0;
        let last = client.got.iter().rposition(begins).expect("a picture that stands alone");
        client.got.drain(..last);
    }
}

#[test]
fn temporal_layers_go_and_come_back_without_a_picture_that_stands_alone() {
    // 1400 kbit/s, of which 700 are left without the highest layer, and 350 with the base alone.
    let mut world = broadcast(Link::new(1_000_000, 7));
    let mut camera = [Camera::new(&L1T3, &[7000])];
    send(&mut world, &mut camera, SECOND * 20);
    world.clients[1].request_keyframe(super::track_id(0, Media::Video));
    send(&mut world, &mut camera, SECOND * 5);
    forget_the_beginning(&mut world);
    let (mut wide, mut narrow) = (Viewer::default(), Viewer::default());
    assert_eq!(most(&wide.sees(&mut world, 1)), (0, 2));
    assert_eq!(most(&narrow.sees(&mut world, 2)), (0, 1));
    assert_eq!((wide.active, narrow.active), (0b111, 0b011));

    world.clients[2].link.as_mut().unwrap().rate = 10_000_000;
    let before = world.clients[0].keyframes_wanted;
    send(&mut world, &mut camera, SECOND * 40);
    narrow.sees(&mut world, 2);
    send(&mut world, &mut camera, SECOND);
    assert_eq!(most(&narrow.sees(&mut world, 2)), (0, 2));
    assert_eq!(narrow.active, 0b111, "what was taken back has to be said");
    assert_eq!(world.clients[0].keyframes_wanted, before);
}

#[test]
fn frames_go_on_where_the_layer_of_simulcast_changes() {
    let mut world = World::new();
    let sender = world.connect(|leg| {
        speak(leg);
        leg.tracks = vec![layered_track(0)];
        leg.extensions.push((5, RID.to_owned()));
    });
    let receiver = world.connect(|leg| {
        speak(leg);
        leg.controlling = true;
        leg.outputs = vec![super::output(0, Media::Video)];
    });
    world.run_until(|world| world.connected(sender) && world.connected(receiver));
    let low = Camera { layer: Some(0), number: 30_000, ..Camera::new(&L1T3, &[300]) };
    let high = Camera { layer: Some(1), ..Camera::new(&L2T2, &[300, 900]) };
    let mut cameras = [low, high];
    send(&mut world, &mut cameras, SECOND);
    let mut viewer = Viewer::default();
    for layer in [None, Some("l"), None, Some("l")] {
        let layer = layer.and_then(Rid::new);
        let is_low = layer.is_some();
        let limit = Command::Limit { leg: LegId(1), mid: name(Media::Video), layer };
        world.engine.handle_command(limit, world.now);
        send(&mut world, &mut cameras, SECOND);
        viewer.sees(&mut world, receiver);
        send(&mut world, &mut cameras, SECOND);
        let seen = most(&viewer.sees(&mut world, receiver));
        assert_eq!(seen, if is_low { (0, 2) } else { (1, 1) });
    }
}

#[test]
fn who_does_not_know_the_extension_gets_none() {
    let mut world = World::new();
    let sender = world.connect(|leg| {
        speak(leg);
        leg.tracks = vec![track(0, Media::Video)];
    });
    let receiver = world.connect(|leg| {
        speak(leg);
        leg.extensions.retain(|(_, uri)| uri != DEPENDENCY);
        leg.controlling = true;
        leg.outputs = vec![super::output(0, Media::Video)];
    });
    world.run_until(|world| world.connected(sender) && world.connected(receiver));
    send(&mut world, &mut [Camera::new(&L1T3, &[300])], SECOND);
    let got = &world.clients[receiver].got;
    assert!(got.len() > 20 && got.iter().all(|packet| packet.descriptor.is_none()));
}

#[test]
fn what_was_lost_comes_with_its_descriptor() {
    let mut world = broadcast(Link::new(10_000_000, 7));
    let mut camera = [Camera::new(&L2T2, SPATIAL)];
    send(&mut world, &mut camera, SECOND);
    forget_the_beginning(&mut world);
    world.clients[2].link.as_mut().unwrap().lost = 5;
    send(&mut world, &mut camera, SECOND * 2);
    world.clients[2].link.as_mut().unwrap().lost = 0;
    send(&mut world, &mut camera, SECOND);
    let mut viewer = Viewer::default();
    assert_eq!(most(&viewer.sees(&mut world, 2)), (1, 1));
}
