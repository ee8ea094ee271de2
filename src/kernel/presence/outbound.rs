//! Presence that a client sends.

use std::sync::Arc;

use wello_store::LastActivity;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{PresenceType, Stanza};
use wello_wire::xml::Element;

use super::{is_seen, priority};
use crate::Kernel;
use crate::hooks::Flow;
use crate::router::Target;
use crate::sessions::Session;

impl Kernel {
    pub(crate) async fn handle_client_presence(
        self: &Arc<Self>,
        session: &Arc<Session>,
        stanza: Stanza,
    ) {
        let Some(type_) = stanza.presence_type() else {
            let error = StanzaError::bad_request("unknown presence type");
            return self.refuse(Some(session), &stanza, &error).await;
        };
        match (type_, stanza.to.clone()) {
            (PresenceType::Available, None) => self.become_available(session, stanza).await,
            (PresenceType::Unavailable, None) => self.become_unavailable(session, stanza).await,
            (PresenceType::Available | PresenceType::Unavailable, Some(to)) => {
                self.direct(session, type_, to, stanza).await;
            }
            (type_, Some(to)) if type_.is_subscription() => {
                self.handle_outbound_subscription(session, type_, to, stanza).await;
            }
            (PresenceType::Probe, Some(to)) => self.probe(session, &to, stanza).await,
            (PresenceType::Error, Some(_)) => {
                self.route_presence(stanza, Some(session)).await;
            }
            (_, None) => {
                let error = StanzaError::bad_request("this presence needs a recipient");
                self.refuse(Some(session), &stanza, &error).await;
            }
            _ => {}
        }
    }

    async fn become_available(self: &Arc<Self>, session: &Arc<Session>, mut presence: Stanza) {
        let priority = match priority(&presence) {
            Ok(priority) => priority,
            Err(error) => return self.refuse(Some(session), &presence, &error).await,
        };
        self.announce(session, &mut presence, false).await;
        if !session.receives_bare() {
            session.set_receives_since(self.clock.now());
        }
        let was_available = session.set_presence(Some((presence.clone(), priority)));
        self.broadcast(session, &presence).await;
        if !was_available {
            self.greet(session).await;
        }
        for hook in &self.hooks.sessions {
            hook.available(self, session).await;
        }
    }

    async fn announce(
        self: &Arc<Self>,
        session: &Arc<Session>,
        presence: &mut Stanza,
        again: bool,
    ) {
        for hook in &self.hooks.announcements {
            hook.announce(self, session, presence, again).await;
        }
    }

    /// Broadcasts a session's presence anew, after what the server adds to it has changed.
    pub async fn announce_again(self: &Arc<Self>, session: &Arc<Session>) {
        let (Some(before), Some(priority)) = (session.presence(), session.priority()) else {
            return;
        };
        let mut presence = before.clone();
        self.announce(session, &mut presence, true).await;
        if presence.to_bytes() == before.to_bytes() {
            return;
        }
        session.set_presence(Some((presence.clone(), priority)));
        self.broadcast(session, &presence).await;
    }

    /// Section 4.2.3 and 3.1.3: a resource that has just come learns who is there and which
    /// requests wait.
    async fn greet(self: &Arc<Self>, session: &Arc<Session>) {
        for other in self.sessions.of(&session.jid).iter().filter(|other| other.id != session.id) {
            if let Some(presence) = other.presence() {
                session.reply(presence.with_to(session.jid.clone()));
            }
        }
        let account = session.bare();
        let Ok(roster) = self.store.roster.load(account.as_str()).await else { return };
        for item in roster.items.iter().filter(|item| is_seen(item)) {
            let Ok(contact) = item.jid.parse::<Jid>() else { continue };
            let probe = Stanza::presence(PresenceType::Probe);
            self.route(probe.with_from(session.jid.clone()).with_to(contact)).await;
        }
        let requests = self.store.roster.requests(account.as_str()).await.unwrap_or_default();
        for request in requests {
            let text = String::from_utf8_lossy(&request.stanza);
            let stanza = text.parse::<Element>().ok().map(Stanza::from_element);
            if let Some(Ok(stanza)) = stanza {
                session.reply(stanza);
            }
        }
    }

    /// Also called when a session ends without a word (section 4.5.2).
    pub async fn become_unavailable(self: &Arc<Self>, session: &Arc<Session>, presence: Stanza) {
        let was_available = session.set_presence(None);
        let directed = session.take_directed();
        if was_available {
            self.broadcast(session, &presence).await;
            // Section 4.5.2: the resource itself is told, too.
            session.reply(presence.clone().with_to(session.bare()));
        }
        for to in directed {
            self.route(presence.clone().with_to(to)).await;
        }
        if !was_available {
            return;
        }
        let others = self.sessions.of(&session.jid);
        let is_guest = self.accounts.guests.serves(session.jid.domain());
        if !is_guest && !others.iter().any(|other| other.is_available()) {
            let status = presence.child("status", ns::CLIENT).map(|s| s.text().into_owned());
            let last = LastActivity { at: self.clock.now(), status };
            if let Err(error) = self.store.last.set(session.jid.bare_str(), &last).await {
                tracing::warn!(session = %session.id, %error, "last activity not stored");
            }
        }
        for hook in &self.hooks.sessions {
            hook.unavailable(self, session, &presence).await;
        }
    }

    /// Clients need not probe, but may (section 4.3).
    async fn probe(self: &Arc<Self>, session: &Arc<Session>, to: &Jid, probe: Stanza) {
        let permitted = match self.resolve(to) {
            Target::Account => {
                let account = to.bare();
                account == session.bare()
                    || self.sees_presence(&account, &session.bare()).await
                    || self.sessions.find(to).is_some_and(|found| found.has_directed(&session.jid))
            }
            _ => true,
        };
        if permitted {
            return self.route_presence(probe, Some(session)).await;
        }
        // Whoever is blocked (XEP-0191, section 3.3) learns nothing, not even this.
        if self.guard(&probe).await != Flow::Next {
            return;
        }
        if self.is_subscriber(&to.bare(), &session.bare()).await {
            return;
        }
        let mut refusal = Stanza::presence(PresenceType::Unsubscribed);
        refusal.id.clone_from(&probe.id);
        session.reply(refusal.with_from(to.bare()).with_to(session.bare()));
    }

    /// Section 4.6: remembered, so that unavailability reaches those who saw availability.
    async fn direct(
        self: &Arc<Self>,
        session: &Arc<Session>,
        type_: PresenceType,
        to: Jid,
        mut stanza: Stanza,
    ) {
        let remembered = match type_ {
            PresenceType::Available => {
                self.announce(session, &mut stanza, false).await;
                session.add_directed(to)
            }
            _ => {
                session.remove_directed(&to);
                true
            }
        };
        if remembered {
            self.route_presence(stanza, Some(session)).await;
        } else {
            let error = StanzaError::policy_violation("directed presence to too many addresses");
            self.refuse(Some(session), &stanza, &error).await;
        }
    }
}
