//! A stream of a component (XEP-0114), without I/O and without a clock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use compact_str::CompactString;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::hex;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{Stanza, StanzaParseError};
use wello_wire::xml::{Element, Limits, Ns, StreamEvent};

use crate::c2s::read_failure;
use crate::framing::{Framing, Input, Output};
use crate::random::random_id;
use crate::s2s::Domain;

/// What all streams of components have in common.
pub struct Settings {
    /// By the domains of the components.
    pub secrets: HashMap<Domain, String>,
    pub limits_before_login: Limits,
    pub limits: Limits,
}

/// What the driver does next.
#[derive(Debug)]
pub enum ComponentAction {
    /// It has proved that it knows the secret of this domain.
    Authenticated(Domain),
    /// From its domain, with both addresses.
    Stanza(Stanza),
    /// Send what is pending and close the connection.
    Close,
}

/// One stream of a component.
pub struct Component {
    settings: Arc<Settings>,
    input: Input,
    output: Output,
    actions: VecDeque<ComponentAction>,
    phase: Phase,
    id: String,
    domain: Option<Domain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Handshake,
    Authenticated,
    Closed,
}

impl Component {
    pub fn new(settings: Arc<Settings>) -> Component {
        Component {
            input: Input::new(Framing::Stream, settings.limits_before_login),
            output: Output::of_server(ns::COMPONENT_ACCEPT),
            actions: VecDeque::new(),
            phase: Phase::Opening,
            id: random_id(),
            domain: None,
            settings,
        }
    }

    /// Takes bytes off the front until there is an action to perform or nothing is left.
    pub fn handle_bytes(&mut self, bytes: &mut &[u8]) {
        while self.actions.is_empty() && self.phase != Phase::Closed {
            match self.input.read(bytes) {
                Ok(Some(event)) => self.handle_event(event),
                Ok(None) => return,
                Err(error) => return self.fail(&read_failure(error)),
            }
            if bytes.is_empty() {
                return;
            }
        }
    }

    pub fn poll_action(&mut self) -> Option<ComponentAction> {
        self.actions.pop_front()
    }

    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub fn send(&mut self, stanza: &Stanza) {
        self.output.write(|bytes, default_ns| stanza.write(bytes, default_ns));
    }

    /// Ends the stream with an error.
    pub fn fail(&mut self, error: &StreamError) {
        if !self.output.is_open() {
            self.send_header();
        }
        self.output.element(&error.to_element());
        self.close();
    }

    pub fn close(&mut self) {
        self.output.footer();
        self.phase = Phase::Closed;
        self.actions.clear();
        self.actions.push_back(ComponentAction::Close);
    }

