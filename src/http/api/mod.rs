//! The REST interface: answers in one shape, with headers that keep browsers careful.

mod auth;
mod guests;
mod ptt;
mod rate;
#[cfg(test)]
pub(crate) mod tests;
mod turn;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Web;
use crate::server::Client;
pub(crate) use rate::Rates;

/// All paths below `/api/v1`.
pub(crate) fn routes(web: &Web) -> Router<Web> {
    Router::new()
        .route("/auth/login", post(auth::login))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/logout", post(auth::logout))
        .route("/guests", post(guests::arrive))
        .route("/meetings/links", post(guests::make_link).get(guests::links))
        .route("/meetings/links/{id}", delete(guests::revoke_link))
        .route("/ptt/clips", post(ptt::send_clip))
        .route("/turn-credentials", get(turn::credentials))
        .layer(from_fn_with_state(web.clone(), limit))
        .layer(from_fn(secure))
}

/// What went wrong, for the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: &'static str) -> ApiError {
        ApiError { status, code, message }
    }

    fn unavailable() -> ApiError {
        let text = "the server cannot answer now, try again later";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message });
        json_response(self.status, &json!({ "success": false, "error": error }))
    }
}

fn json_response(status: StatusCode, document: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// Reads a JSON document of bounded size; an empty body is an empty object.
async fn read<T: DeserializeOwned>(web: &Web, body: Body) -> Result<T, ApiError> {
    let too_large = |_| {
        let text = "the request is too large";
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    };
    let bytes = to_bytes(body, web.kernel.config.http.body_bytes).await.map_err(too_large)?;
    let document: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(document).map_err(|_| {
        let text = "the request is not the JSON document that is expected";
        ApiError::new(StatusCode::BAD_REQUEST, "bad_request", text)
    })
}

/// Counts requests by address and tells the client how many are left.
async fn limit(State(web): State<Web>, client: Client, request: Request, next: Next) -> Response {
    let verdict = web.rates.take(client.address, web.kernel.clock.now());
    let mut response = if verdict.allowed {
        next.run(request).await
    } else {
        let text = "too many requests, try again later";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text).into_response()
    };
    let headers = response.headers_mut();
    headers.insert("ratelimit-limit", HeaderValue::from(rate::MAX));
    headers.insert("ratelimit-remaining", HeaderValue::from(verdict.remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(verdict.reset_seconds));
    if !verdict.allowed {
        headers.insert("retry-after", HeaderValue::from(verdict.reset_seconds));
    }
    response
}

async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let nothing = "default-src 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(nothing));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
