//! Imports the data of a Prosody with its internal storage: a folder for each host, in it one for
//! each kind of data, in it a file for each user.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use wello_store::{AccountStatus, DocumentKey, RosterItem, ScramKeys, Subscription, Timestamp};
use wello_stream::sasl::ScramHash;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::xml::{Element, Ns};

use super::importer::{Importer, Profile};
use super::lua::{self, Items, Table, Value};

/// Bytes of one file. Prosody keeps 10 000 messages of an archive by default.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// What is read; files of other kinds are counted.
const KNOWN: [&str; 8] =
    ["accounts", "roster", "vcard", "private", "offline", "archive", "archive2", "blocklist"];

pub async fn import(importer: &mut Importer<'_>, path: &Path) -> anyhow::Result<()> {
    let mut hosts = Vec::new();
    for folder in entries(path)? {
        if folder.join("accounts").is_dir() {
            hosts.push((decoded(&folder), folder));
        }
    }
    if hosts.is_empty() {
        bail!(
            "{}: no accounts of Prosody here: name its data_path, such as /var/lib/prosody",
            path.display()
        );
    }
    for (host, _) in &hosts {
        importer.check_host(host)?;
    }
    for (host, folder) in &hosts {
        for file in entries(&folder.join("accounts"))? {
            if file.extension().is_some_and(|extension| extension == "dat") {
                account(importer, host, folder, &file).await?;
            }
        }
        count_others(importer, folder)?;
    }
    Ok(())
}

async fn account(
    importer: &mut Importer<'_>,
    host: &str,
    folder: &Path,
    file: &Path,
) -> anyhow::Result<()> {
    if !importer.begin(&decoded(file), host) {
        return Ok(());
    }
    let files = Files { folder, user: file.file_stem().unwrap_or_default().into() };
    if let Some(stored) = files.table("accounts")? {
        credentials(importer, &stored);
    }
    if let Some(stored) = files.table("roster")? {
        roster(importer, &stored).await?;
    }
    if let Some(card) = files.table("vcard")?.and_then(|card| element(&card, ns::VCARD_TEMP)) {
        importer.document(DocumentKey::VCardTemp, &card).await?;
    }
    if let Some(stored) = files.table("private")? {
        private(importer, &stored).await?;
    }
    if let Some(stored) = files.table("blocklist")? {
        importer.block(stored.named().map(|(jid, _)| jid)).await?;
    }
    for store in ["archive2", "archive"] {
        messages(importer, &files, store).await?;
    }
    messages(importer, &files, "offline").await?;
    importer.end().await
}

/// The files of one user.
struct Files<'a> {
    folder: &'a Path,
    user: PathBuf,
}

impl Files<'_> {
    fn path(&self, store: &str, extension: &str) -> PathBuf {
        self.folder.join(store).join(&self.user).with_extension(extension)
    }

    fn table(&self, store: &str) -> anyhow::Result<Option<Table>> {
        let path = self.path(store, "dat");
        let Some(text) = read(&path)? else { return Ok(None) };
        match lua::parse_return(&text).with_context(|| path.display().to_string())? {
            Value::Table(table) => Ok(Some(table)),
            _ => Ok(None),
        }
    }
}

