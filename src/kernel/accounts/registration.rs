//! Accounts that people make themselves: in-band (XEP-0077, XEP-0445) and over REST.

use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;
use wello_store::{
    Account, Invite, NewAccount, Redemption, Role, RosterChange, RosterItem, RosterUpdate,
    StoreError, Subscription, Timestamp,
};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::stanza::{IqType, PresenceType, Stanza};
use wello_wire::xml::Element;

use super::{AccountError, Accounts};
use crate::Kernel;
use crate::config::Registration as Policy;
use crate::hooks::{Request, Stranger};
use crate::lookalike::is_mixed;

/// What somebody wants.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    pub jid: &'a BareJid,
    pub password: &'a str,
    pub email: Option<&'a str>,
    pub display_name: Option<&'a str>,
    /// The token of an invitation, and when it was found valid: it may expire while a form is
    /// filled in (XEP-0445, section 4).
    pub invite: Option<(&'a str, Timestamp)>,
    pub address: Option<IpAddr>,
}

/// Why there is no account.
#[derive(Debug, Error)]
pub enum RegistrationError {
    #[error("this server makes no accounts that way")]
    Closed,
    #[error("an invitation is needed")]
    InviteNeeded,
    #[error("the invitation is not valid (any more), or not for this name")]
    InviteInvalid,
    #[error("too many accounts were asked for from this address, try again in an hour")]
    TooMany,
    /// It exists, existed or is kept for somebody.
    #[error("the name is not free")]
    NameTaken,
    #[error("the name looks like that of somebody else")]
    LookAlike,
    #[error("the name has letters of scripts that do not go together")]
    Mixed,
    #[error("there is an account with this e-mail address")]
    EmailTaken,
    #[error(transparent)]
    Account(AccountError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AccountError> for RegistrationError {
    fn from(error: AccountError) -> RegistrationError {
        match error {
            AccountError::Exists(_) | AccountError::Tombstoned(_) => RegistrationError::NameTaken,
            AccountError::LookAlike(_) => RegistrationError::LookAlike,
            other => RegistrationError::Account(other),
        }
    }
}

impl Accounts {
    /// Who may make an account.
    pub fn registration_policy(&self) -> Policy {
        self.registration
    }

    async fn register(
        &self,
        wish: &Registration<'_>,
    ) -> Result<(Account, Option<Invite>), RegistrationError> {
        match (self.registration, wish.invite) {
            (Policy::Closed, _) => return Err(RegistrationError::Closed),
            (Policy::Invite, None) => return Err(RegistrationError::InviteNeeded),
            _ => {}
        }
        let now = self.clock.now();
        if !self.registrations.allows(wish.address, now) {
            return Err(RegistrationError::TooMany);
        }
        // Attempts count as well: they tell which names are taken.
        self.registrations.record(wish.address, now);
        let invite = self.redeem_account(wish).await?;
        let made = self.make(wish, invite.as_ref()).await;
        if let (Err(_), Some(invite)) = (&made, &invite) {
            self.store.invites.release(&invite.token, wish.jid.as_str()).await?;
        }
        Ok((made?, invite))
    }

    /// The use is given back when nothing comes of it.
    async fn redeem_account(
        &self,
        wish: &Registration<'_>,
    ) -> Result<Option<Invite>, RegistrationError> {
        let Some((token, accepted)) = wish.invite else { return Ok(None) };
        let jid = wish.jid;
        let found = self.store.invites.find(token).await?;
        let fits = |invite: &Invite| {
            invite.domain == jid.domain()
                && invite.username.as_deref().is_none_or(|name| Some(name) == jid.local())
        };
        found.filter(fits).ok_or(RegistrationError::InviteInvalid)?;
        match self.store.invites.redeem(token, jid.as_str(), accepted).await? {
            Redemption::Redeemed(invite) => Ok(Some(invite)),
            _ => Err(RegistrationError::InviteInvalid),
        }
    }

    async fn make(
        &self,
        wish: &Registration<'_>,
        invite: Option<&Invite>,
    ) -> Result<Account, RegistrationError> {
        let own_name = invite.is_some_and(|invite| invite.username.is_some());
        if !own_name && self.is_reserved(wish.jid).await? {
            return Err(RegistrationError::NameTaken);
        }
        // Whoever invited somebody by a name has chosen it.
        if !own_name && wish.jid.local().is_some_and(is_mixed) {
            return Err(RegistrationError::Mixed);
        }
        if let Some(email) = wish.email
            && !self.store.accounts.find_by_email(email).await?.is_empty()
        {
            return Err(RegistrationError::EmailTaken);
        }
        let account = NewAccount {
            jid: wish.jid.to_string(),
            role: invite.map_or(Role::User, |invite| invite.role),
            email: wish.email.map(str::to_owned),
            display_name: wish.display_name.map(str::to_owned),
            distinct: !own_name,
            ..NewAccount::default()
        };
        Ok(self.insert(wish.jid, wish.password, account).await?)
    }
}

impl Kernel {
    /// Makes an account for somebody who asks for it, and makes them a contact of whoever invited
    /// them.
    pub async fn register(
        self: &Arc<Self>,
        wish: &Registration<'_>,
    ) -> Result<Account, RegistrationError> {
        let (account, invite) = self.accounts.register(wish).await?;
        tracing::info!(jid = %wish.jid, invited = invite.is_some(), "account registered");
        let inviter = invite.and_then(|invite| invite.inviter?.parse::<BareJid>().ok());
        if let Some(inviter) = inviter
            && self.accounts.exists(&inviter).await
            && let Err(error) = self.befriend(&inviter, wish.jid).await
        {
            tracing::error!(%inviter, %error, "inviter and invited are not contacts");
        }
        Ok(account)
    }

    /// Answers an IQ of a client that has not logged in; `None` where no answer may be sent.
    pub async fn answer_stranger(
        self: &Arc<Self>,
        stranger: &mut Stranger,
        iq: &Stanza,
    ) -> Option<Stanza> {
        let mut answer = match self.ask_before_login(stranger, iq).await {
            Ok(payload) => iq.result(payload),
            Err(error) => iq.refusal(&error)?,
        };
        // The client has no address yet, whatever it claims.
        answer.to = None;
        Some(answer.with_from(stranger.host.clone()))
    }

    async fn ask_before_login(
        self: &Arc<Self>,
        stranger: &mut Stranger,
        iq: &Stanza,
    ) -> Result<Option<Element>, StanzaError> {
        let request = match iq.iq_type() {
            Some(IqType::Get) => Request::Get,
            Some(IqType::Set) => Request::Set,
            _ => return Err(StanzaError::bad_request("not a request")),
        };
        let mut payloads = iq.children();
        let (Some(payload), None) = (payloads.next(), payloads.next()) else {
            return Err(StanzaError::bad_request("a request has one payload"));
        };
        match &self.hooks().before_login {
            Some(hook) => hook.answer(self, stranger, request, payload).await,
            None => Err(StanzaError::service_unavailable("")),
        }
    }

    /// Prepares that the request of an invited contact is approved without asking the inviter, and
    /// asks the contact in turn (XEP-0379, section 3.5); one who is local has approved by asking
    /// with the token (section 3.6).
    pub async fn welcome_contact(
        self: &Arc<Self>,
        inviter: &BareJid,
        contact: &BareJid,
    ) -> Result<(), StoreError> {
        let approve = |item: RosterItem| RosterItem {
            approved: !matches!(item.subscription, Subscription::From | Subscription::Both),
            ..item
        };
        let ask = |item: RosterItem| RosterItem {
            ask: !matches!(item.subscription, Subscription::To | Subscription::Both),
            ..item
        };
        if self.accounts.exists(contact).await {
            self.change_item(contact, inviter, approve).await?;
        }
        self.change_item(inviter, contact, |item| ask(approve(item))).await?;
        let request = Stanza::presence(PresenceType::Subscribe);
        self.route(request.with_from(inviter.clone()).with_to(contact.clone())).await;
        Ok(())
    }

    /// Makes two local accounts contacts of each other, as if both had asked and agreed.
    pub async fn befriend(
        self: &Arc<Self>,
        one: &BareJid,
        other: &BareJid,
    ) -> Result<(), StoreError> {
        for (account, contact) in [(one, other), (other, one)] {
            let friend = |item| RosterItem {
                subscription: Subscription::Both,
                ask: false,
                approved: false,
                ..item
            };
            self.change_item(account, contact, friend).await?;
            self.store.roster.remove_request(account.as_str(), contact.as_str()).await?;
        }
        for (account, contact) in [(one, other), (other, one)] {
            for presence in self.sessions.of(account).iter().filter_map(|one| one.presence()) {
                self.route(presence.with_to(contact.clone())).await;
            }
        }
        Ok(())
    }

    /// Changes a contact and tells the clients; the roster's bound does not count for what the
    /// account itself asked for.
    pub(crate) async fn change_item(
        self: &Arc<Self>,
        account: &BareJid,
        contact: &BareJid,
        change: impl Fn(RosterItem) -> RosterItem,
    ) -> Result<(), StoreError> {
        loop {
            let entry = self.store.roster.entry(account.as_str(), contact.as_str()).await?;
            let fresh = || RosterItem { jid: contact.to_string(), ..RosterItem::default() };
            let item = change(entry.item.unwrap_or_else(fresh));
            match self.store.roster.set(account.as_str(), &item, entry.version).await? {
                RosterUpdate::Stored(version) => {
                    self.push_roster(account, version, &RosterChange::Set(item)).await;
                    return Ok(());
                }
                // Each conflict is a change that somebody else has made.
                RosterUpdate::Conflict => {}
            }
        }
    }
}
