//! A room as plain state (XEP-0045). Its methods take a request, change the state and say in
//! [`Effects`] what is to be sent and stored; they know neither time nor sockets nor the store.

mod admin;
mod affiliations;
mod build;
pub mod config;
mod enter;
mod guests;
mod hats;
mod history;
mod invitations;
mod leave;
mod mentions;
mod message;
mod registration;
mod roles;
#[cfg(test)]
mod tests;
mod voice;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use wello_kernel::config::Rooms as Limits;
use wello_store::{ArchiveId, StoredAffiliation, StoredRoom, Timestamp};
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::stanza::Stanza;

pub use admin::Change;
pub use affiliations::Affiliate;
pub use config::Config;
pub use enter::{Entering, HistoryWish, Password, not_here};
pub use guests::{Link, Pass};
pub use hats::Hat;
pub use history::Past;
pub use mentions::MENTION_NOTIFICATIONS;
pub use message::{Speech, is_subject, keeps};
pub use registration::REGISTER;
pub use roles::{Affiliation, Role, Standing};
pub use voice::REQUEST as VOICE_REQUEST;

use super::activity::Activity;

/// What a request leads to.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be sent in this order; each has its recipient.
    pub out: Vec<Stanza>,
    /// Private messages, which pass the stages of messages between users.
    pub private: Vec<Stanza>,
    /// The room's row has changed.
    pub changed: bool,
    pub affiliations: Vec<StoredAffiliation>,
    /// Affiliations that were taken back up to this version are forgotten.
    pub prune: Option<i64>,
    pub archive: Option<Archived>,
    pub destroyed: bool,
}

/// A message for the room's archive.
#[derive(Debug)]
pub struct Archived {
    pub id: ArchiveId,
    pub time: Timestamp,
    /// As it is kept, with the sender's real address.
    pub stanza: Stanza,
}

pub struct Room {
    pub jid: BareJid,
    /// Microseconds since 1970: tells it from an earlier room of the same address.
    pub created: i64,
    pub config: Config,
    /// Nobody but the owner gets in before it is configured (section 10.1.3).
    pub locked: bool,
    /// SHA-1 of the room's picture, in each format (XEP-0486).
    pub avatar: Vec<String>,
    pub activity: Activity,
    limits: Limits,
    /// Makes ids of occupants (XEP-0421) that cannot be guessed.
    secret: [u8; 32],
    version: i64,
    /// Version of the last change of an affiliation (XEP-0463).
    affiliations_version: i64,
    /// Changes up to this version may be forgotten.
    forgotten: i64,
    affiliates: BTreeMap<BareJid, Affiliate>,
    /// By nickname.
    occupants: BTreeMap<Box<str>, Occupant>,
    /// The nickname of each account that is here.
    nicks: HashMap<BareJid, Box<str>>,
    /// What their nicknames look like.
    shapes: HashMap<String, BareJid>,
    /// They need no password: only its hash is known, so no invitation can carry it.
    invited: HashSet<BareJid>,
    /// Who is here without an account.
    guests: HashMap<BareJid, Pass>,
    /// The focus of its calls while it is here.
    focus: Option<BareJid>,
    /// Whose request to register the admins know of, with the nickname.
    asked: HashMap<BareJid, String>,
    subject: Option<Past>,
    history: VecDeque<Past>,
    /// When somebody spoke last (XEP-0500).
    spoke: HashMap<BareJid, Timestamp>,
}

/// An account in the room, with all its devices.
pub struct Occupant {
    /// `room@service/nick`.
    pub jid: FullJid,
    pub account: BareJid,
    pub role: Role,
    /// Never empty.
    pub devices: Vec<Device>,
    pub id: String,
    /// Its presence as the last who came was told of it; whoever changes `devices` forgets it.
    shown: RefCell<Option<Shown>>,
}

/// A presence that is told to many one after the other, and what it depends on.
struct Shown {
    version: i64,
    role: Role,
    affiliation: Affiliation,
    with_jid: bool,
    presence: Stanza,
}

/// A session that has entered.
pub struct Device {
    pub jid: FullJid,
    /// What it last told the room, with nothing in it that only the room may say.
    pub presence: Stanza,
}

