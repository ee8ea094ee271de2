//! Where a server under test keeps its data.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

pub const SQLITE: &str = "sqlite:wello.db";

/// The address of a new PostgreSQL database; `None` where scripts/with-postgres gave none.
pub async fn postgres() -> Option<String> {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("WELLO_TEST_POSTGRES").unwrap_or_default();
    if !server.starts_with("postgres") {
        println!("no PostgreSQL here: not tested on it");
        return None;
    }
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("wello_box_{}_{number}", std::process::id());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    Some(server.replacen("/postgres?", &format!("/{name}?"), 1))
}
