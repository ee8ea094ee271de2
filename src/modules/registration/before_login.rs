//! Accounts for those who have none.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::{self, account_address};
use wello_kernel::config::Registration as Policy;
use wello_kernel::hooks::{BeforeLogin, Request, Stranger};
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::payload::invite::Preauth;
use wello_wire::payload::register::Register;
use wello_wire::xml::Element;

use super::{Registration, refusals};

#[async_trait]
impl BeforeLogin for Registration {
    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        stranger: &mut Stranger,
        request: Request,
        payload: &Element,
    ) -> Result<Option<Element>, StanzaError> {
        match (payload.name(), payload.ns(), request) {
            ("query", ns::REGISTER, Request::Get) => fields(kernel, stranger).await.map(Some),
            ("query", ns::REGISTER, Request::Set) => {
                register(kernel, stranger, payload).await.map(|()| None)
            }
            ("preauth", ns::PARS, Request::Set) => {
                show_invitation(kernel, stranger, payload).await.map(|()| None)
            }
            _ => Err(StanzaError::service_unavailable("")),
        }
    }
}

/// XEP-0445, section 4.
async fn show_invitation(
    kernel: &Kernel,
    stranger: &mut Stranger,
    payload: &Element,
) -> Result<(), StanzaError> {
    let Preauth { token } = Preauth::parse(payload)?;
    let accounts = &kernel.accounts;
    let found = accounts.registration_invite(&token, stranger.host.domain()).await;
    found.map_err(|error| refusals::invitation(&error))?;
    stranger.invite = Some((token, kernel.clock.now()));
    Ok(())
}

/// XEP-0077, section 3.1: what is asked for.
async fn fields(kernel: &Kernel, stranger: &Stranger) -> Result<Element, StanzaError> {
    match (kernel.accounts.registration_policy(), &stranger.invite) {
        (Policy::Closed, _) => return Err(StanzaError::service_unavailable("")),
        (Policy::Invite, None) => return Err(refusals::invite_needed()),
        _ => {}
    }
    let instructions = "Choose a username and a password.".to_owned();
    let name = kept_name(kernel, stranger).await?;
    let fields = vec![("username", name.unwrap_or_default()), ("password", String::new())];
    let form = Register { instructions: Some(instructions), fields, ..Register::default() };
    Ok(form.to_element())
}

/// The name that the invitation is for, if it is for one.
async fn kept_name(kernel: &Kernel, stranger: &Stranger) -> Result<Option<String>, StanzaError> {
    let Some((token, _)) = &stranger.invite else { return Ok(None) };
    let found = kernel.store.invites.find(token).await.map_err(|error| refusals::store(&error))?;
    Ok(found.and_then(|invite| invite.username))
}

async fn register(
    kernel: &Arc<Kernel>,
    stranger: &Stranger,
    payload: &Element,
) -> Result<(), StanzaError> {
    let wish = Register::parse(payload)?;
    if wish.remove {
        // XEP-0077, section 3.2: whoever has not logged in has nothing to remove.
        return Err(StanzaError::unexpected_request("log in first"));
    }
    let (Some(name), Some(password)) = (wish.value("username"), wish.value("password")) else {
        return Err(StanzaError::not_acceptable("username and password are needed"));
    };
    // A whole address would be one of somebody else's making.
    let jid = match name.contains(['@', '/']) {
        false => account_address(&format!("{name}@{}", stranger.host.domain())).ok(),
        true => None,
    };
    let jid = jid.ok_or_else(|| StanzaError::not_acceptable("this is no username"))?;
    let invite = stranger.invite.as_ref().map(|(token, shown)| (token.as_str(), *shown));
    let registration = accounts::Registration {
        jid: &jid,
        password,
        email: wish.value("email"),
        display_name: wish.value("name"),
        invite,
        address: stranger.address,
    };
    match kernel.register(&registration).await {
        Ok(_) => Ok(()),
        Err(error) => Err(refusals::registration(&error)),
    }
}
