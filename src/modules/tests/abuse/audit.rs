use super::*;

const DISABLE: &str = "http://jabber.org/protocol/admin#disable-user";
const PRIVACY: &str = "urn:wello:privacy:0";
const ADD: &str = "http://jabber.org/protocol/admin#add-user";

/// Runs a command of one stage with these fields.
async fn run(server: &Server, session: &Arc<Session>, node: &str, fields: &str) -> Vec<Stanza> {
    let command = format!("<command xmlns='http://jabber.org/protocol/commands' node='{node}'");
    let begin = format!("<iq type='set' id='1' to='{HOST}'>{command} action='execute'/></iq>");
    let shown = server.say(session, &begin).await;
    let begun = shown[0].child("command", "http://jabber.org/protocol/commands");
    let Some(id) = begun.and_then(|begun| begun.attr("sessionid")) else { return shown };
    let complete = format!(
        "<iq type='set' id='2' to='{HOST}'>{command} action='complete' sessionid='{id}'>\
         <x xmlns='jabber:x:data' type='submit'>{fields}</x></command></iq>"
    );
    server.say(session, &complete).await
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='{var}'><value>{value}</value></field>")
}

#[tokio::test]
async fn what_administrators_do_is_written_down_without_secrets() {
    let server = Server::with("").await;
    let nurse = server.session("nurse").await;
    let form = field("accountjid", "paris@wello.example")
        + &field("password", "top secret 1")
        + &field("password-verify", "top secret 1");
    run(&server, &nurse, ADD, &form).await;
    run(&server, &nurse, DISABLE, &field("accountjids", "nobody@wello.example")).await;
    run(&server, &nurse, DISABLE, &field("accountjids", "romeo@wello.example")).await;
    let entries = server.audit().await;
    let told = |number: usize| {
        let AuditEntry { actor, origin, action, target, outcome, .. } = &entries[number];
        format!("{actor} {origin} {action} {target} {outcome}")
    };
    assert_eq!(entries.len(), 3);
    assert_eq!(told(2), "nurse@wello.example 192.0.2.1 add-user paris@wello.example done");
    assert!(told(1).contains("nobody@wello.example failed: "), "{}", told(1));
    assert!(told(0).ends_with("disable-user romeo@wello.example done"), "{}", told(0));
    assert!(!format!("{entries:?}").contains("secret"));
}

#[tokio::test]
async fn what_users_try_or_do_with_their_own_is_not() {
    let server = Server::with("").await;
    let romeo = server.session("romeo").await;
    let refused = run(&server, &romeo, DISABLE, "").await;
    assert_eq!(condition(&refused).as_deref(), Some("forbidden"));
    let chosen = run(&server, &romeo, PRIVACY, &field("presence", "contacts")).await;
    let command = chosen[0].child("command", "http://jabber.org/protocol/commands").unwrap();
    assert_eq!(command.attr("status"), Some("completed"));
    assert_eq!(server.audit().await, []);
}
