//! Showing that nothing comes, without waiting for time to pass.
//!
//! Every actor that could have caused a stanza first has all its own stanzas processed (a ping to
//! its server answers after them), then sends a marker straight to the quiet actor's full JID. What
//! was routed earlier arrives before the markers.

use tokio::time::Instant;

use super::{Outcome, Play};
use crate::client::Event;
use crate::play::actor::{Actor, NS_FENCE};
use crate::xml::escape;

impl Play<'_> {
    fn fence_id(&mut self) -> String {
        self.fences += 1;
        format!("fence-{}", self.fences)
    }

    /// Waits until the server has processed everything that the actor sent.
    pub(super) async fn settle(&mut self, name: &str, deadline: Instant) -> Outcome {
        let id = self.fence_id();
        let actor = self.actor(name)?;
        actor.ping(&id).await?;
        actor.wait_fence(&id, deadline).await
    }

    pub(super) async fn receives_nothing(&mut self, name: &str, deadline: Instant) -> Outcome {
        let markers = self.send_markers(name, deadline).await?;
        self.settle(name, deadline).await?;
        let actor = self.actor(name)?;
        for id in markers {
            actor.wait_fence(&id, deadline).await?;
        }
        while let Some(event) = actor.queue.pop_front() {
            match event {
                Event::Element(e) if actor.may_skip(&e) => {}
                Event::Element(e) => return Err(format!("{name} received\n{}", e.to_pretty())),
                other => return Err(format!("{name} received {other:?}")),
            }
        }
        Ok(())
    }

    /// Returns the markers that will arrive. A server that refuses one (blocking, for instance)
    /// answers its sender before the ping that follows it.
    async fn send_markers(&mut self, quiet: &str, deadline: Instant) -> Outcome<Vec<String>> {
        let target = self.actor(quiet)?.jid.clone().ok_or("only a bound actor can be fenced")?;
        let others: Vec<String> = self
            .actors
            .values()
            .filter(|a| a.spec.name != quiet && a.is_live())
            .map(|a| a.spec.name.clone())
            .collect();
        let mut arriving = Vec::new();
        for other in others {
            let marker = self.fence_id();
            let iq = format!(
                "<iq type='get' id='{marker}' to='{}'><fence xmlns='{NS_FENCE}'/></iq>",
                escape(&target)
            );
            self.actor(&other)?.send_elements(&iq).await?;
            self.settle(&other, deadline).await?;
            if !self.actor(&other)?.fences.contains(&marker) {
                arriving.push(marker);
            }
        }
        Ok(arriving)
    }
}

impl Actor {
    async fn ping(&mut self, id: &str) -> Outcome {
        let domain = escape(&self.account.domain);
        let iq =
            format!("<iq type='get' id='{id}' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.send_elements(&iq).await
    }

    async fn wait_fence(&mut self, id: &str, deadline: Instant) -> Outcome {
        while !self.fences.contains(id) {
            self.pull(deadline).await?;
        }
        Ok(())
    }
}
