//! What actors do and expect.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::actor::NS_SM;
use super::{Outcome, Play};
use crate::client::Event;
use crate::pattern::matches;
use crate::script::{Action, Deed, Stage, Step};
use crate::xml::{Element, NS_STREAM};

const NS_STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

impl Play<'_> {
    pub(super) async fn deed(&mut self, name: &str, deed: &Deed, deadline: Instant) -> Outcome {
        match deed {
            Deed::Reach(stage) => self.reach(name, *stage, deadline).await,
            Deed::Authenticate(step) => self.authenticate(name, step, deadline).await,
            Deed::Send(template) => {
                let xml = template.render_xml(&self.vars)?;
                self.actor(name)?.send_elements(&xml).await
            }
            Deed::SendRaw(template) => {
                let bytes = template.render_raw(&self.vars)?;
                self.actor(name)?.send_raw(&bytes, false).await
            }
            Deed::SendBinary(template) => {
                let bytes = template.render_raw(&self.vars)?;
                self.actor(name)?.send_raw(&bytes, true).await
            }
            Deed::Receive(patterns) => self.receives(name, patterns, deadline).await,
            Deed::ReceiveOneOf(patterns) => self.one_of(name, patterns, deadline).await,
            Deed::ReceiveHeader(pattern) => self.header(name, pattern, deadline).await,
            Deed::ReceiveNothing => self.receives_nothing(name, deadline).await,
            Deed::StreamError(condition) => self.stream_error(name, condition, deadline).await,
            Deed::EndOfStream => self.end_of_stream(name, deadline).await,
            Deed::IsDisconnected => self.is_disconnected(name, deadline).await,
            Deed::Offered(patterns) => self.offered(name, patterns, true),
            Deed::NotOffered(patterns) => self.offered(name, patterns, false),
            Deed::Ignore(patterns) => {
                self.actor(name)?.ignored.extend(patterns.iter().cloned());
                Ok(())
            }
            Deed::Settle => self.settle(name, deadline).await,
            Deed::StartTls => {
                let actor = self.actor(name)?;
                let domain = actor.account.domain.clone();
                actor.start_tls(&domain, deadline).await
            }
            Deed::Resume => self.resume(name, deadline).await,
            Deed::CloseStream => {
                let connection = self.actor(name)?.connection()?;
                connection.close_stream().await.map_err(|e| format!("{e:#}"))
            }
            Deed::Disconnect => {
                self.note_presence(name, true);
                self.actor(name)?.disconnect(deadline).await
            }
            Deed::Drop => self.drop_connection(name),
        }
    }

    fn drop_connection(&mut self, name: &str) -> Outcome {
        self.note_presence(name, true);
        let actor = self.actor(name)?;
        if let Some(connection) = actor.connection.take() {
            connection.abort();
        }
        actor.reset();
        Ok(())
    }

    async fn receives(&mut self, name: &str, patterns: &[Element], deadline: Instant) -> Outcome {
        for pattern in patterns {
            self.one_of(name, std::slice::from_ref(pattern), deadline).await?;
        }
        Ok(())
    }

    /// The next element that may not be skipped must fit one of the patterns.
    async fn one_of(&mut self, name: &str, patterns: &[Element], deadline: Instant) -> Outcome {
        self.take_one(name, patterns, deadline).await.map(drop)
    }

    /// Returns which pattern fitted.
    async fn take_one(
        &mut self,
        name: &str,
        patterns: &[Element],
        deadline: Instant,
    ) -> Outcome<usize> {
        let vars = self.vars.clone();
        let actor = self.actor(name)?;
        loop {
            let event = actor.next(deadline).await.map_err(|e| expected(&e, patterns))?;
            let Event::Element(got) = event else {
                let what = format!("{name} received {}", describe(&event));
                return Err(expected(&what, patterns));
            };
            let mut reasons = Vec::new();
            for (i, pattern) in patterns.iter().enumerate() {
                match matches(pattern, &got, actor.own(), &vars) {
                    Ok(captures) => {
                        self.keep(captures);
                        return Ok(i);
                    }
                    Err(reason) => reasons.push(reason),
                }
            }
            if !actor.may_skip(&got) {
                let what =
                    format!("{name} received\n{}\nbut {}", got.to_pretty(), reasons.join("; "));
                return Err(expected(&what, patterns));
            }
        }
    }

    pub(super) async fn unordered(&mut self, steps: &[Step], deadline: Instant) -> Outcome {
        let mut open: BTreeMap<String, Vec<Element>> = BTreeMap::new();
        let mut quiet = Vec::new();
        for step in steps {
            match &step.action {
                Action::Actor(name, Deed::Receive(patterns)) => {
                    open.entry(name.clone()).or_default().extend(patterns.iter().cloned());
                }
                Action::Actor(name, Deed::ReceiveNothing) => quiet.push(name.clone()),
                _ => return Err("an unordered block holds only receives".to_owned()),
            }
        }
        for (name, mut patterns) in open {
            while !patterns.is_empty() {
                let fitted = self.take_one(&name, &patterns, deadline).await?;
                patterns.remove(fitted);
            }
        }
        for name in quiet {
            self.receives_nothing(&name, deadline).await?;
        }
        Ok(())
    }

    async fn header(&mut self, name: &str, pattern: &Element, deadline: Instant) -> Outcome {
        let vars = self.vars.clone();
        let actor = self.actor(name)?;
        let event = actor.next(deadline).await?;
        let Event::Header(got) = &event else {
            return Err(format!("{name} received {}, not a stream header", describe(&event)));
        };
        let captures = matches(pattern, got, actor.own(), &vars)
            .map_err(|e| format!("the stream header {}: {e}", got.to_xml()))?;
        self.keep(captures);
        Ok(())
    }

    /// RFC 6120 §4.9.1.1: the error is followed by the end of the stream and of the connection.
    async fn stream_error(&mut self, name: &str, condition: &str, deadline: Instant) -> Outcome {
        let actor = self.actor(name)?;
        let error = loop {
            match actor.next(deadline).await? {
                Event::Element(e) if e.is(NS_STREAM, "error") => break e,
                Event::Element(e) if actor.may_skip(&e) => {}
                other => return Err(format!("{name} received {}", describe(&other))),
            }
        };
        let wanted: Vec<&str> = condition.split(" or ").map(str::trim).collect();
        if !wanted.iter().any(|c| error.child(NS_STREAM_ERRORS, c).is_some()) {
            return Err(format!("not {condition} but {}", error.to_pretty()));
        }
        self.is_disconnected(name, deadline).await
    }

    async fn end_of_stream(&mut self, name: &str, deadline: Instant) -> Outcome {
        let actor = self.actor(name)?;
        loop {
            match actor.next(deadline).await? {
                Event::Footer => return Ok(()),
                Event::Element(e) if actor.may_skip(&e) => {}
                other => return Err(format!("{name} received {}", describe(&other))),
            }
        }
    }

    async fn is_disconnected(&mut self, name: &str, deadline: Instant) -> Outcome {
        let actor = self.actor(name)?;
        loop {
            if actor.connection.is_none() && actor.queue.is_empty() {
                return Ok(());
            }
            match actor.next(deadline).await? {
                Event::Closed(_) => {
                    actor.reset();
                    return Ok(());
                }
                Event::Footer | Event::Header(_) => {}
                Event::Element(e) if actor.may_skip(&e) => {}
                Event::Element(e) => return Err(format!("{name} received {}", e.to_pretty())),
            }
        }
    }

    fn offered(&mut self, name: &str, patterns: &[Element], wanted: bool) -> Outcome {
        let vars = self.vars.clone();
        let actor = self.actors.get(name).ok_or("unknown actor")?;
        let own = actor.own();
        let features = actor.features.as_ref().ok_or("no stream features yet")?;
        for pattern in patterns {
            let mut reasons = Vec::new();
            let mut fitted = None;
            for got in features.children() {
                match matches(pattern, got, own, &vars) {
                    Ok(captures) => fitted = Some(captures),
                    Err(e) => reasons.push(e),
                }
            }
            match (fitted, wanted) {
                (Some(captures), true) => self.keep(captures),
                (None, false) => {}
                (_, true) => {
                    return Err(format!(
                        "{} was not offered in {}",
                        pattern.name,
                        features.to_pretty()
                    ));
                }
                (_, false) => {
                    return Err(format!(
                        "{} was offered in {}",
                        pattern.name,
                        features.to_pretty()
                    ));
                }
            }
        }
        Ok(())
    }

    async fn resume(&mut self, name: &str, deadline: Instant) -> Outcome {
        let endpoint = self.server.endpoint();
        let actor = self.actor(name)?;
        actor.advance(&endpoint, Stage::Authenticated, deadline).await?;
        let resume =
            format!("<resume xmlns='{NS_SM}' previd='{}' h='{}'/>", actor.sm.id, actor.sm.received);
        actor.send_elements(&resume).await?;
        match actor.next(deadline).await? {
            Event::Element(e) if e.is(NS_SM, "resumed") => Ok(()),
            other => Err(format!("not resumed but {}", describe(&other))),
        }
    }
}

fn expected(what: &str, patterns: &[Element]) -> String {
    let wanted: Vec<String> = patterns.iter().map(Element::to_pretty).collect();
    format!("{what}\nexpected\n{}", wanted.join("\nor\n"))
}

fn describe(event: &Event) -> String {
    match event {
        Event::Header(e) => format!("stream header {}", e.to_xml()),
        Event::Element(e) => e.to_pretty(),
        Event::Footer => "the end of the stream".to_owned(),
        Event::Closed(how) => format!("the end of the connection: {how}"),
    }
}
