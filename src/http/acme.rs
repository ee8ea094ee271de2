//! Answers to an ACME authority that looks for its token (RFC 8555, section 8.3).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use wello_net::acme::ChallengeStore;

/// The paths that the authority asks for, on plain HTTP.
pub fn router(challenges: Arc<ChallengeStore>) -> Router {
    Router::new().route("/.well-known/acme-challenge/{token}", get(answer)).with_state(challenges)
}

async fn answer(
    State(challenges): State<Arc<ChallengeStore>>,
    Path(token): Path<String>,
) -> Result<String, StatusCode> {
    challenges.lookup(&token).ok_or(StatusCode::NOT_FOUND)
}
