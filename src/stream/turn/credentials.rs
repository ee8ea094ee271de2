//! Who may have an allocation, known without asking anybody: names that say when they expire, with
//! a password that is a MAC of them (draft-uberti-behave-turn-rest-00), and nonces that are a MAC
//! of the time and the client.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::Refusal;
use crate::stun::Key;

/// RFC 8656, section 5: at least once an hour.
const NONCE_SECONDS: i64 = 3600;
/// After the end of the credentials of an allocation, so that no call is cut: far longer than one
/// lasts.
const GRACE_SECONDS: i64 = 12 * 3600;
/// Ours have about 31.
const NAME_BYTES: usize = 128;

/// Judges credentials and nonces.
pub struct Authority {
    realm: String,
    secret: String,
    nonce_key: [u8; 32],
}

/// The password that belongs to a name.
pub fn issue(secret: &str, username: &str) -> String {
    BASE64_STANDARD.encode(mac(secret.as_bytes(), &[username.as_bytes()]))
}

/// Credentials that fit.
pub(super) struct Known<'a> {
    pub key: Key,
    pub user: &'a str,
}

impl Authority {
    pub fn new(realm: String, secret: String, nonce_key: [u8; 32]) -> Authority {
        Authority { realm, secret, nonce_key }
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// 16 characters: answers to who has shown nothing must be short.
    pub(super) fn nonce(&self, client: SocketAddr, unix: i64) -> String {
        let time = time(unix);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&time);
        nonce[4..].copy_from_slice(&self.proof(client, time));
        BASE64_URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Whether the nonce is ours, for this client, and not too old.
    pub(super) fn is_fresh(&self, nonce: &str, client: SocketAddr, unix: i64) -> bool {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(nonce).ok();
        let Some(nonce) = decoded.and_then(|bytes| <[u8; 12]>::try_from(bytes).ok()) else {
            return false;
        };
        let (made, proof) = nonce.split_at(4);
        let Ok(made) = <[u8; 4]>::try_from(made) else { return false };
        let age = unix - i64::from(u32::from_be_bytes(made));
        let ours = bool::from(self.proof(client, made).ct_eq(proof));
        ours && (0..NONCE_SECONDS).contains(&age)
    }

    fn proof(&self, client: SocketAddr, time: [u8; 4]) -> [u8; 8] {
        let ip = match client.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mac = mac(&self.nonce_key, &[&time, &ip, &client.port().to_be_bytes()]);
        let mut proof = [0; 8];
        proof.copy_from_slice(&mac[..8]);
        proof
    }

    /// What a name `EXPIRES:USER` is good for; `held`: it has an allocation already.
    pub(super) fn key<'a>(
        &self,
        username: &'a str,
        unix: i64,
        held: bool,
    ) -> Result<Known<'a>, Refusal> {
        if username.len() > NAME_BYTES {
            return Err(Refusal::Credentials);
        }
        let (expires, user) = username.split_once(':').ok_or(Refusal::Credentials)?;
        let expires: i64 = expires.parse().map_err(|_| Refusal::Credentials)?;
        let end = if held { expires.saturating_add(GRACE_SECONDS) } else { expires };
        if unix >= end {
            return Err(Refusal::Expired);
        }
        let key = Key::long_term(username, &self.realm, &issue(&self.secret, username));
        Ok(Known { key, user })
    }
}

/// Until 2106; then nonces are as old as they are young, and refused once.
fn time(unix: i64) -> [u8; 4] {
    u32::try_from(unix).unwrap_or_default().to_be_bytes()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { return [0; 20] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn authority() -> Authority {
        Authority::new("wello.example".into(), "north".into(), [7; 32])
    }

    /// As coturn computes it: `echo -n 1433895918:ninefingers | openssl dgst -sha1 -hmac north`.
    #[test]
    fn the_password_is_that_of_other_turn_servers() {
        assert_eq!(issue("north", "1433895918:ninefingers"), "jy8hTxmOO7UtEKXqSkSlvakPVYA=");
    }

    #[test]
    fn a_nonce_is_for_one_client_and_an_hour() {
        let authority = authority();
        let client: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let nonce = authority.nonce(client, NOW);
        assert_eq!(nonce.len(), 16);
        let fresh = |nonce: &str, client: &str, unix| {
            authority.is_fresh(nonce, client.parse().unwrap(), unix)
        };
        assert!(fresh(&nonce, "192.0.2.1:5000", NOW + 3599));
        assert!(fresh(&nonce, "[::ffff:192.0.2.1]:5000", NOW));
        assert!(!fresh(&nonce, "192.0.2.1:5000", NOW + 3600));
        assert!(!fresh(&nonce, "192.0.2.1:5000", NOW - 1), "from the future");
        assert!(!fresh(&nonce, "192.0.2.1:5001", NOW));
        assert!(!fresh(&nonce, "192.0.2.2:5000", NOW));
        for other in ["", "x", "AAAAAAAAAAAAAAAA", &nonce[1..]] {
            assert!(!fresh(other, "192.0.2.1:5000", NOW), "{other}");
        }
    }

    #[test]
    fn names_expire() {
        let authority = authority();
        let why =
            |name: &str, held| authority.key(name, NOW, held).map(|known| known.user.to_owned());
        assert_eq!(why(&format!("{}:a", NOW + 1), false), Ok("a".into()));
        assert_eq!(why(&format!("{NOW}:a"), false), Err(Refusal::Expired));
        assert_eq!(why(&format!("{NOW}:a"), true), Ok("a".into()), "a call under way");
        assert_eq!(why(&format!("{}:a", NOW - GRACE_SECONDS), true), Err(Refusal::Expired));
        for name in ["", "a", "a:b", "-1", &"9".repeat(200)] {
            assert_eq!(why(name, false), Err(Refusal::Credentials), "{name}");
        }
    }
}
