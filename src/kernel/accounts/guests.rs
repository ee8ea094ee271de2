//! People without an account, who came to one room by a link. They are known in memory alone.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wello_store::Timestamp;
use wello_wire::jid::BareJid;

use super::throttle::network;
use super::{Accounts, TokenError};
use crate::Kernel;
use crate::clock::random_id;
use crate::config::Config;
use crate::sessions::EndReason;

/// Somebody who may be in a room, and do nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    pub room: BareJid,
    /// Where the room's conference is, if it has one.
    pub focus: Option<BareJid>,
    /// The id of the link.
    pub link: String,
    /// Counts as a member of the room, as the link says.
    pub member: bool,
    /// Where they came from.
    pub address: IpAddr,
    /// When they have to go.
    pub expires: Timestamp,
}

/// What a guest logs in with.
#[derive(Clone, Debug)]
pub struct GuestGrant {
    pub jid: BareJid,
    /// A token for OAUTHBEARER (RFC 7628), and nothing else.
    pub token: String,
    /// Seconds for which it holds.
    pub expires_in: i64,
}

/// Why there can be no further guest.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum GuestError {
    #[error("there are too many guests in the room or from this address")]
    TooMany,
    #[error("the token could not be signed")]
    Unavailable,
}

/// The content of a guest's token. What an account's token says is not in it, and the other way
/// round, so that none stands for the other.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    sub: String,
    room: String,
    iat: i64,
    exp: i64,
    jti: String,
}

/// The guests of this server.
pub struct Guests {
    domains: HashSet<String>,
    per_room: usize,
    per_address: usize,
    live: Mutex<HashMap<BareJid, Known>>,
}

struct Known {
    guest: Guest,
    /// Seen without a connection the last time that somebody looked.
    away: bool,
}

/// Guests of the whole server.
const MAX_GUESTS: usize = 10_000;

impl Guests {
    pub(super) fn new(config: &Config) -> Guests {
        Guests {
            domains: config.guest_domains().into_iter().collect(),
            per_room: config.guests.per_room,
            per_address: config.guests.per_address,
            live: Mutex::default(),
        }
    }

    /// Whether who has an address at this domain is a guest, or was one.
    pub fn serves(&self, domain: &str) -> bool {
        self.domains.contains(domain)
    }

    /// `None` for everybody else, and for who is a guest no more.
    pub fn find(&self, bare: &str) -> Option<Guest> {
        self.live.lock().get(bare).map(|known| known.guest.clone())
    }

    fn admit(&self, jid: BareJid, guest: Guest) -> Result<(), GuestError> {
        let mut live = self.live.lock();
        let from = network(guest.address);
        let count = |same: &dyn Fn(&Guest) -> bool| {
            live.values().filter(|known| same(&known.guest)).count()
        };
        if live.len() >= MAX_GUESTS
            || count(&|other| other.room == guest.room) >= self.per_room
            || count(&|other| network(other.address) == from) >= self.per_address
        {
            return Err(GuestError::TooMany);
        }
        live.insert(jid, Known { guest, away: false });
        Ok(())
    }

    /// Those who came by a link to a room.
    pub fn by_link(&self, room: &BareJid, link: &str) -> Vec<BareJid> {
        let live = self.live.lock();
        let same = |guest: &Guest| guest.room == *room && guest.link == link;
        live.iter().filter(|(_, known)| same(&known.guest)).map(|(jid, _)| jid.clone()).collect()
    }

    /// Those who have to go, and those who have been away at two looks one after the other.
    fn overdue(&self, now: Timestamp, is_here: impl Fn(&BareJid) -> bool) -> Vec<BareJid> {
        let mut overdue = Vec::new();
        for (jid, known) in self.live.lock().iter_mut() {
            let was_away = std::mem::replace(&mut known.away, !is_here(jid));
            if known.guest.expires <= now || (was_away && known.away) {
                overdue.push(jid.clone());
            }
        }
        overdue
    }
}

