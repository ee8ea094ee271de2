use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Link;
use super::{HERE, source};
use crate::Outgoing;
use crate::api::{Credentials, Data, Fingerprint, LegSpec, Media, OutputSpec, TrackId, TrackSpec};
use crate::peer::dependency::{self, Described};
use crate::peer::webrtc::TRANSPORT_CC;
use crate::peer::{
    Channel, ChannelSpec, Datagram, Marks, Message, Packet, Peer, Polled, Sending, Transport,
};
use crate::{Identity, WebRtc};

/// The other end of a leg, which mirrors what the leg was opened with.
pub struct Client {
    pub address: SocketAddr,
    pub ours: Credentials,
    pub theirs: Credentials,
    pub fingerprint: Fingerprint,
    pub connected: bool,
    pub failed: bool,
    pub got: Vec<Packet>,
    pub keyframes_wanted: usize,
    /// Channels that it was offered, what came on them, and those that have ended.
    pub channels: Vec<(Channel, ChannelSpec)>,
    pub messages: Vec<(Channel, Message)>,
    pub closed: Vec<Channel>,
    /// The way to it, if that is not perfect.
    pub link: Option<Link>,
    place: usize,
    identity: Identity,
    /// What it takes and sends by.
    transport: Option<Transport>,
    peer: Option<WebRtc>,
    seq: [u64; 2],
    layer_seq: [u64; 2],
    pictures: [u64; 2],
    requests_taken: usize,
    /// Answers that go out with the next tick.
    waiting: Vec<Outgoing>,
    /// What it sent last, encrypted.
    pub last_media: Option<Vec<u8>>,
}

impl Client {
    pub fn new(place: usize, now: Instant) -> Client {
        let identity = Identity::generate(now).unwrap();
        let credentials = |side: &str| Credentials {
            ufrag: format!("{side}{place}"),
            password: format!("{side}-password-of-client-{place}"),
        };
        Client {
            address: SocketAddr::from(([198, 51, 100, place as u8 + 1], 4000)),
            ours: credentials("client"),
            theirs: credentials("server"),
            fingerprint: identity.fingerprint().clone(),
            connected: false,
            failed: false,
            got: Vec::new(),
            keyframes_wanted: 0,
            channels: Vec::new(),
            messages: Vec::new(),
            closed: Vec::new(),
            link: None,
            place,
            identity,
            transport: None,
            peer: None,
            seq: [65_530; 2],
            layer_seq: [100, 200],
            pictures: [0; 2],
            requests_taken: 0,
            waiting: Vec::new(),
            last_media: None,
        }
    }

    /// Opens the mirror image of a leg.
    pub fn begin(&mut self, leg: &LegSpec, server: &Fingerprint, at: SocketAddr) {
        assert_eq!(at, HERE.parse().unwrap());
        let plain = leg.tracks.iter().filter(|track| track.layers.is_empty());
        let outputs = plain.map(|track| OutputSpec {
            track: track.track,
            mid: track.mid.clone(),
            media: track.media,
            source: track.sources[0].0,
            rtx: track.sources[0].1,
            payloads: Vec::new(),
        });
        let tracks = leg.outputs.iter().map(|output| TrackSpec {
            track: output.track,
            mid: output.mid.clone(),
            media: output.media,
            sources: vec![(output.source, output.rtx)],
            layers: Vec::new(),
            forwarded: true,
        });
        // Who only sends does not look at what the network carries.
        let has_tracks = !leg.outputs.is_empty();
        let mirror = LegSpec {
            local: self.ours.clone(),
            remote: self.theirs.clone(),
            fingerprint: server.clone(),
            dtls_client: !leg.dtls_client,
            controlling: !leg.controlling,
            outputs: outputs.collect(),
            tracks: tracks.collect(),
            extensions: leg
                .extensions
                .iter()
                .filter(|(_, uri)| has_tracks || uri != TRANSPORT_CC)
                .cloned()
                .collect(),
            ..leg.clone()
        };
        #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
        let now = Instant::now();
        let mut peer = WebRtc::open(&self.identity, &[self.address], &mirror, now).unwrap();
        peer.call(at);
        if leg.data != Data::Off {
            peer.start_data();
        }
        for track in &leg.tracks {
            for (place, rid) in track.layers.iter().enumerate() {
                peer.add_layer(&track.mid, rid, layer_source(place));
            }
        }
        self.peer = Some(peer);
    }

