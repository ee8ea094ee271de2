use super::*;

const NONE: Mechanism = Mechanism::HtSha256(HtBinding::None);
const EXPR: Mechanism = Mechanism::HtSha256(HtBinding::Expr);

fn opened() -> Peer {
    let mut peer = Peer::secure(&[Mechanism::Plain, NONE, EXPR]);
    peer.open();
    peer.world.token = Some(Token { token: Secret::new("next"), expiry: "2030-01-01".to_owned() });
    peer
}

fn login(mechanism: Mechanism, token: &str, binding: &[u8], agent: &str, fast: &str) -> String {
    let inline = format!("{}{fast}", user_agent(agent));
    authenticate(mechanism, &hashed_token(token, binding), &inline)
}

fn fast(attributes: &str) -> String {
    format!("<fast xmlns='urn:xmpp:fast:0' {attributes}/>")
}

fn request(mechanism: &str) -> String {
    format!("<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/>")
}

fn token(success: &Element) -> Option<&str> {
    identifier(success);
    success.child("token", ns::FAST)?.attr("token")
}

#[test]
fn a_token_is_issued_on_request() {
    let mut peer = opened();
    let inline = format!("{}{}", user_agent(AGENT), request("HT-SHA-256-EXPR"));
    let answer = peer.say(&plain_login(&inline));
    assert_eq!(token(&answer[0]), Some("next"));
    let (account, client, mechanism) = &peer.world.issued[0];
    assert_eq!((account.as_str(), *mechanism), ("user@example.org", EXPR));
    assert_eq!(client.to_string(), AGENT);
}

#[test]
fn no_token_for_nobody_in_particular_nor_for_what_was_not_offered() {
    for inline in [
        request("HT-SHA-256-NONE"),
        format!("<user-agent/>{}", request("HT-SHA-256-NONE")),
        format!("{}{}", user_agent(AGENT), request("HT-SHA-256-ENDP")),
        format!("{}{}", user_agent(AGENT), request("PLAIN")),
        format!("{}{}", user_agent(AGENT), "<request-token xmlns='urn:xmpp:fast:0'/>"),
    ] {
        let mut peer = opened();
        assert_eq!(token(&peer.say(&plain_login(&inline))[0]), None, "{inline}");
        assert!(peer.world.issued.is_empty());
    }
}

#[test]
fn no_token_for_a_login_that_failed() {
    let mut peer = opened();
    peer.world.login = Err(refused());
    let inline = format!("{}{}", user_agent(AGENT), request("HT-SHA-256-NONE"));
    assert_eq!(peer.fails(&plain_login(&inline)), "not-authorized");
    assert!(peer.world.issued.is_empty());
}

#[test]
fn a_token_logs_in_and_its_use_is_reported() {
    let mut peer = opened();
    let bind = "<bind xmlns='urn:xmpp:bind:0'/>";
    let fast = format!("{}{bind}", fast("count='7'"));
    let answer = peer.say(&login(NONE, TOKEN, b"", AGENT, &fast));
    assert_eq!(identifier(&answer[0]), "user@example.org/any");
    assert_eq!(token(&answer[0]), None);
    let used = peer.world.logins[0].token.unwrap();
    assert_eq!(used, TokenUse { index: 0, count: Some(7), invalidate: false });
    // The server knows the token too.
    let data = answer[0].child("additional-data", ns::SASL2).unwrap().text().into_owned();
    let expected = ScramHash::Sha256.hmac(TOKEN.as_bytes(), &[b"Responder"]);
    assert_eq!(encoding::decode(&data, 64).unwrap(), expected);
}

#[test]
fn a_token_is_bound_to_its_client_mechanism_and_channel() {
    let mut peer = opened();
    peer.world.tokens.push((AGENT, EXPR));
    let tag = fast("");
    for wrong in [
        login(NONE, "guess", b"", AGENT, &tag),
        login(NONE, TOKEN, b"", OTHER_AGENT, &tag),
        login(EXPR, TOKEN, b"another channel", AGENT, &tag),
    ] {
        let mut peer = opened();
        peer.world.tokens.push((AGENT, EXPR));
        assert_eq!(peer.fails(&wrong), "not-authorized");
    }
    let answer = peer.say(&login(EXPR, TOKEN, &EXPORTER, AGENT, &tag));
    assert_eq!(identifier(&answer[0]), "user@example.org");
    // Issued for one mechanism, it is nothing to the other.
    let mut peer = opened();
    peer.world.tokens = vec![(AGENT, EXPR)];
    assert_eq!(peer.fails(&login(NONE, TOKEN, b"", AGENT, &tag)), "not-authorized");
}

#[test]
fn a_token_needs_its_element_and_a_client_id() {
    let mac = hashed_token(TOKEN, b"");
    assert_eq!(opened().fails(&authenticate(NONE, &mac, &user_agent(AGENT))), "malformed-request");
    assert_eq!(opened().fails(&authenticate(NONE, &mac, &fast(""))), "malformed-request");
}

#[test]
fn an_old_token_is_replaced_unasked() {
    let mut peer = opened();
    peer.world.login = Ok(Welcome { renews_token: true, ..Welcome::default() });
    let answer = peer.say(&login(NONE, TOKEN, b"", AGENT, &fast("")));
    assert_eq!(token(&answer[0]), Some("next"));
    assert_eq!(peer.world.issued[0].2, NONE);
}

#[test]
fn a_token_that_is_given_up_is_replaced_on_request_only() {
    let invalidate = fast("invalidate='true'");
    for (more, expected) in [(String::new(), None), (request("HT-SHA-256-NONE"), Some("next"))] {
        let mut peer = opened();
        peer.world.login = Ok(Welcome { renews_token: true, ..Welcome::default() });
        let answer = peer.say(&login(NONE, TOKEN, b"", AGENT, &format!("{invalidate}{more}")));
        assert_eq!(token(&answer[0]), expected);
        assert!(peer.world.logins[0].token.unwrap().invalidate);
    }
}
