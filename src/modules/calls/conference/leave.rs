//! Going: by will, by the room's rules, or because media does not pass.

use std::collections::HashMap;

use wello_sfu::api::{Command, LegId, TrackId, Why};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{Action, Condition, Content, Jingle, Senders};

use super::super::dialects::content;
use super::offers::Gone;
use super::{Conference, Dice, Effects, Guest, Up, session, unknown_session};

/// Why a device is in the room no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// By itself, or its connection was lost.
    Left,
    /// Kicked, banned, no member any more.
    Removed,
    Destroyed,
    /// The server goes down.
    ShutDown,
    /// Nobody else was there for long.
    Idle,
}

impl Parting {
    fn condition(self) -> Condition {
        match self {
            Parting::Left => Condition::Success,
            Parting::Removed => Condition::SecurityError,
            Parting::Destroyed | Parting::ShutDown => Condition::Gone,
            Parting::Idle => Condition::Timeout,
        }
    }
}

impl Conference {
    /// session-terminate of a client.
    pub fn terminate(
        &mut self,
        jid: &FullJid,
        sid: &str,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        if person.sends(sid) {
            self.end_up(jid, sid, Condition::Success, dice, fx);
            self.tell_roster(dice, fx);
            return Ok(());
        }
        let place = person.downs.iter().position(|down| down.sid == sid);
        let down = person.downs.swap_remove(place.ok_or_else(unknown_session)?);
        fx.media.extend(down.close());
        Ok(())
    }

    /// The engine has given up a transport.
    pub fn closed(&mut self, leg: LegId, why: Why, dice: &mut dyn Dice, fx: &mut Effects) {
        let condition = match why {
            Why::Unreachable => Condition::ConnectivityError,
            Why::Insecure => Condition::SecurityError,
            Why::Hangup => Condition::Success,
            Why::Refused => Condition::FailedTransport,
        };
        let sender = self
            .people
            .iter()
            .find_map(|(jid, person)| Some((jid.clone(), person.sends_over(leg)?.to_owned())));
        if let Some((jid, sid)) = sender {
            self.end(&jid, &sid, condition, dice, fx);
            self.end_up(&jid, &sid, Condition::Success, dice, fx);
            self.tell_roster(dice, fx);
        } else {
            self.lose(leg, condition, dice, fx);
        }
    }

    /// Somebody does not get any more what comes over this transport.
    fn lose(&mut self, leg: LegId, why: Condition, dice: &mut dyn Dice, fx: &mut Effects) {
        let lost = self.people.iter_mut().find_map(|(jid, person)| {
            let place = person.downs.iter().position(|down| down.leg == leg)?;
            Some((jid.clone(), person.downs.swap_remove(place)))
        });
        let Some((jid, down)) = lost else { return };
        let stays = self.people.get(&jid).is_some_and(|person| person.adapter().stays_home());
        match stays {
            true => self.tell_gone(&jid, &Gone::lost(down, why), dice, fx),
            false => self.end(&jid, &down.sid, why, dice, fx),
        }
    }

    /// Media passes on a transport.
    pub fn connected(&mut self, leg: LegId, dice: &mut dyn Dice, fx: &mut Effects) {
        let up = self.people.values_mut().flat_map(|person| person.ups.iter_mut());
        if let Some(up) = up.into_iter().find(|up| up.leg == leg && !up.connected) {
            up.connected = true;
            self.tell_roster(dice, fx);
        }
    }

    /// Somebody goes.
    pub fn part(&mut self, jid: &FullJid, why: Parting, dice: &mut dyn Dice, fx: &mut Effects) {
        if self.people.contains_key(jid) {
            self.put_out(jid, why, dice, fx);
            self.tell_roster(dice, fx);
        }
    }

    /// The room has changed: who is in it with which rights, and why some are not any more.
    pub fn room_changed(
        &mut self,
        guests: &HashMap<FullJid, Guest>,
        why: &dyn Fn(&FullJid) -> Parting,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let mut changed = false;
        let here: Vec<FullJid> = self.people.keys().cloned().collect();
        for jid in here {
            let Some(guest) = guests.get(&jid) else {
                self.put_out(&jid, why(&jid), dice, fx);
                changed = true;
                continue;
            };
            let Some(person) = self.people.get_mut(&jid) else { continue };
            let before = std::mem::replace(&mut person.guest, guest.clone());
            changed |= before != *guest;
            if before.shows_call && !guest.shows_call {
                self.put_out(&jid, Parting::Left, dice, fx);
                continue;
            }
            match (before.voice, guest.voice) {
                (true, false) => self.silence(&jid, dice, fx),
                (false, true) => self.let_speak(&jid, dice, fx),
                _ => {}
            }
        }
        if changed {
            self.tell_roster(dice, fx);
        }
    }

