//! Publish-subscribe (XEP-0060): on accounts (XEP-0163) and as the service `pubsub.D`.
//!
//! One protocol with two hosts. A request becomes a [`request::Command`], which is judged by
//! [`policy`], stored, answered, and only then told to others as [`event::Event`]s.
//!
//! Left out: collections (XEP-0248), and with them several subscriptions of one address.

mod config;
mod discovery;
mod elsewhere;
mod event;
mod features;
mod host;
mod notify;
mod options;
pub(crate) mod own;
mod owner;
mod policy;
pub(crate) mod profiles;
mod publish;
mod read;
pub(crate) mod refusals;
mod request;
mod served;
mod service;
mod sharers;
mod specs;
mod subscribe;
mod undecided;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{
    AccountEvents, Announcement, Flow, Guard, IqAnswer, IqHandler, IqRequest, IqScope, Rewrite,
    SessionEvents,
};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_kernel::passage::Passage;
use wello_kernel::sessions::Session;
use wello_store::Subscription;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{Kind, Stanza};
use wello_wire::xml::Element;

use crate::caps::EntityCaps;
use elsewhere::Elsewhere;
use event::Outcome;
use host::{Call, Host};
use own::Own;
use profiles::avatar::{self, Announced};
use profiles::{bookmarks, read_state};
use refusals::Refusal;
use request::Command;
use served::Served;
use sharers::Sharers;
use undecided::Undecided;

pub struct PubSub {
    caps: EntityCaps,
    served: Served,
    sharers: Sharers,
    undecided: Undecided,
    elsewhere: Elsewhere,
    announced: Announced,
    /// `pubsub.D` for each host.
    services: Vec<String>,
}

/// The domain of the nodes that belong to no account.
pub fn service_of(host: &str) -> String {
    format!("pubsub.{host}")
}

impl PubSub {
    pub(crate) fn new(caps: EntityCaps, hosts: &[&str]) -> PubSub {
        let services = hosts.iter().map(|host| service_of(host)).collect();
        PubSub {
            caps,
            served: Served::default(),
            sharers: Sharers::default(),
            undecided: Undecided::default(),
            elsewhere: Elsewhere::default(),
            announced: Announced::default(),
            services,
        }
    }

    fn is_service(&self, address: &BareJid) -> bool {
        self.services.iter().any(|service| service == address.as_str())
    }

    async fn run(&self, call: &Call<'_>, command: Command) -> Result<Outcome, Refusal> {
        match command {
            Command::Affiliations { node } => read::affiliations(call, node.as_deref()).await,
            Command::Create { node, config } => owner::create(call, node, config.as_ref()).await,
            Command::Items(asked) => read::items(call, asked).await,
            Command::Publish { node, item, options } => {
                publish::publish(call, &node, item, options.as_ref()).await
            }
            Command::Retract { node, id, notify } => {
                publish::retract(call, &node, id, notify).await
            }
            Command::Subscribe { node, jid, options } => {
                subscribe::subscribe(call, &node, jid, options.as_ref()).await
            }
            Command::Options { node, jid, chosen } => {
                options::run(call, &node, &jid, chosen.as_ref()).await
            }
            Command::DefaultOptions { node } => options::defaults(call, node.as_deref()).await,
            Command::Subscriptions { node } => read::subscriptions(call, node.as_deref()).await,
            Command::Unsubscribe { node, jid } => subscribe::unsubscribe(call, &node, &jid).await,
            Command::Owner(command) => owner::run(self, call, command).await,
        }
    }

    /// Answers a request, then tells others what follows from it.
    async fn handle_request(
        &self,
        kernel: &Arc<Kernel>,
        host: &Host,
        request: &IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let call = Call { kernel, host, from: request.from };
        let command = request::parse(request.request, request.payload)?;
        let own = call.is_account_owner().then(|| Own::of(self, kernel, host.address()));
        let bookmarks = own.as_ref().map(|own| (own, Bookmarks::of(&command)));
        if let Some((own, bookmarks)) = &bookmarks {
            bookmarks.before(own).await?;
        }
        let changes_avatar = command.changes().is_some_and(avatar::concerns);
        let outcome = self.run(&call, command).await?;
        if let Some((own, bookmarks)) = &bookmarks {
            bookmarks.after(own).await?;
        }
        kernel.answer(request.session, request.stanza.result(outcome.answer)).await;
        for event in outcome.events {
            notify::tell(self, kernel, host, event).await;
        }
        if let Host::Account(account) = host
            && changes_avatar
        {
            self.avatar_changed(kernel, account).await;
        }
        Ok(IqAnswer::Later)
    }

    /// The avatar of an account is another one.
    pub(crate) async fn avatar_changed(&self, kernel: &Arc<Kernel>, account: &BareJid) {
        avatar::changed(&self.announced, kernel, account).await;
    }

