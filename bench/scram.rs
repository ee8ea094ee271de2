//! SCRAM client (RFC 5802, RFC 7677) that remembers the salted password, so that PBKDF2 is paid once per account
//! and not once per login.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::atomic::AtomicU64};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD as B64};
use clap::ValueEnum;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Mechanism {
    Sha1,
    Sha256,
}

impl Mechanism {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, data),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, data),
        }
    }

    fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let (mut sha1, mut sha256) = ([0; 20], [0; 32]);
        let done = match self {
            Self::Sha1 => {
                pbkdf2::pbkdf2::<Hmac<Sha1>>(password.as_bytes(), salt, iterations, &mut sha1)
            }
            Self::Sha256 => {
                pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), salt, iterations, &mut sha256)
            }
        };
        debug_assert!(done.is_ok(), "HMAC takes keys of any length");
        match self {
            Self::Sha1 => sha1.to_vec(),
            Self::Sha256 => sha256.to_vec(),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    match <M as KeyInit>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(data).finalize().into_bytes().to_vec(),
        Err(_) => Vec::new(), // HMAC takes keys of any length (RFC 2104 §2)
    }
}

/// Keys of one account (RFC 5802 §3).
pub(crate) struct Keys {
    pub(crate) client: Vec<u8>,
    pub(crate) stored: Vec<u8>,
    pub(crate) server: Vec<u8>,
}

impl Keys {
    pub(crate) fn derive(
        mechanism: Mechanism,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Self {
        let salted = mechanism.salted(password, salt, iterations);
        let client = mechanism.hmac(&salted, b"Client Key");
        Self {
            stored: mechanism.hash(&client),
            server: mechanism.hmac(&salted, b"Server Key"),
            client,
        }
    }
}

type KeyId = (Mechanism, String, Vec<u8>, u32);

/// Derived keys by (mechanism, password, salt, iterations), shared by all sessions of the generator.
#[derive(Clone, Default)]
pub(crate) struct KeyCache(Rc<RefCell<HashMap<KeyId, Rc<Keys>>>>);

impl KeyCache {
    fn get(&self, mechanism: Mechanism, password: &str, salt: &[u8], iterations: u32) -> Rc<Keys> {
        let id = (mechanism, password.to_owned(), salt.to_owned(), iterations);
        let mut known = self.0.borrow_mut();
        let derive = || Rc::new(Keys::derive(mechanism, password, salt, iterations));
        Rc::clone(known.entry(id).or_insert_with(derive))
    }
}

/// One exchange: `first` goes out, `answer` turns the challenge into the response, `verify` checks the success.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    bare: String,
    nonce: String,
    pub(crate) iterations: u32,
    expected: Vec<u8>,
}

impl Exchange {
    pub(crate) fn new(mechanism: Mechanism, user: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Unique is enough for a measurement; nothing here protects a secret.
        let nonce = format!("bench{:x}x{count:016x}", std::process::id());
        Self {
            mechanism,
            bare: format!("n={user},r={nonce}"),
            nonce,
            iterations: 0,
            expected: Vec::new(),
        }
    }

    pub(crate) fn first(&self) -> String {
        B64.encode(format!("n,,{}", self.bare))
    }

    pub(crate) fn answer(
        &mut self,
        challenge: &[u8],
        password: &str,
        cache: &KeyCache,
    ) -> Result<String> {
        let server_first = String::from_utf8(B64.decode(challenge)?)?;
        let field = |name: &str| {
            let mut fields = server_first.split(',');
            fields
                .find_map(|f| f.strip_prefix(name))
                .with_context(|| format!("no {name} in SCRAM challenge"))
        };
        let nonce = field("r=")?;
        ensure!(nonce.starts_with(&self.nonce), "server changed the SCRAM nonce");
        self.iterations = field("i=")?.parse()?;
        let keys = cache.get(self.mechanism, password, &B64.decode(field("s=")?)?, self.iterations);
        let last = format!("c=biws,r={nonce}");
        let auth = format!("{},{server_first},{last}", self.bare);
        let mut proof = self.mechanism.hmac(&keys.stored, auth.as_bytes());
        proof.iter_mut().zip(&keys.client).for_each(|(p, k)| *p ^= k);
        self.expected = self.mechanism.hmac(&keys.server, auth.as_bytes());
        Ok(B64.encode(format!("{last},p={}", B64.encode(proof))))
    }

    pub(crate) fn verify(&self, success: &[u8]) -> Result<()> {
        let last = String::from_utf8(B64.decode(success)?)?;
        match last.strip_prefix("v=").map(|v| B64.decode(v)) {
            Some(Ok(signature)) if signature == self.expected => Ok(()),
            _ => bail!("wrong SCRAM server signature"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 5802 §5 with its nonce.
    #[test]
    fn speaks_the_example_of_rfc_5802() {
        let mut exchange = Exchange {
            mechanism: Mechanism::Sha1,
            bare: "n=user,r=fyko+d2lbbFgONRv9qkxdawL".into(),
            nonce: "fyko+d2lbbFgONRv9qkxdawL".into(),
            iterations: 0,
            expected: Vec::new(),
        };
        let challenge =
            B64.encode("r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
        let answer = exchange.answer(challenge.as_bytes(), "pencil", &KeyCache::default()).unwrap();
        let wanted =
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        assert_eq!(answer, B64.encode(wanted));
        assert!(exchange.verify(B64.encode("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").as_bytes()).is_ok());
        assert!(exchange.verify(B64.encode("v=AAAApqV8S7suAoZWja4dJRkFsKQ=").as_bytes()).is_err());
    }
}
