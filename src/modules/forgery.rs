//! What only the server may say of a message is taken off those that clients send.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks;
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::passage::Passage;
use wello_wire::jid::Jid;
use wello_wire::ns;

pub struct Forgery;

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0203",
        title: "Delayed Delivery",
        version: "2.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0359",
        title: "Unique and Stable Stanza IDs",
        version: "0.7.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[ns::STANZA_ID],
    },
];

impl Module for Forgery {
    fn name(&self) -> &'static str {
        "forgery"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.rewrite(self);
    }
}

impl hooks::Rewrite for Forgery {
    fn rewrite(&self, kernel: &Kernel, passage: &mut Passage) {
        let services = &kernel.hooks().services;
        // An address that cannot be read proves nothing, so it counts as ours.
        let is_ours =
            |address: &str| address.parse::<Jid>().map_or(true, |jid| kernel.is_ours(&jid));
        // A service of ours, such as a room, gives ids itself.
        let giver = passage.stanza.from.as_ref();
        let giver = giver.filter(|from| services.contains_key(from.domain())).map(Jid::bare);
        let gave = |by: &str| giver.as_ref().is_some_and(|giver| giver.as_str() == by);
        let is_foreign = passage.stanza.from.as_ref().is_none_or(|from| !is_ours(from.domain()));
        let sender = passage.session.as_ref().map(|session| session.bare());
        let claims_us = |from: &str| match (&sender, from.parse::<Jid>()) {
            (Some(sender), Ok(jid)) => is_ours(from) && jid.bare() != *sender,
            _ => is_ours(from),
        };
        passage.stanza.retain_children(|child| match (child.name(), child.ns()) {
            // XEP-0359, section 6: an archive's id is the archive's to give.
            ("stanza-id", ns::STANZA_ID) => {
                child.attr("by").is_some_and(|by| !is_ours(by) || gave(by))
            }
            // XEP-0280, section 11: copies are made here, and go past this.
            ("sent" | "received", ns::CARBONS) => false,
            // XEP-0203, section 5: who claims that this server held the message up.
            ("delay", ns::DELAY) if sender.is_some() || is_foreign => {
                child.attr("from").is_none_or(|from| !claims_us(from))
            }
            _ => true,
        });
    }
}
