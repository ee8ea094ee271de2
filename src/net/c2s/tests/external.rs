//! Client certificates (SASL EXTERNAL), over sockets.

use rcgen::{OtherNameValue, SanType};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::tls::testing::{Issued, TestCa, client_with_certificate, leaf};

const MECHANISMS: &str = "mechanisms = ['EXTERNAL', 'PLAIN']\nclient_ca = 'given by the test'";

fn certificate(ca: &TestCa, addresses: &[&str]) -> Issued {
    let mut params = leaf(&["device.example"]);
    let xmpp_addr = vec![1, 3, 6, 1, 5, 5, 7, 8, 5];
    for address in addresses {
        let name = OtherNameValue::Utf8String((*address).to_owned());
        params.subject_alt_names.push(SanType::OtherName((xmpp_addr.clone(), name)));
    }
    ca.issue(&params)
}

/// A stream over direct TLS, with its features.
async fn connect(world: &World, issued: &Issued, from: &str) -> (TlsStream<TcpStream>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = client_with_certificate(issued);
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let near = TcpStream::connect(address).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let server = Arc::clone(&world.server);
    world.server.tasks.spawn(async move {
        let kind = ListenerKind::C2sDirect;
        let (stream, info) = server.acceptor.accept(stream, kind).await.unwrap().unwrap();
        let peer = Peer { address: peer.ip(), transport: "tls", secure: true };
        let secured = server.secured(&info);
        server.spawn(
            Transport::Tls(Box::new(stream)),
            peer,
            secured,
            Counted::Elsewhere(Weak::new()),
        );
    });
    let name = ServerName::try_from("wello.example").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, near).await.unwrap();
    let header = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         version='1.0' to='wello.example'{from}>"
    );
    stream.write_all(header.as_bytes()).await.unwrap();
    let features = hear(&mut stream, "</stream:features>").await;
    (stream, features)
}

/// What comes up to and including `end`.
async fn hear(stream: &mut TlsStream<TcpStream>, end: &str) -> String {
    let read = async {
        let mut heard = String::new();
        while !heard.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            heard.push(char::from(byte[0]));
        }
        heard
    };
    timeout(Duration::from_secs(30), read).await.expect("the server says something")
}

async fn log_in(world: &World, issued: &Issued, from: &str, authzid: &str) -> String {
    let (mut stream, _) = connect(world, issued, from).await;
    let request = authenticate("EXTERNAL", authzid.as_bytes(), "");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = hear(&mut stream, ">").await;
    match answer.starts_with("<success") {
        true => hear(&mut stream, "</authorization-identifier>").await,
        false => hear(&mut stream, "/>").await,
    }
}

#[tokio::test]
async fn a_certificate_logs_in_whom_it_names() {
    let ca = TestCa::new();
    let world = World::with(MECHANISMS, ca.roots()).await;
    let own = certificate(&ca, &["user@wello.example"]);
    let (_, features) = connect(&world, &own, "").await;
    assert!(features.contains("EXTERNAL"), "{features}");
    for (from, authzid) in [
        ("", ""),
        ("", "user@wello.example"),
        (" from='user@wello.example'", ""),
        (" from='user@wello.example'", "user@wello.example"),
    ] {
        let answer = log_in(&world, &own, from, authzid).await;
        assert!(answer.contains(">user@wello.example<"), "{answer}");
    }
    for (from, authzid, condition) in [
        ("", "other@wello.example", "invalid-authzid"),
        (" from='other@wello.example'", "", "not-authorized"),
        (" from='other@wello.example'", "user@wello.example", "invalid-authzid"),
    ] {
        let answer = log_in(&world, &own, from, authzid).await;
        assert!(answer.contains(condition), "{from} {authzid}: {answer}");
    }
    let two = certificate(&ca, &["user@wello.example", "other@wello.example"]);
    assert!(log_in(&world, &two, "", "").await.contains("not-authorized"));
    let chosen = log_in(&world, &two, "", "other@wello.example").await;
    assert!(chosen.contains(">other@wello.example<"), "{chosen}");
    let nobody = certificate(&ca, &["nobody@wello.example"]);
    assert!(log_in(&world, &nobody, "", "").await.contains("not-authorized"));
}

#[tokio::test]
async fn certificates_that_name_nobody_here_are_no_offer() {
    let ca = TestCa::new();
    let world = World::with(MECHANISMS, ca.roots()).await;
    for issued in [
        certificate(&ca, &[]),
        certificate(&ca, &["user@far.example"]),
        certificate(&ca, &["wello.example"]),
        certificate(&ca, &["user@wello.example/resource"]),
        certificate(&TestCa::new(), &["user@wello.example"]),
    ] {
        let (_, features) = connect(&world, &issued, "").await;
        assert!(!features.contains("EXTERNAL") && features.contains("PLAIN"), "{features}");
        assert!(log_in(&world, &issued, "", "").await.contains("invalid-mechanism"));
    }
}
