//! `WELLO_SECTION__KEY=value` in place of `key = value` under `[section]`.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError};

const PREFIX: &str = "WELLO_";
/// Read by helper scripts, not part of the configuration.
const RESERVED: &[&str] = &["WELLO_CACHE", "WELLO_CONFIG"];
/// What tests read begins with this.
const TESTS: &str = "WELLO_TEST_";

/// One override: the variable's name, the path of the key, and the value.
pub struct Override {
    name: String,
    path: Vec<String>,
    value: Value,
}

/// Picks the overrides out of the environment.
pub fn overrides_from_env(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, ConfigError> {
    let ours = |name: &str| {
        name.starts_with(PREFIX) && !name.starts_with(TESTS) && !RESERVED.contains(&name)
    };
    let overrides = environment.into_iter().filter(|(name, _)| ours(name)).map(|(name, text)| {
        let path = name[PREFIX.len()..].to_lowercase().split("__").map(str::to_owned).collect();
        Override { path, value: value_of(text), name }
    });
    Ok(overrides.collect())
}

/// A TOML value where the text is one, the text itself otherwise.
fn value_of(text: String) -> Value {
    let document = format!("value = {text}");
    let parsed = document.parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or(Value::String(text))
}

pub(super) fn apply(mut table: Table, overrides: Vec<Override>) -> Result<Config, ConfigError> {
    for Override { name, path, value } in overrides {
        let error = |reason: String| ConfigError::Environment { name: name.clone(), reason };
        let (key, sections) = path.split_last().ok_or_else(|| error("names no key".into()))?;
        let mut target = &mut table;
        for section in sections {
            let entry = target.entry(section).or_insert_with(|| Value::Table(Table::new()));
            target = entry.as_table_mut().ok_or_else(|| error("names no section".into()))?;
        }
        target.insert(key.clone(), value);
        Config::deserialize(table.clone()).map_err(|e| error(e.message().to_owned()))?;
    }
    Config::deserialize(table).map_err(|error| ConfigError::Environment {
        name: PREFIX.into(),
        reason: error.message().to_owned(),
    })
}
