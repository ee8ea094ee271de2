//! SASL and SASL2 exchanges.

use std::collections::HashMap;

use tokio::time::Instant;

use super::actor::{Actor, NS_SASL, NS_SASL2};
use super::{Outcome, Play};
use crate::client::sasl::{BEARER, Exchange, MECHANISMS};
use crate::client::{Connection, Event};
use crate::script::{AuthStep, Stage};
use crate::xml::Element;

/// XEP-0440
const NS_BINDINGS: &str = "urn:xmpp:sasl-cb:0";

impl Play<'_> {
    /// An exchange whose outcome the script itself receives.
    pub(super) async fn authenticate(
        &mut self,
        name: &str,
        step: &AuthStep,
        deadline: Instant,
    ) -> Outcome {
        let endpoint = self.server.endpoint();
        let vars = self.vars.clone();
        let mut faults: HashMap<String, String> = HashMap::new();
        for (key, template) in &step.keys {
            faults.insert(key.clone(), template.render(&vars)?);
        }
        let inline = step.inline.as_ref().map(|t| t.render_xml(&vars)).transpose()?;
        let actor = self.actor(name)?;
        actor.advance(&endpoint, Stage::Tls, deadline).await?;
        let namespace = if step.sasl2 { NS_SASL2 } else { NS_SASL };
        let mechanism = match faults.remove("mechanism") {
            Some(m) => m,
            None => actor.choose_mechanism(namespace)?,
        };
        let inline = inline.unwrap_or_default();
        let outcome = actor.exchange(&mechanism, namespace, &inline, faults, deadline).await?;
        actor.queue.push_front(Event::Element(outcome));
        Ok(())
    }
}

impl Actor {
    /// The plain login of `connects`: it has to succeed.
    pub(super) async fn log_in(&mut self, deadline: Instant) -> Outcome {
        let mechanism = self.choose_mechanism(NS_SASL)?;
        let outcome = self.exchange(&mechanism, NS_SASL, "", HashMap::new(), deadline).await?;
        if outcome.name == "success" {
            return Ok(());
        }
        Err(format!("{} cannot log in: {}", self.spec.name, outcome.to_pretty()))
    }

    fn choose_mechanism(&self, namespace: &str) -> Outcome<String> {
        let offered = self.offered_mechanisms(namespace);
        let wanted: Vec<&str> = match &self.spec.mechanism {
            Some(m) => vec![m.as_str()],
            None if self.spec.bearer.is_some() => vec![BEARER],
            None => MECHANISMS.to_vec(),
        };
        wanted
            .iter()
            .find(|m| offered.iter().any(|o| o == *m))
            .map(|m| (*m).to_owned())
            .ok_or_else(|| format!("none of {wanted:?} is offered, only {offered:?}"))
    }

    fn offered_mechanisms(&self, namespace: &str) -> Vec<String> {
        let list = if namespace == NS_SASL2 { "authentication" } else { "mechanisms" };
        self.offered_in(namespace, list)
            .filter(|m| m.name == "mechanism")
            .map(Element::text)
            .collect()
    }

    /// What a stream feature contains.
    fn offered_in(&self, ns: &str, name: &str) -> impl Iterator<Item = &Element> {
        let feature = self.features.as_ref().and_then(|f| f.child(ns, name));
        feature.into_iter().flat_map(Element::children)
    }

    /// What the server's hash of XEP-0474 has to be over what was offered.
    fn note_downgrade_hash(&self, sasl: &Exchange, namespace: &str) {
        let bindings: Vec<String> = self
            .offered_in(NS_BINDINGS, "sasl-channel-binding")
            .filter_map(|b| b.attr("type").map(str::to_owned))
            .collect();
        if let Ok(hash) = sasl.downgrade_hash(self.offered_mechanisms(namespace), bindings) {
            self.vars.set(&self.key("downgrade-hash"), hash);
        }
    }

    /// Runs until the server answers with something other than a challenge.
    async fn exchange(
        &mut self,
        mechanism: &str,
        namespace: &str,
        inline: &str,
        faults: HashMap<String, String>,
        deadline: Instant,
    ) -> Outcome<Element> {
        let facts = self.connection.as_ref().and_then(Connection::session);
        let user = self.account.local.clone();
        let password = match &self.spec.bearer {
            Some(token) => token.render(&self.vars)?,
            None => self.account.password.clone(),
        };
        let mut sasl = Exchange::new(mechanism, &user, &password, facts.as_ref(), faults);
        let first = if namespace == NS_SASL2 {
            format!(
                "<authenticate xmlns='{NS_SASL2}' mechanism='{mechanism}'>\
                 <initial-response>{}</initial-response>{inline}</authenticate>",
                sasl.initial()
            )
        } else {
            format!("<auth xmlns='{NS_SASL}' mechanism='{mechanism}'>{}</auth>", sasl.initial())
        };
        self.send_elements(&first).await?;
        loop {
            let element = match self.next(deadline).await? {
                Event::Element(e) => e,
                Event::Closed(how) => return Err(format!("disconnected in SASL: {how}")),
                other => return Err(format!("{other:?} in SASL")),
            };
            if element.name != "challenge" {
                self.finish(&sasl, &element)?;
                return Ok(element);
            }
            let answer = sasl.respond(&element.text()).map_err(|e| format!("challenge: {e:#}"))?;
            self.vars.set(&self.key("server-first"), sasl.server_first.clone());
            self.note_downgrade_hash(&sasl, namespace);
            self.send_elements(&format!("<response xmlns='{namespace}'>{answer}</response>"))
                .await?;
        }
    }

    fn finish(&self, sasl: &Exchange, element: &Element) -> Outcome {
        let data = match (element.ns.as_str(), element.name.as_str()) {
            (NS_SASL, "success") => element.text(),
            (NS_SASL2, "success") => {
                element.child(NS_SASL2, "additional-data").map(Element::text).unwrap_or_default()
            }
            _ => return Ok(()),
        };
        sasl.finish(&data).map_err(|e| format!("{e:#}"))
    }
}