    pub fn tick(&mut self, now: Instant) -> Vec<Outgoing> {
        let Some(peer) = &mut self.peer else { return Vec::new() };
        if peer.tick(now).is_err() {
            self.failed = true;
            self.peer = None;
            return Vec::new();
        }
        let mut out = std::mem::take(&mut self.waiting);
        out.extend(self.drain());
        out
    }

    /// What the engine has sent begins its way.
    pub fn post(&mut self, outgoing: Outgoing, now: Instant) {
        match &mut self.link {
            Some(link) => link.send(outgoing, now),
            None => self.receive(&outgoing, now),
        }
    }

    pub fn receive_what_has_arrived(&mut self, now: Instant) {
        let arrived = self.link.as_mut().map(|link| link.arrived(now));
        for (at, outgoing) in arrived.into_iter().flatten() {
            self.receive(&outgoing, at);
        }
    }

    /// Nothing reaches it by UDP, nor does what it sends by it arrive.
    pub fn only_by_tcp(&mut self, there: SocketAddr) {
        self.transport = Some(Transport::Tcp);
        if let Some(peer) = &mut self.peer {
            peer.add_remote_connection(there);
        }
    }

    fn receive(&mut self, outgoing: &Outgoing, now: Instant) {
        let blocked = self.transport.is_some_and(|only| only != outgoing.transport);
        let Some(peer) = self.peer.as_mut().filter(|_| !blocked) else { return };
        let datagram = Datagram {
            transport: outgoing.transport,
            source: outgoing.source,
            destination: outgoing.destination,
            contents: &outgoing.contents,
        };
        if peer.receive(&datagram, now).is_err() {
            self.failed = true;
            self.peer = None;
        }
        let answers = self.drain();
        self.waiting.extend(answers);
    }

    fn drain(&mut self) -> Vec<Outgoing> {
        let mut out = Vec::new();
        while let Some(peer) = &mut self.peer {
            match peer.poll() {
                Ok(Polled::Until(_)) => break,
                Ok(Polled::Send(outgoing)) => {
                    let sound = |datagram: &&[u8]| datagram[0] >= 128 && datagram[1] & 0x7f == 111;
                    if let Some(last) = outgoing.datagrams().filter(sound).last() {
                        self.last_media = Some(last.to_vec());
                    }
                    if self.transport.is_none_or(|only| only == outgoing.transport) {
                        out.push(outgoing);
                    }
                }
                Ok(Polled::Connected) => self.connected = true,
                Ok(Polled::Packet(packet)) => self.got.push(packet),
                Ok(Polled::KeyframeWanted(_)) => self.keyframes_wanted += 1,
                Ok(Polled::Opened(channel, spec)) => self.channels.push((channel, spec)),
                Ok(Polled::Message(channel, message)) => self.messages.push((channel, message)),
                Ok(Polled::ChannelClosed(channel)) => self.closed.push(channel),
                Ok(_) => {}
                Err(_) => {
                    self.failed = true;
                    self.peer = None;
                }
            }
        }
        out
    }

    pub fn open_channel(&mut self, spec: &ChannelSpec) -> Channel {
        self.peer.as_mut().unwrap().open_channel(spec)
    }

    /// Whether it could be written.
    pub fn write(&mut self, channel: Channel, message: &Message) -> bool {
        self.peer.as_mut().unwrap().write_channel(channel, message)
    }