    fn handle_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Open { header, default_ns } => self.handle_header(&header, &default_ns),
            StreamEvent::Element(element) => self.handle_element(element),
            StreamEvent::Close => self.close(),
        }
    }

    fn handle_header(&mut self, header: &Element, default_ns: &str) {
        match default_ns {
            ns::COMPONENT_ACCEPT => {}
            // COMPAT: slixmpp can be told to write so.
            ns::CLIENT => self.output = Output::of_server(ns::CLIENT),
            _ => return self.fail(&StreamCondition::InvalidNamespace.into()),
        }
        if header.name() != "stream" || header.ns() != ns::STREAM {
            return self.fail(&StreamCondition::InvalidNamespace.into());
        }
        let domain = header.attr("to").and_then(Domain::parse);
        match domain.filter(|domain| self.settings.secrets.contains_key(domain)) {
            Some(domain) => self.domain = Some(domain),
            None => return self.fail(&StreamCondition::HostUnknown.into()),
        }
        self.send_header();
        self.phase = Phase::Handshake;
    }

    fn send_header(&mut self) {
        let from = self.domain.as_ref().map_or("", Domain::as_str);
        self.output.header(&[("from", from), ("id", &self.id)]);
    }

    fn handle_element(&mut self, mut element: Element) {
        if element.is("error", ns::STREAM) {
            return self.close();
        }
        element.rename_ns(ns::COMPONENT_ACCEPT, &Ns::from(ns::CLIENT));
        let Some(domain) = self.domain.clone() else { return };
        match self.phase {
            Phase::Handshake if element.is("handshake", ns::CLIENT) => {
                self.handle_handshake(&element, domain);
            }
            Phase::Authenticated => self.handle_stanza(element, &domain),
            _ => self.fail(&StreamCondition::NotAuthorized.into()),
        }
    }

    fn handle_handshake(&mut self, handshake: &Element, domain: Domain) {
        // Only known domains come so far.
        let secret = self.settings.secrets.get(&domain).map_or("", String::as_str);
        let digest = Sha1::new().chain_update(&self.id).chain_update(secret).finalize();
        let expected = hex::encode(digest);
        let given = handshake.text().trim().to_owned();
        if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            return self.fail(&StreamCondition::NotAuthorized.into());
        }
        self.phase = Phase::Authenticated;
        self.input.set_limits(self.settings.limits);
        let own_ns = self.output.default_ns();
        self.output.element(&Element::new("handshake", own_ns));
        self.actions.push_back(ComponentAction::Authenticated(domain));
    }

    fn handle_stanza(&mut self, element: Element, domain: &Domain) {
        let malformed = Malformed::of(&element);
        let stanza = match Stanza::from_element(element) {
            Ok(stanza) => stanza,
            Err(StanzaParseError::NotAStanza) => {
                return self.fail(&StreamCondition::UnsupportedStanzaType.into());
            }
            // Its users share the stream, and an address of theirs must not end it.
            Err(StanzaParseError::BadAddress { error, .. }) => {
                let error = StanzaError::jid_malformed(error.to_string());
                return self.refuse(malformed, &error, domain);
            }
        };
        let (Some(from), Some(_)) = (&stanza.from, &stanza.to) else {
            return self.fail(&StreamCondition::ImproperAddressing.into());
        };
        if from.domain() != domain.as_str() {
            return self.fail(&StreamCondition::InvalidFrom.into());
        }
        self.actions.push_back(ComponentAction::Stanza(stanza));
    }

    /// RFC 6120, section 8.3.3.8. What cannot be read of an address is in neither of the answer's.
    fn refuse(&mut self, malformed: Malformed, error: &StanzaError, domain: &Domain) {
        if matches!(malformed.type_.as_deref(), Some("error" | "result")) {
            return;
        }
        let sender = malformed.from.filter(|from| from.domain() == domain.as_str());
        let own_ns = self.output.default_ns();
        let answer = Element::new(malformed.name, own_ns)
            .with_attr("type", "error")
            .with_attr("from", domain.as_str())
            .with_attr("to", sender.as_ref().map_or(domain.as_str(), Jid::as_str))
            .with_attr_opt("id", malformed.id)
            .with_child(error.to_element(own_ns));
        self.output.element(&answer);
    }
}

/// What is needed to answer a stanza with an address that is none.
struct Malformed {
    name: CompactString,
    id: Option<CompactString>,
    type_: Option<CompactString>,
    from: Option<Jid>,
}

