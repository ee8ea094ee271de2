//! Is it alive, is it ready, what does it count.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::Web;
use crate::server::Client;

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers, too.
pub(crate) async fn ready(State(web): State<Web>) -> Response {
    match web.kernel.store.meta.get("ready").await {
        Ok(_) => "ok\n".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// For Prometheus, from where the operator allows it.
pub(crate) async fn metrics(State(web): State<Web>, client: Client) -> Response {
    if !web.metrics_from.iter().any(|network| network.contains(client.address)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match web.kernel.metrics.encode() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
