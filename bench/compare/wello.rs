//! Wello as it comes, but for its rate limit and where it listens.

use std::fmt::Write;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::server::{Federation, Launch, Setup, output};

pub(super) async fn prepare(setup: &Setup<'_>) -> Result<Launch> {
    let config = setup.folder.join("config.toml");
    std::fs::write(&config, configuration(setup))?;
    if !setup.folder.join("data").exists() {
        add_accounts(setup).await.context("accounts")?;
    }
    let mut command = Command::new(setup.wello);
    command.arg("serve").arg("--config").arg(config);
    Ok(Launch { command, ready: Some("ready") })
}

/// Making an account is slow on purpose, for its password is hashed: the others are copies of the first.
async fn add_accounts(setup: &Setup<'_>) -> Result<()> {
    let Some((first, others)) = setup.accounts.split_first() else { return Ok(()) };
    let mut add = Command::new(setup.wello);
    add.args(["user", "add", "--password", &first.password]);
    add.arg(format!("{}@{}", first.user, setup.domain));
    add.arg("--config").arg(setup.folder.join("config.toml"));
    output(add).await?;
    let mut sql = String::from("BEGIN;");
    for account in others {
        write!(
            sql,
            "INSERT INTO account (domain, local, role, status, created, credential_epoch, password_hash)
                SELECT domain, '{user}', role, status, created, credential_epoch, password_hash
                FROM account WHERE local = '{first}';
            INSERT INTO scram_key SELECT last_insert_rowid(), mechanism, salt, iterations, stored_key, server_key
                FROM scram_key k JOIN account a ON a.id = k.account_id WHERE a.local = '{first}';",
            user = account.user,
            first = first.user,
        )?;
    }
    let script = setup.folder.join("accounts.sql");
    std::fs::write(&script, sql + "COMMIT;")?;
    let mut copy = Command::new("sqlite3");
    copy.arg(setup.folder.join("data/wello.db")).arg(format!(".read {}", script.display()));
    output(copy).await?;
    Ok(())
}

fn configuration(setup: &Setup<'_>) -> String {
    format!(
        r#"hosts = []
data_dir = "{data}"
[[host]]
domain = "{domain}"
certificate = "{certificate}"
key = "{key}"
[listen]
c2s = ["127.0.0.1:{port}"]
c2s_tls = []
bytestreams = []
turn = []
turns = []
media = [{media}]
https = ["127.0.0.1:{https}"]
http = []
[s2s]
{federation}
[calls]
participants = 100
last_n = 0
[archive]
enabled = {archive}
[uploads]
max_bytes = 2147483648
day_bytes = 1099511627776
account_bytes = 1099511627776
[limits]
rate_bytes_per_second = 0
[sessions]
per_account = 100
[log]
level = "warn"
"#,
        domain = setup.domain,
        federation = federation(setup),
        data = setup.folder.join("data").display(),
        certificate = setup.certificate.certificate.display(),
        key = setup.certificate.key.display(),
        port = setup.port,
        https = setup.https,
        archive = setup.archive,
        media = if setup.media { "\"127.0.0.1:0\"" } else { "" },
    )
}

fn federation(setup: &Setup<'_>) -> String {
    let Some(Federation { port, nameserver }) = setup.federation else {
        return "enabled = false".to_owned();
    };
    format!(
        r#"listen = ["127.0.0.1:{port}"]
listen_tls = []
nameserver = "{nameserver}"
private_networks = ["127.0.0.0/8"]
ca = "{authority}"
rate_bytes_per_second = 0"#,
        authority = setup.certificate.authority.display(),
    )
}
