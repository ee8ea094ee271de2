//! `wello user …`

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use wello_kernel::Kernel;
use wello_kernel::accounts::{Accounts, account_address};
use wello_kernel::clock::{Clock, random_id};
use wello_kernel::config::Config;
use wello_kernel::metrics::Metrics;
use wello_store::{AccountFilter, Role, Store};
use wello_wire::jid::BareJid;

use crate::audit;
use crate::cli::{AddUser, Password, UserCommand};
use crate::control::{self, Order};
use crate::moved;
use crate::serve::open_store;

pub async fn run(config: &Config, command: UserCommand) -> anyhow::Result<()> {
    let store = open_store(config, None).await?;
    let accounts = Accounts::open(config, &store, Clock::System).await?;
    let done = match command {
        UserCommand::Add(add) => self::add(config, &store, &accounts, add).await,
        UserCommand::Passwd { jid, password } => passwd(config, &store, &jid, password).await,
        UserCommand::Del { jid } => del(config, &store, &jid).await,
        UserCommand::Moved { jid, to } => moved(config, &store, &jid, to.as_deref()).await,
        UserCommand::List { domain } => list(&store, domain).await,
    };
    store.close().await;
    done
}

async fn add(
    config: &Config,
    store: &Store,
    accounts: &Accounts,
    add: AddUser,
) -> anyhow::Result<()> {
    let role = if add.admin { Role::Admin } else { Role::User };
    match (add.batch, add.jid) {
        (Some(file), _) => batch(config, store, accounts, &file, add.reuse).await,
        (None, Some(jid)) => {
            let jid = local(config, &jid)?;
            let password = password(add.password)?;
            make(store, accounts, &jid, &password, role, add.reuse).await?;
            println!("{jid} added");
            Ok(())
        }
        (None, None) => bail!("which account? give an address such as alice@example.org"),
    }
}

async fn make(
    store: &Store,
    accounts: &Accounts,
    jid: &BareJid,
    password: &str,
    role: Role,
    reuse: bool,
) -> anyhow::Result<()> {
    let made = match reuse {
        true => accounts.create_again(jid, password, role).await,
        false => accounts.create(jid, password, role).await,
    };
    let action = if role == Role::Admin { "user add --admin" } else { "user add" };
    let made = made.map(drop).map_err(anyhow::Error::from);
    audit::record(store, action, jid.as_str(), made).await
}

async fn batch(
    config: &Config,
    store: &Store,
    accounts: &Accounts,
    file: &Path,
    reuse: bool,
) -> anyhow::Result<()> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    let mut added = 0;
    for (number, line) in text.lines().enumerate() {
        let (number, line) = (number + 1, line?);
        let mut words = line.split_whitespace();
        let Some(jid) = words.next() else { continue };
        let place = || format!("{}:{number}", file.display());
        let Some(password) = words.next() else { bail!("{}: no password", place()) };
        let role = match words.next() {
            None => Role::User,
            Some("admin") => Role::Admin,
            Some(other) => bail!("{}: {other:?} is not \"admin\"", place()),
        };
        let jid = local(config, jid).with_context(place)?;
        make(store, accounts, &jid, password, role, reuse).await.with_context(place)?;
        added += 1;
    }
    println!("{added} added");
    Ok(())
}

async fn passwd(config: &Config, store: &Store, jid: &str, new: Password) -> anyhow::Result<()> {
    let jid = local(config, jid)?;
    let order = Order::Passwd { jid: jid.to_string(), password: password(new)? };
    perform(config, store, order).await?;
    println!("password of {jid} changed");
    Ok(())
}

async fn del(config: &Config, store: &Store, jid: &str) -> anyhow::Result<()> {
    let jid = local(config, jid)?;
    perform(config, store, Order::Delete { jid: jid.to_string() }).await?;
    println!("{jid} deleted");
    Ok(())
}

async fn moved(config: &Config, store: &Store, jid: &str, to: Option<&str>) -> anyhow::Result<()> {
    let old = local(config, jid)?;
    let new = to.map(account_address).transpose()?;
    moved::state(config, store, &old, new.as_ref()).await?;
    match new {
        Some(new) => println!("{old} has moved to {new}"),
        None => println!("{old} has not moved"),
    }
    Ok(())
}

/// Through the server when it runs, else as it would do it.
async fn perform(config: &Config, store: &Store, order: Order) -> anyhow::Result<()> {
    if control::ask(&config.data_dir, &order).await? {
        return Ok(());
    }
    let modules = wello_modules::all(config);
    let metrics = Arc::new(Metrics::default());
    let kernel = Kernel::new(config.clone(), store.clone(), metrics, modules).await?;
    control::perform(&kernel, order).await
}

async fn list(store: &Store, domain: Option<String>) -> anyhow::Result<()> {
    const PAGE: u32 = 500;
    let filter = AccountFilter { domain, ..AccountFilter::default() };
    let mut after: Option<String> = None;
    loop {
        let page = store.accounts.list(&filter, after.as_deref(), PAGE).await?;
        for account in &page {
            let role = match account.role {
                Role::User => "user",
                Role::Agent => "agent",
                Role::Supervisor => "supervisor",
                Role::Admin => "admin",
            };
            println!("{}\t{role}", account.jid());
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.jid()),
            _ => return Ok(()),
        }
    }
}

/// An account address on one of our hosts.
fn local(config: &Config, text: &str) -> anyhow::Result<BareJid> {
    let jid = account_address(text)?;
    let domains = config.domains();
    if !domains.contains(&jid.domain()) {
        bail!("{} is not served here: the hosts are {}", jid.domain(), domains.join(", "));
    }
    Ok(jid)
}

fn password(given: Password) -> anyhow::Result<String> {
    if let Some(password) = given.password {
        return Ok(password);
    }
    if given.password_stdin {
        let mut text = String::new();
        if std::io::stdin().is_terminal() {
            eprint!("Password: ");
            std::io::stdin().lock().read_line(&mut text)?;
        } else {
            std::io::stdin().read_to_string(&mut text)?;
        }
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let made_up = random_id()[..16].to_owned();
    println!("password: {made_up}");
    Ok(made_up)
}
