//! Publish-subscribe (XEP-0060): on accounts (XEP-0163) and as the service `pubsub.D`.
//!
//! One protocol with two hosts. A request becomes a [`request::Command`], which is judged by
//! [`policy`], stored, answered, and only then told to others as [`event::Event`]s.
//!
//! Left out: collections, subscription options and ids, leases, and notifications to entities
//! that send presence without being contacts.

mod config;
mod discovery;
mod event;
mod features;
mod host;
mod notify;
mod owner;
mod policy;
mod profiles;
mod publish;
mod read;
mod refusals;
mod request;
mod served;
mod service;
mod subscribe;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{
    AccountEvents, Flow, Guard, IqAnswer, IqHandler, IqRequest, IqScope, SessionEvents,
};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::sessions::Session;
use wello_store::Subscription;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::{Kind, Stanza};

use crate::caps::EntityCaps;
use event::Outcome;
use host::{Call, Host};
use refusals::Refusal;
use request::Command;
use served::Served;

pub struct PubSub {
    caps: EntityCaps,
    served: Served,
    /// `pubsub.D` for each host.
    services: Vec<String>,
}

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0060",
        title: "Publish-Subscribe",
        version: "1.30.0",
        status: Status::Partial("no collections, subscription options and leases"),
        host_features: &[],
        account_features: features::OF_ACCOUNTS,
    },
    Spec {
        id: "XEP-0163",
        title: "Personal Eventing Protocol",
        version: "1.2.2",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0222",
        title: "Persistent Storage of Public Data via PubSub",
        version: "1.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0223",
        title: "Persistent Storage of Private Data via PubSub",
        version: "1.1.1",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0292",
        title: "vCard4 Over XMPP",
        version: "0.12.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[ns::VCARD4],
    },
];

impl PubSub {
    pub(crate) fn new(caps: EntityCaps, hosts: &[&str]) -> PubSub {
        let services = hosts.iter().map(|host| format!("pubsub.{host}")).collect();
        PubSub { caps, served: Served::default(), services }
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
            Command::Subscribe { node, jid } => subscribe::subscribe(call, &node, jid).await,
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
        let outcome = self.run(&call, command).await?;
        kernel.answer(request.session, request.stanza.result(outcome.answer)).await;
        for event in outcome.events {
            notify::tell(self, kernel, host, event).await;
        }
        Ok(IqAnswer::Later)
    }
}

impl Module for PubSub {
    fn name(&self) -> &'static str {
        "pubsub"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::PUBSUB, Arc::clone(&self) as _);
        registrar.iq(IqScope::Account, ns::PUBSUB_OWNER, Arc::clone(&self) as _);
        for service in &self.services {
            registrar.service(service.clone(), Arc::clone(&self) as _);
        }
        registrar.guard(Arc::clone(&self) as _);
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

/// The account's answers to requests for subscriptions to its nodes, which come to its own
/// address.
#[async_trait]
impl Guard for PubSub {
    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Flow::Next };
        let own = to.is_bare() && to.local().is_some() && from.bare_str() == to.as_str();
        if stanza.kind != Kind::Message || !own || from.is_bare() {
            return Flow::Next;
        }
        let Some(form) = subscribe::decision(stanza) else { return Flow::Next };
        let host = Host::Account(to.bare());
        match subscribe::decide(&Call { kernel, host: &host, from }, &form).await {
            Ok(outcome) => {
                for event in outcome.events {
                    notify::tell(self, kernel, &host, event).await;
                }
                Flow::Handled
            }
            Err(refusal) => Flow::Refuse(refusal.into()),
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
            let sent = notify::send_last_items(kernel, &account, session, &wanted).await;
            if let Err(refusal) = sent {
                tracing::error!(session = %session.id, ?refusal, "last items not sent");
            }
        }
    }

    async fn unavailable(&self, _kernel: &Arc<Kernel>, session: &Arc<Session>, _last: &Stanza) {
        self.served.forget(session.id);
    }

    async fn ended(&self, _kernel: &Arc<Kernel>, session: &Arc<Session>) {
        self.served.forget(session.id);
    }
}

#[async_trait]
impl AccountEvents for PubSub {
    /// XEP-0163, section 4.3.4: a new subscriber to presence is one to the nodes.
    async fn shown(&self, kernel: &Arc<Kernel>, account: &BareJid, contact: &BareJid) {
        for session in kernel.sessions.of(contact).iter().filter(|one| one.is_available()) {
            let wanted = self.served.wanted(session.id);
            let sent = notify::send_last_items(kernel, account, session, &wanted).await;
            if let Err(refusal) = sent {
                tracing::error!(session = %session.id, ?refusal, "last items not sent");
            }
        }
    }
}
