//! Tracks that the engine makes itself: what is said in a conference, mixed for one listener.

use std::time::Instant;

use super::Engine;
use crate::api::{Codec, ConferenceId, LegId, TrackId, TrackSpec};
use crate::mix::{Mixer, PAYLOAD};
use crate::peer::{Packet, Peer};
use crate::track::Track;

impl<P: Peer> Engine<P> {
    pub(super) fn add_mix(&mut self, id: LegId, spec: &TrackSpec, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if self.tracks.contains_key(&spec.track) {
            return;
        }
        leg.tracks.push(spec.track);
        let track = Track::new(id, leg.conference, spec, &[PAYLOAD]);
        self.tracks.insert(spec.track, track);
        self.mixers.entry(leg.conference).or_default().add(spec.track, id, now);
    }

    /// Gives what somebody says to the mixer of his conference, if there is one.
    pub(super) fn hear(&mut self, packet: &Packet) {
        if self.mixers.is_empty() {
            return;
        }
        let Some(track) = self.tracks.get(&packet.track).filter(|track| track.forwarded) else {
            return;
        };
        let Some(mixer) = self.mixers.get_mut(&track.conference) else { return };
        if track.codec(packet.pt) == Some(Codec::Opus) {
            mixer.handle_packet(track.leg, packet);
        }
    }

    /// Forwards what was said in the last 20 ms.
    pub(super) fn mix(&mut self, now: Instant) {
        let mixed: Vec<Packet> =
            self.mixers.values_mut().flat_map(|mixer| mixer.handle_timeout(now)).collect();
        for packet in mixed {
            self.distribute(&packet, now);
        }
    }

    pub(super) fn next_mix(&self) -> Option<Instant> {
        self.mixers.values().filter_map(Mixer::poll_timeout).min()
    }

    /// Tracks that are no more are not mixed, and mixes that are no more are not made.
    pub(super) fn forget_sound(&mut self, conference: ConferenceId, tracks: &[TrackId]) {
        let Some(mixer) = self.mixers.get_mut(&conference) else { return };
        tracks.iter().for_each(|track| mixer.forget(*track));
        if mixer.is_idle() {
            self.mixers.remove(&conference);
        }
    }
}
