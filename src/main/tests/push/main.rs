//! Devices are woken through services that check what they are told as the real ones do.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on has failed.

mod fakes;
mod server;
mod unified;

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256,
};
use axum::http::Version;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use wello_kernel::sessions::Session;

use fakes::{Browser, Fake, decode, verified};
use server::{Server, file, value};

const GONE: &str = "item-not-found";
const LATER: &str = "resource-constraint";
/// Of the manual clock.
const MINUTE: i64 = 60_000_000;

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn fcm() {
    let mut fake = Fake::start().await;
    let key = RsaKey::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
    let account = json!({
        "type": "service_account",
        "project_id": "wello-test",
        "client_email": "push@wello-test.example",
        "token_uri": fake.url("/token"),
        "private_key": pem(der.as_ref()),
    });
    let dir = tempfile::tempdir().unwrap();
    let account = file(&dir, "fcm.json", &account.to_string());
    let push = format!(
        "[push.fcm]\nservice_account = {account:?}\nendpoint = \"https://localhost:{}/\"",
        fake.address.port()
    );
    let server = Server::start(dir, &fake, &["localhost"], &push).await;
    let phone = server.session("romeo", "phone").await;
    let fields = [("token", "abc:DEF"), ("android-id", "my phone")];
    let (node, secret) = server.register(&phone, "register-push-fcm", &fields).await;

    assert_eq!(server.publish(&node, &secret, "message").await, None);
    let asked = fake.next().await;
    assert_eq!(
        (asked.path.as_str(), asked.header("content-type")),
        ("/token", "application/x-www-form-urlencoded")
    );
    let form = String::from_utf8(asked.body.to_vec()).unwrap();
    let (grant, assertion) = form.split_once("&assertion=").unwrap();
    assert_eq!(grant, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    let public = key.public_key().as_ref();
    let (header, claims) = verified(assertion, &RSA_PKCS1_2048_8192_SHA256, public);
    assert_eq!(header["alg"], "RS256");
    assert_eq!(
        claims,
        json!({
            "iss": "push@wello-test.example",
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "aud": fake.url("/token"),
            "iat": 1_800_000_000,
            "exp": 1_800_003_600,
        })
    );
    let sent = fake.next().await;
    assert_eq!(sent.path, "/v1/projects/wello-test/messages:send");
    assert_eq!(sent.header("authorization"), "Bearer token1");
    // Neither who wrote nor what: the operator did not say so.
    assert_eq!(
        sent.json(),
        json!({ "message": {
            "token": "abc:DEF",
            "data": { "node": node, "kind": "message", "count": "2" },
            "android": { "priority": "HIGH", "ttl": "604800s" },
        }})
    );

    // The token is used until it ends.
    assert_eq!(server.publish(&node, &secret, "call").await, None);
    let call = fake.next().await;
    assert_eq!(call.header("authorization"), "Bearer token1");
    assert_eq!(call.json()["message"]["android"]["ttl"], "60s");
    server.clock.advance(59 * MINUTE);
    assert_eq!(server.publish(&node, &secret, "quiet").await, None);
    assert_eq!(fake.next().await.path, "/token");
    let quiet = fake.next().await;
    assert_eq!(quiet.header("authorization"), "Bearer token2");
    assert_eq!(quiet.json()["message"]["android"]["priority"], "NORMAL");

    // One that was taken back is not used again.
    fake.will_answer(401, None, "{}");
    assert_eq!(server.publish(&node, &secret, "message").await.as_deref(), Some(LATER));
    fake.next().await;
    server.clock.advance(MINUTE);
    assert_eq!(server.publish(&node, &secret, "message").await, None);
    assert_eq!(fake.next().await.path, "/token");
    fake.next().await;

    let gone = r#"{"error":{"status":"NOT_FOUND","details":[{"errorCode":"UNREGISTERED"}]}}"#;
    fake.will_answer(404, None, gone);
    assert_eq!(server.publish(&node, &secret, "message").await.as_deref(), Some(GONE));
    fake.next().await;
    assert_eq!(server.publish(&node, &secret, "message").await.as_deref(), Some(GONE));
    fake.was_not_asked();
}

#[tokio::test(flavor = "multi_thread")]
async fn apns() {
    let mut fake = Fake::start().await;
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = file(&dir, "apns.p8", &pem(key.to_pkcs8v1().unwrap().as_ref()));
    let push = format!(
        "[push.apns]\nkey = {file:?}\nkey_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\n\
         topic = \"org.example.app\"\nendpoint = \"https://localhost:{}\"",
        fake.address.port()
    );
    let server = Server::start(dir, &fake, &["localhost"], &push).await;
    let phone = server.session("romeo", "phone").await;
    let (token, voip) = ("00fc13adff785122", "11fc13adff785122");
    let fields = [("token", token), ("voip-token", voip), ("device-id", "p")];
    let (node, secret) = server.register(&phone, "register-push-apns", &fields).await;

    assert_eq!(server.publish(&node, &secret, "message").await, None);
    let alert = fake.next().await;
    assert_eq!(
        (alert.version, alert.path.as_str()),
        (Version::HTTP_2, "/3/device/00fc13adff785122")
    );
    let first = alert.header("authorization").strip_prefix("bearer ").unwrap().to_owned();
    let public = key.public_key().as_ref();
    let (header, claims) = verified(&first, &ECDSA_P256_SHA256_FIXED, public);
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!("ABC123DEFG")));
    assert_eq!(claims, json!({ "iss": "DEF123GHIJ", "iat": 1_800_000_000 }));
    let headers = ["apns-topic", "apns-push-type", "apns-priority", "apns-expiration"];
    assert_eq!(
        headers.map(|name| alert.header(name)),
        ["org.example.app", "alert", "10", "1800604800"]
    );
    assert_eq!(
        alert.json(),
        json!({
            "aps": { "alert": { "body": "New message" }, "sound": "default", "mutable-content": 1 },
            "node": node, "kind": "message", "count": "2",
        })
    );

    server.clock.advance(39 * MINUTE);
    assert_eq!(server.publish(&node, &secret, "call").await, None);
    let call = fake.next().await;
    assert_eq!(call.path, "/3/device/11fc13adff785122");
    assert_eq!(call.header("authorization"), format!("bearer {first}"));
    assert_eq!(
        headers[..3].iter().map(|name| call.header(name)).collect::<Vec<_>>(),
        ["org.example.app.voip", "voip", "10"]
    );
    server.clock.advance(2 * MINUTE);
    assert_eq!(server.publish(&node, &secret, "quiet").await, None);
    let quiet = fake.next().await;
    assert_ne!(quiet.header("authorization"), format!("bearer {first}"));
    assert_eq!(
        (quiet.header("apns-push-type"), quiet.header("apns-priority")),
        ("background", "5")
    );
    assert_eq!(quiet.json()["aps"], json!({ "content-available": 1 }));

    fake.will_answer(403, None, r#"{"reason":"InvalidProviderToken"}"#);
    let error = server.publish(&node, &secret, "message").await;
    assert_eq!(error.as_deref(), Some("internal-server-error"));
    fake.next().await;
    server.clock.advance(MINUTE);
    fake.will_answer(410, None, r#"{"reason":"Unregistered","timestamp":1}"#);
    assert_eq!(server.publish(&node, &secret, "message").await.as_deref(), Some(GONE));
    fake.next().await;
    assert_eq!(server.publish(&node, &secret, "message").await.as_deref(), Some(GONE));
    fake.was_not_asked();
}

/// Subscribes a browser; returns node and secret.
async fn subscribe(
    server: &Server,
    session: &Arc<Session>,
    browser: &Browser,
    url: &str,
) -> (String, String) {
    let key = BASE64_URL_SAFE_NO_PAD.encode(browser.public_key());
    let auth = BASE64_URL_SAFE_NO_PAD.encode(browser.auth);
    let fields =
        [("endpoint", url), ("p256dh", &key), ("auth", &auth), ("device-id", "the browser")];
    server.register(session, "register-push-web", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn web_push() {
    let mut fake = Fake::start().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir, &fake, &["localhost"], "").await;
    let web = server.session("romeo", "web").await;
    let browser = Browser::new();
    let url = fake.url("/send/1?a=b");
    let (node, secret) = subscribe(&server, &web, &browser, &url).await;
    let published = async |kind: &str| server.publish(&node, &secret, kind).await;

    assert_eq!(published("message").await, None);
    let sent = fake.next().await;
    assert_eq!(sent.path, "/send/1");
    let headers = ["content-encoding", "ttl", "urgency", "topic"];
    let topic = node.as_str();
    assert_eq!(headers.map(|name| sent.header(name)), ["aes128gcm", "604800", "high", topic]);
    let authorization = sent.header("authorization").strip_prefix("vapid t=").unwrap();
    let (token, key) = authorization.split_once(", k=").unwrap();
    let (header, claims) = verified(token, &ECDSA_P256_SHA256_FIXED, &decode(key));
    assert_eq!(header["alg"], "ES256");
    assert_eq!(claims["aud"], fake.url(""));
    assert_eq!(claims["sub"], "https://wello.example:5443");
    let exp = claims["exp"].as_i64().unwrap() - 1_800_000_000;
    assert!((1..=24 * 3600).contains(&exp), "{exp}");
    let told = browser.decrypt(&sent.body);
    assert_eq!(told, json!({ "node": node, "kind": "message", "count": "2" }));

    // The key outlives the process, and nobody else can read it.
    use std::os::unix::fs::PermissionsExt as _;
    let about = std::fs::metadata(server.data_dir().join("vapid.key")).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let iq =
        format!("<iq xmlns='jabber:client' type='get' id='i' to='push.wello.example'>{info}</iq>");
    server.say(&web, &iq).await;
    let info = server::next(&web).await.to_element().to_string();
    assert!(info.contains(key) && info.contains("type='push'"), "{info}");

    assert_eq!(published("call").await, None);
    let call = fake.next().await;
    assert_eq!((call.header("ttl"), call.header("topic")), ("60", ""));
    assert_eq!(browser.decrypt(&call.body)["kind"], "call");

    // It is left alone as long as it wants.
    fake.will_answer(429, Some(("retry-after", "120")), "");
    assert_eq!(published("message").await.as_deref(), Some(LATER));
    fake.next().await;
    server.clock.advance(MINUTE);
    assert_eq!(published("message").await.as_deref(), Some(LATER));
    fake.was_not_asked();
    server.clock.advance(2 * MINUTE);
    assert_eq!(published("message").await, None);
    fake.next().await;

    // A redirect is no way to other places.
    let elsewhere = fake.url("/elsewhere");
    fake.will_answer(307, Some(("location", &elsewhere)), "");
    assert_eq!(published("message").await.as_deref(), Some("internal-server-error"));
    assert_eq!(fake.next().await.path, "/send/1");
    fake.was_not_asked();
    server.clock.advance(MINUTE);

    fake.will_answer(410, None, "");
    assert_eq!(published("message").await.as_deref(), Some(GONE));
    fake.next().await;
    assert_eq!(published("message").await.as_deref(), Some(GONE));
    fake.was_not_asked();
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_on_this_machine_are_not_asked() {
    let mut fake = Fake::start().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir, &fake, &[], "").await;
    let web = server.session("romeo", "web").await;
    let port = fake.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let url = format!("https://{host}:{port}/");
        let (node, secret) = subscribe(&server, &web, &Browser::new(), &url).await;
        assert_eq!(
            server.publish(&node, &secret, "message").await.as_deref(),
            Some(GONE),
            "{host}"
        );
        fake.was_not_asked();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_wakes_a_browser_that_is_closed() {
    let mut fake = Fake::start().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir, &fake, &["localhost"], "").await;
    let web = server.session("romeo", "web").await;
    let browser = Browser::new();
    let (node, secret) = subscribe(&server, &web, &browser, &fake.url("/s")).await;
    let enable = format!(
        "<enable xmlns='urn:xmpp:push:0' jid='push.wello.example' node='{node}'>\
         <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>{secret}</value></field></x></enable>"
    );
    assert!(!server.ask(&web, "", &enable).await.is_error());
    server.kernel.end_session(&web, []).await;
    let juliet = server.session("juliet", "x").await;
    let chat = |child: &str| {
        format!(
            "<message xmlns='jabber:client' type='chat' to='romeo@wello.example'>{child}</message>"
        )
    };
    server.say(&juliet, &chat("<body>Hark!</body>")).await;
    let told = browser.decrypt(&fake.next().await.body);
    assert_eq!(told, json!({ "node": node, "kind": "message", "count": "1" }));
    let propose = "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>";
    server.say(&juliet, &chat(propose)).await;
    assert_eq!(browser.decrypt(&fake.next().await.body)["kind"], "call");
    let clip = "<body>https://x/</body><clip xmlns='urn:wello:ptt:0' duration='1000'/>";
    server.say(&juliet, &chat(clip)).await;
    assert_eq!(browser.decrypt(&fake.next().await.body)["kind"], "clip");
    let services = &server.kernel.store.push;
    assert_eq!(services.list("romeo@wello.example").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_keeps_its_node_and_gets_a_new_secret() {
    let mut fake = Fake::start().await;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir, &fake, &["localhost"], "").await;
    let web = server.session("romeo", "web").await;
    let (node, old) = subscribe(&server, &web, &Browser::new(), &fake.url("/1")).await;
    let browser = Browser::new();
    let (again, new) = subscribe(&server, &web, &browser, &fake.url("/2")).await;
    assert_eq!(node, again);
    assert_eq!(server.publish(&node, &old, "message").await.as_deref(), Some("forbidden"));
    assert_eq!(server.publish(&node, &new, "message").await, None);
    assert_eq!(fake.next().await.path, "/2");
    let listed = server.command(&web, "list-push-registrations", &[]).await;
    assert_eq!(value(&listed, "devices"), format!("{node} web the browser"));
}
