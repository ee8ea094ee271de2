//! From a request to its effects: the one place that locks rooms, posts and stores.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::sessions::Session;
use wello_store::{Entry, MessageKind, Owner, StoreError, StoredAffiliation, StoredRoom, Ticket};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::Stanza;

use super::Muc;
use super::guests;
use super::refusals::store_failed;
use super::registry::{self, Live, State};
use super::room::{Archived, Effects, Room};
use super::watch;
use crate::archive::searchable_text;

/// What a request made of a room.
pub struct Done<T> {
    pub value: T,
    /// When what was said is on stable storage.
    pub ticket: Option<Ticket>,
}

/// What the store has to do.
enum Write {
    Create(StoredRoom, Vec<StoredAffiliation>),
    Update { row: StoredRoom, changed: Vec<StoredAffiliation>, prune: Option<i64> },
    Delete { created: i64 },
}

/// How often a room that ends under a request is looked up again.
const ATTEMPTS: usize = 5;

impl Muc {
    /// Does `work` on a room that exists.
    pub(super) async fn run<T>(
        &self,
        kernel: &Arc<Kernel>,
        jid: &BareJid,
        session: Option<&Arc<Session>>,
        mut work: impl FnMut(&mut Room, &mut Effects) -> Result<T, StanzaError>,
    ) -> Result<Done<T>, StanzaError> {
        for _ in 0..ATTEMPTS {
            let live = self.find(kernel, jid).await?.ok_or_else(no_room)?;
            if let Some(done) = self.run_on(kernel, &live, session, &mut work).await {
                return done;
            }
        }
        Err(no_room())
    }

    /// Looks at a room that exists, without changing it.
    pub(super) async fn look<T>(
        &self,
        kernel: &Arc<Kernel>,
        jid: &BareJid,
        mut look: impl FnMut(&mut Room) -> Result<T, StanzaError>,
    ) -> Result<T, StanzaError> {
        let live = self.find(kernel, jid).await?.ok_or_else(no_room)?;
        let seen = look(&mut live.state.lock().room);
        self.release(kernel, &live).await;
        seen
    }

    pub(super) async fn find(
        &self,
        kernel: &Arc<Kernel>,
        jid: &BareJid,
    ) -> Result<Option<Arc<Live>>, StanzaError> {
        if let Some(live) = self.rooms.get(jid.as_str()) {
            return Ok(Some(live));
        }
        let secret = self.secret(kernel).await?;
        let loaded =
            registry::load(kernel, jid, secret).await.map_err(|error| store_failed(&error))?;
        Ok(loaded.map(|room| self.rooms.insert(jid, Live::new(room, true))))
    }

    /// `None` when the room has ended meanwhile.
    pub(super) async fn run_on<T>(
        &self,
        kernel: &Arc<Kernel>,
        live: &Arc<Live>,
        session: Option<&Arc<Session>>,
        work: &mut impl FnMut(&mut Room, &mut Effects) -> Result<T, StanzaError>,
    ) -> Option<Result<Done<T>, StanzaError>> {
        let mut fx = Effects::default();
        let watcher = self.watcher_of(live);
        let (value, later, write, parted) = {
            let mut state = live.state.lock();
            if state.closed {
                return None;
            }
            let before = state.room.occupant_count();
            let is_watched = watcher.is_some() || state.room.has_guests();
            let value = work(&mut state.room, &mut fx);
            count(kernel, before, state.room.occupant_count());
            // Under the lock, so that everybody gets everything in the same order.
            let parted = match is_watched {
                true => watch::parted(&fx.out),
                false => Vec::new(),
            };
            let later = self.post(kernel, session, std::mem::take(&mut fx.out));
            let write = write(&mut state, &mut fx);
            state.holds += u32::from(write.is_some());
            (value, later, write, parted)
        };
        if fx.destroyed {
            self.rooms.remove(live);
        }
        let room = live.state.lock().room.jid.clone();
        for stanza in later {
            kernel.route(stanza).await;
        }
        guests::end_removed(kernel, &parted);
        if let Some(watcher) = watcher {
            watcher.changed(kernel, &room, parted).await;
        }
        let spoken = self.whisper_all(kernel, std::mem::take(&mut fx.private)).await;
        let archived = match fx.archive.take() {
            Some(archived) => append(kernel, &room, archived).await,
            None => Ok(None),
        };
        let stored = self.store(kernel, live, &room, write).await;
        if fx.destroyed {
            self.clear(kernel, &room).await;
        } else {
            self.release(kernel, live).await;
        }
        let ticket = match archived.and_then(|ticket| stored.map(|()| ticket)) {
            Ok(ticket) => ticket.or(spoken),
            Err(error) => return Some(Err(store_failed(&error))),
        };
        Some(value.map(|value| Done { value, ticket }))
    }

    async fn store(
        &self,
        kernel: &Kernel,
        live: &Arc<Live>,
        room: &BareJid,
        write: Option<Write>,
    ) -> Result<(), StoreError> {
        let Some(write) = write else { return Ok(()) };
        let rooms = &kernel.store.rooms;
        let stored = match write {
            Write::Create(row, affiliations) => rooms.create(&row, &affiliations).await,
            Write::Update { row, changed, prune } => {
                let mut updated = rooms.update(&row, &changed).await.map(drop);
                if let (Ok(()), Some(prune)) = (&updated, prune) {
                    updated = rooms.prune(room.as_str(), prune).await.map(drop);
                }
                updated
            }
            Write::Delete { created } => rooms.delete(room.as_str(), created).await.map(drop),
        };
        live.state.lock().holds -= 1;
        stored
    }

