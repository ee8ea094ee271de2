//! The decisions, as tables.

use wello_store::{PushService, Timestamp};
use wello_wire::stanza::Stanza;

use super::policy::{Away, is_answer, is_woken, wake};
use super::publish::{Outcome, outcome};
use super::wake::Wake;

fn stanza(text: &str) -> Stanza {
    let text = text.replacen(' ', " xmlns='jabber:client' ", 1);
    Stanza::from_element(text.parse().unwrap()).unwrap()
}

fn message(attributes: &str, children: &str) -> Option<Wake> {
    wake(&stanza(&format!("<message {attributes}>{children}</message>"))).0
}

#[test]
fn what_a_device_is_woken_for() {
    const LOUD: Option<Wake> = Some(Wake::Message);
    const QUIET: Option<Wake> = Some(Wake::Quiet);
    const CALL: Option<Wake> = Some(Wake::Call);
    let body = "<body>x</body>";
    let omemo = "<encrypted xmlns='eu.siacs.conversations.axolotl'/>";
    let store = "<store xmlns='urn:xmpp:hints'/>";
    let no_store = "<no-store xmlns='urn:xmpp:hints'/>";
    let call = |name: &str| format!("<{name} xmlns='urn:xmpp:jingle-message:0' id='1'/>");
    let wrap = |side: &str| {
        format!(
            "<{side} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client'>{body}</message></forwarded></{side}>"
        )
    };
    for (type_, children, expected) in [
        ("chat", body.to_owned(), LOUD),
        ("normal", body.to_owned(), LOUD),
        ("groupchat", body.to_owned(), LOUD),
        ("headline", body.to_owned(), None),
        ("error", body.to_owned(), None),
        ("chat", "<body/>".to_owned(), None),
        ("groupchat", format!("{body}<clip xmlns='urn:wello:ptt:0'/>"), Some(Wake::Clip)),
        ("chat", omemo.to_owned(), LOUD),
        ("groupchat", omemo.to_owned(), LOUD),
        ("chat", "<openpgp xmlns='urn:xmpp:openpgp:0'/>".to_owned(), LOUD),
        ("chat", "<file-sharing xmlns='urn:xmpp:sfs:0'/>".to_owned(), LOUD),
        ("chat", call("propose"), CALL),
        ("chat", call("propose") + no_store, CALL),
        ("chat", call("retract"), QUIET),
        ("chat", call("accept"), None),
        ("chat", "<invite xmlns='urn:xmpp:call-invites:0'/>".to_owned(), CALL),
        ("groupchat", "<invite xmlns='urn:xmpp:call-invites:0'/>".to_owned(), CALL),
        ("chat", "<retract xmlns='urn:xmpp:call-invites:0' id='1'/>".to_owned(), QUIET),
        ("chat", "<accept xmlns='urn:xmpp:call-invites:0' id='1'/>".to_owned(), None),
        ("chat", "<propose xmlns='tigase:meet:0' id='1'/>".to_owned(), CALL),
        ("chat", "<retract xmlns='tigase:meet:0' id='1'/>".to_owned(), QUIET),
        ("chat", format!("{body}{no_store}"), None),
        ("groupchat", "<subject>x</subject>".to_owned(), None),
        ("groupchat", "<mention xmlns='urn:xmpp:mentions:0'/>".to_owned(), LOUD),
        ("groupchat", "<reference xmlns='urn:xmpp:reference:0' type='mention'/>".to_owned(), LOUD),
        ("normal", "<x xmlns='jabber:x:conference' jid='a@b'/>".to_owned(), LOUD),
        ("normal", "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>".to_owned(), LOUD),
        ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>".to_owned(), None),
        ("chat", format!("<received xmlns='urn:xmpp:receipts'/>{store}"), None),
        ("chat", format!("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>{store}"), None),
        ("chat", format!("<reactions xmlns='urn:xmpp:reactions:0'/>{store}"), QUIET),
        ("chat", wrap("received"), LOUD),
        ("chat", wrap("sent"), None),
        ("chat", "<received xmlns='urn:xmpp:carbons:2'/>".to_owned(), None),
    ] {
        let type_ = format!("type='{type_}'");
        assert_eq!(message(&type_, &children), expected, "{type_} {children}");
    }
    assert_eq!(wake(&stanza("<presence type='subscribe'/>")).0, Some(Wake::Request));
    for other in ["<presence id='1'/>", "<presence type='subscribed'/>", "<iq type='set'/>"] {
        assert_eq!(wake(&stanza(other)).0, None, "{other}");
    }
}

