//! Whatever a client sends, with and without an allocation, the TURN server reads it within its
//! bounds and gives nothing away to who has shown no credentials.

#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wello_stream::stun::attribute::{NONCE, REALM, REQUESTED_TRANSPORT, USERNAME};
use wello_stream::stun::{Class, Key, Message, Method, Writer};
use wello_stream::turn::{
    Allocation, Authority, Host, Opened, Outcome, Reach, Refusal, Wish, handle, issue,
};

struct World;

impl Host for World {
    type Relay = ();

    fn unix(&self) -> i64 {
        0
    }

    fn may_answer(&self, _client: SocketAddr) -> bool {
        true
    }

    fn reach(&self, peer: IpAddr) -> Option<Reach> {
        (!peer.is_loopback()).then_some(Reach::OpenPorts)
    }

    fn is_open(&self, peer: SocketAddr) -> bool {
        peer.port() % 2 == 0
    }

    fn open(&self, _wish: Wish) -> Result<Opened<()>, Refusal> {
        Ok(Opened { relay: (), address: ([192, 0, 2, 9], 50_000).into(), token: None })
    }

    fn bytes_per_second(&self) -> u64 {
        1000
    }
}

const USER: &str = "60:a";
const REALM_NAME: &str = "a.example";

// The first byte says how long the packets are that the rest is cut into; those that look like
// requests come once more with credentials.
fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let authority = Authority::new(REALM_NAME.into(), "secret".into(), [7; 32]);
    let client = SocketAddr::from(([192, 0, 2, 1], 5000));
    let key = Key::long_term(USER, REALM_NAME, &issue("secret", USER));
    let mut allocation = None;
    let mut give = |packet: &[u8], now: u64| {
        let mut out = Vec::new();
        let held: Option<&mut Allocation> = allocation.as_deref_mut();
        let had_one = held.is_some();
        let now = Duration::from_secs(now);
        let outcome = handle(&authority, &World, client, held, packet, now, &mut out);
        match outcome {
            Outcome::Allocated(new, ()) => allocation = Some(new),
            Outcome::Ended => allocation = None,
            Outcome::Relayed { payload, .. } => assert!(had_one && payload.end <= packet.len()),
            Outcome::Dropped(_) => assert!(out.is_empty()),
            Outcome::Answered | Outcome::Refused(_) => {}
        }
        if !out.is_empty() {
            assert!(Message::parse(&out).is_ok());
        }
        out
    };
    let nonce = give(&signed(Method::Allocate, &key, ""), 0);
    let nonce =
        Message::parse(&nonce).ok().and_then(|answer| answer.text(NONCE)).unwrap_or_default();
    give(&signed(Method::Allocate, &key, nonce), 0);
    for (now, packet) in bytes.chunks(usize::from(size).max(1)).enumerate() {
        let answer = give(packet, now as u64);
        assert!(answer.len() <= packet.len() + 64);
        if let Ok(message) = Message::parse(packet) {
            message.is_by(&key);
            let again = with_credentials(packet, &key, nonce);
            give(&again, now as u64);
        }
    }
});

fn signed(method: Method, key: &Key, nonce: &str) -> Vec<u8> {
    let mut packet = Vec::new();
    let _ = Writer::new(&mut packet, Class::Request, method, [1; 12])
        .with(REQUESTED_TRANSPORT, &[17, 0, 0, 0])
        .with(USERNAME, USER.as_bytes())
        .with(REALM, REALM_NAME.as_bytes())
        .with(NONCE, nonce.as_bytes())
        .with_integrity(key);
    packet
}

/// The attributes of a packet under a head and a tail of our own.
fn with_credentials(packet: &[u8], key: &Key, nonce: &str) -> Vec<u8> {
    let Some(method) = Message::parse(packet).ok().and_then(|message| message.method()) else {
        return Vec::new();
    };
    let mut again = Vec::new();
    let mut writer = Writer::new(&mut again, Class::Request, method, [2; 12]);
    let mut rest = &packet[20..];
    while let Some((head, tail)) = rest.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(value) = tail.get(..length) else { break };
        // What must be the last.
        if !matches!(kind, 0x0008 | 0x8028) {
            writer.add(kind, value);
        }
        rest = tail.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let _ = writer
        .with(USERNAME, USER.as_bytes())
        .with(REALM, REALM_NAME.as_bytes())
        .with(NONCE, nonce.as_bytes())
        .with_integrity(key);
    again
}
