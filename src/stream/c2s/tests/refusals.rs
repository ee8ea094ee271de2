//! Nobody gets in as somebody else, or by a way that was not offered.

use super::*;

const SCRAM: Mechanism = Mechanism::Scram { hash: ScramHash::Sha256, plus: false };
const TOKEN_NONE: Mechanism = Mechanism::HtSha256(HtBinding::None);

fn external(authzid: &str) -> String {
    authenticate(Mechanism::External, authzid.as_bytes(), "")
}

fn bearer(authzid: &str) -> String {
    let message = format!("n,{authzid},\x01auth=Bearer {TOKEN}\x01\x01");
    authenticate(Mechanism::OauthBearer, message.as_bytes(), "")
}

fn opened(mechanism: Mechanism) -> Peer {
    let mut peer = Peer::secure(&[mechanism]);
    peer.open();
    peer
}

#[test]
fn a_mechanism_that_was_not_offered() {
    for (offered, used) in [
        (Mechanism::Plain, SCRAM),
        (SCRAM, Mechanism::Plain),
        (SCRAM, Mechanism::Scram { hash: ScramHash::Sha1, plus: false }),
        (SCRAM, Mechanism::Scram { hash: ScramHash::Sha256, plus: true }),
        (SCRAM, Mechanism::External),
        (SCRAM, Mechanism::OauthBearer),
        (SCRAM, TOKEN_NONE),
    ] {
        let inline = format!("{}<fast xmlns='urn:xmpp:fast:0'/>", user_agent(AGENT));
        let request = authenticate(used, &plain(), &inline);
        assert_eq!(opened(offered).fails(&request), "invalid-mechanism", "{used}");
        let auth = format!("<auth xmlns='{}' mechanism='{used}'>AAAA</auth>", ns::SASL);
        assert_eq!(opened(offered).fails(&auth), "invalid-mechanism", "{used}");
    }
    let unknown = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='BLURDYBLOOP'/>";
    assert_eq!(opened(SCRAM).fails(unknown), "invalid-mechanism");
    let none = "<authenticate xmlns='urn:xmpp:sasl:2'/>";
    assert_eq!(opened(SCRAM).fails(none), "invalid-mechanism");
}

#[test]
fn a_foreign_authorization_identity_in_every_mechanism() {
    let victim = "victim@example.org";
    let message = format!("{victim}\0user\0{PASSWORD}");
    let plain = authenticate(Mechanism::Plain, message.as_bytes(), "");
    let mut client = ScramClient::new(ScramHash::Sha256, "user", PASSWORD);
    client.header = format!("n,a={victim},");
    let scram = authenticate(SCRAM, &client.first(), "");
    for (mechanism, request) in [
        (Mechanism::Plain, plain),
        (SCRAM, scram),
        (Mechanism::External, external(victim)),
        (Mechanism::OauthBearer, bearer(&format!("a={victim}"))),
    ] {
        let mut peer = opened(mechanism);
        assert_eq!(peer.fails(&request), "invalid-authzid", "{mechanism}");
        assert!(peer.world.logins.is_empty());
    }
}

#[test]
fn an_authorization_identity_that_the_header_did_not_name() {
    let own = "user@example.org";
    let message = format!("{own}\0user\0{PASSWORD}");
    let plain = authenticate(Mechanism::Plain, message.as_bytes(), "");
    let bearer = bearer(&format!("a={own}"));
    for (mechanism, request) in [
        (Mechanism::Plain, plain),
        (Mechanism::External, external(own)),
        (Mechanism::OauthBearer, bearer),
    ] {
        let mut peer = Peer::secure(&[mechanism]);
        peer.open_from("victim@example.org");
        assert_eq!(peer.fails(&request), "invalid-authzid", "{mechanism}");
        // With a fitting header the same is a login.
        let answer = opened(mechanism).say(&request);
        assert_eq!(identifier(&answer[0]), own, "{mechanism}");
    }
}

#[test]
fn a_token_of_an_account_on_another_host() {
    for (mechanism, request) in
        [(Mechanism::OauthBearer, bearer("")), (Mechanism::External, external(""))]
    {
        let mut peer = opened(mechanism);
        peer.world.named = jid("user@other.example");
        assert_eq!(peer.fails(&request), "not-authorized", "{mechanism}");
        assert!(peer.world.logins.is_empty());
    }
}

#[test]
fn names_of_other_hosts_and_wrong_passwords_look_alike() {
    let answers = ["\0user\0wrong", "\0nobody\0wrong", "\0user@other.example\0pencil"]
        .map(|message| authenticate(Mechanism::Plain, message.as_bytes(), ""))
        .map(|request| opened(Mechanism::Plain).say_one(&request).children().next().cloned());
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(answers[0].as_ref().unwrap().name(), "not-authorized");
}

#[test]
fn an_unknown_user_of_scram_is_challenged_like_a_known_one() {
    let mut salts = Vec::new();
    for user in ["user", "nobody", "nobody"] {
        let mut peer = opened(SCRAM);
        let mut client = ScramClient::new(ScramHash::Sha256, user, "wrong");
        let challenge = peer.say_one(&authenticate(SCRAM, &client.first(), ""));
        let challenge = encoding::decode(&challenge.text(), 4096).unwrap();
        let challenge = String::from_utf8(challenge).unwrap();
        salts.push(challenge.split(',').find(|part| part.starts_with("s=")).unwrap().to_owned());
        let last = response(ns::SASL2, &client.last(&challenge));
        assert_eq!(peer.fails(&last), "not-authorized");
    }
    assert_eq!(salts[1], salts[2]);
}

#[test]
fn malformed_requests() {
    for (request, condition) in [
        (
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
             <initial-response>!</initial-response></authenticate>",
            "incorrect-encoding",
        ),
        (
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><user-agent id='x'/>\
             </authenticate>",
            "malformed-request",
        ),
        (
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
             <resume xmlns='urn:xmpp:sm:3' previd='1' h='many'/></authenticate>",
            "malformed-request",
        ),
        (
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
             <fast xmlns='urn:xmpp:fast:0' count='-1'/></authenticate>",
            "malformed-request",
        ),
        ("<response xmlns='urn:xmpp:sasl:2'/>", "malformed-request"),
        ("<success xmlns='urn:xmpp:sasl:2'/>", "malformed-request"),
        ("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>", "malformed-request"),
        ("<task-data xmlns='urn:xmpp:sasl:2'/>", "malformed-request"),
    ] {
        assert_eq!(opened(Mechanism::Plain).fails(request), condition, "{request}");
    }
}
