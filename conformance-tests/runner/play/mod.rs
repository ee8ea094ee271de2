//! Runs one script against one server.

mod actor;
mod auth;
mod caps;
mod fence;
mod login;
mod setup;
mod steps;
mod web;

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

use crate::script::{Action, Comparison, Script, Step};
use crate::target::Server;
use crate::text::{Vars, random_hex};

use actor::Actor;

/// Why a script failed, and at which line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) line: usize,
    pub(crate) message: String,
}

pub(crate) struct Played {
    pub(crate) failure: Option<Failure>,
    /// Everything sent and received, in order
    pub(crate) trace: Vec<String>,
}

/// A step's result: an error is told to the reader as it is.
type Outcome<T = ()> = Result<T, String>;

pub(crate) async fn play(script: &Script, server: &Server) -> Played {
    let mut play =
        Play { script, server, vars: Vars::default(), actors: BTreeMap::new(), line: 0, fences: 0 };
    let failure = play.run().await.err().map(|message| Failure { line: play.line, message });
    let trace = play.finish(failure.is_none()).await;
    Played { failure, trace }
}

struct Play<'a> {
    script: &'a Script,
    server: &'a Server,
    vars: Vars,
    actors: BTreeMap<String, Actor>,
    line: usize,
    fences: usize,
}

impl Play<'_> {
    async fn run(&mut self) -> Outcome {
        self.set_server_vars();
        self.create_accounts().await?;
        self.make_subscriptions().await?;
        for step in &self.script.steps {
            self.line = step.line;
            self.step(step).await?;
        }
        Ok(())
    }

    fn set_server_vars(&self) {
        let endpoint = self.server.endpoint();
        for (name, value) in [
            ("domain", self.server.domain().to_owned()),
            ("second", self.server.second_domain().to_owned()),
            ("host", endpoint.host.clone()),
            ("https_port", endpoint.https.to_string()),
            ("http_port", endpoint.http.to_string()),
            ("nobody", format!("nobody-{}@{}", random_hex(4), self.server.domain())),
            ("random", random_hex(6)),
        ] {
            self.vars.set(name, value);
        }
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        let deadline = Instant::now() + step.limit;
        match &step.action {
            Action::Actor(name, deed) => self.deed(name, deed, deadline).await,
            Action::Unordered(inner) => self.unordered(inner, deadline).await,
            Action::Http(http) => self.http(http, deadline).await,
            Action::Check(left, comparison, right) => {
                let value = left.render(&self.vars)?;
                let found = right.match_value(&self.vars, Some(&value));
                match (comparison, found) {
                    (Comparison::Is, Err(e)) => Err(format!("it {e}")),
                    (Comparison::IsNot, Ok(_)) => Err(format!("it is {value:?}")),
                    (_, found) => {
                        self.keep(found.into_iter().flatten());
                        Ok(())
                    }
                }
            }
            Action::Set(name, template) => {
                self.vars.set(name, template.render(&self.vars)?);
                Ok(())
            }
            Action::Restart => self.restart(false).await,
            Action::Kill => self.restart(true).await,
        }
    }

    async fn restart(&mut self, kill: bool) -> Outcome {
        self.server.restart(kill).await.map_err(|e| format!("{e:#}"))
    }

    fn keep(&self, captures: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in captures {
            self.vars.set(&name, value);
        }
    }

    fn actor(&mut self, name: &str) -> Outcome<&mut Actor> {
        self.actors.get_mut(name).ok_or_else(|| format!("unknown actor {name}"))
    }

    /// Leaves no session behind that could disturb a later script.
    async fn finish(mut self, orderly: bool) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut trace = Vec::new();
        for actor in self.actors.values_mut() {
            if orderly {
                // The outcome is known; a connection that does not close well changes nothing.
                let _ = actor.disconnect(deadline).await;
            }
            trace.append(&mut actor.trace);
        }
        trace.sort_by_key(|(at, _)| *at);
        trace.into_iter().map(|(_, line)| line).collect()
    }
}
