//! Prosody's internal storage: a folder for each host, in it one for each store, in it a file for each user.
//! What belongs to a host itself lies beside the folders of its stores.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use wello_store::Timestamp;
use wello_wire::hex;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::lua::{self, Table, Value};
use super::nodes::OF_SERVICE;
use super::stanza::element;
use super::storage::Item;
use super::timestamp;

/// Bytes of a file that is read as a whole: a table with a picture is far smaller.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What tells the folder of a host: accounts, rooms, nodes or uploaded files.
const HOST: [&str; 4] = ["accounts", "config", OF_SERVICE, "uploads.list"];

pub struct Folder {
    root: PathBuf,
}

/// The items of one file.
pub struct Items {
    path: PathBuf,
    /// None without a file.
    items: Option<lua::Items<BufReader<File>>>,
}

impl Folder {
    pub fn open(root: &Path) -> anyhow::Result<Folder> {
        if !root.is_dir() {
            bail!("{}: neither a folder nor a database of Prosody", root.display());
        }
        Ok(Folder { root: root.to_owned() })
    }

    pub fn hosts(&self) -> anyhow::Result<BTreeSet<String>> {
        // There may be folders of others beside them.
        let is_host = |path: &PathBuf| HOST.iter().any(|name| path.join(name).exists());
        Ok(entries(&self.root)?
            .iter()
            .filter(|path| is_host(path))
            .map(|path| decoded(path))
            .collect())
    }

    pub fn stores(&self, host: &str) -> anyhow::Result<BTreeSet<String>> {
        let entries = entries(&self.root.join(encoded(host)))?;
        Ok(entries.iter().map(|path| decoded(path)).collect())
    }

    pub fn users(&self, host: &str, store: &str) -> anyhow::Result<BTreeSet<String>> {
        let folder = self.root.join(encoded(host)).join(encoded_store(store));
        if !folder.is_dir() {
            return Ok(BTreeSet::new());
        }
        Ok(entries(&folder)?.iter().map(|path| decoded(path)).collect())
    }

    pub fn table(
        &self,
        host: &str,
        user: Option<&str>,
        store: &str,
    ) -> anyhow::Result<Option<Table>> {
        let path = self.path(host, user, store, "dat");
        let place = || path.display().to_string();
        match std::fs::metadata(&path) {
            Ok(about) if about.len() > MAX_FILE => bail!("{}: the file is too large", place()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(place),
        }
        let text = std::fs::read(&path).with_context(place)?;
        match lua::parse_return(&text).with_context(place)? {
            Value::Table(table) => Ok(Some(table)),
            _ => Ok(None),
        }
    }

    pub fn items(&self, host: &str, user: Option<&str>, store: &str) -> anyhow::Result<Items> {
        let path = self.path(host, user, store, "list");
        let items = match File::open(&path) {
            Ok(file) => Some(lua::Items::new(BufReader::new(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Items { path, items })
    }

    /// Where `util.datamanager` puts a file.
    pub fn path(&self, host: &str, user: Option<&str>, store: &str, extension: &str) -> PathBuf {
        let folder = self.root.join(encoded(host));
        let store = encoded_store(store);
        match user {
            Some(user) => folder.join(store).join(format!("{}.{extension}", encoded(user))),
            None => folder.join(format!("{store}.{extension}")),
        }
    }
}

impl Items {
    pub fn next(&mut self) -> Option<anyhow::Result<Item>> {
        let read = self.items.as_mut()?.next()?;
        let place = || self.path.display().to_string();
        let read = read.with_context(place).and_then(|value| {
            value.table().and_then(item).with_context(|| format!("{}: no stanza", place()))
        });
        Some(read)
    }
}

/// A stanza with notes of the archive.
fn item(stored: &Table) -> Option<Item> {
    let mut stanza = element(stored, ns::CLIENT)?;
    let text = |name: &str| stored.text(name).map(str::to_owned);
    let when = stored.number("when").map(timestamp).or_else(|| stamp(&stanza));
    stanza.remove_attr("stamp");
    stanza.remove_attr("stamp_legacy");
    Some(Item { key: text("key"), when, with: text("with"), stanza })
}

fn stamp(stanza: &Element) -> Option<Timestamp> {
    stanza.attr("stamp")?.parse().ok()
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let place = || folder.display().to_string();
    let entries = std::fs::read_dir(folder).with_context(place)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    paths.with_context(place)
}

fn encoded(name: &str) -> String {
    percent(name, |byte| byte.is_ascii_alphanumeric())
}

fn encoded_store(name: &str) -> String {
    percent(name, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn percent(name: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let byte = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    };
    name.bytes().map(byte).collect()
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
        let code = others.get(..2).and_then(|code| hex::decode(str::from_utf8(code).ok()?));
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
        assert_eq!(encoded("ü.b_"), "%c3%bc%2eb%5f");
        assert_eq!(encoded_store("pep_urn:x"), "pep_urn%3ax");
    }
}
