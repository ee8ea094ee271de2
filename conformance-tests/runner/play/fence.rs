//! Showing that nothing comes, without waiting for time to pass.
//!
//! Every actor that could have caused a stanza first has all its own stanzas processed (a ping to
//! its server answers after them), then sends a marker straight to the quiet actor's full JID: an
//! IQ result, which RFC 6121 §8.5.3.1 has a server deliver to whom it is addressed whatever they
//! think of each other. What was routed earlier arrives before the markers.

use tokio::time::Instant;

use super::{Outcome, Play};
use crate::client::Event;
use crate::play::actor::Actor;
use crate::xml::escape;

/// How often a quiet actor pings its server while a marker is missing.
const PINGS: usize = 4;

impl Play<'_> {
    fn fence_id(&mut self) -> String {
        self.fences += 1;
        format!("fence-{}", self.fences)
    }

    /// Waits until the server has processed everything that the actor sent.
    pub(super) async fn settle(&mut self, name: &str, deadline: Instant) -> Outcome {
        let id = self.fence_id();
        let server = self.server.domain().to_owned();
        let actor = self.actor(name)?;
        actor.ping(&id, &server).await?;
        actor.wait_fence(&id, deadline).await
    }

    pub(super) async fn receives_nothing(&mut self, name: &str, deadline: Instant) -> Outcome {
        let mut markers = self.send_markers(name, deadline).await?;
        // A marker that is blocked (XEP-0191) never arrives. Its sender's stanzas were processed
        // before these pings are sent, and each ping gives the server a turn to deliver them.
        for _ in 0..PINGS {
            self.settle(name, deadline).await?;
            let actor = self.actor(name)?;
            markers.retain(|id| !actor.fences.contains(id));
            if markers.is_empty() {
                break;
            }
        }
        let actor = self.actor(name)?;
        while let Some(event) = actor.queue.pop_front() {
            match event {
                Event::Element(e) if actor.may_skip(&e) => {}
                Event::Element(e) => return Err(format!("{name} received\n{}", e.to_pretty())),
                other => return Err(format!("{name} received {other:?}")),
            }
        }
        Ok(())
    }

    /// Returns the markers that were sent.
    async fn send_markers(&mut self, quiet: &str, deadline: Instant) -> Outcome<Vec<String>> {
        let target = self.actor(quiet)?.jid.clone();
        let target = target.ok_or("only a bound actor can be fenced")?;
        let others: Vec<String> = self
            .actors
            .values()
            .filter(|a| a.spec.name != quiet && a.is_live())
            .map(|a| a.spec.name.clone())
            .collect();
        let mut markers = Vec::new();
        for other in others {
            let marker = self.fence_id();
            let from = self.actor(&other)?.sender_attribute();
            let iq = format!("<iq type='result' id='{marker}' {from}to='{}'/>", escape(&target));
            let sent = self.mark(&other, &iq, deadline).await;
            if self.actor(&other)?.connection.is_none() {
                // Closed by the server in answer to something; nothing more comes from it.
                continue;
            }
            sent?;
            markers.push(marker);
        }
        Ok(markers)
    }

    async fn mark(&mut self, name: &str, marker: &str, deadline: Instant) -> Outcome {
        self.actor(name)?.send_elements(marker).await?;
        self.settle(name, deadline).await
    }
}

impl Actor {
    async fn ping(&mut self, id: &str, server: &str) -> Outcome {
        let to = if self.spec.component.is_some() { server } else { &self.account.domain };
        let addresses = format!("{}to='{}'", self.sender_attribute(), escape(to));
        let iq = format!("<iq type='get' id='{id}' {addresses}><ping xmlns='urn:xmpp:ping'/></iq>");
        self.send_elements(&iq).await
    }

    /// Components name the sender of what they send, which servers do for clients.
    fn sender_attribute(&self) -> String {
        match &self.spec.component {
            Some((domain, _)) => format!("from='{}' ", escape(domain)),
            None => String::new(),
        }
    }

    async fn wait_fence(&mut self, id: &str, deadline: Instant) -> Outcome {
        while !self.fences.contains(id) {
            self.pull(deadline).await?;
        }
        Ok(())
    }
}
