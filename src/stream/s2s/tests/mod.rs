//! Two servers in memory, and one that lies.

mod bidi;
mod management;

use std::sync::Arc;
use std::time::Duration;

use wello_wire::error::{StanzaError, StreamCondition};
use wello_wire::jid::Jid;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::{Element, Limits};

use super::*;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn pair(from: &str, to: &str) -> Pair {
    Pair { from: domain(from), to: domain(to) }
}

fn settings(domains: &[&str]) -> Arc<Settings> {
    Arc::new(plain_settings(domains))
}

/// As streams were before XEP-0288.
fn plain_settings(domains: &[&str]) -> Settings {
    let limits_before_login = Limits { stanza_bytes: 8192, elements: 32, ..Limits::default() };
    Settings {
        domains: domains.iter().map(|name| domain(name)).collect(),
        secret: DialbackSecret::random(),
        limits_before_login,
        limits: Limits { stanza_bytes: 512 * 1024, ..Limits::default() },
        pairs: 3,
        bidi: false,
        resumption: Duration::from_secs(60),
    }
}

const DIALBACK: Welcome = Welcome { external: false, dialback: true };
const EXTERNAL: Welcome = Welcome { external: true, dialback: false };

/// The stream of the server that accepted it.
struct Accepted {
    stream: Incoming,
    welcome: Welcome,
    opened: Vec<(Option<Domain>, Domain)>,
    claims: Vec<Verification>,
    stanzas: Vec<Stanza>,
    authenticated: Vec<Pair>,
    /// By which id it may be resumed, and who may.
    managed: Option<(String, Owner)>,
    /// What is there to be resumed.
    kept: Option<(String, Owner, Former)>,
    closed: bool,
}

impl Accepted {
    fn new(settings: &Arc<Settings>, welcome: Welcome) -> Accepted {
        Accepted {
            stream: Incoming::new(Arc::clone(settings), false),
            welcome,
            opened: Vec::new(),
            claims: Vec::new(),
            stanzas: Vec::new(),
            authenticated: Vec::new(),
            managed: None,
            kept: None,
            closed: false,
        }
    }

    /// Hands bytes in; returns what is answered.
    fn take(&mut self, bytes: &[u8]) -> String {
        let mut rest = bytes;
        loop {
            while let Some(exchanged) = self.stream.exchange().poll() {
                match exchanged {
                    Exchanged::Stanza(stanza) => self.stanzas.push(stanza),
                    Exchanged::Claim(claim) => self.claims.push(claim),
                    Exchanged::AcknowledgementWanted => acknowledge(self.stream.exchange()),
                    other => panic!("{other:?} on a stream that others opened"),
                }
            }
            while let Some(action) = self.stream.poll_action() {
                match action {
                    IncomingAction::StartTls => {
                        rest = &[];
                        self.stream.handle_secured();
                    }
                    IncomingAction::Open { from, to } => {
                        self.opened.push((from, to));
                        self.stream.handle_welcome(Ok(self.welcome));
                    }
                    IncomingAction::Authenticated(pair) => self.authenticated.push(pair),
                    IncomingAction::Managed { id, owner } => self.managed = Some((id, owner)),
                    IncomingAction::Resume { id, owner } => {
                        let wanted = (id, owner);
                        let kept = self
                            .kept
                            .take_if(|(id, owner, _)| (&wanted.0, &wanted.1) == (&*id, &*owner));
                        self.stream.handle_resumption(kept.map(|(_, _, former)| former));
                    }
                    IncomingAction::Goodbye => self.stream.close(),
                    IncomingAction::Close => self.closed = true,
                }
            }
            if rest.is_empty() {
                break;
            }
            self.stream.handle_bytes(&mut rest);
            if self.closed {
                break;
            }
        }
        String::from_utf8(self.stream.output().take()).unwrap()
    }
}

/// Ours to another server.
struct Opened {
    stream: Outgoing,
    actions: Vec<OutgoingAction>,
    exchanged: Vec<Exchanged>,
}

