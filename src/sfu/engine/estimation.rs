//! What the networks of receivers carry, and which layers they get therefore.

use std::time::Instant;

use super::Engine;
use crate::api::{LegId, Media, TrackId};
use crate::choice::{Ladder, share};
use crate::ids::IdMap;
use crate::leg::Sent;
use crate::peer::Peer;
use crate::track::Track;

/// What an output would take.
#[derive(Default)]
struct Demand {
    /// In bit/s: sound is not chosen, it comes first.
    sound: u64,
    picture: Ladder,
}

impl<P: Peer> Engine<P> {
    /// Chooses the layers of what a leg gets, if it is time and its network is looked at.
    pub(super) fn choose(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(estimate) = leg.choosing(now) else { return };
        let demands = leg.outputs.iter().map(|sent| demand(&self.tracks, id, sent, now));
        let demands: Vec<Demand> = demands.collect();
        let sound: u64 = demands.iter().map(|demand| demand.sound).sum();
        let ladders: Vec<Ladder> = demands.into_iter().map(|demand| demand.picture).collect();
        let best: u64 = ladders.iter().filter_map(Ladder::best).map(|rung| rung.rate).sum();
        leg.peer.aspire(sound + best);
        let rooms = share(estimate.saturating_sub(sound), &ladders);
        for (sent, room) in leg.outputs.iter().zip(rooms) {
            let Some(room) = room else { continue };
            let Some(track) = self.tracks.get_mut(&sent.track) else { continue };
            if let Some(output) = track.output_mut(id, sent.source) {
                let reason = output.settle(room, now);
                tracing::trace!(leg = id.0, source = sent.source, estimate, ?reason, "layers");
            }
        }
    }
}

fn demand(tracks: &IdMap<TrackId, Track>, leg: LegId, sent: &Sent, now: Instant) -> Demand {
    let track = tracks.get(&sent.track).filter(|track| track.forwarded && !track.held_back);
    let output = track.and_then(|track| Some((track, track.output(leg, sent.source)?)));
    let Some((track, output)) = output.filter(|(_, output)| !output.is_idle()) else {
        return Demand::default();
    };
    match track.media {
        Media::Audio => Demand { sound: track.rate(now), ..Demand::default() },
        Media::Video => Demand { sound: 0, picture: track.ladder(output.most, now) },
    }
}
