//! Prosody's SQL storage: the table `prosody` has a row for each key of a table, `prosodyarchive` one for each
//! item.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::lua::{Table, Value};
use super::stanza::parsed;
use super::storage::Item;
use super::timestamp;
use crate::transfer::database::{Database, Texts};

const HOSTS: &str =
    "SELECT DISTINCT host FROM prosody UNION SELECT DISTINCT host FROM prosodyarchive";
const STORES: &str = "SELECT DISTINCT store FROM prosody WHERE host = $1
    UNION SELECT DISTINCT store FROM prosodyarchive WHERE host = $1";
const USERS: &str = r#"SELECT DISTINCT "user" FROM prosody WHERE host = $1 AND store = $2
    UNION SELECT DISTINCT "user" FROM prosodyarchive WHERE host = $1 AND store = $2"#;
const TABLE: &str = r#"SELECT "key", "type", "value" FROM prosody
    WHERE host = $1 AND "user" = $2 AND store = $3"#;
/// A page, as archives may be larger than memory.
const ITEMS: &str = r#"SELECT CAST(sort_id AS TEXT), "key", CAST("when" AS TEXT), "with", "type", "value"
    FROM prosodyarchive
    WHERE host = $1 AND "user" = $2 AND store = $3 AND sort_id > CAST($4 AS BIGINT)
    ORDER BY sort_id LIMIT 200"#;

pub struct Sql(Arc<Database>);

/// The items of a user in a store.
pub struct Items {
    database: Arc<Database>,
    host: String,
    user: String,
    store: String,
    /// `sort_id` of the last one that was read.
    last: String,
    page: VecDeque<Texts>,
    is_over: bool,
}

impl Sql {
    pub async fn new(database: Database) -> anyhow::Result<Sql> {
        for table in ["prosody", "prosodyarchive"] {
            if !database.has_column(table, "store").await? {
                bail!("the database has no table {table}: is it one of Prosody?");
            }
        }
        Ok(Sql(Arc::new(database)))
    }

    pub async fn hosts(&self) -> anyhow::Result<BTreeSet<String>> {
        self.names(HOSTS, &[]).await
    }

    pub async fn stores(&self, host: &str) -> anyhow::Result<BTreeSet<String>> {
        self.names(STORES, &[host]).await
    }

    pub async fn users(&self, host: &str, store: &str) -> anyhow::Result<BTreeSet<String>> {
        self.names(USERS, &[host, store]).await
    }

    async fn names(&self, sql: &'static str, of: &[&str]) -> anyhow::Result<BTreeSet<String>> {
        let rows = self.0.rows(sql, of).await?.into_iter().flatten().flatten();
        // What belongs to the host itself has no name.
        Ok(rows.filter(|name| !name.is_empty()).collect())
    }

    pub async fn table(
        &self,
        host: &str,
        user: Option<&str>,
        store: &str,
    ) -> anyhow::Result<Option<Table>> {
        let user = user.unwrap_or_default();
        let rows = self.0.rows(TABLE, &[host, user, store]).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut table = Table::default();
        for row in rows {
            let place = || format!("{store} of {user}@{host}");
            let [Some(key), Some(kind), Some(text)] = &row[..] else { bail!("{}: a gap", place()) };
            let value = value(kind, text).with_context(place)?;
            match (key.as_str(), value) {
                // Keys that are no text share a row.
                ("", Value::Table(others)) => table.0.extend(others.0),
                (key, value) => table.0.push((Value::Text(key.to_owned()), value)),
            }
        }
        Ok(Some(table))
    }

    pub fn items(&self, host: &str, user: Option<&str>, store: &str) -> Items {
        Items {
            database: Arc::clone(&self.0),
            host: host.to_owned(),
            user: user.unwrap_or_default().to_owned(),
            store: store.to_owned(),
            last: "-1".to_owned(),
            page: VecDeque::new(),
            is_over: false,
        }
    }
}

impl Items {
    pub async fn next(&mut self) -> Option<anyhow::Result<Item>> {
        if self.page.is_empty() && !self.is_over {
            let of = [&self.host, &self.user, &self.store, &self.last].map(String::as_str);
            match self.database.rows(ITEMS, &of).await {
                Ok(rows) => self.page = rows.into(),
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
            self.is_over = self.page.is_empty();
        }
        let row = self.page.pop_front()?;
        let place = || format!("{} of {}@{}", self.store, self.user, self.host);
        let item = item(&row).with_context(place);
        if let Some(id) = row.into_iter().next().flatten() {
            self.last = id;
        }
        Some(item)
    }
}

fn item(row: &[Option<String>]) -> Option<Item> {
    let [_, key, when, with, kind, text] = row else { return None };
    let stanza = match kind.as_deref()? {
        "xml" => parsed(text.as_deref()?)?,
        _ => return None,
    };
    let when = when.as_deref().and_then(|when| when.parse().ok()).map(timestamp);
    Some(Item { key: key.clone(), when, with: with.clone(), stanza })
}

fn value(kind: &str, text: &str) -> anyhow::Result<Value> {
    Ok(match kind {
        "string" => Value::Text(text.to_owned()),
        "boolean" => Value::Boolean(text == "true"),
        "number" => Value::Number(text.parse()?),
        "json" => of_json(serde_json::from_str(text)?),
        _ => bail!("values of type {kind} are not known"),
    })
}

/// As `util.json` writes tables: `__hash` holds keys that are no text, each with its value, `__array` what is
/// numbered.
fn of_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(boolean) => Value::Boolean(boolean),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(list) => Value::Table(Table(numbered(list))),
        serde_json::Value::Object(object) => {
            let mut entries = Vec::new();
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("__array", serde_json::Value::Array(list)) => entries.extend(numbered(list)),
                    ("__hash", serde_json::Value::Array(list)) => entries.extend(paired(list)),
                    (_, value) => entries.push((Value::Text(key), of_json(value))),
                }
            }
            Value::Table(Table(entries))
        }
    }
}

fn numbered(list: Vec<serde_json::Value>) -> Vec<(Value, Value)> {
    let values = list.into_iter().map(of_json);
    (1..).map(|number| Value::Number(f64::from(number))).zip(values).collect()
}

fn paired(list: Vec<serde_json::Value>) -> Vec<(Value, Value)> {
    let mut values = list.into_iter().map(of_json);
    let pair = || Some((values.next()?, values.next()?));
    std::iter::from_fn(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_the_table_that_it_was() {
        let json =
            r#"{"a":{"__array":["x",true]},"__hash":[false,{"pending":{}},3,1.5],"b":[null]}"#;
        let Value::Table(table) = value("json", json).unwrap() else { panic!("a table") };
        assert_eq!(table.get("a").unwrap().table().unwrap().list().count(), 2);
        assert!(table.about().unwrap().get("pending").is_some());
        assert_eq!(table.list().collect::<Vec<_>>(), [&Value::Number(1.5)]);
        assert!(value("json", "{").is_err() && value("function", "x").is_err());
        let deep = "[".repeat(100_000);
        assert!(value("json", &deep).is_err());
    }
}
