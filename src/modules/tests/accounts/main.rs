//! Registration, invitations and client access with all modules, without sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod before_login;
mod client_access;
mod contacts;
mod own;

use std::sync::Arc;

use tempfile::TempDir;
use wello_kernel::Kernel;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, EndReason, Session};
use wello_store::{Options, Role, Store, Timestamp};
use wello_stream::c2s::ResourceWish;
use wello_stream::nonza::UserAgent;
use wello_wire::jid::BareJid;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

const PASSWORD: &str = "correct horse";
const PHONE: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
const LAPTOP: &str = "00000000-1111-4222-8333-444455556666";

struct Server {
    kernel: Arc<Kernel>,
    _dir: TempDir,
}

impl Server {
    async fn start() -> Server {
        Server::with("").await
    }

    async fn with(auth: &str) -> Server {
        let text = format!("hosts = ['wello.example']\n[auth]\nscram_iterations = 4096\n{auth}");
        let config = Config::parse(&text, []).unwrap();
        let dir = TempDir::new().unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let modules = wello_modules::all(&config);
        let kernel =
            Kernel::with_clock(config, store, Arc::new(Metrics::default()), modules, clock);
        Server { kernel: kernel.await.unwrap(), _dir: dir }
    }

    async fn account(&self, jid: &str) -> BareJid {
        let jid = bare(jid);
        self.kernel.accounts.create(&jid, PASSWORD, Role::User).await.unwrap();
        jid
    }

    /// As after a login: the client is known.
    async fn session(&self, jid: &BareJid, info: ClientInfo) -> Arc<Session> {
        if let Some(id) = &info.client_id
            && self.kernel.store.clients.find(jid.as_str(), id).await.unwrap().is_none()
        {
            let (id, agent) = (id.parse().unwrap(), UserAgent::default());
            self.kernel.accounts.record_client(jid, id, &agent, None).await.unwrap();
        }
        let info = ClientInfo { encrypted: true, ..info };
        self.kernel.bind(jid, &ResourceWish::Any, info).await.unwrap()
    }

    /// Sends from a session; returns what comes back to it.
    async fn say(&self, session: &Arc<Session>, xml: &str) -> Vec<Answer> {
        self.kernel.handle_client(session, stanza(xml)).await.unwrap();
        inbox(session)
    }

    async fn knows(&self, jid: &BareJid, password: &str) -> bool {
        self.kernel.accounts.check_password(jid, password, None).await.is_ok()
    }
}

/// What a client is sent.
#[derive(Debug)]
enum Answer {
    Stanza(Element),
    End(EndReason),
}

fn inbox(session: &Session) -> Vec<Answer> {
    let deliveries = std::iter::from_fn(|| session.inbox().take());
    let answers = deliveries.filter_map(|delivery| match delivery {
        Delivery::Stanza(stanza) => Some(Answer::Stanza(stanza.to_element())),
        Delivery::End(reason) => Some(Answer::End(reason)),
        Delivery::HandOver(_) => None,
    });
    answers.collect()
}

/// The only answer, which is a stanza.
fn only(mut answers: Vec<Answer>) -> Element {
    assert_eq!(answers.len(), 1, "{answers:?}");
    match answers.remove(0) {
        Answer::Stanza(stanza) => stanza,
        Answer::End(reason) => panic!("ended: {reason:?}"),
    }
}

fn client(id: &str) -> ClientInfo {
    ClientInfo { client_id: Some(id.to_owned()), ..ClientInfo::default() }
}

fn bare(text: &str) -> BareJid {
    text.parse().unwrap()
}

/// In the namespace of clients.
fn stanza(xml: &str) -> Stanza {
    let (name, rest) = xml.split_once([' ', '>', '/']).unwrap();
    let separator = &xml[name.len()..=name.len()];
    let xml = format!("{name} xmlns='jabber:client'{separator}{rest}");
    Stanza::from_element(xml.parse().unwrap()).unwrap()
}

fn is_result(answer: &Element) -> bool {
    answer.attr("type") == Some("result")
}

/// The condition of a stanza error.
fn condition(answer: &Element) -> String {
    let error = answer.child("error", "jabber:client");
    let error = error.unwrap_or_else(|| panic!("no error: {answer}"));
    error.children().next().unwrap().name().to_owned()
}
