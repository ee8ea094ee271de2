//! Namespaces whose requests a component answers in place of the server (XEP-0355), as the operator has
//! delegated them: the admin mode. The client mode, in which users delegate themselves, a server may leave out
//! (section 9).

mod discovery;
mod forward;
mod policy;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::config::{Component, Config};
use wello_kernel::hooks::{ComponentEvents, Flow, Guard};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{Kind, MessageType, Stanza};
use wello_wire::xml::Element;

use crate::privileges::managed_hosts;
use crate::waiting::Waiting;

use discovery::Nested;

pub struct Delegation {
    /// Whether anything is delegated.
    used: bool,
    nested: Arc<Nested>,
    /// Requests that wait for a component.
    waiting: Waiting,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0355",
    title: "Namespace Delegation",
    version: "0.5",
    status: Status::Partial("no client mode, which is optional"),
    // Announced by the hosts where something is delegated.
    host_features: &[],
    account_features: &[],
}];

impl Delegation {
    pub fn new(config: &Config) -> Delegation {
        Delegation {
            used: config.component.iter().any(|component| !component.delegations.is_empty()),
            nested: Arc::default(),
            waiting: Waiting::default(),
        }
    }
}

impl Module for Delegation {
    fn name(&self) -> &'static str {
        "delegation"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        if self.used {
            registrar.guard(Arc::clone(&self) as _);
            registrar.discovery(Arc::clone(&self) as _);
            registrar.components(self);
        }
    }
}

#[async_trait]
impl Guard for Delegation {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind == Kind::Iq
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        self.guard_iq(kernel, stanza).await
    }
}

#[async_trait]
impl ComponentEvents for Delegation {
    async fn connected(&self, kernel: &Arc<Kernel>, component: &Component) -> Vec<Stanza> {
        let hosts = managed_hosts(kernel, component);
        if let Some(host) = hosts.first() {
            self.ask_for_nested(kernel, component, host);
        }
        hosts.into_iter().filter_map(|host| advertisement(component, host)).collect()
    }

    async fn gone(&self, _kernel: &Arc<Kernel>, component: &Component) {
        self.nested.forget(&component.domain);
    }
}

/// Section 4.2: what is delegated to it; `None` when nothing is.
fn advertisement(component: &Component, host: BareJid) -> Option<Stanza> {
    if component.delegations.is_empty() {
        return None;
    }
    let delegated = component.delegations.iter().map(|delegated| {
        let attributes = delegated
            .attributes
            .iter()
            .map(|name| Element::new("attribute", ns::DELEGATION).with_attr("name", name.as_str()));
        Element::new("delegated", ns::DELEGATION)
            .with_attr("namespace", delegated.namespace.as_str())
            .with_children(attributes)
    });
    let delegation = Element::new("delegation", ns::DELEGATION).with_children(delegated);
    let to: Jid = component.domain.parse().ok()?;
    let message = Stanza::message(MessageType::Normal).with_id(random_id());
    Some(message.with_from(host).with_to(to).with_child(delegation))
}