impl Malformed {
    fn of(element: &Element) -> Malformed {
        Malformed {
            name: element.name().into(),
            id: element.attr("id").map(Into::into),
            type_: element.attr("type").map(Into::into),
            from: element.attr("from").and_then(|from| from.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component() -> Component {
        let domain = Domain::parse("irc.example").unwrap();
        Component::new(Arc::new(Settings {
            secrets: HashMap::from([(domain, "open sesame".to_owned())]),
            limits_before_login: Limits { stanza_bytes: 1024, ..Limits::default() },
            limits: Limits::default(),
        }))
    }

    /// Hands text in; returns what is answered and what is to be done.
    fn say(component: &mut Component, text: &str) -> (String, Vec<ComponentAction>) {
        let mut actions = Vec::new();
        let mut rest = text.as_bytes();
        loop {
            actions.extend(std::iter::from_fn(|| component.poll_action()));
            if rest.is_empty() || component.phase == Phase::Closed {
                break;
            }
            component.handle_bytes(&mut rest);
        }
        (String::from_utf8(component.output.take()).unwrap(), actions)
    }

    fn header(ns: &str, to: &str) -> String {
        format!(
            "<stream:stream xmlns='{ns}' xmlns:stream='http://etherx.jabber.org/streams' to='{to}'>"
        )
    }

    fn handshake(component: &Component, secret: &str) -> String {
        let digest = hex::encode(Sha1::digest(format!("{}{secret}", component.id)));
        format!("<handshake>{digest}</handshake>")
    }

    fn authenticated(ns: &str) -> Component {
        let mut component = component();
        say(&mut component, &header(ns, "irc.example"));
        let handshake = handshake(&component, "open sesame");
        let (answer, actions) = say(&mut component, &handshake);
        assert_eq!(answer, "<handshake/>");
        assert!(matches!(&actions[..], [ComponentAction::Authenticated(_)]));
        component
    }

    #[test]
    fn both_namespaces_are_understood_and_answered_in() {
        for ns in [ns::COMPONENT_ACCEPT, ns::CLIENT] {
            let mut component = authenticated(ns);
            let said = "<message from='u@irc.example' to='a@b'><body>hi</body></message>\
                <message xmlns='jabber:client' from='u@irc.example' to='a@b'><body>hi</body></message>";
            let (_, actions) = say(&mut component, said);
            assert_eq!(actions.len(), 2);
            for action in actions {
                let ComponentAction::Stanza(stanza) = action else { panic!("{action:?}") };
                assert_eq!(stanza.body().as_deref(), Some("hi"));
                component.send(&stanza);
            }
            assert!(!String::from_utf8(component.output.take()).unwrap().contains("xmlns"));
        }
    }

    #[test]
    fn the_secret_is_needed() {
        let mut stranger = component();
        let (answer, _) = say(&mut stranger, &header(ns::COMPONENT_ACCEPT, "irc.example"));
        assert!(answer.contains("from='irc.example'") && answer.contains(" id="), "{answer}");
        let wrong = handshake(&stranger, "open sesam");
        let (answer, actions) = say(&mut stranger, &wrong);
        assert!(answer.contains("not-authorized") && answer.ends_with("</stream:stream>"));
        assert!(matches!(&actions[..], [ComponentAction::Close]));
        for said in ["<handshake/>", "<message from='irc.example' to='a@b'/>"] {
            let mut stranger = component();
            say(&mut stranger, &header(ns::COMPONENT_ACCEPT, "irc.example"));
            assert!(say(&mut stranger, said).0.contains("not-authorized"));
        }
    }

    #[test]
    fn headers_that_are_refused() {
        for (ns, to, condition) in [
            (ns::COMPONENT_ACCEPT, "other.example", "host-unknown"),
            (ns::COMPONENT_ACCEPT, "", "host-unknown"),
            (ns::SERVER, "irc.example", "invalid-namespace"),
        ] {
            let (answer, _) = say(&mut component(), &header(ns, to));
            assert!(answer.contains(condition), "{answer}");
        }
    }

    #[test]
    fn it_speaks_for_its_own_domain() {
        for (attributes, condition) in [
            ("from='a@b.example' to='c@d'", "invalid-from"),
            ("from='x.irc.example' to='c@d'", "invalid-from"),
            ("to='c@d'", "improper-addressing"),
            ("from='irc.example'", "improper-addressing"),
        ] {
            let mut component = authenticated(ns::COMPONENT_ACCEPT);
            let (answer, _) = say(&mut component, &format!("<presence {attributes}/>"));
            assert!(answer.contains(condition), "{answer}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_told_and_ends_nothing() {
        let mut component = authenticated(ns::COMPONENT_ACCEPT);
        for (attributes, told) in [
            ("from='u@irc.example' to='@' id='1'", "to='u@irc.example' id='1'"),
            ("from='@' to='a@b' id='2'", "to='irc.example' id='2'"),
            // Nobody elsewhere is told in its name.
            ("from='a@b' to='@' id='3'", "to='irc.example' id='3'"),
        ] {
            let (answer, actions) = say(&mut component, &format!("<message {attributes}/>"));
            assert!(actions.is_empty() && answer.contains("jid-malformed"), "{answer}");
            assert!(answer.contains(told) && answer.contains("from='irc.example'"), "{answer}");
        }
        let error = "<presence type='error' from='irc.example' to='@'/>";
        assert!(say(&mut component, error).0.is_empty(), "an error is not answered");
        let (_, actions) = say(&mut component, "<presence from='irc.example' to='a@b'/>");
        assert!(matches!(&actions[..], [ComponentAction::Stanza(_)]));
    }
}
