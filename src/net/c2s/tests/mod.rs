//! Clients in memory against a whole server without modules: the login as the account service
//! decides it.

mod external;
mod login;
mod shaping;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::metrics::Metrics;
use wello_store::{Options, Role, Store, Timestamp};
use wello_stream::sasl::{Mechanism, ScramHash, encoding};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::*;
use crate::tls::CertificateStore;
use crate::tls::testing::options;

const PASSWORD: &str = "pencil";
const PHONE: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
const LAPTOP: &str = "00000000-1111-4222-8333-444455556666";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>App</tag></bind>";
const DAY: i64 = 24 * 3600 * 1_000_000;

struct World {
    server: Arc<C2sServer>,
    kernel: Arc<Kernel>,
    clock: Clock,
    _dir: TempDir,
}

impl World {
    async fn start() -> World {
        World::with("", RootCertStore::empty()).await
    }

    /// With a user and another one, who have the same password.
    async fn with(auth: &str, authorities: RootCertStore) -> World {
        let text = format!("hosts = ['wello.example']\n[auth]\nscram_iterations = 4096\n{auth}");
        let config = Config::parse(&text, []).unwrap();
        let dir = TempDir::new().unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let clock = Clock::manual(Timestamp::from_secs(since.as_secs().try_into().unwrap()));
        let metrics = Arc::new(Metrics::default());
        let kernel = Kernel::with_clock(config, store, metrics, Vec::new(), clock.clone());
        let kernel = kernel.await.unwrap();
        for name in ["user", "other"] {
            let jid = format!("{name}@wello.example").parse().unwrap();
            kernel.accounts.create(&jid, PASSWORD, Role::User).await.unwrap();
        }
        let mut options = options(dir.path(), &["wello.example"]);
        options.client_certificates = true;
        let certificates = Arc::new(CertificateStore::open(options, now).unwrap());
        let acceptor = TlsAcceptor::new(certificates, HANDSHAKE_TIMEOUT);
        let shutdown = CancellationToken::new();
        let server = C2sServer::new(Arc::clone(&kernel), acceptor, authorities, shutdown).await;
        let server = server.unwrap();
        World { server, kernel, clock, _dir: dir }
    }

    /// A client of user@wello.example that has read the features.
    async fn connect(&self) -> Client {
        self.connect_as("user@wello.example").await
    }

    async fn connect_as(&self, jid: &str) -> Client {
        self.connect_over(Weak::new(), jid).await
    }

    async fn connect_over(&self, connection: Weak<ConnectionPermit>, jid: &str) -> Client {
        let (to_server, incoming) = mpsc::channel(64);
        let (outgoing, from_server) = mpsc::channel(64);
        let frames = Frames { incoming, outgoing };
        let address = IpAddr::from([192, 0, 2, 1]);
        let bindings = ChannelBindings::default();
        self.server.serve_frames(frames, address, "websocket", true, bindings, connection);
        let mut client = Client { to_server, from_server, offer: String::new() };
        let open = format!(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' to='wello.example' \
             from='{jid}'/>"
        );
        client.send(&open).await;
        assert_eq!(client.hear().await.name(), "open");
        let features = client.hear().await;
        assert!(features.is("features", ns::STREAM));
        client.offer = features.to_string();
        client
    }

    /// Logs a new client in and returns it with the `<success/>`.
    async fn log_in(&self, request: &str) -> (Client, Element) {
        let mut client = self.connect().await;
        let success = client.ask(request).await;
        assert!(success.is("success", ns::SASL2), "{success}");
        (client, success)
    }

    /// The condition with which a new client's login fails.
    async fn refusal(&self, request: &str) -> String {
        let mut client = self.connect().await;
        let failure = client.ask(request).await;
        condition(&failure)
    }
}

struct Client {
    to_server: mpsc::Sender<Bytes>,
    from_server: mpsc::Receiver<Bytes>,
    /// The features before login.
    offer: String,
}

impl Client {
    async fn send(&mut self, frame: &str) {
        self.to_server.send(Bytes::from(frame.to_owned())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Element> {
        let frame = timeout(Duration::from_secs(30), self.from_server.recv()).await;
        let frame = frame.expect("the server says something")?;
        Some(String::from_utf8(frame.to_vec()).unwrap().parse().unwrap())
    }

    async fn hear(&mut self) -> Element {
        self.next().await.expect("the stream is open")
    }

    async fn ask(&mut self, frame: &str) -> Element {
        self.send(frame).await;
        self.hear().await
    }

    /// The condition of the stream error with which the server ends the stream.
    async fn ending(&mut self) -> String {
        loop {
            let element = self.hear().await;
            if element.is("error", ns::STREAM) {
                return element.children().next().unwrap().name().to_owned();
            }
        }
    }
}

fn condition(failure: &Element) -> String {
    assert!(failure.is("failure", ns::SASL2), "{failure}");
    failure.children().find(|child| child.ns() == ns::SASL).unwrap().name().to_owned()
}

fn authenticate(mechanism: &str, initial: &[u8], inline: &str) -> String {
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>\
         <initial-response>{}</initial-response>{inline}</authenticate>",
        encoding::encode(initial)
    )
}

fn plain(password: &str, inline: &str) -> String {
    authenticate("PLAIN", format!("\0user\0{password}").as_bytes(), inline)
}

fn user_agent(id: &str) -> String {
    format!("<user-agent id='{id}'><software>Test</software></user-agent>")
}

fn identifier(success: &Element) -> String {
    success.child("authorization-identifier", ns::SASL2).unwrap().text().into_owned()
}

#[tokio::test]
async fn a_steady_flow_of_what_nobody_keeps_is_not_acknowledged_one_by_one() {
    let world = World::start().await;
    let bind = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3'/></bind>";
    let (mut client, success) = world.log_in(&plain(PASSWORD, bind)).await;
    let own = identifier(&success);
    assert!(client.hear().await.is("features", ns::STREAM));
    let message = |type_: &str| {
        format!("<message xmlns='jabber:client' type='{type_}' to='{own}'><body>x</body></message>")
    };
    assert_eq!(client.ask(&message("headline")).await.name(), "message");
    assert!(client.hear().await.is("r", ns::SM), "after a pause at once");
    for _ in 0..5 {
        assert_eq!(client.ask(&message("headline")).await.name(), "message");
    }
    assert!(client.hear().await.is("r", ns::SM), "nothing stays unasked");
    for _ in 0..2 {
        assert_eq!(client.ask(&message("chat")).await.name(), "message");
        assert!(client.hear().await.is("r", ns::SM), "what would be sent twice at once");
    }
}
