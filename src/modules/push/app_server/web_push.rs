//! Web Push (RFC 8030), to browsers and to whatever takes the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::outbound::WebRequest;
use wello_store::{PushDevice, Timestamp};

use super::super::wake::Wake;
use super::ece::encrypt;
use super::gateway::{News, Outcome, by_status, no_answer};
use super::jwt::Signer;

/// RFC 8292, section 2: 24 hours at most; clocks differ.
const TOKEN_SECONDS: i64 = 12 * 3600;
/// RFC 8030, section 5.4.
const MAX_TOPIC: usize = 32;

pub(super) async fn send(
    kernel: &Kernel,
    key: &Signer,
    device: &PushDevice,
    news: &News,
) -> Outcome {
    let subject = subject(&kernel.config);
    match request(key, subject.as_deref(), device, news, kernel.clock.now()) {
        None => Outcome::Gone,
        Some(request) => match kernel.outbound.post(request).await {
            Ok(answer) => by_status(&answer),
            Err(error) => no_answer(&error),
        },
    }
}

/// `None` when the subscription cannot be used.
fn request(
    key: &Signer,
    subject: Option<&str>,
    device: &PushDevice,
    news: &News,
    now: Timestamp,
) -> Option<WebRequest> {
    let (public_key, auth) = (device.public_key.as_deref()?, device.auth.as_deref()?);
    let fields = news.fields().into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    let text = Value::Object(fields.collect::<Map<String, Value>>()).to_string();
    let body = encrypt(text.as_bytes(), public_key, auth).ok()?;
    // RFC 8030, section 5.3: a device that saves its battery takes "high" alone.
    let urgency = if news.wake.is_loud() { "high" } else { "normal" };
    let mut headers = vec![
        ("authorization", authorization(key, subject, &device.address, now)?),
        ("content-encoding", "aes128gcm".to_owned()),
        ("content-type", "application/octet-stream".to_owned()),
        ("ttl", news.lifetime().as_secs().to_string()),
        ("urgency", urgency.to_owned()),
    ];
    // What waits for the device is replaced by the next, but a call must not be.
    if news.wake != Wake::Call {
        headers.push(("topic", topic(&device.node)));
    }
    Some(WebRequest { url: device.address.clone(), headers, body })
}

/// RFC 8292, section 3.
fn authorization(
    key: &Signer,
    subject: Option<&str>,
    endpoint: &str,
    now: Timestamp,
) -> Option<String> {
    let exp = now.as_micros() / 1_000_000 + TOKEN_SECONDS;
    let mut claims = json!({ "aud": origin(endpoint)?, "exp": exp });
    if let Some(subject) = subject {
        claims["sub"] = subject.into();
    }
    let token = key.sign(None, &claims).ok()?;
    Some(format!("vapid t={token}, k={}", public_key(key)))
}

/// The key that browsers have to subscribe with.
pub(super) fn public_key(key: &Signer) -> String {
    URL_SAFE_NO_PAD.encode(key.public_key().unwrap_or_default())
}

/// RFC 8292, section 2.1: whom the service can ask about us. Apple wants to be told.
fn subject(config: &Config) -> Option<String> {
    let is_fit = |uri: &&String| uri.starts_with("mailto:") || uri.starts_with("https:");
    let web = || config.web_address(config.domains().first()?);
    config.contact.admin.iter().find(is_fit).cloned().or_else(web)
}

/// Scheme, host and port of a URL.
pub(super) fn origin(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (length > 0).then(|| &url[.."https://".len() + length])
}

/// Nodes have the characters that topics may have.
fn topic(node: &str) -> String {
    node.chars().filter(char::is_ascii_alphanumeric).take(MAX_TOPIC).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let table = [
            ("https://push.example/a?b", Some("https://push.example")),
            ("https://push.example:8443/a", Some("https://push.example:8443")),
            ("https://push.example", Some("https://push.example")),
            ("http://push.example/", None),
            ("https:///a", None),
        ];
        for (url, expected) in table {
            assert_eq!(origin(url), expected, "{url}");
        }
    }
}
