//! The focus of conferences in rooms, at `calls.HOST` (docs/protocols/calls.md): Jingle on one side,
//! the media engine on the other, and the room's own rules for who may be in it.

mod commands;
mod conference;
mod dialects;
mod figures;
mod focus;
mod halls;
mod links;
mod meets;
mod narrowing;
mod negotiate;
mod plain;
mod presence;
mod propose;
mod recording;
mod ring;
mod run;
mod upkeep;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use wello_kernel::accounts::Windows;
use wello_kernel::config::Config;
use wello_kernel::hooks::IqScope;
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::Timestamp;
use wello_wire::jid::BareJid;
use wello_wire::ns;

use self::conference::Conference;
use self::meets::Meets;
use self::presence::{Rosters, Visit};
use self::recording::{Leftovers, Recordings};
use crate::muc::Muc;

pub struct Calls {
    /// Those of the focus with those of the rooms.
    domains: Vec<(String, String)>,
    muc: Arc<Muc>,
    /// By room, or by call when there is none. Nobody who holds a room's lock takes this one.
    conferences: Mutex<HashMap<BareJid, Conference>>,
    meets: Meets,
    /// What there is between the focus and rooms. Who takes this lock takes none after it.
    inside: Mutex<HashMap<BareJid, Visit>>,
    /// Since when somebody is alone in a conference.
    lonely: Mutex<HashMap<BareJid, Timestamp>>,
    /// Ids of the invitations that rooms have said.
    invitations: Mutex<HashMap<BareJid, String>>,
    next: AtomicU64,
    /// Changes that all others are told of, by device.
    changes: Windows<Box<str>>,
    /// Invitations, by room.
    rings: Windows<Box<str>>,
    /// Links that were asked for, by account.
    links: Windows<Box<str>>,
    recordings: Arc<Recordings>,
    /// For work that goes on.
    this: OnceLock<Weak<Calls>>,
}

/// The service's domain is this label below a host.
const LABEL: &str = "calls";

impl Calls {
    /// `None` when there is no port for media, or the operator does not want it.
    pub fn new(config: &Config, muc: Arc<Muc>) -> Option<Calls> {
        if !config.calls.conferences || config.listen.media.is_empty() {
            return None;
        }
        let domains = config
            .domains()
            .into_iter()
            .map(|host| (format!("{LABEL}.{host}"), format!("{}.{host}", crate::muc::LABEL)));
        Some(Calls {
            domains: domains.collect(),
            muc,
            conferences: Mutex::default(),
            meets: Meets::default(),
            inside: Mutex::default(),
            lonely: Mutex::default(),
            invitations: Mutex::default(),
            next: AtomicU64::new(1),
            changes: Windows::new(60),
            rings: Windows::new(60),
            links: Windows::new(60),
            recordings: Arc::new(Recordings::new(
                config.data_dir.join("recordings"),
                config.calls.recordings,
            )),
            this: OnceLock::new(),
        })
    }
}

const fn spec(
    id: &'static str,
    title: &'static str,
    version: &'static str,
    status: Status,
) -> Spec {
    Spec { id, title, version, status, host_features: &[], account_features: &[] }
}

const SPECS: &[Spec] = &[
    spec("XEP-0166", "Jingle", "1.1.2", Status::Partial("the focus of conferences")),
    spec("XEP-0167", "Jingle RTP Sessions", "1.2.3", Status::Partial("the focus of conferences")),
    spec("XEP-0176", "Jingle ICE-UDP Transport Method", "1.1.1", Status::Complete),
    spec("XEP-0293", "Jingle RTP Feedback Negotiation", "1.0.1", Status::Complete),
    spec("XEP-0294", "Jingle RTP Header Extensions Negotiation", "1.1.1", Status::Complete),
    spec(
        "XEP-0298",
        "Delivering Conference Information to Jingle Participants (Coin)",
        "0.2",
        Status::Complete,
    ),
    spec("XEP-0320", "Use of DTLS-SRTP in Jingle Sessions", "1.0.0", Status::Complete),
    spec("XEP-0338", "Jingle Grouping Framework", "1.0.0", Status::Partial("BUNDLE")),
    spec("XEP-0339", "Source-Specific Media Attributes in Jingle", "1.0.1", Status::Complete),
    spec(
        "XEP-0343",
        "Signaling WebRTC datachannels in Jingle",
        "0.3.1",
        Status::Partial("opened in band; relayed to all others in a conference"),
    ),
    spec("XEP-0483", "HTTP Online Meetings", "0.2.0", Status::Complete),
    spec("XEP-0507", "Jingle Content Category", "0.1.0", Status::Complete),
];

impl Module for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for (focus, _) in &self.domains {
            registrar.service(focus.clone(), Arc::clone(&self) as _);
        }
        let _ = self.this.set(Arc::downgrade(&self));
        self.muc.watch(Arc::downgrade(&self) as _);
        registrar.iq(IqScope::Host, ns::MEETINGS, Arc::clone(&self) as _);
        registrar.discovery(Arc::clone(&self) as _);
        registrar.chore(Arc::clone(&self) as _);
        registrar.chore(Arc::new(Rosters(Arc::clone(&self))));
        registrar.chore(Arc::new(Leftovers(Arc::clone(&self))));
        registrar.media(self);
    }
}
