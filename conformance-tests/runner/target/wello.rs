//! Our own binary on a temporary data directory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Duration, timeout};
use toml::{Table, Value};

use super::Account;
use super::ports::{DOMAIN, SECOND_DOMAIN, free};
use super::process::Process;
use crate::client::Endpoint;

/// First start makes certificates and the database, in a debug build.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Each account costs a process and its password hashes.
const PARALLEL_COMMANDS: usize = 2;

pub(crate) struct Wello {
    pub(super) endpoint: Endpoint,
    binary: PathBuf,
    dir: TempDir,
    process: Mutex<Process>,
    commands: Semaphore,
}

impl Wello {
    pub(super) async fn start(binary: &Path, overrides: Option<&Table>) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("wello-conformance").tempdir()?;
        let endpoint = free()?;
        let mut config = base_config(&endpoint, dir.path());
        if let Some(overrides) = overrides {
            merge(&mut config, overrides);
        }
        std::fs::write(dir.path().join("config.toml"), toml::to_string(&config)?)?;
        let process = launch(binary, dir.path()).await?;
        Ok(Self {
            endpoint,
            binary: binary.to_owned(),
            dir,
            process: Mutex::new(process),
            commands: Semaphore::new(PARALLEL_COMMANDS),
        })
    }

    pub(super) async fn create_account(
        &self,
        account: &Account,
        admin: bool,
    ) -> anyhow::Result<()> {
        let _permit = self.commands.acquire().await?;
        let mut command = Command::new(&self.binary);
        command
            .args(["user", "add", &account.bare, "--password", &account.password, "--config"])
            .arg(self.dir.path().join("config.toml"));
        if admin {
            command.arg("--admin");
        }
        let output = command.current_dir(self.dir.path()).output().await?;
        anyhow::ensure!(
            output.status.success(),
            "wello user add: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    pub(super) async fn restart(&self, kill: bool) -> anyhow::Result<()> {
        let mut process = self.process.lock().await;
        if kill {
            process.kill().await?;
        } else {
            let code = process.terminate().await.map_err(anyhow::Error::msg)?;
            anyhow::ensure!(code == 0, "exit status {code} after SIGTERM");
        }
        *process = launch(&self.binary, self.dir.path()).await?;
        Ok(())
    }

    pub(super) fn log_tail(&self) -> String {
        self.process.try_lock().map(|p| p.log_tail()).unwrap_or_default()
    }

    pub(super) async fn stop(self) -> Result<(), String> {
        let mut process = self.process.into_inner();
        if !process.is_alive() {
            return Err(format!("the server died:\n{}", process.log_tail()));
        }
        let code = process.terminate().await?;
        let log = process.log_text();
        if let Some(panic) = log.lines().find(|l| l.contains("panicked at")) {
            return Err(format!("the server panicked: {panic}"));
        }
        if code != 0 {
            return Err(format!("exit status {code} after SIGTERM:\n{}", process.log_tail()));
        }
        Ok(())
    }
}

async fn launch(binary: &Path, dir: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(binary);
    command.args(["serve", "--config"]).arg(dir.join("config.toml")).current_dir(dir);
    let mut process = Process::spawn(&mut command, &dir.join("server.log"), true)?;
    let stdout = process.child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with("ready") {
                return anyhow::Ok(true);
            }
        }
        Ok(false)
    };
    match timeout(START_LIMIT, ready).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => anyhow::bail!("the server ended:\n{}", process.log_tail()),
        Ok(Err(e)) => return Err(e),
        Err(_) => anyhow::bail!("the server is not ready in time:\n{}", process.log_tail()),
    }
    // Keeps the pipe open and empty, so that later output cannot block the server.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(process)
}

fn base_config(endpoint: &Endpoint, dir: &Path) -> Table {
    let listen = |port: u16| Value::from(vec![format!("{}:{port}", endpoint.host)]);
    let mut listeners = Table::new();
    listeners.insert("c2s".into(), listen(endpoint.c2s));
    listeners.insert("c2s_tls".into(), listen(endpoint.c2s_tls));
    listeners.insert("https".into(), listen(endpoint.https));
    listeners.insert("http".into(), listen(endpoint.http));
    listeners.insert("components".into(), listen(endpoint.components));
    listeners.insert("bytestreams".into(), listen(0));
    listeners.insert("turn".into(), Value::Array(Vec::new()));
    listeners.insert("turns".into(), Value::Array(Vec::new()));
    listeners.insert("media".into(), listen(0));
    let mut config = Table::new();
    config.insert("hosts".into(), Value::from(vec![DOMAIN, SECOND_DOMAIN]));
    config.insert("data_dir".into(), dir.join("data").to_string_lossy().as_ref().into());
    config.insert("listen".into(), listeners.into());
    let alone = Table::from_iter([("enabled".to_owned(), Value::from(false))]);
    config.insert("s2s".into(), alone.into());
    let auth = Table::from_iter([
        // All scripts come from one address, and many of them fail to log in or register on purpose.
        ("max_failures".to_owned(), Value::from(1_000_000)),
        ("registrations_per_hour".to_owned(), Value::from(1_000_000)),
        // RFC 7677 §4: the least that is allowed, as there are a thousand accounts to make.
        ("scram_iterations".to_owned(), Value::from(4096)),
    ]);
    config.insert("auth".into(), auth.into());
    config
}

fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(b)), Value::Table(o)) => merge(b, o),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
