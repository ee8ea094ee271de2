//! A script: header, actors, steps. The text form is described in README.md.

mod lines;
mod parse;
mod steps;

use std::time::Duration;

use crate::text::Template;
use crate::xml::Element;

pub(crate) use parse::load;

#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Folder and file name without ending: `rfc6120/bind-conflict`.
    pub(crate) id: String,
    pub(crate) spec: String,
    pub(crate) clause: String,
    pub(crate) title: String,
    /// Abilities the target must have.
    pub(crate) needs: Vec<String>,
    /// Target name and why this script does not apply to it.
    pub(crate) skips: Vec<(String, String)>,
    /// Overrides of the server's configuration; such a script gets a server of its own.
    pub(crate) config: Option<toml::Table>,
    /// Asks for a server of its own without changing its configuration.
    pub(crate) own_server: bool,
    pub(crate) actors: Vec<ActorSpec>,
    pub(crate) steps: Vec<Step>,
}

impl Script {
    pub(crate) fn needs_own_server(&self) -> bool {
        self.restarts() || self.config.is_some()
    }

    /// Nothing else may use the server of such a script.
    pub(crate) fn restarts(&self) -> bool {
        self.own_server
            || self.steps.iter().any(|s| matches!(s.action, Action::Restart | Action::Kill))
    }

    pub(crate) fn actor(&self, name: &str) -> Option<&ActorSpec> {
        self.actors.iter().find(|a| a.name == name)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Transport {
    #[default]
    StartTls,
    DirectTls,
    WebSocket,
    Bosh,
    /// XEP-0114.
    Component,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    Both,
    From,
    To,
}

/// Where an actor logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Host {
    #[default]
    First,
    Second,
    /// Where people without an account have their addresses.
    Guests,
}

#[derive(Clone, Debug)]
pub(crate) struct ActorSpec {
    pub(crate) name: String,
    /// Two actors with the same account are two devices of one user.
    pub(crate) account: String,
    pub(crate) admin: bool,
    /// `false`: the account does not exist on the server.
    pub(crate) registered: bool,
    pub(crate) host: Host,
    /// It is no account but a component: its domain and its secret.
    pub(crate) component: Option<(String, String)>,
    /// `None`: the server chooses.
    pub(crate) resource: Option<String>,
    pub(crate) transport: Transport,
    /// Sends initial presence when it connects.
    pub(crate) presence: bool,
    /// Fetches the roster when it connects, so that it gets roster pushes.
    pub(crate) interested: bool,
    /// Answers `<r/>` of stream management.
    pub(crate) acks: bool,
    pub(crate) mechanism: Option<String>,
    /// The token that it logs in with, instead of the password.
    pub(crate) bearer: Option<Template>,
    /// Names itself in stream headers once they are encrypted.
    pub(crate) from: bool,
    /// Subscriptions made before the script starts.
    pub(crate) roster: Vec<(String, Subscription)>,
}

/// How far a connection has come. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The socket is open, nothing sent.
    Raw,
    /// Stream headers exchanged, features received.
    Stream,
    /// The same over TLS.
    Tls,
    /// SASL succeeded, the stream is not restarted yet.
    Success,
    Authenticated,
    Bound,
    /// Roster fetched and presence sent, as the actor asks for.
    Session,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) limit: Duration,
    pub(crate) action: Action,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Actor(String, Deed),
    Unordered(Vec<Step>),
    Http(HttpStep),
    /// The template must render to the value that the second one matches.
    Check(Template, Comparison, Template),
    Set(String, Template),
    Restart,
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Is,
    IsNot,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Reach(Stage),
    Authenticate(AuthStep),
    Send(Template),
    SendRaw(Template),
    SendBinary(Template),
    Receive(Vec<Element>),
    ReceiveOneOf(Vec<Element>),
    ReceiveHeader(Box<Element>),
    ReceiveNothing,
    StreamError(String),
    EndOfStream,
    IsDisconnected,
    Offered(Vec<Element>),
    NotOffered(Vec<Element>),
    Ignore(Vec<Element>),
    Settle,
    StartTls,
    Resume,
    CloseStream,
    Disconnect,
    Drop,
}

/// A SASL exchange with chosen faults. The outcome is left for the next `receives`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthStep {
    /// `None`: the plain step, which must succeed.
    pub(crate) keys: Vec<(String, Template)>,
    /// SASL2: what goes into `<authenticate/>` beside the initial response.
    pub(crate) inline: Option<Template>,
    pub(crate) sasl2: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct HttpStep {
    pub(crate) method: String,
    pub(crate) url: Template,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) body: Option<Template>,
    pub(crate) status: Option<Template>,
    pub(crate) expect_headers: Vec<(String, Template)>,
    pub(crate) expect_body: Option<Template>,
    pub(crate) expect_xml: Option<Box<Element>>,
    /// JSON pointer and the value's text
    pub(crate) expect_json: Vec<(String, Template)>,
}
