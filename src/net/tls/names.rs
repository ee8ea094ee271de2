//! Names that certificates carry and names that hosts and peers claim.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;
use x509_parser::asn1_rs::{Any, Class, Tag};
use x509_parser::oid_registry::Oid;
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A DNS name in the form certificates use: A-labels, lower case, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

impl DnsName {
    /// Takes an XMPP domainpart or an SNI value; U-labels are converted (UTS 46).
    pub fn new(domain: &str) -> Option<Self> {
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        let ascii = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::URL).ok()?;
        is_host_name(&ascii).then(|| Self(ascii.into_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name lies below `parent` (or is the same name).
    pub fn is_within(&self, parent: &DnsName) -> bool {
        self.0.strip_suffix(&parent.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a host is called: nearly always a DNS name, an IP literal on test systems (RFC 7622 §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostName {
    Dns(DnsName),
    Ip(IpAddr),
}

impl HostName {
    pub fn new(domain: &str) -> Option<Self> {
        let bare = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')).unwrap_or(domain);
        match bare.parse() {
            Ok(ip) => Some(Self::Ip(ip)),
            Err(_) => DnsName::new(domain).map(Self::Dns),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A dNSName as a certificate presents it: a name, or a wildcard for exactly one leftmost label
/// (RFC 9525 §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPattern {
    wildcard: bool,
    name: String,
}

impl DnsPattern {
    /// Anything but an LDH name or `*.` followed by at least two labels is refused: a wildcard
    /// for a whole top-level domain is never meant well.
    pub fn parse(presented: &str) -> Option<Self> {
        let name = presented.to_ascii_lowercase();
        let (wildcard, name) = match name.strip_prefix("*.") {
            Some(rest) if rest.contains('.') => (true, rest.to_owned()),
            Some(_) => return None,
            None => (false, name),
        };
        is_host_name(&name).then_some(Self { wildcard, name })
    }

    pub fn matches(&self, name: &DnsName) -> bool {
        if !self.wildcard {
            return self.name == name.0;
        }
        name.0.split_once('.').is_some_and(|(_, rest)| rest == self.name)
    }
}

impl fmt::Display for DnsPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.wildcard { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}

/// One identifier of a certificate that means something in XMPP (RFC 6120 §13.7.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmppAddr {
    /// `id-on-xmppAddr`: a JID as the certificate spells it; the caller parses and compares it.
    Address(String),
    /// `dNSName`.
    Domain(DnsPattern),
    /// `id-on-dnsSRV` (RFC 4985): service without underscore (`xmpp-server`), and the domain.
    Service(String, DnsPattern),
}

impl XmppAddr {
    /// Whether a server that holds this name may speak for `domain`.
    pub fn authorizes_server(&self, domain: &DnsName) -> bool {
        match self {
            // A JID with a localpart or a resource names an account, never a server.
            Self::Address(jid) => {
                !jid.contains(['@', '/']) && DnsName::new(jid).as_ref() == Some(domain)
            }
            Self::Domain(pattern) => pattern.matches(domain),
            Self::Service(service, pattern) => service == "xmpp-server" && pattern.matches(domain),
        }
    }

    /// The account that a client certificate names, if it names one (XEP-0178 §2).
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Address(jid) if jid.contains('@') => Some(jid),
            _ => None,
        }
    }
}

/// All usable names in a certificate's subjectAltName. The subject's CN is never looked at
/// (RFC 9525 §2).
#[derive(Clone, Debug, Default)]
pub(crate) struct SubjectNames {
    pub(crate) xmpp: Vec<XmppAddr>,
    pub(crate) ips: Vec<IpAddr>,
}

impl SubjectNames {
    /// Names that do not parse are left out, as RFC 9525 §6.2 has it; an extension that does not
    /// parse (or is there twice) is an error.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Result<Self, MalformedNames> {
        let Some(extension) = certificate.subject_alternative_name().map_err(|_| MalformedNames)?
        else {
            return Ok(Self::default());
        };
        let mut names = Self::default();
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(dns) => {
                    names.xmpp.extend(DnsPattern::parse(dns).map(XmppAddr::Domain));
                }
                GeneralName::OtherName(oid, value) => names.xmpp.extend(other_name(oid, value)),
                GeneralName::IPAddress(octets) => names.ips.extend(ip_address(octets)),
                _ => {}
            }
        }
        Ok(names)
    }

    pub(crate) fn covers(&self, host: &HostName) -> bool {
        match host {
            HostName::Ip(ip) => self.ips.contains(ip),
            HostName::Dns(name) => self.xmpp.iter().any(|addr| match addr {
                XmppAddr::Domain(pattern) | XmppAddr::Service(_, pattern) => pattern.matches(name),
                XmppAddr::Address(_) => addr.authorizes_server(name),
            }),
        }
    }

    /// Whether a client that checks dNSName alone (browsers, nearly all libraries) takes `name`.
    pub(crate) fn dns_covers(&self, name: &DnsName) -> bool {
        self.xmpp.iter().any(|addr| matches!(addr, XmppAddr::Domain(p) if p.matches(name)))
    }
}

impl fmt::Display for SubjectNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.xmpp.iter().map(|addr| match addr {
            XmppAddr::Address(jid) => jid.clone(),
            XmppAddr::Domain(pattern) => pattern.to_string(),
            XmppAddr::Service(service, pattern) => format!("_{service}.{pattern}"),
        });
        let all: Vec<String> = names.chain(self.ips.iter().map(IpAddr::to_string)).collect();
        f.write_str(&if all.is_empty() { "no name at all".to_owned() } else { all.join(", ") })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("its subjectAltName extension is malformed")]
pub(crate) struct MalformedNames;

fn other_name(oid: &Oid<'_>, value: &[u8]) -> Option<XmppAddr> {
    let xmpp_addr = oid!(1.3.6.1.5.5.7.8.5);
    let dns_srv = oid!(1.3.6.1.5.5.7.8.7);
    if *oid == xmpp_addr {
        let jid = std::str::from_utf8(explicit(value, Tag::Utf8String)?).ok()?;
        // 3071 = the longest JID (RFC 7622 §3.1). Control characters include NUL, which other
        // software has taken for the end of the name.
        let usable = (1..=3071).contains(&jid.len())
            && !jid.chars().any(|c| c.is_control() || c.is_whitespace());
        return usable.then(|| XmppAddr::Address(jid.to_owned()));
    }
    if *oid == dns_srv {
        let text = std::str::from_utf8(explicit(value, Tag::Ia5String)?).ok()?;
        let (service, domain) = text.strip_prefix('_')?.split_once('.')?;
        let pattern = DnsPattern::parse(domain).filter(|pattern| !pattern.wildcard)?;
        return Some(XmppAddr::Service(service.to_ascii_lowercase(), pattern));
    }
    None
}

/// The content of `[0] EXPLICIT` holding exactly one element of type `tag` (RFC 5280 §4.2.1.6).
fn explicit(value: &[u8], tag: Tag) -> Option<&[u8]> {
    let (after_outer, outer) = Any::from_der(value).ok()?;
    let (after_inner, inner) = Any::from_der(outer.data).ok()?;
    let exact = after_outer.is_empty() && after_inner.is_empty();
    let tagged = outer.class() == Class::ContextSpecific && outer.tag() == Tag(0);
    (exact && tagged && inner.class() == Class::Universal && inner.tag() == tag)
        .then_some(inner.data)
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// RFC 1123 §2.1 and RFC 1035 §2.3.4, plus the underscore that private networks use.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(name: &str) -> DnsName {
        DnsName::new(name).unwrap()
    }

