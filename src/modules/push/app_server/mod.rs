//! The app server inside, `push.HOST`: wakes the devices of our users by the services of their
//! makers, for whatever server publishes to their nodes (XEP-0357, docs/protocols/push.md).

mod apns;
mod commands;
mod delivery;
mod ece;
mod fcm;
mod flights;
mod gateway;
mod jwt;
mod keys;
mod publish;
mod unified;
mod web_push;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use subtle::ConstantTimeEq as _;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::hooks::{
    Chore, DiscoQuery, Discovery, IqAnswer, IqRequest, IqScope, Request, Service,
};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_store::PushDevice;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::command::{Command, CommandError};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::{DiscoInfo, DiscoItem, Identity};
use wello_wire::xml::Element;

pub use flights::Flights;
pub use keys::{KeyError, Keys};
pub use unified::{Handover, MAX_PUSH, about, hand_over, is_endpoint};

use delivery::{Delivery, later};
use gateway::News;
use publish::Publication;

pub struct AppServer {
    inner: Arc<Inner>,
    domains: Vec<String>,
}

#[derive(Default)]
struct Inner {
    /// `None` when they cannot be used, which was logged.
    keys: OnceLock<Option<Keys>>,
    delivery: Delivery,
    flights: Flights,
}

/// The service's domain is this label below a host.
const LABEL: &str = "push";
/// Endpoints live for a day; an hour more does no harm, since they are not used any more.
const INTERVAL: Duration = Duration::from_secs(3600);

impl AppServer {
    pub fn new(config: &Config) -> Option<AppServer> {
        let domains = config.domains().iter().map(|host| format!("{LABEL}.{host}")).collect();
        config.push.app_server.then(|| AppServer { inner: Arc::default(), domains })
    }
}

impl Module for AppServer {
    fn name(&self) -> &'static str {
        "push/app_server"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for domain in &self.domains {
            registrar.service(domain.clone(), Arc::clone(&self) as _);
        }
        registrar.discovery(Arc::clone(&self) as _);
        registrar.chore(self);
    }
}

#[async_trait]
impl Service for AppServer {
    async fn info(&self, kernel: &Arc<Kernel>, domain: &BareJid) -> DiscoInfo {
        let mut features = vec![ns::PUSH.to_owned(), ns::COMMANDS.to_owned()];
        if kernel.config.web_address(host(domain.as_str())).is_some() {
            features.push(ns::UNIFIED_PUSH.to_owned());
        }
        let key = self.inner.keys(kernel).map(|keys| web_push::public_key(&keys.vapid));
        let form = key.map(|key| {
            DataForm::typed(FormKind::Result, ns::WAKE)
                .with(Field::untyped("vapid-key").with_value(key))
        });
        DiscoInfo {
            identities: vec![Identity::new("pubsub", "push", Some("Push notifications"))],
            features,
            forms: form.into_iter().collect(),
            ..DiscoInfo::default()
        }
    }

    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let IqRequest { request: Request::Set, payload, from, ref to, .. } = request else {
            return Err(StanzaError::service_unavailable(""));
        };
        match (payload.name(), payload.ns()) {
            ("pubsub", ns::PUBSUB) => self.publish(kernel, &request),
            ("command", ns::COMMANDS) => {
                let asked = Command::parse(payload).map_err(CommandError::from_parse)?;
                let account = kernel.local_account(from).await?;
                Ok(commands::run(kernel, &account, to, asked).await?.to_element().into())
            }
            ("register", ns::UNIFIED_PUSH) => {
                let account = kernel.local_account(from).await?;
                let answer = unified::register(kernel, &account, from, host(to.as_str()), payload);
                answer.await.map(IqAnswer::from)
            }
            _ => Err(StanzaError::service_unavailable("")),
        }
    }
}

/// The host that a service's domain is below.
fn host(domain: &str) -> &str {
    domain.strip_prefix(LABEL).and_then(|rest| rest.strip_prefix('.')).unwrap_or(domain)
}

