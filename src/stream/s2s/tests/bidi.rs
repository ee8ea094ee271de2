//! Streams that carry stanzas both ways (XEP-0288).

use super::*;

fn both_ways(domains: &[&str]) -> Arc<Settings> {
    Arc::new(Settings { bidi: true, ..plain_settings(domains) })
}

fn linked(a: &Arc<Settings>, b: &Arc<Settings>, welcome: Welcome) -> (Opened, Accepted) {
    let mut opened = Opened::new(a, pair("a.example", "b.example"));
    let mut accepted = Accepted::new(b, welcome);
    opened.stream.authenticate();
    talk(&mut opened, &mut accepted);
    if let Some(claim) = accepted.claims.pop() {
        accepted.stream.handle_verdict(&claim.pair, &Verdict::Valid);
        talk_from(&mut accepted, &mut opened);
    }
    (opened, accepted)
}

fn came(opened: &Opened) -> usize {
    opened.exchanged.iter().filter(|it| matches!(it, Exchanged::Stanza(_))).count()
}

#[test]
fn stanzas_go_both_ways_on_one_stream() {
    let (a, b) = (both_ways(&["a.example"]), both_ways(&["b.example"]));
    for welcome in [EXTERNAL, DIALBACK] {
        let (mut opened, mut accepted) = linked(&a, &b, welcome);
        assert_eq!(opened.actions, [OutgoingAction::Ready]);
        assert!(opened.stream.is_bidirectional() && accepted.stream.is_bidirectional());
        accepted.stream.exchange().send(message(JULIET, ROMEO));
        accepted.stream.exchange().request_acknowledgement(true);
        talk_from(&mut accepted, &mut opened);
        opened.stream.exchange().send(message(ROMEO, JULIET));
        talk(&mut opened, &mut accepted);
        assert_eq!((came(&opened), accepted.stanzas.len()), (1, 1));
    }
}

#[test]
fn both_have_to_want_it() {
    let (wants, not) = (both_ways(&["a.example"]), settings(&["a.example"]));
    for (a, b) in [(&wants, settings(&["b.example"])), (&not, both_ways(&["b.example"]))] {
        let (mut opened, mut accepted) = linked(a, &b, EXTERNAL);
        assert!(!opened.stream.is_bidirectional() && !accepted.stream.is_bidirectional());
        accepted.stream.exchange().send(message(JULIET, ROMEO));
        talk_from(&mut accepted, &mut opened);
        assert_eq!(came(&opened), 0);
        assert!(matches!(opened.actions.last(), Some(OutgoingAction::Close(Some(_)))));
    }
}

#[test]
fn the_other_server_speaks_for_its_own_domain_alone() {
    let (a, b) = (both_ways(&["a.example", "c.example"]), both_ways(&["b.example"]));
    for (from, to) in [
        ("x@evil.example", ROMEO),
        (ROMEO, ROMEO),
        ("x@c.example", ROMEO),
        // The pair is another one.
        (JULIET, "x@c.example"),
        (JULIET, "x@evil.example"),
    ] {
        let (mut opened, mut accepted) = linked(&a, &b, EXTERNAL);
        accepted.stream.exchange().send(message(from, to));
        talk_from(&mut accepted, &mut opened);
        assert_eq!(came(&opened), 0, "{from} to {to}");
        let Some(OutgoingAction::Close(Some(error))) = opened.actions.last() else {
            panic!("{from} to {to}: {:?}", opened.actions)
        };
        assert_eq!(error.condition, StreamCondition::InvalidFrom);
    }
}

#[test]
fn nothing_is_taken_before_we_have_proved_who_we_are() {
    let (a, b) = (both_ways(&["a.example"]), both_ways(&["b.example"]));
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    let mut accepted = Accepted::new(&b, DIALBACK);
    opened.stream.authenticate();
    talk(&mut opened, &mut accepted);
    assert!(!opened.stream.is_ready() && accepted.stream.is_bidirectional());
    accepted.stream.exchange().send(message(JULIET, ROMEO));
    talk_from(&mut accepted, &mut opened);
    assert_eq!(came(&opened), 0);
    let Some(OutgoingAction::Close(Some(error))) = opened.actions.last() else { panic!() };
    assert_eq!(error.condition, StreamCondition::NotAuthorized);
}

#[test]
fn it_is_asked_for_under_tls_and_before_anything_is_proved() {
    let bidi = b"<bidi xmlns='urn:xmpp:bidi'/>";
    let mut plain = Accepted::new(&both_ways(&["b.example"]), DIALBACK);
    let features = plain.take(HEADER.as_bytes());
    assert!(!features.contains("urn:xmpp:features:bidi"), "{features}");
    plain.take(bidi);
    assert!(plain.closed && !plain.stream.is_bidirectional());

    let mut late = Accepted::new(&both_ways(&["b.example"]), DIALBACK);
    late.stream.handle_secured();
    let features = late.take(HEADER.as_bytes());
    assert!(features.contains("<bidi xmlns='urn:xmpp:features:bidi'/>"), "{features}");
    late.take(b"<db:result from='evil.example' to='b.example'>key</db:result>");
    let claim = late.claims.pop().unwrap();
    late.stream.handle_verdict(&claim.pair, &Verdict::Valid);
    late.take(bidi);
    assert!(!late.closed && !late.stream.is_bidirectional());
}

#[test]
fn further_domains_are_proved_in_either_direction() {
    let (a, b) = (both_ways(&["a.example"]), both_ways(&["b.example", "rooms.b.example"]));
    let (mut opened, _accepted) = linked(&a, &b, EXTERNAL);
    let rooms = b"<message from='r@rooms.b.example' to='x@a.example'/>";
    let claim = b"<db:result from='rooms.b.example' to='a.example'>k</db:result>";
    opened.take(claim);
    let Some(Exchanged::Claim(asked)) = opened.exchanged.pop() else { panic!() };
    assert_eq!(asked.pair, pair("rooms.b.example", "a.example"));
    opened.stream.handle_verdict(&asked.pair, &Verdict::Valid);
    opened.take(rooms);
    assert_eq!(came(&opened), 1);
    // A domain of ours cannot be claimed.
    opened.take(b"<db:result from='a.example' to='a.example'>k</db:result>");
    let answer = String::from_utf8(opened.stream.output().take()).unwrap();
    assert!(answer.contains("not-allowed"), "{answer}");

    let (mut opened, _accepted) = linked(&a, &b, EXTERNAL);
    opened.take(rooms);
    assert_eq!(came(&opened), 0, "nothing was proved");
}

#[test]
fn both_directions_are_resumed() {
    let (a, b) = (both_ways(&["a.example"]), both_ways(&["b.example"]));
    let (mut opened, mut accepted) = linked(&a, &b, EXTERNAL);
    let (id, owner) = accepted.managed.take().unwrap();
    opened.stream.exchange().send(message(ROMEO, JULIET));
    accepted.stream.exchange().send(message(JULIET, ROMEO));
    // Neither gets there.
    let ours = opened.stream.take_remains().former.unwrap();
    let theirs = accepted.stream.take_remains().former.unwrap();
    assert!(ours.has_unacknowledged() && theirs.has_unacknowledged());
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    let mut accepted = Accepted::new(&b, EXTERNAL);
    accepted.kept = Some((id, owner, theirs));
    opened.stream.resume(ours);
    opened.stream.authenticate();
    talk(&mut opened, &mut accepted);
    assert_eq!((came(&opened), accepted.stanzas.len()), (1, 1));
    for exchange in [opened.stream.exchange(), accepted.stream.exchange()] {
        assert_eq!(exchange.unacknowledged_bytes(), 0);
    }
}
