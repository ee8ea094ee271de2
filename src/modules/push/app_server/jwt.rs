//! JSON Web Tokens that we sign (RFC 7515, RFC 7519).

use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A private key with its algorithm (RFC 7518, section 3.1).
pub(super) enum Signer {
    Es256(EcdsaKeyPair),
    Rs256(rsa::KeyPair),
}

impl Signer {
    /// From PKCS#8.
    pub(super) fn es256(der: &[u8]) -> Result<Signer, KeyRejected> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Signer::Es256)
    }

    /// From PKCS#8.
    pub(super) fn rs256(der: &[u8]) -> Result<Signer, KeyRejected> {
        rsa::KeyPair::from_pkcs8(der).map(Signer::Rs256)
    }

    /// A token in its compact form.
    pub(super) fn sign(&self, key_id: Option<&str>, claims: &Value) -> Result<String, Unspecified> {
        let algorithm = match self {
            Signer::Es256(_) => "ES256",
            Signer::Rs256(_) => "RS256",
        };
        let mut header = json!({ "typ": "JWT", "alg": algorithm });
        if let Some(id) = key_id {
            header["kid"] = id.into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.signature(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Signer::Es256(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
            Signer::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    /// Of an elliptic curve: the point, uncompressed.
    pub(super) fn public_key(&self) -> Option<&[u8]> {
        match self {
            Signer::Es256(key) => Some(key.public_key().as_ref()),
            Signer::Rs256(_) => None,
        }
    }
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// PKCS#8 of a PEM text (RFC 7468, section 10).
pub(super) fn from_pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(BEGIN)?;
    let (base64, _) = rest.split_once(END)?;
    let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(base64).ok()
}

pub(super) fn to_pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("{BEGIN}\n");
    for line in base64.as_bytes().chunks(64) {
        // Base 64 is ASCII.
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + END + "\n"
}