impl Opened {
    fn new(settings: &Arc<Settings>, pair: Pair) -> Opened {
        let both = Negotiable { external: true, dialback: true };
        let stream = Outgoing::new(Arc::clone(settings), pair, both, false);
        Opened { stream, actions: Vec::new(), exchanged: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            while let Some(exchanged) = self.stream.exchange().poll() {
                match exchanged {
                    Exchanged::AcknowledgementWanted => acknowledge(self.stream.exchange()),
                    other => self.exchanged.push(other),
                }
            }
            while let Some(action) = self.stream.poll_action() {
                if action == OutgoingAction::StartTls {
                    rest = &[];
                    self.stream.handle_secured(Negotiable { external: true, dialback: true });
                } else {
                    self.actions.push(action);
                }
            }
            if rest.is_empty() || self.stream.is_refused() {
                return;
            }
            self.stream.handle_bytes(&mut rest);
        }
    }
}

fn acknowledge(exchange: &mut Exchange) {
    exchange.acknowledge(exchange.handled());
}

/// Lets both talk until neither has anything to say.
fn talk(opened: &mut Opened, accepted: &mut Accepted) {
    loop {
        let said = opened.stream.output().take();
        let answered = accepted.take(&said);
        opened.take(answered.as_bytes());
        if said.is_empty() && answered.is_empty() {
            return;
        }
    }
}

/// The same as [`talk`], the other one having something to say first.
fn talk_from(accepted: &mut Accepted, opened: &mut Opened) {
    opened.take(&accepted.stream.output().take());
    talk(opened, accepted);
}

fn message(from: &str, to: &str) -> Stanza {
    saying(from, to, "Hi")
}

fn saying(from: &str, to: &str, body: &str) -> Stanza {
    let jid = |text: &str| text.parse::<Jid>().unwrap();
    Stanza::message(MessageType::Chat)
        .with_from(jid(from))
        .with_to(jid(to))
        .with_child(Element::new("body", wello_wire::ns::CLIENT).with_text(body))
}

const ROMEO: &str = "romeo@a.example/x";
const JULIET: &str = "juliet@b.example";

#[test]
fn a_certificate_opens_the_way() {
    let (a, b) = (settings(&["a.example"]), settings(&["b.example"]));
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    let mut accepted = Accepted::new(&b, EXTERNAL);
    talk(&mut opened, &mut accepted);
    assert_eq!(opened.actions, []);
    opened.stream.authenticate();
    talk(&mut opened, &mut accepted);
    assert_eq!(opened.actions, [OutgoingAction::Ready]);
    assert_eq!(accepted.authenticated, [pair("a.example", "b.example")]);
    opened.stream.exchange().send(message(ROMEO, JULIET));
    let written = opened.stream.output().take();
    let text = String::from_utf8(written.clone()).unwrap();
    assert!(text.starts_with("<message from") && !text.contains("xmlns"), "{text}");
    accepted.take(&written);
    assert_eq!(accepted.stanzas[0].body().as_deref(), Some("Hi"), "in jabber:client again");
}

#[test]
fn dialback_through_the_authoritative_server() {
    let (a, b) = (settings(&["a.example"]), settings(&["b.example"]));
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    opened.stream.authenticate();
    let mut accepted = Accepted::new(&b, DIALBACK);
    talk(&mut opened, &mut accepted);
    let claim = accepted.claims.pop().expect("a claim");
    assert_eq!(claim.pair, pair("a.example", "b.example"));
    assert_eq!(opened.actions, []);

    // The receiving server asks, without proving anything itself.
    let mut asking = Opened::new(&b, pair("b.example", "a.example"));
    let mut answering = Accepted::new(&a, DIALBACK);
    asking.stream.verify(claim.clone());
    talk(&mut asking, &mut answering);
    assert_eq!(asking.actions, [OutgoingAction::Verified(claim.clone(), Verdict::Valid)]);
    assert!(answering.claims.is_empty() && answering.stream.pairs().is_empty());

    accepted.stream.handle_verdict(&claim.pair, &Verdict::Valid);
    talk_from(&mut accepted, &mut opened);
    assert_eq!(opened.actions, [OutgoingAction::Ready]);
}

