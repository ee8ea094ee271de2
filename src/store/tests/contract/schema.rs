//! Both databases have the same tables and columns.

use crate::fixture;

/// SQLite puts off its index of messages by a table that PostgreSQL, which is not bound to pages in
/// its log, has no use for. The full-text index has columns of its own kind in each.
const DIFFERENT: [&str; 2] = ["archive_recent", "message_fts"];

const SQLITE: &str = "SELECT t.name || '.' || c.name || ' ' || c.type
        || iif(c.\"notnull\" OR c.pk, ' NOT NULL', '')
    FROM pragma_table_list t, pragma_table_info(t.name) c
    WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY 1";
const POSTGRES: &str = "SELECT table_name || '.' || column_name || ' '
        || CASE data_type WHEN 'bigint' THEN 'INTEGER' WHEN 'bytea' THEN 'BLOB' WHEN 'text' THEN 'TEXT'
            ELSE data_type END
        || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1";

#[tokio::test]
async fn tables_and_columns_are_the_same() {
    let Some(postgres) = fixture::postgres().await else { return };
    let sqlite = fixture::sqlite().await;
    let shared = |mut columns: Vec<String>| {
        columns.retain(|column| {
            let (table, _) = column.split_once('.').unwrap();
            table != "_sqlx_migrations" && !DIFFERENT.contains(&table)
        });
        columns.sort();
        columns
    };
    let (ours, theirs) =
        (shared(sqlite.texts(SQLITE).await), shared(postgres.texts(POSTGRES).await));
    assert!(ours.len() > 100);
    assert_eq!(ours, theirs);
    sqlite.finish().await;
    postgres.finish().await;
}

#[test]
fn every_migration_is_there_for_both() {
    let files = |database: &str| {
        let folder = format!("{}/../../migrations/{database}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(files("sqlite"), files("postgres"));
    let known = include_str!("../../migrations.rs");
    for name in files("sqlite") {
        for database in ["sqlite", "postgres"] {
            let included = format!("include_str!(\"../../migrations/{database}/{name}\")");
            assert!(known.contains(&included), "{database}/{name} is never applied");
        }
    }
}
