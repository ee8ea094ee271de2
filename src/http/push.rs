//! Where servers of apps post what our users' devices are to get (UnifiedPush; RFC 8030, section 5).
//! Nothing is kept: who is away gets nothing, and its server is told to try again.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::time::timeout;
use wello_modules::push::app_server::{Handover, MAX_PUSH, about, hand_over, is_endpoint};
use wello_store::StoreError;

use crate::Web;

/// Seconds after which it is worth to try again.
const AGAIN: HeaderValue = HeaderValue::from_static("60");
/// How long four kilobytes may take to come.
const READING: Duration = Duration::from_secs(15);
/// RFC 8030, section 5.2: how long a push was kept.
const TTL: HeaderName = HeaderName::from_static("ttl");

pub(crate) fn route() -> MethodRouter<Web> {
    get(look).post(post)
}

/// For apps and gateways that look whether this is a push server.
async fn look(State(web): State<Web>, Path(token): Path<String>) -> Response {
    match is_endpoint(&web.kernel, &token).await {
        Ok(true) => ([(CONTENT_TYPE, "application/json")], about()).into_response(),
        Ok(false) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn post(State(web): State<Web>, Path(token): Path<String>, body: Body) -> Response {
    // Before anything is read: of an address that is not known at all, too.
    let Some(_flight) = web.pushes.begin(&token) else {
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, AGAIN)]).into_response();
    };
    match is_endpoint(&web.kernel, &token).await {
        Ok(true) => {}
        Ok(false) => return StatusCode::NOT_FOUND.into_response(),
        Err(error) => return unavailable(&error),
    }
    let push = match timeout(READING, to_bytes(body, MAX_PUSH)).await {
        Ok(Ok(push)) => push,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    if push.is_empty() {
        return (StatusCode::BAD_REQUEST, "a push has a body\n").into_response();
    }
    match hand_over(&web.kernel, &token, &push).await {
        Ok(Handover::Done) => {
            (StatusCode::CREATED, [(TTL, HeaderValue::from_static("0"))]).into_response()
        }
        // RFC 8030, section 7.3.
        Ok(Handover::Gone) => StatusCode::NOT_FOUND.into_response(),
        Ok(Handover::Later) => away(),
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &StoreError) -> Response {
    tracing::error!(%error, "push endpoint not read");
    away()
}

fn away() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, AGAIN)]).into_response()
}
