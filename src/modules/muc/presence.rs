//! Presence to rooms: who enters, stays and leaves (XEP-0045, sections 7.2, 7.6, 7.7, 7.14).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::lookalike::{account_shape, is_mixed};
use wello_kernel::sessions::Session;
use wello_store::{Ticket, Timestamp};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{PresenceType, Stanza};
use wello_wire::xml::Element;

use super::Muc;
use super::forms;
use super::refusals::store_failed;
use super::registry::Live;
use super::room::{Entering, HistoryWish, Pass, Password, Room, keeps};
use super::run::no_room;

/// Rooms whose names a new one is compared with.
const MAX_COMPARED: u32 = 2000;

impl Muc {
    pub(super) async fn handle_presence(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Option<Ticket>, StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Ok(None) };
        // Only sessions are in rooms.
        let Ok(from) = FullJid::try_from(from.clone()) else { return Ok(None) };
        if to.local().is_none() {
            self.handle_interest(kernel, stanza, &from, to, session).await?;
            return Ok(None);
        }
        match stanza.presence_type() {
            Some(PresenceType::Available) => {
                self.handle_available(kernel, stanza, &from, to, session).await?;
            }
            Some(PresenceType::Unavailable) => {
                self.handle_gone(kernel, stanza, &from, to, session, &[]).await?;
            }
            // Section 11.1.
            Some(PresenceType::Error) => {
                let gone = Stanza::presence(PresenceType::Unavailable);
                self.handle_gone(kernel, &gone, &from, to, session, &[333]).await?;
            }
            _ => {}
        }
        Ok(None)
    }

    async fn handle_available(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        from: &FullJid,
        to: &Jid,
        session: Option<&Arc<Session>>,
    ) -> Result<(), StanzaError> {
        let is_focus = self.focus(&to.bare()).is_some_and(|focus| focus == from.bare());
        if !is_focus {
            self.count_presence(kernel, from, to)?;
        }
        let join = stanza.child("x", ns::MUC);
        // Section 7.2.1: a nickname is needed.
        let nick = to.resource().ok_or_else(|| StanzaError::jid_malformed("a nickname is needed"));
        let (room, presence) = (to.bare(), kept(stanza, to.bare_str()));
        let Some(join) = join else {
            let Ok(nick) = nick else { return Ok(()) };
            let updated = self
                .run(kernel, &room, session, |room, fx| room.update(from, nick, &presence, fx))
                .await;
            return match updated {
                Err(error) if error == no_room() => {
                    let told = super::room::not_here(&room, from, nick);
                    kernel.answer(session, told).await;
                    Ok(())
                }
                other => other.map(drop),
            };
        };
        let mut entering = Entering {
            from: from.clone(),
            nick: nick?.to_owned(),
            presence,
            password: Password::Missing,
            pass: pass_of(kernel, from),
            history: history_wish(join, kernel.clock.now()),
            mav: join
                .child("mav", ns::MUC_AFFILIATIONS)
                .map(|mav| mav.attr("since").map(str::to_owned)),
            is_focus,
        };
        let (live, held) = self.open(kernel, from, &room).await?;
        let given = join.child("password", ns::MUC).map(|password| password.text().into_owned());
        let entered = self.enter(kernel, live, session, &mut entering, given).await;
        if let Some(held) = held {
            held.state.lock().holds -= 1;
            self.release(kernel, &held).await;
        }
        entered
    }

    /// What one sends, everybody in the room gets (section 14.6).
    fn count_presence(&self, kernel: &Kernel, from: &FullJid, to: &Jid) -> Result<(), StanzaError> {
        let most = kernel.config.rooms.presence_per_minute;
        let key: Box<str> = format!("{} {}", to.bare_str(), from.bare_str()).into();
        let now = kernel.clock.now();
        match most == 0 || self.presences.admit(key, most, now) {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint("too much presence, wait a minute")),
        }
    }

    async fn enter(
        &self,
        kernel: &Arc<Kernel>,
        live: Arc<Live>,
        session: Option<&Arc<Session>>,
        entering: &mut Entering,
        given: Option<String>,
    ) -> Result<(), StanzaError> {
        if let Some(given) = given {
            let hash = live.state.lock().room.config.password().map(str::to_owned);
            if let Some(hash) = hash {
                entering.password =
                    self.check_password(kernel, &entering.from, hash, &given).await?;
            }
        }
        let mut enter = |room: &mut Room, fx: &mut super::room::Effects| room.enter(entering, fx);
        match self.run_on(kernel, &live, session, &mut enter).await {
            Some(done) => done.map(drop),
            None => Err(no_room()),
        }
    }

    /// Guesses are counted as failed logins are.
    async fn check_password(
        &self,
        kernel: &Kernel,
        from: &FullJid,
        hash: String,
        given: &str,
    ) -> Result<Password, StanzaError> {
        let now = kernel.clock.now();
        if !self.throttle.allows(from.bare_str(), None, now) {
            return Err(StanzaError::resource_constraint("too many wrong passwords"));
        }
        if kernel.accounts.matches_hash(&hash, given).await {
            self.throttle.record_success(from.bare_str());
            return Ok(Password::Matches(hash));
        }
        self.throttle.record_failure(Some(from.bare_str()), None, now);
        Ok(Password::Wrong)
    }

    /// The room that somebody wants to enter, made if there is none. The second one is held and
    /// has to be given back.
    async fn open(
        &self,
        kernel: &Arc<Kernel>,
        from: &FullJid,
        room: &BareJid,
    ) -> Result<(Arc<Live>, Option<Arc<Live>>), StanzaError> {
        if let Some(live) = self.find(kernel, room).await? {
            return Ok((live, None));
        }
        self.check_creation(kernel, from).await?;
        self.check_room_name(kernel, room).await?;
        let secret = self.secret(kernel).await?;
        // Nothing of an earlier room of this address is shown.
        self.clear(kernel, room).await;
        let (limits, created) = (kernel.config.rooms.clone(), kernel.clock.now().as_micros());
        let config = forms::defaults(&kernel.config);
        let mut made = Room::new(room.clone(), created, config, limits, secret);
        made.found(&from.bare(), &mut super::room::Effects::default());
        let fresh = Live::new(made, false);
        fresh.state.lock().holds = 1;
        let live = self.rooms.insert(room, Arc::clone(&fresh));
        let held = Arc::ptr_eq(&live, &fresh).then_some(fresh);
        Ok((live, held))
    }

    /// Makes a room that waits for those who are yet to come. It belongs to `owner`, and who does not
    /// know its address does not find it.
    pub(crate) async fn make(
        &self,
        kernel: &Arc<Kernel>,
        owner: &FullJid,
        room: &BareJid,
        name: Option<&str>,
    ) -> Result<(), StanzaError> {
        let (live, held) = self.open(kernel, owner, room).await?;
        let held = held.ok_or_else(|| StanzaError::not_acceptable("there is such a room"))?;
        let mut open = |room: &mut Room, fx: &mut super::room::Effects| {
            room.open_hidden(name.unwrap_or_default(), fx);
            Ok(())
        };
        let made = self.run_on(kernel, &live, None, &mut open).await;
        held.state.lock().holds -= 1;
        self.release(kernel, &held).await;
        made.unwrap_or_else(|| Err(no_room())).map(drop)
    }

    /// Whether somebody may make one more room.
    pub(crate) async fn check_creation(
        &self,
        kernel: &Kernel,
        from: &FullJid,
    ) -> Result<(), StanzaError> {
        let config = &kernel.config.rooms;
        let account = from.bare();
        let role = match kernel.hosts.contains(account.domain()) {
            true => kernel.store.accounts.find(account.as_str()).await,
            false => Ok(None),
        };
        let role = role.map_err(|error| store_failed(&error))?.map(|found| found.role);
        if !config.create.includes(role) {
            return Err(StanzaError::not_allowed("not yours to make rooms here"));
        }
        let stored = kernel.store.rooms.affiliated(account.as_str()).await;
        let stored = stored.map_err(|error| store_failed(&error))?;
        let owned =
            stored.iter().filter(|found| found.affiliation == super::room::Affiliation::Owner);
        let temporary = self.rooms.all().into_iter().filter(|live| {
            let state = live.state.lock();
            !state.stored
                && state.room.affiliation(account.as_str()) == super::room::Affiliation::Owner
        });
        if owned.count() + temporary.count() >= config.per_account {
            return Err(StanzaError::resource_constraint("too many rooms of one owner"));
        }
        Ok(())
    }

    /// Nobody makes a room that looks like one of those that everybody is shown.
    async fn check_room_name(&self, kernel: &Kernel, room: &BareJid) -> Result<(), StanzaError> {
        let name = room.local().unwrap_or_default();
        if is_mixed(name) {
            let text = "the name has letters of scripts that do not go together";
            return Err(StanzaError::not_acceptable(text));
        }
        let listed = self.listed(kernel, &room.domain_jid(), MAX_COMPARED).await;
        let listed = listed.map_err(|error| store_failed(&error))?;
        let shape = account_shape(name);
        let mut names = listed.iter().filter_map(|listed| listed.jid.split('@').next());
        match names.any(|other| account_shape(other) == shape) {
            true => Err(StanzaError::conflict("the name looks like that of another room")),
            false => Ok(()),
        }
    }

    async fn handle_gone(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        from: &FullJid,
        to: &Jid,
        session: Option<&Arc<Session>>,
        codes: &[u16],
    ) -> Result<(), StanzaError> {
        // Nobody is in a room that is not in memory.
        let Some(live) = self.rooms.get(to.bare_str()) else { return Ok(()) };
        let farewell = kept(stanza, to.bare_str());
        let mut leave = |room: &mut Room, fx: &mut super::room::Effects| {
            room.leave(from, &farewell, codes, fx);
            Ok(())
        };
        let was_in = live.state.lock().room.occupant_of(from).is_some();
        if let Some(done) = self.run_on(kernel, &live, session, &mut leave).await {
            done?;
        }
        match was_in {
            true => self.note_leaving(kernel, &to.bare(), from).await,
            false => Ok(()),
        }
    }
}

/// What a guest was let in by.
fn pass_of(kernel: &Kernel, from: &FullJid) -> Option<Pass> {
    let guest = kernel.accounts.guests.find(from.bare_str())?;
    Some(Pass { link: guest.link, member: guest.member })
}

/// A presence without address and without what only the room may say.
fn kept(stanza: &Stanza, room: &str) -> Stanza {
    let mut presence = stanza.clone();
    presence.from = None;
    presence.to = None;
    presence.retain_children(|child| keeps(child, room));
    presence
}

fn history_wish(join: &Element, now: Timestamp) -> HistoryWish {
    let Some(history) = join.child("history", ns::MUC) else { return HistoryWish::default() };
    let number = |name: &str| history.attr(name).and_then(|text| text.trim().parse::<u32>().ok());
    let by_age = number("seconds").map(|seconds| now.plus_micros(-i64::from(seconds) * 1_000_000));
    let by_time = history.attr("since").and_then(|text| text.parse::<Timestamp>().ok());
    HistoryWish {
        max_chars: number("maxchars").map(|max| max as usize),
        max_stanzas: number("maxstanzas").map(|max| max as usize),
        since: by_age.max(by_time),
    }
}
