//! Passwords, sessions and what is counted.

use wello_store::ClientKind;

use super::*;
use crate::admission::Admission;

const ENABLE: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>App</tag>\
                      <enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>";

fn resume(id: &str) -> String {
    format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>")
}

fn managed_id(success: &Element) -> String {
    let bound = success.child("bound", ns::BIND2).unwrap();
    bound.child("enabled", ns::SM).unwrap().attr("id").unwrap().to_owned()
}

/// A guess by SCRAM; the condition with which it fails.
async fn guess_by_scram(world: &World, user: &str) -> String {
    let mut client = world.connect().await;
    let first = format!("n,,n={user},r=abcdefgh");
    let answer = client.ask(&authenticate("SCRAM-SHA-256", first.as_bytes(), "")).await;
    if !answer.is("challenge", ns::SASL2) {
        return condition(&answer);
    }
    let challenge = encoding::decode(&answer.text(), 4096).unwrap();
    let challenge = String::from_utf8(challenge).unwrap();
    let nonce = challenge.split(',').find(|part| part.starts_with("r=")).unwrap();
    let last = format!("c=biws,{nonce},p={}", encoding::encode(&[0; 32]));
    let response = format!(
        "<response xmlns='urn:xmpp:sasl:2'>{}</response>",
        encoding::encode(last.as_bytes())
    );
    condition(&client.ask(&response).await)
}

#[tokio::test]
async fn who_has_logged_in_counts_no_more_against_the_address() {
    let world = World::start().await;
    let (admission, address) = (Admission::new(10, 1), IpAddr::from([192, 0, 2, 1]));
    let permit = Arc::new(admission.admit(admission.slot().await, address).unwrap());
    let mut client = world.connect_over(Arc::downgrade(&permit), "user@wello.example").await;
    assert!(admission.admit(admission.slot().await, address).is_none());
    let success = client.ask(&plain(PASSWORD, BIND)).await;
    assert!(success.is("success", ns::SASL2), "{success}");
    assert!(admission.admit(admission.slot().await, address).is_some());
}

#[tokio::test]
async fn a_login_is_remembered_with_its_client() {
    let world = World::start().await;
    let (_client, success) =
        world.log_in(&plain(PASSWORD, &format!("{}{BIND}", user_agent(PHONE)))).await;
    let jid: wello_wire::jid::Jid = identifier(&success).parse().unwrap();
    let session = world.kernel.sessions.find(&jid).unwrap();
    assert_eq!(session.info.client_id.as_deref(), Some(PHONE));
    assert_eq!(session.info.mechanism, Mechanism::Plain.name());
    let clients = world.kernel.store.clients.list("user@wello.example").await.unwrap();
    assert_eq!((clients[0].id.as_str(), clients[0].kind), (PHONE, ClientKind::Session));
    assert_eq!(clients[0].software.as_deref(), Some("Test"));
    assert_eq!(clients[0].tag.as_deref(), Some("App"));
    let account = world.kernel.store.accounts.find("user@wello.example").await.unwrap().unwrap();
    assert_eq!(account.last_login, Some(world.clock.now()));
}

#[tokio::test]
async fn the_same_client_keeps_its_resource_and_ends_its_former_session() {
    let world = World::start().await;
    let request = plain(PASSWORD, &format!("{}{BIND}", user_agent(PHONE)));
    let (mut first, success) = world.log_in(&request).await;
    let (_laptop, other) =
        world.log_in(&plain(PASSWORD, &format!("{}{BIND}", user_agent(LAPTOP)))).await;
    let (_second, again) = world.log_in(&request).await;
    assert_eq!(identifier(&success), identifier(&again));
    assert_ne!(identifier(&success), identifier(&other));
    assert_eq!(first.ending().await, "conflict");
    // Also when it calls itself something else this time.
    let renamed = "<bind xmlns='urn:xmpp:bind:0'><tag>Other</tag></bind>";
    let (mut third, _) = world.log_in(&request).await;
    world.log_in(&plain(PASSWORD, &format!("{}{renamed}", user_agent(PHONE)))).await;
    assert_eq!(third.ending().await, "conflict");
}

#[tokio::test]
async fn a_session_is_resumed_together_with_the_login() {
    let world = World::start().await;
    let (client, success) = world.log_in(&plain(PASSWORD, ENABLE)).await;
    let id = managed_id(&success);
    drop(client);
    let (mut client, again) =
        world.log_in(&plain(PASSWORD, &format!("{}{ENABLE}", resume(&id)))).await;
    assert_eq!(identifier(&again), identifier(&success));
    assert_eq!(again.child("resumed", ns::SM).unwrap().attr("previd"), Some(id.as_str()));
    assert!(again.child("bound", ns::BIND2).is_none());
    let answer = client.ask("<r xmlns='urn:xmpp:sm:3'/>").await;
    assert!(answer.is("a", ns::SM), "{answer}");
}

#[tokio::test]
async fn the_session_of_another_user_stays_theirs() {
    let world = World::start().await;
    let (victim, success) = world.log_in(&plain(PASSWORD, ENABLE)).await;
    let id = managed_id(&success);
    let mut thief = world.connect_as("other@wello.example").await;
    let message = format!("\0other\0{PASSWORD}");
    let request = authenticate("PLAIN", message.as_bytes(), &format!("{}{BIND}", resume(&id)));
    let answer = thief.ask(&request).await;
    assert!(answer.child("failed", ns::SM).is_some() && answer.child("resumed", ns::SM).is_none());
    assert!(identifier(&answer).starts_with("other@wello.example/"));
    // It can still be resumed by its owner.
    drop(victim);
    let (_, again) = world.log_in(&plain(PASSWORD, &resume(&id))).await;
    assert!(again.child("resumed", ns::SM).is_some());
}

