//! ejabberd 23.01 with its archive in SQLite, its accounts and all else in Mnesia.
//!
//! Two choices are in its favour: the archive's database is in WAL mode (the default journal costs three
//! synchronised writes a message and half of the throughput), and passwords are kept as SCRAM keys, as in the
//! package's own configuration (kept in plain, every login would cost a key derivation).

use std::fmt::Write;

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD as B64};
use tokio::process::Command;

use super::server::{Federation, Launch, Setup, output};
use crate::scram::{Keys, Mechanism};

/// Default of ejabberd's SCRAM record.
const ITERATIONS: u32 = 4096;

const SALT: &[u8] = b"wello-bench-salt";

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu";

const SCHEMA: &str = "/usr/share/ejabberd/sql/lite.sql";

pub(super) async fn prepare(setup: &Setup<'_>) -> Result<Launch> {
    let folder = &setup.folder;
    create_database(setup).await.context("sqlite3")?;
    std::fs::write(folder.join("ejabberd.yml"), configuration(setup))?;
    std::fs::write(folder.join("accounts.term"), accounts(setup)?)?;
    let mut command = Command::new("erl");
    command
        .args(["-noinput", "+K", "true", "+P", "250000", "+Q", "65536", "-mnesia", "dir"])
        .arg(format!("\"{}\"", folder.join("mnesia").display()));
    resolve(&mut command, setup)?;
    command
        .args(["-s", "ejabberd", "-eval", &load_accounts(setup)])
        .env("ERL_LIBS", LIBRARIES)
        .env("EJABBERD_CONFIG_PATH", folder.join("ejabberd.yml"))
        .env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"))
        .env("ERL_CRASH_DUMP", folder.join("crash.dump"))
        .env("HOME", folder)
        .current_dir(folder);
    Ok(Launch { command, ready: Some("accounts loaded") })
}

async fn create_database(setup: &Setup<'_>) -> Result<()> {
    let database = setup.folder.join("ejabberd.db");
    if !database.exists() {
        let mut command = Command::new("sqlite3");
        command.arg(database).args(["PRAGMA journal_mode=WAL", &format!(".read {SCHEMA}")]);
        output(command).await?;
    }
    Ok(())
}

/// Records of Mnesia's table `passwd`, one Erlang term a line: registering would derive keys for every account.
fn accounts(setup: &Setup<'_>) -> Result<String> {
    let mut terms = String::new();
    let Some(first) = setup.accounts.first() else { return Ok(terms) };
    let keys = Keys::derive(setup.mechanism, &first.password, SALT, ITERATIONS);
    let record = format!(
        "{{scram,<<\"{}\">>,<<\"{}\">>,<<\"{}\">>,{},{ITERATIONS}}}",
        B64.encode(&keys.stored),
        B64.encode(&keys.server),
        B64.encode(SALT),
        hash(setup.mechanism),
    );
    for account in setup.accounts {
        let us = format!("{{<<\"{}\">>,<<\"{}\">>}}", account.user, setup.domain);
        writeln!(terms, "{{passwd,{us},{record}}}.")?;
    }
    Ok(terms)
}

fn load_accounts(setup: &Setup<'_>) -> String {
    format!(
        "{{ok, Records}} = file:consult(\"{}\"), \
         [ok = mnesia:dirty_write(Record) || Record <- Records], \
         io:format(\"~naccounts loaded~n\").",
        setup.folder.join("accounts.term").display()
    )
}

fn hash(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Sha1 => "sha",
        Mechanism::Sha256 => "sha256",
    }
}

fn configuration(setup: &Setup<'_>) -> String {
    let archive = if setup.archive {
        "  mod_mam: {default: always, db_type: sql, assume_mam_usage: true}\n"
    } else {
        ""
    };
    format!(
        r#"loglevel: error
hosts: [{domain}]
certfiles: ["{certificate}"]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls_required: true
    max_stanza_size: 262144
    shaper: none
    access: all
    backlog: 1000
  - port: {https}
    ip: "127.0.0.1"
    module: ejabberd_http
    tls: true
    request_handlers: {{/upload: mod_http_upload}}
{federation}auth_password_format: scram
auth_scram_hash: {hash}
shaper_rules: {{max_user_sessions: 10000}}
sql_type: sqlite
sql_database: "{database}"
modules:
  mod_adhoc: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_http_upload:
    docroot: "{folder}/upload"
    put_url: "https://{domain}:{https}/upload"
    max_size: infinity
  mod_muc: {{max_users: 10000, default_room_options: {{max_users: 10000, mam: {rooms}}}}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_stream_mgmt: {{max_ack_queue: infinity}}
{archive}{dialback}"#,
        domain = setup.domain,
        federation = federation(setup),
        dialback = if setup.federation.is_some() { "  mod_s2s_dialback: {}\n" } else { "" },
        certificate = setup.certificate.both.display(),
        port = setup.port,
        https = setup.https,
        folder = setup.folder.display(),
        hash = hash(setup.mechanism),
        rooms = setup.archive,
        database = setup.folder.join("ejabberd.db").display(),
    )
}

fn federation(setup: &Setup<'_>) -> String {
    let Some(Federation { port, .. }) = setup.federation else { return String::new() };
    format!(
        r#"  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_s2s_in
    max_stanza_size: 262144
    shaper: none
s2s_use_starttls: required
s2s_cafile: "{authority}"
"#,
        authority = setup.certificate.authority.display(),
    )
}

/// Has the emulator ask the given name server alone.
fn resolve(command: &mut Command, setup: &Setup<'_>) -> Result<()> {
    let Some(Federation { nameserver, .. }) = setup.federation else { return Ok(()) };
    let inetrc = setup.folder.join("inetrc");
    std::fs::write(&inetrc, "{resolv_conf, \"\"}.\n{lookup, [dns]}.\n")?;
    command
        .args(["-kernel", "inetrc", &format!("\"{}\"", inetrc.display())])
        .args(["-eval", &format!("inet_db:add_ns({{127,0,0,1}}, {}).", nameserver.port())]);
    Ok(())
}
