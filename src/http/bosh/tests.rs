//! Sessions in virtual time; requests are answered to numbers.

use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;
use wello_wire::xml::Limits;

use super::request::{Document, Request};
use super::session::{INACTIVITY, Session, Terms};
use super::version;

const FEATURES: &str = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>";

fn request(rid: u64) -> Request {
    Request { rid, ..Request::default() }
}

fn saying(rid: u64, text: &'static str) -> Request {
    Request { frames: vec![text.into()], ..request(rid) }
}

fn terms(hold: usize) -> Terms {
    Terms {
        sid: "s".into(),
        host: "h".into(),
        version: 11,
        wait: Duration::from_secs(10),
        hold,
        acks: true,
        outbox_bytes: 100,
    }
}

/// A session whose creation, number 0 with rid 10, is answered.
fn session(creation: Request, hold: usize, now: Instant) -> Session<u32> {
    let mut session = Session::new(terms(hold), "<open/>".into(), creation, 0, now);
    session.settle(now);
    assert!(session.take_answers().is_empty(), "waits for the features");
    session.frame(Bytes::from_static(b"<open id='i'/>"));
    session.frame(FEATURES.into());
    session.settle(now);
    let first = answers(&mut session);
    assert_eq!(first[0].0, 0);
    for part in ["sid='s'", "authid='i'", "requests='2'", "ack='10'", "<stream:features"] {
        assert!(first[0].1.contains(part), "{part} in {}", first[0].1);
    }
    assert_eq!(sent(&mut session), ["<open/>"]);
    session
}

fn answers(session: &mut Session<u32>) -> Vec<(u32, String)> {
    let text = |body: Bytes| String::from_utf8(body.to_vec()).unwrap();
    session.take_answers().into_iter().map(|(number, body)| (number, text(body))).collect()
}

fn sent(session: &mut Session<u32>) -> Vec<String> {
    let frames = std::iter::from_fn(|| session.next_frame());
    frames.map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect()
}

#[test]
fn a_request_is_held_until_there_is_something_to_say() {
    let now = Instant::now();
    let mut session = session(request(10), 1, now);
    session.request(request(11), 1, now);
    session.settle(now);
    assert!(answers(&mut session).is_empty());
    session.frame("<message/>".into());
    session.settle(now);
    let answers = answers(&mut session);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].1.contains("><message/></body>"));
}

#[test]
fn a_held_request_is_answered_when_its_time_is_over_or_another_comes() {
    let now = Instant::now();
    let mut session = session(request(10), 1, now);
    session.request(request(11), 1, now);
    session.settle(now);
    session.request(request(12), 2, now);
    session.settle(now);
    let crowded = answers(&mut session);
    assert_eq!(crowded.len(), 1);
    assert_eq!(crowded[0].0, 1);
    assert!(crowded[0].1.contains("ack='12'"));
    let later = now + Duration::from_secs(10);
    assert_eq!(session.deadline(), Some(later));
    session.settle(later);
    assert_eq!(answers(&mut session)[0].0, 2);
}

#[test]
fn requests_are_handled_in_their_order() {
    let now = Instant::now();
    let mut session = session(request(10), 1, now);
    session.request(saying(12, "<b/>"), 2, now);
    assert!(sent(&mut session).is_empty());
    session.request(saying(11, "<a/>"), 1, now);
    assert_eq!(sent(&mut session), ["<a/>", "<b/>"]);
}

#[test]
fn a_repeated_request_gets_the_same_answer_and_is_not_handled_again() {
    let now = Instant::now();
    let mut session = session(request(10), 1, now);
    session.request(saying(11, "<a/>"), 1, now);
    session.frame("<x/>".into());
    session.settle(now);
    let first = answers(&mut session).remove(0).1;
    session.request(saying(11, "<a/>"), 2, now);
    assert_eq!(answers(&mut session), [(2, first)]);
    assert_eq!(sent(&mut session), ["<a/>"]);
}

#[test]
fn a_request_out_of_the_window_ends_the_session() {
    for rid in [5, 13] {
        let now = Instant::now();
        let mut session = session(request(10), 1, now);
        session.request(request(rid), 1, now);
        session.settle(now);
        assert!(answers(&mut session)[0].1.contains("condition='item-not-found'"));
        assert!(session.is_over());
    }
}