    /// The account's decision about a subscription to one of its nodes (XEP-0060, section 8.6),
    /// which comes to its own address.
    async fn decision(&self, kernel: &Arc<Kernel>, from: &Jid, message: &Stanza) -> Option<Flow> {
        let to = message.to.as_ref()?;
        let own = to.is_bare() && to.as_str() == from.bare_str();
        let form = subscribe::decision(message).filter(|_| own)?;
        let host = Host::Account(to.bare());
        match subscribe::decide(&Call { kernel, host: &host, from }, &form).await {
            Ok(outcome) => {
                for event in outcome.events {
                    notify::tell(self, kernel, &host, event).await;
                }
                Some(Flow::Handled)
            }
            Err(refusal) => Some(Flow::Refuse(refusal.into())),
        }
    }

    /// A device is about to send its presence to somebody. Who is no contact of theirs is subscribed
    /// to their open nodes by that.
    async fn shared(&self, kernel: &Arc<Kernel>, session: &Arc<Session>, account: &BareJid) {
        let is_account = account.local().is_some() && kernel.hosts.contains(account.domain());
        let is_new = !session.has_directed_below(account.as_str());
        let own = session.bare();
        if !is_account || *account == own || !is_new || kernel.is_subscriber(account, &own).await {
            return;
        }
        self.sharers.note(account, &session.jid);
        let wanted = self.served.wanted(session.id);
        let sent = notify::send_last_items(kernel, account, session, &wanted, true).await;
        if let Err(refusal) = sent {
            tracing::error!(session = %session.id, ?refusal, "last items not sent");
        }
    }

    /// A message that marks its chat as read (XEP-0490, section 5). Stored before the message is
    /// acknowledged.
    async fn assist(&self, kernel: &Arc<Kernel>, from: &Jid, message: &Stanza) -> Flow {
        let (Some(to), Some(mark)) = (&message.to, read_state::mark(message)) else {
            return Flow::Next;
        };
        let own = Own::of(self, kernel, &from.bare());
        match read_state::publish(&own, to.as_str(), mark.clone()).await {
            Ok(()) => Flow::Next,
            Err(Refusal::Store) => Flow::Refuse(Refusal::Store.into()),
            Err(refusal) => {
                tracing::debug!(account = %own.account(), ?refusal, "read mark not published");
                Flow::Next
            }
        }
    }
}

/// What a request of an account's own client has to do with bookmarks.
enum Bookmarks {
    /// At the node of XEP-0402.
    Touched,
    Changed,
    /// At the node of XEP-0048.
    Asked,
    Replaced(Element),
    Nothing,
}

impl Bookmarks {
    fn of(command: &Command) -> Bookmarks {
        match (command.node(), command) {
            (Some(ns::BOOKMARKS), _) => match command.changes() {
                Some(_) => Bookmarks::Changed,
                None => Bookmarks::Touched,
            },
            (Some(ns::BOOKMARKS_STORAGE), Command::Items(_)) => Bookmarks::Asked,
            (Some(ns::BOOKMARKS_STORAGE), Command::Publish { item: Some(item), .. }) => {
                let storage = item.payloads.iter().find(|one| bookmarks::is_storage(one));
                storage.map_or(Bookmarks::Nothing, |storage| Bookmarks::Replaced(storage.clone()))
            }
            _ => Bookmarks::Nothing,
        }
    }

    async fn before(&self, own: &Own<'_>) -> Result<(), Refusal> {
        match self {
            Bookmarks::Touched | Bookmarks::Changed | Bookmarks::Replaced(_) => {
                bookmarks::adopt(own).await
            }
            Bookmarks::Asked => bookmarks::make_mirror(own).await,
            Bookmarks::Nothing => Ok(()),
        }
    }

    async fn after(&self, own: &Own<'_>) -> Result<(), Refusal> {
        match self {
            Bookmarks::Changed => bookmarks::mirror(own).await,
            Bookmarks::Replaced(storage) => {
                let replaced = bookmarks::republish(own, storage).await;
                if replaced.is_err() {
                    bookmarks::mirror(own).await?;
                }
                replaced
            }
            Bookmarks::Touched | Bookmarks::Asked | Bookmarks::Nothing => Ok(()),
        }
    }
}

impl Module for PubSub {
    fn name(&self) -> &'static str {
        "pubsub"
    }

    fn specs(&self) -> &'static [Spec] {
        specs::SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::PUBSUB, Arc::clone(&self) as _);
        registrar.iq(IqScope::Account, ns::PUBSUB_OWNER, Arc::clone(&self) as _);
        for service in &self.services {
            registrar.service(service.clone(), Arc::clone(&self) as _);
        }
        registrar.guard(Arc::clone(&self) as _);
        registrar.rewrite(Arc::clone(&self) as _);
        registrar.announcement(Arc::clone(&self) as _);
        registrar.accounts(Arc::clone(&self) as _);
        registrar.sessions(Arc::clone(&self) as _);
        registrar.discovery(self);
    }
}

