//! Acknowledgements and resumption (XEP-0198).

use super::*;

/// Two that trust each other, with a stream between them that is ready.
struct Linked {
    a: Arc<Settings>,
    b: Arc<Settings>,
    opened: Opened,
    accepted: Accepted,
}

impl Linked {
    fn new() -> Linked {
        Linked::with(settings(&["a.example"]), settings(&["b.example"]))
    }

    fn with(a: Arc<Settings>, b: Arc<Settings>) -> Linked {
        let opened = Opened::new(&a, pair("a.example", "b.example"));
        let accepted = Accepted::new(&b, EXTERNAL);
        let mut linked = Linked { a, b, opened, accepted };
        linked.opened.stream.authenticate();
        linked.talk();
        linked
    }

    fn talk(&mut self) {
        talk(&mut self.opened, &mut self.accepted);
    }

    fn send(&mut self, body: &str) {
        self.opened.stream.exchange().send(saying(ROMEO, JULIET, body));
        self.opened.stream.exchange().request_acknowledgement(true);
    }

    fn heard(&self) -> Vec<String> {
        self.accepted.stanzas.iter().map(|stanza| stanza.body().unwrap()).collect()
    }

    fn unacknowledged(&mut self) -> usize {
        self.opened.stream.exchange().unacknowledged_bytes()
    }

    /// Both lose the connection, and what is under way. What was left is there for the next one.
    fn cut(&mut self) -> Remains {
        let ours = self.opened.stream.take_remains();
        let theirs = self.accepted.stream.take_remains().former;
        let managed = self.accepted.managed.take();
        self.opened = Opened::new(&self.a, pair("a.example", "b.example"));
        let stanzas = std::mem::take(&mut self.accepted.stanzas);
        self.accepted = Accepted { stanzas, ..Accepted::new(&self.b, EXTERNAL) };
        if let (Some((id, owner)), Some(former)) = (managed, theirs) {
            self.accepted.kept = Some((id, owner, former));
        }
        ours
    }

    /// A new connection that goes on with the former one.
    fn reconnect(&mut self, former: Former) {
        self.opened.stream.resume(former);
        self.opened.stream.authenticate();
        self.talk();
    }
}

#[test]
fn what_is_acknowledged_is_not_kept() {
    let mut linked = Linked::new();
    assert!(linked.opened.stream.exchange().is_managed());
    linked.send("one");
    assert!(linked.unacknowledged() > 0);
    linked.talk();
    assert_eq!((linked.heard().len(), linked.unacknowledged()), (1, 0));
    assert_eq!(linked.opened.stream.exchange().acknowledged(), 1);
}

#[test]
fn a_resumed_stream_loses_nothing_and_doubles_nothing() {
    let mut linked = Linked::new();
    linked.send("one");
    linked.talk();
    // This one arrives and its acknowledgement does not; the next one does not arrive.
    linked.send("two");
    let written = linked.opened.stream.output().take();
    linked.accepted.take(&written);
    linked.send("three");
    linked.opened.stream.output().take();
    let former = linked.cut().former.expect("a stream that can be resumed");
    assert!(former.has_unacknowledged());
    linked.reconnect(former);
    assert_eq!(linked.opened.actions, [OutgoingAction::Ready]);
    assert_eq!(linked.unacknowledged(), 0, "it was asked for");
    linked.send("four");
    linked.talk();
    assert_eq!(linked.heard(), ["one", "two", "three", "four"]);
    assert_eq!(linked.unacknowledged(), 0);
    assert!(linked.opened.exchanged.is_empty());
}

#[test]
fn stanzas_without_a_stream_to_resume() {
    for (answer, unhandled) in [
        ("<failed xmlns='urn:xmpp:sm:3' h='1'/>", Some("two")),
        ("<failed xmlns='urn:xmpp:sm:3'/>", None),
        // That many were never sent.
        ("<failed xmlns='urn:xmpp:sm:3' h='77'/>", None),
    ] {
        let mut linked = Linked::new();
        linked.send("one");
        linked.send("two");
        let former = linked.cut().former.unwrap();
        linked.opened.stream.resume(former);
        linked.opened.stream.authenticate();
        let said = loop {
            let said = String::from_utf8(linked.opened.stream.output().take()).unwrap();
            if said.contains("<resume") {
                break said;
            }
            let answered = linked.accepted.take(said.as_bytes());
            linked.opened.take(answered.as_bytes());
        };
        assert!(said.contains("h='0'"), "{said}");
        linked.opened.take(answer.as_bytes());
        match (&linked.opened.exchanged[..], unhandled) {
            ([Exchanged::Unhandled(stanzas)], Some(body)) => {
                let bodies: Vec<_> = stanzas.iter().filter_map(Stanza::body).collect();
                assert_eq!(bodies, [body]);
            }
            ([Exchanged::Unknown(stanzas)], None) => assert_eq!(stanzas.len(), 2),
            (other, _) => panic!("{answer}: {other:?}"),
        }
        // A new one begins.
        linked.talk();
        assert_eq!(linked.opened.actions, [OutgoingAction::Ready]);
        assert!(linked.opened.stream.exchange().is_managed());
    }
}

