//! What components may do in the name of accounts (XEP-0356), as the operator has granted it.
//!
//! Rosters are read and changed where all are, in `modules/roster.rs`.

mod contacts;
mod iqs;
mod messages;
mod policy;
mod presence;
mod probes;
mod rosters;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::config::{Access, Component, Config, MessagePrivilege, PresencePrivilege};
use wello_kernel::hooks::{ComponentEvents, Flow, Guard};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{Kind, MessageType, Stanza};
use wello_wire::xml::Element;

use presence::Audience;
use probes::{Probes, Probing};

use crate::waiting::Waiting;

pub struct Privileges {
    /// Whether any component has some.
    granted: bool,
    audience: Audience,
    probes: Probes,
    /// Questions in the name of accounts that are under way.
    waiting: Waiting,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0356",
    title: "Privileged Entity",
    version: "0.4.1",
    status: Status::Complete,
    host_features: &[],
    account_features: &[],
}];

impl Privileges {
    pub fn new(config: &Config) -> Privileges {
        Privileges {
            granted: config.component.iter().any(|component| component.privileges.any()),
            audience: Audience::default(),
            probes: Probes::default(),
            waiting: Waiting::default(),
        }
    }
}

impl Module for Privileges {
    fn name(&self) -> &'static str {
        "privileges"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        if self.granted {
            registrar.guard(Arc::clone(&self) as _);
            registrar.sessions(Arc::clone(&self) as _);
            registrar.accounts(Arc::clone(&self) as _);
            registrar.components(Arc::clone(&self) as _);
            registrar.chore(Arc::new(Probing(self)));
        }
    }
}

#[async_trait]
impl Guard for Privileges {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind != Kind::Message || stanza.has_child("privilege", ns::PRIVILEGE)
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        match stanza.kind {
            Kind::Message => messages::guard(kernel, stanza).await,
            Kind::Iq => self.guard_iq(kernel, stanza).await,
            Kind::Presence => {
                self.audience.handle_contact(kernel, stanza).await;
                Flow::Next
            }
        }
    }
}

#[async_trait]
impl ComponentEvents for Privileges {
    async fn connected(&self, kernel: &Arc<Kernel>, component: &Component) -> Vec<Stanza> {
        let hosts = managed_hosts(kernel, component);
        if component.privileges.presence >= PresencePrivilege::Roster {
            hosts.iter().for_each(|host| self.probes.want(host));
        }
        let told = hosts.into_iter().filter_map(|host| advertisement(component, host));
        told.chain(self.audience.present(kernel, component)).collect()
    }
}

/// The hosts whose accounts a component's privileges are about.
pub(crate) fn managed_hosts(kernel: &Kernel, component: &Component) -> Vec<BareJid> {
    let hosts = kernel.config.domains().into_iter().filter(|host| component.manages(host));
    hosts.filter_map(|host| BareJid::from_parts(None, host).ok()).collect()
}

/// Says what is granted (sections 4.2, 5.2, 6.2 and 7.5); `None` when nothing is.
fn advertisement(component: &Component, host: BareJid) -> Option<Stanza> {
    let privileges = &component.privileges;
    if !privileges.any() {
        return None;
    }
    let perm = |access| Element::new("perm", ns::PRIVILEGE).with_attr("access", access);
    let roster = (privileges.roster != Access::None).then(|| {
        let push = privileges.has_roster_pushes().to_string();
        perm("roster").with_attr("type", privileges.roster.name()).with_attr("push", push)
    });
    let message = (privileges.message == MessagePrivilege::Outgoing)
        .then(|| perm("message").with_attr("type", "outgoing"));
    let namespaces = privileges.iq.iter().map(|(namespace, access)| {
        Element::new("namespace", ns::PRIVILEGE)
            .with_attr("ns", namespace.as_str())
            .with_attr("type", access.name())
    });
    let iq = (!privileges.iq.is_empty()).then(|| perm("iq").with_children(namespaces));
    let presence = match privileges.presence {
        PresencePrivilege::None => None,
        PresencePrivilege::ManagedEntity => Some("managed_entity"),
        PresencePrivilege::Roster => Some("roster"),
    };
    let presence = presence.map(|type_| perm("presence").with_attr("type", type_));
    let perms = [roster, message, iq, presence].into_iter().flatten();
    let privilege = Element::new("privilege", ns::PRIVILEGE).with_children(perms);
    let to: Jid = component.domain.parse().ok()?;
    let message = Stanza::message(MessageType::Normal).with_id(random_id());
    Some(message.with_from(host).with_to(to).with_child(privilege))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_told_what_it_may_and_nothing_else() {
        let told = |privileges: &str| {
            let text = format!(
                "[[component]]\ndomain = 'irc.localhost'\nsecret = '12345678'\n\
                 privileges = {{ {privileges} }}"
            );
            let config = Config::parse(&text, []).unwrap();
            let host = "localhost".parse::<Jid>().unwrap().bare();
            let told = advertisement(&config.component[0], host);
            told.map(|told| String::from_utf8(told.to_bytes()).unwrap())
        };
        assert_eq!(told(""), None);
        let all = told(
            "roster = 'both', message = 'outgoing', presence = 'roster', iq = { 'urn:x' = 'set' }",
        )
        .unwrap();
        for part in [
            "from='localhost'",
            "to='irc.localhost'",
            "<perm access='roster' type='both' push='true'/>",
            "<perm access='message' type='outgoing'/>",
            "<perm access='iq'><namespace ns='urn:x' type='set'/></perm>",
            "<perm access='presence' type='roster'/>",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        let little = told("presence = 'managed_entity'").unwrap();
        assert!(little.contains("managed_entity") && !little.contains("'message'"), "{little}");
        assert!(told("roster = 'set'").unwrap().contains("push='false'"));
    }
}
