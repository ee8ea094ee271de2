//! Rosters (RFC 6121, section 2) and what subscriptions do to them (section 3).

use std::sync::Arc;

use wello_store::{
    RosterChange, RosterItem, RosterUpdate, RosterVersion, StoreError, Subscription,
    SubscriptionRequest,
};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{IqType, PresenceType, Stanza};
use wello_wire::xml::Element;

use crate::Kernel;
use crate::clock::random_id;
use crate::presence::subscription::{self, State};
use crate::sessions::Session;

/// Changes of one contact that lost the race against another change, before giving up.
const MAX_CONFLICTS: usize = 16;

impl Kernel {
    /// A subscription stanza from one of the account's clients.
    pub(crate) async fn handle_outbound_subscription(
        self: &Arc<Self>,
        session: &Arc<Session>,
        type_: PresenceType,
        to: Jid,
        stanza: Stanza,
    ) {
        let (account, contact) = (session.bare(), to.bare());
        if contact == account {
            // One always sees oneself; there is nothing to ask for.
            return;
        }
        // Section 3.1.1: subscriptions are between bare addresses.
        let stanza = stanza.with_from(account.clone()).with_to(contact.clone());
        let refused = self.send_subscription(&account, &contact, type_, stanza.clone()).await;
        if let Err(error) = refused {
            self.refuse(Some(session), &stanza, &error).await;
        }
    }

    /// What an account says about a subscription, whether its client or the server says it.
    pub async fn send_subscription(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
        type_: PresenceType,
        stanza: Stanza,
    ) -> Result<(), StanzaError> {
        let change = self.change_contact(account, contact, type_, true).await;
        let change = change.map_err(|error| store_failed(&error))?;
        let change = change.ok_or_else(|| StanzaError::policy_violation("the roster is full"))?;
        // Section 3.2.2: unavailability comes before the cancellation, and both before the push.
        if type_ == PresenceType::Unsubscribed && change.was_seen {
            self.hide_presence(account, contact).await;
        }
        let asks = matches!(type_, PresenceType::Subscribe | PresenceType::Unsubscribe);
        if asks {
            // Before the contact's answer changes it again.
            self.push_change(account, &change).await;
        }
        if change.pass {
            self.route(stanza).await;
        }
        if !asks {
            self.push_change(account, &change).await;
        }
        if type_ == PresenceType::Subscribed && change.pass {
            self.show_presence(account, contact).await;
        }
        Ok(())
    }

    /// Says yes in advance for an account, which is told when the request comes.
    pub async fn approve_in_advance(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
    ) -> Result<(), StanzaError> {
        let changed = self.change_contact(account, contact, PresenceType::Subscribed, true).await;
        let changed = changed.map_err(|error| store_failed(&error))?;
        let full = || StanzaError::policy_violation("the roster is full");
        changed.map(drop).ok_or_else(full)
    }

