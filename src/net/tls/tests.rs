use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, OtherNameValue, PKCS_ED25519, SanType};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, ProtocolVersion};
use sha2::{Digest, Sha256, Sha384};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client};

use super::testing::*;
use super::*;

type Served = Result<Option<(TlsStream<DuplexStream>, TlsInfo)>, HandshakeError>;
type Connected = io::Result<client::TlsStream<DuplexStream>>;

fn open(data_dir: &Path, domains: &[&str]) -> Arc<CertificateStore> {
    Arc::new(CertificateStore::open(options(data_dir, domains), SystemTime::now()).unwrap())
}

fn store_with_files(dir: &Path, domain: &str, files: CertificateFiles) -> Arc<CertificateStore> {
    let mut options = options(dir, &[domain]);
    options.hosts[0].files = Some(files);
    Arc::new(CertificateStore::open(options, SystemTime::now()).unwrap())
}

/// Both ends of one handshake, then one byte each way so that session tickets arrive.
async fn connect(
    store: &Arc<CertificateStore>,
    kind: ListenerKind,
    config: &Arc<ClientConfig>,
    name: &str,
) -> (Served, Connected) {
    let (near, far) = duplex(64 * 1024);
    let acceptor = TlsAcceptor::new(Arc::clone(store), Duration::from_secs(10));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let server = async {
        let mut served = acceptor.accept(near, kind).await;
        if let Ok(Some((stream, _))) = &mut served {
            let _ = stream.write_all(b"!").await;
            let _ = stream.flush().await;
        }
        served
    };
    let connector = TlsConnector::from(Arc::clone(config));
    let client = async {
        let mut connected = connector.connect(name, far).await?;
        connected.read_u8().await?;
        Ok(connected)
    };
    tokio::join!(server, client)
}

fn unwrap(ends: (Served, Connected)) -> (TlsInfo, client::TlsStream<DuplexStream>) {
    let (_, info) = ends.0.unwrap().unwrap();
    (info, ends.1.unwrap())
}

fn served_certificate(stream: &client::TlsStream<DuplexStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn exporter(stream: &client::TlsStream<DuplexStream>) -> [u8; 32] {
    let connection = stream.get_ref().1;
    connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).unwrap()
}

#[tokio::test]
async fn channel_bindings_agree_with_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["localhost"]);
    let config = Arc::new(client(&[]));
    let (info, stream) = unwrap(connect(&store, ListenerKind::C2s, &config, "localhost").await);
    assert_eq!(info.version, ProtocolVersion::TLSv1_3);
    assert_eq!(info.channel_bindings.tls_exporter, Some(exporter(&stream)));
    let hash = Sha256::digest(served_certificate(&stream));
    assert_eq!(info.channel_bindings.tls_server_end_point.as_deref(), Some(&hash[..]));
    assert_eq!(info.host.fingerprint(), &hash[..]);
    assert!(info.client_certificates.is_empty());
    assert!(!format!("{info:?}").contains(&format!("{:?}", exporter(&stream))), "key in log");
}

#[tokio::test]
async fn tls12_has_no_exporter() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["localhost"]);
    let config = Arc::new(client_tls12());
    let (info, stream) = unwrap(connect(&store, ListenerKind::C2s, &config, "localhost").await);
    assert_eq!(info.version, ProtocolVersion::TLSv1_2);
    assert_eq!(info.channel_bindings.tls_exporter, None);
    let hash = Sha256::digest(served_certificate(&stream));
    assert_eq!(info.channel_bindings.tls_server_end_point.as_deref(), Some(&hash[..]));
}

#[tokio::test]
async fn tls12_can_be_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = TlsOptions { tls12: false, ..options(dir.path(), &["localhost"]) };
    let store = Arc::new(CertificateStore::open(options, SystemTime::now()).unwrap());
    let config = Arc::new(client_tls12());
    let (_, connected) = connect(&store, ListenerKind::C2s, &config, "localhost").await;
    assert_eq!(alert(connected), AlertDescription::ProtocolVersion);
}

