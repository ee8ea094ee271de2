//! A client's stream, whatever is sent on it: nothing of an account happens before its password
//! was given, every answer is well-formed, and the end is the end.

#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wello_stream::c2s::{
    Action, Bound, C2s, Channel, FeatureCache, HostSettings, RegistrationOffer, Settings, Welcome,
};
use wello_stream::framing::Framing;
use wello_stream::nonza::Token;
use wello_stream::sasl::{Answer, Condition, Failure, FakeKeys, Lookup, Mechanism, Reason, Secret};
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::ns;
use wello_wire::xml::{Limits, Reader, StreamEvent, read_document};

const PASSWORD: &str = "pw";

static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(|| {
    let domain: BareJid = "localhost".parse().expect("a valid address");
    let host = HostSettings {
        domain,
        mechanisms: Mechanism::ALL.to_vec(),
        registration: RegistrationOffer::Invite,
        features: Vec::new(),
        written: FeatureCache::default(),
    };
    Arc::new(Settings {
        hosts: HashMap::from([("localhost".to_owned(), host)]),
        limits_before_login: Limits { stanza_bytes: 2048, elements: 32, ..Limits::default() },
        limits: Limits { stanza_bytes: 4096, ..Limits::default() },
        idle: Duration::from_secs(300),
        hibernation: Duration::from_secs(600),
        bind_inline: vec!["urn:xmpp:carbons:2"],
        fakes: FakeKeys::new([42; 32], 4096),
        scram_iterations: 4096,
    })
});

// The first byte chooses framing and TLS. On a framed transport each line is a frame.
fuzz_target!(|data: &[u8]| {
    let Some((&choice, input)) = data.split_first() else { return };
    let framing = if choice & 1 == 0 { Framing::Stream } else { Framing::Framed };
    let secure = choice & 2 == 0;
    let mut driver = Driver {
        stream: C2s::new(Arc::clone(&SETTINGS), framing, channel(secure)),
        secure,
        proven: None,
        bound: false,
        closed: false,
    };
    match framing {
        Framing::Stream => driver.feed(input),
        Framing::Framed => input.split(|byte| *byte == b'\n').for_each(|frame| driver.feed(frame)),
    }
    assert_well_formed(framing, &mut driver.stream);
});

/// Does what a connection task does.
struct Driver {
    stream: C2s,
    secure: bool,
    /// Whose password was given.
    proven: Option<BareJid>,
    bound: bool,
    closed: bool,
}

impl Driver {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.closed {
            self.stream.handle_bytes(&mut bytes);
            while let Some(action) = self.stream.poll_action() {
                assert!(!self.closed, "{action:?} after the end");
                self.perform(action);
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::StartTls => {
                assert!(!self.secure, "TLS within TLS");
                self.secure = true;
                // What follows is another document.
                self.stream.output().take();
                self.stream.handle_secured(channel(true));
            }
            Action::Lookup { lookup, .. } => {
                let answer = self.look_up(lookup);
                self.stream.handle_lookup(answer);
            }
            Action::Login(login) => {
                assert_eq!(Some(&login.identity), self.proven.as_ref(), "nobody proved that");
                assert!(self.secure, "a login in plain text");
                // What it would do, it has to do.
                let welcome = Welcome { upgrades: login.upgrades, renews_token: true };
                self.stream.handle_login(Ok(welcome));
            }
            Action::StoreKeys { identity, .. } => {
                assert_eq!(Some(&identity), self.proven.as_ref(), "nobody's keys");
                self.stream.handle_keys_stored();
            }
            Action::IssueToken { identity, .. } => {
                assert_eq!(Some(&identity), self.proven.as_ref(), "nobody's token");
                let token = Token { token: Secret::new("token"), expiry: "2030-01-01".to_owned() };
                self.stream.handle_token(Some(&token));
            }
            Action::Bind(request) => {
                assert_eq!(Some(&request.identity), self.proven.as_ref());
                let jid = FullJid::from_parts(request.identity.local(), "localhost", "r");
                let jid = jid.expect("an address with a valid resource");
                self.bound = true;
                self.stream.handle_bound(Ok(Bound { jid, inline: Vec::new() }));
            }
            Action::Resume(request) => {
                assert_eq!(Some(&request.identity), self.proven.as_ref());
                self.stream.handle_resumed(None);
            }
            Action::Register { .. } => assert!(self.proven.is_none(), "an account has accounts"),
            Action::Stanza(_) | Action::Managed { .. } | Action::ClientState { .. } => {
                assert!(self.bound, "{action:?} before a resource is bound");
            }
            Action::Acknowledge => {
                let session = self.stream.established().expect("only a session is acknowledged");
                let handled = session.management().map_or(0, |management| management.handled());
                self.stream.acknowledge(handled);
            }
            Action::LoginFailed { .. } => {}
            Action::Close { .. } => self.closed = true,
        }
    }

    fn look_up(&mut self, lookup: Lookup) -> Answer {
        match lookup {
            Lookup::Password { account, password } if password.expose() == PASSWORD => {
                self.proven = Some(account.clone());
                Answer::Verdict(Ok(account))
            }
            Lookup::ScramKeys { .. } => Answer::ScramKeys(None),
            Lookup::FastTokens { .. } => Answer::FastTokens(Vec::new()),
            Lookup::Password { .. } | Lookup::Bearer { .. } | Lookup::Certificate { .. } => {
                Answer::Verdict(Err(Failure::new(Condition::NotAuthorized, Reason::Credentials)))
            }
        }
    }
}

fn channel(secure: bool) -> Channel {
    Channel { secure, certificate: true, ..Channel::default() }
}

fn assert_well_formed(framing: Framing, stream: &mut C2s) {
    let generous = Limits { stanza_bytes: 1 << 20, depth: 128, attributes: 128, elements: 1 << 16 };
    if framing == Framing::Framed {
        for frame in stream.output().take_frames() {
            let text = String::from_utf8_lossy(&frame);
            assert!(read_document(&frame, &generous).is_ok(), "{text}");
        }
        return;
    }
    let output = stream.output().take();
    let mut rest = &output[..];
    let mut reader = Reader::new(generous);
    loop {
        match reader.read(&mut rest) {
            // The stream restarts with a new header after SASL (RFC 6120, section 6.4.6).
            Ok(Some(StreamEvent::Element(element))) if element.is("success", ns::SASL) => {
                reader = Reader::new(generous);
            }
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&output)),
        }
    }
}