#[test]
fn more_than_was_sent_cannot_be_acknowledged() {
    let mut linked = Linked::new();
    linked.send("one");
    linked.opened.take(b"<a xmlns='urn:xmpp:sm:3' h='2'/>");
    let [OutgoingAction::Ready, OutgoingAction::Close(Some(error))] = &linked.opened.actions[..]
    else {
        panic!("{:?}", linked.opened.actions)
    };
    assert_eq!(error.application.as_ref().unwrap().name(), "handled-count-too-high");
    let remains = linked.opened.stream.take_remains();
    assert!(remains.former.is_none());
    assert_eq!(remains.unknown.len(), 1, "its sender is told");
}

#[test]
fn a_stream_that_is_closed_is_not_resumed() {
    let mut linked = Linked::new();
    linked.send("one");
    linked.opened.take(b"</stream:stream>");
    linked.opened.stream.close(None);
    let remains = linked.cut();
    assert_eq!((remains.former.is_none(), remains.unknown.len()), (true, 1));
    // From the other end.
    let mut linked = Linked::new();
    linked.accepted.take(b"</stream:stream>");
    linked.cut();
    assert!(linked.accepted.kept.is_none());
}

#[test]
fn without_stream_management_what_was_not_sent_is_left_when_a_connection_breaks() {
    let mut linked = Linked::new();
    linked.opened = Opened::new(&linked.a, pair("a.example", "b.example"));
    linked.accepted = Accepted::new(&linked.b, EXTERNAL);
    linked.opened.stream.authenticate();
    loop {
        let said = linked.opened.stream.output().take();
        let answered = linked.accepted.take(&said).replace("<sm xmlns='urn:xmpp:sm:3'/>", "");
        linked.opened.take(answered.as_bytes());
        if said.is_empty() && answered.is_empty() {
            break;
        }
    }
    assert!(linked.opened.stream.is_ready() && !linked.opened.stream.exchange().is_managed());
    linked.send("one");
    let progress = Progress { written: 100, sent: 100, received: 100, is_open: true };
    linked.opened.stream.exchange().handle_written(Some(progress));
    linked.send("two");
    let stranded = linked.opened.stream.exchange().take_stranded();
    let remains = linked.cut();
    assert_eq!((remains.former.is_none(), remains.unknown.len()), (true, 0));
    assert_eq!((stranded.unknown.len(), stranded.unsent.len()), (0, 1));
}

#[test]
fn a_stream_is_its_owners_alone() {
    let owner = |from: &str, certified| Owner { pair: pair(from, "b.example"), certified };
    for (other, welcome, resumed) in [
        (owner("evil.example", false), DIALBACK, true),
        // Of somebody else, or proved by more than a name server.
        (owner("good.example", false), DIALBACK, false),
        (owner("evil.example", true), DIALBACK, false),
    ] {
        let mut linked = Linked::new();
        let former = linked.cut().former.unwrap();
        let mut accepted = proved();
        assert_eq!(welcome, accepted.welcome);
        accepted.kept = Some(("secret".into(), other, former));
        let answer = accepted.take(b"<resume xmlns='urn:xmpp:sm:3' previd='secret' h='0'/>");
        assert_eq!(answer.contains("<resumed"), resumed, "{answer}");
        assert_eq!(answer.contains("item-not-found"), !resumed, "{answer}");
        assert_eq!(accepted.kept.is_none(), resumed, "it is still there for its owner");
    }
}

#[test]
fn it_is_known_how_the_owner_proved_himself() {
    let mut linked = Linked::new();
    let (_, owner) = linked.accepted.managed.take().unwrap();
    assert_eq!(owner, Owner { pair: pair("a.example", "b.example"), certified: true });
}

#[test]
fn nothing_is_managed_before_a_proof() {
    for request in [
        "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
        "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
    ] {
        let mut accepted = secured(DIALBACK);
        let answer = accepted.take(request.as_bytes());
        assert!(answer.contains("<failed") && answer.contains("unexpected-request"), "{answer}");
        assert!(accepted.managed.is_none() && !accepted.closed);
    }
    let mut accepted = proved();
    let answer = accepted.take(b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert!(answer.contains("<enabled") && answer.contains("max='60'"), "{answer}");
    let (id, owner) = accepted.managed.take().unwrap();
    assert!(id.len() >= 20, "nobody guesses {id}");
    assert_eq!(owner, Owner { pair: pair("evil.example", "b.example"), certified: false });
    // Once.
    let answer = accepted.take(b"<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(answer.contains("unexpected-request"), "{answer}");
}

#[test]
fn stanzas_that_cannot_be_routed_are_counted() {
    let mut accepted = proved();
    accepted.take(b"<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(accepted.managed.is_none(), "not to be resumed");
    let answer = accepted.take(
        b"<message from='x@evil.example' to='y@b.example'/>\
          <message from='x@evil.example' to='@b.example'/><r xmlns='urn:xmpp:sm:3'/>",
    );
    assert!(answer.contains("h='2'"), "{answer}");
}
