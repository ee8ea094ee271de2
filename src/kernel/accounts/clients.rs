//! The clients of an account: what its owner sees and can revoke (XEP-0494).

use std::sync::Arc;

use wello_store::{Client, ClientKind, ClientPermission, StoreError};
use wello_stream::nonza::{UserAgent, UserAgentId};
use wello_wire::jid::BareJid;

use super::Accounts;
use crate::Kernel;
use crate::sessions::{ClientInfo, EndReason, Session};

/// Clients of one account that are remembered; the longest unseen ones are forgotten, with their
/// tokens.
const MAX_CLIENTS: usize = 100;
/// Characters of what a client says about itself.
const MAX_TEXT: usize = 100;

impl Accounts {
    /// Remembers a client that logged in and said who it is.
    pub async fn record_client(
        &self,
        jid: &BareJid,
        id: UserAgentId,
        agent: &UserAgent,
        tag: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let client = Client {
            id: id.to_string(),
            kind: ClientKind::Session,
            permission: ClientPermission::Unrestricted,
            software: agent.software.as_deref().map(shorten),
            device: agent.device.as_deref().map(shorten),
            tag: tag.map(shorten),
            first_seen: now,
            last_seen: now,
        };
        self.remember(jid, &client).await
    }

    /// Stores a client, and forgets others when there are too many.
    pub(super) async fn remember(&self, jid: &BareJid, client: &Client) -> Result<(), StoreError> {
        let clients = &self.store.clients;
        let known = clients.find(jid.as_str(), &client.id).await?.is_some();
        clients.seen(jid.as_str(), client).await?;
        if known {
            return Ok(());
        }
        for old in clients.list(jid.as_str()).await?.iter().skip(MAX_CLIENTS) {
            clients.revoke(jid.as_str(), &old.id).await?;
        }
        Ok(())
    }
}

impl Kernel {
    /// Takes a client's tokens and grants away, forgets it and ends its sessions. `false` without
    /// such a client. A client that knows the password can come back by that.
    pub async fn revoke_client(&self, jid: &BareJid, id: &str) -> Result<bool, StoreError> {
        let revoked = self.store.clients.revoke(jid.as_str(), id).await?;
        for session in self.client_sessions(jid, id) {
            session.end(EndReason::CredentialsChanged);
        }
        Ok(revoked)
    }

    /// What the client behind a session may do with its account.
    pub async fn permission(&self, session: &Session) -> Result<ClientPermission, StoreError> {
        let ClientInfo { grant, client_id, .. } = &session.info;
        // Whoever gives no id has shown the password.
        let Some(id) = grant.as_ref().or(client_id.as_ref()) else {
            return Ok(ClientPermission::Unrestricted);
        };
        let client = self.store.clients.find(session.jid.bare_str(), id).await?;
        // One that is revoked at this moment may do no more than is safe.
        Ok(client.map_or(ClientPermission::Normal, |client| client.permission))
    }

    /// The sessions that this client has opened.
    pub fn client_sessions(&self, jid: &BareJid, id: &str) -> Vec<Arc<Session>> {
        let sessions = self.sessions.of(jid);
        sessions.iter().filter(|session| session.info.is_of_client(id)).cloned().collect()
    }
}

pub(super) fn shorten(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
