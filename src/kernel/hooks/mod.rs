//! Every point where a feature may take part in what happens to a stanza or a session.
//!
//! Stanzas pass the stages in this order: Permit, Guard, Rewrite, Screen, Route (the router's own), Copy,
//! Archive, Deliver, After. Within a stage, hooks run in the order of registration, which follows the
//! modules' dependencies.

mod guests;
mod requests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{Stanza, StoredCopy};
use wello_wire::xml::Element;

use crate::Kernel;
use crate::config::Component;
use crate::links::Link;
use crate::passage::Passage;
use crate::sessions::Session;

pub use guests::{GuestDoor, GuestLink, GuestLinkWish, NewGuestLink, Reception};
pub use requests::{
    DiscoQuery, Discovery, IqAnswer, IqHandler, IqRequest, IqScope, Request, Service,
};

/// What a hook decides about a stanza.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    /// The next hook, then the next stage.
    Next,
    /// The hook has taken care of it; nothing further happens and no error is sent.
    Handled,
    /// The sender gets this error.
    Refuse(StanzaError),
}

/// Stage Permit: what a client sends, before anything is done with it.
#[async_trait]
pub trait Permit: Send + Sync {
    /// Says what the client is told if it may not.
    async fn permit(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        stanza: &Stanza,
    ) -> Result<(), StanzaError>;
}

/// Stage Guard: before anything is done with the stanza. A failing guard refuses.
#[async_trait]
pub trait Guard: Send + Sync {
    /// A cheap look at whether there is anything to decide: most guards have nothing to say about most stanzas.
    fn concerns(&self, _kernel: &Kernel, _stanza: &Stanza) -> bool {
        true
    }

    /// Called once for each stanza on its way, from wherever it came; for availability that is
    /// broadcast, once for each recipient.
    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow;
}

/// Stage Rewrite: messages only, once permitted and before the route is looked up.
pub trait Rewrite: Send + Sync {
    /// May change the stanza for all its recipients and archives.
    fn rewrite(&self, kernel: &Kernel, passage: &mut Passage);
}

/// Stage Screen: a message to an account here, before it is known who of its devices gets it.
#[async_trait]
pub trait Screen: Send + Sync {
    /// May refuse it, or hold it back from all devices by [`Passage::held`].
    async fn screen(&self, kernel: &Arc<Kernel>, passage: &mut Passage) -> Flow;

    /// What is held back is on its way into the recipient's archive.
    async fn held(&self, kernel: &Arc<Kernel>, passage: &Passage);
}

/// Stage Copy: messages only, after the recipients are known.
pub trait Copy: Send + Sync {
    /// Adds copies for further sessions to the passage.
    fn copy(&self, kernel: &Kernel, passage: &mut Passage);
}

/// Stage Archive: messages only, before anything is delivered.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Says in the passage's record which archives the message goes into.
    async fn archive(&self, kernel: &Arc<Kernel>, passage: &mut Passage);
}

/// Stage Deliver: a message to a local account that no session takes.
#[async_trait]
pub trait Undelivered: Send + Sync {
    /// `Next` leaves it to the sender's error message.
    async fn undelivered(&self, kernel: &Arc<Kernel>, passage: &mut Passage) -> Flow;
}

/// Stage After: a message has gone its way.
#[async_trait]
pub trait After: Send + Sync {
    async fn after(&self, kernel: &Arc<Kernel>, passage: &Passage);
}

/// Sessions coming and going.
#[async_trait]
pub trait SessionEvents: Send + Sync {
    /// After the resource is bound and before the client is told.
    async fn bound(&self, _kernel: &Arc<Kernel>, _session: &Arc<Session>) {}

    /// After the first availability was broadcast.
    async fn available(&self, _kernel: &Arc<Kernel>, _session: &Arc<Session>) {}

    /// What the client can do (XEP-0115) has become known, or was so already: after each
    /// availability that it broadcasts.
    async fn capable(
        &self,
        _kernel: &Arc<Kernel>,
        _session: &Arc<Session>,
        _info: &Arc<DiscoInfo>,
    ) {
    }