#[tokio::test]
async fn end_point_hash_follows_the_signature() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = leaf(&["example.test"]).self_signed(&key).unwrap();
    let files = write_pair(dir.path(), "p384", &certificate.pem(), &key);
    let store = store_with_files(dir.path(), "example.test", files);
    let host = store.lookup(None);
    assert_eq!(host.server_end_point(), Some(&Sha384::digest(certificate.der())[..]));

    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = leaf(&["example.test"]).self_signed(&key).unwrap();
    let files = write_pair(dir.path(), "ed25519", &certificate.pem(), &key);
    let store = store_with_files(dir.path(), "example.test", files);
    assert_eq!(store.lookup(None).server_end_point(), None);
}

fn write_pair(dir: &Path, name: &str, pem: &str, key: &KeyPair) -> CertificateFiles {
    let files = CertificateFiles {
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    };
    fs::write(&files.certificate, pem).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[tokio::test]
async fn sni_chooses_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let ca = TestCa::new();
    let wildcard = ca.issue(&leaf(&["c.test", "*.cdn.test"])).write(dir.path(), "wild");
    let mut options = options(dir.path(), &["a.test", "b.test", "c.test", "münchen.test"]);
    options.hosts[2].files = Some(wildcard);
    let store = Arc::new(CertificateStore::open(options, SystemTime::now()).unwrap());
    for (sni, host) in [
        ("a.test", "a.test"),
        ("B.test", "b.test"),
        ("conference.b.test", "b.test"),
        ("x.cdn.test", "c.test"),
        ("not-in-any-certificate.c.test", "c.test"),
        ("xn--mnchen-3ya.test", "münchen.test"),
        ("unknown.example", "a.test"),
        ("127.0.0.1", "a.test"), // a client sends no SNI for an address
    ] {
        let config = Arc::new(client(&[]));
        let (info, stream) = unwrap(connect(&store, ListenerKind::C2s, &config, sni).await);
        assert_eq!(info.host.domain(), host, "{sni}");
        let served: [u8; 32] = Sha256::digest(served_certificate(&stream)).into();
        assert_eq!(info.host.fingerprint(), &served, "{sni}");
    }
}

#[tokio::test]
async fn alpn_by_listener() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["localhost"]);
    for (kind, offer, chosen) in [
        (ListenerKind::C2sDirect, &["xmpp-client"][..], Some(Alpn::XmppClient)),
        (ListenerKind::C2sDirect, &["unknown", "xmpp-client"], Some(Alpn::XmppClient)),
        (ListenerKind::C2sDirect, &[], None),
        (ListenerKind::S2sDirect, &["xmpp-server"], Some(Alpn::XmppServer)),
        (ListenerKind::Https, &["http/1.1", "h2"], Some(Alpn::H2)),
        (ListenerKind::Https, &["http/1.1"], Some(Alpn::Http11)),
        (ListenerKind::Turns, &["stun.turn"], Some(Alpn::StunTurn)),
        (ListenerKind::C2s, &["http/1.1"], None),
        (ListenerKind::S2s, &["xmpp-server"], None),
    ] {
        let config = Arc::new(client(offer));
        let (info, _) = unwrap(connect(&store, kind, &config, "localhost").await);
        assert_eq!(info.alpn, chosen, "{kind:?} {offer:?}");
    }
    for (kind, offer) in [
        (ListenerKind::C2sDirect, "http/1.1"),
        (ListenerKind::S2sDirect, "xmpp-client"),
        (ListenerKind::Https, "xmpp-client"),
        (ListenerKind::Https, "acme-tls/1"), // no challenge is pending
    ] {
        let config = Arc::new(client(&[offer]));
        let (served, connected) = connect(&store, kind, &config, "localhost").await;
        let served = served.map(|_| ()).unwrap_err();
        assert!(matches!(served, HandshakeError::Tls(rustls::Error::NoApplicationProtocol)));
        assert_eq!(alert(connected), AlertDescription::NoApplicationProtocol);
    }
}

fn alert(connected: Connected) -> AlertDescription {
    let error = connected.map(|_| ()).unwrap_err();
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        _ => panic!("no alert but {error:?}"),
    }
}

