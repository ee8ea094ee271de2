//! What is published of this server for those who map the network (XEP-0485), once the operator wants it.
//!
//! Which servers it talks to is not published: that would need their consent, each one's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::hooks::{Chore, DiscoQuery, Discovery, IqScope};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::xml::Element;

use crate::contact;
use crate::pubsub::own::Own;
use crate::pubsub::refusals::Refusal;
use crate::pubsub::{PubSub, service_of};
use crate::version;

pub struct ServerInfo {
    pubsub: Arc<PubSub>,
    hosts: Vec<Published>,
}

/// A host that is published.
struct Published {
    host: BareJid,
    /// Whether its node is there; of who was refused, until it is tried again.
    attempt: Mutex<Arc<OnceCell<bool>>>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0485",
    title: "PubSub Server Information",
    version: "1.0.0",
    status: Status::Partial("other servers that this one talks to are not named"),
    host_features: &[],
    account_features: &[],
}];

/// Section 5.
const NODE: &str = "serverinfo";
const ITEM: &str = "current";
/// Who did not succeed tries again.
const INTERVAL: Duration = Duration::from_secs(3600);

impl ServerInfo {
    pub(crate) fn new(config: &Config, pubsub: Arc<PubSub>) -> ServerInfo {
        let domains = config.domains().into_iter().filter(|_| config.serverinfo.publish);
        let hosts = domains.filter_map(|domain| {
            Some(Published { host: domain.parse().ok()?, attempt: Mutex::default() })
        });
        ServerInfo { pubsub, hosts: hosts.collect() }
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
            published.forget_refusal();
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
            let refusal = self.publish(kernel, host).await.err();
            if let Some(refusal) = &refusal {
                tracing::error!(%host, ?refusal, "server information not published");
            }
            refusal.is_none()
        };
        *attempt.get_or_init(publish).await
    }

    async fn publish(&self, kernel: &Arc<Kernel>, host: &BareJid) -> Result<(), Refusal> {
        let nodes = Own::of_host(&self.pubsub, kernel, host);
        // Whatever is below a host is an address, too.
        let nodes = nodes.map_err(|_| Refusal::NotFound("no such service"))?;
        nodes.make_default_node(NODE).await?;
        nodes.publish(NODE, Some(ITEM), document(host)).await
    }
}

impl Published {
    fn forget_refusal(&self) {
        let mut attempt = self.attempt.lock();
        if attempt.get() == Some(&false) {
            *attempt = Arc::default();
        }
    }
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
fn document(host: &BareJid) -> Element {
    let domain = Element::new("domain", ns::SERVER_INFO)
        .with_attr("name", host.as_str())
        .with_child(Element::new("federation", ns::SERVER_INFO));
    Element::new("serverinfo", ns::SERVER_INFO)
        .with_child(domain)
        .with_child(version::software().to_element())
}
