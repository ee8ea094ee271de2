//! Requests on their way to a component, and its answers on their way back (section 4.3).

use std::sync::Arc;
use std::time::Duration;

use wello_kernel::Kernel;
use wello_kernel::config::Component;
use wello_kernel::hooks::{DiscoQuery, Flow, IqScope};
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::forward::Forwarded;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::{Delegation, policy};

/// How long a component may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Delegation {
    pub(super) async fn guard_iq(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let manager = match policy::manager(&kernel.config, stanza) {
            Some(manager) => Some(manager),
            None => unknown_to_us(kernel, stanza).await,
        };
        match manager {
            // An account that does not exist looks like one that offers nothing.
            Some(manager) if exists(kernel, stanza).await => self.forward(kernel, manager, stanza),
            _ => Flow::Next,
        }
    }

    fn forward(&self, kernel: &Arc<Kernel>, manager: &Component, stanza: &Stanza) -> Flow {
        let (Some(host), Ok(manager)) = (&stanza.to, manager.domain.parse::<Jid>()) else {
            return Flow::Next;
        };
        let permit = match self.waiting.admit(stanza) {
            Ok(permit) => permit,
            Err(error) => return Flow::Refuse(error),
        };
        let forwarded = Forwarded { delay: None, stanza: stanza.to_element() };
        let wrapped = Element::new("delegation", ns::DELEGATION).with_child(forwarded.to_element());
        let host = Jid::from(host.domain_jid());
        let (kernel, stanza) = (Arc::clone(kernel), stanza.clone());
        // Section 9, note 3: what the client sends next does not wait for the component.
        #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
        tokio::spawn(async move {
            let answer = kernel.ask(host, manager, IqType::Set, wrapped, PATIENCE).await;
            match answer.and_then(|answer| policy::unwrap(&stanza, &answer)) {
                Some(result) => {
                    kernel.route(result).await;
                }
                None => {
                    let error = StanzaError::service_unavailable("");
                    kernel.refuse(None, &stanza, &error).await;
                }
            }
            drop(permit);
        });
        Flow::Handled
    }
}

/// The component that is asked about an account what the server has no answer to.
async fn unknown_to_us<'a>(kernel: &'a Arc<Kernel>, stanza: &Stanza) -> Option<&'a Component> {
    let manager = policy::discovery_manager(&kernel.config, stanza)?;
    let (from, account) = (stanza.from.as_ref()?, stanza.to.as_ref()?.bare());
    if !crate::disco::is_known_to(kernel, &account, from).await {
        return None;
    }
    let query = stanza.children().next()?;
    let node = query.attr("node").filter(|node| !node.is_empty());
    let items = query.ns() == ns::DISCO_ITEMS;
    let Some(node) = node else {
        // Section 7.2.5: its items are shown, and none of the server's.
        return items.then_some(manager);
    };
    let query = DiscoQuery {
        scope: IqScope::Account,
        to: account,
        from: from.clone(),
        node: Some(node.to_owned()),
    };
    (!crate::disco::has_node(kernel, &query, items).await).then_some(manager)
}

async fn exists(kernel: &Kernel, stanza: &Stanza) -> bool {
    match stanza.to.as_ref().filter(|to| to.local().is_some()) {
        Some(account) => kernel.accounts.exists(&account.bare()).await,
        None => true,
    }
}
