//! Accounts, orders and authorizations (RFC 8555 §7.1).

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use rcgen::{CertificateSigningRequestParams, SanType};
use rustls::pki_types::CertificateSigningRequestDer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::jws::Signed;
use super::{Faults, Outcome, Reply, as_get, malformed, problem};
use crate::acme::Now;
use crate::tls::testing::TestCa;

#[derive(Default)]
pub(super) struct State {
    pub(super) counter: u64,
    pub(super) nonces: HashSet<String>,
    pub(super) accounts: Vec<Account>,
    pub(super) authorizations: Vec<Authorization>,
    pub(super) orders: Vec<Order>,
    pub(super) faults: Faults,
    pub(super) requests: Vec<String>,
}

pub(super) struct Account {
    /// The canonical JWK (RFC 7638 §3), which is also its thumbprint's input.
    pub(super) jwk: String,
    pub(super) point: Vec<u8>,
    pub(super) contact: Value,
    pub(super) forgotten: bool,
}

pub(super) struct Authorization {
    pub(super) account: usize,
    pub(super) domain: String,
    pub(super) status: &'static str,
    pub(super) token: String,
    /// Which challenge the client asked to be checked.
    pub(super) ready: Option<String>,
    pub(super) error: Option<String>,
}

pub(super) struct Order {
    pub(super) account: usize,
    pub(super) authorizations: Vec<usize>,
    pub(super) names: BTreeSet<String>,
    pub(super) status: &'static str,
    pub(super) csr: Option<Vec<u8>>,
    pub(super) chain: Option<String>,
}

impl State {
    pub(super) fn new_nonce(&mut self) -> String {
        self.counter += 1;
        let nonce = BASE64.encode(format!("nonce-{}", self.counter));
        self.nonces.insert(nonce.clone());
        nonce
    }

    pub(super) fn new_account(&mut self, base: &str, signed: Signed) -> Outcome {
        let (jwk, point) = signed.jwk.ok_or_else(|| malformed("jwk wanted"))?;
        let payload = signed.payload.ok_or_else(|| malformed("payload wanted"))?;
        if payload["termsOfServiceAgreed"] != json!(true) {
            return Err(problem(StatusCode::FORBIDDEN, "userActionRequired", "terms"));
        }
        let contact = payload["contact"].clone();
        self.accounts.push(Account { jwk, point, contact, forgotten: false });
        let url = format!("{base}/account/{}", self.accounts.len() - 1);
        let reply = Reply::json(StatusCode::CREATED, &json!({ "status": "valid" }));
        Ok(reply.with("location", url))
    }

    pub(super) fn update_account(&mut self, account: usize, signed: &Signed) -> Outcome {
        if let Some(contact) = signed.payload.as_ref().and_then(|payload| payload.get("contact")) {
            self.accounts[account].contact = contact.clone();
        }
        let contact = &self.accounts[account].contact;
        Ok(Reply::json(StatusCode::OK, &json!({ "status": "valid", "contact": contact })))
    }

    /// RFC 8555 §7.4.
    pub(super) fn new_order(&mut self, base: &str, account: usize, signed: &Signed) -> Outcome {
        if self.faults.rate_limited {
            return Err(problem(StatusCode::TOO_MANY_REQUESTS, "rateLimited", "too many"));
        }
        let payload = signed.payload.as_ref().ok_or_else(|| malformed("payload wanted"))?;
        let identifiers = payload["identifiers"].as_array().ok_or_else(|| malformed("names"))?;
        let mut names = BTreeSet::new();
        for identifier in identifiers {
            match (identifier["type"].as_str(), identifier["value"].as_str()) {
                (Some("dns"), Some(name)) => names.insert(name.to_owned()),
                _ => return Err(malformed("identifier")),
            };
        }
        self.reject(&names)?;
        let authorizations =
            names.iter().map(|name| self.authorization_for(account, name)).collect();
        let status = "pending";
        self.orders.push(Order { account, authorizations, names, status, csr: None, chain: None });
        let index = self.orders.len() - 1;
        let mut reply = self.order(base, account, index)?.with_status(StatusCode::CREATED);
        reply.headers.insert("location", format!("{base}/order/{index}"));
        Ok(reply)
    }

    pub(super) fn reject(&self, names: &BTreeSet<String>) -> Result<(), Box<Reply>> {
        let rejected: Vec<Value> = names
            .iter()
            .filter(|name| self.faults.rejected.contains(*name))
            .map(|name| {
                json!({
                    "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                    "detail": "policy",
                    "identifier": { "type": "dns", "value": name },
                })
            })
            .collect();
        if rejected.is_empty() {
            return Ok(());
        }
        let body = json!({
            "type": "urn:ietf:params:acme:error:rejectedIdentifier",
            "detail": "some names are not welcome",
            "subproblems": rejected,
        });
        Err(Box::new(Reply::json(StatusCode::FORBIDDEN, &body)))
    }

    /// One that is valid already, or a new one.
    pub(super) fn authorization_for(&mut self, account: usize, domain: &str) -> usize {
        let known =
            |a: &Authorization| a.account == account && a.domain == domain && a.status == "valid";
        if let Some(index) = self.authorizations.iter().position(known) {
            return index;
        }
        self.counter += 1;
        let token = BASE64.encode(Sha256::digest(self.counter.to_be_bytes()));
        let (domain, status) = (domain.to_owned(), "pending");
        let new = Authorization { account, domain, status, token, ready: None, error: None };
        self.authorizations.push(new);
        self.authorizations.len() - 1
    }

