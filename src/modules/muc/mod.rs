//! Multi-user chat (XEP-0045) at `conference.HOST`, with what belongs to it.

mod absent;
mod activity;
mod archive;
mod disco;
mod expulsion;
mod forms;
mod guests;
mod hats;
mod interest;
mod iq;
mod moderation;
pub mod portable;
mod presence;
mod refusals;
mod registry;
mod relay;
mod room;
mod run;
mod search;
mod service;
mod talk;
mod watch;

use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::OnceCell;
use wello_kernel::config::Config;
use wello_kernel::module::{Module, Registrar, Spec, Status};

use self::interest::Interest;
use self::registry::Registry;
pub(crate) use self::watch::{Parted, Present, RoomWatch, parted};
use crate::blocking::Blocking;
use crate::push::Push;
use crate::strangers::Strangers;

pub struct Muc {
    domains: Vec<String>,
    blocking: Arc<Blocking>,
    strangers: Arc<Strangers>,
    push: Arc<Push>,
    rooms: Registry,
    interest: Interest,
    /// Makes ids of occupants; the same after a restart.
    secret: OnceCell<[u8; 32]>,
    throttle: wello_kernel::accounts::Throttle,
    /// Presence by room and account.
    presences: wello_kernel::accounts::Windows<Box<str>>,
    /// Who wants to know what happens in rooms.
    watcher: OnceLock<Weak<dyn RoomWatch>>,
}

/// The service's domain is this label below a host.
pub(crate) const LABEL: &str = "conference";

impl Muc {
    pub(crate) fn new(
        config: &Config,
        blocking: Arc<Blocking>,
        strangers: Arc<Strangers>,
        push: Arc<Push>,
    ) -> Muc {
        Muc {
            domains: config.domains().iter().map(|host| format!("{LABEL}.{host}")).collect(),
            blocking,
            strangers,
            push,
            rooms: Registry::default(),
            interest: Interest::default(),
            secret: OnceCell::new(),
            throttle: wello_kernel::accounts::Throttle::new(&config.auth),
            presences: wello_kernel::accounts::Windows::new(60),
            watcher: OnceLock::new(),
        }
    }
}

const fn spec(id: &'static str, title: &'static str, version: &'static str) -> Spec {
    Spec { id, title, version, status: Status::Complete, host_features: &[], account_features: &[] }
}

const SPECS: &[Spec] = &[
    spec("XEP-0045", "Multi-User Chat", "1.35.5"),
    spec("XEP-0249", "Direct MUC Invitations", "1.2"),
    spec("XEP-0317", "Hats", "0.3.1"),
    spec("XEP-0410", "MUC Self-Ping (Schrödinger's Chat)", "1.1.0"),
    spec("XEP-0421", "Occupant identifiers for semi-anonymous MUCs", "1.0.1"),
    spec("XEP-0425", "Moderated Message Retraction", "0.3.0"),
    spec("XEP-0433", "Extended Channel Search", "0.1.0"),
    spec("XEP-0437", "Room Activity Indicators", "0.2.0"),
    spec("XEP-0452", "MUC Mention Notifications", "0.2.2"),
    spec("XEP-0463", "MUC Affiliations Versioning", "0.2.0"),
    spec("XEP-0486", "MUC Avatars", "0.1.0"),
    spec("XEP-0500", "MUC Slow Mode", "0.1.1"),
    spec("XEP-0502", "MUC Activity Indicator", "0.1.0"),
];

impl Module for Muc {
    fn name(&self) -> &'static str {
        "muc"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for domain in &self.domains {
            registrar.service(domain.clone(), Arc::clone(&self) as _);
        }
        registrar.accounts(self);
    }
}