    pub fn close_channel(&mut self, channel: Channel) {
        self.peer.as_mut().unwrap().close_channel(channel);
    }

    /// Its number is also in the payload.
    pub fn send(&mut self, media: Media, key: bool, now: Instant) {
        self.send_marked(media, key, -20, now);
    }

    /// Sound so loud, in dBov.
    pub fn send_sound(&mut self, level: i8, now: Instant) {
        self.send_marked(Media::Audio, true, level, now);
    }

    fn send_marked(&mut self, media: Media, key: bool, level: i8, now: Instant) {
        let number = (self.seq[usize::from(media == Media::Video)] + 1).to_be_bytes();
        let payload: Vec<u8> = match media {
            Media::Audio => number.to_vec(),
            // VP8: begins a partition; the lowest bit of its header says no keyframe.
            Media::Video => {
                [&[0x10, u8::from(!key), 0, 0, 0x9d, 1, 0x2a, 0, 0, 0, 0][..], &number].concat()
            }
        };
        self.send_payload(media, payload, level, now);
    }

    pub fn send_payload(&mut self, media: Media, payload: Vec<u8>, level: i8, now: Instant) {
        let seq = &mut self.seq[usize::from(media == Media::Video)];
        *seq += 1;
        let seq = *seq;
        let (pt, clock) = if media == Media::Audio { (111, 48) } else { (96, 90) };
        let sending = Sending {
            source: source(self.place, media),
            pt,
            seq,
            timestamp: (seq * 20 * clock) as u32,
            marker: true,
            marks: Marks { level: Some(level), voice: Some(level > -50), orientation: None },
            arrived: now,
            payload: payload.into(),
            vp8: None,
            described: None,
        };
        if let Some(peer) = &mut self.peer {
            peer.write(sending);
        }
    }

    pub fn next_number(&self, media: Media) -> u64 {
        self.seq[usize::from(media == Media::Video)] + 1
    }

    /// Whether a picture that stands alone was asked for since the last time.
    pub fn takes_requests(&mut self) -> bool {
        let before = std::mem::replace(&mut self.requests_taken, self.keyframes_wanted);
        before != self.keyframes_wanted
    }

    /// A picture of VP8 with three temporal layers (0 2 1 2) in packets that end with their layer.
    pub fn send_picture(&mut self, layer: usize, key: bool, size: usize, now: Instant) {
        const PACKET: usize = 1000;
        self.pictures[layer] += 1;
        let number = self.pictures[layer];
        let [high, low] = (number as u16 | 0x8000).to_be_bytes();
        // Each needs nothing but the base of its group.
        let temporal = if key { 0 } else { [0_u8, 2, 1, 2][number as usize % 4] };
        let base_layer = (number / 4) as u8;
        let count = size.div_ceil(PACKET);
        for place in 0..count {
            let begins = if place == 0 { 0x90 } else { 0x80 };
            let head = [begins, 0xe0, high, low, base_layer, temporal << 6 | 0x20, u8::from(!key)];
            let mut payload = [&head[..], &[0, 0, 0x9d, 1, 0x2a]].concat();
            payload.resize(size / count, layer as u8);
            self.layer_seq[layer] += 1;
            let sending = Sending {
                source: layer_source(layer),
                pt: 96,
                seq: self.layer_seq[layer],
                timestamp: (number * 3600) as u32,
                marker: place + 1 == count,
                marks: Marks::default(),
                arrived: now,
                payload: payload.into(),
                vp8: None,
                described: None,
            };
            if let Some(peer) = &mut self.peer {
                peer.write(sending);
            }
        }
    }