    fn put_out(&mut self, jid: &FullJid, why: Parting, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.get(jid) else { return };
        for up in &person.ups {
            self.end(jid, &up.sid, why.condition(), dice, fx);
        }
        self.remove(jid, why.condition(), dice, fx);
    }

    /// A session by which somebody sent is no more; with the last one, the participant is gone.
    fn end_up(
        &mut self,
        jid: &FullJid,
        sid: &str,
        own: Condition,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(jid) else { return };
        let is_home = person.adapter().stays_home() && person.home() == sid;
        if is_home || person.ups.iter().all(|up| up.sid == sid) {
            let others = person.ups.iter().filter(|up| up.sid != sid);
            for other in others.map(|up| up.sid.clone()).collect::<Vec<_>>() {
                self.end(jid, &other, own, dice, fx);
            }
            return self.remove(jid, own, dice, fx);
        }
        let Some(place) = person.ups.iter().position(|up| up.sid == sid) else { return };
        let up = person.ups.remove(place);
        self.end_stream(&up, dice, fx);
    }

    /// Somebody is not in the conference any more; the sessions by which it sent have been ended.
    fn remove(&mut self, jid: &FullJid, own: Condition, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.remove(jid) else { return };
        let stays_home = person.adapter().stays_home();
        for up in &person.ups {
            self.end_stream(up, dice, fx);
        }
        for down in person.downs {
            if !stays_home {
                self.end_as(person.called.clone(), jid, &down.sid, own, dice, fx);
            }
            fx.media.extend(down.close());
        }
        let others = person.plain.into_iter().flat_map(|plain| plain.others);
        fx.media.extend(others.map(|(_, leg)| Command::Close { leg }));
    }

    /// Nobody gets this any more.
    fn end_stream(&mut self, up: &Up, dice: &mut dyn Dice, fx: &mut Effects) {
        fx.media.push(Command::Close { leg: up.leg });
        self.withdraw(&tracks(up), dice, fx);
    }

    /// Voice was taken away: the client is told to send no more, and nobody hears it.
    fn silence(&mut self, jid: &FullJid, dice: &mut dyn Dice, fx: &mut Effects) {
        let silenced = self.people.get(jid).map(|person| person.adapter().silenced());
        self.modify_all(jid, silenced.unwrap_or(Senders::None), dice, fx);
        let Some(person) = self.people.get_mut(jid) else { return };
        for sent in person.ups.iter_mut().flat_map(|up| &mut up.contents) {
            sent.sending = false;
            fx.media.push(Command::Forward { track: sent.track, on: false });
        }
        person.tell_data(fx);
        let silenced: Vec<TrackId> = person.ups.iter().flat_map(tracks).collect();
        self.withdraw(&silenced, dice, fx);
    }

    fn let_speak(&mut self, jid: &FullJid, dice: &mut dyn Dice, fx: &mut Effects) {
        let taken = self.people.get(jid).map(|person| person.adapter().taken());
        self.modify_all(jid, taken.unwrap_or(Senders::Initiator), dice, fx);
        let Some(person) = self.people.get_mut(jid) else { return };
        person.tell_data(fx);
        let mut streams = Vec::new();
        for up in &mut person.ups {
            for sent in up.contents.iter_mut().filter(|sent| sent.offered.sends) {
                sent.sending = true;
                fx.media.push(Command::Forward { track: sent.track, on: true });
            }
            streams.push(up.stream.clone());
        }
        for stream in streams {
            self.offer_stream(jid, &stream, dice, fx);
        }
    }

    /// content-modify for all that somebody sends.
    fn modify_all(&self, jid: &FullJid, senders: Senders, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.get(jid) else { return };
        for up in &person.ups {
            let sends = up.contents.iter().filter(|sent| sent.offered.sends);
            let contents: Vec<Content> = sends
                .map(|sent| Content {
                    senders: Some(senders),
                    ..content(sent.offered.mid.as_str())
                })
                .collect();
            if !contents.is_empty() {
                let jingle = Jingle { contents, ..session(Action::ContentModify, &up.sid) };
                self.send(jid, &jingle, dice, fx);
            }
        }
    }
}

fn tracks(up: &Up) -> Vec<TrackId> {
    up.contents.iter().map(|sent| sent.track).collect()
}
