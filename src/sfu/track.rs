//! A source of audio or video, and who gets it.

use std::time::{Duration, Instant};

use crate::api::{Codec, ConferenceId, LegId, Media, Payload, Rid, TrackSpec};
use crate::choice::{Ladder, Rung, Step};
use crate::meter::Meter;
use crate::output::Output;
use crate::peer::Packet;
use crate::peer::bitstream::{self, Header};
use crate::peer::dependency::Descriptions;
use crate::thinning::ALL;

/// At least this long between two requests for a picture that stands alone: they are expensive
/// for the sender, and one serves all who asked.
const ASK_AGAIN: Duration = Duration::from_millis(400);
/// A layer from which nothing comes for this long is not sent at the moment.
const LAYER_SILENT: Duration = Duration::from_secs(2);
/// Temporal and spatial layers that are told apart; browsers send up to three of each.
const TEMPORAL: usize = 4;
const SPATIAL: usize = 3;

pub struct Track {
    pub leg: LegId,
    pub conference: ConferenceId,
    pub media: Media,
    /// Whether anybody gets it.
    pub forwarded: bool,
    /// Nobody gets it at the moment: its sender is silent, or others have spoken since.
    pub held_back: bool,
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
    /// Of each temporal layer of each spatial one.
    meters: [[Meter; TEMPORAL]; SPATIAL],
    descriptions: Descriptions,
}

