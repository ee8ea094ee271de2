//! One device of one user: its connection and what it has received.

use std::collections::{HashSet, VecDeque};

use tokio::time::{Instant, timeout_at};

use super::Outcome;
use super::caps::{NS_DISCO_INFO, verification};
use crate::client::{Connection, Event};
use crate::pattern::{Own, matches};
use crate::script::{ActorSpec, Stage};
use crate::target::Account;
use crate::text::Vars;
use crate::xml::{Element, NS_STREAM, parse_fragment};

pub(super) const NS_SM: &str = "urn:xmpp:sm:3";
pub(super) const NS_SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub(super) const NS_SASL2: &str = "urn:xmpp:sasl:2";
pub(super) const NS_BIND2: &str = "urn:xmpp:bind:0";
pub(super) const NS_BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// A presence that the runner's own `connects` and `disconnects` may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noise {
    pub(super) from: String,
    pub(super) unavailable: bool,
}

#[derive(Debug, Default)]
pub(super) struct StreamManagement {
    pub(super) enabled: bool,
    pub(super) id: String,
    /// Stanzas received since `<enabled/>`
    pub(super) received: u32,
    /// Stanzas sent since `<enable/>`
    pub(super) sent: u32,
}

pub(super) struct Actor {
    pub(super) spec: ActorSpec,
    pub(super) account: Account,
    pub(super) connection: Option<Connection>,
    pub(super) stage: Option<Stage>,
    pub(super) queue: VecDeque<Event>,
    pub(super) features: Option<Element>,
    pub(super) jid: Option<String>,
    pub(super) ignored: Vec<Element>,
    pub(super) noise: Vec<Noise>,
    pub(super) fences: HashSet<String>,
    pub(super) sm: StreamManagement,
    pub(super) vars: Vars,
    pub(super) trace: Vec<(Instant, String)>,
}

impl Actor {
    pub(super) fn new(spec: ActorSpec, account: Account, vars: Vars) -> Self {
        Self {
            spec,
            account,
            connection: None,
            stage: None,
            queue: VecDeque::new(),
            features: None,
            jid: None,
            ignored: Vec::new(),
            noise: Vec::new(),
            fences: HashSet::new(),
            sm: StreamManagement::default(),
            vars,
            trace: Vec::new(),
        }
    }

    pub(super) fn key(&self, what: &str) -> String {
        format!("{}.{what}", self.spec.name.to_lowercase())
    }

