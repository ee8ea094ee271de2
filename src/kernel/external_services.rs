//! What a client is told of STUN and TURN servers and the like, and the credentials that it gets
//! for them (XEP-0215).

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use wello_wire::hex;
use wello_wire::jid::BareJid;
use wello_wire::payload::datetime::Timestamp;
use wello_wire::payload::external_services::{Credentials, Service};

use crate::Kernel;
use crate::config::{ExternalService, Transport, Turn};

/// Enough to tell accounts apart in the service's quotas and logs.
const NAME_BYTES: usize = 10;

impl Kernel {
    /// All services of the configuration, with credentials of the account's or guest's own.
    pub fn external_services(&self, account: &BareJid) -> Vec<Service> {
        let host = self.config.host_of(account.domain());
        services_for(&self.config.external_service, account, host, self.clock.now())
    }
}

/// `host`: where the services are that the configuration names no place for.
fn services_for(
    config: &[ExternalService],
    account: &BareJid,
    host: &str,
    now: Timestamp,
) -> Vec<Service> {
    config.iter().map(|service| service_for(service, account, host, now)).collect()
}

fn service_for(config: &ExternalService, account: &BareJid, host: &str, now: Timestamp) -> Service {
    let fixed = config.username.clone().zip(config.password.clone());
    let fixed = fixed.map(|(username, password)| Credentials { username, password, expires: None });
    let issued = config.secret.as_deref().map(|secret| {
        let lifetime = Duration::from_secs(u64::from(config.credentials_hours) * 3600);
        issue(secret, account, now.saturating_add(lifetime))
    });
    Service {
        kind: config.kind.clone(),
        host: if config.host.is_empty() { host.to_owned() } else { config.host.clone() },
        port: config.port,
        transport: config.transport.map(|transport| transport.name().to_owned()),
        name: config.name.clone(),
        credentials: issued.or(fixed),
    }
}

/// Where the server inside listens for STUN and TURN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPorts {
    pub udp: Vec<u16>,
    pub tcp: Vec<u16>,
    pub tls: Vec<u16>,
}

/// The server inside as one of these services. Without a name of its own it is found by the
/// domain of each account, which an empty host stands for.
pub fn own(config: &Turn, secret: &str, ports: &OwnPorts) -> Vec<ExternalService> {
    let external = config.external_address.first().map(ToString::to_string);
    let host = Some(config.host.clone()).filter(|host| !host.is_empty());
    let plain = host.clone().or(external).unwrap_or_default();
    // By TLS only under a name that the certificate has.
    let encrypted = host.unwrap_or_default();
    let service = |kind: &str, host: &str, port: u16, transport| ExternalService {
        kind: kind.to_owned(),
        host: host.to_owned(),
        port: Some(port),
        transport: Some(transport),
        name: None,
        username: None,
        password: None,
        secret: kind.starts_with("turn").then(|| secret.to_owned()),
        credentials_hours: config.credentials_hours,
    };
    let udp = |kind| ports.udp.iter().map(move |port| (kind, *port, Transport::Udp));
    let tcp = ports.tcp.iter().map(|port| ("turn", *port, Transport::Tcp));
    let tls = ports.tls.iter().map(|port| ("turns", *port, Transport::Tcp));
    let all = udp("stun").chain(udp("turn")).chain(tcp).chain(tls);
    all.map(|(kind, port, transport)| {
        let host = if kind == "turns" { &encrypted } else { &plain };
        service(kind, host, port, transport)
    })
    .collect()
}

/// The scheme of draft-uberti-behave-turn-rest-00, section 2.2, which TURN servers understand: the
/// name says when it expires, the password is a MAC of it. What follows the time is the account,
/// but only to us.
fn issue(secret: &str, account: &BareJid, expires: Timestamp) -> Credentials {
    let expires = Timestamp::from_secs(expires.as_micros() / 1_000_000);
    let whose = mac(secret, &format!("account {account}"));
    let whose = hex::encode(&whose[..NAME_BYTES]);
    let username = format!("{}:{whose}", expires.as_micros() / 1_000_000);
    let password = wello_stream::turn::issue(secret, &username);
    Credentials { username, password, expires: Some(expires) }
}

fn mac(secret: &str, text: &str) -> [u8; 20] {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return [0; 20] };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn jid(text: &str) -> BareJid {
        text.parse().unwrap()
    }

    fn turn(more: &str) -> Vec<ExternalService> {
        let text = format!("[[external_service]]\ntype = 'turn'\nhost = 'turn.example'\n{more}");
        crate::config::Config::parse(&text, []).unwrap().external_service
    }

    #[test]
    fn a_shared_secret_makes_credentials_that_expire() {
        let now = Timestamp::from_secs(1_800_000_000);
        let config = turn("secret = 'north'\ncredentials_hours = 2");
        let one = |account| services_for(&config, &jid(account), "", now).remove(0).credentials;
        let romeo = one("romeo@wello.example").unwrap();
        assert_eq!(romeo.expires, Some(Timestamp::from_secs(1_800_007_200)));
        let (expires, whose) = romeo.username.split_once(':').unwrap();
        assert_eq!(expires, "1800007200");
        assert!(!whose.contains("romeo"));
        assert_eq!(romeo.password, BASE64_STANDARD.encode(mac("north", &romeo.username)));
        assert_eq!(one("romeo@wello.example"), Some(romeo.clone()));
        let juliet = one("juliet@wello.example").unwrap();
        assert!(juliet.username != romeo.username && juliet.password != romeo.password);
    }

    #[test]
    fn the_server_inside_is_one_of_them() {
        let account = jid("romeo@wello.example");
        let ports = OwnPorts { udp: vec![3478], tcp: vec![3478], tls: vec![5349] };
        let told = |config: &Turn| -> Vec<String> {
            let (own, now) = (own(config, "north", &ports), Timestamp::from_secs(0));
            let all = services_for(&own, &account, "wello.example", now);
            let text = |one: &Service| {
                assert_eq!(one.credentials.is_some(), one.kind != "stun");
                let transport = one.transport.clone().unwrap_or_default();
                format!("{} {} {} {transport}", one.kind, one.host, one.port.unwrap_or_default())
            };
            all.iter().map(text).collect()
        };
        let mut config = Turn::default();
        let expected = [
            "stun wello.example 3478 udp",
            "turn wello.example 3478 udp",
            "turn wello.example 3478 tcp",
            "turns wello.example 5349 tcp",
        ];
        assert_eq!(told(&config), expected);
        config.external_address = vec!["192.0.2.1".parse().unwrap()];
        let hosts = told(&config);
        assert_eq!(hosts[1], "turn 192.0.2.1 3478 udp");
        assert_eq!(hosts[3], expected[3], "an address is on no certificate");
        config.host = "turn.example".into();
        assert!(told(&config).iter().all(|one| one.contains(" turn.example ")));
        assert!(own(&config, "north", &OwnPorts::default()).is_empty());
    }

    #[test]
    fn fixed_credentials_and_none() {
        let now = Timestamp::from_secs(0);
        let fixed = services_for(&turn("username = 'u'\npassword = 'p'"), &jid("a@b"), "", now);
        let credentials = fixed[0].credentials.as_ref().unwrap();
        assert_eq!((credentials.username.as_str(), credentials.expires), ("u", None));
        let open = services_for(&turn("port = 3478\ntransport = 'udp'"), &jid("a@b"), "", now);
        assert_eq!((open[0].port, open[0].transport.as_deref()), (Some(3478), Some("udp")));
        assert_eq!(open[0].credentials, None);
    }
}
