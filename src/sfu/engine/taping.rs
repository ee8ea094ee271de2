//! Conferences that are recorded: the tape gets each track as a receiver would.

use std::time::Instant;

use super::Engine;
use crate::api::ConferenceId;
use crate::output::{Output, Verdict};
use crate::peer::bitstream::header;
use crate::peer::{Packet, Peer};
use crate::tape::Taped;

impl<P: Peer> Engine<P> {
    pub(super) fn record(&mut self, conference: ConferenceId, on: bool) {
        if on {
            self.recorded.insert(conference);
            return;
        }
        self.recorded.remove(&conference);
        for track in self.tracks.values_mut().filter(|track| track.conference == conference) {
            track.tape = None;
        }
    }

    /// Puts a packet on the tape, if its conference is recorded.
    pub(super) fn tape(&mut self, packet: &Packet, now: Instant) {
        if self.recorded.is_empty() {
            return;
        }
        let Some(track) = self.tracks.get_mut(&packet.track) else { return };
        if !track.forwarded || !self.recorded.contains(&track.conference) {
            return;
        }
        let Some(codec) = track.codec(packet.pt) else { return };
        let mut output =
            track.tape.take().unwrap_or_else(|| Output::tape(codec, track.payload_types()));
        let target = track.target(None, now);
        match output.take(packet, &header(codec, &packet.payload), target) {
            Verdict::Send(sending) => {
                let taped = Taped {
                    conference: track.conference,
                    track: packet.track,
                    codec,
                    seq: sending.seq,
                    timestamp: sending.timestamp,
                    marker: sending.marker,
                    arrived: sending.arrived,
                    captured: packet.captured,
                    payload: sending.payload,
                };
                self.totals.untaped += u64::from(!self.tape.push(taped));
            }
            Verdict::NeedKeyframe(layer) => track.want(layer),
            Verdict::Drop => {}
        }
        track.tape = Some(output);
        // Those whom nobody else gets are recorded too.
        self.ask(packet.track, packet.layer, now);
    }

    pub fn poll_taped(&mut self) -> Option<Taped> {
        self.tape.pop()
    }
}
