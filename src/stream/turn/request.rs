//! What a client sends: requests, indications and channel data.

use std::net::SocketAddr;
use std::time::Duration;

use super::allocation::Made;
use super::credentials::Known;
use super::{
    Allocation, Authority, CHANNEL_HEADER, CHANNELS, Host, Now, Opened, Outcome, PortWish, Reach,
    Refusal, Wish,
};
use crate::stun::attribute::{
    CHANNEL_NUMBER, DATA, EVEN_PORT, LIFETIME, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE,
    REALM, REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN, UNKNOWN_ATTRIBUTES,
    USERNAME, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::{Class, Key, Message, Method, Writer};

/// RFC 8656, section 3.2: what is given when nothing or less is asked for.
const LIFETIME_DEFAULT: u32 = 600;
const LIFETIME_MAX: u32 = 3600;
/// UDP, as in the Internet Protocol.
const UDP: u8 = 17;
/// Peers in one CreatePermission.
const MAX_PEERS: usize = 32;

const KNOWN: &[u16] = &[
    USERNAME,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    CHANNEL_NUMBER,
    LIFETIME,
    XOR_PEER_ADDRESS,
    DATA,
    REALM,
    NONCE,
    REQUESTED_ADDRESS_FAMILY,
    EVEN_PORT,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
];

/// Takes one packet of a client, and appends the answer to `out` if there is one.
pub fn handle<H: Host>(
    authority: &Authority,
    host: &H,
    client: SocketAddr,
    allocation: Option<&mut Allocation>,
    packet: &[u8],
    now: Now,
    out: &mut Vec<u8>,
) -> Outcome<H::Relay> {
    let allocation = allocation.filter(|allocation| !allocation.is_over(now));
    if packet.first().is_some_and(|first| first & 0xc0 == 0x40) {
        return channel_data(allocation, packet, now);
    }
    let Ok(message) = Message::parse(packet) else { return Outcome::Dropped(Refusal::Malformed) };
    let exchange = Exchange { authority, host, client, message, now, out };
    match (message.class(), message.method()) {
        (Class::Indication, Some(Method::Send)) => exchange.send(allocation),
        (Class::Request, Some(Method::Binding)) => exchange.binding(),
        (Class::Request, Some(method)) if !matches!(method, Method::Send | Method::Data) => {
            exchange.request(method, allocation)
        }
        _ => Outcome::Dropped(Refusal::Malformed),
    }
}

fn channel_data<R>(allocation: Option<&mut Allocation>, packet: &[u8], now: Now) -> Outcome<R> {
    let Some(allocation) = allocation else { return Outcome::Dropped(Refusal::Mismatch) };
    let Some((head, data)) = packet.split_at_checked(CHANNEL_HEADER) else {
        return Outcome::Dropped(Refusal::Malformed);
    };
    let number = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Over UDP there may be padding, or not (RFC 8656, section 12.5).
    if length > data.len() {
        return Outcome::Dropped(Refusal::Malformed);
    }
    match allocation.send_by_channel(number, length, now) {
        Ok(peer) => Outcome::Relayed { peer, payload: CHANNEL_HEADER..CHANNEL_HEADER + length },
        Err(refusal) => Outcome::Dropped(refusal),
    }
}

/// A message and what it takes to answer it.
struct Exchange<'a, H> {
    authority: &'a Authority,
    host: &'a H,
    client: SocketAddr,
    message: Message<'a>,
    now: Now,
    out: &'a mut Vec<u8>,
}

impl<'a, H: Host> Exchange<'a, H> {
    fn send(self, allocation: Option<&mut Allocation>) -> Outcome<H::Relay> {
        let message = &self.message;
        let Some(allocation) = allocation else { return Outcome::Dropped(Refusal::Mismatch) };
        let parts = (message.address(XOR_PEER_ADDRESS), message.range(DATA));
        let ((Some(peer), Some(payload)), None) = (parts, message.unknown(KNOWN).next()) else {
            return Outcome::Dropped(Refusal::Malformed);
        };
        let open = |peer| self.host.is_open(peer);
        match allocation.send_to(peer, payload.len(), self.now, open) {
            Ok(()) => Outcome::Relayed { peer, payload },
            Err(refusal) => Outcome::Dropped(refusal),
        }
    }

    /// RFC 8489, section 6.3.1: says where the request came from.
    fn binding(self) -> Outcome<H::Relay> {
        if !self.host.may_answer(self.client) {
            return Outcome::Dropped(Refusal::RateLimit);
        }
        if self.message.unknown(KNOWN).next().is_some() {
            return self.refuse(Method::Binding, Refusal::UnknownAttribute, None);
        }
        let client = self.client;
        self.succeed(Method::Binding, None, |answer| {
            answer.with_address(XOR_MAPPED_ADDRESS, client)
        });
        Outcome::Answered
    }

