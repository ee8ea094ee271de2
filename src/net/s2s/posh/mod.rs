//! Certificates that the owner of a domain has named by HTTPS (POSH: RFC 7711, RFC 7712 section 5): for domains that
//! somebody else serves, who has no certificate for them.

mod document;
mod web;

use std::collections::HashMap;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::time::Instant;
use wello_stream::s2s::Domain;

use super::lookup::Resolver;
use crate::tls::HostName;
use document::{Document, Fingerprint};
use web::Web;

/// Why nothing is known of a certificate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PoshError {
    #[error("{0:?} is no https URL")]
    Url(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("no answer in time")]
    TooSlow,
    #[error("the answer is status {0}")]
    Status(u16),
    #[error("the answer is too long")]
    TooLong,
    #[error("the answer is no document of RFC 7711")]
    Document,
    #[error("the document is one reference too far away")]
    TooFar,
}

/// What domains have said, for as long as it is good.
pub struct Posh {
    web: Web,
    known: Mutex<HashMap<Domain, Known>>,
    /// Domains that are remembered.
    max: usize,
}

#[derive(Clone)]
struct Known {
    told: Result<Vec<Fingerprint>, PoshError>,
    until: Instant,
}

/// Before a domain that has told nothing is asked again.
const SILENCE: Duration = Duration::from_secs(300);

impl Posh {
    /// `roots`: whose certificates web servers may have.
    pub fn new(roots: &RootCertStore, max: usize) -> Result<Posh, rustls::Error> {
        Ok(Posh { web: Web::new(roots.clone())?, known: Mutex::default(), max })
    }

    /// Whether the domain has named the certificate.
    pub async fn confirms(
        &self,
        resolver: &Resolver,
        domain: &Domain,
        certificate: &CertificateDer<'_>,
    ) -> Result<bool, PoshError> {
        let fingerprints = match self.recall(domain) {
            Some(told) => told,
            None => {
                let fetch = |url| self.web.get(resolver, url);
                self.remember(domain, obtain(fetch, domain).await)
            }
        };
        Ok(document::confirm(&fingerprints?, certificate))
    }

    fn recall(&self, domain: &Domain) -> Option<Result<Vec<Fingerprint>, PoshError>> {
        let known = self.known.lock();
        known.get(domain).filter(|it| it.until > Instant::now()).map(|it| it.told.clone())
    }

    fn remember(
        &self,
        domain: &Domain,
        obtained: Result<(Vec<Fingerprint>, Duration), PoshError>,
    ) -> Result<Vec<Fingerprint>, PoshError> {
        let now = Instant::now();
        let (told, good_for) = match obtained {
            Ok((fingerprints, good_for)) => (Ok(fingerprints), good_for),
            Err(error) => (Err(error), SILENCE),
        };
        let mut known = self.known.lock();
        if known.len() >= self.max {
            known.retain(|_, it| it.until > now);
        }
        if known.len() >= self.max
            && let Some(first) = known.iter().min_by_key(|(_, it)| it.until)
        {
            let first = first.0.clone();
            known.remove(&first);
        }
        known.insert(domain.clone(), Known { told: told.clone(), until: now + good_for });
        told
    }
}

/// Asks the domain, and whom it refers to, once.
async fn obtain<F: Future<Output = Result<Vec<u8>, PoshError>>>(
    fetch: impl Fn(Uri) -> F,
    domain: &Domain,
) -> Result<(Vec<Fingerprint>, Duration), PoshError> {
    let first = Document::parse(&fetch(location(domain)?).await?)?;
    let (document, good_for) = match first {
        Document::Reference { ref url, .. } => {
            let url = url.parse().map_err(|_| PoshError::Url(url.clone()))?;
            (Document::parse(&fetch(url).await?)?, first.expires())
        }
        Document::Fingerprints { .. } => (first, Duration::MAX),
    };
    let good_for = good_for.min(document.expires());
    match document {
        Document::Fingerprints { fingerprints, .. } => Ok((fingerprints, good_for)),
        Document::Reference { .. } => Err(PoshError::TooFar),
    }
}

