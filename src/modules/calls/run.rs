//! From a request to its effects: the one place that locks conferences, posts and commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wello_kernel::Kernel;
use wello_kernel::clock::{random_bytes, random_id};
use wello_kernel::sessions::Session;
use wello_sfu::api::{Command, ConferenceId};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::stanza::Stanza;

use super::Calls;
use super::conference::{Conference, Dice, Effects, Here, unknown_session};
use super::halls::Hall;

/// Conferences at once; each has at least one participant who is in its room.
const MAX_CONFERENCES: usize = 10_000;

/// A request and who has made it.
pub struct Asked<'a> {
    pub stanza: &'a Stanza,
    pub session: Option<&'a Arc<Session>>,
}

impl Calls {
    /// Makes the conference of a hall, unless it is there; whether it was not.
    pub(super) fn open(&self, kernel: &Kernel, hall: &Hall) -> Result<bool, StanzaError> {
        let engine = kernel.media.engine();
        let engine = engine.ok_or_else(|| StanzaError::service_unavailable("no media port"))?;
        let mut conferences = self.conferences.lock();
        if conferences.contains_key(&hall.place) {
            return Ok(false);
        }
        if conferences.len() >= MAX_CONFERENCES {
            return Err(StanzaError::resource_constraint("too many conferences"));
        }
        let id = ConferenceId(self.next.fetch_add(1, Ordering::Relaxed));
        let here = Here {
            addresses: engine.addresses(id).to_vec(),
            fingerprint: engine.fingerprint().clone(),
            participants: kernel.config.calls.participants,
            streams: kernel.config.calls.streams,
            mixes: kernel.config.calls.mixes,
            media: self.meets.media(&hall.place),
        };
        let conference = Conference::new(id, hall.focus.clone(), here);
        conferences.insert(hall.place.clone(), conference);
        Ok(true)
    }

    /// Does something with a conference, and sends and commands what it leads to, in order.
    pub(super) async fn on(
        &self,
        kernel: &Arc<Kernel>,
        place: &BareJid,
        asked: Option<&Asked<'_>>,
        work: impl FnOnce(&mut Conference, &mut dyn Dice, &mut Effects) -> Result<(), StanzaError>
        + Send,
    ) -> Result<(), StanzaError> {
        let done = self.locked(kernel, place, asked, work);
        for stanza in done? {
            kernel.route(stanza).await;
        }
        if !self.conferences.lock().contains_key(place) {
            self.stop_ringing(kernel, place).await;
        }
        Ok(())
    }

    /// Returns what has to be routed.
    fn locked(
        &self,
        kernel: &Arc<Kernel>,
        place: &BareJid,
        asked: Option<&Asked<'_>>,
        work: impl FnOnce(&mut Conference, &mut dyn Dice, &mut Effects) -> Result<(), StanzaError>,
    ) -> Result<Vec<Stanza>, StanzaError> {
        let mut conferences = self.conferences.lock();
        let conference = conferences.get_mut(place).ok_or_else(unknown_session)?;
        let mut fx = Effects::default();
        let worked = work(conference, &mut Chance(self), &mut fx);
        if worked.is_ok() {
            conference.choose_pictures(&mut fx);
            self.recordings.update(conference.id, || conference.origins());
        }
        let mut shown = None;
        if conference.is_empty() {
            if self.recordings.stop(conference.id) {
                fx.media.push(Command::Record { conference: conference.id, on: false });
            }
            conferences.remove(place);
            shown = self.shown_no_more(place);
        } else if fx.roster_changed {
            shown = self.shown(kernel.clock.now(), place, conference);
        }
        worked?;
        if let Some(asked) = asked {
            fx.out.insert(0, asked.stanza.result(None));
        }
        for command in fx.media {
            if kernel.media.post(command).is_err() {
                tracing::error!(%place, "the media engine is overloaded: a command is lost");
            }
        }
        // Under the lock, so that everybody gets everything in the same order.
        let mut later = post(kernel, asked.and_then(|asked| asked.session), fx.out);
        later.extend(shown);
        Ok(later)
    }
}

/// Posts to sessions that are here; returns what has to take the way of other stanzas. Who is in a call
/// has asked for what comes, so that nobody's block list is looked at.
pub(super) fn post(
    kernel: &Kernel,
    session: Option<&Arc<Session>>,
    out: Vec<Stanza>,
) -> Vec<Stanza> {
    kernel.post_all(session, out, |_, _| Some(false))
}

struct Chance<'a>(&'a Calls);

impl Dice for Chance<'_> {
    fn id(&mut self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    fn name(&mut self) -> String {
        random_id()
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes(random_bytes::<4>()).max(1)
    }
}
