//! Changes of rosters, for components that may read them (section 4.4).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::config::Component;
use wello_kernel::hooks::AccountEvents;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::Privileges;

#[async_trait]
impl AccountEvents for Privileges {
    async fn roster_pushed(&self, kernel: &Arc<Kernel>, account: &BareJid, query: &Element) {
        let wants = |component: &&Component| {
            component.manages(account.domain()) && component.privileges.has_roster_pushes()
        };
        for component in kernel.config.component.iter().filter(wants) {
            let Ok(to) = component.domain.parse::<Jid>() else { continue };
            let push = Stanza::iq(IqType::Set, random_id())
                .with_from(account.clone())
                .with_to(to)
                .with_child(query.clone());
            kernel.tell_component(push).await;
        }
    }
}
