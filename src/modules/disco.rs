//! Service discovery (XEP-0030): what hosts and accounts are and offer.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{DiscoQuery, IqAnswer, IqHandler, IqRequest, IqScope, Request, Service};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::disco::{DiscoInfo, DiscoItem, DiscoItems, Identity};

pub struct Disco;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0030",
    title: "Service Discovery",
    version: "2.5.0",
    status: Status::Complete,
    host_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
    account_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
}];

impl Module for Disco {
    fn name(&self) -> &'static str {
        "disco"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for scope in [IqScope::Account, IqScope::Host, IqScope::Service] {
            registrar.iq(scope, ns::DISCO_INFO, Arc::clone(&self) as _);
            registrar.iq(scope, ns::DISCO_ITEMS, Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl IqHandler for Disco {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        let scope = match request.to.local() {
            Some(_) => IqScope::Account,
            None if kernel.hosts.contains(request.to.as_str()) => IqScope::Host,
            None => IqScope::Service,
        };
        let query = DiscoQuery {
            scope,
            to: request.to.clone(),
            from: request.from.clone(),
            node: request.payload.attr("node").filter(|node| !node.is_empty()).map(str::to_owned),
        };
        if scope == IqScope::Account && !is_known_to(kernel, &request.to, request.from).await {
            return Err(StanzaError::service_unavailable(""));
        }
        if request.payload.ns() == ns::DISCO_INFO {
            Ok(info(kernel, &query).await?.to_element().into())
        } else {
            Ok(items(kernel, &query).await?.to_element().into())
        }
    }
}

/// Section 8: whoever may not see the account's presence learns nothing of it.
pub(crate) async fn is_known_to(kernel: &Kernel, account: &BareJid, viewer: &Jid) -> bool {
    let viewer = viewer.bare();
    viewer == *account
        || kernel.is_subscriber(account, &viewer).await
        || kernel.sees_presence(account, &viewer).await
}

/// Whether some module answers for the node.
pub(crate) async fn has_node(kernel: &Arc<Kernel>, query: &DiscoQuery, items: bool) -> bool {
    for hook in &kernel.hooks().discovery {
        let known = match items {
            true => hook.items(kernel, query).await.is_some(),
            false => hook.node(kernel, query).await.is_some(),
        };
        if known {
            return true;
        }
    }
    false
}

async fn info(kernel: &Arc<Kernel>, query: &DiscoQuery) -> Result<DiscoInfo, StanzaError> {
    if query.node.is_some() {
        for hook in &kernel.hooks().discovery {
            if let Some(mut info) = hook.node(kernel, query).await {
                info.node.clone_from(&query.node);
                return Ok(info);
            }
        }
        return Err(StanzaError::item_not_found("no such node"));
    }
    Ok(address_info(kernel, query).await)
}

/// The disco#info of a host, as everybody gets it.
pub(crate) async fn host_info(kernel: &Arc<Kernel>, host: &BareJid) -> DiscoInfo {
    let (to, from) = (host.clone(), host.clone().into());
    let query = DiscoQuery { scope: IqScope::Host, to, from, node: None };
    address_info(kernel, &query).await
}

async fn address_info(kernel: &Arc<Kernel>, query: &DiscoQuery) -> DiscoInfo {
    let mut answer = match service(kernel, query) {
        Some(service) => with_general(service.info(kernel, &query.to).await),
        None => own_info(kernel, query.scope),
    };
    for hook in &kernel.hooks().discovery {
        hook.info(kernel, query, &mut answer).await;
    }
    answer
}

/// What the modules say in their descriptions.
fn own_info(kernel: &Kernel, scope: IqScope) -> DiscoInfo {
    let specs = kernel.modules().iter().flat_map(|module| module.specs());
    let features: BTreeSet<&str> = specs
        .flat_map(|spec| match scope {
            IqScope::Account => spec.account_features,
            _ => spec.host_features,
        })
        .copied()
        .collect();
    let identity = match scope {
        IqScope::Account => Identity::new("account", "registered", None),
        _ => Identity::new("server", "im", Some("Wello")),
    };
    DiscoInfo {
        identities: vec![identity],
        features: features.into_iter().map(str::to_owned).collect(),
        ..DiscoInfo::default()
    }
}

fn service<'a>(kernel: &'a Kernel, query: &DiscoQuery) -> Option<&'a Arc<dyn Service>> {
    let services = &kernel.hooks().services;
    services.get(query.to.as_str()).filter(|_| query.scope == IqScope::Service)
}

/// What every service answers at its domain.
fn with_general(mut info: DiscoInfo) -> DiscoInfo {
    let general = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::VERSION, ns::TIME];
    let features = info.features.into_iter().chain(general.map(str::to_owned));
    info.features = features.collect::<BTreeSet<_>>().into_iter().collect();
    info
}

async fn items(kernel: &Arc<Kernel>, query: &DiscoQuery) -> Result<DiscoItems, StanzaError> {
    let mut known = query.node.is_none();
    let mut items = Vec::new();
    if query.node.is_none() {
        items = match query.scope {
            IqScope::Host => services(kernel, &query.to),
            IqScope::Account => resources(kernel, query).await,
            IqScope::Service => match service(kernel, query) {
                Some(service) => service.items(kernel, query).await,
                None => Vec::new(),
            },
        };
    }
    for hook in &kernel.hooks().discovery {
        if let Some(more) = hook.items(kernel, query).await {
            known = true;
            items.extend(more);
        }
    }
    if !known {
        return Err(StanzaError::item_not_found("no such node"));
    }
    Ok(DiscoItems { node: query.node.clone(), items })
}

/// The services below a host.
fn services(kernel: &Kernel, host: &Jid) -> Vec<DiscoItem> {
    let below = format!(".{}", host.domain());
    let components = kernel.config.component.iter().filter(|component| component.listed);
    let components = components.map(|component| &component.domain);
    let names = kernel.hooks().services.keys().chain(components);
    let names = names.filter(|name| name.ends_with(&below));
    let mut items: Vec<DiscoItem> = names
        .filter_map(|name| Some(DiscoItem { jid: name.parse().ok()?, node: None, name: None }))
        .collect();
    items.sort_by(|a, b| a.jid.cmp(&b.jid));
    items
}

/// Section 4.1: the available resources of an account, for those who may see them.
async fn resources(kernel: &Kernel, query: &DiscoQuery) -> Vec<DiscoItem> {
    let (account, viewer) = (&query.to, query.from.bare());
    if viewer != *account && !kernel.sees_presence(account, &viewer).await {
        return Vec::new();
    }
    let sessions = kernel.sessions.of(account);
    let available = sessions.iter().filter(|session| session.is_available());
    available
        .map(|session| DiscoItem { jid: session.jid.clone().into(), node: None, name: None })
        .collect()
}