    fn request(self, method: Method, allocation: Option<&mut Allocation>) -> Outcome<H::Relay> {
        let known = match self.authenticate(allocation.is_some()) {
            Ok(known) => known,
            Err(_) if !self.host.may_answer(self.client) => {
                return Outcome::Dropped(Refusal::RateLimit);
            }
            Err(refusal) => return self.refuse(method, refusal, None),
        };
        let key = known.key.clone();
        let username = self.message.text(USERNAME).unwrap_or_default();
        let verdict = match (method, allocation) {
            _ if self.message.unknown(KNOWN).next().is_some() => Err(Refusal::UnknownAttribute),
            (_, Some(allocation)) if *allocation.username != *username => Err(Refusal::OtherUser),
            (Method::Allocate, allocation) => return self.allocate(known, allocation),
            (_, None) => Err(Refusal::Mismatch),
            (Method::Refresh, Some(allocation)) => return self.refresh(allocation, &key),
            (Method::CreatePermission, Some(allocation)) => self.create_permission(allocation),
            (Method::ChannelBind, Some(allocation)) => self.bind(allocation),
            _ => Err(Refusal::BadRequest),
        };
        match verdict {
            Ok(()) => {
                self.succeed(method, Some(&key), |answer| answer);
                Outcome::Answered
            }
            Err(refusal) => self.refuse(method, refusal, Some(&key)),
        }
    }

    /// RFC 8489, section 9.2.4. The nonce first: it is the proof that the client gets our answers.
    fn authenticate(&self, held: bool) -> Result<Known<'a>, Refusal> {
        let message = &self.message;
        if !message.has_integrity() {
            return Err(Refusal::NoCredentials);
        }
        let parts = (message.text(USERNAME), message.text(REALM), message.text(NONCE));
        let (Some(username), Some(_), Some(nonce)) = parts else {
            return Err(Refusal::BadRequest);
        };
        let unix = self.host.unix();
        if !self.authority.is_fresh(nonce, self.client, unix) {
            return Err(Refusal::StaleNonce);
        }
        let known = self.authority.key(username, unix, held)?;
        match message.is_by(&known.key) {
            true => Ok(known),
            false => Err(Refusal::Credentials),
        }
    }

    /// RFC 8656, section 7.2.
    fn allocate(self, known: Known<'_>, allocation: Option<&mut Allocation>) -> Outcome<H::Relay> {
        let Known { key, user } = known;
        let user = user.into();
        if let Some(allocation) = allocation {
            // The answer was lost, and the request came again.
            if allocation.transaction == self.message.transaction() {
                let left = allocation.expires.saturating_sub(self.now).as_secs();
                self.allocated(allocation, u32::try_from(left).unwrap_or(LIFETIME_MAX));
                return Outcome::Answered;
            }
            return self.refuse(Method::Allocate, Refusal::Mismatch, Some(&key));
        }
        let opened = wish(&self.message, self.client, user).and_then(|wish| self.host.open(wish));
        let Opened { relay, address, token } = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.refuse(Method::Allocate, refusal, Some(&key)),
        };
        let lifetime = lifetime(self.message.number(LIFETIME));
        let made = Made {
            username: self.message.text(USERNAME).unwrap_or_default().into(),
            key,
            transaction: self.message.transaction(),
            relayed: address,
            token,
            expires: self.now + Duration::from_secs(u64::from(lifetime)),
        };
        let allocation = Allocation::new(made, self.host.bytes_per_second(), self.now);
        self.allocated(&allocation, lifetime);
        Outcome::Allocated(Box::new(allocation), relay)
    }

    fn allocated(self, allocation: &Allocation, lifetime: u32) {
        let (client, token) = (self.client, allocation.token);
        self.succeed(Method::Allocate, Some(&allocation.key), |answer| {
            let mut answer = answer
                .with_address(XOR_RELAYED_ADDRESS, allocation.relayed)
                .with(LIFETIME, &lifetime.to_be_bytes())
                .with_address(XOR_MAPPED_ADDRESS, client);
            if let Some(token) = token {
                answer.add(RESERVATION_TOKEN, &token);
            }
            answer
        });
    }

    /// Section 8.2.
    fn refresh(self, allocation: &mut Allocation, key: &Key) -> Outcome<H::Relay> {
        let family = self.message.value(REQUESTED_ADDRESS_FAMILY);
        if let Some(family) = family
            && family.first() != Some(&family_of(allocation.relayed))
        {
            return self.refuse(Method::Refresh, Refusal::PeerFamily, Some(key));
        }
        let asked = self.message.number(LIFETIME);
        let lifetime = if asked == Some(0) { 0 } else { lifetime(asked) };
        allocation.expires = self.now + Duration::from_secs(u64::from(lifetime));
        let value = lifetime.to_be_bytes();
        self.succeed(Method::Refresh, Some(key), |answer| answer.with(LIFETIME, &value));
        if lifetime == 0 { Outcome::Ended } else { Outcome::Answered }
    }

    /// Section 10.2: all of them, or none.
    fn create_permission(&self, allocation: &mut Allocation) -> Result<(), Refusal> {
        let mut peers = Vec::new();
        for peer in self.message.addresses(XOR_PEER_ADDRESS) {
            let peer = peer.ok_or(Refusal::BadRequest)?;
            if peers.len() == MAX_PEERS {
                return Err(Refusal::Capacity);
            }
            peers.push((peer.ip(), self.reach(allocation, peer)?));
        }
        match peers.is_empty() {
            true => Err(Refusal::BadRequest),
            false => allocation.permit(&peers, self.now),
        }
    }

    /// Section 12.2.
    fn bind(&self, allocation: &mut Allocation) -> Result<(), Refusal> {
        let number = self.message.number(CHANNEL_NUMBER).map(|value| (value >> 16) as u16);
        let number = number.filter(|number| CHANNELS.contains(number));
        let peer = self.message.address(XOR_PEER_ADDRESS);
        let (number, peer) = number.zip(peer).ok_or(Refusal::BadRequest)?;
        let reach = self.reach(allocation, peer)?;
        if reach == Reach::OpenPorts && !self.host.is_open(peer) {
            return Err(Refusal::Forbidden);
        }
        allocation.bind(number, peer, reach, self.now)
    }

    fn reach(&self, allocation: &Allocation, peer: SocketAddr) -> Result<Reach, Refusal> {
        if family_of(peer) != family_of(allocation.relayed) {
            return Err(Refusal::PeerFamily);
        }
        self.host.reach(peer.ip()).ok_or(Refusal::Forbidden)
    }

    fn succeed(
        self,
        method: Method,
        key: Option<&Key>,
        fill: impl for<'w> FnOnce(Writer<'w>) -> Writer<'w>,
    ) {
        let id = self.message.transaction();
        let mut answer = fill(Writer::new(self.out, Class::Success, method, id));
        if let Some(key) = key {
            answer = answer.with_integrity(key);
        }
        if self.message.has_fingerprint() {
            let _ = answer.with_fingerprint();
        }
    }

    /// Without a key the client has proved nothing: its address may be that of a victim, so it gets
    /// no byte that is not needed.
    fn refuse(self, method: Method, refusal: Refusal, key: Option<&Key>) -> Outcome<H::Relay> {
        let id = self.message.transaction();
        let reason = if key.is_some() { refusal.reason() } else { "" };
        let mut answer =
            Writer::new(self.out, Class::Error, method, id).with_error(refusal.code(), reason);
        if refusal == Refusal::UnknownAttribute {
            let unknown = self.message.unknown(KNOWN).take(4).flat_map(u16::to_be_bytes);
            answer.add(UNKNOWN_ATTRIBUTES, &unknown.collect::<Vec<u8>>());
        }
        if key.is_none() && matches!(refusal.code(), 401 | 438) {
            let nonce = self.authority.nonce(self.client, self.host.unix());
            answer.add(REALM, self.authority.realm().as_bytes());
            answer.add(NONCE, nonce.as_bytes());
        }
        if let Some(key) = key {
            answer = answer.with_integrity(key);
        }
        if self.message.has_fingerprint() {
            let _ = answer.with_fingerprint();
        }
        Outcome::Refused(refusal)
    }
}