    /// After unavailability was broadcast, with the presence that said so.
    async fn unavailable(&self, _kernel: &Arc<Kernel>, _session: &Arc<Session>, _last: &Stanza) {}

    /// The client has these: it has acknowledged them, or they were written where nothing is
    /// acknowledged.
    async fn delivered(
        &self,
        _kernel: &Arc<Kernel>,
        _session: &Arc<Session>,
        _copies: &[StoredCopy],
    ) {
    }

    /// Its connection is lost and it waits to be resumed, with what its client has not acknowledged.
    async fn hibernating(
        &self,
        _kernel: &Arc<Kernel>,
        _session: &Arc<Session>,
        _waiting: &[Stanza],
    ) {
    }

    /// After the session is out of the registry.
    async fn ended(&self, _kernel: &Arc<Kernel>, _session: &Arc<Session>) {}
}

/// Availability that a client is about to broadcast or to direct at somebody.
#[async_trait]
pub trait Announcement: Send + Sync {
    /// `again`: it has been here before, and the client has said nothing new since.
    async fn announce(
        &self,
        kernel: &Arc<Kernel>,
        session: &Arc<Session>,
        presence: &mut Stanza,
        again: bool,
    );
}

/// Work that comes back by itself, such as removing what is too old.
#[async_trait]
pub trait Chore: Send + Sync {
    /// How long after the start it runs first. Then clients come back all at once, and are not to
    /// wait for what can wait.
    fn first_run(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// How long it rests between two runs.
    fn interval(&self) -> Duration;

    /// May be dropped at any await when the server stops. What could take long is done in pieces,
    /// so that others get at the store between them.
    async fn run(&self, kernel: &Arc<Kernel>);
}

/// What the media engine tells.
#[async_trait]
pub trait MediaEvents: Send + Sync {
    async fn media(&self, kernel: &Arc<Kernel>, event: wello_sfu::api::Event);
}

/// Accounts coming and going.
#[async_trait]
pub trait AccountEvents: Send + Sync {
    /// Before the account's rows are deleted; its sessions have been ended.
    async fn deleting(&self, _kernel: &Arc<Kernel>, _account: &BareJid) {}

    /// A contact has come into the account's roster or has left it.
    async fn contact_changed(
        &self,
        _kernel: &Arc<Kernel>,
        _account: &BareJid,
        _contact: &BareJid,
        _there: bool,
    ) {
    }

    /// Somebody asks to see the account's presence; these sessions of it were told.
    async fn asked(
        &self,
        _kernel: &Arc<Kernel>,
        _account: &BareJid,
        _request: &Stanza,
        _told: &[Arc<Session>],
    ) {
    }

    /// The account's devices are told of a change of its roster.
    async fn roster_pushed(&self, _kernel: &Arc<Kernel>, _account: &BareJid, _query: &Element) {}

    /// From now on the contact sees the account's presence (RFC 6121, section 3.1.5).
    async fn shown(&self, _kernel: &Arc<Kernel>, _account: &BareJid, _contact: &BareJid) {}
}

/// Components (XEP-0114) coming and going.
#[async_trait]
pub trait ComponentEvents: Send + Sync {
    /// A connection of the component has shown the secret; returns what it is told first.
    async fn connected(&self, kernel: &Arc<Kernel>, component: &Component) -> Vec<Stanza>;

    /// Its last connection is gone.
    async fn gone(&self, _kernel: &Arc<Kernel>, _component: &Component) {}
}

/// Children that a feature puts into the answer to Bind 2 (XEP-0386) or takes part in inline.
#[async_trait]
pub trait BindInline: Send + Sync {
    /// Features announced inside `<bind><inline/>`.
    fn features(&self) -> Vec<&'static str>;

