//! Imports the data of an ejabberd: what it exports as XEP-0227, what `ejabberdctl dump` writes, or its database.

mod account;
mod dump;
mod nodes;
mod overview;
mod records;
mod rooms;
mod shared;
mod sql;
mod terms;
mod uploads;
mod xml;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use wello_store::{LastActivity, ScramKeys, Timestamp};
use wello_stream::sasl::{ScramHash, encoding};

use self::terms::Term;
use super::database::{Database, begins_with};
use super::importer::Importer;
use super::xep0227;

/// What a dump begins with.
const DUMP: &[u8] = b"{tables,";
/// Octets of a salt or key.
const MAX_KEY: usize = 1024;

/// `from` is a file or a folder of `export_piefxis`, a file of `dump`, a SQLite file or the address of a
/// PostgreSQL. `host` is whose accounts are in a database that does not say it; `docroot` is where uploaded files are.
pub async fn import(
    importer: &mut Importer<'_>,
    from: &str,
    host: Option<&str>,
    docroot: Option<&Path>,
) -> anyhow::Result<()> {
    data(importer, from, host).await?;
    match docroot {
        Some(docroot) => uploads::import(importer, docroot).await,
        None => Ok(()),
    }
}

async fn data(importer: &mut Importer<'_>, from: &str, host: Option<&str>) -> anyhow::Result<()> {
    if let Some(database) = Database::open(from).await? {
        return sql::import(importer, &database, host).await;
    }
    let path = Path::new(from);
    if path.is_dir() {
        return xep0227::import(importer, &main_file(path)?).await;
    }
    match begins_with(path, DUMP)? {
        true => dump::import(importer, path).await,
        false => xep0227::import(importer, path).await,
    }
}

/// The newest export in a folder: the file that includes those of the hosts.
fn main_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let place = || folder.display().to_string();
    let mut exports = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(place)? {
        let path = entry.with_context(place)?.path();
        let is_xml = path.extension().is_some_and(|extension| extension == "xml");
        if is_xml && is_main(&path)? {
            exports.push((path.metadata().with_context(place)?.modified()?, path));
        }
    }
    let newest = exports.into_iter().max();
    let (_, path) = newest.with_context(|| format!("{}: no export of XEP-0227 here", place()))?;
    Ok(path)
}

fn is_main(path: &Path) -> anyhow::Result<bool> {
    use std::io::Read;

    /// The declaration and the first tag fit.
    const HEAD: u64 = 1024;
    let place = || path.display().to_string();
    let mut head = Vec::new();
    let file = std::fs::File::open(path).with_context(place)?;
    file.take(HEAD).read_to_end(&mut head).with_context(place)?;
    Ok(String::from_utf8_lossy(&head).contains("<server-data"))
}

/// Keys as ejabberd keeps them, in base64.
fn scram_keys(
    hash: &str,
    stored_key: &str,
    server_key: &str,
    salt: &str,
    iterations: i64,
) -> Option<ScramKeys> {
    let hash = match hash {
        "sha" => ScramHash::Sha1,
        "sha256" => ScramHash::Sha256,
        "sha512" => ScramHash::Sha512,
        _ => return None,
    };
    let key = |text: &str| encoding::decode(text, MAX_KEY).ok();
    Some(ScramKeys {
        mechanism: hash.mechanism_name().to_owned(),
        salt: key(salt)?,
        iterations: u32::try_from(iterations).ok()?,
        stored_key: key(stored_key)?,
        server_key: key(server_key)?,
    })
}

/// Where accounts are must be served here.
fn check_hosts<'h>(
    importer: &Importer<'_>,
    hosts: impl IntoIterator<Item = &'h str>,
) -> anyhow::Result<()> {
    let mut hosts = hosts.into_iter().peekable();
    if hosts.peek().is_none() {
        bail!("there are no accounts of ejabberd in it");
    }
    hosts.try_for_each(|host| importer.check_host(host))
}

/// `{User, Server, Resource}` or a record of an address, which begins with the tag.
fn address(term: &Term) -> Option<String> {
    let parts = term.tuple()?;
    let parts = if parts.first()?.atom() == Some("jid") { &parts[1..] } else { parts };
    let [user, server, resource, ..] = parts else { return None };
    let (user, server, resource) = (user.text()?, server.text()?, resource.text()?);
    let bare = if user.is_empty() { server.to_owned() } else { format!("{user}@{server}") };
    Some(if resource.is_empty() { bare } else { format!("{bare}/{resource}") })
}

/// Addresses in a list.
fn addresses(term: &Term) -> Vec<String> {
    term.list().unwrap_or_default().iter().filter_map(address).collect()
}

/// When somebody was last online, in seconds since 1970, and what they said then.
fn last_activity(seconds: i64, status: &str) -> Option<LastActivity> {
    /// What ejabberd notes of those who never were.
    const NEVER: &str = "Registered but didn't login";
    let at = Timestamp::from_secs(seconds);
    let said = Some(status).filter(|status| !status.is_empty()).map(str::to_owned);
    (status != NEVER).then_some(LastActivity { at, status: said })
}
