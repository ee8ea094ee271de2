//! The rooms that are in use: loaded on demand, dropped when nobody is in them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use wello_kernel::Kernel;
use wello_store::{Anchor, Query, StoreError};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::PayloadError;
use wello_wire::payload::vcard::Photo;
use wello_wire::xml::Element;

use super::room::{Past, Room};

/// A room in use. Its lock is never held across an await; nobody who holds it takes the lock of
/// the registry.
pub struct Live {
    pub state: Mutex<State>,
}

pub struct State {
    pub room: Room,
    /// It has a row in the store.
    pub stored: bool,
    /// Changes on their way to the store, and newcomers to a room that is not entered yet: while
    /// there are any, the room stays.
    pub holds: u32,
    /// Taken out of the registry: whoever still has it looks again.
    pub closed: bool,
}

#[derive(Default)]
pub struct Registry {
    rooms: RwLock<HashMap<BareJid, Arc<Live>>>,
}

impl Live {
    pub fn new(room: Room, stored: bool) -> Arc<Live> {
        let state = State { room, stored, holds: 0, closed: false };
        Arc::new(Live { state: Mutex::new(state) })
    }
}

impl Registry {
    pub fn get(&self, jid: &str) -> Option<Arc<Live>> {
        self.rooms.read().get(jid).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Live>> {
        self.rooms.read().values().cloned().collect()
    }

    /// Puts a room in, unless there is one: then that one is returned.
    pub fn insert(&self, jid: &BareJid, live: Arc<Live>) -> Arc<Live> {
        Arc::clone(self.rooms.write().entry(jid.clone()).or_insert(live))
    }

    /// Takes a room out that nobody needs; `true` when it was temporary and so has ended.
    pub fn drop_if_idle(&self, live: &Arc<Live>) -> bool {
        let mut rooms = self.rooms.write();
        let mut state = live.state.lock();
        if state.closed || state.holds > 0 || !state.room.is_empty() {
            return false;
        }
        state.closed = true;
        rooms.remove(&state.room.jid);
        !state.stored
    }

    /// Takes a room out that was destroyed.
    pub fn remove(&self, live: &Arc<Live>) {
        let mut rooms = self.rooms.write();
        let state = live.state.lock();
        if rooms.get(&state.room.jid).is_some_and(|found| Arc::ptr_eq(found, live)) {
            rooms.remove(&state.room.jid);
        }
    }
}

/// Reads a persistent room with its latest messages.
pub async fn load(
    kernel: &Kernel,
    jid: &BareJid,
    secret: [u8; 32],
) -> Result<Option<Room>, StoreError> {
    let Some((row, affiliations)) = kernel.store.rooms.load(jid.as_str()).await? else {
        return Ok(None);
    };
    let limits = kernel.config.rooms.clone();
    let Some(mut room) = Room::restore(&row, affiliations, limits, secret) else {
        return Err(StoreError::Corrupt(format!("settings of room {jid}")));
    };
    let max = room.config.history.min(kernel.config.rooms.history);
    if kernel.config.archive.enabled && room.config.archive && max > 0 {
        let owner = jid.to_string();
        let query = Query { owner, anchor: Anchor::Last, max, ..Query::default() };
        if let Ok(page) = kernel.store.archive.query(&query).await {
            let shown = page.messages.iter().filter(|message| !message.retracted);
            let past: Vec<Past> =
                shown.filter_map(|message| Past::of_archive(message, jid.as_str())).collect();
            room.remember_all(past.into_iter().filter(Past::is_speech));
        }
    }
    room.avatar = avatar(kernel, jid).await?;
    Ok(Some(room))
}

/// The hashes of the room's picture.
async fn avatar(kernel: &Kernel, jid: &BareJid) -> Result<Vec<String>, StoreError> {
    let key = wello_store::DocumentKey::VCardTemp;
    let Some(card) = kernel.store.documents.get(jid.as_str(), &key).await? else {
        return Ok(Vec::new());
    };
    let card = String::from_utf8_lossy(&card).parse::<Element>().ok();
    Ok(card.and_then(|card| photos(&card).ok()).unwrap_or_default())
}

/// The hashes of all photos in a vCard; they show the same in several formats.
pub fn photos(card: &Element) -> Result<Vec<String>, PayloadError> {
    let photos = card.children().filter(|child| child.is("PHOTO", ns::VCARD_TEMP));
    let alone = photos.map(|photo| Element::new("vCard", ns::VCARD_TEMP).with_child(photo.clone()));
    let hashes = alone.filter_map(|card| match Photo::within(&card) {
        Ok(photo) => photo.map(|photo| Ok(photo.hash())),
        Err(error) => Some(Err(error)),
    });
    hashes.collect()
}