fn location(domain: &Domain) -> Result<Uri, PoshError> {
    let ascii = match HostName::new(domain.as_str()) {
        Some(HostName::Dns(name)) => name.to_string(),
        _ => return Err(PoshError::Url(domain.to_string())),
    };
    let url = format!("https://{ascii}/.well-known/posh/xmpp-server.json");
    url.parse().map_err(|_| PoshError::Url(url))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;

    use super::*;

    const OWN: &str = "https://xn--bcher-kva.example/.well-known/posh/xmpp-server.json";
    const ELSEWHERE: &str = "https://hosting.example/posh.json";
    const REFERENCE: &str = r#"{"url":"https://hosting.example/posh.json","expires":60}"#;
    const FINGERPRINTS: &str = r#"{"fingerprints":[{"sha-256":"AA=="}],"expires":90}"#;

    /// What comes of a web with these documents, and what was asked for.
    async fn obtained(web: &[(&str, &str)]) -> (Result<u64, PoshError>, Vec<String>) {
        let asked = RefCell::new(Vec::new());
        let fetch = |url: Uri| {
            let url = url.to_string();
            let found = web.iter().find(|(at, _)| *at == url);
            asked.borrow_mut().push(url);
            ready(found.map(|(_, text)| text.as_bytes().to_vec()).ok_or(PoshError::Status(404)))
        };
        let found = obtain(fetch, &Domain::parse("bücher.example").unwrap()).await;
        (found.map(|(_, good_for)| good_for.as_secs()), asked.into_inner())
    }

    #[tokio::test]
    async fn the_domain_says_it_or_refers_once() {
        let (found, asked) = obtained(&[(OWN, FINGERPRINTS)]).await;
        assert_eq!((found, asked), (Ok(90), vec![OWN.to_owned()]));
        let (found, asked) = obtained(&[(OWN, REFERENCE), (ELSEWHERE, FINGERPRINTS)]).await;
        assert_eq!(found, Ok(60), "the sooner of the two");
        assert_eq!(asked, [OWN, ELSEWHERE]);
        let (found, asked) = obtained(&[(OWN, REFERENCE), (ELSEWHERE, REFERENCE)]).await;
        assert_eq!((found, asked.len()), (Err(PoshError::TooFar), 2));
        assert_eq!(obtained(&[(OWN, "x")]).await.0, Err(PoshError::Document));
        assert_eq!(obtained(&[]).await.0, Err(PoshError::Status(404)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_kept_for_a_while() {
        let posh = Posh::new(&RootCertStore::empty(), 2).unwrap();
        let domain = |name: &str| Domain::parse(name).unwrap();
        let (first, second, third) =
            (domain("a.example"), domain("b.example"), domain("c.example"));
        posh.remember(&first, Ok((Vec::new(), Duration::from_secs(60)))).unwrap();
        posh.remember(&second, Err(PoshError::TooSlow)).unwrap_err();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(posh.recall(&first).unwrap().is_ok());
        assert_eq!(posh.recall(&second).unwrap().unwrap_err(), PoshError::TooSlow);
        posh.remember(&third, Ok((Vec::new(), SILENCE))).unwrap();
        assert!(posh.recall(&first).is_none(), "it made room, being the next to go");
        assert!(posh.recall(&second).is_some() && posh.recall(&third).is_some());
        tokio::time::advance(SILENCE - Duration::from_secs(59)).await;
        assert!(posh.recall(&second).is_none() && posh.recall(&third).is_some());
    }

    #[test]
    fn domains_are_asked_by_their_ascii_name() {
        let location =
            |name: &str| location(&Domain::parse(name).unwrap()).map(|url| url.to_string());
        assert_eq!(location("bücher.example").unwrap(), OWN);
        assert!(location("192.0.2.1").is_err());
    }
}
