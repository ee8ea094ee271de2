//! Streams in memory: a small client on one side, a driver with a handful of accounts on the other.

mod bind;
mod bind2;
mod fast;
mod features;
mod refusals;
mod sasl1;
mod sasl2;
mod upgrades;

use std::collections::HashMap;
use std::time::Duration;

use wello_wire::ns;
use wello_wire::xml::{Limits, Reader};

use super::*;
use crate::sasl::tests::client::ScramClient;
use crate::sasl::{Condition, FakeKeys, HtBinding, Reason, Secret, encoding};

const AGENT: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
const OTHER_AGENT: &str = "00000000-1111-4222-8333-444455556666";
const PASSWORD: &str = "pencil";
const TOKEN: &str = "secret-token";
const EXPORTER: [u8; 32] = [7; 32];

/// What the driver knows, and what it was asked.
struct World {
    hash: ScramHash,
    /// Whom the token of a bearer and the certificate of the peer name.
    named: BareJid,
    tokens: Vec<(&'static str, Mechanism)>,
    sessions: HashMap<String, (FullJid, StreamManagement)>,
    login: Result<Welcome, Failure>,
    token: Option<Token>,
    bind: Result<Vec<Element>, StanzaError>,
    logins: Vec<Login>,
    failures: Vec<(Failure, Option<Mechanism>)>,
    binds: Vec<BindRequest>,
    resumes: Vec<ResumeRequest>,
    issued: Vec<(String, UserAgentId, Mechanism)>,
    keys: Vec<ScramKeys>,
    registrations: Vec<Stanza>,
    active: Vec<bool>,
    managed: Vec<CompactString>,
    stanzas: Vec<Stanza>,
    closed: bool,
}

struct Peer {
    stream: C2s,
    reader: Reader,
    world: World,
}

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn full(text: &str) -> FullJid {
    text.parse::<wello_wire::jid::Jid>().unwrap().try_into().unwrap()
}

fn refused() -> Failure {
    Failure::new(Condition::NotAuthorized, Reason::Credentials)
}

fn settings(mechanisms: &[Mechanism]) -> Arc<Settings> {
    let host = HostSettings {
        domain: jid("example.org"),
        mechanisms: mechanisms.to_vec(),
        registration: RegistrationOffer::Invite,
        features: vec![Element::new("c", ns::CAPS)],
        written: FeatureCache::default(),
    };
    let other = HostSettings { domain: jid("other.example"), ..host.clone() };
    let hosts = [host, other].map(|host| (host.domain.to_string(), host));
    Arc::new(Settings {
        hosts: HashMap::from(hosts),
        limits_before_login: Limits { stanza_bytes: 8192, elements: 32, ..Limits::default() },
        limits: Limits::default(),
        idle: Duration::from_secs(300),
        hibernation: Duration::from_secs(600),
        bind_inline: vec![ns::CARBONS],
        fakes: FakeKeys::new([42; 32], 4096),
        scram_iterations: 4096,
    })
}

fn secured() -> Channel {
    let bindings = ChannelBindings { tls_exporter: Some(EXPORTER), tls_server_end_point: None };
    Channel { secure: true, bindings, certificate: true }
}

impl World {
    fn new() -> World {
        World {
            hash: ScramHash::Sha256,
            named: jid("user@example.org"),
            tokens: vec![(AGENT, Mechanism::HtSha256(HtBinding::None))],
            sessions: HashMap::new(),
            login: Ok(Welcome::default()),
            token: None,
            bind: Ok(Vec::new()),
            logins: Vec::new(),
            failures: Vec::new(),
            binds: Vec::new(),
            resumes: Vec::new(),
            issued: Vec::new(),
            keys: Vec::new(),
            registrations: Vec::new(),
            active: Vec::new(),
            managed: Vec::new(),
            stanzas: Vec::new(),
            closed: false,
        }
    }

    fn look_up(&self, lookup: Lookup, client: Option<UserAgentId>) -> Answer {
        let known = |account: &BareJid| account.as_str() == "user@example.org";
        match lookup {
            Lookup::ScramKeys { account, hash } if known(&account) && hash == self.hash => {
                Answer::ScramKeys(ScramKeys::derive(hash, PASSWORD, b"salty salt", 4096).ok())
            }
            Lookup::ScramKeys { .. } => Answer::ScramKeys(None),
            Lookup::Password { account, password } => {
                let good = known(&account) && password.expose() == PASSWORD;
                Answer::Verdict(if good { Ok(account) } else { Err(refused()) })
            }
            Lookup::Bearer { token, .. } if token.expose() == TOKEN => {
                Answer::Verdict(Ok(self.named.clone()))
            }
            Lookup::Bearer { .. } => Answer::Verdict(Err(refused())),
            Lookup::FastTokens { account, mechanism } => {
                let client = client.map(|id| id.to_string()).unwrap_or_default();
                let issued = self.tokens.contains(&(client.as_str(), mechanism)) && known(&account);
                Answer::FastTokens(issued.then(|| Secret::new(TOKEN)).into_iter().collect())
            }
            Lookup::Certificate { .. } => Answer::Verdict(Ok(self.named.clone())),
        }
    }
}

impl Peer {
    /// A client whose stream is confidential from the start.
    fn secure(mechanisms: &[Mechanism]) -> Peer {
        Peer::new(mechanisms, secured())
    }

    fn new(mechanisms: &[Mechanism], channel: Channel) -> Peer {
        Peer {
            stream: C2s::new(settings(mechanisms), Framing::Stream, channel),
            reader: Reader::new(Limits::default()),
            world: World::new(),
        }
    }

    /// Opens the stream and returns its features.
    fn open(&mut self) -> Element {
        self.open_from("user@example.org")
    }