#[test]
fn a_wrong_key_is_found_out() {
    let (a, b) = (settings(&["a.example"]), settings(&["b.example"]));
    let mut liar = Opened::new(&settings(&["evil.example"]), pair("a.example", "b.example"));
    liar.stream.authenticate();
    let mut accepted = Accepted::new(&b, DIALBACK);
    talk(&mut liar, &mut accepted);
    let claim = accepted.claims.pop().unwrap();
    let mut asking = Opened::new(&b, pair("b.example", "a.example"));
    asking.stream.verify(claim.clone());
    talk(&mut asking, &mut Accepted::new(&a, DIALBACK));
    assert_eq!(asking.actions, [OutgoingAction::Verified(claim.clone(), Verdict::Invalid)]);
    accepted.stream.handle_verdict(&claim.pair, &Verdict::Invalid);
    liar.take(&accepted.stream.output().take());
    assert_eq!(liar.actions, [OutgoingAction::Refused(Refusal::Dialback(Verdict::Invalid))]);
    let refused = accepted.take(b"<message from='x@a.example' to='y@b.example'/>");
    assert!(refused.contains("not-authorized") && accepted.closed, "{refused}");
}

#[test]
fn without_a_certificate_dialback_follows() {
    let (a, b) = (settings(&["a.example"]), settings(&["b.example"]));
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    opened.stream.authenticate();
    // It says that it takes certificates, and then it does not take ours.
    let welcome = Welcome { external: true, dialback: true };
    let mut accepted = Accepted::new(&b, welcome);
    loop {
        let said = String::from_utf8(opened.stream.output().take()).unwrap();
        if said.contains("<auth") {
            opened.take(
                b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
            );
            break;
        }
        let answered = accepted.take(said.as_bytes());
        opened.take(answered.as_bytes());
    }
    talk(&mut opened, &mut accepted);
    assert_eq!(accepted.claims.len(), 1);
}

/// What a server says that is written by hand.
const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
    version='1.0' from='evil.example' to='b.example'>";

fn secured(welcome: Welcome) -> Accepted {
    let b = settings(&["b.example", "conference.b.example"]);
    let mut accepted = Accepted::new(&b, welcome);
    accepted.stream.handle_secured();
    accepted.take(HEADER.as_bytes());
    accepted
}

/// One that has proved to be evil.example.
fn proved() -> Accepted {
    let mut accepted = secured(DIALBACK);
    accepted.take(b"<db:result from='evil.example' to='b.example'>key</db:result>");
    let claim = accepted.claims.pop().unwrap();
    accepted.stream.handle_verdict(&claim.pair, &Verdict::Valid);
    accepted.take(b"");
    accepted
}

#[test]
fn stanzas_are_of_proved_pairs_alone() {
    let taken = "<message from='x@evil.example' to='y@b.example'/>";
    let mut accepted = proved();
    accepted.take(taken.as_bytes());
    assert_eq!((accepted.stanzas.len(), accepted.closed), (1, false));
    for (stanza, condition) in [
        ("<message from='y@b.example' to='y@b.example'/>", "invalid-from"),
        ("<message from='x@good.example' to='y@b.example'/>", "invalid-from"),
        ("<message from='x@sub.evil.example' to='y@b.example'/>", "invalid-from"),
        ("<message from='x@evil.example' to='y@conference.b.example'/>", "invalid-from"),
        ("<message from='x@evil.example' to='y@third.example'/>", "invalid-from"),
        ("<message to='y@b.example'/>", "improper-addressing"),
        ("<message from='x@evil.example'/>", "improper-addressing"),
        ("<roster from='x@evil.example' to='y@b.example'/>", "unsupported-stanza-type"),
        (
            "<message xmlns='jabber:client' from='x@evil.example' to='y@b.example'/>",
            "unsupported-stanza-type",
        ),
    ] {
        let mut accepted = proved();
        let answer = accepted.take(stanza.as_bytes());
        assert!(answer.contains(condition), "{stanza}: {answer}");
        assert!(accepted.closed && accepted.stanzas.is_empty(), "{stanza}");
    }
}