fn wish(message: &Message<'_>, client: SocketAddr, user: Box<str>) -> Result<Wish, Refusal> {
    match message.value(REQUESTED_TRANSPORT).and_then(<[u8]>::first) {
        None => return Err(Refusal::BadRequest),
        Some(&UDP) => {}
        Some(_) => return Err(Refusal::Transport),
    }
    let family = message.value(REQUESTED_ADDRESS_FAMILY);
    let ipv6 = match family.map(<[u8]>::first) {
        None | Some(Some(1)) => false,
        Some(Some(2)) => true,
        Some(_) => return Err(Refusal::AddressFamily),
    };
    let port = match (message.value(EVEN_PORT), message.value(RESERVATION_TOKEN)) {
        (None, None) => PortWish::Any,
        (Some(&[flags, ..]), None) if flags & 0x80 != 0 => PortWish::EvenAndNext,
        (Some(&[_, ..]), None) => PortWish::Even,
        (None, Some(token)) if family.is_none() => {
            PortWish::Reserved(token.try_into().map_err(|_| Refusal::BadRequest)?)
        }
        _ => return Err(Refusal::BadRequest),
    };
    Ok(Wish { client, user, ipv6, port })
}

fn lifetime(asked: Option<u32>) -> u32 {
    asked.unwrap_or(0).clamp(LIFETIME_DEFAULT, LIFETIME_MAX)
}

fn family_of(address: SocketAddr) -> u8 {
    if address.is_ipv4() { 1 } else { 2 }
}
