use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Now, Reach, Refusal};
use crate::random::random_bytes;
use crate::stun::{Key, TransactionId};

/// RFC 8656, section 9.
const PERMISSION: Duration = Duration::from_secs(300);
/// Section 12.
const CHANNEL: Duration = Duration::from_secs(600);
/// Of one allocation; a call has a handful of candidates at the other side, a conference more.
const MAX_PERMISSIONS: usize = 100;
const MAX_CHANNELS: usize = 100;

/// A relayed address of one client: whom it may talk to, and until when.
#[derive(Debug)]
pub struct Allocation {
    pub(super) username: Box<str>,
    pub(super) key: Key,
    /// Of the request that made it.
    pub(super) transaction: TransactionId,
    /// As others see it.
    pub(super) relayed: SocketAddr,
    pub(super) token: Option<[u8; 8]>,
    pub(super) expires: Now,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    /// What the rate leaves for each direction: from the client and to it.
    budgets: Option<[Budget; 2]>,
    indication: TransactionId,
}

#[derive(Debug)]
struct Permission {
    peer: IpAddr,
    reach: Reach,
    until: Now,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    until: Now,
}

/// How a packet of a peer is handed to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Channel(u16),
    Indication(TransactionId),
}

/// What an allocation is made from.
pub(super) struct Made {
    pub username: Box<str>,
    pub key: Key,
    pub transaction: TransactionId,
    pub relayed: SocketAddr,
    pub token: Option<[u8; 8]>,
    pub expires: Now,
}

impl Allocation {
    pub(super) fn new(made: Made, bytes_per_second: u64, now: Now) -> Allocation {
        let Made { username, key, transaction, relayed, token, expires } = made;
        let budget = || Budget { rate: bytes_per_second, left: bytes_per_second, seen: now };
        Allocation {
            username,
            key,
            transaction,
            relayed,
            token,
            expires,
            permissions: Vec::new(),
            channels: Vec::new(),
            budgets: (bytes_per_second > 0).then(|| [budget(), budget()]),
            indication: random_bytes(),
        }
    }

    pub fn is_over(&self, now: Now) -> bool {
        now >= self.expires
    }

    pub fn left(&self, now: Now) -> Duration {
        self.expires.saturating_sub(now)
    }

    /// A packet of `length` bytes for the peer of a channel.
    pub fn send_by_channel(
        &mut self,
        number: u16,
        length: usize,
        now: Now,
    ) -> Result<SocketAddr, Refusal> {
        let bound = self.channels.iter().find(|one| one.number == number && now < one.until);
        let peer = bound.ok_or(Refusal::NoChannel)?.peer;
        self.spend(0, length, now)?;
        Ok(peer)
    }

    /// A packet of `length` bytes for a peer; `open` says whether a port of this machine may be
    /// sent to.
    pub(super) fn send_to(
        &mut self,
        peer: SocketAddr,
        length: usize,
        now: Now,
        open: impl FnOnce(SocketAddr) -> bool,
    ) -> Result<(), Refusal> {
        match self.permission(peer.ip(), now) {
            None => return Err(Refusal::NoPermission),
            Some(Reach::OpenPorts) if !open(peer) => return Err(Refusal::Forbidden),
            Some(_) => {}
        }
        self.spend(0, length, now)
    }

    /// A packet of `length` bytes that a peer sent to the relayed address.
    pub fn receive_from(
        &mut self,
        peer: SocketAddr,
        length: usize,
        now: Now,
    ) -> Result<Via, Refusal> {
        self.permission(peer.ip(), now).ok_or(Refusal::NoPermission)?;
        self.spend(1, length, now)?;
        let channel = self.channels.iter().find(|one| one.peer == peer && now < one.until);
        Ok(match channel {
            Some(channel) => Via::Channel(channel.number),
            None => Via::Indication(self.next_indication()),
        })
    }

    /// Nobody answers indications: their ids only have to differ.
    fn next_indication(&mut self) -> TransactionId {
        let (head, _) = self.indication.split_at_mut(8);
        let mut count = [0; 8];
        count.copy_from_slice(head);
        head.copy_from_slice(&u64::from_be_bytes(count).wrapping_add(1).to_be_bytes());
        self.indication
    }

    fn permission(&self, peer: IpAddr, now: Now) -> Option<Reach> {
        let given = self.permissions.iter().find(|one| one.peer == peer && now < one.until);
        given.map(|permission| permission.reach)
    }

    /// Gives permissions to all of these, or to none.
    pub(super) fn permit(&mut self, peers: &[(IpAddr, Reach)], now: Now) -> Result<(), Refusal> {
        self.permissions.retain(|one| now < one.until);
        let mut new: Vec<IpAddr> = peers.iter().map(|(peer, _)| *peer).collect();
        new.sort_unstable();
        new.dedup();
        new.retain(|peer| self.permissions.iter().all(|one| one.peer != *peer));
        if self.permissions.len() + new.len() > MAX_PERMISSIONS {
            return Err(Refusal::Capacity);
        }
        for (peer, reach) in peers {
            let until = now + PERMISSION;
            match self.permissions.iter_mut().find(|one| one.peer == *peer) {
                Some(given) => *given = Permission { peer: *peer, reach: *reach, until },
                None => self.permissions.push(Permission { peer: *peer, reach: *reach, until }),
            }
        }
        Ok(())
    }

    /// Binds a channel and gives the permission that goes with it.
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        reach: Reach,
        now: Now,
    ) -> Result<(), Refusal> {
        self.channels.retain(|one| now < one.until);
        let same = |one: &Channel| (one.number == number, one.peer == peer);
        let known = self.channels.iter().position(|one| same(one) == (true, true));
        // Section 12.2: neither may be bound to another.
        if known.is_none() && self.channels.iter().any(|one| same(one) != (false, false)) {
            return Err(Refusal::BadRequest);
        }
        if known.is_none() && self.channels.len() >= MAX_CHANNELS {
            return Err(Refusal::Capacity);
        }
        self.permit(&[(peer.ip(), reach)], now)?;
        let until = now + CHANNEL;
        match known {
            Some(known) => self.channels[known].until = until,
            None => self.channels.push(Channel { number, peer, until }),
        }
        Ok(())
    }

    fn spend(&mut self, direction: usize, length: usize, now: Now) -> Result<(), Refusal> {
        let Some(budgets) = &mut self.budgets else { return Ok(()) };
        match budgets[direction].spend(length, now) {
            true => Ok(()),
            false => Err(Refusal::Bandwidth),
        }
    }
}

/// Bytes that may pass: as many a second as the rate says, and a second's worth at once.
#[derive(Debug)]
struct Budget {
    rate: u64,
    left: u64,
    seen: Now,
}

impl Budget {
    fn spend(&mut self, length: usize, now: Now) -> bool {
        let since = now.saturating_sub(self.seen).min(Duration::from_secs(1));
        // At most a second: below the rate, which has room in 128 bits.
        let earned = (u128::from(self.rate) * since.as_nanos() / 1_000_000_000) as u64;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.rate);
            self.seen = now;
        }
        let length = length as u64;
        let enough = length <= self.left;
        if enough {
            self.left -= length;
        }
        enough
    }
}