impl Occupant {
    pub fn nick(&self) -> &str {
        self.jid.resource()
    }
}

impl Room {
    pub fn new(
        jid: BareJid,
        created: i64,
        config: Config,
        limits: Limits,
        secret: [u8; 32],
    ) -> Room {
        Room {
            jid,
            created,
            config,
            locked: false,
            avatar: Vec::new(),
            activity: Activity::default(),
            limits,
            secret,
            version: 0,
            affiliations_version: 0,
            forgotten: 0,
            affiliates: BTreeMap::new(),
            occupants: BTreeMap::new(),
            nicks: HashMap::new(),
            shapes: HashMap::new(),
            invited: HashSet::new(),
            guests: HashMap::new(),
            focus: None,
            asked: HashMap::new(),
            subject: None,
            history: VecDeque::new(),
            spoke: HashMap::new(),
        }
    }

    /// A room out of the store. `None` when its settings cannot be read.
    pub fn restore(
        row: &StoredRoom,
        affiliations: Vec<StoredAffiliation>,
        limits: Limits,
        secret: [u8; 32],
    ) -> Option<Room> {
        let config = serde_json::from_str(&row.settings).ok()?;
        let mut room = Room::new(row.jid.parse().ok()?, row.created, config, limits, secret);
        room.version = row.version;
        room.subject = row.subject.as_deref().and_then(Past::parse);
        for stored in affiliations {
            room.affiliations_version = room.affiliations_version.max(stored.version);
            if let Ok(jid) = stored.jid.parse() {
                let affiliate = Affiliate {
                    affiliation: stored.affiliation,
                    nick: stored.nick,
                    version: stored.version,
                };
                room.affiliates.insert(jid, affiliate);
            }
        }
        // What was forgotten before is not known any more: older versions get all.
        room.forgotten = room.affiliations_version;
        Some(room)
    }

    /// The room as it is stored.
    pub fn row(&self) -> StoredRoom {
        StoredRoom {
            jid: self.jid.to_string(),
            created: self.created,
            version: self.version,
            listed: self.config.public,
            name: self.config.name.clone(),
            description: self.config.description.clone(),
            // Plain data with string keys always becomes JSON.
            settings: serde_json::to_string(&self.config).unwrap_or_default(),
            subject: self.subject.as_ref().map(|subject| subject.to_bytes().into()),
        }
    }

    /// All affiliations as they are stored.
    pub fn affiliation_rows(&self) -> Vec<StoredAffiliation> {
        self.affiliates.iter().map(|(jid, affiliate)| affiliate.row(jid)).collect()
    }

    pub fn occupants(&self) -> impl Iterator<Item = &Occupant> {
        self.occupants.values()
    }

    /// How many are here; the focus of its calls is not one of them.
    pub fn occupant_count(&self) -> usize {
        self.occupants.len() - usize::from(self.focus.is_some())
    }

    pub fn is_empty(&self) -> bool {
        self.occupants.is_empty()
    }

    /// The occupant that a session is, if it has entered.
    pub fn occupant_of(&self, jid: &Jid) -> Option<&Occupant> {
        let occupant = self.occupant_of_account(jid)?;
        occupant.devices.iter().any(|device| device.jid == *jid).then_some(occupant)
    }

    /// The occupant that an account is, whatever the session.
    pub fn occupant_of_account(&self, jid: &Jid) -> Option<&Occupant> {
        self.occupants.get(self.nicks.get(jid.bare_str())?)
    }

    pub fn occupant(&self, nick: &str) -> Option<&Occupant> {
        self.occupants.get(nick)
    }

    pub fn standing(&self, jid: &Jid) -> Standing {
        Standing {
            role: self.occupant_of_account(jid).map(|occupant| occupant.role),
            affiliation: self.affiliation(jid.bare_str()),
        }
    }

    /// Whether an occupant is told real addresses (section 4.2).
    pub fn sees_addresses(&self, viewer: &Occupant) -> bool {
        self.config.whois == config::Whois::Anyone || viewer.role == Role::Moderator
    }

    fn touch(&mut self, fx: &mut Effects) {
        self.version += 1;
        fx.changed = true;
    }
}