/// The text of a file; none without one.
fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let place = || path.display().to_string();
    match std::fs::metadata(path) {
        Ok(about) if about.len() > MAX_FILE => bail!("{}: the file is too large", place()),
        Ok(_) => Ok(Some(std::fs::read(path).with_context(place)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(place),
    }
}

/// `mod_auth_internal_plain` keeps the password, `mod_auth_internal_hashed` keys in hexadecimal.
fn credentials(importer: &mut Importer<'_>, stored: &Table) {
    let status = match stored.get("disabled") {
        Some(Value::Boolean(true)) => AccountStatus::Inactive,
        _ => AccountStatus::Active,
    };
    let created = stored.number("created").map(timestamp);
    importer.profile(Profile { status, created, ..Profile::default() });
    if let Some(password) = stored.text("password") {
        importer.password(password);
    } else if stored.get("stored_key").is_some() {
        match scram(stored) {
            Some(keys) => importer.scram(keys),
            None => importer.skip("SCRAM keys that no client could use"),
        }
    }
}

/// Which hash it is, Prosody knows from its configuration; the length of the keys tells it, too.
fn scram(stored: &Table) -> Option<ScramKeys> {
    let stored_key = hex(stored.text("stored_key")?)?;
    let hash = ScramHash::ALL.into_iter().find(|hash| hash.output_len() == stored_key.len())?;
    Some(ScramKeys {
        mechanism: hash.mechanism_name().to_owned(),
        salt: stored.text("salt")?.as_bytes().to_vec(),
        iterations: whole(stored.number("iteration_count")?)?,
        server_key: hex(stored.text("server_key")?)?,
        stored_key,
    })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    // Two digits below 16 make a byte.
    Some(pairs.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

fn whole(number: f64) -> Option<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    fits.then_some(number as u32)
}

async fn roster(importer: &mut Importer<'_>, stored: &Table) -> anyhow::Result<()> {
    for (jid, item) in stored.named() {
        // Versions before 0.9 keep the requests among the contacts.
        let Some(item) = item.table().filter(|_| jid != "pending") else { continue };
        match contact(jid, item) {
            Some(item) => importer.contact(item).await?,
            None => importer.skip("contacts that cannot be read"),
        }
    }
    let pending = stored.about().and_then(|about| about.get("pending"));
    let pending = pending.or_else(|| stored.get("pending")).and_then(Value::table);
    for (jid, request) in pending.into_iter().flat_map(Table::named) {
        let known = request.table().and_then(|stanza| element(stanza, ns::CLIENT));
        let bare = || Element::new("presence", ns::CLIENT).with_attr("type", "subscribe");
        let presence = known.unwrap_or_else(bare).with_attr("from", jid);
        importer.request(presence).await?;
    }
    Ok(())
}

fn contact(jid: &str, item: &Table) -> Option<RosterItem> {
    let groups = item.get("groups").and_then(Value::table);
    Some(RosterItem {
        jid: jid.parse::<BareJid>().ok()?.to_string(),
        name: item.text("name").filter(|name| !name.is_empty()).map(str::to_owned),
        groups: groups.into_iter().flat_map(Table::named).map(|(name, _)| name.into()).collect(),
        subscription: match item.text("subscription") {
            Some("to") => Subscription::To,
            Some("from") => Subscription::From,
            Some("both") => Subscription::Both,
            _ => Subscription::None,
        },
        ask: item.text("ask") == Some("subscribe"),
        approved: item.get("approved") == Some(&Value::Boolean(true)),
    })
}

async fn private(importer: &mut Importer<'_>, stored: &Table) -> anyhow::Result<()> {
    for (_, stanza) in stored.named() {
        let Some(xml) = stanza.table().and_then(|stanza| element(stanza, "")) else {
            importer.skip("private documents that cannot be read");
            continue;
        };
        let (namespace, name) = (xml.ns().to_owned(), xml.name().to_owned());
        importer.document(DocumentKey::Private { namespace, name }, &xml).await?;
    }
    Ok(())
}

/// Archived or offline messages: stanzas with some notes of the archive.
async fn messages(
    importer: &mut Importer<'_>,
    files: &Files<'_>,
    store: &str,
) -> anyhow::Result<()> {
    let path = files.path(store, "list");
    let Some(text) = read(&path)? else { return Ok(()) };
    for item in Items::new(&text) {
        let item = item.with_context(|| path.display().to_string())?;
        let Some((message, time)) = item.table().and_then(message) else {
            importer.skip("messages that are no stanzas");
            continue;
        };
        match store {
            "offline" => importer.offline(message, time).await?,
            _ => importer.archived(message, time, None).await?,
        }
    }
    Ok(())
}

fn message(item: &Table) -> Option<(Element, Timestamp)> {
    let mut message = element(item, ns::CLIENT)?;
    let stamp = message.attr("stamp").and_then(|stamp| stamp.parse().ok());
    let time = item.number("when").map(timestamp).or(stamp)?;
    message.remove_attr("stamp");
    message.remove_attr("stamp_legacy");
    Some((message, time))
}

fn timestamp(seconds: f64) -> Timestamp {
    // Out of range becomes the nearest number.
    Timestamp::from_micros((seconds * 1e6).round() as i64)
}

/// A stanza as `util.stanza` preserialises it. `ns` is the namespace without an own `xmlns`.
fn element(stanza: &Table, ns: &str) -> Option<Element> {
    let attrs = stanza.get("attr").and_then(Value::table);
    let ns = attrs.and_then(|attrs| attrs.text("xmlns")).unwrap_or(ns);
    let mut element = Element::new(stanza.text("name")?, Ns::intern(ns));
    for (name, value) in attrs.into_iter().flat_map(Table::named) {
        let Some(value) = value.text() else { continue };
        match name.split_once(['\u{1}', '|']) {
            _ if name == "xmlns" => {}
            _ if name == "xml:lang" => element.set_attr_ns(Ns::XML, "lang", value),
            Some((ns, name)) => element.set_attr_ns(Ns::intern(ns), name, value),
            // The prefix is not declared anywhere.
            None if name.contains(':') => {}
            None => element.set_attr(name, value),
        }
    }
    for child in stanza.list() {
        match child {
            Value::Text(text) => element.push_text(text.as_str()),
            Value::Table(child) => element.push(self::element(child, ns)?),
            _ => {}
        }
    }
    Some(element)
}

/// Counts the files of kinds that are not read, so that the operator knows what stays behind.
fn count_others(importer: &mut Importer<'_>, folder: &Path) -> anyhow::Result<()> {
    for store in entries(folder)? {
        let name = decoded(&store);
        if store.is_dir() && !KNOWN.contains(&name.as_str()) {
            for _ in entries(&store)? {
                importer.skip(format!("files of Prosody's {name}"));
            }
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let place = || folder.display().to_string();
    let entries = std::fs::read_dir(folder).with_context(place)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.with_context(place)?;
    paths.sort();
    Ok(paths)
}

/// The name that a file or folder stands for: `%2e` is a dot.
fn decoded(path: &Path) -> String {
    let name = match path.is_dir() {
        true => path.file_name(),
        false => path.file_stem(),
    };
    let name = name.unwrap_or_default().to_string_lossy().into_owned();
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = others.get(..2).and_then(|code| hex(str::from_utf8(code).ok()?));
        match code {
            Some(byte) if *first == b'%' => {
                bytes.extend(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_decoded() {
        for (name, decoded) in [("a%2eb", "a.b"), ("%c3%bc", "ü"), ("a%2", "a%2"), ("50%", "50%")]
        {
            assert_eq!(self::decoded(&Path::new("x").join(format!("{name}.dat"))), decoded);
        }
    }

    #[test]
    fn stanzas_inherit_namespaces() {
        let text = br#"return {name="message",attr={["xml:lang"]="de",["urn:x|y"]="1"},
            {name="body",attr={},"a","b"},{name="x",attr={xmlns="urn:q"},{name="z",attr={}}}};"#;
        let value = lua::parse_return(text).unwrap();
        let expected = "<message xmlns='jabber:client' xml:lang='de' xmlns:n='urn:x' n:y='1'>\
            <body>ab</body><x xmlns='urn:q'><z/></x></message>";
        let read = element(value.table().unwrap(), ns::CLIENT).unwrap();
        assert_eq!(read, expected.parse::<Element>().unwrap());
    }

    #[test]
    fn the_length_of_the_keys_tells_the_hash() {
        let table = |length: usize| {
            let key = "ab".repeat(length);
            let text = format!(
                "return {{ stored_key = '{key}', server_key = '{key}', salt = 's', \
                 iteration_count = 10000 }}"
            );
            lua::parse_return(text.as_bytes()).unwrap().table().unwrap().clone()
        };
        assert_eq!(scram(&table(20)).unwrap().mechanism, "SCRAM-SHA-1");
        assert_eq!(scram(&table(32)).unwrap().mechanism, "SCRAM-SHA-256");
        assert!(scram(&table(21)).is_none());
        assert!(hex("abc").is_none() && hex("zz").is_none());
    }
}