    #[test]
    fn names_are_normalised() {
        assert_eq!(dns("Example.ORG.").as_str(), "example.org");
        assert_eq!(dns("münchen.example").as_str(), "xn--mnchen-3ya.example");
        assert_eq!(dns("xn--mnchen-3ya.example"), dns("MÜNCHEN.example"));
        for bad in ["", ".", "a..b", "a/b", "-a.example", "a\0.example", "*.example.org"] {
            assert_eq!(DnsName::new(bad), None, "{bad:?}");
        }
        assert_eq!(HostName::new("[::1]"), HostName::new("::1"));
        assert!(matches!(HostName::new("127.0.0.1"), Some(HostName::Ip(_))));
    }

    #[test]
    fn wildcard_takes_one_label() {
        let pattern = DnsPattern::parse("*.Example.org").unwrap();
        assert!(pattern.matches(&dns("chat.example.org")));
        assert!(!pattern.matches(&dns("example.org")));
        assert!(!pattern.matches(&dns("a.b.example.org")));
        for bad in ["*.org", "*", "a*.example.org", "x.*.org", "*.*.example.org", "ex\0.org"] {
            assert_eq!(DnsPattern::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn subdomains() {
        assert!(dns("conference.example.org").is_within(&dns("example.org")));
        assert!(dns("example.org").is_within(&dns("example.org")));
        assert!(!dns("badexample.org").is_within(&dns("example.org")));
    }

    #[test]
    fn xmpp_addr_is_parsed_strictly() {
        let xmpp_addr = oid!(1.3.6.1.5.5.7.8.5);
        let der = |inner: &[u8]| {
            let mut out = vec![0xA0, u8::try_from(inner.len()).unwrap()];
            out.extend_from_slice(inner);
            out
        };
        let parse = |value: &[u8]| other_name(&xmpp_addr, value);
        let ok = Some(XmppAddr::Address("a@b".to_owned()));
        assert_eq!(parse(&der(b"\x0C\x03a@b")), ok);
        assert_eq!(parse(b"\x0C\x03a@b"), None, "not tagged");
        assert_eq!(parse(&der(b"\x13\x03a@b")), None, "PrintableString");
        assert_eq!(parse(&der(b"\x0C\x03a\0b")), None, "NUL");
        assert_eq!(parse(&der(b"\x0C\x02a\xff")), None, "not UTF-8");
        assert_eq!(parse(&der(b"\x0C\x00")), None, "empty");
        assert_eq!(parse(&[der(b"\x0C\x03a@b"), vec![0]].concat()), None, "trailing byte");
        assert_eq!(parse(&der(b"\x0C\x03a@b\x05\x00")), None, "trailing element");
    }

    #[test]
    fn only_a_bare_domain_speaks_for_a_server() {
        let domain = dns("example.org");
        let address = |jid: &str| XmppAddr::Address(jid.to_owned());
        assert!(address("Example.org").authorizes_server(&domain));
        assert!(!address("user@example.org").authorizes_server(&domain));
        assert!(!address("example.org/x").authorizes_server(&domain));
        assert_eq!(address("user@example.org").account(), Some("user@example.org"));
        assert_eq!(address("example.org").account(), None);
        let service = |name: &str| {
            XmppAddr::Service(name.to_owned(), DnsPattern::parse("example.org").unwrap())
        };
        assert!(service("xmpp-server").authorizes_server(&domain));
        assert!(!service("xmpp-client").authorizes_server(&domain));
    }
}
