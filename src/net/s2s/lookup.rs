//! Where the server of a domain is (RFC 6120, section 3.2; XEP-0368), as DNS tells.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use thiserror::Error;
use wello_kernel::config::S2s;
use wello_stream::random::random_bytes;
use wello_stream::s2s::Domain;

use super::S2sError;
use super::dane::Associations;
use crate::ip_network::IpNetwork;
use crate::outbound::is_public;
use crate::tls::HostName;

/// Where servers listen if DNS says nothing else (RFC 6120, section 14.7).
const PORT: u16 = 5269;
/// Places that are tried; a domain that names more wastes our time.
const MAX_TARGETS: usize = 8;
const MAX_ADDRESSES: usize = 8;

/// One place where a domain says that its server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    /// TLS comes first.
    pub direct: bool,
    /// The domain itself has named it: a signature in DNS says so, or it is the domain.
    pub is_vouched_for: bool,
}

impl Target {
    /// A place that nobody vouches for.
    pub fn new(host: &str, port: u16, direct: bool) -> Target {
        Target { host: host.to_owned(), port, direct, is_vouched_for: false }
    }
}

/// A target as it stands in a SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub priority: u16,
    pub weight: u16,
    pub target: Target,
}

/// Why there is no place to go to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LookupError {
    #[error("DNS says that there is no {0}")]
    NoDomain(String),
    #[error("{0} says in DNS that it has no XMPP server")]
    NoServer(String),
    #[error("DNS does not answer about {0}")]
    NoAnswer(String),
    #[error("{0} has no address that may be connected to")]
    NotPublic(String),
}

impl LookupError {
    /// Whether asking again soon is no use.
    pub fn is_final(&self) -> bool {
        !matches!(self, LookupError::NoAnswer(_))
    }
}

/// Asks DNS; answers are kept for as long as they are good, also those that there is nothing.
pub struct Resolver {
    resolver: TokioResolver,
    private_networks: Vec<IpNetwork>,
    /// Signatures are checked, here and not by whoever is asked, and certificates looked for.
    dane: bool,
}