impl AppServer {
    /// Answers when the push service has.
    fn publish(
        &self,
        kernel: &Arc<Kernel>,
        request: &IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let (publication, flight) = self.publication(request.payload)?;
        let (inner, kernel) = (Arc::clone(&self.inner), Arc::clone(kernel));
        let (stanza, session) = (request.stanza.clone(), request.session.cloned());
        let publish = async move {
            let published = inner.publish(&kernel, publication).await;
            drop(flight);
            match published {
                Ok(()) => kernel.answer(session.as_ref(), stanza.result(None)).await,
                Err(error) => kernel.refuse(session.as_ref(), &stanza, &error).await,
            }
        };
        #[expect(clippy::disallowed_methods, reason = "nobody is to wait for a push service")]
        tokio::spawn(publish);
        Ok(IqAnswer::Later)
    }

    /// With its place among those that are under way.
    fn publication(&self, pubsub: &Element) -> Result<(Publication, flights::Flight), StanzaError> {
        let publication = Publication::parse(pubsub)?;
        let flight = self.inner.flights.begin(&publication.node).ok_or_else(later)?;
        Ok((publication, flight))
    }
}

impl Inner {
    fn keys(&self, kernel: &Kernel) -> Option<&Keys> {
        let open = || {
            let keys = Keys::open(&kernel.config);
            keys.inspect_err(|error| tracing::error!(%error, "no device can be woken")).ok()
        };
        self.keys.get_or_init(open).as_ref()
    }

    /// Whoever has the secret may: it went from the client to its own server.
    async fn publish(&self, kernel: &Arc<Kernel>, told: Publication) -> Result<(), StanzaError> {
        let device = kernel.store.push_devices.device(&told.node).await.map_err(|error| {
            tracing::error!(%error, "push device not read");
            StanzaError::internal_server_error("")
        })?;
        let device = device.ok_or_else(|| StanzaError::item_not_found("there is no such node"))?;
        if !is_secret(&device, &told.secret) {
            return Err(StanzaError::forbidden("this is not the secret of the node"));
        }
        let Some(keys) = self.keys(kernel) else {
            return Err(StanzaError::internal_server_error("there are no keys"));
        };
        let config = &kernel.config.push;
        let news = News {
            node: told.node,
            wake: told.wake,
            count: told.count,
            sender: told.sender.filter(|_| config.with_sender),
            body: told.body.filter(|_| config.with_body),
        };
        self.delivery.deliver(kernel, keys, &device, &news).await
    }
}

fn is_secret(device: &PushDevice, secret: &str) -> bool {
    commands::hash(secret).0.ct_eq(&device.secret.0).into()
}

#[async_trait]
impl Discovery for AppServer {
    async fn node(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<DiscoInfo> {
        let node = query.node.as_deref().filter(|_| self.is_asked(query))?;
        if node == ns::COMMANDS {
            let identity = Identity::new("automation", "command-list", Some("Commands"));
            return Some(DiscoInfo { identities: vec![identity], ..DiscoInfo::default() });
        }
        let mut orders = commands::orders(&kernel.config.push);
        let (_, title, _) = orders.find(|(known, _, _)| *known == node)?;
        Some(DiscoInfo {
            identities: vec![Identity::new("automation", "command-node", Some(title))],
            features: vec![ns::COMMANDS.to_owned(), ns::DATA_FORM.to_owned()],
            ..DiscoInfo::default()
        })
    }

    async fn items(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<Vec<DiscoItem>> {
        if !self.is_asked(query) || query.node.as_deref() != Some(ns::COMMANDS) {
            return None;
        }
        let item = |(node, title, _): &(&str, &str, _)| DiscoItem {
            jid: Jid::from(query.to.clone()),
            node: Some((*node).to_owned()),
            name: Some((*title).to_owned()),
        };
        Some(commands::orders(&kernel.config.push).map(item).collect())
    }
}

impl AppServer {
    fn is_asked(&self, query: &DiscoQuery) -> bool {
        query.scope == IqScope::Service && self.domains.iter().any(|one| one == query.to.as_str())
    }
}

#[async_trait]
impl Chore for AppServer {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        let expired = kernel.store.push_devices.expire_endpoints(kernel.clock.now()).await;
        if let Err(error) = expired {
            tracing::error!(%error, "old push endpoints not removed");
        }
    }
}