    /// Drops the room from memory when nobody is in it any more.
    pub(super) async fn release(&self, kernel: &Arc<Kernel>, live: &Arc<Live>) {
        let idle = {
            let state = live.state.lock();
            !state.closed && state.holds == 0 && state.room.is_empty()
        };
        if idle && self.rooms.drop_if_idle(live) {
            let room = live.state.lock().room.jid.clone();
            self.clear(kernel, &room).await;
        }
    }

    /// Nothing of a room that has ended is left for one that gets its address later.
    pub(super) async fn clear(&self, kernel: &Kernel, room: &BareJid) {
        let purged = kernel.store.archive.purge(room.as_str()).await;
        let key = wello_store::DocumentKey::VCardTemp;
        let removed = kernel.store.documents.remove(room.as_str(), &key).await;
        if let Err(error) = purged.and(removed.map(drop)) {
            tracing::error!(%room, %error, "what an ended room leaves was not removed");
        }
    }

    /// Posts to sessions that are here; returns what has to take the way of other stanzas.
    fn post(
        &self,
        kernel: &Kernel,
        session: Option<&Arc<Session>>,
        out: Vec<Stanza>,
    ) -> Vec<Stanza> {
        kernel.post_all(session, out, |account, from| self.blocking.blocks(account, from))
    }

    /// Private messages: the first device's copy passes the stages of messages, so that it is
    /// archived once; the others get theirs beside.
    async fn whisper_all(&self, kernel: &Arc<Kernel>, private: Vec<Stanza>) -> Option<Ticket> {
        let mut ticket = None;
        let mut copies = private.into_iter();
        if let Some(first) = copies.next() {
            ticket = kernel.route(first).await;
        }
        for copy in self.post(kernel, None, copies.collect()) {
            kernel.route(copy).await;
        }
        ticket
    }

    pub(super) async fn secret(&self, kernel: &Kernel) -> Result<[u8; 32], StanzaError> {
        let made = self.secret.get_or_try_init(|| async {
            let fresh = wello_kernel::clock::random_bytes::<32>().to_vec().into();
            let kept = kernel.store.meta.get_or_insert("muc occupants", &fresh).await?;
            <[u8; 32]>::try_from(&kept[..])
                .map_err(|_| StoreError::Corrupt("the secret of occupant ids".to_owned()))
        });
        made.await.copied().map_err(|error| store_failed(&error))
    }
}

/// Keeps the figures of `/metrics`.
fn count(kernel: &Kernel, before: usize, after: usize) {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (used_before, used) = (i64::from(before > 0), i64::from(after > 0));
    kernel.metrics.room_occupants.inc_by(signed(after) - signed(before));
    kernel.metrics.rooms.inc_by(used - used_before);
}

/// What is to be stored of a room that has changed.
fn write(state: &mut State, fx: &mut Effects) -> Option<Write> {
    if fx.destroyed {
        state.closed = true;
        let created = state.room.created;
        return std::mem::take(&mut state.stored).then_some(Write::Delete { created });
    }
    if !fx.changed || state.room.locked {
        return None;
    }
    match (state.room.config.persistent, state.stored) {
        (true, true) => Some(Write::Update {
            row: state.room.row(),
            changed: std::mem::take(&mut fx.affiliations),
            prune: fx.prune,
        }),
        (true, false) => {
            state.stored = true;
            Some(Write::Create(state.room.row(), state.room.affiliation_rows()))
        }
        (false, true) => {
            state.stored = false;
            Some(Write::Delete { created: state.room.created })
        }
        (false, false) => None,
    }
}

async fn append(
    kernel: &Kernel,
    room: &BareJid,
    archived: Archived,
) -> Result<Option<Ticket>, StoreError> {
    let Archived { id, time, stanza } = archived;
    let origin_id = stanza.child("origin-id", ns::STANZA_ID).and_then(|id| id.attr("id"));
    // Where it is kept tells its id.
    let mut kept = stanza.clone();
    kept.retain_children(|child| {
        !(child.is("stanza-id", ns::STANZA_ID) && child.attr("by") == Some(room.as_str()))
    });
    let entry = Entry {
        stanza: kept.to_bytes().into(),
        time,
        from: stanza.from.as_ref().map(ToString::to_string).unwrap_or_default(),
        to: room.to_string(),
        kind: MessageKind::Groupchat,
        message_id: stanza.id.as_ref().map(ToString::to_string),
        origin_id: origin_id.map(str::to_owned),
        text: searchable_text(&stanza),
        owners: vec![Owner { owner: room.to_string(), archive_id: id, with: room.to_string() }],
        offline_for: None,
        offline_id: None,
    };
    kernel.store.archive.append(entry).await.map(Some)
}

pub(super) fn no_room() -> StanzaError {
    StanzaError::item_not_found("there is no such room")
}
