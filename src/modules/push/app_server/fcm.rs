//! Firebase Cloud Messaging, HTTP v1.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use wello_kernel::Kernel;
use wello_kernel::outbound::{WebAnswer, WebRequest};
use wello_store::Timestamp;

use super::gateway::{News, Outcome, by_status, no_answer, text_at};
use super::keys::ServiceAccount;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// What Google gives a token at most.
const HOUR_SECONDS: i64 = 3600;
/// A token that ends sooner is not used any more.
const MARGIN: Duration = Duration::from_secs(60);

/// The token that lets us send, and its end.
#[derive(Default)]
pub(super) struct AccessToken(Mutex<Option<(String, Timestamp)>>);

impl AccessToken {
    fn at(&self, now: Timestamp) -> Option<String> {
        let token = self.0.lock();
        token.as_ref().filter(|(_, end)| now < *end).map(|(token, _)| token.clone())
    }

    fn forget(&self) {
        *self.0.lock() = None;
    }
}

pub(super) async fn send(
    kernel: &Kernel,
    account: &ServiceAccount,
    access: &AccessToken,
    endpoint: &str,
    token: &str,
    news: &News,
) -> Outcome {
    let now = kernel.clock.now();
    let bearer = match access.at(now) {
        Some(bearer) => bearer,
        None => match fetch(kernel, account, now).await {
            Ok((bearer, end)) => {
                *access.0.lock() = Some((bearer.clone(), end));
                bearer
            }
            Err(outcome) => return outcome,
        },
    };
    let request = WebRequest {
        url: format!("{endpoint}/v1/projects/{}/messages:send", account.project),
        headers: vec![
            ("authorization", format!("Bearer {bearer}")),
            ("content-type", "application/json".to_owned()),
        ],
        body: message(token, news).to_string().into(),
    };
    match kernel.outbound.post(request).await {
        Ok(answer) if answer.status == 401 => {
            // Taken back before its end; the next try gets another one.
            access.forget();
            Outcome::Later(None)
        }
        Ok(answer) => outcome(&answer),
        Err(error) => no_answer(&error),
    }
}

/// OAuth 2.0 by a signed assertion (RFC 7523, section 2.1).
async fn fetch(
    kernel: &Kernel,
    account: &ServiceAccount,
    now: Timestamp,
) -> Result<(String, Timestamp), Outcome> {
    let begin = now.as_micros() / 1_000_000;
    let claims = json!({
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": begin,
        "exp": begin + HOUR_SECONDS,
    });
    let refused = |why: String| Outcome::Refused(format!("no access token: {why}"));
    let assertion = account.key.sign(None, &claims);
    let assertion = assertion.map_err(|_| refused("the assertion was not signed".to_owned()))?;
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let request = WebRequest {
        url: account.token_uri.clone(),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        body: Bytes::from(format!("grant_type={grant}&assertion={assertion}")),
    };
    let answer = kernel.outbound.post(request).await.map_err(|error| no_answer(&error))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match by_status(&answer) {
        Outcome::Delivered => {}
        Outcome::Later(wait) => return Err(Outcome::Later(wait)),
        _ => return Err(refused(format!("{} {}", answer.status, text_at(&body, "/error")))),
    }
    let token = text_at(&body, "/access_token");
    if token.is_empty() {
        return Err(refused("there is none in the answer".to_owned()));
    }
    let seconds = body["expires_in"].as_u64().unwrap_or_default();
    let end = now.saturating_add(Duration::from_secs(seconds)).saturating_sub(MARGIN);
    Ok((token.to_owned(), end))
}

/// Data alone: the app decides what it shows, and finds nothing that it could show by mistake.
fn message(token: &str, news: &News) -> Value {
    let fields = news.fields().into_iter().map(|(name, value)| {
        // Google keeps `from` for itself.
        let name = if name == "from" { "sender" } else { name };
        (name.to_owned(), Value::from(value))
    });
    let priority = if news.wake.is_loud() { "HIGH" } else { "NORMAL" };
    json!({
        "message": {
            "token": token,
            "data": fields.collect::<Map<String, Value>>(),
            "android": {
                "priority": priority,
                "ttl": format!("{}s", news.lifetime().as_secs()),
            },
        }
    })
}

/// <https://firebase.google.com/docs/cloud-messaging/error-codes>
fn outcome(answer: &WebAnswer) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let details = body.pointer("/error/details").and_then(Value::as_array);
    let details = details.map(Vec::as_slice).unwrap_or_default();
    let code = details.iter().map(|one| text_at(one, "/errorCode")).find(|code| !code.is_empty());
    match (answer.status, code) {
        // It belongs to an app that is not there any more, or to another project.
        (_, Some("UNREGISTERED" | "SENDER_ID_MISMATCH")) => Outcome::Gone,
        (400, _) if details.iter().any(names_token) => Outcome::Gone,
        // Without the code it is the project that is not found.
        (404, None) => Outcome::Refused("the project is not found".to_owned()),
        (200..=299 | 429 | 500..=599, _) => by_status(answer),
        (status, code) => {
            let text = code.unwrap_or_else(|| text_at(&body, "/error/status"));
            Outcome::Refused(format!("status {status} {text}"))
        }
    }
}

/// The token is no token.
fn names_token(detail: &Value) -> bool {
    let violations = detail["fieldViolations"].as_array();
    violations.into_iter().flatten().any(|one| text_at(one, "/field") == "message.token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means() {
        let answer = |status: u16, details: Value| {
            let body = json!({ "error": { "status": "X", "details": details } }).to_string();
            let retry_after = Some(Duration::from_secs(9));
            outcome(&WebAnswer { status, retry_after, body: body.into() })
        };
        let code = |code: &str| json!([{ "@type": "x", "errorCode": code }]);
        let later = Outcome::Later(Some(Duration::from_secs(9)));
        assert_eq!(answer(200, Value::Null), Outcome::Delivered);
        assert_eq!(answer(404, code("UNREGISTERED")), Outcome::Gone);
        assert_eq!(answer(403, code("SENDER_ID_MISMATCH")), Outcome::Gone);
        let violation = json!([{ "fieldViolations": [{ "field": "message.token" }] }]);
        assert_eq!(answer(400, violation), Outcome::Gone);
        assert_eq!(answer(429, code("QUOTA_EXCEEDED")), later);
        assert_eq!(answer(503, code("UNAVAILABLE")), later);
        for (status, details) in [
            (400, code("INVALID_ARGUMENT")),
            (401, code("THIRD_PARTY_AUTH_ERROR")),
            (403, Value::Null),
            (404, Value::Null),
        ] {
            assert!(matches!(answer(status, details), Outcome::Refused(_)), "{status}");
        }
    }
}
