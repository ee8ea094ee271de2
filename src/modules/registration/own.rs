//! What a user does with the account they have: a new password, or the end.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, Request};
use wello_kernel::sessions::{EndReason, Session};
use wello_store::ClientPermission;
use wello_wire::error::StanzaError;
use wello_wire::payload::register::Register;
use wello_wire::xml::Element;

use super::{Registration, refusals};

#[async_trait]
impl IqHandler for Registration {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let home = |session: &&Arc<Session>| {
            request.is_own() || request.to.as_str() == session.jid.domain()
        };
        let session = request.session.filter(home);
        let session = session.ok_or_else(|| StanzaError::service_unavailable(""))?;
        let wish = Register::parse(request.payload)?;
        if request.request == Request::Get {
            return Ok(registered(session).into());
        }
        // XEP-0494, section 4: a grant may not take the account over.
        let permission = kernel.permission(session).await;
        if permission.map_err(|error| refusals::store(&error))? != ClientPermission::Unrestricted {
            return Err(StanzaError::forbidden("this client may not change the account"));
        }
        if wish.remove {
            return remove(kernel, session, &request).await;
        }
        change_password(kernel, session, &wish).await.map(|()| IqAnswer::Result(None))
    }
}

/// XEP-0077, section 3.1: what is on file, without the password.
fn registered(session: &Session) -> Element {
    let name = session.jid.local().unwrap_or_default().to_owned();
    let fields = vec![("username", name), ("password", String::new())];
    Register { registered: true, fields, ..Register::default() }.to_element()
}

/// Section 3.3.
async fn change_password(
    kernel: &Kernel,
    session: &Session,
    wish: &Register,
) -> Result<(), StanzaError> {
    if !session.info.encrypted {
        return Err(StanzaError::not_authorized("not over a channel without TLS"));
    }
    let Some(password) = wish.value("password") else {
        return Err(StanzaError::bad_request("a password is needed"));
    };
    let jid = session.bare();
    let own = |name: &str| Some(name) == jid.local() || name == jid.as_str();
    // COMPAT: some clients leave out their own name.
    if !wish.value("username").is_none_or(own) {
        return Err(StanzaError::forbidden("this is not your username"));
    }
    kernel
        .set_password(&jid, password, Some(session))
        .await
        .map_err(|error| refusals::account(&error))
}

/// Section 3.2: the answer first, then the end of this session, too.
async fn remove(
    kernel: &Arc<Kernel>,
    session: &Arc<Session>,
    request: &IqRequest<'_>,
) -> Result<IqAnswer, StanzaError> {
    if request.payload.children().count() != 1 {
        return Err(StanzaError::bad_request("nothing may stand beside <remove/>"));
    }
    let deleted = kernel.delete_account(&session.bare(), Some(session)).await;
    deleted.map_err(|error| refusals::account(&error))?;
    session.reply(request.stanza.result(None));
    session.end(EndReason::AccountDeleted);
    Ok(IqAnswer::Later)
}
