//! What follows from settings and records. Pure.

use std::net::IpAddr;

use wello_kernel::config::{Config, Registration};
use wello_net::outbound;
use wello_net::turn::PeerPolicy;

use super::dns::{Records, Target};
use super::finding::Finding;

/// Whether others can look a domain up.
pub fn is_public(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or(domain);
    let local = ["localhost", "local", "test", "invalid", "internal", "home", "lan"];
    domain.contains('.') && domain.parse::<IpAddr>().is_err() && !local.contains(&last)
}

pub fn settings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let contact = &config.contact;
    let all = [&contact.abuse, &contact.admin, &contact.security, &contact.support]
        .into_iter()
        .chain([&contact.feedback, &contact.sales, &contact.status]);
    let addresses: Vec<&String> = all.flatten().collect();
    let is_uri = |text: &str| {
        ["mailto:", "xmpp:", "https:", "http:", "tel:"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    };
    match addresses.iter().find(|address| !is_uri(address)) {
        Some(address) => findings.push(Finding::error(
            "contact",
            format!("{address:?} is no URI: write mailto:, xmpp: or https: before it"),
        )),
        None if addresses.is_empty() => findings.push(Finding::warning(
            "contact",
            "nobody can report abuse: set contact.abuse and contact.admin, \
             such as [\"mailto:abuse@example.org\"]",
        )),
        None => findings.push(Finding::ok("contact", format!("{} addresses", addresses.len()))),
    }
    if config.auth.registration == Registration::Open {
        findings.push(Finding::warning(
            "registration",
            "everybody can make accounts: spammers will; set auth.registration = \"invite\"",
        ));
    }
    let public = config.domains().into_iter().find(|domain| is_public(domain));
    let web = config.listen.https.iter().any(|address| address.port() == 443);
    if let (Some(domain), false, true) = (public, web, config.http.public_url.is_empty()) {
        findings.push(Finding::warning(
            "host-meta",
            format!(
                "web clients ask https://{domain}/.well-known/host-meta.json on port 443: have \
                 listen.https take it, or a web server pass it on, and set http.public_url"
            ),
        ));
    }
    findings
}

/// What the TURN server tells others of itself; `own` is this machine's address on the way to the
/// internet.
pub fn relay(config: &Config, own: Option<IpAddr>) -> Vec<Finding> {
    const SUBJECT: &str = "calls";
    let (listen, turn) = (&config.listen, &config.turn);
    if listen.turn.is_empty() && listen.turns.is_empty() {
        let text = "no relay: listen.turn is empty";
        return match config.external_service.iter().any(|one| one.kind.starts_with("turn")) {
            true => vec![Finding::ok(SUBJECT, "the relay is another server")],
            false => vec![Finding::note(SUBJECT, text)],
        };
    }
    let mut findings = Vec::new();
    if let Err(error) = PeerPolicy::new(turn) {
        findings.push(Finding::error(SUBJECT, format!("turn.allowed_peers: {error}")));
    }
    let wrong = turn.external_address.iter().find(|address| !outbound::is_public(**address));
    let relayed = turn.relay_address.first().copied().or(own);
    let is_public = config.domains().into_iter().any(is_public);
    findings.push(match (wrong, turn.external_address.first(), relayed) {
        (Some(wrong), ..) => Finding::warning(
            SUBJECT,
            format!("turn.external_address: {wrong} is not reachable from the internet"),
        ),
        (None, Some(external), _) => Finding::ok(
            SUBJECT,
            format!(
                "relayed at {external}, if the router passes UDP {}-{} on to this machine",
                turn.min_port, turn.max_port
            ),
        ),
        (None, None, Some(own)) if is_public && !outbound::is_public(own) => Finding::warning(
            SUBJECT,
            format!(
                "relayed at {own}, which only this network reaches: set turn.external_address to \
                 the address that the internet sees, and have the router pass UDP {}-{} on",
                turn.min_port, turn.max_port
            ),
        ),
        (None, None, Some(own)) => Finding::ok(SUBJECT, format!("relayed at {own}")),
        (None, None, None) => {
            Finding::note(SUBJECT, "this machine has no route to the internet now")
        }
    });
    findings
}

pub fn records(domain: &str, records: &Records, config: &Config) -> Vec<Finding> {
    let (Some(client), Some(client_tls), Some(addresses)) =
        (&records.client, &records.client_tls, &records.addresses)
    else {
        return vec![Finding::note("DNS", format!("{domain}: DNS does not answer here"))];
    };
    let ports = |listen: &[std::net::SocketAddr]| -> Vec<u16> {
        listen.iter().map(std::net::SocketAddr::port).collect()
    };
    let (starttls, direct) = (ports(&config.listen.c2s), ports(&config.listen.c2s_tls));
    let mut findings = Vec::new();
    findings.extend(service(domain, "_xmpp-client._tcp", client, &starttls));
    findings.extend(service(domain, "_xmpps-client._tcp", client_tls, &direct));
    if client.is_empty() && client_tls.is_empty() {
        findings.push(match (addresses.is_empty(), starttls.contains(&5222)) {
            (true, _) => Finding::error(
                "DNS",
                format!(
                    "{domain} has no address and no SRV records: add A and AAAA records, or \
                     _xmpp-client._tcp.{domain}. SRV 0 5 5222 MACHINE"
                ),
            ),
            (false, false) => Finding::error(
                "DNS",
                format!(
                    "{domain} has no SRV records, so clients try port 5222, which listen.c2s does \
                     not have: add _xmpp-client._tcp.{domain}. SRV 0 5 PORT MACHINE"
                ),
            ),
            (false, true) => {
                Finding::ok("DNS", format!("{domain} without SRV records: clients try port 5222"))
            }
        });
    }
    findings
}

