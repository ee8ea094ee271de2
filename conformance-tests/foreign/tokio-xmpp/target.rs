//! The server under test, as the harness describes it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    #[serde(skip)]
    pub(crate) path: String,
    pub(crate) domain: String,
    pub(crate) host: String,
    pub(crate) starttls: u16,
    pub(crate) tls: u16,
    pub(crate) wrong_ca: String,
    add_user: Vec<String>,
    pub(crate) only: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transport {
    StartTls,
    DirectTls,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Target {
    pub(crate) fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
        let mut target: Self = serde_json::from_str(&text)?;
        path.clone_into(&mut target.path);
        Ok(target)
    }

    pub(crate) fn address(&self, transport: Transport) -> Result<SocketAddr> {
        let port = match transport {
            Transport::StartTls => self.starttls,
            Transport::DirectTls => self.tls,
        };
        Ok(SocketAddr::new(self.host.parse()?, port))
    }

    /// Registers an account that no other test uses.
    pub(crate) fn new_account(&self, name: &str) -> Result<Account> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let account =
            Account { user: format!("{name}-rs-{number}"), password: format!("pass of {name}") };
        let mut command = self.add_user.iter().map(|part| {
            part.replace("{user}", &account.user).replace("{password}", &account.password)
        });
        let output =
            Command::new(command.next().context("add_user is empty")?).args(command).output()?;
        ensure!(output.status.success(), "cannot add {}: {output:?}", account.user);
        Ok(account)
    }
}