#[tokio::test]
async fn sessions_resume_until_the_certificate_changes() {
    let dir = tempfile::tempdir().unwrap();
    let ca = TestCa::new();
    let files = ca.issue(&leaf(&["example.test"])).write(dir.path(), "host");
    let store = store_with_files(dir.path(), "example.test", files);
    let config = Arc::new(client(&["xmpp-client"]));

    let (info, _) = unwrap(connect(&store, ListenerKind::C2s, &config, "example.test").await);
    assert!(!info.resumed);
    assert!(store.reload(SystemTime::now()).is_empty());
    let (info, stream) =
        unwrap(connect(&store, ListenerKind::C2sDirect, &config, "example.test").await);
    assert!(info.resumed);
    assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(info.channel_bindings.tls_exporter, Some(exporter(&stream)));

    ca.issue(&leaf(&["example.test"])).write(dir.path(), "host");
    assert!(store.reload(SystemTime::now()).is_empty());
    let (info, _) = unwrap(connect(&store, ListenerKind::C2s, &config, "example.test").await);
    assert!(!info.resumed, "the client would bind to the certificate it saw first");
}

#[test]
fn reload_keeps_the_old_certificate_when_the_new_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let ca = TestCa::new();
    let good = ca.issue(&leaf(&["example.test"]));
    let files = good.write(dir.path(), "host");
    let store = store_with_files(dir.path(), "example.test", files.clone());
    let first = *store.lookup(None).fingerprint();
    let now = SystemTime::now();

    let mut expired = leaf(&["example.test"]);
    expired.not_after = (now - DAY / 2).into();
    let mut future = leaf(&["example.test"]);
    future.not_before = (now + DAY).into();
    let other = ca.issue(&leaf(&["other.test", "*.example.test"]));
    let cases = [
        (ca.issue(&expired).chain_pem, good.key_pem.clone(), "does not belong"),
        (String::new(), good.key_pem.clone(), "no certificate in this file"),
        (good.chain_pem.clone(), String::new(), "no private key in this file"),
        (
            good.chain_pem.clone(),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
                .to_owned(),
            "passphrase",
        ),
        ("-----BEGIN CERTIFICATE-----\n!!!".to_owned(), good.key_pem.clone(), "not a valid PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            good.key_pem,
            "not a valid X.509",
        ),
        (other.chain_pem, other.key_pem, "for other.test, *.example.test; it does not cover"),
    ];
    let check = |chain: &str, key: &str, expected: &str| {
        fs::write(&files.certificate, chain).unwrap();
        fs::write(&files.key, key).unwrap();
        let errors = store.reload(now);
        assert_eq!(errors.len(), 1, "{expected}");
        let text = errors[0].to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
        assert_eq!(store.lookup(None).fingerprint(), &first, "{expected}");
    };
    for (chain, key, expected) in cases {
        check(&chain, &key, expected);
    }
    let expired = ca.issue(&expired);
    check(&expired.chain_pem, &expired.key_pem, "expired at");
    let future = ca.issue(&future);
    check(&future.chain_pem, &future.key_pem, "not valid before");
    fs::remove_file(&files.certificate).unwrap();
    assert!(store.reload(now)[0].to_string().contains("cannot be read"));

    let new = ca.issue(&leaf(&["example.test"]));
    new.write(dir.path(), "host");
    assert!(store.reload(now).is_empty());
    assert_ne!(store.lookup(None).fingerprint(), &first);
}

#[test]
fn start_names_every_bad_file_and_tolerates_an_expired_one() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let ca = TestCa::new();
    let mut params = leaf(&["a.test"]);
    params.not_after = (now - DAY / 2).into();
    let files = ca.issue(&params).write(dir.path(), "a");
    let store = store_with_files(dir.path(), "a.test", files);
    assert!(matches!(store.hosts()[0].problem(), Some(CertificateError::Expired { .. })));

    let missing = CertificateFiles { certificate: "/nowhere/x".into(), key: "/nowhere/y".into() };
    let mut options = options(dir.path(), &["a.test", "b.test", "no domain"]);
    options.hosts[0].files = Some(missing.clone());
    options.hosts[1].files = Some(missing);
    let errors = CertificateStore::open(options.clone(), now).map(|_| ()).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    options.hosts.clear();
    let errors = CertificateStore::open(options, now).map(|_| ()).unwrap_err();
    assert!(matches!(errors[..], [CertificateError::NoHosts]));
}