impl Resolver {
    pub fn new(config: &S2s) -> Result<Resolver, S2sError> {
        let networks = config.private_networks.iter().map(|text| text.parse::<IpNetwork>());
        let private_networks = networks.collect::<Result<Vec<_>, _>>()?;
        let failed = |error: NetError| S2sError::Resolver(error.to_string());
        let mut builder = match config.nameserver {
            None => TokioResolver::builder_tokio().map_err(failed)?,
            Some(address) => {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut server.connections {
                    connection.port = address.port();
                }
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.options_mut().validate = config.dane;
        // Who has signed an alias is to be seen.
        builder.options_mut().preserve_intermediates = config.dane;
        if let Some(file) = config.trust_anchor.as_deref().filter(|_| config.dane) {
            let anchors = TrustAnchors::from_file(file);
            let anchors = anchors.map_err(|error| S2sError::TrustAnchor(error.to_string()))?;
            builder = builder.with_trust_anchor(Arc::new(anchors));
        }
        let resolver = builder.build().map_err(failed)?;
        Ok(Resolver { resolver, private_networks, dane: config.dane })
    }

    /// The places to try, in that order; never empty.
    pub async fn targets(&self, domain: &Domain) -> Result<Vec<Target>, LookupError> {
        let name = domain.as_str();
        let ascii = match HostName::new(name) {
            Some(HostName::Dns(name)) => name.to_string(),
            Some(HostName::Ip(address)) => {
                return Ok(vec![Target::new(&address.to_string(), PORT, false)]);
            }
            None => return Err(LookupError::NoDomain(name.to_owned())),
        };
        let (starttls, direct) = tokio::join!(
            self.services(format!("_xmpp-server._tcp.{ascii}."), false),
            self.services(format!("_xmpps-server._tcp.{ascii}."), true),
        );
        let found: Vec<Service> =
            [&starttls, &direct].into_iter().flatten().flatten().cloned().collect();
        if found.is_empty() {
            // RFC 6120, section 3.2.2. Also when there is no answer: some name servers have trouble with SRV.
            return Ok(vec![Target { is_vouched_for: true, ..Target::new(&ascii, PORT, false) }]);
        }
        let targets = order(found, random_below);
        match targets.is_empty() {
            true => Err(LookupError::NoServer(name.to_owned())),
            false => Ok(targets),
        }
    }

    async fn services(&self, name: String, direct: bool) -> Option<Vec<Service>> {
        let found = self.resolver.lookup(name, RecordType::SRV).await.ok()?;
        let service = |record: &Record| match &record.data {
            RData::SRV(srv) => {
                let host = srv.target.to_utf8();
                let target = Target::new(host.trim_end_matches('.'), srv.port, direct);
                let target = Target { is_vouched_for: is_signed(record, &found), ..target };
                Some(Service { priority: srv.priority, weight: srv.weight, target })
            }
            _ => None,
        };
        Some(found.answers().iter().filter_map(service).collect())
    }

    /// What DNS says of the certificate at a target (RFC 7673, section 3). Fails if it might say something and the
    /// answer is held back or forged: otherwise whoever can do that could show any certificate.
    pub async fn associations(&self, target: &Target) -> Result<Associations, LookupError> {
        let Target { host, port, .. } = target;
        if !self.dane || !target.is_vouched_for {
            return Ok(Associations::default());
        }
        let name = format!("_{port}._tcp.{host}.");
        let found = match self.resolver.lookup(name, RecordType::TLSA).await {
            Ok(found) => found,
            Err(error) if is_known_absence(&error) => return Ok(Associations::default()),
            Err(error) => {
                tracing::debug!(%host, %error, "certificates not looked up");
                return Err(LookupError::NoAnswer(format!("the certificate of {host}")));
            }
        };
        let signed = found.answers().iter().filter(|record| is_signed(record, &found));
        let records = signed.filter_map(|record| match &record.data {
            RData::TLSA(tlsa) => Some(tlsa.clone()),
            _ => None,
        });
        Ok(Associations::new(host, records))
    }

    /// Addresses of a target that may be connected to, in the order in which they are to be tried
    /// (RFC 8305, section 4); never empty.
    pub async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, LookupError> {
        let host = &target.host;
        let all: Vec<IpAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => match self.resolver.lookup_ip(format!("{host}.")).await {
                Ok(found) => found.iter().collect(),
                Err(error) if error.is_no_records_found() => {
                    return Err(LookupError::NoDomain(host.clone()));
                }
                Err(error) => {
                    tracing::debug!(%host, %error, "not looked up");
                    return Err(LookupError::NoAnswer(host.clone()));
                }
            },
        };
        let usable = interleaved(all.into_iter().filter(|address| self.permits(*address)));
        match usable.is_empty() {
            true => Err(LookupError::NotPublic(host.clone())),
            false => {
                let port = target.port;
                Ok(usable.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
        }
    }

    /// Whoever names a domain chooses what we connect to: not to what only this machine or its
    /// network can reach, unless the operator says so.
    fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.private_networks.iter().any(|it| it.contains(address))
    }
}

/// Whether the owner of the name that was asked for vouches for the record: by signing it, or by signing an alias that
/// leads to somebody who has (RFC 7671, section 7). An alias that nobody signed might lead to records of anybody.
fn is_signed(record: &Record, found: &Lookup) -> bool {
    record.proof.is_secure() && record.name == *named(found.query().name(), found.answers())
}

/// Where signed aliases lead.
fn named<'a>(asked: &'a Name, answers: &'a [Record]) -> &'a Name {
    let alias = |name: &Name| {
        answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name && record.proof.is_secure() => {
                Some(&target.0)
            }
            _ => None,
        })
    };
    // Each of them is followed once, wherever it leads.
    let steps = std::iter::successors(Some(asked), |name| alias(name));
    steps.take(answers.len() + 1).last().unwrap_or(asked)
}

/// There is nothing, which a signature proves, or nothing is signed there.
fn is_known_absence(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::Nsec { proof, .. }) => proof.is_insecure(),
        error => error.is_no_records_found(),
    }
}

/// IPv6 and IPv4 in turn, each in the order that DNS gave.
fn interleaved(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.partition(IpAddr::is_ipv6);
    let longest = six.len().max(four.len());
    let turn = |place: usize| [six.get(place).copied(), four.get(place).copied()];
    (0..longest).flat_map(turn).flatten().take(MAX_ADDRESSES).collect()
}

