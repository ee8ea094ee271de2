//! Availability: broadcasts, probes and directed presence (RFC 6121, section 4).

mod outbound;
pub mod subscription;

use std::sync::Arc;

use wello_store::{RosterItem, Subscription};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{PresenceType, Stanza};

use crate::Kernel;
use crate::hooks::Flow;
use crate::router::Target;
use crate::sessions::Session;

impl Kernel {
    /// A presence that is addressed to somebody, from wherever it came.
    pub(crate) async fn route_presence(
        self: &Arc<Self>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) {
        match self.guard(&stanza).await {
            Flow::Next => {}
            Flow::Handled => return,
            Flow::Refuse(error) => return self.refuse(session, &stanza, &error).await,
        }
        let Some(to) = stanza.to.clone() else { return };
        match self.resolve(&to) {
            Target::Account => self.presence_to_account(&to, stanza).await,
            // Nobody subscribes to a server here; presence to it says nothing.
            Target::Host => {}
            // Whatever a presence changes is stored before this returns: it is not acknowledged
            // by a ticket of its own.
            Target::Service(service) => {
                service.handle(self, stanza, session).await;
            }
            Target::Remote => {
                if let Err(error) = self.send_remote(stanza.clone()).await {
                    self.refuse(session, &stanza, &error).await;
                }
            }
        }
    }

    async fn presence_to_account(self: &Arc<Self>, to: &Jid, stanza: Stanza) {
        match stanza.presence_type() {
            Some(PresenceType::Probe) => self.answer_probe(to, &stanza).await,
            Some(type_) if type_.is_subscription() => {
                self.handle_inbound_subscription(type_, to.bare(), stanza).await;
            }
            _ if to.is_bare() => {
                // RFC 6121, section 8.5.2.1.2: to all available resources.
                for session in self.sessions.of(to).iter().filter(|session| session.is_available())
                {
                    self.post(session, stanza.clone());
                }
            }
            _ => {
                if let Some(session) = self.sessions.find(to) {
                    self.post(&session, stanza);
                }
            }
        }
    }

    /// Section 4.3.2: the current presence of all resources to who may see it, silence or
    /// `unsubscribed` to others.
    async fn answer_probe(self: &Arc<Self>, to: &Jid, probe: &Stanza) {
        let Some(from) = probe.from.clone() else { return };
        let account = to.bare();
        let viewer = from.bare();
        let permitted = viewer == account || self.sees_presence(&account, &viewer).await;
        if !permitted {
            // A directed presence is seen by probing its exact sender (section 4.3.2, item 2).
            if let Some(session) = self.sessions.find(to)
                && session.has_directed(&from)
                && let Some(presence) = session.presence()
            {
                self.route(presence.with_to(from)).await;
                return;
            }
            // Who is subscribed and may see nothing now sees what there is of an account that is away.
            if !self.is_subscriber(&account, &viewer).await {
                let refusal = Stanza::presence(PresenceType::Unsubscribed);
                self.route(refusal.with_from(account).with_to(viewer)).await;
            }
            return;
        }
        let sessions = self.sessions.of(to);
        for session in sessions.iter().filter(|session| to.is_bare() || *session.jid == *to) {
            if let Some(presence) = session.presence() {
                self.route(presence.with_to(from.clone())).await;
            }
        }
    }

    /// Tells the account's own resources, and the subscribers if they may know.
    pub(crate) async fn broadcast(self: &Arc<Self>, session: &Session, presence: &Stanza) {
        for other in self.sessions.of(&session.jid).iter().filter(|other| other.is_available()) {
            self.post(other, presence.clone().with_to(other.bare()));
        }
        let account = session.bare();
        if self.shows_presence(&account).await {
            self.broadcast_to_subscribers(&account, presence).await;
        }
    }

    pub(crate) async fn broadcast_to_subscribers(
        self: &Arc<Self>,
        account: &BareJid,
        presence: &Stanza,
    ) {
        let roster = match self.store.roster.load(account.as_str()).await {
            Ok(roster) => roster,
            Err(error) => {
                tracing::error!(%account, %error, "roster not read");
                return;
            }
        };
        for item in roster.items.iter().filter(|item| sees(item)) {
            let Ok(contact) = item.jid.parse::<Jid>() else { continue };
            self.route(presence.clone().with_to(contact)).await;
        }
    }
}

/// The contact has a subscription to the owner's presence.
fn sees(item: &RosterItem) -> bool {
    matches!(item.subscription, Subscription::From | Subscription::Both)
}

/// The owner has a subscription to the contact's presence.
fn is_seen(item: &RosterItem) -> bool {
    matches!(item.subscription, Subscription::To | Subscription::Both)
}

/// Section 4.7.2.3: the priority, 0 when there is none.
fn priority(presence: &Stanza) -> Result<i8, StanzaError> {
    let Some(priority) = presence.child("priority", wello_wire::ns::CLIENT) else { return Ok(0) };
    let text = priority.text();
    let number = text.trim().parse();
    number.map_err(|_| StanzaError::bad_request("priority is not between -128 and 127"))
}