impl Track {
    pub fn new(leg: LegId, conference: ConferenceId, spec: &TrackSpec, all: &[Payload]) -> Track {
        Track {
            leg,
            conference,
            media: spec.media,
            forwarded: spec.forwarded,
            held_back: false,
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

    /// As somebody gets it.
    pub fn output(&self, leg: LegId, source: u32) -> Option<&Output> {
        self.outputs.iter().find(|output| (output.leg, output.source) == (leg, source))
    }

    pub fn output_mut(&mut self, leg: LegId, source: u32) -> Option<&mut Output> {
        self.outputs.iter_mut().find(|output| (output.leg, output.source) == (leg, source))
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

    pub fn name_of(&self, layer: usize) -> Option<&Rid> {
        self.rids.get(layer)
    }

    /// What a packet says of its picture.
    pub fn header(&mut self, packet: &Packet, codec: Codec) -> Header {
        match (codec, &packet.descriptor, self.layers.get_mut(packet.layer)) {
            (Codec::Av1, Some(octets), Some(layer)) => {
                let frame = layer.descriptions.read(packet.seq, octets);
                bitstream::described(&packet.payload, frame)
            }
            _ => bitstream::header(codec, &packet.payload),
        }
    }

    /// A packet of a layer has come, so long and with this header.
    pub fn seen(&mut self, layer: usize, header: &Header, octets: usize, now: Instant) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.last = Some(now);
            let spatial = usize::from(header.spatial.id).min(SPATIAL - 1);
            let temporal = usize::from(header.temporal.id).min(TEMPORAL - 1);
            layer.meters[spatial][temporal].add(octets, now);
        }
    }

    /// What all layers together bring, in bit/s.
    pub fn rate(&self, now: Instant) -> u64 {
        let meters = self.layers.iter().flat_map(|layer| layer.meters.as_flattened());
        meters.map(|meter| meter.rate(now)).sum()
    }

    /// The steps that a receiver can have who wants this layer at the most.
    pub fn ladder(&self, most: Option<usize>, now: Instant) -> Ladder {
        let mut ladder = Ladder::default();
        let top = self.target(most, now);
        for (place, layer) in self.layers[..=top].iter().enumerate() {
            if layer.comes(now) || place == top {
                layer.climb(place, &mut ladder, now);
            }
        }
        ladder
    }

    /// The layer to send to somebody who wants this one at the most: the best one that comes.
    pub fn target(&self, most: Option<usize>, now: Instant) -> usize {
        let most = most.unwrap_or(usize::MAX).min(self.layers.len() - 1);
        let below = (0..=most).rev().find(|layer| self.layers[*layer].comes(now));
        let above = || (most..self.layers.len()).find(|layer| self.layers[*layer].comes(now));
        below.or_else(above).unwrap_or(most)
    }

    /// Nobody gets it until it stands alone again.
    pub fn hold_back(&mut self) {
        if !self.held_back {
            self.held_back = true;
            self.outputs.iter_mut().for_each(Output::interrupt);
        }
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

impl Layer {
    fn comes(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now < last + LAYER_SILENT)
    }

    /// Adds its steps, of which the last one has all of its layers.
    fn climb(&self, layer: usize, ladder: &mut Ladder, now: Instant) {
        let rates = self.meters.map(|meters| meters.map(|meter| meter.rate(now)));
        let comes = |spatial: &[u64; TEMPORAL]| spatial.iter().any(|rate| *rate > 0);
        let Some(best) = rates.iter().rposition(comes) else { return };
        // Of each temporal layer, in the spatial ones so far.
        let mut below = [0; TEMPORAL];
        for (spatial, more) in (0..).zip(&rates[..=best]) {
            below.iter_mut().zip(more).for_each(|(sum, rate)| *sum += rate);
            let Some(top) = below.iter().rposition(|rate| *rate > 0) else { continue };
            let spatial = if usize::from(spatial) == best { ALL } else { spatial };
            let mut rate = 0;
            for (temporal, more) in (0..).zip(&below[..=top]) {
                rate += more;
                let temporal = if usize::from(temporal) == top { ALL } else { temporal };
                ladder.put(Rung { step: Step { layer, spatial, temporal }, rate });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Media, Mid, TrackId};
    use crate::peer::bitstream::{Spatial, Temporal};

    fn header(spatial: u8, temporal: u8) -> Header {
        Header {
            spatial: Spatial { id: spatial, ..Spatial::default() },
            temporal: Temporal { id: temporal, ..Temporal::default() },
            ..Header::default()
        }
    }

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
        track.seen(0, &Header::default(), 100, now);
        assert_eq!((track.target(None, now), track.target(Some(1), now)), (0, 0));
        track.seen(2, &Header::default(), 100, now);
        assert_eq!((track.target(None, now), track.target(Some(1), now)), (2, 0));
        let later = now + LAYER_SILENT;
        track.seen(2, &Header::default(), 100, later);
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn a_ladder_has_what_comes_and_is_wanted() {
        let mut now = Instant::now();
        let mut track = track(&["l", "m", "h"]);
        assert_eq!(track.ladder(None, now).best(), None);
        for _ in 0..200 {
            now += Duration::from_millis(10);
            for (layer, temporal, octets) in [(0, 0, 125), (0, 1, 125), (2, 0, 1250)] {
                track.seen(layer, &header(0, temporal), octets, now);
            }
        }
        let best = |most| track.ladder(most, now).best();
        let whole = |layer| Step { layer, spatial: ALL, temporal: ALL };
        let rung = |layer, rate| Some(Rung { step: whole(layer), rate });
        assert_eq!(best(None), rung(2, 1_000_000));
        assert_eq!((best(Some(0)), best(Some(1))), (rung(0, 200_000), rung(0, 200_000)));
        assert_eq!(track.rate(now), 1_200_000);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn spatial_layers_are_steps_with_all_below_them() {
        let mut now = Instant::now();
        let mut track = track(&[]);
        for _ in 0..200 {
            now += Duration::from_millis(10);
            for (spatial, temporal, octets) in [(0, 0, 125), (0, 1, 125), (1, 0, 500), (1, 1, 250)]
            {
                track.seen(0, &header(spatial, temporal), octets, now);
            }
        }
        let ladder = track.ladder(None, now);
        let cost = |spatial, temporal| ladder.cost(Step { layer: 0, spatial, temporal });
        assert_eq!((cost(0, 0), cost(0, ALL)), (100_000, 200_000));
        assert_eq!((cost(ALL, 0), cost(ALL, ALL)), (500_000, 800_000));
        assert_eq!(ladder.best().unwrap().step, Step { layer: 0, spatial: ALL, temporal: ALL });
    }
}
