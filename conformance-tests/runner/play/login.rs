//! From an open socket to an available session, one stage after the other.

use sha1::{Digest as _, Sha1};
use tokio::time::Instant;

use super::actor::{Actor, NS_BIND, Noise};
use super::{Outcome, Play};
use crate::client::{Connection, Endpoint, Event};
use crate::script::{ActorSpec, Stage};
use crate::text::{random_hex, to_hex};
use crate::xml::{Element, NS_CLIENT, NS_STREAM, escape};

const NS_TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const NS_SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

impl Play<'_> {
    pub(super) async fn reach(&mut self, name: &str, goal: Stage, deadline: Instant) -> Outcome {
        let endpoint = self.server.endpoint();
        let actor = self.actor(name)?;
        actor.advance(&endpoint, goal, deadline).await?;
        if goal == Stage::Session {
            self.note_presence(name, false);
        }
        Ok(())
    }

    /// Other actors may now see this one's presence, and it theirs, without listing it.
    pub(super) fn note_presence(&mut self, name: &str, unavailable: bool) {
        let Some(subject) = self.actors.get(name).filter(|a| a.spec.presence) else {
            return;
        };
        let Some(from) = subject.jid.clone() else {
            return;
        };
        let account = subject.spec.account.clone();
        let related: Vec<String> = self
            .actors
            .values()
            .filter(|o| o.spec.name != name && self.share_presence(&account, &o.spec.account))
            .map(|o| o.spec.name.clone())
            .collect();
        let mut to_subject = Vec::new();
        for name in &related {
            let Some(other) = self.actors.get_mut(name) else {
                continue;
            };
            other.noise.push(Noise { from: from.clone(), unavailable });
            if !other.is_live() {
                // RFC 6121 §4.3.2: the answer to a probe of a contact who is away
                let from = other.account.bare.clone();
                to_subject.push(Noise { from, unavailable: true });
            } else if let Some(jid) = &other.jid {
                to_subject.push(Noise { from: jid.clone(), unavailable: false });
            }
        }
        if let Some(subject) = self.actors.get_mut(name).filter(|_| !unavailable) {
            subject.noise.extend(to_subject);
        }
    }

    /// Two devices of one account, or accounts that a `roster:` option joins.
    fn share_presence(&self, a: &str, b: &str) -> bool {
        let names = |x: &ActorSpec, y: &str| {
            x.roster
                .iter()
                .filter_map(|(who, _)| self.script.actor(who))
                .any(|other| other.account == y)
        };
        a == b
            || self
                .script
                .actors
                .iter()
                .any(|s| s.account == a && names(s, b) || s.account == b && names(s, a))
    }
}

impl Actor {
    pub(super) async fn advance(
        &mut self,
        endpoint: &Endpoint,
        goal: Stage,
        deadline: Instant,
    ) -> Outcome {
        let before = self.trace.len();
        self.advance_loudly(endpoint, goal, deadline).await?;
        // What a login says is of no interest unless it fails.
        self.trace.truncate(before);
        self.log('-', &format!("reached {goal:?} as {}", self.jid.as_deref().unwrap_or("-")));
        Ok(())
    }

    async fn advance_loudly(
        &mut self,
        endpoint: &Endpoint,
        goal: Stage,
        deadline: Instant,
    ) -> Outcome {
        while self.stage < Some(goal) {
            let domain = self.account.domain.clone();
            match self.stage {
                None => self.dial(endpoint, &domain).await?,
                Some(Stage::Raw) if self.spec.component.is_some() => {
                    self.exchange_headers(&domain, deadline).await?;
                    self.stage = Some(Stage::Stream);
                }
                Some(_) if self.spec.component.is_some() => self.shake_hands(deadline).await?,
                Some(Stage::Raw) => {
                    self.open_stream(&domain, deadline).await?;
                    let secure = self.connection()?.is_tls();
                    self.stage = Some(if secure { Stage::Tls } else { Stage::Stream });
                }
                Some(Stage::Stream) => {
                    self.start_tls(&domain, deadline).await?;
                    self.open_stream(&domain, deadline).await?;
                    self.stage = Some(Stage::Tls);
                }
                Some(Stage::Tls) => self.log_in(deadline).await?,
                Some(Stage::Success) => {
                    if self.vars.get(&self.key("sasl2")).is_none() {
                        self.open_stream(&domain, deadline).await?;
                    } else {
                        self.expect_features(deadline).await?;
                    }
                    self.stage = Some(Stage::Authenticated);
                }
                Some(Stage::Authenticated) => self.bind(deadline).await?,
                Some(Stage::Bound | Stage::Session) => {
                    self.start_session(deadline).await?;
                    self.stage = Some(Stage::Session);
                }
            }
        }
        Ok(())
    }

    async fn dial(&mut self, endpoint: &Endpoint, domain: &str) -> Outcome {
        self.reset();
        self.features = None;
        self.sm.enabled = false;
        self.vars.forget(&self.key("sasl2"));
        let connection = Connection::open(endpoint, self.spec.transport, domain)
            .await
            .map_err(|e| format!("{} cannot connect: {e:#}", self.spec.name))?;
        self.connection = Some(connection);
        self.stage = Some(Stage::Raw);
        self.note_tls();
        Ok(())
    }

    fn note_tls(&self) {
        let Some(facts) = self.connection.as_ref().and_then(Connection::session) else {
            return;
        };
        let exporter = facts.exporter.as_deref().map(to_hex).unwrap_or_default();
        self.vars.set(&self.key("tls-exporter"), exporter);
        self.vars.set(&self.key("tls-end-point"), to_hex(&facts.end_point));
        self.vars.set(&self.key("alpn"), facts.alpn);
        self.vars.set(&self.key("tls-version"), facts.version);
        self.vars.set(&self.key("certificate"), facts.certificate);
    }

