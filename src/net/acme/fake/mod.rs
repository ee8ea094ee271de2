//! An ACME server for tests. It holds its clients to RFC 8555: nonces, signatures, states.

mod jws;
mod state;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::acme::Now;
use crate::tls::testing::TestCa;

use jws::Signed;
use state::State;

/// How the server reaches the world to check a challenge; Err is the reason of the refusal.
pub(super) type Validate =
    Box<dyn Fn(Validation) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

pub(super) struct Validation {
    pub(super) kind: String,
    pub(super) domain: String,
    pub(super) token: String,
    pub(super) key_authorization: String,
}

pub(super) struct FakeAcme {
    base: String,
    ca: TestCa,
    now: Now,
    validate: Validate,
    state: Mutex<State>,
}

/// What the server is to do wrong, or not to like.
#[derive(Clone, Default)]
pub(super) struct Faults {
    /// So many requests are answered with badNonce.
    pub(super) bad_nonces: u32,
    pub(super) down: bool,
    pub(super) rate_limited: bool,
    /// Names that new orders may not have.
    pub(super) rejected: HashSet<String>,
    /// Issue for a key of our own.
    pub(super) wrong_key: bool,
    /// Leave orders in the state `processing`.
    pub(super) stuck: bool,
    pub(super) no_tls_alpn: bool,
    pub(super) lifetime: Option<Duration>,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HashMap<&'static str, String>,
    pub(super) body: Vec<u8>,
}

type Outcome = Result<Reply, Box<Reply>>;

impl FakeAcme {
    /// `base`: scheme and authority of its URLs.
    pub(super) fn new(base: &str, now: Now, validate: Validate) -> Self {
        let state = Mutex::default();
        Self { base: base.to_owned(), ca: TestCa::new(), now, validate, state }
    }

    pub(super) fn directory(&self) -> String {
        format!("{}/directory", self.base)
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Method and path of the requests so far, but for the directory and nonces.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.starts_with(path)).count()
    }

    /// Why validations failed.
    pub(super) fn refusals(&self) -> BTreeSet<String> {
        self.state.lock().authorizations.iter().filter_map(|a| a.error.clone()).collect()
    }

    pub(super) fn contacts(&self) -> Vec<Value> {
        self.state.lock().accounts.iter().map(|account| account.contact.clone()).collect()
    }

    pub(super) fn forget_accounts(&self) {
        self.state.lock().accounts.iter_mut().for_each(|account| account.forgotten = true);
    }

    pub(super) async fn handle(
        &self,
        method: &Method,
        url: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Reply {
        if self.state.lock().faults.down {
            return Reply::new(StatusCode::SERVICE_UNAVAILABLE, b"<html>down</html>".to_vec());
        }
        let Some(path) = url.strip_prefix(&self.base) else {
            return *problem(StatusCode::NOT_FOUND, "malformed", "not my URL");
        };
        let mut reply = match (method.as_str(), path) {
            ("GET", "/directory") => return Reply::json(StatusCode::OK, &self.directory_object()),
            ("HEAD", "/new-nonce") => Reply::new(StatusCode::OK, Vec::new()),
            ("POST", _) if content_type == Some("application/jose+json") => {
                self.check_pending(path).await;
                self.post(url, path, body).unwrap_or_else(|error| *error)
            }
            _ => *problem(StatusCode::METHOD_NOT_ALLOWED, "malformed", "method or content type"),
        };
        reply.headers.insert("replay-nonce", self.state.lock().new_nonce());
        reply
    }

    fn directory_object(&self) -> Value {
        let url = |path: &str| format!("{}{path}", self.base);
        json!({
            "newNonce": url("/new-nonce"),
            "newAccount": url("/new-account"),
            "newOrder": url("/new-order"),
            "revokeCert": url("/revoke-cert"),
            "keyChange": url("/key-change"),
            "meta": { "termsOfService": url("/terms") },
        })
    }

    /// Checks the challenges that clients said are ready; like a real server not at once, but
    /// before the next look at an order or authorization.
    async fn check_pending(&self, path: &str) {
        if !path.starts_with("/order/") && !path.starts_with("/authz/") {
            return;
        }
        let waiting: Vec<(usize, Validation)> = {
            let state = self.state.lock();
            let open = state.authorizations.iter().enumerate();
            open.filter(|(_, authorization)| authorization.status == "pending")
                .filter_map(|(index, authorization)| {
                    let account = state.accounts.get(authorization.account)?;
                    let thumbprint = BASE64.encode(Sha256::digest(&account.jwk));
                    let validation = Validation {
                        kind: authorization.ready.clone()?,
                        domain: authorization.domain.clone(),
                        token: authorization.token.clone(),
                        key_authorization: format!("{}.{thumbprint}", authorization.token),
                    };
                    Some((index, validation))
                })
                .collect()
        };
        for (index, validation) in waiting {
            let result = (self.validate)(validation).await;
            let authorization = &mut self.state.lock().authorizations[index];
            authorization.status = if result.is_ok() { "valid" } else { "invalid" };
            authorization.error = result.err();
        }
    }

    fn post(&self, url: &str, path: &str, body: &[u8]) -> Outcome {
        let mut state = self.state.lock();
        state.requests.push(path.to_owned());
        let signed = state.verify(&self.base, url, path, body)?;
        let index = || path.rsplit('/').find_map(|part| part.parse::<usize>().ok()).unwrap();
        if path == "/new-account" {
            return state.new_account(&self.base, signed);
        }
        let account = signed.account.ok_or_else(|| malformed("kid wanted"))?;
        match path.split('/').nth(1) {
            Some("account") => state.update_account(account, &signed),
            Some("new-order") => state.new_order(&self.base, account, &signed),
            Some("authz") => state.authorization(&self.base, account, index(), &signed),
            Some("chall") => state.challenge(&self.base, account, path, &signed),
            Some("order") => {
                as_get(&signed)?;
                state.advance(index(), &self.ca, &self.now);
                state.order(&self.base, account, index())
            }
            Some("finalize") => state.finalize(&self.base, account, index(), &signed),
            Some("cert") => {
                as_get(&signed)?;
                let chain = state.own_order(account, index())?.chain.clone();
                let chain = chain.ok_or_else(|| malformed("no certificate yet"))?;
                Ok(Reply::new(StatusCode::OK, chain.into_bytes()))
            }
            _ => Err(problem(StatusCode::NOT_FOUND, "malformed", "no such resource")),
        }
    }
}

impl Reply {
    pub(super) fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, headers: HashMap::new(), body }
    }

    fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, body.to_string().into_bytes())
            .with("content-type", "application/json".to_owned())
    }

    pub(super) fn into_http(self) -> http::Response<Bytes> {
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Bytes::from(self.body)).unwrap()
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

fn as_get(signed: &Signed) -> Result<(), Box<Reply>> {
    if signed.payload.is_some() { Err(malformed("POST-as-GET wanted")) } else { Ok(()) }
}

fn malformed(detail: &str) -> Box<Reply> {
    problem(StatusCode::BAD_REQUEST, "malformed", detail)
}

fn problem(status: StatusCode, kind: &str, detail: &str) -> Box<Reply> {
    let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
    Box::new(Reply::json(status, &body))
}