    /// A picture of VP9 in spatial layers of these sizes, without layers of simulcast.
    pub fn send_spatial(&mut self, key: bool, sizes: [usize; 3], now: Instant) {
        const PACKET: usize = 1000;
        self.pictures[0] += 1;
        let number = self.pictures[0];
        let [high, low] = (number as u16 | 0x8000).to_be_bytes();
        for (layer, size) in (0..).zip(sizes) {
            let count = size.div_ceil(PACKET);
            for place in 0..count {
                let (begins, ends) = (place == 0, place + 1 == count);
                let flags =
                    0xa0 | u8::from(!key) << 6 | u8::from(begins) << 3 | u8::from(ends) << 2;
                let mut payload = vec![flags, high, low, layer << 1 | u8::from(layer > 0), low];
                payload.resize(size / count, 0);
                self.seq[1] += 1;
                let sending = Sending {
                    source: source(self.place, Media::Video),
                    pt: 96,
                    seq: self.seq[1],
                    timestamp: (number * 3600) as u32,
                    marker: ends && usize::from(layer) + 1 == sizes.len(),
                    marks: Marks::default(),
                    arrived: now,
                    payload: payload.into(),
                    vp8: None,
                    described: None,
                };
                if let Some(peer) = &mut self.peer {
                    peer.write(sending);
                }
            }
        }
    }

    /// A packet of AV1 with what is said of its frame, of a layer of simulcast if there are any.
    pub fn send_frame(&mut self, layer: Option<usize>, frame: Framed, now: Instant) {
        let (seq, source) = match layer {
            Some(layer) => (&mut self.layer_seq[layer], layer_source(layer)),
            None => (&mut self.seq[1], source(self.place, Media::Video)),
        };
        *seq += 1;
        let octets: Arc<[u8]> = frame.descriptor.into();
        let number = dependency::number(&octets).unwrap();
        let sending = Sending {
            source,
            pt: 96,
            seq: *seq,
            timestamp: frame.timestamp,
            marker: frame.marker,
            marks: Marks::default(),
            arrived: now,
            payload: frame.payload.into(),
            vp8: None,
            described: Some(Box::new(Described::new(&octets, None, number, None))),
        };
        if let Some(peer) = &mut self.peer {
            peer.write(sending);
        }
    }

    /// A picture that stands alone, of a layer whose place ends its payload.
    pub fn send_layer(&mut self, layer: usize, now: Instant) {
        let seq = &mut self.layer_seq[layer];
        *seq += 1;
        let payload = [0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 0, 0, layer as u8];
        let sending = Sending {
            source: layer_source(layer),
            pt: 96,
            seq: *seq,
            timestamp: (*seq * 1800) as u32,
            marker: true,
            marks: Marks::default(),
            arrived: now,
            payload: payload[..].into(),
            vp8: None,
            described: None,
        };
        if let Some(peer) = &mut self.peer {
            peer.write(sending);
        }
    }

    pub fn restart(&mut self, ours: &Credentials, theirs: &Credentials) {
        if let Some(peer) = &mut self.peer {
            peer.restart(ours, theirs);
        }
    }

    /// The numbers in the payloads that came of a media section.
    pub fn numbers(&self, track: TrackId) -> Vec<u64> {
        let of = self.got.iter().filter(|packet| packet.track == track);
        let last = |packet: &Packet| {
            let bytes = packet.payload.last_chunk::<8>().copied().unwrap_or_default();
            u64::from_be_bytes(bytes)
        };
        of.map(last).collect()
    }

    pub fn request_keyframe(&mut self, track: TrackId) {
        if let Some(peer) = &mut self.peer {
            peer.request_keyframe(track, 0);
        }
    }

    pub fn vanish(&mut self) {
        self.peer = None;
    }
}

/// A packet of a frame that a header extension describes.
pub struct Framed {
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Vec<u8>,
    pub descriptor: Vec<u8>,
}

fn layer_source(layer: usize) -> u32 {
    5000 + layer as u32
}

/// As often as real ones do.
pub const FRAME: Duration = Duration::from_millis(20);
pub const PICTURE: Duration = Duration::from_millis(40);
