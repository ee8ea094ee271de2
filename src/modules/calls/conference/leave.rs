//! Going: by will, by the room's rules, or because media does not pass.

use std::collections::HashMap;

use wello_sfu::api::{Command, LegId, Why};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{Action, Condition, Content, Jingle};

use super::plain::senders;
use super::{Conference, Dice, Effects, Guest, Person, session, unknown_session};

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
}

impl Parting {
    fn condition(self) -> Condition {
        match self {
            Parting::Left => Condition::Success,
            Parting::Removed => Condition::SecurityError,
            Parting::Destroyed | Parting::ShutDown => Condition::Gone,
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
        if person.ups.iter().any(|up| up.sid == sid) {
            self.end_up(jid, sid, dice, fx);
            self.tell_roster(dice, fx);
            return Ok(());
        }
        let place = person.downs.iter().position(|down| down.sid == sid);
        let down = person.downs.swap_remove(place.ok_or_else(unknown_session)?);
        fx.media.push(Command::Close { leg: down.leg });
        Ok(())
    }

    /// An error came to something of this session: it is not there.
    pub fn bounced(&mut self, jid: &FullJid, sid: &str) {
        let Some(person) = self.people.get_mut(jid) else { return };
        person.downs.retain(|down| down.sid != sid || down.accepted);
    }

    /// The engine has given up a transport.
    pub fn closed(&mut self, leg: LegId, why: Why, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some((jid, sid)) = self.owner(leg) else { return };
        let (jid, sid) = (jid.clone(), sid.to_owned());
        let condition = match why {
            Why::Unreachable => Condition::ConnectivityError,
            Why::Insecure => Condition::SecurityError,
            Why::Hangup => Condition::Success,
            Why::Refused => Condition::FailedTransport,
        };
        self.end(&jid, &sid, condition, dice, fx);
        let is_up =
            self.people.get(&jid).is_some_and(|person| person.ups.iter().any(|up| up.sid == sid));
        if is_up {
            self.end_up(&jid, &sid, dice, fx);
            self.tell_roster(dice, fx);
        } else if let Some(person) = self.people.get_mut(&jid) {
            person.downs.retain(|down| down.sid != sid);
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

    /// The room has changed: who is in it with which rights, and why some are not any more.
    pub fn room_changed(
        &mut self,
        guests: &HashMap<FullJid, Guest>,
        partings: &HashMap<FullJid, Parting>,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let mut changed = false;
        let here: Vec<FullJid> = self.people.keys().cloned().collect();
        for jid in here {
            let Some(guest) = guests.get(&jid) else {
                let why = partings.get(&jid).copied().unwrap_or(Parting::Left);
                self.put_out(&jid, why, dice, fx);
                changed = true;
                continue;
            };
            let Some(person) = self.people.get_mut(&jid) else { continue };
            let before = std::mem::replace(&mut person.guest, guest.clone());
            changed |= before != *guest;
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
        let sids: Vec<String> = person.ups.iter().map(|up| up.sid.clone()).collect();
        for sid in sids {
            self.end(jid, &sid, why.condition(), dice, fx);
            self.end_with(jid, &sid, why.condition(), dice, fx);
        }
    }

    /// A session by which somebody sent is no more; with the last one, the participant is gone.
    fn end_up(&mut self, jid: &FullJid, sid: &str, dice: &mut dyn Dice, fx: &mut Effects) {
        self.end_with(jid, sid, Condition::Success, dice, fx);
    }

    fn end_with(
        &mut self,
        jid: &FullJid,
        sid: &str,
        own: Condition,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(jid) else { return };
        let Some(place) = person.ups.iter().position(|up| up.sid == sid) else { return };
        let up = person.ups.remove(place);
        let is_last = person.ups.is_empty();
        fx.media.push(Command::Close { leg: up.leg });
        self.end_downs(&up.stream, dice, fx);
        if is_last && let Some(person) = self.people.remove(jid) {
            for down in person.downs {
                self.end(jid, &down.sid, own, dice, fx);
                fx.media.push(Command::Close { leg: down.leg });
            }
            let others = person.plain.into_iter().flat_map(|plain| plain.others);
            fx.media.extend(others.map(|(_, leg)| Command::Close { leg }));
        }
    }

    /// Nobody gets this stream any more.
    fn end_downs(&mut self, stream: &str, dice: &mut dyn Dice, fx: &mut Effects) {
        let mut ended = Vec::new();
        for (jid, person) in &mut self.people {
            let Person { downs, .. } = person;
            while let Some(place) = downs.iter().position(|down| down.stream == stream) {
                ended.push((jid.clone(), downs.swap_remove(place)));
            }
        }
        for (jid, down) in ended {
            let why = if down.accepted { Condition::Success } else { Condition::Cancel };
            self.end(&jid, &down.sid, why, dice, fx);
            if down.accepted {
                fx.media.push(Command::Close { leg: down.leg });
            }
        }
    }

    /// Voice was taken away: the client is told to send no more, and nobody hears it.
    fn silence(&mut self, jid: &FullJid, dice: &mut dyn Dice, fx: &mut Effects) {
        self.modify_all(jid, false, dice, fx);
        let Some(person) = self.people.get_mut(jid) else { return };
        let mut streams = Vec::new();
        for up in &mut person.ups {
            for sent in &mut up.contents {
                sent.sending = false;
                fx.media.push(Command::Forward { track: sent.track, on: false });
            }
            streams.push(up.stream.clone());
        }
        for stream in streams {
            self.end_downs(&stream, dice, fx);
        }
    }

    fn let_speak(&mut self, jid: &FullJid, dice: &mut dyn Dice, fx: &mut Effects) {
        self.modify_all(jid, true, dice, fx);
        let Some(person) = self.people.get_mut(jid) else { return };
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
    fn modify_all(&self, jid: &FullJid, may_send: bool, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.get(jid) else { return };
        let senders = senders(may_send, person.plain.is_some());
        for up in &person.ups {
            let sends = up.contents.iter().filter(|sent| sent.offered.sends);
            let contents: Vec<Content> = sends
                .map(|sent| Content {
                    senders: Some(senders),
                    ..super::content(sent.offered.mid.as_str())
                })
                .collect();
            if !contents.is_empty() {
                let jingle = Jingle { contents, ..session(Action::ContentModify, &up.sid) };
                self.send(jid, &jingle, dice, fx);
            }
        }
    }
}
