//! The client side of PLAIN and SCRAM, with faults on request.

use std::collections::HashMap;

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

use super::tls::Facts;
use crate::text::random_hex;

/// Strongest first.
pub(crate) const MECHANISMS: [&str; 4] =
    ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];

#[derive(Clone, Copy, Debug)]
enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

/// RFC 7628: the token stands in the password's place.
pub(crate) const BEARER: &str = "OAUTHBEARER";

/// One authentication attempt. `faults` replace what would be right: see `AuthStep`.
pub(crate) struct Exchange {
    mechanism: String,
    user: String,
    password: String,
    faults: HashMap<String, String>,
    binding: Option<(&'static str, Vec<u8>)>,
    client_first_bare: String,
    server_signature: Option<Vec<u8>>,
    pub(crate) server_first: String,
}

impl Exchange {
    pub(crate) fn new(
        mechanism: &str,
        user: &str,
        password: &str,
        facts: Option<&Facts>,
        faults: HashMap<String, String>,
    ) -> Self {
        let binding = facts.filter(|_| mechanism.ends_with("-PLUS")).map(|f| match &f.exporter {
            Some(exporter) => ("tls-exporter", exporter.clone()),
            None => ("tls-server-end-point", f.end_point.clone()),
        });
        let user = faults.get("user").map_or(user, String::as_str).to_owned();
        let password = faults.get("password").map_or(password, String::as_str).to_owned();
        Self {
            mechanism: mechanism.to_owned(),
            client_first_bare: format!("n={},r={}", saslname(&user), random_hex(12)),
            user,
            password,
            faults,
            binding,
            server_signature: None,
            server_first: String::new(),
        }
    }

    pub(crate) fn initial(&self) -> String {
        let authzid = self.faults.get("authzid").map_or("", String::as_str);
        if self.mechanism == "PLAIN" {
            return BASE64.encode(format!("{authzid}\0{}\0{}", self.user, self.password));
        }
        if self.mechanism == BEARER {
            return BASE64.encode(format!("n,,\x01auth=Bearer {}\x01\x01", self.password));
        }
        BASE64.encode(format!("{}{}", self.gs2(), self.client_first_bare))
    }

    fn gs2(&self) -> String {
        if let Some(gs2) = self.faults.get("gs2") {
            return gs2.clone();
        }
        let authzid = match self.faults.get("authzid") {
            Some(a) => format!("a={}", saslname(a)),
            None => String::new(),
        };
        match &self.binding {
            Some((kind, _)) => format!("p={kind},{authzid},"),
            None => format!("n,{authzid},"),
        }
    }

    /// Answers a challenge, both in base64.
    pub(crate) fn respond(&mut self, challenge: &str) -> anyhow::Result<String> {
        // RFC 7628 §3.2.3: a challenge says why the token is refused.
        if self.mechanism == BEARER {
            return Ok(BASE64.encode("\x01"));
        }
        let hash = self.hash()?;
        self.server_first = String::from_utf8(BASE64.decode(challenge.trim())?)?;
        let fields: HashMap<&str, &str> =
            self.server_first.split(',').filter_map(|f| f.split_once('=')).collect();
        let nonce = *fields.get("r").context("no nonce in the challenge")?;
        anyhow::ensure!(
            nonce.starts_with(self.client_first_bare.rsplit("r=").next().unwrap_or_default()),
            "the server's nonce does not begin with the client's"
        );
        let salt = BASE64.decode(fields.get("s").context("no salt in the challenge")?)?;
        let rounds: u32 = fields.get("i").context("no iteration count")?.parse()?;
        let salted = hash.salted(self.password.as_bytes(), &salt, rounds);
        let client_key = hash.hmac(&salted, b"Client Key");
        let nonce = self.faults.get("nonce").map_or(nonce, String::as_str);
        let without_proof = format!("c={},r={nonce}", self.binding_field());
        let signed = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = hash.hmac(&hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(k, s)| k ^ s).collect();
        let proof = self.faults.get("proof").cloned().unwrap_or_else(|| BASE64.encode(proof));
        let server_key = hash.hmac(&salted, b"Server Key");
        self.server_signature = Some(hash.hmac(&server_key, signed.as_bytes()));
        Ok(BASE64.encode(format!("{without_proof},p={proof}")))
    }

