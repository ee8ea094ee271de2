//! Encryption of what a browser is told (RFC 8291, RFC 8188).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use bytes::Bytes;
use wello_kernel::clock::random_bytes;

/// Octets of an uncompressed point of P-256, and of the secret that browsers share with us.
pub(super) const PUBLIC_KEY: usize = 65;
pub(super) const AUTH: usize = 16;
/// RFC 8291, section 4: one record, which the whole message must fit into.
const RECORD: u32 = 4096;
/// RFC 8188, section 2: ends the last record.
const LAST: u8 = 2;

/// Whether this is a point of the curve that a key can be agreed on with.
pub(super) fn is_public_key(bytes: &[u8]) -> bool {
    let agreed = PrivateKey::generate(&ECDH_P256).and_then(|own| {
        agree(&own, UnparsedPublicKey::new(&ECDH_P256, bytes), Unspecified, |_| Ok(()))
    });
    bytes.len() == PUBLIC_KEY && agreed.is_ok()
}

/// The body of a push message for the browser with this key and secret.
pub(super) fn encrypt(text: &[u8], public_key: &[u8], auth: &[u8]) -> Result<Bytes, Unspecified> {
    seal(text, public_key, auth, &PrivateKey::generate(&ECDH_P256)?, random_bytes())
}

fn seal(
    text: &[u8],
    public_key: &[u8],
    auth: &[u8],
    own: &PrivateKey,
    salt: [u8; 16],
) -> Result<Bytes, Unspecified> {
    let own_public = own.compute_public_key()?;
    let own_public = own_public.as_ref();
    let peer = UnparsedPublicKey::new(&ECDH_P256, public_key);
    // RFC 8291, section 3.4.
    let key = agree(own, peer, Unspecified, |secret| {
        let extracted = hmac(auth, &[secret]);
        Ok(hmac(&extracted, &[b"WebPush: info\0", public_key, own_public, &[1]]))
    })?;
    // RFC 8188, sections 2.2 and 2.3.
    let extracted = hmac(&salt, &[&key]);
    let content_key = hmac(&extracted, &[b"Content-Encoding: aes128gcm\0", &[1]]);
    let nonce = hmac(&extracted, &[b"Content-Encoding: nonce\0", &[1]]);
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key[..16])?);
    let mut record = [text, &[LAST]].concat();
    let nonce = Nonce::try_assume_unique_for_key(&nonce[..12])?;
    cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut record)?;
    let id_length = u8::try_from(own_public.len()).map_err(|_| Unspecified)?;
    Ok([&salt[..], &RECORD.to_be_bytes(), &[id_length], own_public, &record].concat().into())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), &parts.concat()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_specification() {
        let own = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let public_key = bytes(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        );
        let auth = bytes("BTBZMqHH6r4Tts7J_aSIgg");
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let sealed = seal(text, &public_key, &auth, &own, salt).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg\
            Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXL\
            WyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(&sealed), expected);
        assert!(is_public_key(&public_key));
    }

    #[test]
    fn keys_that_are_none_are_known() {
        // One of them is a point, but compressed, which RFC 8291 does not allow.
        for key in [&[][..], &[4; PUBLIC_KEY], &[2; 33], &[0; PUBLIC_KEY]] {
            assert!(!is_public_key(key), "{key:?}");
        }
    }
}
