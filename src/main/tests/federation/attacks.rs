//! A server that lies.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::{Authority, Flaw};
use crate::client::{Client, attribute};
use crate::dns::Dns;
use crate::server::{Plan, Server};

/// Juliet's server, her client, and the authority that it trusts.
pub struct Victim {
    dns: Dns,
    server: Server,
    pub juliet: Client,
    authority: Authority,
}

impl Victim {
    pub async fn new(s2s: &str) -> Victim {
        let dns = Dns::start().await;
        let authority = Authority::new();
        let plan = Plan {
            domain: "b.example",
            accounts: &["juliet"],
            s2s,
            trusts: Some(&authority),
            ..Plan::default()
        };
        let server = Server::start(&dns, plan).await;
        let mut juliet = Client::login(&server, "juliet", "y").await.unwrap();
        juliet.send("<presence/>").await.unwrap();
        juliet.find("<presence").await.unwrap();
        Victim { dns, server, juliet, authority }
    }

    /// A stream that claims to be of a domain, with its certificate if `flaw` is given.
    async fn stream(&self, domain: &str, flaw: Option<Flaw>) -> Client {
        let stream = TcpStream::connect(self.server.address("s2s_tls")).await.unwrap();
        let issued = flaw.map(|flaw| self.authority.issue(domain, flaw));
        let name = ServerName::try_from("b.example").unwrap();
        let stream = connector(issued).connect(name, stream).await.unwrap();
        let mut evil = Client::new(stream);
        open(&mut evil, domain).await;
        evil
    }

    /// A stream that has proved that it is of the domain.
    pub async fn proved(&self, domain: &str) -> Client {
        let mut evil = self.stream(domain, Some(Flaw::None)).await;
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
        evil.send(auth).await.unwrap();
        let answer = evil.next().await.unwrap();
        assert!(answer.starts_with("<success"), "{answer}");
        evil.restart();
        open(&mut evil, domain).await;
        evil
    }
}

async fn open(evil: &mut Client, domain: &str) {
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' version='1.0' \
         xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
         from='{domain}' to='b.example'>"
    );
    evil.send(&header).await.unwrap();
    evil.next().await.unwrap();
    evil.next().await.unwrap();
}

