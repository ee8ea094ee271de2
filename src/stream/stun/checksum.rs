//! What proves that a message came as it was sent, and by whom.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// The key of a user for long-term credentials (RFC 8489, section 9.2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    pub fn long_term(username: &str, realm: &str, password: &str) -> Key {
        let mut hash = Md5::new();
        for part in [username, ":", realm, ":", password] {
            hash.update(part.as_bytes());
        }
        Key(hash.finalize().into())
    }

    /// Over a message up to the attribute, whose header counts the attribute as well (section 14.5).
    pub(super) fn mac(&self, header: &[u8], rest: &[u8]) -> [u8; 20] {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { return [0; 20] };
        mac.update(header);
        mac.update(rest);
        mac.finalize().into_bytes().into()
    }

    pub(super) fn verifies(&self, header: &[u8], rest: &[u8], mac: &[u8]) -> bool {
        bool::from(self.mac(header, rest).ct_eq(mac))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// FINGERPRINT (section 14.7) of what comes before it.
pub(super) fn fingerprint(message: &[u8]) -> u32 {
    crc32(message) ^ 0x5354_554E
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

/// Of the polynomial of ITU V.42.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