    /// A subscription stanza for a local account.
    pub async fn handle_inbound_subscription(
        self: &Arc<Self>,
        type_: PresenceType,
        account: BareJid,
        stanza: Stanza,
    ) {
        let Some(contact) = stanza.from.as_ref().map(|from| from.bare()) else { return };
        let answer =
            |type_| Stanza::presence(type_).with_from(account.clone()).with_to(contact.clone());
        // Section 8.5.1: nobody learns which accounts exist.
        if !self.accounts.exists(&account).await {
            return;
        }
        let stanza = stanza.with_from(contact.clone()).with_to(account.clone());
        let change = match self.change_contact(&account, &contact, type_, false).await {
            Ok(Some(change)) => change,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%account, %error, "roster not changed");
                return;
            }
        };
        if change.approve {
            self.route(answer(PresenceType::Subscribed)).await;
            self.push_change(&account, &change).await;
            self.show_presence(&account, &contact).await;
        }
        if !change.pass {
            return;
        }
        if type_ == PresenceType::Subscribe {
            let request = SubscriptionRequest {
                contact: contact.to_string(),
                stanza: stanza.to_bytes().into(),
            };
            if let Err(error) = self.store.roster.add_request(account.as_str(), &request).await {
                tracing::error!(%account, %error, "subscription request not stored");
            }
        }
        let sessions = self.sessions.of(&account);
        // Section 3.1.3: to available resources; the others of the kind go with the push.
        let told = sessions.iter().filter(|one| one.is_available() || one.is_interested());
        let told: Vec<Arc<Session>> = told.cloned().collect();
        for session in &told {
            self.post(session, stanza.clone());
        }
        if type_ == PresenceType::Subscribe {
            for hook in &self.hooks.accounts {
                hook.asked(self, &account, &stanza, &told).await;
            }
        }
        if !change.approve {
            self.push_change(&account, &change).await;
        }
        if type_ == PresenceType::Unsubscribe && change.was_seen {
            self.hide_presence(&account, &contact).await;
        }
    }

    async fn push_change(self: &Arc<Self>, account: &BareJid, change: &Change) {
        if let Some((version, item)) = &change.stored {
            self.push_roster(account, *version, &RosterChange::Set(item.clone())).await;
        }
    }

    /// Runs the state machine on a contact and stores what changed. `None` when the roster has
    /// no room.
    async fn change_contact(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
        type_: PresenceType,
        outbound: bool,
    ) -> Result<Option<Change>, StoreError> {
        let roster = &self.store.roster;
        for _ in 0..MAX_CONFLICTS {
            let entry = roster.entry(account.as_str(), contact.as_str()).await?;
            let requests = roster.requests(account.as_str()).await?;
            let requested = requests.iter().any(|request| request.contact == contact.as_str());
            let before = State::of(entry.item.as_ref(), requested);
            let decide = if outbound { subscription::outbound } else { subscription::inbound };
            let verdict = decide(type_, before);
            let after = verdict.state;
            if before.requested && !after.requested {
                roster.remove_request(account.as_str(), contact.as_str()).await?;
            }
            let mut change = Change {
                stored: None,
                pass: verdict.pass,
                approve: verdict.approve,
                was_seen: matches!(before.subscription, Subscription::From | Subscription::Both),
            };
            let roster_part = |state: State| State { requested: false, ..state };
            if roster_part(before) == roster_part(after) {
                return Ok(Some(change));
            }
            if entry.item.is_none() && !self.has_room(account).await? {
                return Ok(None);
            }
            let is_new = entry.item.is_none();
            let item = RosterItem {
                subscription: after.subscription,
                ask: after.ask,
                approved: after.approved,
                jid: contact.to_string(),
                ..entry.item.unwrap_or_default()
            };
            match roster.set(account.as_str(), &item, entry.version).await? {
                RosterUpdate::Stored(version) => {
                    change.stored = Some((version, item));
                    if is_new {
                        self.contact_changed(account, contact, true).await;
                    }
                    return Ok(Some(change));
                }
                RosterUpdate::Conflict => {}
            }
        }
        Ok(None)
    }

    async fn has_room(&self, account: &BareJid) -> Result<bool, StoreError> {
        let roster = self.store.roster.load(account.as_str()).await?;
        Ok(roster.items.len() < self.config.limits.roster_items)
    }

    /// Section 2.1.6: to all interested resources.
    pub async fn push_roster(
        self: &Arc<Self>,
        account: &BareJid,
        version: RosterVersion,
        change: &RosterChange,
    ) {
        let query = Element::new("query", ns::ROSTER)
            .with_attr("ver", version.0.to_string())
            .with_child(change_element(change));
        for session in self.sessions.of(account).iter().filter(|s| s.is_interested()) {
            let push = Stanza::iq(IqType::Set, random_id())
                .with_from(account.clone())
                .with_to(session.jid.clone())
                .with_child(query.clone());
            self.post(session, push);
        }
        for hook in &self.hooks.accounts {
            hook.roster_pushed(self, account, &query).await;
        }
    }

    /// Section 2.3 and 2.4: name and groups are the client's to choose, the rest is not.
    pub async fn set_contact(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
        name: Option<String>,
        groups: Vec<String>,
    ) -> Result<(), StanzaError> {
        for _ in 0..MAX_CONFLICTS {
            let entry = self.store.roster.entry(account.as_str(), contact.as_str()).await;
            let entry = entry.map_err(|error| store_failed(&error))?;
            if entry.item.is_none()
                && !self.has_room(account).await.map_err(|error| store_failed(&error))?
            {
                return Err(StanzaError::resource_constraint("the roster is full"));
            }
            let is_new = entry.item.is_none();
            let item = RosterItem {
                jid: contact.to_string(),
                name: name.clone(),
                groups: groups.clone(),
                ..entry.item.unwrap_or_default()
            };
            let update = self.store.roster.set(account.as_str(), &item, entry.version).await;
            if let RosterUpdate::Stored(version) = update.map_err(|error| store_failed(&error))? {
                self.push_roster(account, version, &RosterChange::Set(item)).await;
                if is_new {
                    self.contact_changed(account, contact, true).await;
                }
                return Ok(());
            }
        }
        Err(StanzaError::resource_constraint("the contact keeps changing"))
    }

    /// Section 2.5: also ends the subscriptions in both directions.
    pub async fn remove_contact(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
    ) -> Result<(), StanzaError> {
        for _ in 0..MAX_CONFLICTS {
            let entry = self.store.roster.entry(account.as_str(), contact.as_str()).await;
            let entry = entry.map_err(|error| store_failed(&error))?;
            let Some(item) = entry.item else {
                return Err(StanzaError::item_not_found("no such contact"));
            };
            let roster = &self.store.roster;
            let update = roster.remove(account.as_str(), contact.as_str(), entry.version).await;
            let RosterUpdate::Stored(version) = update.map_err(|error| store_failed(&error))?
            else {
                continue;
            };
            let removed = RosterChange::Removed(item.jid.clone());
            self.push_roster(account, version, &removed).await;
            self.cancel_subscriptions(account, contact, &item).await;
            self.contact_changed(account, contact, false).await;
            return Ok(());
        }
        Err(StanzaError::resource_constraint("the contact keeps changing"))
    }

    async fn contact_changed(self: &Arc<Self>, account: &BareJid, contact: &BareJid, there: bool) {
        for hook in &self.hooks.accounts {
            hook.contact_changed(self, account, contact, there).await;
        }
    }

    async fn cancel_subscriptions(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
        item: &RosterItem,
    ) {
        let requested = self.store.roster.remove_request(account.as_str(), contact.as_str()).await;
        let (to, from) = match item.subscription {
            Subscription::None => (false, false),
            Subscription::To => (true, false),
            Subscription::From => (false, true),
            Subscription::Both => (true, true),
        };
        let send = |type_| {
            let stanza = Stanza::presence(type_);
            self.route(stanza.with_from(account.clone()).with_to(contact.clone()))
        };
        if to || item.ask {
            send(PresenceType::Unsubscribe).await;
        }
        if from || matches!(requested, Ok(true)) {
            send(PresenceType::Unsubscribed).await;
        }
        if from {
            self.hide_presence(account, contact).await;
        }
    }

    /// The contact may see the account's resources from now on.
    async fn show_presence(self: &Arc<Self>, account: &BareJid, contact: &BareJid) {
        if self.shows_presence(account).await {
            for session in self.sessions.of(account).iter() {
                if let Some(presence) = session.presence() {
                    self.route(presence.with_to(contact.clone())).await;
                }
            }
        }
        for hook in &self.hooks.accounts {
            hook.shown(self, account, contact).await;
        }
    }

    /// The contact may see them no more.
    async fn hide_presence(self: &Arc<Self>, account: &BareJid, contact: &BareJid) {
        if !self.shows_presence(account).await {
            return;
        }
        for session in self.sessions.of(account).iter().filter(|session| session.is_available()) {
            let gone = Stanza::presence(PresenceType::Unavailable);
            self.route(gone.with_from(session.jid.clone()).with_to(contact.clone())).await;
        }
    }
}