fn connector(certificate: Option<(String, String)>) -> TlsConnector {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate));
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = read(issued);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// What the server shows who comes now.
pub async fn shown_by(server: &Server) -> Vec<u8> {
    let stream = TcpStream::connect(server.address("s2s_tls")).await.unwrap();
    let name = ServerName::try_from(server.domain()).unwrap();
    let stream = connector(None).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The other side: takes any certificate, and none.
pub fn acceptor(issued: (String, String)) -> TlsAcceptor {
    let (chain, key) = read(issued);
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn read((chain, key): (String, String)) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn a_claim_that_the_real_server_does_not_confirm() {
    let victim = Victim::new("").await;
    let _a = Server::start(&victim.dns, Plan::default()).await;
    let mut evil = victim.stream("a.example", None).await;
    evil.send("<db:result from='a.example' to='b.example'>0123456789abcdef</db:result>")
        .await
        .unwrap();
    let answer = evil.find("<db:result").await.unwrap();
    assert_eq!(attribute(&answer, "type"), Some("invalid"), "{answer}");
    evil.send("<message from='romeo@a.example' to='juliet@b.example'><body>x</body></message>")
        .await
        .unwrap();
    let answer = evil.next().await.unwrap();
    assert!(answer.contains("not-authorized"), "{answer}");
}

#[tokio::test]
async fn a_claim_of_a_domain_that_cannot_be_asked() {
    let victim = Victim::new("").await;
    let mut evil = victim.stream("nowhere.example", None).await;
    evil.send("<db:result from='nowhere.example' to='b.example'>k</db:result>").await.unwrap();
    let answer = evil.find("<db:result").await.unwrap();
    assert_eq!(attribute(&answer, "type"), Some("error"), "{answer}");
    assert!(answer.contains("remote-server-not-found"), "{answer}");
}

#[tokio::test]
async fn certificates_of_others_open_nothing() {
    let victim = Victim::new("").await;
    for flaw in [Flaw::Expired, Flaw::OtherName, Flaw::CommonName, Flaw::Account] {
        let mut evil = victim.stream("evil.example", Some(flaw)).await;
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
        evil.send(auth).await.unwrap();
        let answer = evil.next().await.unwrap();
        assert!(answer.starts_with("<failure"), "{answer}");
    }
}

#[tokio::test]
async fn a_proved_domain_speaks_for_itself_alone() {
    let victim = Victim::new("").await;
    for (from, to) in [
        ("juliet@b.example", "juliet@b.example"),
        ("b.example", "juliet@b.example"),
        ("romeo@a.example", "juliet@b.example"),
        // No relay.
        ("x@evil.example", "romeo@a.example"),
        ("x@evil.example", "room@conference.b.example"),
    ] {
        let mut evil = victim.proved("evil.example").await;
        let message = format!("<message from='{from}' to='{to}'><body>x</body></message>");
        evil.send(&message).await.unwrap();
        let answer = evil.next().await.unwrap();
        assert!(answer.contains("invalid-from"), "{from} to {to}: {answer}");
    }
}

#[tokio::test]
async fn what_only_her_server_may_say_is_taken_off() {
    let mut victim = Victim::new("").await;
    let mut evil = victim.proved("evil.example").await;
    let inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' \
        from='romeo@a.example/x' to='juliet@b.example/y'><body>forged</body></message></forwarded>";
    let message = format!(
        "<message from='x@evil.example/z' to='juliet@b.example' type='chat'><body>hi</body>\
         <received xmlns='urn:xmpp:carbons:2'>{inner}</received>\
         <sent xmlns='urn:xmpp:carbons:2'>{inner}</sent>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='juliet@b.example' id='forged'/>\
         <delay xmlns='urn:xmpp:delay' from='b.example' stamp='2002-09-10T23:08:25Z'/>\
         <delay xmlns='urn:xmpp:delay' from='evil.example' stamp='2003-09-10T23:08:25Z'/>\
         </message>"
    );
    evil.send(&message).await.unwrap();
    let came = victim.juliet.find("<message").await.unwrap();
    assert!(came.contains("<body>hi</body>") && came.contains("2003-"), "{came}");
    for forged in ["forged", "urn:xmpp:carbons", "2002-"] {
        assert!(!came.contains(forged), "{forged}: {came}");
    }
}

#[tokio::test]
async fn stanzas_hidden_in_stanzas_stay_there() {
    let mut victim = Victim::new("").await;
    let mut evil = victim.proved("evil.example").await;
    let inner = "<message from='romeo@a.example' to='juliet@b.example'><body>in</body></message>";
    let message = format!(
        "<message from='x@evil.example/z' to='juliet@b.example' type='chat'><body>out</body>\
         {inner}</message><presence from='x@evil.example/z' to='juliet@b.example'/>"
    );
    evil.send(&message).await.unwrap();
    let came = victim.juliet.find("<message").await.unwrap();
    assert_eq!(attribute(&came, "from"), Some("x@evil.example/z"));
    let next = victim.juliet.next().await.unwrap();
    assert!(next.starts_with("<presence"), "{next}");
    let mut evil = victim.proved("evil.example").await;
    let forged = "<stream:stream from='a.example' to='b.example' version='1.0'/>";
    evil.send(forged).await.unwrap();
    assert!(evil.next().await.unwrap().contains("<stream:error"));
}

#[tokio::test]
async fn half_a_stanza_is_none() {
    let mut victim = Victim::new("").await;
    let message = |text: &str| {
        format!(
            "<message from='x@evil.example' to='juliet@b.example'><body>{text}</body></message>"
        )
    };
    let mut evil = victim.proved("evil.example").await;
    let half = message("half");
    let sent = message("whole") + &half[..half.len() - "</body></message>".len()];
    evil.send(&sent).await.unwrap();
    drop(evil);
    let mut again = victim.proved("evil.example").await;
    again.send(&message("next")).await.unwrap();
    for text in ["whole", "next"] {
        let came = victim.juliet.find("<message").await.unwrap();
        assert!(came.contains(text), "{came}");
    }
}

#[tokio::test]
async fn what_is_too_big_ends_the_stream() {
    let victim = Victim::new("").await;
    let big = "x".repeat(600 * 1024);
    let mut evil = victim.proved("evil.example").await;
    let message = format!(
        "<message from='x@evil.example' to='juliet@b.example'><body>{big}</body></message>"
    );
    // It may be closed while it is written.
    let _ = evil.send(&message).await;
    if let Ok(answer) = evil.next().await {
        assert!(answer.contains("policy-violation"), "{answer}");
    }
    let mut stranger = victim.stream("evil.example", None).await;
    let claim =
        format!("<db:result from='evil.example' to='b.example'>{}</db:result>", "x".repeat(9000));
    let _ = stranger.send(&claim).await;
    if let Ok(answer) = stranger.next().await {
        assert!(answer.contains("policy-violation"), "{answer}");
    }
}

/// Proves the domain and is told that there is no room for it.
async fn is_turned_away(victim: &Victim, domain: &str) {
    let mut evil = victim.stream(domain, Some(Flaw::None)).await;
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    evil.send(auth).await.unwrap();
    evil.next().await.unwrap();
    evil.restart();
    assert!(evil.find("<stream:error").await.unwrap().contains("resource-constraint"));
}

#[tokio::test]
async fn one_domain_has_so_many_streams() {
    let victim = Victim::new("connections_per_domain = 2").await;
    let _first = victim.proved("evil.example").await;
    let _second = victim.proved("evil.example").await;
    is_turned_away(&victim, "evil.example").await;
    let _other = victim.proved("other.example").await;
}

#[tokio::test]
async fn one_address_has_so_many_streams_of_all_its_domains() {
    let victim = Victim::new("connections_per_address = 2").await;
    let _first = victim.proved("a.evil.example").await;
    let _second = victim.proved("b.evil.example").await;
    is_turned_away(&victim, "c.evil.example").await;
}

#[tokio::test]
async fn many_claims_make_few_connections() {
    let victim = Victim::new("").await;
    for number in 0..200 {
        victim.dns.serve(&format!("d{number}.example"), "xmpp-server", 1);
    }
    let mut evil = victim.stream("evil.example", None).await;
    for number in 0..200 {
        let claim = format!("<db:result from='d{number}.example' to='b.example'>k</db:result>");
        if evil.send(&claim).await.is_err() {
            break;
        }
    }
    // It is cut off after a few that fail.
    evil.find("<stream:error").await.unwrap();
    let asked: usize = (0..200)
        .map(|number| victim.dns.asked(&format!("_xmpp-server._tcp.d{number}.example")))
        .sum();
    assert!(asked <= 64, "{asked}");
}

#[tokio::test]
async fn who_is_in_a_block_list_gets_no_stream() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "*.spam.example\n").unwrap();
    let config = format!("[blocklists]\nfiles = [{:?}]", file.path());
    let victim = Victim::new(&config).await;
    let mut evil = victim.stream("a.spam.example", Some(Flaw::None)).await;
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    let _ = evil.send(auth).await;
    while let Ok(answer) = evil.next().await {
        assert_eq!(answer, "</stream:stream>");
    }
    let _other = victim.proved("other.example").await;
}