/// By priority, and by chance according to weight among equals (RFC 2782). `pick` gives a number of
/// at most its argument.
fn order(mut services: Vec<Service>, mut pick: impl FnMut(u32) -> u32) -> Vec<Target> {
    // "." stands for "not here".
    services.retain(|service| !service.target.host.is_empty());
    // Those without weight first, so that they are picked at all; direct TLS first among the same.
    services.sort_by_key(|it| (it.priority, it.weight != 0, !it.target.direct));
    let mut targets: Vec<Target> = Vec::new();
    while !services.is_empty() && targets.len() < MAX_TARGETS {
        let priority = services[0].priority;
        let equals = services.iter().take_while(|service| service.priority == priority);
        let sum: u32 = equals.map(|service| u32::from(service.weight)).sum();
        let picked = pick(sum);
        let mut passed = 0;
        let place = services.iter().position(|service| {
            passed += u32::from(service.weight);
            passed >= picked
        });
        let Service { target, .. } = services.remove(place.unwrap_or(0));
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

fn random_below(most: u32) -> u32 {
    let number = u64::from(u32::from_le_bytes(random_bytes::<4>()));
    // At most `most`, which is an u32.
    ((number * (u64::from(most) + 1)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::dnssec::Proof;
    use hickory_resolver::proto::rr::rdata::CNAME;

    use super::*;

    fn service(priority: u16, weight: u16, host: &str) -> Service {
        Service { priority, weight, target: Target::new(host, 1, false) }
    }

    fn hosts(services: &[Service], pick: impl FnMut(u32) -> u32) -> String {
        let targets = order(services.to_vec(), pick);
        targets.iter().map(|target| target.host.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn priorities_come_first_and_weights_decide() {
        let all = [service(20, 0, "c"), service(10, 5, "a"), service(10, 1, "b")];
        assert_eq!(hosts(&all, |_| 0), "a b c");
        assert_eq!(hosts(&all, |sum| sum), "b a c");
        let all = [service(1, 10, "a"), service(1, 0, "z")];
        assert_eq!(hosts(&all, |_| 0), "z a");
        assert_eq!(hosts(&all, |_| 1), "a z");
    }

    #[test]
    fn every_record_is_tried_once_and_not_too_many() {
        let same = [service(1, 1, "a"), service(1, 1, "a"), service(2, 1, "a")];
        assert_eq!(hosts(&same, |_| 0), "a");
        let many: Vec<Service> = (0..100).map(|n| service(n, 0, &format!("h{n}"))).collect();
        assert_eq!(order(many, |_| 0).len(), MAX_TARGETS);
        assert_eq!(hosts(&[service(0, 0, "")], |_| 0), "");
        assert!(order(Vec::new(), |_| 0).is_empty());
    }

    #[test]
    fn direct_tls_is_preferred_among_equals() {
        let mut direct = service(5, 0, "a");
        direct.target.direct = true;
        let targets = order(vec![service(5, 0, "a"), direct.clone()], |_| 0);
        assert_eq!(targets[0], direct.target);
        assert_eq!(targets.len(), 2);
    }

    #[test]
    fn signed_aliases_are_followed_and_no_others() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let alias = |of: &str, to: &str, proof| {
            let mut record = Record::from_rdata(name(of), 60, RData::CNAME(CNAME(name(to))));
            record.proof = proof;
            record
        };
        let leads = |answers: &[Record]| named(&name("a."), answers).to_ascii();
        let (ab, bc) = (alias("a.", "b.", Proof::Secure), alias("b.", "c.", Proof::Secure));
        assert_eq!(leads(&[]), "a.");
        assert_eq!(leads(&[bc.clone(), ab.clone()]), "c.");
        assert_eq!(leads(&[ab.clone(), alias("b.", "c.", Proof::Insecure)]), "b.");
        assert_eq!(leads(&[alias("a.", "b.", Proof::Indeterminate), bc]), "a.");
        // A circle ends.
        assert!(["a.", "b."].contains(&&*leads(&[ab, alias("b.", "a.", Proof::Secure)])));
    }

    #[test]
    fn chance_stays_in_bounds() {
        for most in [0, 1, 7, 65_535 * 8, u32::MAX] {
            assert!((0..100).all(|_| random_below(most) <= most));
        }
    }

    #[test]
    fn families_take_turns() {
        let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"];
        let turns = interleaved(all.iter().map(|text| text.parse().unwrap()));
        let turns: Vec<String> = turns.iter().map(IpAddr::to_string).collect();
        assert_eq!(turns, ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    }

    #[tokio::test]
    async fn private_addresses_are_the_operators_to_allow() {
        let config = S2s {
            nameserver: Some(SocketAddr::from(([127, 0, 0, 1], 1))),
            private_networks: vec!["10.1.0.0/16".to_owned()],
            ..S2s::default()
        };
        let resolver = Resolver::new(&config).unwrap();
        let look = async |host: &str| resolver.addresses(&Target::new(host, 5269, false)).await;
        assert!(look("10.1.2.3").await.is_ok() && look("1.1.1.1").await.is_ok());
        for host in ["127.0.0.1", "10.2.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(look(host).await, Err(LookupError::NotPublic(host.to_owned())));
        }
        let domain = Domain::parse("10.1.2.3").unwrap();
        assert_eq!(resolver.targets(&domain).await.unwrap()[0].host, "10.1.2.3");
    }
}
