//! All that is said in a conference as one stream, for clients that take only one: decoded, added
//! up without what the listener says himself, and encoded anew. There is no mixer, and nothing is
//! decoded, in conferences without such clients.

mod sound;
mod source;
#[cfg(test)]
mod tests;
mod voice;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use crate::api::{Codec, LegId, Payload, TrackId};
use crate::peer::Packet;

use sound::{Frame, add};
use source::Source;
use voice::Voice;

/// What mixes are encoded as, inside the engine.
pub const PAYLOAD: Payload = Payload { pt: 111, rtx: None, codec: Codec::Opus };

/// Opus' usual packet.
const FRAME: Duration = Duration::from_millis(20);
/// Who is not among so many of the loudest is not understood anyway.
const LOUDEST: usize = 4;
/// A process that has stood still for longer does not make up for it.
const MAX_LATE: Duration = Duration::from_millis(200);

/// Of one conference.
#[derive(Default)]
pub struct Mixer {
    sources: BTreeMap<TrackId, Source>,
    /// By the tracks that they are forwarded as.
    mixes: BTreeMap<TrackId, Mix>,
    next: Option<Instant>,
}

struct Mix {
    listener: LegId,
    voice: Voice,
}

impl Mixer {
    /// From now on there is a mix for somebody.
    pub fn add(&mut self, track: TrackId, listener: LegId, now: Instant) {
        let Some(voice) = Voice::new() else {
            tracing::error!("no encoder for a mix");
            return;
        };
        self.mixes.insert(track, Mix { listener, voice });
        self.next.get_or_insert(now + FRAME);
    }

    /// A track is no more, be it a source or a mix.
    pub fn forget(&mut self, track: TrackId) {
        self.sources.remove(&track);
        self.mixes.remove(&track);
    }

    /// Nobody listens.
    pub fn is_idle(&self) -> bool {
        self.mixes.is_empty()
    }

    /// Takes Opus that came from somebody.
    pub fn handle_packet(&mut self, from: LegId, packet: &Packet) {
        if self.mixes.contains_key(&packet.track) {
            return;
        }
        let source = match self.sources.entry(packet.track) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let Some(source) = Source::new(from) else { return };
                place.insert(source)
            }
        };
        source.handle_packet(packet);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// What is to be forwarded of the mixes now.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(due) = self.next.filter(|due| *due <= now) {
            let late = now.saturating_duration_since(due) > MAX_LATE;
            self.next = Some(if late { now } else { due } + FRAME);
            self.mix(now, &mut packets);
        }
        packets
    }

    fn mix(&mut self, now: Instant, packets: &mut Vec<Packet>) {
        let mut heard: Vec<(LegId, f32, Frame)> = self
            .sources
            .values_mut()
            .filter_map(|source| {
                let frame = source.frame(now)?;
                Some((source.sender(), source.loudness(), frame))
            })
            .collect();
        heard.sort_by(|one, other| other.1.total_cmp(&one.1));
        for (track, Mix { listener, voice }) in &mut self.mixes {
            let others = heard.iter().filter(|(sender, ..)| sender != listener);
            let mixed = add(others.take(LOUDEST).map(|(.., frame)| frame));
            packets.extend(voice.say(&mixed).map(|said| said.packet(*track, now)));
        }
    }
}
