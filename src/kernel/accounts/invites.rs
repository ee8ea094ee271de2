//! Invitations to an account here and to a contact (XEP-0379, XEP-0401, XEP-0445).

use thiserror::Error;
use wello_store::{Invite, InviteKind, Redemption, Role, StoreError, Timestamp};
use wello_wire::jid::BareJid;
use wello_wire::payload::invite::InviteUri;

use super::{Accounts, MICROS_PER_DAY};
use crate::clock::random_id;
use crate::config::Registration;

/// Invitations of one account that can be open at the same time.
const MAX_OPEN: usize = 100;
/// Read to find out how many are open; used ones are among them.
const MAX_LISTED: u32 = 500;
/// How long an invitation that has expired is remembered, for its inviter to see.
const MEMORY_DAYS: i64 = 30;

/// An invitation to make an account.
#[derive(Clone, Debug)]
pub struct AccountInvite<'a> {
    /// Whose contact the new account becomes; none when an operator invites for nobody.
    pub inviter: Option<&'a BareJid>,
    pub domain: &'a str,
    /// The only name that can be taken, which is kept for it.
    pub username: Option<&'a str>,
    pub role: Role,
    pub uses: u32,
}

/// Why there is no invitation, or none that can be used.
#[derive(Debug, Error)]
pub enum InviteError {
    /// It never existed, was used up or has expired: whoever guesses is not told which.
    #[error("the invitation is not valid (any more)")]
    Invalid,
    #[error("too many invitations are open")]
    TooMany,
    #[error("the name is not free")]
    NameTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Accounts {
    /// An invitation to become a contact of `inviter`, for one person, who may make an account
    /// here for that if the server takes invited people.
    pub async fn invite_contact(&self, inviter: &BareJid) -> Result<Invite, InviteError> {
        let invite = self.invite(InviteKind::Contact, Some(inviter), inviter.domain());
        self.offer(invite).await
    }

    /// An invitation to make an account.
    pub async fn invite_account(&self, wish: &AccountInvite<'_>) -> Result<Invite, InviteError> {
        if let Some(name) = wish.username {
            let jid = BareJid::from_parts(Some(name), wish.domain);
            let jid = jid.map_err(|_| InviteError::NameTaken)?;
            if self.store.accounts.find(jid.as_str()).await?.is_some()
                || self.is_reserved(&jid).await?
            {
                return Err(InviteError::NameTaken);
            }
        }
        let invite = self.invite(InviteKind::Account, wish.inviter, wish.domain);
        let username = wish.username.map(str::to_owned);
        self.offer(Invite { username, role: wish.role, uses_left: wish.uses, ..invite }).await
    }

    fn invite(&self, kind: InviteKind, inviter: Option<&BareJid>, domain: &str) -> Invite {
        let created = self.clock.now();
        Invite {
            token: random_id(),
            kind,
            inviter: inviter.map(BareJid::to_string),
            domain: domain.to_owned(),
            username: None,
            role: Role::User,
            created,
            expires: Some(created.plus_micros(self.invite_micros)),
            uses_left: 1,
            used_by: Vec::new(),
        }
    }

    async fn offer(&self, invite: Invite) -> Result<Invite, InviteError> {
        let invites = &self.store.invites;
        let memory = MEMORY_DAYS.saturating_mul(MICROS_PER_DAY);
        invites.expire(invite.created.plus_micros(-memory)).await?;
        if let Some(inviter) = &invite.inviter {
            let known = invites.list(Some(inviter), MAX_LISTED).await?;
            let open = known.iter().filter(|known| is_open(known, invite.created));
            if open.count() >= MAX_OPEN {
                return Err(InviteError::TooMany);
            }
        }
        // 120 random bits do not come twice.
        invites.create(&invite).await?;
        Ok(invite)
    }

    /// An invitation that can be used to make an account on `domain` now.
    pub async fn registration_invite(
        &self,
        token: &str,
        domain: &str,
    ) -> Result<Invite, InviteError> {
        let found = self.store.invites.find(token).await?;
        let now = self.clock.now();
        found
            .filter(|invite| is_open(invite, now) && invite.domain == domain)
            .filter(|_| self.registration != Registration::Closed)
            .ok_or(InviteError::Invalid)
    }

    /// Uses an invitation to become a contact of `inviter`; `false` when it is not valid for that
    /// (XEP-0379, section 4.1: then the owner is asked as usual).
    pub async fn redeem_contact(
        &self,
        token: &str,
        inviter: &BareJid,
        contact: &BareJid,
    ) -> Result<bool, StoreError> {
        let found = self.store.invites.find(token).await?;
        let own = found.is_some_and(|invite| {
            invite.kind == InviteKind::Contact
                && invite.inviter.as_deref() == Some(inviter.as_str())
        });
        if !own || inviter == contact {
            return Ok(false);
        }
        let now = self.clock.now();
        let redemption = self.store.invites.redeem(token, contact.as_str(), now).await?;
        Ok(matches!(redemption, Redemption::Redeemed(_)))
    }

    /// The link to hand over (XEP-0401, sections 5.1 and 5.4).
    pub fn invite_uri(&self, invite: &Invite) -> Option<InviteUri> {
        let token = invite.token.clone();
        match (invite.kind, &invite.inviter) {
            (InviteKind::Contact, Some(inviter)) => {
                let register = self.registration != Registration::Closed;
                Some(InviteUri::Contact { inviter: inviter.parse().ok()?, token, register })
            }
            _ => {
                let name = invite.username.as_deref();
                let account = BareJid::from_parts(name, &invite.domain).ok()?;
                Some(InviteUri::Account { account, token })
            }
        }
    }

    pub(super) async fn is_reserved(&self, jid: &BareJid) -> Result<bool, StoreError> {
        let (name, now) = (jid.local().unwrap_or_default(), self.clock.now());
        self.store.invites.reserved(jid.domain(), name, now).await
    }
}

fn is_open(invite: &Invite, now: Timestamp) -> bool {
    invite.uses_left > 0 && invite.expires.is_none_or(|expires| expires > now)
}
