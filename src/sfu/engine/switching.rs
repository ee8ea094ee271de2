//! Outputs that show one track after the other, such as who speaks.

use std::time::Instant;

use super::Engine;
use crate::api::{LegId, Mid, TrackId};
use crate::leg::Sent;
use crate::output::Output;
use crate::peer::bitstream::begins;
use crate::peer::{Packet, Peer};
use crate::track::{Entrant, Track};

impl<P: Peer> Engine<P> {
    /// Until the new track has a picture that stands alone, the old one goes on.
    pub(super) fn switch_output(
        &mut self,
        id: LegId,
        mid: &Mid,
        to: TrackId,
        payloads: Vec<(u8, u8)>,
        now: Instant,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(sent) = leg.outputs.iter_mut().find(|sent| sent.mid == *mid) else { return };
        let source = sent.source;
        let before = sent.next.replace(to);
        if let Some(track) = before.and_then(|before| self.tracks.get_mut(&before)) {
            track.turn_away(id, source);
        }
        let Some(track) = self.tracks.get_mut(&to) else { return };
        track.entrants.push(Entrant { leg: id, source, payloads });
        let layer = track.target(None, now);
        track.want(layer);
        self.ask(to, layer, now);
    }

    /// Lets in who waits for a track, if a receiver can begin with this packet.
    pub(super) fn let_in(&mut self, packet: &Packet, now: Instant) {
        let Some(track) = self.tracks.get_mut(&packet.track) else { return };
        if track.entrants.is_empty() || !track.forwarded || packet.layer != track.target(None, now)
        {
            return;
        }
        if !track.codec(packet.pt).is_some_and(|codec| begins(codec, &packet.payload)) {
            track.want(packet.layer);
            return;
        }
        for Entrant { leg: id, source, payloads } in std::mem::take(&mut track.entrants) {
            let Some(mut output) = self.take_out(id, source, packet.track) else { continue };
            output.follow(payloads);
            if let Some(track) = self.tracks.get_mut(&packet.track) {
                track.outputs.push(output);
            }
        }
    }

    /// Takes an output from where it was.
    fn take_out(&mut self, id: LegId, source: u32, to: TrackId) -> Option<Output> {
        let leg = self.legs.get_mut(&id)?;
        let sent = leg.outputs.iter_mut().find(|sent| sent.source == source)?;
        sent.next = None;
        let from = std::mem::replace(&mut sent.track, to);
        let resting = sent.resting.take();
        resting.or_else(|| self.tracks.get_mut(&from)?.release(id, source))
    }

    /// The outputs of a track that is no more rest, until they are switched to another one.
    pub(super) fn lay_to_rest(&mut self, track: Track) {
        for mut output in track.outputs {
            let Some(leg) = self.legs.get_mut(&output.leg) else { continue };
            let source = output.source;
            if let Some(sent) = leg.outputs.iter_mut().find(|sent| sent.source == source) {
                output.interrupt();
                sent.resting = Some(output);
            }
        }
    }

    /// Somebody gets this no more.
    pub(super) fn detach(&mut self, id: LegId, sent: &Sent) {
        for track in std::iter::once(sent.track).chain(sent.next) {
            if let Some(track) = self.tracks.get_mut(&track) {
                track.turn_away(id, sent.source);
                track.release(id, sent.source);
            }
        }
    }
}
