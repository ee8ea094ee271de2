//! Imports the data of a Prosody (0.10 to 13), of its internal storage or out of its database.

mod account;
mod database;
mod folder;
mod lua;
mod nodes;
mod rooms;
mod stanza;
mod storage;
mod uploads;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use wello_store::{Invite, InviteKind, Role, Timestamp};
use wello_wire::xml::Element;

use self::lua::{Table, Value};
use self::storage::{Items, Storage};
use super::importer::Importer;

/// Stores that are read, and those that hold nothing that anybody would miss.
const KNOWN: [&str; 24] = [
    "accounts",
    "account_roles",
    "archive",
    "archive2",
    "archive_cleanup",
    "archive_prefs",
    "blocklist",
    "config",
    "http_file_share",
    "invite_token",
    "muc_log",
    "muc_log_cleanup",
    "offline",
    "pep",
    "persistent",
    "private",
    "roles",
    "roster",
    "state",
    "tombstones",
    "upload_stats",
    "uploads",
    "vcard",
    "vcard_muc",
];

/// `from` is a folder such as /var/lib/prosody, a SQLite file or the address of a PostgreSQL;
/// `data_path` is where uploaded files are if that is elsewhere.
pub async fn import(
    importer: &mut Importer<'_>,
    from: &str,
    data_path: Option<PathBuf>,
) -> anyhow::Result<()> {
    let storage = Storage::open(from).await?;
    let mut hosts = Vec::new();
    for host in storage.hosts().await? {
        let stores = storage.stores(&host).await?;
        hosts.push((host, stores));
    }
    let has_accounts = |(_, stores): &&(String, BTreeSet<String>)| stores.contains("accounts");
    if hosts.iter().filter(has_accounts).count() == 0 {
        bail!("{from}: no accounts of Prosody here: name its data_path, such as /var/lib/prosody");
    }
    for (host, _) in hosts.iter().filter(has_accounts) {
        importer.check_host(host)?;
    }
    let files = data_path.unwrap_or_else(|| files_near(Path::new(from)));
    for (host, stores) in &hosts {
        let host = Host { storage: &storage, name: host };
        for user in host.users(importer, "accounts").await {
            account::import(importer, &host, &user, stores).await?;
        }
        if stores.contains("config") {
            rooms::import(importer, &host).await?;
        }
        if stores.contains(nodes::OF_SERVICE) {
            nodes::import_service(importer, &host).await?;
        }
        if stores.contains("uploads") {
            uploads::import(importer, &host, &files).await?;
        }
        invitations(importer, &host).await?;
        count_others(importer, &host, stores).await;
    }
    Ok(())
}

/// Prosody puts uploaded files into its data_path, where usually its SQLite file is, too.
fn files_near(from: &Path) -> PathBuf {
    let folder = if from.is_dir() { Some(from) } else { from.parent() };
    folder.unwrap_or(Path::new("")).to_owned()
}

/// What is kept of one of Prosody's hosts. What of it is broken is told and passed over.
struct Host<'a> {
    storage: &'a Storage,
    name: &'a str,
}

impl Host<'_> {
    async fn users(&self, importer: &mut Importer<'_>, store: &str) -> BTreeSet<String> {
        importer.read(self.storage.users(self.name, store).await).unwrap_or_default()
    }

    async fn table(
        &self,
        importer: &mut Importer<'_>,
        user: Option<&str>,
        store: &str,
    ) -> Option<Table> {
        importer.read(self.storage.table(self.name, user, store).await).flatten()
    }

    /// What an account or a room has in a store of messages.
    fn messages<'u>(
        &self,
        importer: &mut Importer<'_>,
        user: &'u str,
        store: &str,
    ) -> Messages<'u> {
        let items = importer.read(self.storage.items(self.name, Some(user), store));
        Messages { items, user }
    }
}

/// Messages one after the other, with when they came.
struct Messages<'u> {
    items: Option<Items>,
    user: &'u str,
}

impl Messages<'_> {
    /// The next one that can be read.
    async fn next(&mut self, importer: &mut Importer<'_>) -> Option<(Element, Timestamp)> {
        let items = self.items.as_mut()?;
        loop {
            let item = items.next().await?.and_then(|item| {
                let place = || format!("a message of {} without time", self.user);
                Ok((item.stanza, item.when.with_context(place)?))
            });
            if let Some(message) = importer.read(item) {
                return Some(message);
            }
        }
    }
}

/// Invitations to make an account that are still open (mod_invites).
async fn invitations(importer: &mut Importer<'_>, host: &Host<'_>) -> anyhow::Result<()> {
    let Some(stored) = host.table(importer, None, "invite_token").await else { return Ok(()) };
    for (token, invite) in stored.named() {
        match invite.table().and_then(|invite| invitation(token, invite, host.name)) {
            Some(invite) => importer.invitation(&invite).await?,
            None => importer.skip("invitations that cannot be read"),
        }
    }
    Ok(())
}

fn invitation(token: &str, stored: &Table, host: &str) -> Option<Invite> {
    let uses = if stored.get("reusable") == Some(&Value::Boolean(true)) { u32::MAX } else { 1 };
    let (local, domain) = match stored.text("jid")?.split_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, stored.text("jid")?),
    };
    if domain != host {
        return None;
    }
    // An invitation to a contact names who invites; any other, which name is kept.
    let inviter = local.filter(|_| stored.text("type") == Some("roster"));
    let username = local.filter(|_| stored.text("type") != Some("roster"));
    Some(Invite {
        token: token.to_owned(),
        kind: InviteKind::Account,
        inviter: inviter.map(|local| format!("{local}@{domain}")),
        domain: domain.to_owned(),
        username: username.map(str::to_owned),
        role: Role::User,
        created: stored.number("created_at").map(timestamp)?,
        expires: Some(stored.number("expires").map(timestamp)?),
        uses_left: uses.min(100_000),
        used_by: Vec::new(),
    })
}

/// Counts the data of kinds that are not read, so that the operator knows what stays behind.
async fn count_others(importer: &mut Importer<'_>, host: &Host<'_>, stores: &BTreeSet<String>) {
    for store in stores {
        let is_of_nodes = nodes::ITEMS.iter().any(|prefix| store.starts_with(prefix));
        if !KNOWN.contains(&store.as_str()) && !is_of_nodes {
            for _ in host.users(importer, store).await {
                importer.skip(format!("Prosody's {store} of a user"));
            }
        }
    }
}

fn timestamp(seconds: f64) -> Timestamp {
    // Out of range becomes the nearest number.
    Timestamp::from_micros((seconds * 1e6).round() as i64)
}
