//! Where Prosody keeps its data: files of its internal storage, or tables of a database. Each host has stores,
//! each store a table for each user and one for the host itself, or a list of items.

use std::collections::BTreeSet;
use std::path::Path;

use wello_store::Timestamp;
use wello_wire::xml::Element;

use super::database::{self, Sql};
use super::folder::{self, Folder};
use super::lua::Table;
use crate::transfer::database::Database;

pub enum Storage {
    Folder(Folder),
    Sql(Sql),
}

/// What an archive of Prosody holds: messages, items of nodes, descriptions of uploads.
pub struct Item {
    pub key: Option<String>,
    pub when: Option<Timestamp>,
    /// Whom the item is from or for, by the kind of store.
    pub with: Option<String>,
    pub stanza: Element,
}

/// Items one after the other, in their order.
pub enum Items {
    Folder(folder::Items),
    Sql(database::Items),
}

impl Items {
    pub async fn next(&mut self) -> Option<anyhow::Result<Item>> {
        match self {
            Items::Folder(items) => items.next(),
            Items::Sql(items) => items.next().await,
        }
    }
}

impl Storage {
    /// `from` is a folder such as /var/lib/prosody, a SQLite file or the address of a PostgreSQL.
    pub async fn open(from: &str) -> anyhow::Result<Storage> {
        match Database::open(from).await? {
            Some(database) => Ok(Storage::Sql(Sql::new(database).await?)),
            None => Ok(Storage::Folder(Folder::open(Path::new(from))?)),
        }
    }

    /// In some order that stays the same.
    pub async fn hosts(&self) -> anyhow::Result<BTreeSet<String>> {
        match self {
            Storage::Folder(folder) => folder.hosts(),
            Storage::Sql(sql) => sql.hosts().await,
        }
    }

    /// Of a host, those with something in any store.
    pub async fn stores(&self, host: &str) -> anyhow::Result<BTreeSet<String>> {
        match self {
            Storage::Folder(folder) => folder.stores(host),
            Storage::Sql(sql) => sql.stores(host).await,
        }
    }

    /// Those who have something in a store.
    pub async fn users(&self, host: &str, store: &str) -> anyhow::Result<BTreeSet<String>> {
        match self {
            Storage::Folder(folder) => folder.users(host, store),
            Storage::Sql(sql) => sql.users(host, store).await,
        }
    }

    /// What a user has in a store, or the host itself.
    pub async fn table(
        &self,
        host: &str,
        user: Option<&str>,
        store: &str,
    ) -> anyhow::Result<Option<Table>> {
        match self {
            Storage::Folder(folder) => folder.table(host, user, store),
            Storage::Sql(sql) => sql.table(host, user, store).await,
        }
    }

    /// The items of a user in a store, or of the host itself.
    pub fn items(&self, host: &str, user: Option<&str>, store: &str) -> anyhow::Result<Items> {
        match self {
            Storage::Folder(folder) => folder.items(host, user, store).map(Items::Folder),
            Storage::Sql(sql) => Ok(Items::Sql(sql.items(host, user, store))),
        }
    }
}
