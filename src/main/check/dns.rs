//! Asks DNS what clients would ask it.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{RData, RecordType};

/// For all questions about one host.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Empty for a service that is said not to exist (RFC 2782).
    pub name: String,
    pub port: u16,
}

/// What DNS says; none of it when it does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// `_xmpp-client._tcp`
    pub client: Option<Vec<Target>>,
    /// `_xmpps-client._tcp` (XEP-0368)
    pub client_tls: Option<Vec<Target>>,
    /// Of the domain itself.
    pub addresses: Option<Vec<IpAddr>>,
}

pub async fn records(domain: &str) -> Records {
    let Ok(resolver) = TokioResolver::builder_tokio().and_then(|builder| builder.build()) else {
        return Records::default();
    };
    let client = format!("_xmpp-client._tcp.{domain}.");
    let client_tls = format!("_xmpps-client._tcp.{domain}.");
    let asking = async {
        Records {
            client: targets(&resolver, client).await,
            client_tls: targets(&resolver, client_tls).await,
            addresses: addresses(&resolver, format!("{domain}.")).await,
        }
    };
    tokio::time::timeout(TIMEOUT, asking).await.unwrap_or_default()
}

async fn targets(resolver: &TokioResolver, name: String) -> Option<Vec<Target>> {
    let found = answered(resolver.lookup(name, RecordType::SRV).await)?;
    let Some(found) = found else { return Some(Vec::new()) };
    let target = |data: &RData| match data {
        RData::SRV(srv) => {
            let name = srv.target.to_utf8();
            Some(Target { name: name.trim_end_matches('.').to_owned(), port: srv.port })
        }
        _ => None,
    };
    Some(found.answers().iter().filter_map(|record| target(&record.data)).collect())
}

async fn addresses(resolver: &TokioResolver, name: String) -> Option<Vec<IpAddr>> {
    let found = answered(resolver.lookup_ip(name).await)?;
    Some(found.map(|found| found.iter().collect()).unwrap_or_default())
}

/// "There is none" is an answer; no answer is none.
fn answered<T>(result: Result<T, NetError>) -> Option<Option<T>> {
    match result {
        Ok(found) => Some(Some(found)),
        Err(error) if error.is_no_records_found() => Some(None),
        Err(_) => None,
    }
}
