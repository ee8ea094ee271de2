//! The account service on a real database, with a clock that stands still.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod changes;
mod credentials;
mod fast;
mod grants;
mod invites;
mod registration;

use std::net::IpAddr;
use std::sync::Arc;

use tempfile::TempDir;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, EndReason, Session};
use wello_store::{Account, Client, Options, Role, Store, Timestamp};
use wello_stream::c2s::ResourceWish;
use wello_stream::nonza::{UserAgent, UserAgentId};
use wello_wire::jid::BareJid;

const PASSWORD: &str = "correct horse";
const PHONE: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
const LAPTOP: &str = "00000000-1111-4222-8333-444455556666";
const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;

struct Server {
    kernel: Arc<Kernel>,
    clock: Clock,
    _dir: TempDir,
}

impl Server {
    async fn start() -> Server {
        Server::with("").await
    }

    async fn with(auth: &str) -> Server {
        let text = format!(
            "hosts = ['wello.example', 'b.example']\n[auth]\nscram_iterations = 4096\n{auth}"
        );
        let config = Config::parse(&text, []).unwrap();
        let dir = TempDir::new().unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let metrics = Arc::new(Metrics::default());
        let kernel = Kernel::with_clock(config, store, metrics, Vec::new(), clock.clone());
        Server { kernel: kernel.await.unwrap(), clock, _dir: dir }
    }

    async fn account(&self, jid: &str) -> (BareJid, Account) {
        let jid = bare(jid);
        let account = self.kernel.accounts.create(&jid, PASSWORD, Role::User).await.unwrap();
        (jid, account)
    }

    async fn session(&self, jid: &BareJid, client: Option<&str>) -> Arc<Session> {
        let client_id = client.map(str::to_owned);
        let info = ClientInfo { client_id, ..ClientInfo::default() };
        self.kernel.bind(jid, &ResourceWish::Any, info).await.unwrap()
    }

    async fn seen(&self, jid: &BareJid, client: &str) {
        let id: UserAgentId = client.parse().unwrap();
        let agent = UserAgent { software: Some("Test".to_owned()), ..UserAgent::default() };
        self.kernel.accounts.record_client(jid, id, &agent, None).await.unwrap();
    }

    async fn clients(&self, jid: &BareJid) -> Vec<Client> {
        self.kernel.store.clients.list(jid.as_str()).await.unwrap()
    }
}

fn bare(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

/// Why the session was told to end, if it was.
fn ended(session: &Session) -> Option<EndReason> {
    std::iter::from_fn(|| session.inbox().take()).find_map(|delivery| match delivery {
        Delivery::End(reason) => Some(reason),
        _ => None,
    })
}
