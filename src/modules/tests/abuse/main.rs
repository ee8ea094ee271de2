//! What is done against spam and abuse, with all modules and without sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod blocklists;
mod egress;
mod expulsion;
mod feeds;
mod names;
mod pace;
mod reports;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::hooks::RemoteRoute;
use wello_kernel::inbox::Delivery;
use wello_kernel::links::Link;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, Session};
use wello_store::{AuditEntry, Options, Role, Store, Timestamp};
use wello_stream::c2s::ResourceWish;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::Stanza;

const HOST: &str = "wello.example";
/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    kernel: Arc<Kernel>,
    clock: Clock,
    elsewhere: Arc<Elsewhere>,
    dir: Arc<TempDir>,
}

impl Server {
    /// With the accounts romeo, juliet and nurse, who is an administrator.
    async fn with(config: &str) -> Server {
        let dir = Arc::new(TempDir::new().unwrap());
        let server = Server::open(dir, config).await;
        for (name, role) in [("romeo", Role::User), ("juliet", Role::User), ("nurse", Role::Admin)]
        {
            server.kernel.accounts.create(&bare(name), "correct horse", role).await.unwrap();
        }
        server
    }

    async fn open(dir: Arc<TempDir>, config: &str) -> Server {
        let text = format!("hosts = ['{HOST}']\n[auth]\nscram_iterations = 4096\n{config}");
        let config = Config::parse(&text, []).unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let (modules, metrics) = (wello_modules::all(&config), Arc::new(Metrics::default()));
        let kernel = Kernel::with_clock(config, store, metrics, modules, clock.clone());
        let kernel = kernel.await.unwrap();
        let elsewhere = Arc::new(Elsewhere::default());
        kernel.install_remote(Arc::clone(&elsewhere) as _);
        Server { kernel, clock, elsewhere, dir }
    }

    /// The same after a restart.
    async fn restart(self, config: &str) -> Server {
        self.kernel.store.close().await;
        let dir = Arc::clone(&self.dir);
        drop(self);
        Server::open(dir, config).await
    }

    async fn session(&self, name: &str) -> Arc<Session> {
        let info =
            ClientInfo { address: Some("192.0.2.1".parse().unwrap()), ..ClientInfo::default() };
        self.kernel.bind(&bare(name), &ResourceWish::Any, info).await.unwrap()
    }

    /// Sends from a session; returns what comes back to it.
    async fn say(&self, session: &Arc<Session>, xml: &str) -> Vec<Stanza> {
        self.kernel.handle_client(session, stanza(xml)).await.unwrap();
        inbox(session)
    }

    /// The same from another server; returns what goes back there.
    async fn receive(&self, xml: &str) -> Vec<Stanza> {
        self.elsewhere.take();
        self.kernel.handle_remote(stanza(xml)).await;
        self.elsewhere.take()
    }

    /// A room of romeo's, who is in it, that everybody may enter.
    async fn room(&self) -> Arc<Session> {
        let romeo = self.session("romeo").await;
        let enter = "<presence to='r@conference.wello.example/romeo'>\
            <x xmlns='http://jabber.org/protocol/muc'/></presence>";
        self.say(&romeo, enter).await;
        let open = "<iq type='set' id='o' to='r@conference.wello.example'>\
            <query xmlns='http://jabber.org/protocol/muc#owner'>\
            <x xmlns='jabber:x:data' type='submit'/></query></iq>";
        assert_eq!(condition(&self.say(&romeo, open).await), None);
        romeo
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(i64::try_from(time.as_micros()).unwrap());
    }

    async fn audit(&self) -> Vec<AuditEntry> {
        let listed = self.kernel.store.audit.list(Timestamp::default(), None, 100).await.unwrap();
        listed.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// What comes back by itself; goes on until it is dropped.
struct Chores(JoinHandle<()>);

impl Chores {
    fn start(server: &Server) -> Chores {
        let kernel = Arc::clone(&server.kernel);
        #[expect(clippy::disallowed_methods, reason = "is over with the test")]
        let chores = tokio::spawn(async move { kernel.run_chores().await });
        Chores(chores)
    }
}

impl Drop for Chores {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All other servers: keeps what they are sent.
#[derive(Default)]
struct Elsewhere {
    sent: Mutex<Vec<Stanza>>,
    arrived: Notify,
}

#[async_trait]
impl RemoteRoute for Elsewhere {
    async fn send(&self, _kernel: &Arc<Kernel>, stanza: Stanza) -> Result<(), StanzaError> {
        self.sent.lock().push(stanza);
        self.arrived.notify_one();
        Ok(())
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
}

impl Elsewhere {
    fn take(&self) -> Vec<Stanza> {
        std::mem::take(&mut *self.sent.lock())
    }

    /// Waits for the next stanza.
    async fn next(&self) -> Stanza {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut sent = self.sent.lock();
                if !sent.is_empty() {
                    return sent.remove(0);
                }
            }
            tokio::time::timeout(PATIENCE, arrived).await.unwrap();
        }
    }
}

fn inbox(session: &Session) -> Vec<Stanza> {
    let deliveries = std::iter::from_fn(|| session.inbox().take());
    let stanzas = deliveries.filter_map(|delivery| match delivery {
        Delivery::Stanza(stanza) => Some(stanza),
        Delivery::End(_) | Delivery::HandOver(_) => None,
    });
    stanzas.collect()
}

/// The condition of the error that is among these, if there is one.
fn condition(stanzas: &[Stanza]) -> Option<String> {
    let error = stanzas.iter().find(|stanza| stanza.is_error())?.child("error", ns::CLIENT)?;
    let condition = error.children().find(|child| child.ns() == ns::STANZA_ERRORS)?;
    Some(condition.name().to_owned())
}

fn bare(name: &str) -> BareJid {
    format!("{name}@{HOST}").parse().unwrap()
}

/// Somebody elsewhere enters [`Server::room`].
fn join(from: &str, nick: &str) -> String {
    format!(
        "<presence from='{from}/z' to='r@conference.wello.example/{nick}'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
}

/// In the namespace of clients.
fn stanza(xml: &str) -> Stanza {
    let (name, rest) = xml.split_once([' ', '>', '/']).unwrap();
    let separator = &xml[name.len()..=name.len()];
    let xml = format!("{name} xmlns='jabber:client'{separator}{rest}");
    Stanza::from_element(xml.parse().unwrap()).unwrap()
}
