//! The database of another server, which is only read.

use std::path::Path;

use anyhow::{Context, bail};
use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Row, Type};
use wello_store::Location;

/// What every SQLite file begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

pub enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The columns of a row as text; queries cast what is none.
pub type Texts = Vec<Option<String>>;

impl Database {
    /// `None` when it is neither the address of a PostgreSQL nor a SQLite file.
    pub async fn open(from: &str) -> anyhow::Result<Option<Database>> {
        // Without the password that is in the address.
        if let Ok(place @ Location::Postgres(_)) = Location::parse(from, Path::new("")) {
            let pool = PgPool::connect(from).await.with_context(|| place.to_string())?;
            return Ok(Some(Database::Postgres(pool)));
        }
        let path = Path::new(from);
        if !begins_with(path, SQLITE)? {
            return Ok(None);
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let pool = SqlitePool::connect_with(options).await.with_context(|| from.to_owned())?;
        Ok(Some(Database::Sqlite(pool)))
    }

    /// Both databases understand the statements here, which are made of nothing but constants; values
    /// are `$1` and so on.
    pub async fn rows(&self, sql: &str, values: &[&str]) -> anyhow::Result<Vec<Texts>> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Database::Sqlite(pool) => {
                let query = sqlx::query(sql);
                let query =
                    values.iter().fold(query, |query, value| query.bind((*value).to_owned()));
                query.fetch_all(pool).await?.iter().map(texts).collect()
            }
            Database::Postgres(pool) => {
                let query = sqlx::query(sql);
                let query =
                    values.iter().fold(query, |query, value| query.bind((*value).to_owned()));
                query.fetch_all(pool).await?.iter().map(texts).collect()
            }
        }
    }

    /// Whether there is such a column.
    pub async fn has_column(&self, table: &str, column: &str) -> anyhow::Result<bool> {
        let found = match self {
            Database::Sqlite(_) => {
                const SQL: &str = "SELECT name FROM pragma_table_info($1) WHERE name = $2";
                self.rows(SQL, &[table, column]).await?
            }
            Database::Postgres(_) => {
                const SQL: &str = "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
                    WHERE table_name = $1 AND column_name = $2";
                self.rows(SQL, &[table, column]).await?
            }
        };
        Ok(!found.is_empty())
    }
}

/// Whether a file begins with these bytes; a folder does not.
pub fn begins_with(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    use std::io::Read;

    let place = || path.display().to_string();
    if !path.exists() {
        bail!("{}: there is no such file", place());
    }
    if path.is_dir() {
        return Ok(false);
    }
    let mut head = Vec::new();
    let file = std::fs::File::open(path).with_context(place)?;
    file.take(bytes.len() as u64).read_to_end(&mut head).with_context(place)?;
    Ok(head == bytes)
}

fn texts<R: Row>(row: &R) -> anyhow::Result<Texts>
where
    usize: ColumnIndex<R>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    (0..row.len()).map(|column| Ok(row.try_get(column)?)).collect()
}
