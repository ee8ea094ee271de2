//! What the engine tells of itself to those who ask.

use std::time::Duration;

use super::Engine;
use crate::api::{ConferenceId, LegFigures, OutputFigures};
use crate::leg::{Leg, Sent};
use crate::peer::Peer;
use crate::thinning::ALL;

/// Counted since the engine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub legs: usize,
    pub tracks: usize,
    pub conferences: usize,
    /// Media packets that came, and copies that were sent.
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Media packets that came and that nobody needed: of silent microphones, or of too many cameras.
    pub held_back: u64,
    /// Datagrams that belong to no leg.
    pub foreign: u64,
    /// Pictures that stand alone that were asked for.
    pub keyframes: u64,
    /// Packets that were to be recorded and are not: nobody fetched them in time.
    pub untaped: u64,
    /// Times that media could begin to pass, and the milliseconds that it took together.
    pub joins: u64,
    pub joining: u64,
    /// Mistakes of the implementation that ended a leg.
    pub panics: u64,
}

impl Totals {
    pub(super) fn joined(&mut self, after: Duration) {
        self.joins += 1;
        self.joining += u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    }
}

impl<P: Peer> Engine<P> {
    pub fn totals(&self) -> Totals {
        Totals {
            legs: self.legs.len(),
            tracks: self.tracks.len(),
            conferences: self.conferences.len(),
            ..self.totals
        }
    }

    /// How the legs of a conference do, in the order of their ids.
    pub fn figures(&self, conference: ConferenceId) -> Vec<LegFigures> {
        let legs = self.legs.values().filter(|leg| leg.conference == conference);
        let mut figures: Vec<LegFigures> = legs.map(|leg| self.leg_figures(leg)).collect();
        figures.sort_unstable_by_key(|figures| figures.leg);
        figures
    }

    /// The same of all legs.
    pub fn all_figures(&self) -> impl Iterator<Item = LegFigures> {
        self.legs.values().map(|leg| self.leg_figures(leg))
    }

    fn leg_figures(&self, leg: &Leg<P>) -> LegFigures {
        let report = leg.peer.report();
        LegFigures {
            leg: leg.id,
            joined_after: leg.joined_after,
            round_trip: report.round_trip,
            estimate: leg.estimate(),
            received: report.received,
            sent: report.sent,
            outputs: leg.outputs.iter().filter_map(|sent| self.output_figures(leg, sent)).collect(),
        }
    }

    fn output_figures(&self, leg: &Leg<P>, sent: &Sent) -> Option<OutputFigures> {
        let track = self.tracks.get(&sent.track)?;
        let output = track.output(leg.id, sent.source)?;
        let layer = output.sent();
        let temporal = layer.map(|layer| output.highest(layer).temporal);
        Some(OutputFigures {
            mid: sent.mid.clone(),
            track: sent.track,
            layer: layer.and_then(|layer| track.name_of(layer)).cloned(),
            temporal: temporal.filter(|temporal| *temporal != ALL),
            switches: output.switches,
        })
    }
}
