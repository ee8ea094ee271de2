//! What the signalling has the engine do.

use std::time::Instant;

use super::{Engine, guarded, mark};
use crate::api::{
    Command, Credentials, Event, LegId, LegSpec, Media, Mid, OutputSpec, Rid, TrackId, TrackSpec,
    Why,
};
use crate::ids::IdMap;
use crate::leg::{Leg, Sent, View};
use crate::output::Output;
use crate::peer::Peer;
use crate::track::Track;

impl<P: Peer> Engine<P> {
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Open(spec) => self.open(&spec, now),
            Command::Restart { leg, local, remote } => self.restart(leg, &local, &remote),
            Command::AddTrack { leg, track } => self.add_track(leg, &track),
            Command::RemoveTrack { track } => self.remove_track(track),
            Command::Forward { track, on } => self.forward(track, on),
            Command::AddOutput { leg, output } => self.add_output(leg, &output),
            Command::RemoveOutput { leg, mid } => self.remove_output(leg, &mid),
            Command::Pause { leg, mid, paused } => {
                self.change_output(leg, &mid, |_, output| {
                    output.paused = paused;
                    output.interrupt();
                });
            }
            Command::Record { conference, on } => self.record(conference, on),
            Command::AddMix { leg, track } => self.add_mix(leg, &track, now),
            Command::Switch { leg, mid, track, payloads } => {
                self.switch_output(leg, &mid, track, payloads, now);
            }
            Command::Limit { leg, mid, layer } => {
                self.change_output(leg, &mid, |track_layers, output| {
                    output.most = layer.as_ref().and_then(track_layers);
                });
            }
            Command::Watch { leg, speakers, own } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    leg.view = speakers.map(|speakers| View { speakers, own });
                }
            }
            Command::Data { leg, data } => self.set_data(leg, data),
            Command::Close { leg } => self.close(leg, None),
        }
    }

    fn open(&mut self, spec: &LegSpec, now: Instant) {
        let refused = Event::Closed { leg: spec.leg, why: Why::Refused };
        let known = self.legs.contains_key(&spec.leg);
        if known || self.legs.len() >= self.limits.legs {
            tracing::warn!(leg = spec.leg.0, known, "no place for a leg");
            self.events.push_back(refused);
            return;
        }
        let peer = guarded(|| P::open(&self.common, &self.here, spec, now));
        let named = peer.is_ok() && self.directory.name(&spec.local.ufrag, spec.leg);
        let peer = match peer {
            Ok(peer) if named => peer,
            other => {
                tracing::warn!(leg = spec.leg.0, error = ?other.err(), "leg not opened");
                self.events.push_back(refused);
                return;
            }
        };
        let mut leg = Leg::new(peer, spec, now);
        for track in &spec.tracks {
            leg.tracks.push(track.track);
            let made = Track::new(spec.leg, spec.conference, track, &spec.payloads);
            self.tracks.insert(track.track, made);
        }
        self.conferences.entry(spec.conference).or_default().legs += 1;
        for output in &spec.outputs {
            attach(&mut self.tracks, &mut leg, output);
        }
        self.legs.insert(spec.leg, leg);
        self.stage(spec.leg);
        self.set_data(spec.leg, spec.data);
        self.drive(spec.leg, now);
    }

    /// Who may speak and be seen is among those of whom the last speakers are shown.
    fn stage(&mut self, id: LegId) {
        let Some(leg) = self.legs.get(&id) else { return };
        let sends = |media| {
            leg.tracks.iter().any(|track| self.tracks.get(track).is_some_and(|t| t.media == media))
        };
        if sends(Media::Audio)
            && sends(Media::Video)
            && let Some(conference) = self.conferences.get_mut(&leg.conference)
        {
            conference.stage.enter(id);
        }
    }

    fn restart(&mut self, id: LegId, local: &Credentials, remote: &Credentials) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if self.directory.rename(&local.ufrag, id) {
            leg.peer.restart(local, remote);
            mark(&mut self.dirty, leg);
        }
    }

    fn add_track(&mut self, id: LegId, spec: &TrackSpec) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if self.tracks.contains_key(&spec.track) {
            return;
        }
        match guarded(|| leg.peer.add_track(spec)) {
            Ok(()) => {
                let track = Track::new(id, leg.conference, spec, &leg.payloads);
                leg.tracks.push(spec.track);
                self.tracks.insert(spec.track, track);
                mark(&mut self.dirty, leg);
                self.stage(id);
            }
            Err(error) => tracing::warn!(leg = id.0, %error, "track not added"),
        }
    }

    fn remove_track(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(&id) else { return };
        if let Some(conference) = self.conferences.get_mut(&track.conference) {
            conference.speakers.forget(id);
        }
        if let Some(leg) = self.legs.get_mut(&track.leg) {
            leg.tracks.retain(|known| *known != id);
            leg.peer.remove_track(id);
            mark(&mut self.dirty, leg);
        }
        self.forget_sound(track.conference, &[id]);
        self.lay_to_rest(track);
    }

    fn forward(&mut self, id: TrackId, on: bool) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        track.forwarded = on;
        if !on {
            track.outputs.iter_mut().for_each(Output::interrupt);
            if let Some(conference) = self.conferences.get_mut(&track.conference) {
                conference.speakers.forget(id);
            }
        }
    }

    fn add_output(&mut self, id: LegId, spec: &OutputSpec) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        match guarded(|| leg.peer.add_output(spec)) {
            Ok(()) => {
                attach(&mut self.tracks, leg, spec);
                mark(&mut self.dirty, leg);
            }
            Err(error) => tracing::warn!(leg = id.0, %error, "output not added"),
        }
    }

    fn remove_output(&mut self, id: LegId, mid: &Mid) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(place) = leg.outputs.iter().position(|sent| sent.mid == *mid) else { return };
        let sent = leg.outputs.swap_remove(place);
        leg.peer.remove_output(sent.source);
        mark(&mut self.dirty, leg);
        self.detach(id, &sent);
    }

    fn change_output(
        &mut self,
        id: LegId,
        mid: &Mid,
        change: impl FnOnce(&dyn Fn(&Rid) -> Option<usize>, &mut Output),
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(sent) = leg.outputs.iter_mut().find(|sent| sent.mid == *mid) else { return };
        if let Some(output) = &mut sent.resting {
            return change(&|_| None, output);
        }
        let Some(track) = self.tracks.get_mut(&sent.track) else { return };
        let mut outputs = std::mem::take(&mut track.outputs);
        let found =
            outputs.iter_mut().find(|output| (output.leg, output.source) == (id, sent.source));
        if let Some(output) = found {
            change(&|rid| track.place_of(rid), output);
        }
        track.outputs = outputs;
    }
}

/// A track that is not there, or is gone meanwhile, leaves its output silent.
fn attach<P>(tracks: &mut IdMap<TrackId, Track>, leg: &mut Leg<P>, spec: &OutputSpec) {
    let OutputSpec { track, source, ref mid, .. } = *spec;
    let mut resting = Some(Output::new(leg.id, spec));
    if let Some(track) = tracks.get_mut(&track) {
        track.outputs.extend(resting.take());
    }
    leg.outputs.push(Sent { mid: mid.clone(), source, track, next: None, resting });
}
