//! What components answer is announced in place of what the server would announce (section 7.2).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::config::Component;
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::IqType;
use wello_wire::xml::Element;

use super::Delegation;

/// How long a component may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// What connected components have said, by their domains and the nodes that they were asked for.
#[derive(Default)]
pub(super) struct Nested {
    known: Mutex<HashMap<String, HashMap<String, DiscoInfo>>>,
}

impl Nested {
    pub(super) fn forget(&self, component: &str) {
        self.known.lock().remove(component);
    }

    fn keep(&self, component: &str, node: String, info: DiscoInfo) {
        self.known.lock().entry(component.to_owned()).or_default().insert(node, info);
    }

    fn find(&self, component: &str, node: &str) -> Option<DiscoInfo> {
        self.known.lock().get(component)?.get(node).cloned()
    }
}

/// Sections 7.2.1 and 7.2.2: how a component is asked for what is announced in its place.
fn node(scope: IqScope, namespace: &str) -> String {
    let separator = if scope == IqScope::Account { ":bare:" } else { "::" };
    format!("{}{separator}{namespace}", ns::DELEGATION)
}

fn is_special(namespace: &str) -> bool {
    matches!(namespace, ns::DELEGATION_BARE_INFO | ns::DELEGATION_BARE_ITEMS)
}

/// The namespaces that bring features with them.
fn namespaces(component: &Component) -> impl Iterator<Item = &str> {
    let all = component.delegations.iter().map(|delegated| delegated.namespace.as_str());
    all.filter(|namespace| !is_special(namespace))
}

impl Delegation {
    /// Asks a component that has just come; nobody waits for its answers.
    pub(super) fn ask_for_nested(
        &self,
        kernel: &Arc<Kernel>,
        component: &Component,
        host: &BareJid,
    ) {
        let Ok(to) = component.domain.parse::<Jid>() else { return };
        let nodes = namespaces(component).flat_map(|namespace| {
            [IqScope::Host, IqScope::Account].map(|scope| node(scope, namespace))
        });
        for node in nodes {
            let (kernel, nested) = (Arc::clone(kernel), Arc::clone(&self.nested));
            let (from, to) = (Jid::from(host.clone()), to.clone());
            let query = Element::new("query", ns::DISCO_INFO).with_attr("node", node.as_str());
            #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
            tokio::spawn(async move {
                let answer = kernel.ask(from, to.clone(), IqType::Get, query, PATIENCE).await;
                let query =
                    answer.as_ref().and_then(|answer| answer.child("query", ns::DISCO_INFO));
                if let Some(Ok(info)) = query.map(DiscoInfo::parse) {
                    nested.keep(to.domain(), node, info);
                }
            });
        }
    }
}

#[async_trait]
impl Discovery for Delegation {
    async fn info(&self, kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        if query.scope == IqScope::Service {
            return;
        }
        let managers = kernel.config.component.iter();
        let managers = managers.filter(|component| component.manages(query.to.domain()));
        let mut is_delegated = false;
        for component in managers {
            is_delegated |= !component.delegations.is_empty();
            for namespace in namespaces(component) {
                remove_own(info, namespace);
                let theirs = self.nested.find(&component.domain, &node(query.scope, namespace));
                add(info, theirs.unwrap_or_default());
            }
        }
        if is_delegated && query.scope == IqScope::Host {
            info.features.push(ns::DELEGATION.to_owned());
        }
    }
}

/// What the server itself would announce of the namespace.
fn remove_own(info: &mut DiscoInfo, namespace: &str) {
    let is_of = |name: &str| {
        name.strip_prefix(namespace).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    info.features.retain(|feature| !is_of(feature));
    // Section 7.2.3.
    info.forms.retain(|form| !form.form_type().is_some_and(is_of));
    if namespace == ns::PUBSUB {
        info.identities.retain(|identity| identity.category != "pubsub");
    }
}

/// Each identity and feature is there once (XEP-0030, section 3.1).
fn add(info: &mut DiscoInfo, theirs: DiscoInfo) {
    let known: HashSet<String> = info.features.iter().cloned().collect();
    info.features.extend(theirs.features.into_iter().filter(|feature| !known.contains(feature)));
    for identity in theirs.identities {
        if !info.identities.contains(&identity) {
            info.identities.push(identity);
        }
    }
    info.forms.extend(theirs.forms);
}

#[cfg(test)]
mod tests {
    use wello_wire::payload::disco::Identity;

    use super::*;

    #[test]
    fn features_of_the_server_give_way() {
        let features = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut info = DiscoInfo {
            identities: vec![
                Identity::new("account", "registered", None),
                Identity::new("pubsub", "pep", None),
            ],
            features: features(&[
                "http://jabber.org/protocol/pubsub",
                "http://jabber.org/protocol/pubsub#auto-create",
                "http://jabber.org/protocol/pubsubs",
                "urn:xmpp:mam:2",
            ]),
            ..DiscoInfo::default()
        };
        remove_own(&mut info, ns::PUBSUB);
        assert_eq!(info.identities.len(), 1);
        let left = features(&["http://jabber.org/protocol/pubsubs", "urn:xmpp:mam:2"]);
        assert_eq!(info.features, left);
        let theirs = DiscoInfo {
            identities: vec![Identity::new("account", "registered", None)],
            features: features(&["urn:xmpp:mam:2", "urn:more"]),
            ..DiscoInfo::default()
        };
        add(&mut info, theirs);
        assert_eq!(info.identities.len(), 1);
        assert_eq!(info.features.len(), 3);
    }

    #[test]
    fn nodes_are_named_as_in_the_examples() {
        let ns = "http://jabber.org/protocol/pubsub";
        assert_eq!(node(IqScope::Host, ns), format!("urn:xmpp:delegation:2::{ns}"));
        assert_eq!(node(IqScope::Account, ns), format!("urn:xmpp:delegation:2:bare:{ns}"));
    }
}
