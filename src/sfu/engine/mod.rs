//! Takes packets from those who send and gives them to those who receive.

mod channels;
mod commands;
mod estimation;
mod figures;
mod mixing;
mod switching;
mod taping;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::api::{ConferenceId, Data, Event, LegId, Media, TrackId, Why};
use crate::demux::{Directory, Kind, kind};
use crate::ids::IdMap;
use crate::leg::Leg;
use crate::mix::Mixer;
use crate::output::Verdict;
use crate::peer::webrtc::WebRtc;
use crate::peer::{Datagram, Outgoing, Packet, Peer, PeerError, Polled, Transport};
use crate::speaker::Speakers;
use crate::stage::Stage;
use crate::tape::Tape;
use crate::track::Track;

use self::channels::Channels;

pub use figures::Totals;

/// The engine of one shard: all legs of a conference are in the same one.
///
/// After each call of a `handle_…` what has to be sent waits in [`Engine::poll_outgoing`]; several
/// datagrams may be handled before it.
pub struct Engine<P: Peer = WebRtc> {
    common: P::Common,
    here: Vec<SocketAddr>,
    limits: Limits,
    legs: IdMap<LegId, Leg<P>>,
    tracks: IdMap<TrackId, Track>,
    conferences: IdMap<ConferenceId, Conference>,
    /// Of conferences in which somebody needs a mix.
    mixers: IdMap<ConferenceId, Mixer>,
    /// Of conferences in which somebody has data channels.
    channels: IdMap<ConferenceId, Channels>,
    recorded: HashSet<ConferenceId>,
    tape: Tape,
    directory: Directory,
    timers: BinaryHeap<Reverse<(Instant, LegId)>>,
    dirty: Vec<LegId>,
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<Event>,
    totals: Totals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transports at once.
    pub legs: usize,
    /// So many participants of a conference are seen, those who have spoken last; 0: all.
    pub last_speakers: usize,
}

/// A leg may want the next tick at once; so many in a row are enough.
const MAX_TICKS: usize = 100;

#[derive(Default)]
struct Conference {
    legs: usize,
    speakers: Speakers,
    stage: Stage,
}

