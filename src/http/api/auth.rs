//! Tokens for a password, for a token, and their end.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use wello_kernel::accounts::{LoginError, TokenError, Visitor};
use wello_store::{Account, AccountStatus};
use wello_wire::jid::BareJid;
use wello_wire::payload::datetime::Timestamp;

use super::{ApiError, json_response, read};
use crate::Web;
use crate::server::Client;

#[derive(Deserialize)]
struct Login {
    /// An e-mail address or a JID.
    email: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    token: Option<String>,
    refresh_token: Option<String>,
}

pub(super) async fn login(
    State(web): State<Web>,
    client: Client,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let wish: Login = read(&web, body).await?;
    let software = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let visitor = Visitor { address: Some(client.address), software, device: None };
    let granted = web.kernel.accounts.log_in(&wish.email, &wish.password, &visitor).await?;
    let data = json!({
        "user": user(&granted.account),
        "token": granted.access,
        "refreshToken": granted.refresh,
        "expiresIn": granted.expires_in,
    });
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "data": data })))
}

pub(super) async fn refresh(
    State(web): State<Web>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let token = token(&web, &headers, body).await?;
    let granted = web.kernel.accounts.refresh(&token).await?;
    let mut data = json!({ "token": granted.access, "expiresIn": granted.expires_in });
    if let Some(refresh) = granted.refresh {
        data["refreshToken"] = refresh.into();
    }
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "data": data })))
}

pub(super) async fn logout(
    State(web): State<Web>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let token = token(&web, &headers, body).await?;
    web.kernel.accounts.log_out(&token).await?;
    let done = json!({ "success": true, "message": "Logged out successfully" });
    Ok(json_response(StatusCode::OK, &done))
}

/// Whose access token the request bears.
pub(super) async fn account(web: &Web, headers: &HeaderMap) -> Result<BareJid, ApiError> {
    let token = bearer(headers).ok_or(TokenError::Invalid)?;
    let access = web.kernel.accounts.verify_access(&token).await?;
    access.account.jid().parse().map_err(|_| ApiError::from(TokenError::Invalid))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// The token in the body, else that in the header.
async fn token(web: &Web, headers: &HeaderMap, body: Body) -> Result<String, ApiError> {
    let sent: Token = read(web, body).await?;
    let token = sent.refresh_token.or(sent.token).or_else(|| bearer(headers));
    token.ok_or_else(|| ApiError::new(StatusCode::BAD_REQUEST, "bad_request", "a token is needed"))
}

/// An account as the interface shows it.
fn user(account: &Account) -> Value {
    let name = account.display_name.as_deref().unwrap_or_default();
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    let status = match account.status {
        AccountStatus::Active => "active",
        AccountStatus::Inactive => "inactive",
        AccountStatus::Banned => "banned",
    };
    let created = Timestamp::from_micros(account.created.as_micros()).to_string();
    json!({
        "id": account.id.0.to_string(),
        "jid": account.jid(),
        "email": account.email.clone().unwrap_or_default(),
        "firstName": first,
        "lastName": last,
        "avatar": "",
        "status": status,
        "createdAt": created,
        // Changes are not dated: the creation is the last one that is known.
        "updatedAt": created,
    })
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> ApiError {
        match error {
            LoginError::Throttled => ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "too many failed logins, try again later",
            ),
            LoginError::Unavailable => ApiError::unavailable(),
            // Whoever guesses is not told which accounts there are.
            LoginError::Refused | LoginError::Disabled | LoginError::Expired => ApiError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "unknown account or wrong password",
            ),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> ApiError {
        match error {
            TokenError::Unavailable => ApiError::unavailable(),
            TokenError::Invalid
            | TokenError::Expired
            | TokenError::Revoked
            | TokenError::Disabled => {
                ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", "the token is not valid")
            }
        }
    }
}
