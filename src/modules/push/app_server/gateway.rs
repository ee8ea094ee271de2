//! What all services that wake devices have in common.

use std::time::Duration;

use wello_kernel::outbound::{WebAnswer, WebError};

use super::super::wake::Wake;

/// What a device is told. No words of anybody, unless the operator wants them told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Tells the client which of its accounts is meant.
    pub(super) node: String,
    pub(super) wake: Wake,
    /// Messages since the device was last there; 0 when that is not said.
    pub(super) count: u32,
    pub(super) sender: Option<String>,
    pub(super) body: Option<String>,
}

impl News {
    /// Names and values for the app; none of them is empty.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("node", self.node.clone()), ("kind", self.wake.as_str().to_owned())];
        let count = Some(self.count.to_string()).filter(|_| self.count > 0);
        fields.extend(count.map(|count| ("count", count)));
        fields.extend(self.sender.clone().map(|sender| ("from", sender)));
        fields.extend(self.body.clone().map(|body| ("body", body)));
        fields
    }

    /// How long it is worth to be delivered. Who calls does not wait longer.
    pub(super) fn lifetime(&self) -> Duration {
        const CALL: Duration = Duration::from_secs(60);
        const OTHER: Duration = Duration::from_secs(7 * 24 * 3600);
        if self.wake == Wake::Call { CALL } else { OTHER }
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    /// The device will never be reached by this address again.
    Gone,
    /// With how long the service wants to be left alone.
    Later(Option<Duration>),
    /// Our keys or what we sent is not as the service wants it; an operator has to look.
    Refused(String),
}

/// What an answer means whose status says the same everywhere.
pub(super) fn by_status(answer: &WebAnswer) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Delivered,
        404 | 410 => Outcome::Gone,
        408 | 429 | 500..=599 => Outcome::Later(answer.retry_after),
        status => Outcome::Refused(format!("status {status}")),
    }
}

pub(super) fn no_answer(error: &WebError) -> Outcome {
    match error {
        // Asked again it would be refused again.
        WebError::Url | WebError::Forbidden(_) => Outcome::Gone,
        other => {
            tracing::debug!(error = %other, "a push service does not answer");
            Outcome::Later(None)
        }
    }
}

/// The text under a path of keys of a JSON object.
pub(super) fn text_at<'a>(value: &'a serde_json::Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default()
}
