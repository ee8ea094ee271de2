//! Apple Push Notification service, by HTTP/2 and tokens.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use wello_kernel::Kernel;
use wello_kernel::config::Apns;
use wello_kernel::outbound::{WebAnswer, WebRequest};
use wello_store::{PushDevice, Timestamp};

use super::super::wake::Wake;
use super::gateway::{News, Outcome, by_status, no_answer, text_at};
use super::jwt::Signer;

/// Apple takes a token for an hour, and no new one within 20 minutes.
const RENEW: Duration = Duration::from_secs(40 * 60);

/// The token that names us, and when it was made.
#[derive(Default)]
pub(super) struct ProviderToken(Mutex<Option<(String, Timestamp)>>);

impl ProviderToken {
    fn at(&self, now: Timestamp, apns: &Apns, key: &Signer) -> Option<String> {
        let mut token = self.0.lock();
        if let Some((text, made)) = &*token
            && now.since(*made) < RENEW
        {
            return Some(text.clone());
        }
        let claims = json!({ "iss": apns.team_id, "iat": now.as_micros() / 1_000_000 });
        let text = key.sign(Some(&apns.key_id), &claims).ok()?;
        *token = Some((text.clone(), now));
        Some(text)
    }

    fn forget(&self) {
        *self.0.lock() = None;
    }
}

pub(super) async fn send(
    kernel: &Kernel,
    apns: &Apns,
    key: &Signer,
    provider: &ProviderToken,
    device: &PushDevice,
    news: &News,
) -> Outcome {
    let now = kernel.clock.now();
    let Some(token) = provider.at(now, apns, key) else {
        return Outcome::Refused("the provider token was not signed".to_owned());
    };
    let placeholder = &kernel.config.push.placeholder;
    let request = request(apns, &token, device, news, placeholder, now);
    match kernel.outbound.post(request).await {
        Ok(answer) => {
            if is_expired(&answer) {
                provider.forget();
            }
            outcome(&answer)
        }
        Err(error) => no_answer(&error),
    }
}

fn request(
    apns: &Apns,
    token: &str,
    device: &PushDevice,
    news: &News,
    placeholder: &str,
    now: Timestamp,
) -> WebRequest {
    let call = device.call_address.as_ref().filter(|_| news.wake == Wake::Call);
    // Without words an alert would not be shown: then the app is only woken.
    let text = news.body.as_deref().unwrap_or(placeholder);
    let is_alert = news.wake.is_loud() && !text.is_empty();
    let (type_, priority) = match (call, is_alert) {
        (Some(_), _) => ("voip", "10"),
        (None, true) => ("alert", "10"),
        (None, false) => ("background", "5"),
    };
    let topic = match call {
        Some(_) => format!("{}.voip", apns.topic),
        None => apns.topic.clone(),
    };
    let mut body = json!({ "aps": aps(type_, text) });
    for (name, value) in news.fields() {
        body[name] = value.into();
    }
    let expiration = now.saturating_add(news.lifetime()).as_micros() / 1_000_000;
    let address = call.unwrap_or(&device.address);
    WebRequest {
        url: format!("{}/3/device/{address}", apns.endpoint),
        headers: vec![
            ("authorization", format!("bearer {token}")),
            ("apns-topic", topic),
            ("apns-push-type", type_.to_owned()),
            ("apns-priority", priority.to_owned()),
            ("apns-expiration", expiration.to_string()),
        ],
        body: body.to_string().into(),
    }
}

/// The app may fetch the message and show that instead (`mutable-content`).
fn aps(type_: &str, text: &str) -> Value {
    match type_ {
        "alert" => json!({ "alert": { "body": text }, "sound": "default", "mutable-content": 1 }),
        "background" => json!({ "content-available": 1 }),
        _ => json!({}),
    }
}

/// By our clock or theirs; the next token may do.
fn is_expired(answer: &WebAnswer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    answer.status == 403 && text_at(&body, "/reason") == "ExpiredProviderToken"
}

/// Apple's table of reasons, "Handling notification responses from APNs".
fn outcome(answer: &WebAnswer) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, text_at(&body, "/reason")) {
        (410, _) | (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => Outcome::Gone,
        _ if is_expired(answer) => Outcome::Later(None),
        (200..=299 | 429 | 500..=599, _) => by_status(answer),
        (status, reason) => Outcome::Refused(format!("status {status} {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means() {
        let answer = |status: u16, reason: &str| {
            let body = json!({ "reason": reason }).to_string().into();
            outcome(&WebAnswer { status, retry_after: None, body })
        };
        assert_eq!(answer(200, ""), Outcome::Delivered);
        assert_eq!(answer(410, "Unregistered"), Outcome::Gone);
        assert_eq!(answer(400, "BadDeviceToken"), Outcome::Gone);
        assert_eq!(answer(400, "DeviceTokenNotForTopic"), Outcome::Gone);
        assert_eq!(answer(403, "ExpiredProviderToken"), Outcome::Later(None));
        assert_eq!(answer(429, "TooManyRequests"), Outcome::Later(None));
        assert_eq!(answer(503, "Shutdown"), Outcome::Later(None));
        for (status, reason) in
            [(400, "BadTopic"), (403, "InvalidProviderToken"), (404, "BadPath"), (413, "")]
        {
            assert!(matches!(answer(status, reason), Outcome::Refused(_)), "{reason}");
        }
    }
}