struct Change {
    /// The contact as it is now, if the roster changed.
    stored: Option<(RosterVersion, RosterItem)>,
    pass: bool,
    approve: bool,
    /// The contact saw the account's presence before.
    was_seen: bool,
}

/// A contact as it stands in roster results and pushes.
pub fn item_element(item: &RosterItem) -> Element {
    let subscription = match item.subscription {
        Subscription::None => "none",
        Subscription::To => "to",
        Subscription::From => "from",
        Subscription::Both => "both",
    };
    let groups =
        item.groups.iter().map(|group| Element::new("group", ns::ROSTER).with_text(group.as_str()));
    Element::new("item", ns::ROSTER)
        .with_attr("jid", item.jid.as_str())
        .with_attr_opt("name", item.name.as_deref())
        .with_attr("subscription", subscription)
        .with_attr_opt("ask", item.ask.then_some("subscribe"))
        .with_attr_opt("approved", item.approved.then_some("true"))
        .with_children(groups)
}

/// A change as it stands in a push.
pub fn change_element(change: &RosterChange) -> Element {
    match change {
        RosterChange::Set(item) => item_element(item),
        RosterChange::Removed(jid) => Element::new("item", ns::ROSTER)
            .with_attr("jid", jid.as_str())
            .with_attr("subscription", "remove"),
    }
}

fn store_failed(error: &StoreError) -> StanzaError {
    tracing::error!(%error, "roster not changed");
    StanzaError::internal_server_error("")
}
