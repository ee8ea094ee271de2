//! Certificates that the owner of a name has put into DNS (DANE: RFC 6698, as RFC 7671 and RFC 7673 want it).

use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha512};
use wello_store::Timestamp;
use wello_stream::s2s::Domain;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::trust;

/// What DNS says, signed, of the certificate at one place.
#[derive(Clone, Debug, Default)]
pub struct Associations {
    records: Vec<TLSA>,
    /// The name of that place.
    host: Option<Domain>,
}

impl Associations {
    /// Records that only narrow down what authorities say (usages 0 and 1) are as good as none: that a known authority
    /// has to have signed is asked for in the configuration.
    pub fn new(host: &str, records: impl IntoIterator<Item = TLSA>) -> Associations {
        let records = records.into_iter().filter(is_usable).collect();
        Associations { records, host: Domain::parse(host) }
    }

    /// Anything goes, for all that DNS says.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the chain, leaf first, is one that is meant.
    pub fn confirm(&self, chain: &[CertificateDer<'_>], domain: &Domain, now: Timestamp) -> bool {
        self.records.iter().any(|record| match record.cert_usage {
            // RFC 7671, section 5.1: neither its names nor its dates are looked at.
            CertUsage::DaneEe => chain.first().is_some_and(|leaf| matches(record, leaf)),
            _ => self.confirm_authority(record, chain, domain, now),
        })
    }

    /// RFC 7671, section 5.2: the record is of an authority, which is in the chain.
    fn confirm_authority(
        &self,
        record: &TLSA,
        chain: &[CertificateDer<'_>],
        domain: &Domain,
        now: Timestamp,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        let authorities = chain.iter().skip(1).filter(|one| matches(record, one));
        roots.add_parsable_certificates(authorities.map(|one| one.clone().into_owned()));
        // RFC 7673, section 4: the host that a signed SRV record names will do as well.
        let names = std::iter::once(domain).chain(&self.host);
        !roots.is_empty() && { names }.any(|name| trust::check(chain, &roots, name, now).is_ok())
    }
}

fn is_usable(record: &TLSA) -> bool {
    matches!(record.cert_usage, CertUsage::DaneTa | CertUsage::DaneEe)
        && matches!(record.selector, Selector::Full | Selector::Spki)
        && matches!(record.matching, Matching::Raw | Matching::Sha256 | Matching::Sha512)
}

fn matches(record: &TLSA, certificate: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        Selector::Spki => match X509Certificate::from_der(certificate) {
            Ok((_, parsed)) => parsed.public_key().raw.to_vec(),
            Err(_) => return false,
        },
        _ => certificate.to_vec(),
    };
    match record.matching {
        Matching::Sha256 => Sha256::digest(selected)[..] == record.cert_data[..],
        Matching::Sha512 => Sha512::digest(selected)[..] == record.cert_data[..],
        _ => selected == record.cert_data,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    /// A leaf for the host `xmpp.hosting.example`, and its authority.
    fn chain() -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let params = CertificateParams::new(vec!["xmpp.hosting.example".to_owned()]).unwrap();
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();
        vec![leaf.der().clone(), authority.der().clone()]
    }

    fn spki(certificate: &CertificateDer<'_>) -> Vec<u8> {
        X509Certificate::from_der(certificate).unwrap().1.public_key().raw.to_vec()
    }

    fn record(usage: u8, selector: u8, matching: u8, of: &CertificateDer<'_>) -> TLSA {
        let selected = if selector == 1 { spki(of) } else { of.to_vec() };
        let data = match matching {
            1 => Sha256::digest(selected).to_vec(),
            2 => Sha512::digest(selected).to_vec(),
            _ => selected,
        };
        TLSA::new(usage.into(), selector.into(), matching.into(), data)
    }

    fn confirms(host: &str, record: TLSA, chain: &[CertificateDer<'_>]) -> bool {
        let domain = Domain::parse("a.example").unwrap();
        Associations::new(host, [record]).confirm(chain, &domain, NOW)
    }

    #[test]
    fn a_leaf_is_named_in_every_way() {
        let (chain, other) = (chain(), chain());
        for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let of = |certificate| record(3, selector, matching, certificate);
            assert!(confirms("h.example", of(&chain[0]), &chain), "{selector} {matching}");
            assert!(!confirms("h.example", of(&other[0]), &chain), "{selector} {matching}");
            assert!(!confirms("h.example", of(&chain[1]), &chain), "the authority is no leaf");
        }
        assert!(!confirms("h.example", record(3, 0, 1, &chain[0]), &[]));
    }

    #[test]
    fn an_authority_signs_for_the_host_that_dns_names() {
        let (chain, other) = (chain(), chain());
        let authority = record(2, 1, 1, &chain[1]);
        assert!(confirms("xmpp.hosting.example", authority.clone(), &chain));
        assert!(!confirms("elsewhere.example", authority.clone(), &chain), "another name");
        assert!(!confirms("xmpp.hosting.example", record(2, 1, 1, &other[1]), &chain));
        let unsigned = [other[0].clone(), chain[1].clone()];
        assert!(!confirms("xmpp.hosting.example", authority, &unsigned), "shown and not used");
    }

    #[test]
    fn records_that_cannot_be_used_are_none() {
        let leaf = &chain()[0];
        for (usage, selector, matching) in [(0, 0, 1), (1, 0, 1), (3, 9, 1), (3, 0, 9), (255, 0, 1)]
        {
            let record = TLSA::new(usage.into(), selector.into(), matching.into(), leaf.to_vec());
            assert!(Associations::new("h.example", [record]).is_empty());
        }
        assert!(!Associations::new("h.example", [record(3, 0, 1, leaf)]).is_empty());
    }
}
