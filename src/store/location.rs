use std::fmt;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Where a database is, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Sqlite(PathBuf),
    /// With the password in it.
    Postgres(String),
}

impl Location {
    /// `url` is `sqlite:FILE`, where FILE is relative to `data_dir`, or
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub fn parse(url: &str, data_dir: &Path) -> Result<Self, StoreError> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            if file.is_empty() || file.contains(['?', '#']) || file == ":memory:" {
                return Err(StoreError::Url);
            }
            return Ok(Self::Sqlite(data_dir.join(file)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(StoreError::Url)
    }
}

/// For people: without the password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "{}", file.display()),
            Self::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                write!(f, "PostgreSQL at {}", place.split('?').next().unwrap_or(place))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Option<String> {
        Location::parse(url, Path::new("/data")).ok().map(|location| location.to_string())
    }

    #[test]
    fn files_and_servers() {
        for (url, expected) in [
            ("sqlite:wello.db", Some("/data/wello.db")),
            ("sqlite://wello.db", Some("/data/wello.db")),
            ("sqlite:///var/wello.db", Some("/var/wello.db")),
            ("postgres://u:p@h/d?sslmode=require", Some("PostgreSQL at h/d")),
            ("postgresql://u:p@ss@h:5433/d", Some("PostgreSQL at h:5433/d")),
            ("sqlite:", None),
            ("sqlite::memory:", None),
            ("sqlite:wello.db?mode=ro", None),
            ("mysql://h/d", None),
            ("wello.db", None),
        ] {
            assert_eq!(shown(url).as_deref(), expected, "{url}");
        }
    }
}