    fn open_from(&mut self, from: &str) -> Element {
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='example.org' \
             from='{from}'>"
        );
        let mut answer = self.say(&header);
        assert_eq!(answer.len(), 1, "{answer:?}");
        answer.remove(0)
    }

    /// Sends and returns the elements that come back.
    fn say(&mut self, xml: &str) -> Vec<Element> {
        let mut bytes = xml.as_bytes();
        loop {
            self.stream.handle_bytes(&mut bytes);
            while let Some(action) = self.stream.poll_action() {
                assert!(!self.world.closed, "{action:?} after the end");
                self.perform(action);
            }
            if bytes.is_empty() || self.world.closed {
                return self.hear();
            }
        }
    }

    fn say_one(&mut self, xml: &str) -> Element {
        let mut answer = self.say(xml);
        assert_eq!(answer.len(), 1, "{answer:?}");
        answer.remove(0)
    }

    fn hear(&mut self) -> Vec<Element> {
        let output = self.stream.output().take();
        let mut rest = &output[..];
        let mut elements = Vec::new();
        while let Some(event) = self.reader.read(&mut rest).unwrap() {
            let StreamEvent::Element(element) = event else { continue };
            if element.is("success", ns::SASL) || element.is("proceed", ns::TLS) {
                self.reader = Reader::new(Limits::default());
            }
            elements.push(element);
        }
        elements
    }

    fn perform(&mut self, action: Action) {
        let world = &mut self.world;
        match action {
            Action::StartTls => {
                self.hear();
                self.stream.handle_secured(secured());
            }
            Action::Lookup { lookup, client } => {
                let answer = world.look_up(lookup, client);
                self.stream.handle_lookup(answer);
            }
            Action::Login(login) => {
                world.logins.push(login);
                self.stream.handle_login(world.login.clone());
            }
            Action::LoginFailed { failure, mechanism } => {
                world.failures.push((failure, mechanism));
            }
            Action::StoreKeys { identity, keys } => {
                assert_eq!(identity.as_str(), "user@example.org");
                world.keys.push(keys);
                self.stream.handle_keys_stored();
            }
            Action::IssueToken { identity, client, mechanism } => {
                world.issued.push((identity.to_string(), client, mechanism));
                self.stream.handle_token(world.token.as_ref());
            }
            Action::Bind(request) => {
                let resource = match &request.resource {
                    ResourceWish::Any => "any".to_owned(),
                    ResourceWish::Exactly(wish) => wish.clone(),
                    ResourceWish::Tagged(tag) => format!("{tag}.id"),
                };
                let jid = request.identity.with_resource(&resource).unwrap();
                world.binds.push(request);
                let bound = world.bind.clone().map(|inline| Bound { jid, inline });
                self.stream.handle_bound(bound);
            }
            Action::Resume(request) => {
                let own = |jid: &FullJid| jid.bare() == request.identity;
                let found = world.sessions.remove(&request.id).filter(|(jid, _)| own(jid));
                world.resumes.push(request);
                let found = found.map(|(jid, management)| Resumed { jid, management });
                self.stream.handle_resumed(found);
            }
            Action::Register { iq, .. } => world.registrations.push(iq),
            Action::Stanza(stanza) => world.stanzas.push(stanza),
            Action::Managed { id } => world.managed.push(id),
            Action::Acknowledge => {}
            Action::ClientState { active } => world.active.push(active),
            Action::Close { .. } => world.closed = true,
        }
    }

    /// The condition of the stream error with which the stream ended.
    fn dies(&mut self, xml: &str) -> String {
        let answer = self.say(xml);
        let error = answer.last().filter(|error| error.is("error", ns::STREAM));
        let error = error.unwrap_or_else(|| panic!("no stream error: {answer:?}"));
        assert!(self.world.closed);
        error.children().next().unwrap().name().to_owned()
    }

    /// The condition of the SASL failure that answers.
    fn fails(&mut self, xml: &str) -> String {
        let failure = self.say_one(xml);
        assert_eq!(failure.name(), "failure", "{failure}");
        assert!(!self.world.closed);
        failure.children().find(|child| child.ns() == ns::SASL).unwrap().name().to_owned()
    }
}

/// `<authenticate/>` with an initial response.
fn authenticate(mechanism: Mechanism, initial: &[u8], inline: &str) -> String {
    let initial = encoding::encode(initial);
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>\
         <initial-response>{initial}</initial-response>{inline}</authenticate>"
    )
}

fn user_agent(id: &str) -> String {
    format!("<user-agent id='{id}'><software>Test</software><device>Phone</device></user-agent>")
}

fn plain() -> Vec<u8> {
    format!("\0user\0{PASSWORD}").into_bytes()
}

/// A login by PLAIN with these requests beside it.
fn plain_login(inline: &str) -> String {
    authenticate(Mechanism::Plain, &plain(), inline)
}

/// The only message of a client with a token (draft-schmaus-kitten-sasl-ht).
fn hashed_token(token: &str, binding: &[u8]) -> Vec<u8> {
    let mac = ScramHash::Sha256.hmac(token.as_bytes(), &[b"Initiator", binding]);
    [b"user\0", &mac[..]].concat()
}

fn response(namespace: &str, data: &[u8]) -> String {
    format!("<response xmlns='{namespace}'>{}</response>", encoding::encode(data))
}

fn identifier(success: &Element) -> String {
    assert!(success.is("success", ns::SASL2), "{success}");
    success.child("authorization-identifier", ns::SASL2).unwrap().text().into_owned()
}

fn names(features: &Element) -> Vec<(&str, &str)> {
    features.children().map(|child| (child.name(), child.ns())).collect()
}
