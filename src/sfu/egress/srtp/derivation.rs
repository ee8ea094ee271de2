//! From what a handshake exports to the keys of each kind of packet.

use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::{AeadAes128Gcm, AeadAes256Gcm, Aes128CmSha1_80, CryptoProvider};

use super::cipher::{Aead, Cipher, Counter, Session};

/// The first of the three labels of a kind of packet: of the cipher's key, before the one of the
/// authentication's key and the one of the salt (RFC 3711, section 4.3.2).
pub const MEDIA: u8 = 0;
pub const REPORTS: u8 = 3;

const SALT: usize = Aes128CmSha1_80::SALT_LEN;
const BLOCK: usize = 16;

/// The master keys of the client and of the server: keys come first, then salts (RFC 5764,
/// section 4.2).
pub fn masters<'a>(
    crypto: &'a CryptoProvider,
    profile: SrtpProfile,
    material: &'a [u8],
) -> Option<[Master<'a>; 2]> {
    let (key, salt) = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => (Aes128CmSha1_80::KEY_LEN, Aes128CmSha1_80::SALT_LEN),
        SrtpProfile::AEAD_AES_128_GCM => (AeadAes128Gcm::KEY_LEN, AeadAes128Gcm::SALT_LEN),
        SrtpProfile::AEAD_AES_256_GCM => (AeadAes256Gcm::KEY_LEN, AeadAes256Gcm::SALT_LEN),
        _ => return None,
    };
    if material.len() != 2 * (key + salt) {
        return None;
    }
    let (keys, salts) = material.split_at(2 * key);
    let (client, server) = (keys.split_at(key), salts.split_at(salt));
    let master = |key, salt| Master { crypto, profile, key, salt };
    Some([master(client.0, server.0), master(client.1, server.1)])
}

/// The keys of one direction.
pub struct Master<'a> {
    pub crypto: &'a CryptoProvider,
    pub profile: SrtpProfile,
    pub key: &'a [u8],
    pub salt: &'a [u8],
}

impl Master<'_> {
    /// The keys for packets of the kind that this label is of.
    pub fn session(&self, label: u8) -> Option<Session> {
        let [mac, salt] = [label + 1, label + 2];
        let ciphers = self.crypto.srtp_provider;
        let (cipher, salt) = match self.profile {
            SrtpProfile::AES128_CM_SHA1_80 => {
                let cipher = ciphers.aes_128_cm_sha1_80().create_cipher(self.derive(label), true);
                let hmac = self.crypto.sha1_hmac_provider;
                let counter = Counter { cipher, hmac, key: self.derive(mac) };
                (Cipher::Counter(counter), number(&self.derive::<SALT>(salt)))
            }
            SrtpProfile::AEAD_AES_128_GCM => {
                let cipher = ciphers.aead_aes_128_gcm().create_cipher(self.derive(label), true);
                let salt = self.derive::<{ AeadAes128Gcm::SALT_LEN }>(salt);
                (Cipher::Aead(Aead::Aes128(cipher)), number(&salt))
            }
            SrtpProfile::AEAD_AES_256_GCM => {
                let cipher = ciphers.aead_aes_256_gcm().create_cipher(self.derive(label), true);
                let salt = self.derive::<{ AeadAes256Gcm::SALT_LEN }>(salt);
                (Cipher::Aead(Aead::Aes256(cipher)), number(&salt))
            }
            _ => return None,
        };
        Some(Session { cipher, salt })
    }

    /// A key stream under the label, derived once for all packets (RFC 3711, section 4.3.3; RFC
    /// 6188, section 3, for keys of 256 bits).
    pub fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        // A salt that is shorter is followed by zeros (RFC 7714, section 11, erratum 4938).
        let salt = number(self.salt) << (8 * SALT.saturating_sub(self.salt.len()));
        let start = (u128::from(label) << 48 ^ salt) << 16;
        let mut derived = [0; N];
        for (input, part) in (start..).zip(derived.chunks_mut(BLOCK)) {
            let mut block = [0; BLOCK];
            let ciphers = self.crypto.srtp_provider;
            match self.profile {
                SrtpProfile::AEAD_AES_256_GCM => {
                    ciphers.srtp_aes_256_ecb_round(self.key, &input.to_be_bytes(), &mut block);
                }
                _ => ciphers.srtp_aes_128_ecb_round(self.key, &input.to_be_bytes(), &mut block),
            }
            part.copy_from_slice(&block[..part.len()]);
        }
        derived
    }
}

fn number(octets: &[u8]) -> u128 {
    octets.iter().fold(0, |number, octet| number << 8 | u128::from(*octet))
}

#[cfg(test)]
mod tests {
    use str0m::crypto::from_feature_flags;

    use super::*;
    use crate::egress::srtp::tests::octets;

    fn derives<const N: usize>(master: &Master<'_>, label: u8, expected: &str) {
        assert_eq!(master.derive::<N>(label).as_slice(), octets(expected));
    }

    #[test]
    fn as_in_rfc_3711_appendix_b_3() {
        let (key, salt) =
            (octets("E1F97A0D3E018BE0D64FA32C06DE4139"), octets("0EC675AD498AFEEBB6960B3AABE6"));
        let crypto = from_feature_flags();
        let profile = SrtpProfile::AES128_CM_SHA1_80;
        let master = Master { crypto: &crypto, profile, key: &key, salt: &salt };
        derives::<16>(&master, MEDIA, "C61E7A93744F39EE10734AFE3FF7A087");
        derives::<14>(&master, MEDIA + 2, "30CBBC08863D8C85D49DB34A9AE1");
        let long = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
            E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
            6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2";
        derives::<94>(&master, MEDIA + 1, long);
    }

    #[test]
    fn as_in_rfc_6188_section_7_2() {
        let key = octets("F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6");
        let salt = octets("3B04803DE51EE7C96423AB5B78D2");
        let crypto = from_feature_flags();
        let profile = SrtpProfile::AEAD_AES_256_GCM;
        let master = Master { crypto: &crypto, profile, key: &key, salt: &salt };
        let cipher = "5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4";
        derives::<32>(&master, MEDIA, cipher);
        derives::<14>(&master, MEDIA + 2, "FA31791685CA444A9E07C6C64E93");
    }
}