#[test]
fn an_address_that_is_none_ends_no_stream() {
    let mut accepted = proved();
    accepted.take(b"<message from='x@evil.example' to='@b.example'/>");
    accepted.take(b"<message from='@evil.example' to='y@b.example'/>");
    assert!(accepted.stanzas.is_empty() && !accepted.closed);
}

#[test]
fn each_pair_is_proved_for_itself() {
    let mut accepted = proved();
    accepted.take(b"<db:result from='other.example' to='conference.b.example'>k</db:result>");
    let claim = accepted.claims.pop().unwrap();
    // While it waits, the first pair goes on.
    accepted.take(b"<message from='x@evil.example' to='y@b.example'/>");
    assert_eq!(accepted.stanzas.len(), 1);
    accepted.stream.handle_verdict(&claim.pair, &Verdict::Valid);
    accepted.take(b"<message from='x@other.example' to='r@conference.b.example'/>");
    assert_eq!(accepted.stanzas.len(), 2);
    // Not across.
    accepted.take(b"<message from='x@other.example' to='y@b.example'/>");
    assert!(accepted.closed);
}

#[test]
fn claims_that_are_refused_at_once() {
    for (claim, condition) in [
        ("<db:result from='evil.example' to='c.example'>k</db:result>", "item-not-found"),
        ("<db:result from='b.example' to='b.example'>k</db:result>", "not-allowed"),
        ("<db:result from='conference.b.example' to='b.example'>k</db:result>", "not-allowed"),
    ] {
        let mut accepted = secured(DIALBACK);
        let answer = accepted.take(claim.as_bytes());
        assert!(answer.contains("type='error'") && answer.contains(condition), "{answer}");
        assert!(accepted.claims.is_empty() && !accepted.closed);
    }
    let mut accepted = secured(EXTERNAL);
    let claim = "<db:result from='evil.example' to='b.example'>k</db:result>";
    assert!(accepted.take(claim.as_bytes()).contains("policy-violation"));
    assert!(accepted.claims.is_empty());
}

#[test]
fn claims_on_one_stream_are_few() {
    let mut accepted = secured(DIALBACK);
    for number in 0..20 {
        let claim = format!("<db:result from='d{number}.example' to='b.example'>k</db:result>");
        accepted.take(claim.as_bytes());
    }
    assert_eq!(accepted.claims.len(), 3);
    assert!(accepted.closed, "who goes on is cut off");
}

#[test]
fn answers_that_nobody_asked_for_prove_nothing() {
    let mut accepted = secured(DIALBACK);
    accepted.take(b"<db:result from='evil.example' to='b.example' type='valid'/>");
    accepted.take(b"<db:verify from='evil.example' to='b.example' id='x' type='valid'/>");
    assert!(accepted.stream.pairs().is_empty());

    let a = settings(&["a.example"]);
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    let verification =
        Verification { pair: pair("c.example", "a.example"), stream: "s".into(), key: "k".into() };
    let header = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' id='1' version='1.0' \
        xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>";
    let starttls = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\
        </stream:features>";
    opened.stream.verify(verification);
    opened.take(header.as_bytes());
    opened.take(starttls.as_bytes());
    opened.take(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    opened.take(header.as_bytes());
    opened.take(b"<stream:features/>");
    opened.actions.clear();
    for answer in [
        // Of another stream, from another server, for another server, and for a claim not made.
        "<db:verify from='c.example' to='a.example' id='t' type='valid'/>",
        "<db:verify from='d.example' to='a.example' id='s' type='valid'/>",
        "<db:verify from='c.example' to='x.example' id='s' type='valid'/>",
        "<db:result from='b.example' to='a.example' type='valid'/>",
    ] {
        opened.take(answer.as_bytes());
        assert_eq!(opened.actions, [], "{answer}");
    }
    assert!(!opened.stream.is_ready());
}

#[test]
fn nothing_is_proved_without_tls() {
    let b = settings(&["b.example"]);
    let mut accepted = Accepted::new(&b, Welcome { external: true, dialback: true });
    let features = accepted.take(HEADER.as_bytes());
    assert!(features.contains("<required/>") && !features.contains("EXTERNAL"), "{features}");
    let claim = "<db:result from='evil.example' to='b.example'>k</db:result>";
    assert!(accepted.take(claim.as_bytes()).contains("policy-violation"));
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    assert!(accepted.take(auth.as_bytes()).contains("policy-violation"));
    assert!(accepted.closed && accepted.claims.is_empty() && accepted.authenticated.is_empty());
}

#[test]
fn the_certificate_is_good_for_the_header_alone() {
    let auth = |identity: &str| {
        let identity = crate::sasl::encoding::encode(identity.as_bytes());
        format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>"
        )
    };
    for identity in ["good.example", "b.example", "x@evil.example", "evil.example/x", "\0"] {
        let mut accepted = secured(EXTERNAL);
        let answer = accepted.take(auth(identity).as_bytes());
        assert!(answer.contains("invalid-authzid"), "{identity}: {answer}");
        assert!(accepted.authenticated.is_empty());
    }
    let mut accepted = secured(DIALBACK);
    assert!(accepted.take(auth("evil.example").as_bytes()).contains("invalid-mechanism"));

    // The new stream cannot be another's.
    let mut accepted = secured(EXTERNAL);
    accepted.take(auth("evil.example").as_bytes());
    let other = HEADER.replace("from='evil.example'", "from='good.example'");
    assert!(accepted.take(other.as_bytes()).contains("invalid-from"));
    assert!(accepted.closed);
}

