//! The ciphers of the three profiles, each with its key.

use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80,
    Aes128CmSha1_80Cipher, CryptoError, Sha1HmacProvider,
};

/// Octets of the tags (RFC 7714, section 12; RFC 3711, section 5.2).
pub const AEAD_TAG: usize = AeadAes128Gcm::TAG_LEN;
pub const COUNTER_TAG: usize = Aes128CmSha1_80::HMAC_TAG_LEN;

/// The session keys for one kind of packet in one direction.
pub struct Session {
    pub cipher: Cipher,
    pub salt: u128,
}

pub enum Cipher {
    Aead(Aead),
    Counter(Counter),
}

impl Session {
    /// What no other packet under these keys has: salt, source and index, as RFC 7714, sections 8.1
    /// and 9.1, and RFC 3711, section 4.1.1, have them in common.
    pub fn unique(&self, source: u32, index: u64) -> u128 {
        self.salt ^ (u128::from(source) << 48 | u128::from(index))
    }
}

/// AES-GCM (RFC 7714).
pub enum Aead {
    Aes128(Box<dyn AeadAes128GcmCipher>),
    Aes256(Box<dyn AeadAes256GcmCipher>),
}

impl Aead {
    /// Appends the text encrypted, and the tag. `clear` has 12 octets or more.
    pub fn seal(
        &mut self,
        unique: u128,
        clear: &[u8],
        text: &[u8],
        to: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let start = to.len();
        to.resize(start + text.len() + AEAD_TAG, 0);
        let nonce = nonce(unique);
        match self {
            Aead::Aes128(cipher) => cipher.encrypt(&nonce, clear, text, &mut to[start..]),
            Aead::Aes256(cipher) => cipher.encrypt(&nonce, clear, text, &mut to[start..]),
        }
    }

    /// Appends the text; `None` if it or what was in the clear is not genuine.
    pub fn open(
        &mut self,
        unique: u128,
        clear: &[u8],
        sealed: &[u8],
        to: &mut Vec<u8>,
    ) -> Option<()> {
        let start = to.len();
        to.resize(start + sealed.len().checked_sub(AEAD_TAG)?, 0);
        let nonce = nonce(unique);
        let opened = match self {
            Aead::Aes128(cipher) => cipher.decrypt(&nonce, &[clear], sealed, &mut to[start..]),
            Aead::Aes256(cipher) => cipher.decrypt(&nonce, &[clear], sealed, &mut to[start..]),
        };
        opened.ok().map(|_| ())
    }
}

/// RFC 7714, section 8.1: 96 bits.
fn nonce(unique: u128) -> [u8; AeadAes128Gcm::IV_LEN] {
    let [_, _, _, _, nonce @ ..] = unique.to_be_bytes();
    nonce
}

/// AES in counter mode, with HMAC-SHA1 (RFC 3711, sections 4.1.1 and 4.2.1).
pub struct Counter {
    pub cipher: Box<dyn Aes128CmSha1_80Cipher>,
    pub hmac: &'static dyn Sha1HmacProvider,
    pub key: [u8; Aes128CmSha1_80::HMAC_KEY_LEN],
}

impl Counter {
    /// Appends the text encrypted, or decrypted, which is the same.
    pub fn apply(
        &mut self,
        unique: u128,
        text: &[u8],
        to: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let start = to.len();
        to.resize(start + text.len(), 0);
        self.cipher.encrypt(&(unique << 16).to_be_bytes(), text, &mut to[start..])
    }

    pub fn tag(&self, said: &[&[u8]]) -> [u8; COUNTER_TAG] {
        let [tag @ .., _, _, _, _, _, _, _, _, _, _] = self.hmac.sha1_hmac(&self.key, said);
        tag
    }

    /// Takes the same time whatever the tag.
    pub fn is_genuine(&self, report: &[u8], tag: &[u8]) -> bool {
        let hmac = |key: &[u8], said: &[&[u8]]| self.hmac.sha1_hmac(key, said);
        Aes128CmSha1_80::rtcp_verify(hmac, &self.key, report, tag)
    }
}