#[test]
fn what_ends_the_ringing_of_the_other_devices() {
    let answers = |type_: &str, child: &str, ns: &str| {
        is_answer(&stanza(&format!(
            "<message type='{type_}'><{child} xmlns='{ns}' id='1'/></message>"
        )))
    };
    let (jmi, invites) = ("urn:xmpp:jingle-message:0", "urn:xmpp:call-invites:0");
    for (child, by_jmi, by_invites) in [
        ("proceed", true, false),
        ("accept", true, true),
        ("reject", true, true),
        ("propose", false, false),
        ("ringing", false, false),
        ("finish", false, false),
        ("invite", false, false),
    ] {
        assert_eq!(answers("chat", child, jmi), by_jmi, "{child}");
        assert_eq!(answers("chat", child, invites), by_invites, "{child}");
        assert!(!answers("error", child, jmi) && !answers("groupchat", child, invites));
    }
}

#[test]
fn who_is_woken() {
    for (away, seen, expected) in [
        (Away::Connected, false, false),
        (Away::Connected, true, false),
        (Away::Waiting, false, true),
        (Away::Waiting, true, true),
        (Away::Gone, false, true),
        (Away::Gone, true, false),
    ] {
        assert_eq!(is_woken(away, seen), expected, "{away:?} {seen}");
    }
}

#[test]
fn what_follows_from_an_answer() {
    let error = |type_: &str, condition: &str| {
        let answer = stanza(&format!(
            "<iq type='error'><error type='{type_}'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ));
        outcome(Some(&answer))
    };
    assert_eq!(outcome(None), Outcome::Later);
    assert_eq!(outcome(Some(&stanza("<iq type='result'/>"))), Outcome::Published);
    assert_eq!(outcome(Some(&stanza("<iq type='error'/>"))), Outcome::Later);
    assert_eq!(error("wait", "resource-constraint"), Outcome::Later);
    assert_eq!(error("cancel", "remote-server-not-found"), Outcome::Later);
    assert_eq!(error("wait", "remote-server-timeout"), Outcome::Later);
    assert_eq!(error("cancel", "service-unavailable"), Outcome::Later);
    assert_eq!(error("cancel", "item-not-found"), Outcome::Never);
    assert_eq!(error("auth", "forbidden"), Outcome::Never);
    assert_eq!(error("auth", "not-authorized"), Outcome::Never);
    assert_eq!(error("cancel", "conflict"), Outcome::Never);
}

#[test]
fn a_service_belongs_to_a_device_by_id_or_resource() {
    use wello_kernel::sessions::{ClientInfo, Sessions};
    let sessions = Sessions::default();
    let client =
        |id: Option<&str>| ClientInfo { client_id: id.map(str::to_owned), ..ClientInfo::default() };
    let bind = |resource: &str, id| {
        let account: wello_wire::jid::BareJid = "a@b".parse().unwrap();
        let jid = account.with_resource(resource).unwrap();
        sessions.bind(jid, client(id), 1000, 10).unwrap()
    };
    let service = |resource: &str, id: Option<&str>| PushService {
        account: "a@b".into(),
        jid: "push.example".into(),
        node: String::new(),
        resource: resource.into(),
        client: id.map(str::to_owned),
        options: None,
        enabled: Timestamp::from_secs(0),
        failures: 0,
        paused_until: None,
    };
    let session = bind("phone", Some("1"));
    for (resource, id, expected) in [
        ("phone", None, true),
        ("phone", Some("2"), true),
        ("other", Some("1"), true),
        ("other", Some("2"), false),
        ("other", None, false),
    ] {
        assert_eq!(super::is_of(&service(resource, id), &session), expected, "{resource} {id:?}");
    }
    assert!(!super::is_of(&service("x", None), &bind("y", None)));
}