impl Accounts {
    /// Makes somebody a guest at `domain`, with an address of their own.
    pub fn receive_guest(&self, domain: &str, guest: Guest) -> Result<GuestGrant, GuestError> {
        let jid = BareJid::from_parts(Some(&format!("guest-{}", random_id())), domain)
            .map_err(|_| GuestError::Unavailable)?;
        let seconds = |time: Timestamp| time.as_micros().div_euclid(1_000_000);
        let (iat, exp) = (seconds(self.clock.now()), seconds(guest.expires));
        let (sub, room, jti) = (jid.to_string(), guest.room.to_string(), random_id());
        let token = self.signer.sign(&Claims { sub, room, iat, exp, jti });
        let token = token.map_err(|_| GuestError::Unavailable)?;
        self.guests.admit(jid.clone(), guest)?;
        Ok(GuestGrant { jid, token, expires_in: exp - iat })
    }

    /// Whose token it is.
    pub fn verify_guest(&self, token: &str) -> Result<BareJid, TokenError> {
        let claims: Claims = self.signer.read(token)?;
        if Timestamp::from_secs(claims.exp) <= self.clock.now() {
            return Err(TokenError::Expired);
        }
        let jid: BareJid = claims.sub.parse().map_err(|_| TokenError::Invalid)?;
        match self.guests.find(jid.as_str()) {
            Some(guest) if guest.room.as_str() == claims.room => Ok(jid),
            _ => Err(TokenError::Revoked),
        }
    }
}

impl Kernel {
    /// From now on the guest is nobody.
    pub fn end_guest(&self, jid: &BareJid) {
        self.accounts.guests.live.lock().remove(jid);
        for session in self.sessions.of(jid).iter() {
            session.end(EndReason::AccountDeleted);
        }
    }

    /// Ends the guests whose time is over or who have gone. To be called now and then.
    pub fn end_overdue_guests(&self) {
        let is_here = |jid: &BareJid| !self.sessions.of(jid).is_empty();
        for jid in self.accounts.guests.overdue(self.clock.now(), is_here) {
            self.end_guest(&jid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(room: &str, address: &str) -> Guest {
        Guest {
            room: room.parse().unwrap(),
            focus: None,
            link: "l".into(),
            member: false,
            address: address.parse().unwrap(),
            expires: Timestamp::from_secs(100),
        }
    }

    fn guests() -> Guests {
        let text = "hosts = ['a.example']\n[guests]\nper_room = 2\nper_address = 3";
        Guests::new(&Config::parse(text, []).unwrap())
    }

    fn jid(name: &str) -> BareJid {
        format!("{name}@guest.a.example").parse().unwrap()
    }

    #[test]
    fn guests_are_bounded_by_room_and_by_network() {
        let guests = guests();
        let mut number = 0;
        let mut admit = |room, address| {
            number += 1;
            guests.admit(jid(&number.to_string()), guest(room, address))
        };
        assert_eq!(admit("r@c", "2001:db8::1"), Ok(()));
        assert_eq!(admit("r@c", "192.0.2.1"), Ok(()));
        assert_eq!(admit("r@c", "192.0.2.2"), Err(GuestError::TooMany));
        assert_eq!(admit("s@c", "2001:db8::2"), Ok(()));
        assert_eq!(admit("t@c", "2001:db8::3"), Ok(()));
        assert_eq!(admit("u@c", "2001:db8::4"), Err(GuestError::TooMany));
        assert_eq!(guests.by_link(&"r@c".parse().unwrap(), "l").len(), 2);
        assert!(guests.by_link(&"r@c".parse().unwrap(), "other").is_empty());
    }

    #[test]
    fn who_has_gone_or_has_to_go_is_found() {
        let guests = guests();
        guests.admit(jid("here"), guest("r@c", "192.0.2.1")).unwrap();
        guests.admit(jid("away"), guest("r@c", "192.0.2.1")).unwrap();
        let overdue = |seconds| {
            guests.overdue(Timestamp::from_secs(seconds), |jid| jid.local() == Some("here"))
        };
        assert!(overdue(1).is_empty());
        assert_eq!(overdue(2), [jid("away")]);
        assert_eq!(overdue(100).len(), 2);
    }
}
