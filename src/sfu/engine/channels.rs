//! Data channels: what one opens, all others in the conference who have data channels get as one of
//! their own, and what anybody writes on it everybody else gets.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Engine, mark};
use crate::api::{ConferenceId, Data, LegId};
use crate::leg::Leg;
use crate::peer::{Channel, ChannelSpec, MAX_MESSAGE, Message, Peer, Reliability};

/// Channels that one client may have opened.
const MAX_CHANNELS: usize = 8;
/// Octets of a label and of the name of a protocol.
const MAX_NAME: usize = 256;
/// Octets that wait for one client, beside those that are on their way to it.
const MAX_WAITING: usize = 256 * 1024;
/// What a message takes up besides.
const OVERHEAD: usize = 64;

/// Of one conference.
#[derive(Default)]
pub struct Channels {
    /// Those who get what is written.
    legs: Vec<LegId>,
    relays: Vec<Relay>,
}

/// A channel that all have.
struct Relay {
    /// By whom it was opened: it ends with that one.
    owner: LegId,
    spec: ChannelSpec,
    ends: Vec<End>,
}

/// What it is for one of them.
struct End {
    leg: LegId,
    channel: Channel,
    /// What it could not be sent yet.
    waiting: VecDeque<Message>,
}

impl End {
    fn new(leg: LegId, channel: Channel) -> End {
        End { leg, channel, waiting: VecDeque::new() }
    }

    /// `false`: the client is too slow to be told everything.
    fn send<P: Peer>(&mut self, leg: &mut Leg<P>, message: &Message) -> bool {
        if self.waiting.is_empty() && leg.peer.write_channel(self.channel, message) {
            return true;
        }
        let size = size(message);
        if leg.waiting + size > MAX_WAITING {
            return false;
        }
        leg.waiting += size;
        self.waiting.push_back(message.clone());
        true
    }

    /// Whether anything was written of what waits.
    fn send_waiting<P: Peer>(&mut self, leg: &mut Leg<P>) -> bool {
        let before = self.waiting.len();
        while let Some(message) = self.waiting.front()
            && leg.peer.write_channel(self.channel, message)
        {
            leg.waiting = leg.waiting.saturating_sub(size(message));
            self.waiting.pop_front();
        }
        self.waiting.len() < before
    }

    fn close<P: Peer>(self, leg: &mut Leg<P>) {
        let waiting: usize = self.waiting.iter().map(size).sum();
        leg.waiting = leg.waiting.saturating_sub(waiting);
        leg.peer.close_channel(self.channel);
    }
}

/// str0m sends no empty message (RFC 8831, section 6.6).
fn is_passed_on(message: &Message) -> bool {
    let is_readable = message.binary || std::str::from_utf8(&message.data).is_ok();
    (1..=MAX_MESSAGE).contains(&message.data.len()) && is_readable
}

fn size(message: &Message) -> usize {
    message.data.len() + OVERHEAD
}

impl Relay {
    fn place(&self, leg: LegId, channel: Channel) -> Option<usize> {
        self.ends.iter().position(|end| (end.leg, end.channel) == (leg, channel))
    }
}

