//! What is published of this server for those who map the network (XEP-0485), once the operator wants it.
//!
//! Servers that it has streams with are named if the operator wants that, too, and they have agreed: who publishes
//! itself agrees to be named by others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{StreamExt, iter};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::hooks::{Chore, DiscoQuery, Discovery, IqScope};
use wello_kernel::links::Direction;
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::IqType;
use wello_wire::xml::Element;

use crate::contact;
use crate::pubsub::own::Own;
use crate::pubsub::refusals::Refusal;
use crate::pubsub::{PubSub, service_of};
use crate::version;

pub struct ServerInfo {
    pubsub: Arc<PubSub>,
    hosts: Vec<Published>,
    names_others: bool,
}

/// Streams of a host, by the domain of the other server.
type Peers = BTreeMap<String, Vec<Direction>>;

/// A host that is published.
struct Published {
    host: BareJid,
    attempt: Mutex<Arc<Attempt>>,
}

#[derive(Default)]
struct Attempt {
    /// Those that are named.
    peers: Peers,
    /// Whether it is in the node; what was refused is tried again.
    done: OnceCell<bool>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0485",
    title: "PubSub Server Information",
    version: "1.0.0",
    status: Status::Complete,
    host_features: &[],
    account_features: &[],
}];

/// Section 5.
const NODE: &str = "serverinfo";
const ITEM: &str = "current";
/// Who did not succeed tries again, and who streams are with is looked up.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Servers that are asked whether they agree, at once and in all, and how long each may take.
const ASKED_AT_ONCE: usize = 16;
const MAX_ASKED: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(30);

impl ServerInfo {
    pub(crate) fn new(config: &Config, pubsub: Arc<PubSub>) -> ServerInfo {
        let domains = config.domains().into_iter().filter(|_| config.serverinfo.publish);
        let hosts = domains.filter_map(|domain| {
            Some(Published { host: domain.parse().ok()?, attempt: Mutex::default() })
        });
        ServerInfo { pubsub, hosts: hosts.collect(), names_others: config.serverinfo.federation }
    }
}

impl Module for ServerInfo {
    fn name(&self) -> &'static str {
        "serverinfo"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.discovery(Arc::clone(&self) as _);
        registrar.chore(self);
    }
}

#[async_trait]
impl Chore for ServerInfo {
    fn first_run(&self) -> Duration {
        Duration::ZERO
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        for published in &self.hosts {
            let peers = match self.names_others {
                true => agreeing(kernel, &published.host).await,
                false => Peers::new(),
            };
            published.renew(peers);
            self.is_published(kernel, &published.host).await;
        }
    }
}

impl ServerInfo {
    /// Publishes what there is to tell of a host, unless that has been tried.
    async fn is_published(&self, kernel: &Arc<Kernel>, host: &BareJid) -> bool {
        let Some(published) = self.hosts.iter().find(|published| published.host == *host) else {
            return false;
        };
        let attempt = Arc::clone(&published.attempt.lock());
        let publish = async || {
            let refusal = self.publish(kernel, host, &attempt.peers).await.err();
            if let Some(refusal) = &refusal {
                tracing::error!(%host, ?refusal, "server information not published");
            }
            refusal.is_none()
        };
        *attempt.done.get_or_init(publish).await
    }

    async fn publish(
        &self,
        kernel: &Arc<Kernel>,
        host: &BareJid,
        peers: &Peers,
    ) -> Result<(), Refusal> {
        let nodes = Own::of_host(&self.pubsub, kernel, host);
        // Whatever is below a host is an address, too.
        let nodes = nodes.map_err(|_| Refusal::NotFound("no such service"))?;
        nodes.make_default_node(NODE).await?;
        nodes.publish(NODE, Some(ITEM), document(host, peers)).await
    }
}

impl Published {
    /// What differs is published anew, and what was refused.
    fn renew(&self, peers: Peers) {
        let mut attempt = self.attempt.lock();
        if attempt.done.get() == Some(&false) || attempt.peers != peers {
            *attempt = Arc::new(Attempt { peers, done: OnceCell::new() });
        }
    }
}

/// The streams of a host with servers that agree to be named.
async fn agreeing(kernel: &Arc<Kernel>, host: &BareJid) -> Peers {
    let mut peers = Peers::new();
    for link in kernel.links().into_iter().filter(|link| link.ours == host.as_str()) {
        peers.entry(link.theirs).or_default().push(link.direction);
    }
    peers.values_mut().for_each(|directions| directions.sort());
    iter(peers.into_iter().take(MAX_ASKED))
        .map(async |(domain, directions)| {
            agrees(kernel, host, &domain).await.then_some((domain, directions))
        })
        .buffer_unordered(ASKED_AT_ONCE)
        .filter_map(async |peer| peer)
        .collect()
        .await
}

/// Section 3: who advertises it agrees to it.
async fn agrees(kernel: &Arc<Kernel>, host: &BareJid, domain: &str) -> bool {
    let Ok(to) = domain.parse::<Jid>() else { return false };
    let question = DiscoInfo::default().to_element();
    let answer = kernel.ask(host.clone().into(), to, IqType::Get, question, PATIENCE).await;
    let info = answer.as_ref().and_then(|answer| answer.child("query", ns::DISCO_INFO));
    info.is_some_and(|info| {
        info.children().any(|child| {
            child.is("feature", ns::DISCO_INFO) && child.attr("var") == Some(ns::SERVER_INFO)
        })
    })
}

#[async_trait]
impl Discovery for ServerInfo {
    async fn info(&self, kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        if query.scope != IqScope::Host || !self.is_published(kernel, &query.to).await {
            return;
        }
        info.features.push(ns::SERVER_INFO.to_owned());
        let uri = format!("xmpp:{}?;node={NODE}", service_of(query.to.as_str()));
        // Section 9.2: in one form with the addresses of XEP-0157, if there are any.
        contact::add_field(info, "serverinfo-pubsub-node", uri);
    }
}

/// Section 4.
fn document(host: &BareJid, peers: &Peers) -> Element {
    let federation = Element::new("federation", ns::SERVER_INFO)
        .with_children(peers.iter().map(|(name, streams)| remote_domain(name, streams)));
    let domain = Element::new("domain", ns::SERVER_INFO)
        .with_attr("name", host.as_str())
        .with_child(federation);
    Element::new("serverinfo", ns::SERVER_INFO)
        .with_child(domain)
        .with_child(version::software().to_element())
}

fn remote_domain(name: &str, streams: &[Direction]) -> Element {
    let connection = |direction: &Direction| {
        let type_ = match direction {
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
            Direction::Both => "bidi",
        };
        Element::new("connection", ns::SERVER_INFO).with_attr("type", type_)
    };
    Element::new("remote-domain", ns::SERVER_INFO)
        .with_attr("name", name)
        .with_children(streams.iter().map(connection))
}
