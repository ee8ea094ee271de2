use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use parking_lot::Mutex;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::duplex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::fake::{FakeAcme, Faults, Validation};
use super::http_client::SharedClient;
use super::testing::check_tls_alpn;
use super::*;
use crate::tls::testing::options as tls_options;
use crate::tls::{
    CertificateOrigin, CertificateStore, DnsName, HostCertificate, ListenerKind, SERVICES,
    TlsAcceptor,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86400);

/// A server with one host, and an authority that can reach it.
struct World {
    dir: TempDir,
    store: Arc<CertificateStore>,
    challenges: Arc<ChallengeStore>,
    fake: Arc<FakeAcme>,
    now: Now,
    options: AcmeOptions,
    net: Arc<Net>,
}

/// What the authority sees when it validates.
#[derive(Default)]
struct Net {
    unreachable: Mutex<HashSet<String>>,
    tokens: Mutex<Vec<String>>,
    hangs: Mutex<bool>,
}

impl World {
    fn new(challenge: ChallengeKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (base, start) = (SystemTime::now(), Instant::now());
        let now: Now = Arc::new(move || base + start.elapsed());
        let mut tls = tls_options(dir.path(), &["example.test"]);
        tls.hosts[0].acme = true;
        let store = Arc::new(CertificateStore::open(tls, now()).unwrap());
        let challenges = Arc::new(ChallengeStore::default());
        let net = Arc::new(Net::default());
        let validate = {
            let (net, store) = (Arc::clone(&net), Arc::clone(&store));
            let challenges = Arc::clone(&challenges);
            Box::new(move |validation| -> futures_util::future::BoxFuture<'static, _> {
                let (net, store) = (Arc::clone(&net), Arc::clone(&store));
                Box::pin(check(net, store, Arc::clone(&challenges), validation))
            })
        };
        let fake = Arc::new(FakeAcme::new("https://acme.test", Arc::clone(&now), validate));
        let options = AcmeOptions {
            directory: fake.directory(),
            contact: vec!["mailto:admin@example.test".to_owned()],
            challenge,
            root: None,
            data_dir: dir.path().to_owned(),
            domains: vec!["example.test".to_owned()],
        };
        Self { dir, store, challenges, fake, now, options, net }
    }

    fn start(&self) -> Running {
        self.start_with(Direct { fake: Arc::clone(&self.fake), spoils: false })
    }

    fn start_with(&self, client: Direct) -> Running {
        let manager = AcmeManager::with_client(
            self.options.clone(),
            Arc::clone(&self.store),
            Arc::clone(&self.challenges),
            Arc::clone(&self.now),
            SharedClient(Arc::new(client)),
        );
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { stopped.await.unwrap_or(()) };
        Running { stop, task: tokio::spawn(manager.unwrap().run(shutdown)) }
    }

    fn host(&self) -> Arc<HostCertificate> {
        self.store.host("example.test").unwrap()
    }

    fn has_certificate(&self) -> bool {
        self.host().origin() == CertificateOrigin::Acme
    }

    fn covers(&self, name: &str) -> bool {
        self.host().covers(&DnsName::new(name).unwrap())
    }

    fn orders(&self) -> usize {
        self.fake.count("/new-order")
    }

    /// Virtual time that passes until the condition holds.
    async fn until(&self, condition: impl Fn(&Self) -> bool) -> Duration {
        let started = Instant::now();
        while !condition(self) {
            assert!(started.elapsed() < 200 * DAY, "{:?}", self.fake.refusals());
            sleep(MINUTE).await;
        }
        started.elapsed()
    }

    fn unreachable(&self, names: &[&str]) {
        *self.net.unreachable.lock() = names.iter().map(|name| (*name).to_owned()).collect();
    }
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

async fn check(
    net: Arc<Net>,
    store: Arc<CertificateStore>,
    challenges: Arc<ChallengeStore>,
    validation: Validation,
) -> Result<(), String> {
    net.tokens.lock().push(validation.token.clone());
    let hangs = *net.hangs.lock();
    if hangs {
        std::future::pending::<()>().await;
    }
    if net.unreachable.lock().contains(&validation.domain) {
        return Err("DNS problem: NXDOMAIN".to_owned());
    }
    match validation.kind.as_str() {
        "http-01" => {
            let found = challenges.lookup(&validation.token);
            let right = found.as_deref() == Some(&validation.key_authorization);
            if right { Ok(()) } else { Err(format!("wrong content {found:?}")) }
        }
        "tls-alpn-01" => {
            let (near, far) = duplex(64 * 1024);
            let acceptor = TlsAcceptor::new(store, Duration::from_secs(10));
            let server = tokio::spawn(async move {
                matches!(acceptor.accept(near, ListenerKind::Https).await, Ok(None))
            });
            check_tls_alpn(far, &validation).await?;
            if server.await.unwrap() { Ok(()) } else { Err("not answered as ACME".to_owned()) }
        }
        other => Err(format!("unknown challenge {other}")),
    }
}

/// Calls the fake authority without a network.
struct Direct {
    fake: Arc<FakeAcme>,
    /// Spoils the signature of every request.
    spoils: bool,
}

