//! Certificates that are in DNS (RFC 7673).

use hickory_resolver::proto::rr::rdata::TLSA;
use sha2::{Digest as _, Sha256};

use crate::attacks::shown_by;
use crate::client::Client;
use crate::errors::told;
use crate::server::{Plan, Server};
use crate::signed_dns::SignedDns;

/// The host of Juliet's server, as `Dns::serve` names it.
const HOST: &str = "xmpp.b.example";

/// Romeo's server checks signatures; Juliet's has a certificate of its own making.
struct Verona {
    dns: SignedDns,
    a: Server,
    romeo: Client,
    b: Server,
    juliet: Client,
}

impl Verona {
    async fn new(s2s: &str) -> Verona {
        let dns = SignedDns::start().await;
        let s2s = format!("{}{s2s}\n", dns.config());
        let plan = Plan { accounts: &["romeo"], s2s: &s2s, ..Plan::default() };
        let a = Server::start(&dns.dns, plan).await;
        let plan = Plan { domain: "b.example", accounts: &["juliet"], ..Plan::default() };
        let b = Server::start(&dns.dns, plan).await;
        let romeo = Client::login(&a, "romeo", "x").await.unwrap();
        let mut juliet = Client::login(&b, "juliet", "y").await.unwrap();
        juliet.send("<presence/>").await.unwrap();
        juliet.find("<presence").await.unwrap();
        Verona { dns, a, romeo, b, juliet }
    }

    fn port(&self) -> u16 {
        self.b.address("s2s").port()
    }

    /// That the server has to show this certificate itself (usage 3), by its hash.
    fn only(certificate: &[u8]) -> TLSA {
        TLSA::new(3.into(), 0.into(), 1.into(), Sha256::digest(certificate).to_vec())
    }

    async fn greet(&mut self) {
        let message = "<message to='juliet@b.example' type='chat'><body>hi</body></message>";
        self.romeo.send(message).await.unwrap();
        let came = self.juliet.find("<message").await.unwrap();
        assert!(came.contains("<body>hi</body>"), "{came}");
    }

    async fn is_refused(&mut self, condition: &str) {
        let answer = told(&mut self.romeo, "juliet@b.example").await;
        assert!(answer.contains(condition), "{answer}");
    }
}

#[tokio::test]
async fn a_certificate_that_dns_names_is_as_good_as_one_of_an_authority() {
    let mut verona = Verona::new("require_certificate = true").await;
    let shown = shown_by(&verona.b).await;
    verona.dns.associate(HOST, verona.port(), Verona::only(&shown));
    verona.greet().await;
    let (good, said) = verona.a.check("b.example").await;
    assert!(good && said.contains("DANE"), "{said}");
}

#[tokio::test]
async fn a_certificate_may_be_named_behind_an_alias() {
    let mut verona = Verona::new("require_certificate = true").await;
    let shown = shown_by(&verona.b).await;
    verona.dns.associate_elsewhere(HOST, verona.port(), Verona::only(&shown));
    verona.greet().await;
    let mut verona = Verona::new("").await;
    verona.dns.associate_elsewhere(HOST, verona.port(), Verona::only(b"another"));
    verona.is_refused("remote-server-timeout").await;
}

#[tokio::test]
async fn an_alias_that_is_forged_opens_nothing() {
    let mut verona = Verona::new("require_certificate = true").await;
    let shown = shown_by(&verona.b).await;
    verona.dns.lead_astray(HOST, verona.port(), Verona::only(&shown));
    let answer = told(&mut verona.romeo, "juliet@b.example").await;
    assert!(answer.contains("type='error'"), "{answer}");
}

#[tokio::test]
async fn where_dns_names_none_an_authority_has_to() {
    Verona::new("require_certificate = true").await.is_refused("remote-server-timeout").await;
    Verona::new("").await.greet().await;
}

#[tokio::test]
async fn no_other_certificate_than_dns_names() {
    let mut verona = Verona::new("").await;
    verona.dns.associate(HOST, verona.port(), Verona::only(b"another"));
    verona.is_refused("remote-server-timeout").await;
    let (good, said) = verona.a.check("b.example").await;
    assert!(!good && said.contains("DANE"), "{said}");
}

#[tokio::test]
async fn answers_that_are_forged_or_held_back_open_nothing() {
    let mut verona = Verona::new("").await;
    let shown = shown_by(&verona.b).await;
    verona.dns.forge(HOST, verona.port(), Verona::only(&shown));
    verona.is_refused("remote-server-not-found").await;
    let mut verona = Verona::new("").await;
    verona.dns.withhold(HOST, verona.port());
    verona.is_refused("remote-server-timeout").await;
}