#[test]
fn reconfigure_adds_and_removes_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["a.test"]);
    let kept = *store.lookup(Some("a.test")).fingerprint();
    let errors = store.reconfigure(options(dir.path(), &["b.test", "a.test"]), SystemTime::now());
    assert!(errors.is_empty());
    assert_eq!(store.lookup(Some("b.test")).domain(), "b.test");
    assert_eq!(store.lookup(Some("a.test")).fingerprint(), &kept);
    store.reconfigure(options(dir.path(), &["b.test"]), SystemTime::now());
    assert_eq!(store.lookup(Some("a.test")).domain(), "b.test");
}

#[test]
fn acme_file_goes_before_the_self_signed_one() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let mut options = options(dir.path(), &["a.test"]);
    options.hosts[0].acme = true;
    let store = CertificateStore::open(options.clone(), now).unwrap();
    assert_eq!(store.lookup(None).origin(), CertificateOrigin::SelfSigned);

    let issued = TestCa::new().issue(&leaf(&["a.test"]));
    let file = dir.path().join("acme/a.test.pem");
    fs::create_dir(dir.path().join("acme")).unwrap();
    fs::write(&file, format!("{}{}", issued.key_pem, issued.chain_pem)).unwrap();
    assert!(store.reload(now).is_empty());
    assert_eq!(store.lookup(None).origin(), CertificateOrigin::Acme);

    let reopened = CertificateStore::open(options.clone(), now + 100 * DAY).unwrap();
    assert_eq!(reopened.lookup(None).origin(), CertificateOrigin::SelfSigned, "expired");
    fs::write(&file, "torn").unwrap();
    assert_eq!(store.reload(now).len(), 1);
    assert_eq!(store.lookup(None).origin(), CertificateOrigin::Acme, "old one kept");
    let reopened = CertificateStore::open(options, now).unwrap();
    assert_eq!(reopened.lookup(None).origin(), CertificateOrigin::SelfSigned);
}

#[tokio::test]
async fn client_certificate_is_asked_for_on_server_streams() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), &["localhost"]);
    let store = Arc::new(CertificateStore::open(options.clone(), SystemTime::now()).unwrap());
    let ca = TestCa::new();
    let issued = ca.issue(&leaf(&["peer.test"]));
    let config = Arc::new(client_with_certificate(&issued));
    let (info, _) = unwrap(connect(&store, ListenerKind::S2s, &config, "localhost").await);
    assert_eq!(info.client_certificates, issued.chain);
    for kind in [ListenerKind::C2s, ListenerKind::Https] {
        let config = Arc::new(client_with_certificate(&issued));
        let (info, _) = unwrap(connect(&store, kind, &config, "localhost").await);
        assert!(info.client_certificates.is_empty(), "{kind:?}");
    }
    let (info, _) = unwrap(connect(&store, ListenerKind::S2s, &config, "localhost").await);
    assert!(info.resumed);
    assert_eq!(info.client_certificates, issued.chain, "known after resumption too");

    options.client_certificates = true;
    let store = Arc::new(CertificateStore::open(options, SystemTime::now()).unwrap());
    let (info, _) = unwrap(connect(&store, ListenerKind::C2s, &config, "localhost").await);
    assert_eq!(info.client_certificates, issued.chain);
}

