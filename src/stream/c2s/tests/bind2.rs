use super::*;
use wello_wire::stanza::MessageType;

fn opened() -> Peer {
    let mut peer = Peer::secure(&[Mechanism::Plain]);
    peer.open();
    peer
}

/// A session that waits to be resumed, with one message that was not acknowledged.
fn hibernating(peer: &mut Peer, jid: &str) {
    let message = Stanza::message(MessageType::Chat).with_id("missed");
    let mut management = StreamManagement::restore("prev".into(), 5, 2, [message]);
    management.handle_stanza();
    peer.world.sessions.insert("prev".to_owned(), (full(jid), management));
}

fn resume(h: &str) -> String {
    format!("<resume xmlns='urn:xmpp:sm:3' previd='prev' h='{h}'/>")
}

const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>App</tag>\
                    <enable xmlns='urn:xmpp:carbons:2'/>\
                    <enable xmlns='urn:xmpp:sm:3' resume='true'/>\
                    <inactive xmlns='urn:xmpp:csi:0'/></bind>";

#[test]
fn one_round_trip_to_a_managed_session() {
    let mut peer = opened();
    let metadata = Element::new("metadata", ns::MAM);
    peer.world.bind = Ok(vec![metadata]);
    let answer = peer.say(&plain_login(&format!("{}{BIND}", user_agent(AGENT))));
    assert_eq!(identifier(&answer[0]), "user@example.org/App.id");
    let bound = answer[0].child("bound", ns::BIND2).unwrap();
    assert_eq!(names(bound), [("metadata", ns::MAM), ("enabled", ns::SM)]);
    let enabled = bound.child("enabled", ns::SM).unwrap();
    assert_eq!(enabled.attr("id"), Some(peer.world.managed[0].as_str()));
    assert_eq!(enabled.attr("resume"), Some("true"));
    assert_eq!(enabled.attr("max"), Some("600"));
    let features = &answer[1];
    assert!(features.is("features", ns::STREAM));
    assert!(features.child("bind", ns::BIND).is_none() && features.child("sm", ns::SM).is_none());
    assert!(features.child("c", ns::CAPS).is_some(), "the host adds its own");
    let request = &peer.world.binds[0];
    assert!(request.bind2 && request.resource == ResourceWish::Tagged("App".into()));
    assert!(request.inline.iter().any(|child| child.is("enable", ns::CARBONS)));
    assert_eq!(peer.world.active, [false]);
    // Inactive from the start: what can wait is held back.
    let chatter = Stanza::message(MessageType::Chat)
        .with_child(Element::new("received", "urn:xmpp:receipts"));
    peer.stream.send(chatter);
    assert!(!peer.stream.has_output());
    // Managed from the start: the client's first stanza is counted.
    peer.say("<message/>");
    let management = peer.stream.established().unwrap().management().unwrap();
    assert_eq!(management.handled(), 1);
}

#[test]
fn management_can_still_be_enabled_after_a_plain_bind() {
    let mut peer = opened();
    let answer = peer.say(&plain_login("<bind xmlns='urn:xmpp:bind:0'/>"));
    assert_eq!(identifier(&answer[0]), "user@example.org/any");
    assert!(answer[0].child("bound", ns::BIND2).is_some());
    assert!(answer[1].child("sm", ns::SM).is_some());
    let enabled = peer.say_one("<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(enabled.is("enabled", ns::SM) && enabled.attr("id").is_none());
}

#[test]
fn a_refused_bind_leaves_a_client_without_a_resource() {
    let mut peer = opened();
    peer.world.bind = Err(StanzaError::resource_constraint("too many"));
    let answer = peer.say(&plain_login(BIND));
    assert_eq!(identifier(&answer[0]), "user@example.org");
    assert!(answer[0].child("bound", ns::BIND2).is_none());
    assert!(answer[1].child("bind", ns::BIND).is_some());
    assert!(peer.world.managed.is_empty() && peer.world.active.is_empty());
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    let error = peer.say_one(bind);
    assert!(error.to_string().contains("resource-constraint"), "{error}");
}

#[test]
fn resumption_comes_first_and_the_bind_is_ignored() {
    let mut peer = opened();
    hibernating(&mut peer, "user@example.org/old");
    let answer = peer.say(&plain_login(&format!("{BIND}{}", resume("2"))));
    assert_eq!(identifier(&answer[0]), "user@example.org/old");
    let resumed = answer[0].child("resumed", ns::SM).unwrap();
    assert_eq!((resumed.attr("previd"), resumed.attr("h")), (Some("prev"), Some("6")));
    assert!(answer[0].child("bound", ns::BIND2).is_none());
    // No features: what was missed comes right after.
    assert_eq!(answer.len(), 2);
    assert_eq!(answer[1].attr("id"), Some("missed"));
    assert!(peer.world.binds.is_empty());
    peer.say("<message/>");
    assert_eq!(peer.world.stanzas.len(), 1);
}

#[test]
fn a_failed_resumption_is_told_and_then_a_resource_is_bound() {
    let mut peer = opened();
    let answer = peer.say(&plain_login(&format!("{}{BIND}", resume("0"))));
    assert_eq!(identifier(&answer[0]), "user@example.org/App.id");
    let failed = answer[0].child("failed", ns::SM).unwrap();
    assert_eq!(failed.children().next().unwrap().name(), "item-not-found");
    assert!(answer[0].child("bound", ns::BIND2).is_some());
    assert_eq!(peer.world.resumes[0].id, "prev");
}

#[test]
fn the_session_of_another_user_is_not_found() {
    let mut peer = opened();
    hibernating(&mut peer, "victim@example.org/old");
    let answer = peer.say(&plain_login(&resume("2")));
    assert_eq!(identifier(&answer[0]), "user@example.org");
    assert!(answer[0].child("failed", ns::SM).is_some());
    assert!(answer[1].is("features", ns::STREAM));
    assert_eq!(peer.world.resumes[0].identity.as_str(), "user@example.org");
}

#[test]
fn a_client_that_handled_more_than_it_was_sent() {
    let mut peer = opened();
    hibernating(&mut peer, "user@example.org/old");
    let answer = peer.say(&plain_login(&resume("9")));
    assert!(answer[0].child("handled-count-too-high", ns::SM).is_some(), "{answer:?}");
    assert!(answer.iter().all(|element| element.name() != "success"));
    assert!(peer.world.closed);
    // The session can still be resumed by a client that knows better.
    assert!(peer.stream.established().unwrap().is_resumable());
}