impl HttpClient for Direct {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let (fake, spoils) = (Arc::clone(&self.fake), self.spoils);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let mut body = body.collect().await.unwrap().to_bytes().to_vec();
            if spoils && let Ok(mut jws) = serde_json::from_slice::<serde_json::Value>(&body) {
                let signature = jws["signature"].as_str().unwrap().chars().rev();
                jws["signature"] = signature.collect::<String>().into();
                body = jws.to_string().into_bytes();
            }
            let content_type = parts.headers.get("content-type").map(|v| v.to_str().unwrap());
            let url = parts.uri.to_string();
            let reply = fake.handle(&parts.method, &url, content_type, &body).await;
            let (parts, body) = reply.into_http().into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn certificate_by_either_challenge() {
    for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
        let world = World::new(kind);
        assert_eq!(world.host().origin(), CertificateOrigin::SelfSigned);
        let running = world.start();
        let took = world.until(World::has_certificate).await;
        assert!(took < 5 * MINUTE, "{took:?}");
        assert!(world.host().problem().is_none());
        for name in ["example.test", "conference.example.test", "queue.example.test"] {
            assert!(world.covers(name), "{kind}: {name}");
        }
        assert_eq!(world.fake.contacts(), [json!(["mailto:admin@example.test"])]);
        for file in fs::read_dir(world.dir.path().join("acme")).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let tokens = world.net.tokens.lock().clone();
        assert_eq!(tokens.len(), 1 + SERVICES.len());
        assert!(tokens.iter().all(|token| world.challenges.lookup(token).is_none()));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_authority_of_these_tests_checks_signatures() {
    let world = World::new(ChallengeKind::Http01);
    let running = world.start_with(Direct { fake: Arc::clone(&world.fake), spoils: true });
    world.until(|world| world.fake.count("/new-account") == 2).await;
    assert!(world.fake.contacts().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn services_that_cannot_be_checked_are_left_out() {
    let world = World::new(ChallengeKind::Http01);
    world.unreachable(&["upload.example.test", "queue.example.test"]);
    let running = world.start();
    assert!(world.until(World::has_certificate).await < 5 * MINUTE);
    assert!(world.covers("example.test") && world.covers("conference.example.test"));
    assert!(!world.covers("upload.example.test") && !world.covers("queue.example.test"));
    assert_eq!(world.orders(), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn names_that_policy_forbids_are_left_out() {
    let world = World::new(ChallengeKind::TlsAlpn01);
    let rejected = HashSet::from(["calls.example.test".to_owned()]);
    world.fake.set_faults(Faults { rejected, ..Faults::default() });
    let running = world.start();
    assert!(world.until(World::has_certificate).await < 5 * MINUTE);
    assert!(world.covers("proxy.example.test") && !world.covers("calls.example.test"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn refused_domain_is_tried_again_less_and_less_often() {
    let world = World::new(ChallengeKind::Http01);
    world.unreachable(&["example.test"]);
    let running = world.start();
    let mut pauses = Vec::new();
    for attempt in 1..=5 {
        pauses.push(world.until(|world| world.orders() >= attempt).await);
    }
    for (pause, minutes) in pauses.into_iter().skip(1).zip([5, 15, 45, 135]) {
        let expected = minutes * MINUTE;
        assert!(pause >= expected - MINUTE && pause <= expected + 2 * MINUTE, "{pause:?}");
    }
    assert_eq!(world.host().origin(), CertificateOrigin::SelfSigned);
    world.unreachable(&[]);
    world.until(World::has_certificate).await;
    assert_eq!(world.orders(), 6);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn bad_nonces_are_survived() {
    let world = World::new(ChallengeKind::Http01);
    world.fake.set_faults(Faults { bad_nonces: 2, ..Faults::default() });
    let running = world.start();
    assert!(world.until(World::has_certificate).await < 5 * MINUTE);
    assert_eq!(world.fake.count("/new-account"), 3);
    running.stop().await;

    let world = World::new(ChallengeKind::Http01);
    world.fake.set_faults(Faults { bad_nonces: 3, ..Faults::default() });
    let running = world.start();
    let took = world.until(World::has_certificate).await;
    assert!(took >= 5 * MINUTE && took < 10 * MINUTE, "on the second attempt: {took:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn renewal_at_two_thirds_of_the_lifetime() {
    let world = World::new(ChallengeKind::TlsAlpn01);
    let running = world.start();
    world.until(World::has_certificate).await;
    let first = *world.host().fingerprint();
    let waited = world.until(|world| *world.host().fingerprint() != first).await;
    assert!(waited >= 59 * DAY && waited <= 63 * DAY + 2 * HOUR, "{waited:?}");
    assert_eq!((world.orders(), world.fake.count("/new-account")), (2, 1));
    let files = fs::read_dir(world.dir.path().join("acme")).unwrap().count();
    assert_eq!(files, 2, "account and certificate");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn restart_neither_orders_nor_registers_again() {
    let world = World::new(ChallengeKind::Http01);
    let running = world.start();
    world.until(World::has_certificate).await;
    running.stop().await;
    let before = world.fake.requests();
    let running = world.start();
    sleep(50 * DAY).await;
    assert_eq!(world.fake.requests(), before);
    sleep(20 * DAY).await;
    assert_eq!((world.orders(), world.fake.count("/new-account")), (2, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn renewal_that_fails_keeps_the_certificate_and_goes_on() {
    let world = World::new(ChallengeKind::Http01);
    let running = world.start();
    world.until(World::has_certificate).await;
    let first = *world.host().fingerprint();
    world.fake.set_faults(Faults { down: true, ..Faults::default() });
    sleep(70 * DAY).await;
    assert_eq!(world.host().fingerprint(), &first);
    assert!(world.host().problem().is_none());
    world.fake.set_faults(Faults::default());
    let took = world.until(|world| *world.host().fingerprint() != first).await;
    assert!(took <= 13 * HOUR, "{took:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn certificate_for_another_key_is_not_installed() {
    let world = World::new(ChallengeKind::Http01);
    world.fake.set_faults(Faults { wrong_key: true, ..Faults::default() });
    let running = world.start();
    world.until(|world| world.fake.count("/cert") == 1).await;
    sleep(MINUTE).await;
    assert_eq!(world.host().origin(), CertificateOrigin::SelfSigned);
    assert!(!world.dir.path().join("acme/example.test.pem").exists());
    world.fake.set_faults(Faults::default());
    world.until(World::has_certificate).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rate_limit_is_respected() {
    let world = World::new(ChallengeKind::Http01);
    world.fake.set_faults(Faults { rate_limited: true, ..Faults::default() });
    let running = world.start();
    sleep(11 * HOUR).await;
    assert_eq!(world.orders(), 1);
    sleep(2 * HOUR).await;
    assert_eq!(world.orders(), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn order_that_never_ends_is_given_up() {
    let world = World::new(ChallengeKind::Http01);
    world.fake.set_faults(Faults { stuck: true, ..Faults::default() });
    let running = world.start();
    let took = world.until(|world| world.orders() == 2).await;
    assert!(took >= 10 * MINUTE && took <= 12 * MINUTE, "timeout and pause: {took:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn missing_kind_of_challenge_is_a_failure() {
    let world = World::new(ChallengeKind::TlsAlpn01);
    world.fake.set_faults(Faults { no_tls_alpn: true, ..Faults::default() });
    let running = world.start();
    world.until(|world| world.orders() == 2).await;
    assert!(world.net.tokens.lock().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn contact_is_updated_and_a_lost_account_replaced() {
    let mut world = World::new(ChallengeKind::Http01);
    world.fake.set_faults(Faults { lifetime: Some(6 * DAY), ..Faults::default() });
    let running = world.start();
    world.until(World::has_certificate).await;
    running.stop().await;

    world.options.contact = vec!["mailto:new@example.test".to_owned()];
    let running = world.start();
    world.until(|world| world.orders() == 2).await;
    assert_eq!(world.fake.contacts(), [json!(["mailto:new@example.test"])]);

    world.fake.forget_accounts();
    let orders = world.orders();
    world.until(|world| world.fake.count("/new-account") == 2).await;
    world.until(|world| world.orders() > orders).await;
    assert_eq!(world.fake.contacts().len(), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn certificate_that_is_not_used_is_not_ordered_again_and_again() {
    let world = World::new(ChallengeKind::Http01);
    let without_acme = tls_options(world.dir.path(), &["example.test"]);
    assert!(world.store.reconfigure(without_acme, (world.now)()).is_empty());
    let running = world.start();
    sleep(4 * MINUTE).await;
    assert_eq!(world.orders(), 1);
    sleep(DAY).await;
    assert!(world.orders() < 10);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn absurd_lifetime_does_not_make_a_storm() {
    let world = World::new(ChallengeKind::Http01);
    // Backdated by an hour: due for renewal as soon as it is there.
    world.fake.set_faults(Faults { lifetime: Some(HOUR + MINUTE), ..Faults::default() });
    let running = world.start();
    sleep(HOUR).await;
    assert!((2..=13).contains(&world.orders()), "{}", world.orders());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_takes_the_answers_back() {
    for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
        let world = World::new(kind);
        *world.net.hangs.lock() = true;
        let running = world.start();
        world.until(|world| !world.net.tokens.lock().is_empty()).await;
        let token = world.net.tokens.lock()[0].clone();
        let answered = world.challenges.lookup(&token).is_some();
        assert_eq!(answered, kind == ChallengeKind::Http01);
        running.stop().await;
        assert!(world.challenges.lookup(&token).is_none());
        *world.net.hangs.lock() = false;
        let validation = Validation {
            kind: kind.to_string(),
            domain: "example.test".to_owned(),
            token,
            key_authorization: String::new(),
        };
        let (net, store) = (Arc::clone(&world.net), Arc::clone(&world.store));
        let result = check(net, store, Arc::clone(&world.challenges), validation).await;
        assert!(result.is_err());
    }
}