impl<P: Peer> Engine<P> {
    /// Whether data channels pass a leg from now on.
    pub(super) fn set_data(&mut self, id: LegId, data: Data) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let before = std::mem::replace(&mut leg.data, data);
        let conference = leg.conference;
        match (before, data) {
            (Data::Off, Data::Reads | Data::Writes) => self.begin_data(id, conference),
            (Data::Reads | Data::Writes, Data::Off) => {
                self.end_relays(conference, |relay| relay.owner == id);
                self.end_data(id, conference);
            }
            (Data::Writes, Data::Reads) => self.end_relays(conference, |relay| relay.owner == id),
            _ => {}
        }
    }

    fn begin_data(&mut self, id: LegId, conference: ConferenceId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.peer.start_data();
        let channels = self.channels.entry(conference).or_default();
        channels.legs.push(id);
        for relay in &mut channels.relays {
            relay.ends.push(End::new(id, leg.peer.open_channel(&relay.spec)));
        }
        mark(&mut self.dirty, leg);
    }

    fn end_data(&mut self, id: LegId, conference: ConferenceId) {
        let Some(channels) = self.channels.get_mut(&conference) else { return };
        channels.legs.retain(|leg| *leg != id);
        for relay in &mut channels.relays {
            let Some(place) = relay.ends.iter().position(|end| end.leg == id) else { continue };
            let end = relay.ends.swap_remove(place);
            if let Some(leg) = self.legs.get_mut(&id) {
                end.close(leg);
            }
        }
        if channels.legs.is_empty() {
            self.channels.remove(&conference);
        }
        if let Some(leg) = self.legs.get_mut(&id) {
            mark(&mut self.dirty, leg);
        }
    }

    fn end_relays(&mut self, conference: ConferenceId, which: impl Fn(&Relay) -> bool) {
        let Some(channels) = self.channels.get_mut(&conference) else { return };
        let ended: Vec<Relay> = channels.relays.extract_if(.., |relay| which(relay)).collect();
        ended.into_iter().for_each(|relay| self.end_relay(relay));
    }

    fn end_relay(&mut self, relay: Relay) {
        for end in relay.ends {
            if let Some(leg) = self.legs.get_mut(&end.leg) {
                end.close(leg);
                mark(&mut self.dirty, leg);
            }
        }
    }

    /// A client has opened a channel.
    pub(super) fn opened(&mut self, id: LegId, channel: Channel, spec: ChannelSpec, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(channels) = self.channels.get_mut(&leg.conference) else { return };
        let owned = channels.relays.iter().filter(|relay| relay.owner == id).count();
        let allowed = leg.data == Data::Writes
            && owned < MAX_CHANNELS
            && spec.label.len() <= MAX_NAME
            && spec.protocol.len() <= MAX_NAME
            && leg.allowance.take(spec.label.len() + spec.protocol.len(), now);
        if !allowed {
            leg.peer.close_channel(channel);
            return mark(&mut self.dirty, leg);
        }
        let mut relay = Relay { owner: id, spec, ends: vec![End::new(id, channel)] };
        for other in channels.legs.iter().filter(|other| **other != id) {
            let Some(leg) = self.legs.get_mut(other) else { continue };
            relay.ends.push(End::new(*other, leg.peer.open_channel(&relay.spec)));
            mark(&mut self.dirty, leg);
        }
        channels.relays.push(relay);
    }

    /// A client has written something.
    pub(super) fn relay(&mut self, id: LegId, channel: Channel, message: &Message, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.data != Data::Writes || !is_passed_on(message) {
            return;
        }
        if !leg.allowance.take(message.data.len(), now) {
            // What was sent cannot be put off, and a hole in it would not be seen.
            return self.end_channel(id, channel);
        }
        let Some(channels) = self.channels.get_mut(&leg.conference) else { return };
        let mut relays = channels.relays.iter_mut();
        let Some(relay) = relays.find(|relay| relay.place(id, channel).is_some()) else { return };
        let loses = relay.spec.reliability != Reliability::Whole;
        // Who is to get all or nothing and does not take it.
        let mut slow = Vec::new();
        for end in relay.ends.iter_mut().filter(|end| (end.leg, end.channel) != (id, channel)) {
            let Some(leg) = self.legs.get_mut(&end.leg) else { continue };
            if !end.send(leg, message) && !loses {
                slow.push((end.leg, end.channel));
            }
            mark(&mut self.dirty, leg);
        }
        for (leg, channel) in slow {
            self.end_channel(leg, channel);
        }
    }

    /// A channel is over for a client: when it has opened it, for all.
    pub(super) fn end_channel(&mut self, id: LegId, channel: Channel) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(channels) = self.channels.get_mut(&leg.conference) else { return };
        let mut relays = channels.relays.iter().enumerate();
        let found = relays.find_map(|(at, relay)| Some((at, relay.place(id, channel)?)));
        let Some((at, place)) = found else { return };
        if channels.relays[at].owner == id {
            let relay = channels.relays.swap_remove(at);
            return self.end_relay(relay);
        }
        channels.relays[at].ends.swap_remove(place).close(leg);
        mark(&mut self.dirty, leg);
    }

    /// The client has taken something, so there may be room for more.
    pub(super) fn write_waiting(&mut self, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| leg.waiting > 0) else { return };
        let Some(channels) = self.channels.get_mut(&leg.conference) else { return };
        let ends = channels.relays.iter_mut().flat_map(|relay| &mut relay.ends);
        let mut written = false;
        for end in ends.filter(|end| end.leg == id) {
            written |= end.send_waiting(leg);
        }
        if written {
            mark(&mut self.dirty, leg);
        }
    }
    /// Octets that wait for a client.
    #[cfg(test)]
    pub(crate) fn waiting_for(&self, id: LegId) -> Option<usize> {
        self.legs.get(&id).map(|leg| leg.waiting)
    }
}