    pub(super) fn own(&self) -> Own<'_> {
        Own { bare: &self.account.bare, full: self.jid.as_deref() }
    }

    pub(super) fn is_live(&self) -> bool {
        self.connection.is_some() && self.stage >= Some(Stage::Bound)
    }

    pub(super) fn connection(&mut self) -> Outcome<&mut Connection> {
        let name = &self.spec.name;
        self.connection.as_mut().ok_or_else(|| format!("{name} is not connected"))
    }

    /// The next event that was not consumed yet.
    pub(super) async fn next(&mut self, deadline: Instant) -> Outcome<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            self.pull(deadline).await?;
        }
    }

    /// Reads one event from the connection into the queue and lets it change the actor's state.
    pub(super) async fn pull(&mut self, deadline: Instant) -> Outcome {
        let name = self.spec.name.clone();
        let Some(connection) = &mut self.connection else {
            return Err(format!("{name} is not connected"));
        };
        let event = timeout_at(deadline, connection.next())
            .await
            .map_err(|_| format!("{name} received nothing more in time"))?;
        self.log_event(&event);
        match &event {
            Event::Element(e) => {
                if self.is_fence(e) {
                    self.count(e);
                    return Ok(());
                }
                let e = e.clone();
                self.observe(&e).await?;
            }
            Event::Closed(_) => self.lose_connection(),
            Event::Header(_) | Event::Footer => {}
        }
        self.queue.push_back(event);
        Ok(())
    }

    fn lose_connection(&mut self) {
        self.connection = None;
        self.stage = None;
    }

    fn is_fence(&mut self, e: &Element) -> bool {
        let id = e.attr("id").unwrap_or_default();
        let ours = e.name == "iq" && id.starts_with("fence-");
        if ours {
            self.fences.insert(id.to_owned());
        }
        ours
    }

    fn count(&mut self, e: &Element) {
        if e.is_stanza() && self.sm.enabled {
            self.sm.received += 1;
            self.vars.set(&self.key("h"), self.sm.received.to_string());
        }
    }

    async fn observe(&mut self, e: &Element) -> Outcome {
        self.count(e);
        match (e.ns.as_str(), e.name.as_str()) {
            (NS_STREAM, "features") => {
                self.features = Some(e.clone());
                if self.stage == Some(Stage::Success) && self.sasl2_done() {
                    self.stage = Some(Stage::Authenticated);
                }
            }
            (NS_SASL, "success") => self.stage = Some(Stage::Success),
            (NS_SASL2, "success") => self.sasl2_success(e),
            (NS_SM, "enabled") => self.sm_enabled(e),
            (NS_SM, "resumed") => {
                self.stage = Some(Stage::Session);
                self.sm.enabled = true;
                let h = e.attr("h").unwrap_or_default();
                self.vars.set(&self.key("resumed-h"), h);
            }
            (NS_SM, "r") if self.spec.acks => {
                let ack = format!("<a xmlns='{NS_SM}' h='{}'/>", self.sm.received);
                self.send_elements(&ack).await?;
            }
            (_, "iq") if e.attr("type") == Some("result") => {
                if let Some(query) = e.child(NS_DISCO_INFO, "query") {
                    self.vars.set(&self.key("caps"), verification(query));
                }
                if let Some(jid) = e.child(NS_BIND, "bind").and_then(|b| b.child(NS_BIND, "jid")) {
                    self.set_jid(&jid.text());
                    self.stage = Some(Stage::Bound);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// SASL2 sends features without a new stream, so they must not be asked for.
    fn sasl2_done(&self) -> bool {
        self.vars.get(&self.key("sasl2")).is_some()
    }

    fn sasl2_success(&mut self, e: &Element) {
        self.stage = Some(Stage::Success);
        self.vars.set(&self.key("sasl2"), "yes");
        if let Some(resumed) = e.child(NS_SM, "resumed") {
            self.stage = Some(Stage::Session);
            self.sm.enabled = true;
            self.vars.set(&self.key("resumed-h"), resumed.attr("h").unwrap_or_default());
            return;
        }
        let id = e.child(NS_SASL2, "authorization-identifier").map(Element::text);
        if let Some(bound) = e.child(NS_BIND2, "bound") {
            self.set_jid(&id.unwrap_or_default());
            self.stage = Some(Stage::Bound);
            if let Some(enabled) = bound.child(NS_SM, "enabled") {
                self.sm_enabled(enabled);
            }
        }
    }

    fn sm_enabled(&mut self, e: &Element) {
        let id = e.attr("id").unwrap_or_default().to_owned();
        self.sm.enabled = true;
        self.sm.received = 0;
        self.vars.set(&self.key("sm-id"), id.clone());
        self.vars.set(&self.key("h"), "0");
        self.sm.id = id;
    }

    pub(super) fn set_jid(&mut self, jid: &str) {
        self.jid = Some(jid.to_owned());
        self.vars.set(&self.key("jid"), jid);
        let resource = jid.split_once('/').map_or("", |(_, r)| r);
        self.vars.set(&self.key("resource"), resource);
    }

    /// Sends well-formed elements; stanzas count for stream management.
    pub(super) async fn send_elements(&mut self, xml: &str) -> Outcome {
        self.log('>', xml);
        for e in parse_fragment(xml)? {
            if e.is(NS_SM, "enable") || contains_enable(&e) {
                self.sm.sent = 0;
            } else if e.is_stanza() {
                self.sm.sent += 1;
            }
        }
        self.vars.set(&self.key("sent"), self.sm.sent.to_string());
        let sent = self.connection()?.send_elements(xml).await;
        self.judge_sending(sent)
    }

    pub(super) async fn send_raw(&mut self, bytes: &[u8], binary: bool) -> Outcome {
        self.log('>', &String::from_utf8_lossy(bytes));
        let connection = self.connection()?;
        let sent =
            if binary { connection.send_binary(bytes).await } else { connection.send(bytes).await };
        self.judge_sending(sent)
    }

    /// A server may close while the client still writes; what it said before is still to be read,
    /// and the next step sees the end. Every other fault is one of the script.
    fn judge_sending(&mut self, sent: anyhow::Result<()>) -> Outcome {
        let Err(e) = sent else { return Ok(()) };
        let closed = e.chain().any(|c| {
            c.downcast_ref::<std::io::Error>().is_some()
                || c.downcast_ref::<tokio_tungstenite::tungstenite::Error>().is_some()
        });
        if !closed {
            return Err(format!("sending failed: {e:#}"));
        }
        self.log('!', &format!("sending failed: {e:#}"));
        Ok(())
    }

    /// May this element be passed over when it is not what the script expects next?
    pub(super) fn may_skip(&mut self, e: &Element) -> bool {
        if e.ns == NS_SM && matches!(e.name.as_str(), "r" | "a") || e.is(NS_STREAM, "features") {
            return true;
        }
        if self.ignored.iter().any(|p| matches(p, e, self.own(), &self.vars).is_ok()) {
            return true;
        }
        if e.name != "presence" {
            return false;
        }
        let noise = Noise {
            from: e.attr("from").unwrap_or_default().to_owned(),
            unavailable: e.attr("type") == Some("unavailable"),
        };
        let plain = matches!(e.attr("type"), None | Some("unavailable"));
        match self.noise.iter().position(|n| *n == noise).filter(|_| plain) {
            Some(i) => {
                self.noise.remove(i);
                true
            }
            None => false,
        }
    }

    pub(super) async fn disconnect(&mut self, deadline: Instant) -> Outcome {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        connection.close_stream().await.map_err(|e| format!("{e:#}"))?;
        while self.connection.is_some() {
            self.pull(deadline).await?;
            if matches!(self.queue.back(), Some(Event::Footer)) {
                break;
            }
        }
        self.reset();
        Ok(())
    }

    pub(super) fn reset(&mut self) {
        self.lose_connection();
        self.queue.clear();
        self.noise.clear();
    }

    pub(super) fn log(&mut self, direction: char, text: &str) {
        let line = format!("{} {direction} {text}", self.spec.name);
        self.trace.push((Instant::now(), line));
    }

    fn log_event(&mut self, event: &Event) {
        let text = match event {
            Event::Header(e) => format!("header {}", e.to_xml()),
            Event::Element(e) => e.to_xml(),
            Event::Footer => "end of stream".to_owned(),
            Event::Closed(how) => format!("disconnected: {how}"),
        };
        self.log('<', &text);
    }
}

/// Bind 2 enables stream management inside `<authenticate/>`.
fn contains_enable(e: &Element) -> bool {
    e.children().any(|c| c.is(NS_SM, "enable") || contains_enable(c))
}