#[test]
fn validation_of_peer_certificates() {
    let ca = TestCa::new();
    let now = UnixTime::now();
    let validate = |issued: &Issued| validate_client_certificate(&issued.chain, &ca.roots(), now);

    let mut params = leaf(&["Example.test", "*.example.test", "bad_*.test"]);
    let other_name = |oid: &[u64], text: &str| {
        SanType::OtherName((oid.to_vec(), OtherNameValue::Utf8String(text.to_owned())))
    };
    let xmpp_addr = [1, 3, 6, 1, 5, 5, 7, 8, 5];
    params.subject_alt_names.push(other_name(&xmpp_addr, "user@example.test"));
    params.subject_alt_names.push(other_name(&[1, 2, 3], "something else"));
    params.distinguished_name.push(rcgen::DnType::CommonName, "cn.test");
    let names = validate(&ca.issue(&params)).unwrap();
    let domain = |name: &str| DnsName::new(name).unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2].account(), Some("user@example.test"));
    for (name, expected) in
        [("example.test", true), ("muc.example.test", true), ("cn.test", false), ("test", false)]
    {
        let proved = names.iter().any(|addr| addr.authorizes_server(&domain(name)));
        assert_eq!(proved, expected, "{name}");
    }

    use PeerCertificateError as E;
    assert!(matches!(validate_client_certificate(&[], &ca.roots(), now), Err(E::Missing)));
    assert!(matches!(validate(&ca.issue(&leaf(&[]))), Err(E::NoName)));
    let stranger = TestCa::new().issue(&leaf(&["example.test"]));
    assert!(matches!(validate(&stranger), Err(E::Untrusted(_))));
    let mut expired = leaf(&["example.test"]);
    expired.not_after = (SystemTime::now() - DAY / 2).into();
    assert!(matches!(validate(&ca.issue(&expired)), Err(E::Untrusted(_))));
    let mut usage = leaf(&["example.test"]);
    for (purpose, accepted) in [
        (ExtendedKeyUsagePurpose::ServerAuth, true),
        (ExtendedKeyUsagePurpose::ClientAuth, true),
        (ExtendedKeyUsagePurpose::Any, true),
        (ExtendedKeyUsagePurpose::CodeSigning, false),
    ] {
        usage.extended_key_usages = vec![purpose.clone()];
        assert_eq!(validate(&ca.issue(&usage)).is_ok(), accepted, "{purpose:?}");
    }
    let garbage = Issued { chain: vec![vec![1, 2, 3].into()], ..stranger };
    assert!(matches!(validate(&garbage), Err(E::Malformed)));
    let long = Issued { chain: vec![garbage.chain[0].clone(); 11], ..garbage };
    assert!(matches!(validate(&long), Err(E::ChainTooLong)));
}

#[tokio::test(start_paused = true)]
async fn silent_peer_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["localhost"]);
    let acceptor = TlsAcceptor::new(store, Duration::from_secs(10));
    let (near, _far) = duplex(1024);
    let started = tokio::time::Instant::now();
    let result = acceptor.accept(near, ListenerKind::C2s).await;
    assert!(matches!(result, Err(HandshakeError::Timeout)));
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn what_is_not_tls_gets_an_alert() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["localhost"]);
    let acceptor = TlsAcceptor::new(store, Duration::from_secs(10));
    let (near, mut far) = duplex(1024);
    far.write_all(b"<?xml version='1.0'?><stream:stream>").await.unwrap();
    let result = acceptor.accept(near, ListenerKind::C2sDirect).await;
    assert!(matches!(result, Err(HandshakeError::Tls(_))));
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "a TLS alert record");

    let (near, far) = duplex(1024);
    drop(far);
    assert!(matches!(acceptor.accept(near, ListenerKind::C2s).await, Err(HandshakeError::Io(_))));
}

#[tokio::test]
async fn acme_validation_is_answered_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &["localhost", "example.test"]);
    let name = DnsName::new("example.test").unwrap();
    store.challenges().insert(name.clone(), &[7; 32]).unwrap();
    let config = Arc::new(client(&["acme-tls/1"]));
    let acceptor = TlsAcceptor::new(Arc::clone(&store), Duration::from_secs(10));
    let (near, far) = duplex(64 * 1024);
    let sni = ServerName::try_from("example.test").unwrap();
    let connector = TlsConnector::from(Arc::clone(&config));
    let (served, connected) =
        tokio::join!(acceptor.accept(near, ListenerKind::Https), connector.connect(sni, far));
    assert!(served.unwrap().is_none());
    let mut stream = connected.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    let certificate = served_certificate(&stream);
    let extension = [&[0x04, 0x22, 0x04, 0x20][..], &[7; 32]].concat();
    assert!(certificate.windows(extension.len()).any(|window| window == extension));
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed");

    // Another host, an ordinary client and a finished challenge get the ordinary treatment.
    let (served, _) = connect(&store, ListenerKind::Https, &config, "localhost").await;
    assert!(served.is_err());
    let ordinary = Arc::new(client(&["http/1.1", "acme-tls/1"]));
    let (info, _) = unwrap(connect(&store, ListenerKind::Https, &ordinary, "example.test").await);
    assert_eq!(info.alpn, Some(Alpn::Http11));
    store.challenges().remove(&name);
    let (served, _) = connect(&store, ListenerKind::Https, &config, "example.test").await;
    assert!(served.is_err());
}