impl<P: Peer> Engine<P> {
    /// `here`: where its socket is reached.
    pub fn new(common: P::Common, here: Vec<SocketAddr>, limits: Limits) -> Engine<P> {
        Engine {
            common,
            here,
            limits,
            legs: IdMap::default(),
            tracks: IdMap::default(),
            conferences: IdMap::default(),
            mixers: IdMap::default(),
            channels: IdMap::default(),
            recorded: HashSet::new(),
            tape: Tape::default(),
            directory: Directory::default(),
            timers: BinaryHeap::new(),
            dirty: Vec::new(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    pub fn handle_datagram(&mut self, datagram: &Datagram<'_>, now: Instant) {
        let kind = kind(datagram.contents);
        let id = match kind {
            Kind::Check(ufrag) => self.directory.named(ufrag),
            Kind::Answer | Kind::Secured => {
                self.directory.at((datagram.transport, datagram.source))
            }
            Kind::Foreign => None,
        };
        let Some((id, leg)) = id.and_then(|id| Some((id, self.legs.get_mut(&id)?))) else {
            self.totals.foreign += 1;
            return;
        };
        let is_check = matches!(kind, Kind::Check(_));
        if kind != Kind::Secured
            && !guarded(|| Ok(leg.peer.accepts(datagram, now))).unwrap_or(false)
        {
            self.totals.foreign += 1;
            return;
        }
        if is_check {
            self.directory.proven(id, (datagram.transport, datagram.source));
        }
        let received = guarded(|| leg.peer.receive(datagram, now));
        match received {
            Ok(()) => {
                self.poll(id, now);
                self.write_waiting(id);
            }
            Err(error) => self.fail(id, error),
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(Reverse((at, id))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(leg) = self.legs.get_mut(&id) else { continue };
            if leg.timer == Some(at) {
                leg.timer = None;
            }
            if leg.is_given_up(now) {
                self.close(id, Some(Why::Unreachable));
            } else {
                self.choose(id, now);
                self.drive(id, now);
            }
        }
        self.mix(now);
    }

    /// When [`Engine::handle_timeout`] is to be called, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        timer.into_iter().chain(self.next_mix()).min()
    }

    /// Whether a valid connectivity check of a leg has come from there.
    pub fn knows(&self, transport: Transport, client: SocketAddr) -> bool {
        self.directory.at((transport, client)).is_some()
    }

    /// Leg by leg what was written to it: the first ones have it while others are still encrypted.
    pub fn poll_outgoing(&mut self, now: Instant) -> Option<Outgoing> {
        while self.outgoing.is_empty()
            && let Some(id) = self.dirty.pop()
        {
            if let Some(leg) = self.legs.get_mut(&id) {
                leg.dirty = false;
                self.drive(id, now);
            }
        }
        self.outgoing.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    #[cfg(test)]
    pub(crate) fn common_for_tests(&self) -> &P::Common {
        &self.common
    }

    fn drive(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        match guarded(|| leg.peer.tick(now)) {
            Ok(()) => self.poll(id, now),
            Err(error) => self.fail(id, error),
        }
    }

    /// Takes all that a leg has to say.
    fn poll(&mut self, id: LegId, now: Instant) {
        let mut ticks = 0;
        while let Some(leg) = self.legs.get_mut(&id) {
            match guarded(|| leg.peer.poll()) {
                Ok(Polled::Until(until)) if until <= now && ticks < MAX_TICKS => {
                    ticks += 1;
                    if let Err(error) = guarded(|| leg.peer.tick(now)) {
                        return self.fail(id, error);
                    }
                }
                Ok(Polled::Until(until)) => return self.rest(id, until),
                Ok(Polled::Send(outgoing)) => self.outgoing.push_back(outgoing),
                Ok(Polled::Connected) => self.connected(id, now),
                Ok(Polled::Estimate(rate)) => leg.estimated(rate, now),
                Ok(Polled::Lost) => leg.lose(now),
                Ok(Polled::Found) => leg.find(),
                Ok(Polled::Packet(packet)) => self.take(&packet, now),
                Ok(Polled::KeyframeWanted(source)) => self.keyframe_wanted(id, source, now),
                Ok(Polled::Opened(channel, spec)) => self.opened(id, channel, spec, now),
                Ok(Polled::Message(channel, message)) => self.relay(id, channel, &message, now),
                Ok(Polled::ChannelClosed(channel)) => self.end_channel(id, channel),
                Ok(Polled::Nothing) => {}
                Ok(Polled::Closed) => return self.close(id, Some(Why::Hangup)),
                Err(error) => return self.fail(id, error),
            }
        }
    }

    fn rest(&mut self, id: LegId, until: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let due = leg.due(until);
        if leg.timer.is_none_or(|timer| due < timer) {
            leg.timer = Some(due);
            self.timers.push(Reverse((due, id)));
        }
    }

    fn connected(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        self.totals.joined(leg.connect(now));
        self.events.push_back(Event::Connected { leg: id });
    }

    /// A packet has come from a client.
    fn take(&mut self, packet: &Packet, now: Instant) {
        self.totals.packets_in += 1;
        self.totals.bytes_in += packet.payload.len() as u64;
        self.listen(packet, now);
        self.let_in(packet, now);
        self.tape(packet, now);
        self.hear(packet);
        self.distribute(packet, now);
    }

    fn distribute(&mut self, packet: &Packet, now: Instant) {
        let is_held_back = self.is_held_back(packet.track);
        let Some(track) = self.tracks.get_mut(&packet.track).filter(|track| track.forwarded) else {
            return;
        };
        let Some(codec) = track.codec(packet.pt) else { return };
        let header = track.header(packet, codec);
        track.seen(packet.layer, &header, packet.payload.len(), now);
        if is_held_back {
            self.totals.held_back += 1;
            return track.hold_back();
        }
        track.held_back = false;
        let stage = self.conferences.get(&track.conference).map(|conference| &conference.stage);
        let mut outputs = std::mem::take(&mut track.outputs);
        for output in &mut outputs {
            let Some(leg) = self.legs.get_mut(&output.leg).filter(|leg| leg.connected) else {
                continue;
            };
            output.hidden =
                track.media == Media::Video
                    && leg.view.as_ref().zip(stage).is_some_and(|(view, stage)| {
                        !stage.shows(track.leg, view.speakers, &view.own)
                    });
            let target = track.target(output.ceiling(), now);
            match output.take(packet, &header, target) {
                Verdict::Send(sending) => {
                    self.totals.packets_out += 1;
                    self.totals.bytes_out += packet.payload.len() as u64;
                    leg.peer.write(sending);
                    mark(&mut self.dirty, leg);
                }
                Verdict::NeedKeyframe(layer) => track.want(layer),
                Verdict::Drop => {}
            }
            if output.waits() {
                track.want(packet.layer);
            }
        }
        track.outputs = outputs;
        self.ask(packet.track, packet.layer, now);
    }

    /// Who speaks?
    fn listen(&mut self, packet: &Packet, now: Instant) {
        let Some(level) = packet.marks.level else { return };
        let Some(track) = self.tracks.get(&packet.track) else { return };
        if !track.forwarded || track.media != Media::Audio {
            return;
        }
        let Some(conference) = self.conferences.get_mut(&track.conference) else { return };
        conference.speakers.heard(packet.track, level, now);
        if let Some(speaker) = conference.speakers.decide(now) {
            let speaking = speaker.and_then(|speaker| self.tracks.get(&speaker));
            if let Some(speaking) = speaking {
                conference.stage.speaks(speaking.leg);
            }
            self.events.push_back(Event::Speaker { conference: track.conference, track: speaker });
        }
    }

    /// Whether nobody needs to get it: a silent microphone, or the camera of one who has not spoken
    /// while many others have.
    fn is_held_back(&self, id: TrackId) -> bool {
        let Some(track) = self.tracks.get(&id) else { return false };
        let Some(conference) = self.conferences.get(&track.conference) else { return false };
        match track.media {
            Media::Audio => conference.speakers.is_idle(id),
            Media::Video => {
                let places = self.limits.last_speakers;
                places > 0 && !conference.stage.shows(track.leg, places, &[])
            }
        }
    }

    fn keyframe_wanted(&mut self, id: LegId, source: u32, now: Instant) {
        let Some(leg) = self.legs.get(&id) else { return };
        let Some(sent) = leg.outputs.iter().find(|sent| sent.source == source) else { return };
        let track_id = sent.track;
        let Some(track) = self.tracks.get_mut(&track_id) else { return };
        let output = track.output(id, source);
        let Some(layer) = output.map(|output| output.layer(track.target(output.ceiling(), now)))
        else {
            return;
        };
        track.want(layer);
        self.ask(track_id, layer, now);
    }

    /// Asks the sender, when somebody wants it and it was not asked a moment ago.
    fn ask(&mut self, id: TrackId, layer: usize, now: Instant) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        if !track.ask(layer, now) {
            return;
        }
        self.totals.keyframes += 1;
        let Some(leg) = self.legs.get_mut(&track.leg) else { return };
        leg.peer.request_keyframe(id, layer);
        mark(&mut self.dirty, leg);
    }

    fn fail(&mut self, id: LegId, error: PeerError) {
        if error == PeerError::Setup(PANICKED) {
            self.totals.panics += 1;
            tracing::error!(leg = id.0, "a leg panicked and is closed");
        }
        let why = match error {
            PeerError::Handshake => Why::Insecure,
            PeerError::Transport | PeerError::Setup(_) => Why::Hangup,
        };
        self.close(id, Some(why));
    }

    fn close(&mut self, id: LegId, why: Option<Why>) {
        self.set_data(id, Data::Off);
        let Some(leg) = self.legs.remove(&id) else { return };
        self.directory.forget(id);
        for track in &leg.tracks {
            if let Some(track) = self.tracks.remove(track) {
                self.lay_to_rest(track);
            }
        }
        leg.outputs.iter().for_each(|sent| self.detach(id, sent));
        self.forget_sound(leg.conference, &leg.tracks);
        if let Some(conference) = self.conferences.get_mut(&leg.conference) {
            leg.tracks.iter().for_each(|track| conference.speakers.forget(*track));
            conference.stage.leave(id);
            conference.legs -= 1;
            if conference.legs == 0 {
                self.conferences.remove(&leg.conference);
            }
        }
        if let Some(why) = why {
            self.events.push_back(Event::Closed { leg: id, why });
        }
    }
}

const PANICKED: &str = "it panicked";

/// What a stranger sends must not end the calls of others, even if it finds a mistake.
fn guarded<T>(work: impl FnOnce() -> Result<T, PeerError>) -> Result<T, PeerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(PeerError::Setup(PANICKED)))
}

fn mark<P>(dirty: &mut Vec<LegId>, leg: &mut Leg<P>) {
    if !leg.dirty {
        leg.dirty = true;
        dirty.push(leg.id);
    }
}
