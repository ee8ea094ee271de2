//! Sessions from bind to end.

use std::sync::Arc;

use thiserror::Error;
use wello_stream::c2s::ResourceWish;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{Kind, PresenceType, Stanza, StoredCopy};
use wello_wire::xml::Element;

use crate::Kernel;
use crate::clock::random_id;
use crate::inbox::Delivery;
use crate::sessions::{ClientInfo, EndReason, Session};

/// Why no resource was bound.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{0:?}")]
pub struct BindError(pub StanzaError);

impl Kernel {
    /// Binds a resource and tells the modules.
    pub async fn bind(
        self: &Arc<Self>,
        account: &BareJid,
        wish: &ResourceWish,
        info: ClientInfo,
    ) -> Result<Arc<Session>, BindError> {
        let jid = resource(account, wish, &info).map_err(BindError)?;
        let limits = (self.config.limits.outbox_bytes, self.config.sessions.per_account);
        let session = self.sessions.bind(jid, info, limits.0, limits.1).map_err(|_| {
            BindError(StanzaError::resource_constraint("this account has too many sessions"))
        })?;
        self.metrics.sessions.inc();
        tracing::info!(session = %session.id, jid = %session.jid, "session bound");
        self.end_former_sessions(&session);
        for hook in &self.hooks.sessions {
            hook.bound(self, &session).await;
        }
        Ok(session)
    }

    /// XEP-0386, section 4.2: one installation of a client has one session, so an earlier one was
    /// lost without a word.
    fn end_former_sessions(&self, session: &Session) {
        let Some(client) = session.info.client_id.as_deref() else { return };
        let same = |other: &&Arc<Session>| {
            other.id != session.id && other.info.client_id.as_deref() == Some(client)
        };
        for other in self.sessions.of(&session.jid).iter().filter(same) {
            other.end(EndReason::Conflict);
        }
    }

    /// Lets the modules take part in a session that was bound by Bind 2 (XEP-0386). Returns the
    /// children of `<bound/>`.
    pub async fn bind_inline(
        self: &Arc<Self>,
        session: &Arc<Session>,
        request: &[Element],
    ) -> Vec<Element> {
        let mut children = Vec::new();
        for hook in &self.hooks.bind_inline {
            children.extend(hook.bound(self, session, request).await);
        }
        children
    }

    /// The client of a session has stanzas that have stored copies.
    pub async fn delivered(self: &Arc<Self>, session: &Arc<Session>, copies: &[StoredCopy]) {
        for hook in &self.hooks.sessions {
            hook.delivered(self, session, copies).await;
        }
    }

    /// What the client of a session can do is known.
    pub async fn capable(self: &Arc<Self>, session: &Arc<Session>, info: &Arc<DiscoInfo>) {
        for hook in &self.hooks.sessions {
            hook.capable(self, session, info).await;
        }
    }

    /// A session's connection is lost; `waiting` is what its client has not acknowledged.
    pub async fn hibernating(self: &Arc<Self>, session: &Arc<Session>, waiting: &[Stanza]) {
        session.set_hibernating(true);
        for hook in &self.hooks.sessions {
            hook.hibernating(self, session, waiting).await;
        }
    }

    /// Ends a session for good. `left` is what the client was to get and may not have got.
    pub async fn end_session(
        self: &Arc<Self>,
        session: &Arc<Session>,
        left: impl IntoIterator<Item = Stanza>,
    ) {
        // First out of the registry, so that what arrives from now on finds another way.
        self.sessions.unbind(session);
        let waiting = session.inbox().close().into_iter().filter_map(|delivery| match delivery {
            Delivery::Stanza(stanza) => Some(stanza),
            Delivery::End(_) | Delivery::HandOver(_) => None,
        });
        let left: Vec<Stanza> = left.into_iter().chain(waiting).collect();
        self.metrics.sessions.dec();
        let gone = Stanza::presence(PresenceType::Unavailable).with_from(session.jid.clone());
        self.become_unavailable(session, gone).await;
        for hook in &self.hooks.sessions {
            hook.ended(self, session).await;
        }
        self.return_stanzas(session, left).await;
        tracing::info!(session = %session.id, "session ended");
    }

    /// XEP-0198, section 5: unacknowledged messages are stored, requests are answered with an
    /// error, the rest is dropped. What has a stored copy waits in the store already.
    async fn return_stanzas(self: &Arc<Self>, session: &Arc<Session>, left: Vec<Stanza>) {
        let (messages, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|stanza| stanza.kind == Kind::Message);
        let messages = messages.into_iter().filter(|message| message.stored.is_none());
        for stanza in others.iter().filter(|stanza| stanza.kind == Kind::Iq) {
            let error = StanzaError::service_unavailable("resource is gone");
            self.refuse(None, stanza, &error).await;
        }
        self.return_undelivered(session, messages).await;
    }
}

fn resource(
    account: &BareJid,
    wish: &ResourceWish,
    info: &ClientInfo,
) -> Result<FullJid, StanzaError> {
    let resource = match wish {
        ResourceWish::Any => return resource_of_ours(account),
        ResourceWish::Exactly(wish) => wish.clone(),
        ResourceWish::Tagged(tag) => match &info.client_id {
            // XEP-0386, section 4.2: the same for the same client, but not telling its id.
            Some(id) => format!("{tag}.{}", fingerprint(account, id)),
            None => format!("{tag}.{}", &random_id()[..10]),
        },
    };
    match account.with_resource(&resource) {
        Ok(jid) => Ok(jid),
        // A tag is a wish, not a demand (XEP-0386, section 3.2.1).
        Err(_) if matches!(wish, ResourceWish::Tagged(_)) => resource_of_ours(account),
        Err(error) => Err(StanzaError::bad_request(error.to_string())),
    }
}

fn resource_of_ours(account: &BareJid) -> Result<FullJid, StanzaError> {
    let made = account.with_resource(&random_id());
    made.map_err(|error| StanzaError::bad_request(error.to_string()))
}

fn fingerprint(account: &BareJid, client_id: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(format!("{account}\0{client_id}"));
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..8])
}
