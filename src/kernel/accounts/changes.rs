//! Changes of an account that reach into its sessions.

use std::sync::Arc;

use wello_wire::jid::BareJid;

use super::AccountError;
use crate::Kernel;
use crate::sessions::{EndReason, Session};

impl Kernel {
    /// Replaces a password, revokes every token that came from the old one and ends all sessions
    /// except `keep`, the one that changes it.
    pub async fn set_password(
        &self,
        jid: &BareJid,
        password: &str,
        keep: Option<&Session>,
    ) -> Result<(), AccountError> {
        let client = keep.and_then(|session| session.info.client_id.as_deref());
        let set = self.accounts.set_password(jid, password, client).await;
        // Also when revoking failed: then the password is another one nevertheless.
        if !matches!(set, Err(AccountError::Password(_) | AccountError::NotFound(_))) {
            self.end_sessions(jid, EndReason::CredentialsChanged, keep);
        }
        set
    }

    /// Deletes an account with everything it owns, leaves its contacts and ends its sessions
    /// except `keep`, which the caller ends when it has answered.
    pub async fn delete_account(
        self: &Arc<Self>,
        jid: &BareJid,
        keep: Option<&Session>,
    ) -> Result<(), AccountError> {
        if !self.accounts.exists(jid).await {
            return Err(AccountError::NotFound(jid.clone()));
        }
        self.end_sessions(jid, EndReason::AccountDeleted, keep);
        for hook in &self.hooks().accounts {
            hook.deleting(self, jid).await;
        }
        for item in self.store.roster.load(jid.as_str()).await?.items {
            let Ok(contact) = item.jid.parse() else { continue };
            // Whoever cannot be told keeps a contact that answers nothing.
            let _ = self.remove_contact(jid, &contact).await;
        }
        let deleted = self.accounts.delete(jid).await;
        self.privacy.forget(jid.as_str());
        deleted
    }

    fn end_sessions(&self, jid: &BareJid, reason: EndReason, keep: Option<&Session>) {
        let kept = keep.map(|session| session.id);
        for session in self.sessions.of(jid).iter().filter(|other| Some(other.id) != kept) {
            session.end(reason);
        }
    }
}
