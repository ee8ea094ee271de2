//! Wello as it comes, but for its rate limit and where it listens.

use std::fmt::Write;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::server::{DOMAIN, Launch, Setup, output};

pub(super) async fn prepare(setup: &Setup<'_>) -> Result<Launch> {
    let config = setup.folder.join("config.toml");
    std::fs::write(&config, configuration(setup))?;
    // Making an account is slow on purpose: its password is hashed.
    let batch = setup.folder.join("accounts.txt");
    if !batch.exists() {
        add_accounts(setup).await.context("wello user add --batch")?;
    }
    let mut command = Command::new(setup.wello);
    command.arg("serve").arg("--config").arg(config);
    Ok(Launch { command, ready: Some("ready") })
}

async fn add_accounts(setup: &Setup<'_>) -> Result<()> {
    let mut lines = String::new();
    for account in setup.accounts {
        writeln!(lines, "{}@{DOMAIN} {}", account.user, account.password)?;
    }
    let batch = setup.folder.join("accounts.txt");
    std::fs::write(&batch, lines)?;
    let mut add = Command::new(setup.wello);
    add.args(["user", "add", "--batch"]).arg(batch);
    add.arg("--config").arg(setup.folder.join("config.toml"));
    output(add).await?;
    Ok(())
}

fn configuration(setup: &Setup<'_>) -> String {
    format!(
        r#"hosts = []
data_dir = "{data}"
[[host]]
domain = "{DOMAIN}"
certificate = "{certificate}"
key = "{key}"
[listen]
c2s = ["127.0.0.1:{port}"]
c2s_tls = []
bytestreams = []
https = []
http = []
[archive]
enabled = {archive}
[limits]
rate_bytes_per_second = 0
[sessions]
per_account = 100
[log]
level = "warn"
"#,
        data = setup.folder.join("data").display(),
        certificate = setup.certificate.certificate.display(),
        key = setup.certificate.key.display(),
        port = setup.port,
        archive = setup.archive,
    )
}
