use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{HERE, source};
use crate::Outgoing;
use crate::api::{Credentials, Fingerprint, LegSpec, Media, OutputSpec, TrackId, TrackSpec};
use crate::peer::{Datagram, Marks, Packet, Peer, Polled, Sending};
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
    place: usize,
    identity: Identity,
    peer: Option<WebRtc>,
    seq: [u64; 2],
    layer_seq: [u64; 2],
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
            place,
            identity,
            peer: None,
            seq: [65_530; 2],
            layer_seq: [100, 200],
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
        let mirror = LegSpec {
            local: self.ours.clone(),
            remote: self.theirs.clone(),
            fingerprint: server.clone(),
            dtls_client: !leg.dtls_client,
            controlling: !leg.controlling,
            outputs: outputs.collect(),
            tracks: tracks.collect(),
            ..leg.clone()
        };
        #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
        let now = Instant::now();
        let mut peer = WebRtc::open(&self.identity, &[self.address], &mirror, now).unwrap();
        peer.add_remote_candidate(at);
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

    pub fn receive(&mut self, outgoing: &Outgoing, now: Instant) {
        let Some(peer) = &mut self.peer else { return };
        let datagram = Datagram {
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
                Ok(Polled::Send { source, destination, contents }) => {
                    if contents[0] >= 128 && contents[1] & 0x7f == 111 {
                        self.last_media = Some(contents.clone());
                    }
                    out.push(Outgoing { source, destination, contents });
                }
                Ok(Polled::Connected) => self.connected = true,
                Ok(Polled::Packet(packet)) => self.got.push(packet),
                Ok(Polled::KeyframeWanted(_)) => self.keyframes_wanted += 1,
                Ok(_) => {}
                Err(_) => {
                    self.failed = true;
                    self.peer = None;
                }
            }
        }
        out
    }

    /// Its number is also in the payload.
    pub fn send(&mut self, media: Media, key: bool, now: Instant) {
        let number = (self.seq[usize::from(media == Media::Video)] + 1).to_be_bytes();
        let payload: Vec<u8> = match media {
            Media::Audio => number.to_vec(),
            // VP8: begins a partition; the lowest bit of its header says no keyframe.
            Media::Video => {
                [&[0x10, u8::from(!key), 0, 0, 0x9d, 1, 0x2a, 0, 0, 0, 0][..], &number].concat()
            }
        };
        self.send_payload(media, payload, now);
    }

    pub fn send_payload(&mut self, media: Media, payload: Vec<u8>, now: Instant) {
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
            marks: Marks { level: Some(-20), voice: Some(true), orientation: None },
            arrived: now,
            payload: payload.into(),
            vp8: None,
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

fn layer_source(layer: usize) -> u32 {
    5000 + layer as u32
}

/// As often as real ones do.
pub const FRAME: Duration = Duration::from_millis(20);