#[async_trait]
impl IqHandler for PubSub {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let host = Host::Account(request.to.clone());
        self.handle_request(kernel, &host, &request).await
    }
}

#[async_trait]
impl Guard for PubSub {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        // A message decides about a subscription, or says what has been read.
        stanza.kind == Kind::Presence
            || stanza.kind == Kind::Message
                && (stanza.has_child("x", ns::DATA_FORM) || read_state::mark(stanza).is_some())
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        if stanza.kind == Kind::Presence {
            self.handle_presence_from_elsewhere(kernel, stanza).await;
        }
        let Some(from) = stanza.from.as_ref().filter(|_| stanza.kind == Kind::Message) else {
            return Flow::Next;
        };
        // Only clients of accounts here.
        if from.is_bare() || from.local().is_none() || !kernel.hosts.contains(from.domain()) {
            return Flow::Next;
        }
        match self.decision(kernel, from, stanza).await {
            Some(flow) => flow,
            None => self.assist(kernel, from, stanza).await,
        }
    }
}

impl Rewrite for PubSub {
    /// XEP-0490, section 6.2: nobody else sees the mark, and no archive.
    fn rewrite(&self, _kernel: &Kernel, passage: &mut Passage) {
        if passage.sender.is_some() {
            passage.stanza.retain_children(|child| !read_state::is_mark(child));
        }
    }
}

#[async_trait]
impl Announcement for PubSub {
    async fn announce(
        &self,
        kernel: &Arc<Kernel>,
        session: &Arc<Session>,
        presence: &mut Stanza,
        again: bool,
    ) {
        if let Some(to) = presence.to.as_ref().filter(|_| !again) {
            self.shared(kernel, session, &to.bare()).await;
        }
        let own = Own::of(self, kernel, &session.bare());
        if let Err(refusal) =
            avatar::announce(&self.announced, &own, session.id, presence, again).await
        {
            tracing::error!(session = %session.id, ?refusal, "avatar not announced");
        }
    }
}

#[async_trait]
impl SessionEvents for PubSub {
    async fn capable(
        &self,
        kernel: &Arc<Kernel>,
        session: &Arc<Session>,
        info: &Arc<wello_wire::payload::disco::DiscoInfo>,
    ) {
        if !session.is_available() {
            return;
        }
        notify::release(self, kernel, session, info).await;
        let wanted = self.served.begin(session.id, info);
        if wanted.is_empty() {
            return;
        }
        let own = session.bare();
        let contacts = match kernel.store.roster.load(own.as_str()).await {
            Ok(roster) => roster.items,
            Err(error) => {
                tracing::error!(session = %session.id, %error, "roster not read");
                return;
            }
        };
        let seen = contacts
            .into_iter()
            .filter(|item| matches!(item.subscription, Subscription::To | Subscription::Both));
        let seen = seen.filter_map(|item| item.jid.parse::<BareJid>().ok());
        for account in [own].into_iter().chain(seen) {
            if !kernel.hosts.contains(account.domain()) {
                continue;
            }
            let sent = notify::send_last_items(kernel, &account, session, &wanted, false).await;
            if let Err(refusal) = sent {
                tracing::error!(session = %session.id, ?refusal, "last items not sent");
            }
        }
    }

    async fn unavailable(&self, _kernel: &Arc<Kernel>, session: &Arc<Session>, _last: &Stanza) {
        self.served.forget(session.id);
        self.undecided.release(session.id);
    }

    async fn ended(&self, _kernel: &Arc<Kernel>, session: &Arc<Session>) {
        self.served.forget(session.id);
        self.undecided.release(session.id);
        self.announced.forget_session(session.id);
    }
}

#[async_trait]
impl AccountEvents for PubSub {
    async fn deleting(&self, _kernel: &Arc<Kernel>, account: &BareJid) {
        self.announced.forget(account);
    }

    /// XEP-0163, section 4.3.4: a new subscriber to presence is one to the nodes.
    async fn shown(&self, kernel: &Arc<Kernel>, account: &BareJid, contact: &BareJid) {
        for session in kernel.sessions.of(contact).iter().filter(|one| one.is_available()) {
            let wanted = self.served.wanted(session.id);
            let sent = notify::send_last_items(kernel, account, session, &wanted, false).await;
            if let Err(refusal) = sent {
                tracing::error!(session = %session.id, ?refusal, "last items not sent");
            }
        }
    }
}
