//! A source of audio or video, and who gets it.

use std::time::{Duration, Instant};

use crate::api::{Codec, ConferenceId, LegId, Payload, Rid, TrackSpec};
use crate::output::Output;

/// At least this long between two requests for a picture that stands alone: they are expensive
/// for the sender, and one serves all who asked.
const ASK_AGAIN: Duration = Duration::from_millis(400);
/// A layer from which nothing comes for this long is not sent at the moment.
const LAYER_SILENT: Duration = Duration::from_secs(2);

pub struct Track {
    pub leg: LegId,
    pub conference: ConferenceId,
    /// Whether anybody gets it.
    pub forwarded: bool,
    pub outputs: Vec<Output>,
    /// Outputs that are to come over from another track.
    pub entrants: Vec<Entrant>,
    /// As it is recorded, if it is.
    pub tape: Option<Output>,
    rids: Vec<Rid>,
    layers: Vec<Layer>,
    payloads: Vec<Payload>,
}

/// An output that waits for a picture that stands alone.
pub struct Entrant {
    pub leg: LegId,
    pub source: u32,
    /// What it calls the payload types of this track.
    pub payloads: Vec<(u8, u8)>,
}

#[derive(Clone, Default)]
struct Layer {
    last: Option<Instant>,
    /// Somebody waits for a picture that stands alone.
    wanted: bool,
    asked: Option<Instant>,
}

impl Track {
    pub fn new(leg: LegId, conference: ConferenceId, spec: &TrackSpec, all: &[Payload]) -> Track {
        Track {
            leg,
            conference,
            forwarded: spec.forwarded,
            outputs: Vec::new(),
            entrants: Vec::new(),
            tape: None,
            layers: vec![Layer::default(); spec.layers.len().max(1)],
            rids: spec.layers.clone(),
            payloads: all.to_vec(),
        }
    }

    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.payloads.iter().map(|payload| payload.pt)
    }

    pub fn codec(&self, pt: u8) -> Option<Codec> {
        self.payloads.iter().find(|payload| payload.pt == pt).map(|payload| payload.codec)
    }

    /// Gives an output away.
    pub fn release(&mut self, leg: LegId, source: u32) -> Option<Output> {
        let is_it = |output: &Output| (output.leg, output.source) == (leg, source);
        let place = self.outputs.iter().position(is_it)?;
        Some(self.outputs.swap_remove(place))
    }

    /// An output is not to come over any more.
    pub fn turn_away(&mut self, leg: LegId, source: u32) {
        self.entrants.retain(|entrant| (entrant.leg, entrant.source) != (leg, source));
    }

    pub fn place_of(&self, rid: &Rid) -> Option<usize> {
        self.rids.iter().position(|layer| layer == rid)
    }

    /// A packet of a layer has come.
    pub fn seen(&mut self, layer: usize, now: Instant) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.last = Some(now);
        }
    }

    /// The layer to send to somebody who wants this one at the most: the best one that comes.
    pub fn target(&self, most: Option<usize>, now: Instant) -> usize {
        let comes = |layer: &Layer| layer.last.is_some_and(|last| now < last + LAYER_SILENT);
        let most = most.unwrap_or(usize::MAX).min(self.layers.len() - 1);
        let below = (0..=most).rev().find(|layer| comes(&self.layers[*layer]));
        let above = || (most..self.layers.len()).find(|layer| comes(&self.layers[*layer]));
        below.or_else(above).unwrap_or(most)
    }

    pub fn want(&mut self, layer: usize) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.wanted = true;
        }
    }

    /// Whether the sender is to be asked for a picture of this layer now.
    pub fn ask(&mut self, layer: usize, now: Instant) -> bool {
        let Some(layer) = self.layers.get_mut(layer).filter(|layer| layer.wanted) else {
            return false;
        };
        if layer.asked.is_some_and(|asked| now < asked + ASK_AGAIN) {
            return false;
        }
        layer.wanted = false;
        layer.asked = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Media, Mid, TrackId};

    fn track(layers: &[&str]) -> Track {
        let spec = TrackSpec {
            track: TrackId(1),
            mid: Mid::new("v").unwrap(),
            media: Media::Video,
            sources: Vec::new(),
            layers: layers.iter().map(|name| Rid::new(name).unwrap()).collect(),
            forwarded: true,
        };
        Track::new(LegId(1), ConferenceId(1), &spec, &[])
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn the_best_layer_that_comes_is_sent() {
        let now = Instant::now();
        let mut track = track(&["l", "m", "h"]);
        assert_eq!(track.target(None, now), 2);
        track.seen(0, now);
        assert_eq!((track.target(None, now), track.target(Some(1), now)), (0, 0));
        track.seen(2, now);
        assert_eq!((track.target(None, now), track.target(Some(1), now)), (2, 0));
        let later = now + LAYER_SILENT;
        track.seen(2, later);
        // Nothing so small comes any more: better a big one than none.
        assert_eq!((track.target(None, later), track.target(Some(0), later)), (2, 2));
        assert_eq!(track.place_of(&Rid::new("m").unwrap()), Some(1));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn requests_for_pictures_are_gathered() {
        let now = Instant::now();
        let mut track = track(&[]);
        assert!(!track.ask(0, now));
        track.want(0);
        track.want(0);
        assert!(track.ask(0, now) && !track.ask(0, now));
        track.want(0);
        assert!(!track.ask(0, now + ASK_AGAIN / 2) && track.ask(0, now + ASK_AGAIN));
        track.want(7);
        assert!(!track.ask(7, now));
    }
}