#[test]
fn keys_follow_from_each_other() {
    let now = Instant::now();
    // SHA-1 of "abc".
    let newkey = "a9993e364706816aba3e25717850c26c9cd0d89d".to_owned();
    let creation = Request { newkey: Some(newkey), ..request(10) };
    let mut session = session(creation, 1, now);
    session.request(Request { key: Some("abc".into()), ..request(11) }, 1, now);
    session.settle(now);
    assert!(!session.is_over());
    session.request(Request { key: Some("wrong".into()), ..request(12) }, 2, now);
    session.settle(now);
    assert!(session.is_over());
    assert!(answers(&mut session)[0].1.contains("item-not-found"));
}

#[test]
fn a_silent_client_is_given_up_after_the_inactivity_or_its_pause() {
    let now = Instant::now();
    let mut silent = session(request(10), 1, now);
    assert_eq!(silent.deadline(), Some(now + INACTIVITY));
    silent.settle(now + INACTIVITY);
    assert!(silent.is_over());
    let mut paused = session(request(10), 1, now);
    paused.request(Request { pause: Some(90), ..request(11) }, 1, now);
    paused.settle(now);
    assert_eq!(answers(&mut paused).len(), 1);
    assert_eq!(paused.deadline(), Some(now + Duration::from_secs(90)));
}

#[test]
fn polling_too_often_is_a_violation() {
    let now = Instant::now();
    let mut session = session(request(10), 0, now);
    session.request(request(11), 1, now);
    session.settle(now);
    assert_eq!(answers(&mut session).len(), 1);
    session.request(request(12), 2, now + Duration::from_secs(1));
    session.settle(now);
    assert!(answers(&mut session)[0].1.contains("policy-violation"));
}

#[test]
fn both_sides_can_end_it() {
    let now = Instant::now();
    let mut closed = session(request(10), 1, now);
    closed.request(Request { terminate: true, ..saying(11, "<bye/>") }, 1, now);
    let frames = sent(&mut closed);
    assert_eq!(frames[0], "<bye/>");
    assert!(frames[1].starts_with("<close"));
    closed.frame("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>".into());
    closed.settle(now);
    assert!(closed.is_over());
    let answer = answers(&mut closed).remove(0).1;
    assert!(answer.contains("type='terminate'") && !answer.contains("condition"));

    let mut failed = session(request(10), 1, now);
    failed.request(request(11), 1, now);
    failed.frame("<stream:error/>".into());
    failed.settle(now);
    let answer = answers(&mut failed).remove(0).1;
    assert!(answer.contains("condition='remote-stream-error'"));
    assert!(answer.contains("<stream:error/>"));
}

#[test]
fn what_waits_for_the_client_is_bounded() {
    let now = Instant::now();
    let mut session = session(request(10), 1, now);
    assert!(session.has_room());
    session.frame(vec![b'x'; 100].into());
    assert!(!session.has_room());
}

#[test]
fn bodies_are_read_with_limits() {
    let read = |text: &str, limits: Limits| {
        let document = Document::open(text.as_bytes(), limits)?;
        document.read(limits)
    };
    let text = "<body xmlns='http://jabber.org/protocol/httpbind' rid='7' xmpp:restart='true' \
                to='h' xmlns:xmpp='urn:xmpp:xbosh'><message xmlns='jabber:client'/></body>";
    let request = read(text, Limits::default()).unwrap();
    assert_eq!(request.rid, 7);
    assert!(request.restart.is_some());
    assert_eq!(request.frames, ["<message xmlns='jabber:client'/>"]);
    let narrow = Limits { elements: 0, ..Limits::default() };
    assert!(read(text, narrow).is_err());
    for bad in ["", "<body/>", "<body xmlns='http://jabber.org/protocol/httpbind'/>", &text[..90]] {
        assert!(read(bad, Limits::default()).is_err(), "{bad}");
    }
}

#[test]
fn the_lower_version_is_spoken() {
    assert_eq!(version(Some("1.6")), 6);
    assert_eq!(version(Some("1.15")), 11);
    assert_eq!(version(None), 11);
}