    pub(super) fn authorization(
        &self,
        base: &str,
        account: usize,
        index: usize,
        signed: &Signed,
    ) -> Outcome {
        as_get(signed)?;
        let authorization = self
            .authorizations
            .get(index)
            .filter(|authorization| authorization.account == account)
            .ok_or_else(|| malformed("no such authorization"))?;
        let kinds: &[&str] =
            if self.faults.no_tls_alpn { &["http-01"] } else { &["http-01", "tls-alpn-01"] };
        let challenges: Vec<Value> =
            kinds.iter().map(|kind| authorization.challenge(base, index, kind)).collect();
        Ok(Reply::json(
            StatusCode::OK,
            &json!({
                "identifier": { "type": "dns", "value": authorization.domain },
                "status": authorization.status,
                "challenges": challenges,
            }),
        ))
    }

    /// RFC 8555 §7.5.1.
    pub(super) fn challenge(
        &mut self,
        base: &str,
        account: usize,
        path: &str,
        signed: &Signed,
    ) -> Outcome {
        if signed.payload != Some(json!({})) {
            return Err(malformed("{} wanted"));
        }
        let (kind, index) = path.strip_prefix("/chall/").unwrap().split_once('/').unwrap();
        let index: usize = index.parse().unwrap();
        let authorization = &mut self.authorizations[index];
        if authorization.account != account || authorization.ready.is_some() {
            return Err(malformed("this challenge is not open"));
        }
        authorization.ready = Some(kind.to_owned());
        Ok(Reply::json(StatusCode::OK, &authorization.challenge(base, index, kind)))
    }

    pub(super) fn own_order(
        &mut self,
        account: usize,
        index: usize,
    ) -> Result<&mut Order, Box<Reply>> {
        self.orders
            .get_mut(index)
            .filter(|order| order.account == account)
            .ok_or_else(|| malformed("no such order"))
    }

    /// RFC 8555 §7.1.6.
    pub(super) fn advance(&mut self, index: usize, ca: &TestCa, now: &Now) {
        let order = &self.orders[index];
        let all = |status: &str| {
            order.authorizations.iter().all(|a| self.authorizations[*a].status == status)
        };
        let any_invalid =
            order.authorizations.iter().any(|a| self.authorizations[*a].status == "invalid");
        let next = match order.status {
            "pending" if any_invalid => "invalid",
            "pending" if all("valid") => "ready",
            "processing" if !self.faults.stuck => "valid",
            same => same,
        };
        if order.status == "processing" && next == "valid" {
            let csr = order.csr.clone().unwrap();
            let chain = issue(&csr, &self.faults, ca, now);
            self.orders[index].chain = Some(chain);
        }
        self.orders[index].status = next;
    }

    pub(super) fn order(&mut self, base: &str, account: usize, index: usize) -> Outcome {
        let order = self.own_order(account, index)?;
        let identifiers: Vec<Value> =
            order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let authorizations: Vec<String> =
            order.authorizations.iter().map(|a| format!("{base}/authz/{a}")).collect();
        let mut object = json!({
            "status": order.status,
            "identifiers": identifiers,
            "authorizations": authorizations,
            "finalize": format!("{base}/finalize/{index}"),
        });
        if order.status == "valid" {
            object["certificate"] = json!(format!("{base}/cert/{index}"));
        }
        Ok(Reply::json(StatusCode::OK, &object))
    }

    pub(super) fn finalize(
        &mut self,
        base: &str,
        account: usize,
        index: usize,
        signed: &Signed,
    ) -> Outcome {
        let order = self.own_order(account, index)?;
        if order.status != "ready" {
            return Err(problem(StatusCode::FORBIDDEN, "orderNotReady", order.status));
        }
        let bad = |detail| problem(StatusCode::BAD_REQUEST, "badCSR", detail);
        let csr = signed.payload.as_ref().and_then(|payload| payload["csr"].as_str());
        let csr = csr.and_then(|csr| BASE64.decode(csr).ok()).ok_or_else(|| bad("encoding"))?;
        // This verifies the signature, too.
        let request = CertificateSigningRequestParams::from_der(&csr.as_slice().into())
            .map_err(|_| bad("signature"))?;
        let mut names = BTreeSet::new();
        for name in &request.params.subject_alt_names {
            match name {
                SanType::DnsName(name) => names.insert(name.to_string()),
                _ => return Err(bad("other names")),
            };
        }
        if names != order.names || request.params.distinguished_name.iter().count() > 0 {
            return Err(bad("names are not those of the order"));
        }
        order.csr = Some(csr);
        order.status = "processing";
        self.order(base, account, index)
    }
}

impl Authorization {
    pub(super) fn challenge(&self, base: &str, index: usize, kind: &str) -> Value {
        let mine = self.ready.as_deref() == Some(kind);
        let status = match (mine, self.status) {
            (true, "pending") => "processing",
            (true, status) => status,
            (false, _) => "pending",
        };
        let mut object = json!({
            "type": kind,
            "url": format!("{base}/chall/{kind}/{index}"),
            "token": self.token,
            "status": status,
        });
        if let (true, Some(detail)) = (mine, &self.error) {
            object["error"] =
                json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": detail });
        }
        object
    }
}

fn issue(csr: &[u8], faults: &Faults, ca: &TestCa, now: &Now) -> String {
    let csr = CertificateSigningRequestDer::from(csr);
    let mut request = CertificateSigningRequestParams::from_der(&csr).unwrap();
    let now = now();
    request.params.not_before = (now - Duration::from_secs(3600)).into();
    let lifetime = faults.lifetime.unwrap_or(Duration::from_secs(90 * 86400));
    request.params.not_after = (now - Duration::from_secs(3600) + lifetime).into();
    if faults.wrong_key {
        return ca.issue(&request.params).chain_pem;
    }
    request.signed_by(ca.issuer()).unwrap().pem()
}