    fn binding_field(&self) -> String {
        if let Some(binding) = self.faults.get("binding") {
            return binding.clone();
        }
        let mut input = self.gs2().into_bytes();
        if let Some((_, data)) = &self.binding {
            input.extend(data);
        }
        BASE64.encode(input)
    }

    /// Checks the server's proof, RFC 5802 §3: a client must not go on without it.
    pub(crate) fn finish(&self, additional: &str) -> anyhow::Result<()> {
        if self.mechanism == "PLAIN" || self.mechanism == BEARER {
            return Ok(());
        }
        let text = String::from_utf8(BASE64.decode(additional.trim())?)?;
        let proof = text.strip_prefix("v=").context("no server signature in success")?;
        let expected = self.server_signature.as_ref().context("success before the proof")?;
        anyhow::ensure!(BASE64.decode(proof)? == *expected, "the server signature is wrong");
        Ok(())
    }

    /// XEP-0474 §6.1
    pub(crate) fn downgrade_hash(
        &self,
        mut mechanisms: Vec<String>,
        mut bindings: Vec<String>,
    ) -> anyhow::Result<String> {
        mechanisms.sort();
        bindings.sort();
        let mut text = mechanisms.join("\x1e");
        if !bindings.is_empty() {
            text.push('\x1f');
            text.push_str(&bindings.join("\x1e"));
        }
        Ok(BASE64.encode(self.hash()?.digest(text.as_bytes())))
    }

    fn hash(&self) -> anyhow::Result<Hash> {
        let name = self.mechanism.trim_end_matches("-PLUS");
        Ok(match name {
            "SCRAM-SHA-1" => Hash::Sha1,
            "SCRAM-SHA-256" => Hash::Sha256,
            "SCRAM-SHA-512" => Hash::Sha512,
            _ => anyhow::bail!("{name} has no challenge"),
        })
    }
}

impl Hash {
    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac(Hmac::<Sha1>::new_from_slice(key), data),
            Self::Sha256 => mac(Hmac::<Sha256>::new_from_slice(key), data),
            Self::Sha512 => mac(Hmac::<Sha512>::new_from_slice(key), data),
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        let mut out = self.digest(b"");
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut out),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut out),
        }
        out
    }
}

/// SCRAM's SaltedPassword in base64, which XEP-0480 has clients send.
pub(crate) fn salted_password(
    mechanism: &str,
    password: &str,
    salt: &str,
    rounds: &str,
) -> anyhow::Result<String> {
    let sasl = Exchange::new(mechanism, "", password, None, HashMap::new());
    let salt = BASE64.decode(salt)?;
    Ok(BASE64.encode(sasl.hash()?.salted(password.as_bytes(), &salt, rounds.parse()?)))
}

fn mac<M: Mac>(mac: Result<M, hmac::digest::InvalidLength>, data: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length (RFC 2104 §2).
    let mut mac = mac.expect("any key length is valid");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// RFC 5802 §5.1: `,` and `=` are the delimiters.
fn saslname(text: &str) -> String {
    text.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 §3.
    #[test]
    fn scram_sha_256_example() {
        let mut x = Exchange::new("SCRAM-SHA-256", "user", "pencil", None, HashMap::new());
        x.client_first_bare = "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned();
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = x.respond(&BASE64.encode(challenge)).unwrap();
        let answer = String::from_utf8(BASE64.decode(answer).unwrap()).unwrap();
        assert!(answer.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{answer}");
        let good = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert!(x.finish(&BASE64.encode(good)).is_ok());
        assert!(x.finish(&BASE64.encode("v=AAAA")).is_err());
    }
}
