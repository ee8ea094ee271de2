use super::*;

const NEXT: &str = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>";

fn upgrade(hash: u32) -> String {
    format!("<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-{hash}</upgrade>")
}

/// A client that asks for both upgrades, on an account that lacks these.
fn opened(missing: &[ScramHash]) -> Peer {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer.world.login = Ok(Welcome { upgrades: missing.to_vec(), ..Welcome::default() });
    peer
}

fn login() -> String {
    let bind = "<bind xmlns='urn:xmpp:bind:0'/>";
    plain_login(&format!("{}{}{bind}", upgrade(512), upgrade(256)))
}

fn task_data(hash: &[u8]) -> String {
    format!(
        "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{}</hash>\
         </task-data>",
        encoding::encode(hash)
    )
}

fn task(answer: &Element) -> String {
    assert!(answer.is("continue", ns::SASL2), "{answer}");
    let tasks = answer.child("tasks", ns::SASL2).unwrap();
    assert_eq!(tasks.children().count(), 1);
    tasks.child("task", ns::SASL2).unwrap().text().into_owned()
}

/// Does one task, from `<next/>` to what comes after it.
fn perform(peer: &mut Peer, hash: ScramHash) -> Vec<Element> {
    let task = format!("<next xmlns='urn:xmpp:sasl:2' task='UPGR-{}'/>", hash.mechanism_name());
    let data = peer.say_one(&task);
    let salt = data.child("salt", ns::SCRAM_UPGRADE).unwrap();
    assert_eq!(salt.attr("iterations"), Some("4096"));
    let salt = encoding::decode(&salt.text(), 64).unwrap();
    peer.say(&task_data(&hash.salted_password(PASSWORD.as_bytes(), &salt, 4096)))
}

#[test]
fn all_that_the_account_lacks_then_success() {
    let mut peer = opened(&[ScramHash::Sha512, ScramHash::Sha256]);
    assert_eq!(task(&peer.say_one(&login())), "UPGR-SCRAM-SHA-512");
    assert_eq!(peer.world.logins[0].upgrades, [ScramHash::Sha512, ScramHash::Sha256]);
    assert_eq!(task(&perform(&mut peer, ScramHash::Sha512)[0]), "UPGR-SCRAM-SHA-256");
    assert!(peer.world.binds.is_empty());
    let answer = perform(&mut peer, ScramHash::Sha256);
    assert_eq!(identifier(&answer[0]), "user@example.org/any");
    let hashes: Vec<_> = peer.world.keys.iter().map(ScramKeys::hash).collect();
    assert_eq!(hashes, [ScramHash::Sha512, ScramHash::Sha256]);
    assert!(peer.world.keys.iter().all(|keys| keys.verify_password(PASSWORD)));
}

#[test]
fn an_account_that_lacks_nothing_has_no_tasks() {
    let answer = opened(&[]).say(&login());
    assert_eq!(identifier(&answer[0]), "user@example.org/any");
}

#[test]
fn what_the_client_did_not_offer_is_not_asked_of_it() {
    let mut peer = opened(&[ScramHash::Sha512]);
    let answer = peer.say(&plain_login(&upgrade(256)));
    assert_eq!(identifier(&answer[0]), "user@example.org");
}

#[test]
fn the_data_of_the_mechanism_goes_with_the_first_task() {
    let scram = Mechanism::Scram { hash: ScramHash::Sha256, plus: false };
    let mut peer = Peer::secure(&[scram]);
    peer.open();
    peer.world.login = Ok(Welcome { upgrades: vec![ScramHash::Sha512], ..Welcome::default() });
    let mut client = ScramClient::new(ScramHash::Sha256, "user", PASSWORD);
    let challenge = peer.say_one(&authenticate(scram, &client.first(), &upgrade(512)));
    let challenge = encoding::decode(&challenge.text(), 4096).unwrap();
    let last = client.last(std::str::from_utf8(&challenge).unwrap());
    let demand = peer.say_one(&response(ns::SASL2, &last));
    let data = demand.child("additional-data", ns::SASL2).unwrap().text().into_owned();
    assert!(client.accepts(&encoding::decode(&data, 4096).unwrap()));
    let answer = perform(&mut peer, ScramHash::Sha512);
    assert!(answer[0].child("additional-data", ns::SASL2).is_none());
}

#[test]
fn tasks_out_of_turn_and_bad_hashes_fail_the_login() {
    let other = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>";
    let abort = "<abort xmlns='urn:xmpp:sasl:2'/>";
    for (first, second, condition) in [
        (None, other, "malformed-request"),
        (None, &*task_data(&[1; 64]), "malformed-request"),
        (Some(NEXT), NEXT, "malformed-request"),
        (Some(NEXT), &*task_data(&[1; 20]), "malformed-request"),
        (Some(NEXT), "<task-data xmlns='urn:xmpp:sasl:2'/>", "malformed-request"),
        (Some(NEXT), &*response(ns::SASL2, b""), "malformed-request"),
        (None, abort, "aborted"),
    ] {
        let mut peer = opened(&[ScramHash::Sha512]);
        peer.say_one(&login());
        if let Some(first) = first {
            peer.say_one(first);
        }
        assert_eq!(peer.fails(second), condition, "{second}");
        assert!(peer.world.keys.is_empty() && peer.world.binds.is_empty());
        // XEP-0388, "Multiple Authentication"
        assert_eq!(peer.dies(&login()), "not-authorized");
    }
}