#[tokio::test]
async fn too_many_sessions_are_refused_in_words() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(world.log_in(&plain(PASSWORD, BIND)).await);
    }
    let (mut client, success) = world.log_in(&plain(PASSWORD, BIND)).await;
    assert!(success.child("bound", ns::BIND2).is_none());
    assert_eq!(identifier(&success), "user@wello.example");
    assert!(client.hear().await.child("bind", ns::BIND).is_some());
    let bind = "<iq xmlns='jabber:client' type='set' id='b'>\
                <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let refusal = client.ask(bind).await.to_string();
    assert!(refusal.contains("resource-constraint"), "{refusal}");
}

#[tokio::test]
async fn guesses_are_counted_whatever_the_mechanism_and_whoever_is_meant() {
    let world = World::with("max_failures = 2", RootCertStore::empty()).await;
    for user in ["user", "nobody"] {
        assert_eq!(guess_by_scram(&world, user).await, "not-authorized", "{user}");
        assert_eq!(guess_by_scram(&world, user).await, "not-authorized", "{user}");
        assert_eq!(guess_by_scram(&world, user).await, "temporary-auth-failure", "{user}");
    }
    assert_eq!(world.refusal(&plain(PASSWORD, "")).await, "temporary-auth-failure");
    world.clock.advance(DAY);
    // One failure each time, not two.
    assert_eq!(world.refusal(&plain("wrong", "")).await, "not-authorized");
    assert_eq!(world.refusal(&plain("wrong", "")).await, "not-authorized");
    assert_eq!(world.refusal(&plain(PASSWORD, "")).await, "temporary-auth-failure");
}

#[tokio::test]
async fn one_guess_counts_once_against_an_address() {
    let world = World::with("max_failures = 1", RootCertStore::empty()).await;
    for user in ["a", "b"] {
        let request = authenticate("PLAIN", format!("\0{user}\0x").as_bytes(), "");
        assert_eq!(world.refusal(&request).await, "not-authorized");
        assert_eq!(guess_by_scram(&world, &format!("{user}{user}")).await, "not-authorized");
    }
    // Four failures, and five are the bound for an address.
    world.log_in(&plain(PASSWORD, "")).await;
    assert_eq!(world.refusal(&plain("wrong", "")).await, "not-authorized");
    let other = authenticate("PLAIN", format!("\0other\0{PASSWORD}").as_bytes(), "");
    assert_eq!(world.refusal(&other).await, "temporary-auth-failure");
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_are_answered_alike() {
    let world = World::start().await;
    let mut answers = Vec::new();
    for message in ["\0user\0wrong", "\0nobody\0wrong"] {
        let mut client = world.connect().await;
        answers.push(client.ask(&authenticate("PLAIN", message.as_bytes(), "")).await);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_client_adds_keys_for_a_stronger_hash() {
    let world = World::start().await;
    let accounts = &world.kernel.store.accounts;
    let (mut imported, _) = accounts.credentials("user@wello.example").await.unwrap().unwrap();
    imported.scram.retain(|row| row.mechanism == "SCRAM-SHA-1");
    accounts.set_credentials("user@wello.example", &imported).await.unwrap();
    let mut client = world.connect().await;
    let upgrade = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>";
    assert_eq!(client.ask(&plain(PASSWORD, upgrade)).await.name(), "continue");
    let next = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>";
    let data = client.ask(next).await;
    let salt = data.child("salt", ns::SCRAM_UPGRADE).unwrap();
    let iterations = salt.attr("iterations").unwrap().parse().unwrap();
    let salt = encoding::decode(&salt.text(), 64).unwrap();
    let hash = ScramHash::Sha256.salted_password(PASSWORD.as_bytes(), &salt, iterations);
    let task_data = format!(
        "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{}</hash>\
         </task-data>",
        encoding::encode(&hash)
    );
    let success = client.ask(&task_data).await;
    assert_eq!(identifier(&success), "user@wello.example");
    let jid = "user@wello.example".parse().unwrap();
    let found = world.kernel.accounts.scram_keys(&jid, ScramHash::Sha256).await.unwrap();
    assert!(found.unwrap().0.verify_password(PASSWORD));
}

#[tokio::test]
async fn what_some_account_has_no_keys_for_is_not_offered() {
    let world = World::start().await;
    assert!(world.connect().await.offer.contains(">SCRAM-SHA-512<"));
    let accounts = &world.kernel.store.accounts;
    let (complete, _) = accounts.credentials("user@wello.example").await.unwrap().unwrap();
    let mut imported = complete.clone();
    imported.scram.retain(|row| row.mechanism == "SCRAM-SHA-1");
    accounts.set_credentials("user@wello.example", &imported).await.unwrap();
    world.server.refresh().await.unwrap();
    let offer = world.connect().await.offer;
    assert!(offer.contains(">SCRAM-SHA-1<") && offer.contains("UPGR-SCRAM-SHA-256"), "{offer}");
    assert!(!offer.contains(">SCRAM-SHA-256") && !offer.contains(">SCRAM-SHA-512"), "{offer}");
    accounts.set_credentials("user@wello.example", &complete).await.unwrap();
    world.server.refresh().await.unwrap();
    assert!(world.connect().await.offer.contains(">SCRAM-SHA-512<"));
}

#[tokio::test]
async fn nothing_can_be_registered_where_nobody_answers() {
    let world = World::start().await;
    let mut client = world.connect().await;
    let get = "<iq xmlns='jabber:client' type='get' id='r' from='x@y/z' to='wello.example'>\
               <query xmlns='jabber:iq:register'/></iq>";
    let answer = client.ask(get).await;
    assert_eq!((answer.attr("from"), answer.attr("to")), (Some("wello.example"), None));
    assert!(answer.to_string().contains("service-unavailable"));
}