    async fn open_stream(&mut self, domain: &str, deadline: Instant) -> Outcome {
        self.exchange_headers(domain, deadline).await?;
        self.expect_features(deadline).await
    }

    async fn exchange_headers(&mut self, domain: &str, deadline: Instant) -> Outcome {
        self.log('>', "stream header");
        let bare = self.account.bare.clone();
        let named = self.spec.from && self.connection()?.is_tls();
        self.connection()?
            .open_stream(domain, named.then_some(bare.as_str()))
            .await
            .map_err(|e| format!("{e:#}"))?;
        match self.next(deadline).await? {
            Event::Header(header) => {
                self.vars.set(&self.key("stream-id"), header.attr("id").unwrap_or_default());
                Ok(())
            }
            other => Err(format!("no stream header but {other:?}")),
        }
    }

    /// XEP-0114 §3: proves that the component knows the secret.
    async fn shake_hands(&mut self, deadline: Instant) -> Outcome {
        let id = self.vars.get(&self.key("stream-id")).unwrap_or_default();
        let digest = Sha1::digest(format!("{id}{}", self.account.password));
        let handshake = format!("<handshake>{}</handshake>", to_hex(&digest));
        self.send_elements(&handshake).await?;
        match self.next(deadline).await? {
            Event::Element(e) if e.is(NS_CLIENT, "handshake") => {}
            other => return Err(format!("no <handshake/> but {other:?}")),
        }
        let domain = self.account.domain.clone();
        self.set_jid(&domain);
        self.stage = Some(Stage::Session);
        Ok(())
    }

    async fn expect_features(&mut self, deadline: Instant) -> Outcome {
        match self.next(deadline).await? {
            Event::Element(e) if e.is(NS_STREAM, "features") => Ok(()),
            other => Err(format!("no stream features but {other:?}")),
        }
    }

    pub(super) async fn start_tls(&mut self, domain: &str, deadline: Instant) -> Outcome {
        self.send_elements(&format!("<starttls xmlns='{NS_TLS}'/>")).await?;
        match self.next(deadline).await? {
            Event::Element(e) if e.is(NS_TLS, "proceed") => {}
            other => return Err(format!("no <proceed/> but {other:?}")),
        }
        self.connection()?
            .start_tls(domain)
            .await
            .map_err(|e| format!("the TLS handshake failed: {e:#}"))?;
        // The old stream is over (RFC 6120 §5.4.3.3): as after dialling, but secured.
        self.stage = Some(Stage::Raw);
        self.note_tls();
        Ok(())
    }

    async fn bind(&mut self, deadline: Instant) -> Outcome {
        let wish = match &self.spec.resource {
            Some(r) => format!("<resource>{}</resource>", escape(r)),
            None => String::new(),
        };
        let bind = format!("<bind xmlns='{NS_BIND}'>{wish}</bind>");
        let answer = self.request("set", "", &bind, deadline).await?;
        let jid = answer.child(NS_BIND, "bind").and_then(|b| b.child(NS_BIND, "jid"));
        if answer.attr("type") != Some("result") || jid.is_none() {
            return Err(format!("no resource bound but {}", answer.to_pretty()));
        }
        let features = self.features.as_ref();
        let session = features.and_then(|f| f.child(NS_SESSION, "session"));
        // RFC 3921 §3; RFC 6121 Appendix E lets it be optional
        if session.is_some_and(|s| s.child(NS_SESSION, "optional").is_none()) {
            self.request("set", "", &format!("<session xmlns='{NS_SESSION}'/>"), deadline).await?;
        }
        self.stage = Some(Stage::Bound);
        Ok(())
    }

    async fn start_session(&mut self, deadline: Instant) -> Outcome {
        if self.spec.interested {
            self.request("get", "", "<query xmlns='jabber:iq:roster'/>", deadline).await?;
        }
        if !self.spec.presence {
            return Ok(());
        }
        self.send_elements("<presence/>").await?;
        let jid = self.jid.clone();
        self.wait_for(deadline, |e| {
            e.name == "presence" && e.attr("from") == jid.as_deref() && e.attr("type").is_none()
        })
        .await?;
        Ok(())
    }

    /// Sends a request and takes its answer out of whatever else comes.
    pub(super) async fn request(
        &mut self,
        kind: &str,
        to: &str,
        payload: &str,
        deadline: Instant,
    ) -> Outcome<Element> {
        let id = format!("runner-{}", random_hex(4));
        let to = if to.is_empty() { String::new() } else { format!("to='{}'", escape(to)) };
        self.send_elements(&format!("<iq type='{kind}' id='{id}' {to}>{payload}</iq>")).await?;
        self.wait_for(deadline, |e| e.is(NS_CLIENT, "iq") && e.attr("id") == Some(&id)).await
    }

    /// Takes the first element that fits; everything else stays in the queue.
    pub(super) async fn wait_for(
        &mut self,
        deadline: Instant,
        fits: impl Fn(&Element) -> bool,
    ) -> Outcome<Element> {
        let mut seen = 0;
        loop {
            while seen < self.queue.len() {
                match &self.queue[seen] {
                    Event::Element(e) if fits(e) => {
                        let Some(Event::Element(e)) = self.queue.remove(seen) else {
                            continue;
                        };
                        return Ok(e);
                    }
                    Event::Closed(how) => {
                        return Err(format!("{} was disconnected: {how}", self.spec.name));
                    }
                    _ => seen += 1,
                }
            }
            self.pull(deadline).await?;
        }
    }
}