#[test]
fn headers_that_are_refused() {
    for (from, to, condition) in [
        ("to='b.example'", "to='c.example'", StreamCondition::HostUnknown),
        ("to='b.example'", "", StreamCondition::ImproperAddressing),
        ("to='b.example'", "to='x@b.example'", StreamCondition::ImproperAddressing),
        ("evil.example", "b.example", StreamCondition::InvalidFrom),
        ("evil.example", "x@evil.example", StreamCondition::InvalidFrom),
        ("version='1.0' ", "", StreamCondition::UnsupportedVersion),
        ("'jabber:server' ", "'jabber:client' ", StreamCondition::InvalidNamespace),
    ] {
        let mut accepted = Accepted::new(&settings(&["b.example"]), DIALBACK);
        let answer = accepted.take(HEADER.replacen(from, to, 1).as_bytes());
        assert!(answer.contains(condition.as_str()), "{to}: {answer}");
        assert!(accepted.closed);
    }
}

#[test]
fn questions_about_domains_that_are_not_ours() {
    let mut accepted = secured(DIALBACK);
    let question = "<db:verify from='evil.example' to='c.example' id='1'>k</db:verify>";
    let answer = accepted.take(question.as_bytes());
    assert!(answer.contains("item-not-found"), "{answer}");
}

#[test]
fn refusals_by_dialback_are_told() {
    let (a, b) = (settings(&["a.example"]), settings(&["b.example"]));
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    opened.stream.authenticate();
    let mut accepted = Accepted::new(&b, DIALBACK);
    talk(&mut opened, &mut accepted);
    let error = StanzaError::remote_server_timeout("no way there");
    let verdict = Verdict::Unknown(error.clone());
    accepted.stream.handle_verdict(&pair("a.example", "b.example"), &verdict);
    opened.take(&accepted.stream.output().take());
    let refused = OutgoingAction::Refused(Refusal::Dialback(Verdict::Unknown(error)));
    assert_eq!(opened.actions, [refused]);
    assert!(opened.stream.is_refused());
}

#[test]
fn what_comes_on_our_own_stream_is_no_stanza() {
    let (a, b) = (settings(&["a.example"]), settings(&["b.example"]));
    let mut opened = Opened::new(&a, pair("a.example", "b.example"));
    opened.stream.authenticate();
    talk(&mut opened, &mut Accepted::new(&b, EXTERNAL));
    opened.take(b"<message from='x@b.example' to='y@a.example'/>");
    assert!(matches!(opened.actions[..], [OutgoingAction::Ready, OutgoingAction::Close(Some(_))]));
}
