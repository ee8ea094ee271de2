//! Client access management (XEP-0494): what has access to one's account, and how to end that.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::sessions::{EndReason, Session};
use wello_store::{ClientKind, ClientPermission, StoreError};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::cam::{self, AuthMethod, CamRequest, Permission, password_reset_required};

pub struct ClientAccess;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0494",
    title: "Client Access Management",
    version: "0.1.0",
    status: Status::Complete,
    host_features: &[],
    account_features: &[ns::CAM],
}];

/// Begins the ids of sessions whose client has none.
const SESSION_PREFIX: &str = "session-";

impl Module for ClientAccess {
    fn name(&self) -> &'static str {
        "client_access"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::CAM, self);
    }
}

#[async_trait]
impl IqHandler for ClientAccess {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let session = request.own_session()?;
        match CamRequest::parse(request.payload)? {
            CamRequest::List => {
                request.expect(Request::Get)?;
                let clients = list(kernel, &request.to).await.map_err(|error| failed(&error))?;
                Ok(cam::clients(&clients).into())
            }
            CamRequest::Revoke { id } => {
                request.expect(Request::Set)?;
                revoke(kernel, session, &request, &id).await
            }
        }
    }
}

async fn list(kernel: &Kernel, account: &BareJid) -> Result<Vec<cam::Client>, StoreError> {
    let mut clients = Vec::new();
    for known in kernel.store.clients.list(account.as_str()).await? {
        let fast = kernel.store.clients.fast(account.as_str(), &known.id).await?;
        let fast = fast.filter(|tokens| tokens.current.expires > kernel.clock.now());
        let (kind, method) = match known.kind {
            // It had to show the password to become one.
            ClientKind::Session => (cam::ClientKind::Session, AuthMethod::Password),
            ClientKind::Access => (cam::ClientKind::Access, AuthMethod::Grant),
        };
        clients.push(cam::Client {
            kind,
            connected: !kernel.client_sessions(account, &known.id).is_empty(),
            first_seen: known.first_seen,
            last_seen: known.last_seen,
            auth: [method].into_iter().chain(fast.map(|_| AuthMethod::Fast)).collect(),
            permission: match known.permission {
                ClientPermission::Normal => Permission::Normal,
                ClientPermission::Unrestricted => Permission::Unrestricted,
            },
            software: known.software,
            uri: None,
            device: known.device,
            id: known.id,
        });
    }
    // Old clients give no id, but who looks for an intruder wants to see them as well.
    let sessions = kernel.sessions.of(account);
    clients.extend(sessions.iter().filter(|session| is_nameless(session)).map(|s| nameless(s)));
    Ok(clients)
}

fn is_nameless(session: &Session) -> bool {
    session.info.client_id.is_none() && session.info.grant.is_none()
}

fn nameless(session: &Session) -> cam::Client {
    cam::Client {
        id: nameless_id(session),
        kind: cam::ClientKind::Session,
        connected: true,
        first_seen: session.info.since,
        last_seen: session.info.since,
        auth: vec![AuthMethod::Password],
        permission: Permission::Unrestricted,
        software: session.info.software.clone(),
        uri: None,
        // Its resource is all that tells it apart.
        device: Some(session.jid.resource().to_owned()),
    }
}

fn nameless_id(session: &Session) -> String {
    format!("{SESSION_PREFIX}{}", session.id)
}

async fn revoke(
    kernel: &Arc<Kernel>,
    session: &Arc<Session>,
    request: &IqRequest<'_>,
    id: &str,
) -> Result<IqAnswer, StanzaError> {
    let permission = kernel.permission(session).await.map_err(|error| failed(&error))?;
    if permission != ClientPermission::Unrestricted && session.info.grant.as_deref() != Some(id) {
        return Err(StanzaError::forbidden("this client may not revoke others"));
    }
    let account = &request.to;
    let found = kernel.store.clients.find(account.as_str(), id).await;
    let verdict = match found.map_err(|error| failed(&error))? {
        Some(client) if client.kind == ClientKind::Access => Ok(()),
        Some(_) => Err(password_reset_required()),
        None => return end_nameless(kernel, session, request, id),
    };
    // A client that ends itself has to be told before.
    let own = session.info.is_of_client(id);
    if own {
        answer(session, request, &verdict);
    }
    kernel.revoke_client(account, id).await.map_err(|error| failed(&error))?;
    if own {
        return Ok(IqAnswer::Later);
    }
    verdict.map(|()| IqAnswer::Result(None))
}

/// A session without a client has nothing but its password.
fn end_nameless(
    kernel: &Kernel,
    session: &Session,
    request: &IqRequest<'_>,
    id: &str,
) -> Result<IqAnswer, StanzaError> {
    let sessions = kernel.sessions.of(&request.to);
    let nameless = |one: &&Arc<Session>| is_nameless(one) && nameless_id(one) == id;
    let Some(target) = sessions.iter().find(nameless) else {
        return Err(StanzaError::item_not_found("no such client"));
    };
    let own = target.id == session.id;
    if own {
        answer(session, request, &Err(password_reset_required()));
    }
    target.end(EndReason::CredentialsChanged);
    if own { Ok(IqAnswer::Later) } else { Err(password_reset_required()) }
}

fn answer(session: &Session, request: &IqRequest<'_>, verdict: &Result<(), StanzaError>) {
    let answer = match verdict {
        Ok(()) => Some(request.stanza.result(None)),
        Err(error) => request.stanza.refusal(error),
    };
    if let Some(answer) = answer {
        session.reply(answer);
    }
}

fn failed(error: &StoreError) -> StanzaError {
    tracing::error!(%error, "clients not read");
    StanzaError::internal_server_error("")
}
