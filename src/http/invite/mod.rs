//! The page behind an invitation's link (XEP-0401, XEP-0379), on which whoever is invited can make
//! an account (as by XEP-0445, without an app).

mod html;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use serde::Deserialize;
use wello_kernel::accounts::{AccountError, Registration, RegistrationError, account_address};
use wello_kernel::config::Registration as Policy;
use wello_store::{Invite, InviteKind, StoreError};

use crate::Web;
use crate::page::page;
use crate::server::Client;
use html::{Entry, System};

/// A name and a password of the longest kinds, each byte of them written with three.
const MAX_FORM_BYTES: usize = 16 * 1024;

pub(crate) fn route() -> MethodRouter<Web> {
    get(show).post(register).layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
}

/// What was filled in. The invitation's token, which no other site knows, is in the path: it is
/// what a forged request lacks.
#[derive(Deserialize)]
struct Wish {
    username: String,
    password: String,
    repeated: String,
}

async fn show(
    State(web): State<Web>,
    client: Client,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let invite = match find(&web, &token).await {
        Ok(Some(invite)) => invite,
        Ok(None) => return gone(),
        Err(error) => return unavailable(&error),
    };
    welcome(&web, &client, &headers, &invite, StatusCode::OK, &Entry::default())
}

async fn register(
    State(web): State<Web>,
    client: Client,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Wish>, FormRejection>,
) -> Response {
    let allowed = web.rates.take(client.address, web.kernel.clock.now()).allowed;
    let invite = match find(&web, &token).await {
        Ok(Some(invite)) => invite,
        Ok(None) => return gone(),
        Err(error) => return unavailable(&error),
    };
    let username = form.as_ref().map(|Form(wish)| wish.username.clone()).unwrap_or_default();
    let made = match form {
        _ if !allowed => Err(Refusal::too_many()),
        _ if !takes_form(&web, &client) => Err(Refusal::not_here()),
        Err(_) => Err(Refusal::incomplete()),
        Ok(Form(wish)) => make(&web, &client, &invite, &wish).await,
    };
    match made {
        Ok(address) => {
            let main = html::account(&address, &invite, system(&headers));
            page(StatusCode::CREATED, "Your account", &main)
        }
        Err(refusal) => {
            let status = refusal.status;
            let entry = Entry { username, refusal: Some(refusal) };
            welcome(&web, &client, &headers, &invite, status, &entry)
        }
    }
}

/// The invitation, if it is good for anything now.
async fn find(web: &Web, token: &str) -> Result<Option<Invite>, StoreError> {
    let found = web.kernel.store.invites.find(token).await?;
    let now = web.kernel.clock.now();
    let closed = web.kernel.accounts.registration_policy() == Policy::Closed;
    Ok(found.filter(|invite| {
        invite.uses_left > 0
            && invite.expires.is_none_or(|expires| expires > now)
            && (invite.kind == InviteKind::Contact || !closed)
    }))
}

/// Passwords are taken where nobody else can read them.
fn takes_form(web: &Web, client: &Client) -> bool {
    client.secure && web.kernel.accounts.registration_policy() != Policy::Closed
}

/// Makes the account; returns its address.
async fn make(web: &Web, client: &Client, invite: &Invite, wish: &Wish) -> Result<String, Refusal> {
    if wish.password != wish.repeated {
        return Err(Refusal::not_repeated());
    }
    let name = invite.username.as_deref().unwrap_or(wish.username.trim());
    // A whole address would be one of somebody else's making.
    let jid = match name.contains(['@', '/']) {
        false => account_address(&format!("{name}@{}", invite.domain)).ok(),
        true => None,
    };
    let jid = jid.ok_or_else(Refusal::no_name)?;
    let registration = Registration {
        jid: &jid,
        password: &wish.password,
        email: None,
        display_name: None,
        invite: Some((&invite.token, web.kernel.clock.now())),
        address: Some(client.address),
    };
    web.kernel.register(&registration).await?;
    Ok(jid.to_string())
}

/// Why there is no account, and what the page says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal { status, text: text.into() }
    }

    fn too_many() -> Refusal {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many attempts, try again in a minute")
    }

    fn not_here() -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, "no account is made on this page without encryption")
    }

    fn incomplete() -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "name and password are needed, twice the same one")
    }

    fn not_repeated() -> Refusal {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "the two passwords differ")
    }

    fn no_name() -> Refusal {
        let text = format!("this is no username: {}", html::RULES);
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    fn unavailable(error: &StoreError) -> Refusal {
        tracing::error!(%error, "accounts not reached");
        let text = "the server cannot do this now, try again later";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

impl From<RegistrationError> for Refusal {
    fn from(error: RegistrationError) -> Refusal {
        let text = error.to_string();
        match error {
            RegistrationError::Closed
            | RegistrationError::InviteNeeded
            | RegistrationError::InviteInvalid => Refusal::new(StatusCode::FORBIDDEN, text),
            RegistrationError::TooMany => Refusal::new(StatusCode::TOO_MANY_REQUESTS, text),
            RegistrationError::NameTaken
            | RegistrationError::EmailTaken
            | RegistrationError::LookAlike => Refusal::new(StatusCode::CONFLICT, text),
            RegistrationError::Mixed => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text),
            RegistrationError::Account(AccountError::Address(..)) => Refusal::no_name(),
            RegistrationError::Account(AccountError::Password(reason)) => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the password {reason}"))
            }
            RegistrationError::Account(AccountError::Store(error))
            | RegistrationError::Store(error) => Refusal::unavailable(&error),
            RegistrationError::Account(_) => Refusal::new(StatusCode::CONFLICT, text),
        }
    }
}

fn welcome(
    web: &Web,
    client: &Client,
    headers: &HeaderMap,
    invite: &Invite,
    status: StatusCode,
    entry: &Entry,
) -> Response {
    let Some(uri) = web.kernel.accounts.invite_uri(invite) else { return gone() };
    let form = takes_form(web, client).then_some(entry);
    page(status, "Invitation", &html::invitation(invite, &uri.to_string(), form, system(headers)))
}

fn gone() -> Response {
    page(StatusCode::NOT_FOUND, "No invitation", html::GONE)
}

fn unavailable(error: &StoreError) -> Response {
    let refusal = Refusal::unavailable(error);
    page(refusal.status, "Not now", &html::alert(&refusal.text))
}

/// What the browser says it runs on.
fn system(headers: &HeaderMap) -> Option<System> {
    System::of(headers.get(USER_AGENT)?.to_str().ok()?)
}
