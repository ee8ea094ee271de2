//! Which other servers are named in what is published (XEP-0485), with all modules and without sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tempfile::TempDir;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::hooks::RemoteRoute;
use wello_kernel::links::{Direction, Link};
use wello_kernel::metrics::Metrics;
use wello_store::{Options, Store, Timestamp};
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

const HOST: &str = "wello.example";
const AN_HOUR: Duration = Duration::from_secs(3600);
/// Until chores begin.
const SOON: Duration = Duration::from_secs(100);
const LOOKS: usize = 2000;
const LOOKS_AN_HOUR: usize = 50;

/// All other servers.
#[derive(Default)]
struct Elsewhere {
    links: Mutex<Vec<Link>>,
    asked: Mutex<Vec<String>>,
    /// What a user here was sent.
    told: Mutex<Vec<Stanza>>,
}

#[async_trait]
impl RemoteRoute for Elsewhere {
    /// Only `open.example` publishes itself, and `gone.example` is not reached.
    async fn send(&self, kernel: &Arc<Kernel>, stanza: Stanza) -> Result<(), StanzaError> {
        let domain = stanza.to.as_ref().unwrap().domain().to_owned();
        if !stanza.has_child("query", ns::DISCO_INFO) {
            self.told.lock().push(stanza);
            return Ok(());
        }
        self.asked.lock().push(domain.clone());
        if domain == "gone.example" {
            return Err(StanzaError::remote_server_not_found("it is gone"));
        }
        let mut info = Element::new("query", ns::DISCO_INFO);
        if domain == "open.example" {
            info.push(Element::new("feature", ns::DISCO_INFO).with_attr("var", ns::SERVER_INFO));
        }
        kernel.handle_remote(stanza.result(Some(info))).await;
        Ok(())
    }

    fn links(&self) -> Vec<Link> {
        self.links.lock().clone()
    }
}

impl Elsewhere {
    fn link(&self, theirs: &str, direction: Direction) {
        self.link_of(HOST, theirs, direction);
    }

    fn link_of(&self, ours: &str, theirs: &str, direction: Direction) {
        let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
        self.links.lock().push(Link { ours, theirs, direction });
    }

    /// Somebody elsewhere is going to find this published of the federation, after an hour or some.
    async fn finds(&self, kernel: &Arc<Kernel>, expected: &str) {
        let mut found = None;
        for look in 1..LOOKS {
            found = self.looks(kernel).await;
            if found.as_deref() == Some(expected) {
                return;
            }
            // It may have been at work when the last hour passed.
            if look % LOOKS_AN_HOUR == 0 {
                pass(AN_HOUR).await;
            }
        }
        panic!("{found:?} instead of {expected}");
    }

    async fn looks(&self, kernel: &Arc<Kernel>) -> Option<String> {
        let question = format!(
            "<iq xmlns='jabber:client' type='get' id='i' from='u@far.example/z' to='pubsub.{HOST}'>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='serverinfo'/></pubsub></iq>"
        );
        kernel.handle_remote(Stanza::from_element(question.parse().unwrap()).unwrap()).await;
        let answer = self.told.lock().pop()?.to_element();
        let path = ["pubsub", "items", "item", "serverinfo", "domain", "federation"];
        let found = path.iter().try_fold(&answer, |element, name| {
            element.children().find(|child| child.name() == *name)
        })?;
        Some(found.children().map(ToString::to_string).collect())
    }
}

async fn start(config: &str) -> (Arc<Kernel>, Arc<Elsewhere>, TempDir) {
    let text = format!("hosts = ['{HOST}']\n[serverinfo]\npublish = true\n{config}");
    let config = Config::parse(&text, []).unwrap();
    let dir = TempDir::new().unwrap();
    let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let (modules, metrics) = (wello_modules::all(&config), Arc::new(Metrics::default()));
    let kernel = Kernel::with_clock(config, store, metrics, modules, clock).await.unwrap();
    let elsewhere: Arc<Elsewhere> = Arc::default();
    kernel.install_remote(Arc::clone(&elsewhere) as _);
    let chores = Arc::clone(&kernel);
    #[expect(clippy::disallowed_methods, reason = "is over with the test")]
    tokio::spawn(async move { chores.run_chores().await });
    tokio::task::yield_now().await;
    (kernel, elsewhere, dir)
}

/// Lets so much time pass for chores.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn servers_are_named_that_publish_themselves() {
    let (kernel, elsewhere, _dir) = start("federation = true").await;
    for domain in ["open.example", "shy.example", "gone.example"] {
        elsewhere.link(domain, Direction::Outgoing);
    }
    elsewhere.link("open.example", Direction::Incoming);
    elsewhere.link_of("conference.wello.example", "room.example", Direction::Both);
    pass(SOON).await;
    let named = "<remote-domain xmlns='urn:xmpp:serverinfo:0' name='open.example'>\
        <connection type='incoming'/><connection type='outgoing'/></remote-domain>";
    elsewhere.finds(&kernel, named).await;
    let mut asked = std::mem::take(&mut *elsewhere.asked.lock());
    asked.sort();
    assert_eq!(asked, ["gone.example", "open.example", "shy.example"]);

    elsewhere.links.lock().clear();
    elsewhere.link("open.example", Direction::Both);
    pass(AN_HOUR).await;
    let named = "<remote-domain xmlns='urn:xmpp:serverinfo:0' name='open.example'>\
        <connection type='bidi'/></remote-domain>";
    elsewhere.finds(&kernel, named).await;
    elsewhere.links.lock().clear();
    pass(AN_HOUR).await;
    elsewhere.finds(&kernel, "").await;
}

#[tokio::test]
async fn nobody_is_asked_or_named_unless_the_operator_wants_it() {
    let (kernel, elsewhere, _dir) = start("").await;
    elsewhere.link("open.example", Direction::Both);
    pass(SOON).await;
    elsewhere.finds(&kernel, "").await;
    assert!(elsewhere.asked.lock().is_empty());
}
