//! The server under test.

mod ports;
mod process;
mod prosody;
mod remote;
mod wello;

use std::path::PathBuf;

use crate::client::Endpoint;

use prosody::Prosody;
use remote::Remote;
use wello::Wello;

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) local: String,
    pub(crate) domain: String,
    pub(crate) password: String,
    pub(crate) bare: String,
}

/// Which server to test, before any is started.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Our own binary
    Wello(PathBuf),
    /// Debian's Prosody, to check the scripts themselves
    Prosody,
    /// A running server that lets anyone register
    Remote { host: String, port: u16, domain: String },
}

/// What Prosody 0.12 can do of what scripts ask for by `needs:`.
const PROSODY_ABILITIES: [&str; 30] = [
    "adhoc",
    "admin",
    "bind2",
    "blocking",
    "bosh",
    "caps",
    "carbons",
    "contact",
    "csi",
    "disco-items",
    "http",
    "invites",
    "last-activity",
    "mam",
    "offline",
    "pep",
    "ping",
    "prefs",
    "private",
    "register",
    "roster-versioning",
    "sasl2",
    "second-host",
    "sm",
    "time",
    "tls",
    "vcard",
    "vcard4",
    "version",
    "websocket",
];

impl Target {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Wello(_) => "wello",
            Self::Prosody => "prosody",
            Self::Remote { .. } => "remote",
        }
    }

    /// Why a script cannot run here.
    pub(crate) fn lacks(&self, script: &crate::script::Script) -> Option<String> {
        if let Some((_, why)) = script.skips.iter().find(|(t, _)| t == self.name()) {
            return Some(why.clone());
        }
        if matches!(self, Self::Wello(_)) {
            return None;
        }
        if script.needs_own_server() {
            return Some("needs a Wello of its own".to_owned());
        }
        let abilities: &[&str] = match self {
            Self::Prosody => &PROSODY_ABILITIES,
            _ => &[],
        };
        let lacking = script.needs.iter().find(|n| !abilities.contains(&n.as_str()))?;
        Some(format!("{} lacks {lacking}", self.name()))
    }

    pub(crate) async fn start(&self, config: Option<&toml::Table>) -> anyhow::Result<Server> {
        Ok(match self {
            Self::Wello(binary) => Server::Wello(Wello::start(binary, config).await?),
            Self::Prosody => Server::Prosody(Prosody::start().await?),
            Self::Remote { host, port, domain } => Server::Remote(Remote::new(host, *port, domain)),
        })
    }
}

/// A server that runs.
pub(crate) enum Server {
    Wello(Wello),
    Prosody(Prosody),
    Remote(Remote),
}

impl Server {
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Wello(s) => s.endpoint.clone(),
            Self::Prosody(s) => s.endpoint.clone(),
            Self::Remote(s) => s.endpoint.clone(),
        }
    }

    pub(crate) fn domain(&self) -> &str {
        match self {
            Self::Remote(s) => &s.domain,
            _ => ports::DOMAIN,
        }
    }

    pub(crate) fn second_domain(&self) -> &'static str {
        ports::SECOND_DOMAIN
    }

    /// Makes the account; may change its name where the server has a say in it.
    pub(crate) async fn create_account(
        &self,
        account: &mut Account,
        admin: bool,
    ) -> anyhow::Result<()> {
        match self {
            Self::Wello(s) => s.create_account(account, admin).await,
            Self::Prosody(s) => s.create_account(account, admin),
            Self::Remote(s) => s.create_account(account, admin).await,
        }
    }

    /// Stops (by SIGKILL if asked) and starts again on the same data.
    pub(crate) async fn restart(&self, kill: bool) -> anyhow::Result<()> {
        match self {
            Self::Wello(s) => s.restart(kill).await,
            _ => anyhow::bail!("only our own server is restarted"),
        }
    }

    /// The end of the server's log, for failure reports.
    pub(crate) fn log_tail(&self) -> String {
        match self {
            Self::Wello(s) => s.log_tail(),
            Self::Prosody(s) => s.log_tail(),
            Self::Remote(_) => String::new(),
        }
    }

    /// Stops the server and says what was wrong with it, if anything.
    pub(crate) async fn stop(self) -> Result<(), String> {
        match self {
            Self::Wello(s) => s.stop().await,
            Self::Prosody(s) => s.stop().await,
            Self::Remote(_) => Ok(()),
        }
    }
}
