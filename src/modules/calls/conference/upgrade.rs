//! Contents that come to the session of a client of calls between two, such as the picture of a call
//! that has begun with voice: on a transport of their own, as Dino brings them, or on that of the
//! session, as Conversations does.

use wello_sfu::api::{Command, LegId, LegSpec, TrackId};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{Action, Jingle, Transport};

use super::super::narrowing;
use super::super::negotiate::{Flaw, Offered};
use super::super::plain;
use super::join::{answering, refused, track};
use super::plain::{Gets, openings};
use super::{Conference, Dice, Effects, Sent, session, unknown_session};

/// A content and where it goes.
struct Added {
    leg: LegId,
    offered: Offered,
    /// What the client is told of our side; nothing of a transport that it has.
    transport: Transport,
    /// A transport that is opened for it.
    opens: Option<LegSpec>,
}

impl Conference {
    /// content-add of such a client.
    pub(super) fn upgrade(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let added = self.added(jid, jingle, dice)?;
        if added.is_empty() {
            self.send(jid, &refused(jingle), dice, fx);
            return Ok(());
        }
        let contents: Vec<Offered> = added.iter().map(|added| added.offered.clone()).collect();
        let receives = plain::received(jingle, &contents);
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let voice = person.guest.voice;
        let (up, plain) =
            person.ups.first_mut().zip(person.plain.as_mut()).ok_or_else(unknown_session)?;
        for Added { leg, offered, opens, .. } in &added {
            let sent = Sent {
                track: TrackId(dice.id()),
                sending: offered.sends && voice,
                muted: false,
                offered: offered.clone(),
            };
            fx.media.push(match opens {
                Some(spec) => {
                    plain.others.push((offered.mid.clone(), *leg));
                    Command::Open(Box::new(LegSpec { tracks: vec![track(&sent)], ..spec.clone() }))
                }
                None => Command::AddTrack { leg: *leg, track: track(&sent) },
            });
            up.contents.push(sent);
            if receives.contains(&offered.mid) {
                let gets = Gets::new(*leg, offered, dice);
                gets.begin(dice, fx);
                plain.gets.push(gets);
            }
        }
        let stream = up.stream.clone();
        let answers =
            added.into_iter().map(|added| person.plainly(&added.offered, added.transport));
        let answer =
            Jingle { contents: answers.collect(), ..session(Action::ContentAccept, &jingle.sid) };
        self.send(jid, &answer, dice, fx);
        self.offer_stream(jid, &stream, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    /// What of it is taken.
    fn added(
        &self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Added>, StanzaError> {
        let person = self.people.get(jid).ok_or_else(unknown_session)?;
        let (up, plain) =
            person.ups.first().zip(person.plain.as_ref()).ok_or_else(unknown_session)?;
        let known: Vec<&Offered> = up.contents.iter().map(|sent| &sent.offered).collect();
        let mut offered = plain::firsts(jingle, &known)?;
        offered.retain(|offered| self.here.media.contains(&offered.media));
        if plain.is_bundled {
            let fitting = offered.into_iter().filter_map(|one| narrowing::narrowed(one, &known));
            let here = |offered| Added {
                leg: up.leg,
                offered,
                transport: Transport::default(),
                opens: None,
            };
            return Ok(fitting.map(here).collect());
        }
        let apart = plain::apart(jingle, offered)?;
        let opened = openings(apart, dice).into_iter().map(|opening| {
            let spec = self.leg(opening.leg, &opening.offer, &opening.local, Vec::new());
            let setup = answering(opening.offer.side.setup);
            let offered = opening.offer.contents.into_iter().next();
            Ok(Added {
                leg: opening.leg,
                offered: offered.ok_or(Flaw::NothingInCommon)?,
                transport: self.transport(&opening.local, Some(setup)),
                opens: Some(spec),
            })
        });
        opened.collect()
    }
}
