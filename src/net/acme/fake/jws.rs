//! Who signed a request, and what it says (RFC 8555 §6.2 to §6.5).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::state::State;
use super::{Reply, malformed, problem};

#[derive(Deserialize)]
struct Jws {
    pub(super) protected: String,
    pub(super) payload: String,
    pub(super) signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    pub(super) alg: String,
    pub(super) nonce: String,
    pub(super) url: String,
    pub(super) jwk: Option<Value>,
    pub(super) kid: Option<String>,
}

/// A request whose signature was verified.
pub(super) struct Signed {
    pub(super) account: Option<usize>,
    pub(super) jwk: Option<(String, Vec<u8>)>,
    /// None: POST-as-GET (§6.3).
    pub(super) payload: Option<Value>,
}

impl State {
    /// RFC 8555 §6.2 to §6.5.
    pub(super) fn verify(
        &mut self,
        base: &str,
        url: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Signed, Box<Reply>> {
        let jws: Jws = serde_json::from_slice(body).map_err(|_| malformed("not a JWS"))?;
        let decode = |text: &str| BASE64.decode(text).map_err(|_| malformed("not base64url"));
        let protected: Protected = serde_json::from_slice(&decode(&jws.protected)?)
            .map_err(|_| malformed("protected header"))?;
        if protected.alg != "ES256" {
            return Err(problem(StatusCode::BAD_REQUEST, "badSignatureAlgorithm", "ES256 only"));
        }
        if protected.url != url {
            return Err(problem(StatusCode::FORBIDDEN, "unauthorized", "url is another"));
        }
        if !self.nonces.remove(&protected.nonce) || self.faults.bad_nonces > 0 {
            self.faults.bad_nonces = self.faults.bad_nonces.saturating_sub(1);
            return Err(problem(StatusCode::BAD_REQUEST, "badNonce", "nonce is not from here"));
        }
        let (account, jwk, point) = match (&protected.jwk, &protected.kid) {
            (Some(jwk), None) if path == "/new-account" => {
                let (canonical, point) = read_jwk(jwk)?;
                (None, Some((canonical, point.clone())), point)
            }
            (None, Some(kid)) => {
                let index = self.account_by_url(base, kid)?;
                (Some(index), None, self.accounts[index].point.clone())
            }
            _ => return Err(malformed("jwk or kid")),
        };
        let message = format!("{}.{}", jws.protected, jws.payload);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
            .verify(message.as_bytes(), &decode(&jws.signature)?)
            .map_err(|_| malformed("signature"))?;
        let payload = match jws.payload.as_str() {
            "" => None,
            payload => {
                Some(serde_json::from_slice(&decode(payload)?).map_err(|_| malformed("payload"))?)
            }
        };
        Ok(Signed { account, jwk, payload })
    }

    pub(super) fn account_by_url(&self, base: &str, kid: &str) -> Result<usize, Box<Reply>> {
        let index: Option<usize> =
            kid.strip_prefix(&format!("{base}/account/")).and_then(|text| text.parse().ok());
        index
            .filter(|index| self.accounts.get(*index).is_some_and(|a| !a.forgotten))
            .ok_or_else(|| problem(StatusCode::BAD_REQUEST, "accountDoesNotExist", "who is it?"))
    }
}

fn read_jwk(jwk: &Value) -> Result<(String, Vec<u8>), Box<Reply>> {
    let field = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
    let (x, y) = (field("x"), field("y"));
    let decode = |text: &str| BASE64.decode(text).map_err(|_| malformed("jwk"));
    if field("kty") != "EC" || field("crv") != "P-256" {
        return Err(malformed("jwk"));
    }
    let point = [vec![4], decode(&x)?, decode(&y)?].concat();
    Ok((format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#), point))
}