    /// Called for every session that is bound this way, with all children of the request;
    /// returns children for `<bound/>`. Nothing is delivered to the session before.
    async fn bound(
        &self,
        kernel: &Arc<Kernel>,
        session: &Arc<Session>,
        request: &[Element],
    ) -> Vec<Element>;
}

/// A client that has not logged in.
#[derive(Clone, Debug)]
pub struct Stranger {
    /// Where it wants to log in.
    pub host: BareJid,
    pub address: Option<IpAddr>,
    /// The token of the invitation that it has shown, and when that was found valid (XEP-0445).
    pub invite: Option<(String, Timestamp)>,
}

/// What may be asked before login (XEP-0077, section 3.1.1). Nothing said there is verified.
#[async_trait]
pub trait BeforeLogin: Send + Sync {
    /// Answers a get or set with one child; returns the payload of the result.
    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        stranger: &mut Stranger,
        request: Request,
        payload: &Element,
    ) -> Result<Option<Element>, StanzaError>;
}

/// What a feature adds to the features of a stream (RFC 6120, section 4.3.2) once its client has
/// logged in.
#[async_trait]
pub trait StreamFeatures: Send + Sync {
    /// Asked when the server begins to serve the host.
    async fn features(&self, kernel: &Arc<Kernel>, host: &BareJid) -> Vec<Element>;
}

/// Whoever answers for addresses that are not of this server.
#[async_trait]
pub trait RemoteRoute: Send + Sync {
    async fn send(&self, kernel: &Arc<Kernel>, stanza: Stanza) -> Result<(), StanzaError>;

    /// The streams with other servers, as they are now.
    fn links(&self) -> Vec<Link>;
}

/// What the modules registered.
#[derive(Default)]
pub struct Hooks {
    pub(crate) permits: Vec<Arc<dyn Permit>>,
    pub(crate) guards: Vec<Arc<dyn Guard>>,
    pub(crate) rewrites: Vec<Arc<dyn Rewrite>>,
    pub(crate) screens: Vec<Arc<dyn Screen>>,
    pub(crate) copies: Vec<Arc<dyn Copy>>,
    pub(crate) archives: Vec<Arc<dyn Archive>>,
    pub(crate) undelivered: Vec<Arc<dyn Undelivered>>,
    pub(crate) afters: Vec<Arc<dyn After>>,
    pub(crate) sessions: Vec<Arc<dyn SessionEvents>>,
    pub(crate) announcements: Vec<Arc<dyn Announcement>>,
    pub(crate) chores: Vec<Arc<dyn Chore>>,
    pub media: Vec<Arc<dyn MediaEvents>>,
    pub(crate) accounts: Vec<Arc<dyn AccountEvents>>,
    pub(crate) components: Vec<Arc<dyn ComponentEvents>>,
    pub(crate) bind_inline: Vec<Arc<dyn BindInline>>,
    pub(crate) before_login: Option<Arc<dyn BeforeLogin>>,
    pub(crate) stream_features: Vec<Arc<dyn StreamFeatures>>,
    pub discovery: Vec<Arc<dyn Discovery>>,
    pub guest_door: Option<Arc<dyn GuestDoor>>,
    pub(crate) iqs: std::collections::HashMap<(IqScope, &'static str), Arc<dyn IqHandler>>,
    pub services: std::collections::HashMap<String, Arc<dyn Service>>,
}

impl Hooks {
    /// Features that take part in Bind 2.
    pub fn bind_inline_features(&self) -> Vec<&'static str> {
        self.bind_inline.iter().flat_map(|hook| hook.features()).collect()
    }
}

impl Kernel {
    /// A component has logged in; returns what it is told before anything else.
    pub async fn component_connected(self: &Arc<Self>, component: &Component) -> Vec<Stanza> {
        let mut greeting = Vec::new();
        for hook in &self.hooks().components {
            greeting.extend(hook.connected(self, component).await);
        }
        greeting
    }

    /// The last connection of a component is gone.
    pub async fn component_gone(self: &Arc<Self>, component: &Component) {
        for hook in &self.hooks().components {
            hook.gone(self, component).await;
        }
    }

    /// What the features add to the streams of a host.
    pub async fn stream_features(self: &Arc<Self>, host: &BareJid) -> Vec<Element> {
        let mut features = Vec::new();
        for hook in &self.hooks().stream_features {
            features.extend(hook.features(self, host).await);
        }
        features
    }
}