/// One kind of SRV record against the ports that are listened on. Another port may be right: a
/// firewall can pass it on.
fn service(domain: &str, name: &str, targets: &[Target], ports: &[u16]) -> Vec<Finding> {
    let judge = |target: &Target| {
        let record = format!("{name}.{domain} is {}:{}", target.name, target.port);
        if target.name.is_empty() {
            return Finding::error(
                "DNS",
                format!("{name}.{domain} says that there is no such service: remove the record"),
            );
        }
        match ports.contains(&target.port) {
            true => Finding::ok("DNS", record),
            false => Finding::warning(
                "DNS",
                format!("{record}, a port that is not listened on: right only behind a firewall"),
            ),
        }
    };
    targets.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn target(name: &str, port: u16) -> Target {
        Target { name: name.to_owned(), port }
    }

    fn judged(client: &[Target], addresses: &[&str], listen: u16) -> (Level, String) {
        let mut config = Config::default();
        config.listen.c2s = vec![format!("[::]:{listen}").parse().unwrap()];
        let records = Records {
            client: Some(client.to_vec()),
            client_tls: Some(Vec::new()),
            addresses: Some(addresses.iter().map(|text| text.parse().unwrap()).collect()),
        };
        let found = self::records("a.example", &records, &config);
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].level, found[0].text.clone())
    }

    #[test]
    fn records_lead_to_this_server_or_not() {
        let here = ["192.0.2.1"];
        assert_eq!(judged(&[target("m.example", 5222)], &[], 5222).0, Level::Ok);
        let (level, text) = judged(&[target("m.example", 5222)], &[], 6222);
        assert_eq!(level, Level::Warning);
        assert!(text.contains("not listened on"), "{text}");
        assert_eq!(judged(&[], &here, 5222).0, Level::Ok);
        let (level, text) = judged(&[], &here, 6222);
        assert_eq!(level, Level::Error);
        assert!(text.contains("_xmpp-client._tcp.a.example. SRV"), "{text}");
        let (level, text) = judged(&[], &[], 5222);
        assert_eq!(level, Level::Error);
        assert!(text.contains("no address"), "{text}");
        assert_eq!(judged(&[target("", 0)], &here, 5222).0, Level::Error);
    }

    #[test]
    fn silence_of_dns_is_no_mistake() {
        let found = records("a.example", &Records::default(), &Config::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, Level::Note);
    }

    #[test]
    fn names_of_this_network_are_not_looked_up() {
        for (domain, public) in [
            ("localhost", false),
            ("chat.local", false),
            ("192.0.2.1", false),
            ("example.org", true),
            ("local.example", true),
        ] {
            assert_eq!(is_public(domain), public, "{domain}");
        }
    }

    #[test]
    fn where_calls_are_relayed() {
        let level = |text: &str, own: &str| {
            let config = Config::parse(text, []).unwrap();
            let found = relay(&config, own.parse().ok());
            found.iter().map(|found| found.level).collect::<Vec<_>>()
        };
        let public = "hosts = ['a.example']\n";
        assert_eq!(level("", "10.0.0.1"), [Level::Ok]);
        assert_eq!(level(public, "8.8.8.8"), [Level::Ok]);
        assert_eq!(level(public, "10.0.0.1"), [Level::Warning]);
        assert_eq!(level(public, ""), [Level::Note]);
        let outside = |ip: &str| format!("{public}[turn]\nexternal_address = ['{ip}']");
        assert_eq!(level(&outside("8.8.8.8"), "10.0.0.1"), [Level::Ok]);
        assert_eq!(level(&outside("10.0.0.1"), "10.0.0.1"), [Level::Warning]);
        let wrong = "[turn]\nallowed_peers = ['10.0.0.0/99']";
        assert_eq!(level(wrong, "8.8.8.8"), [Level::Error, Level::Ok]);
        assert_eq!(level("[listen]\nturn = []\nturns = []", "8.8.8.8"), [Level::Note]);
    }

    #[test]
    fn settings_that_hurt_are_named() {
        let mut config = Config::default();
        let subjects = |config: &Config| -> Vec<(Level, &'static str)> {
            settings(config).iter().map(|found| (found.level, found.subject)).collect()
        };
        assert_eq!(subjects(&config), [(Level::Warning, "contact")]);
        config.contact.abuse = vec!["abuse@a.example".to_owned()];
        assert_eq!(subjects(&config), [(Level::Error, "contact")]);
        config.contact.abuse = vec!["mailto:abuse@a.example".to_owned()];
        config.hosts = vec!["a.example".to_owned()];
        config.auth.registration = Registration::Open;
        let expected = [
            (Level::Ok, "contact"),
            (Level::Warning, "registration"),
            (Level::Warning, "host-meta"),
        ];
        assert_eq!(subjects(&config), expected);
        config.http.public_url = "https://a.example".to_owned();
        assert_eq!(subjects(&config).len(), 2);
    }
}
