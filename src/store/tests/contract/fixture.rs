//! Databases for one test each.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use wello_store::{ArchiveId, Entry, MessageKind, Options, Owner, Store, Timestamp};

/// A store of its own, empty at first.
pub(crate) struct Database {
    pub(crate) store: Store,
    url: String,
    folder: TempDir,
}

/// Full-text indexing without delay, and background work only when a test asks for it.
pub(crate) fn options() -> Options {
    Options { idle: Duration::from_secs(3600), index_lag: Duration::ZERO, ..Options::default() }
}

pub(crate) async fn sqlite() -> Database {
    open("sqlite:wello.db".to_owned()).await
}

/// `None` where there is no PostgreSQL.
pub(crate) async fn postgres() -> Option<Database> {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let server = server().await?;
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("wello_{}_{number}", std::process::id());
    let mut admin = PgConnection::connect(server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    Some(open(server.replacen("/postgres?", &format!("/{name}?"), 1)).await)
}

async fn open(url: String) -> Database {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&url, folder.path(), &options()).await.unwrap();
    Database { store, url, folder }
}

/// Address of the PostgreSQL that all tests share: the one named by WELLO_TEST_POSTGRES, or one that
/// is started here and ends with this process. With WELLO_TEST_POSTGRES=require it must not be missing.
async fn server() -> Option<&'static str> {
    static SERVER: OnceCell<(String, Option<Child>)> = OnceCell::const_new();
    let (url, _) = SERVER.get_or_init(start).await;
    (!url.is_empty()).then_some(url)
}

async fn start() -> (String, Option<Child>) {
    let wanted = std::env::var("WELLO_TEST_POSTGRES").unwrap_or_default();
    if wanted.starts_with("postgres") {
        return (wanted, None);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // The script stops PostgreSQL when the command ends, which it does at the end of its input: when
    // this process is gone, however it ended.
    let mut script = Command::new(root.join("scripts/with-postgres"))
        .args(["sh", "-c", "echo \"$WELLO_TEST_POSTGRES\"; exec cat"])
        .env_remove("WELLO_TEST_POSTGRES")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(script.stdout.take().unwrap()).lines();
    let url = output.next_line().await.unwrap().unwrap_or_default();
    if url.is_empty() {
        assert_ne!(wanted, "require", "there is no PostgreSQL to test on");
        // Not by print!, which the test harness holds back.
        std::io::stderr().write_all(b"no PostgreSQL here: its tests are skipped\n").unwrap();
    }
    (url, Some(script))
}

impl Database {
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("wello.db")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Opens the same database once more.
    pub(crate) async fn again(&self, options: &Options) -> Store {
        self.try_again(options).await.unwrap()
    }

    pub(crate) async fn try_again(
        &self,
        options: &Options,
    ) -> Result<Store, wello_store::StoreError> {
        Store::open(&self.url, self.folder.path(), options).await
    }

    /// Runs a statement behind the store's back.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut conn = self.sqlite_connection().await;
            sqlx::query(sql).execute(&mut conn).await.unwrap();
        } else {
            let mut conn = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query(sql).execute(&mut conn).await.unwrap();
        }
    }

    /// Reads a column of texts behind the store's back.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut conn = self.sqlite_connection().await;
            sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
        } else {
            let mut conn = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
        }
    }

    /// Rows of a table.
    pub(crate) async fn rows(&self, table: &str) -> u64 {
        let sql = format!("SELECT CAST(count(*) AS TEXT) FROM {table}");
        self.texts(&sql).await[0].parse().unwrap()
    }

    /// All background work done.
    pub(crate) async fn maintain(&self) {
        while self.store.archive.maintain().await.unwrap() {}
    }

    /// Every test ends with a look at whether it left the database sound.
    pub(crate) async fn finish(self) {
        assert_eq!(self.try_again(&options()).await.unwrap().check().await.unwrap(), [""; 0]);
        self.store.close().await;
    }

    async fn sqlite_connection(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.path().display());
        SqliteConnection::connect(&url).await.unwrap()
    }
}

pub(crate) const ROMEO: &str = "romeo@montague.example";
pub(crate) const JULIET: &str = "juliet@capulet.example";
pub(crate) const NURSE: &str = "nurse@capulet.example";

/// A moment of the tests' day.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + seconds)
}

/// A chat message from one account to another at a moment, in both archives. Its id is the same in both.
pub(crate) fn chat(store: &Store, from: &str, to: &str, second: i64, body: &str) -> Entry {
    let id = store.archive_ids.next(at(second));
    let owner = |owner: &str, with: &str| Owner {
        owner: owner.to_owned(),
        archive_id: id,
        with: with.to_owned(),
    };
    Entry {
        stanza: Bytes::from(format!("<message><body>{body}</body></message>")),
        time: at(second),
        from: format!("{from}/phone"),
        to: to.to_owned(),
        kind: MessageKind::Chat,
        message_id: Some(format!("m-{second}")),
        origin_id: None,
        text: Some(body.to_owned()),
        owners: if from == to {
            vec![owner(from, from)]
        } else {
            vec![owner(from, to), owner(to, from)]
        },
        offline_for: None,
        offline_id: None,
    }
}

/// Appends and waits until it is written.
pub(crate) async fn append(store: &Store, entry: Entry) -> ArchiveId {
    let id = entry.owners[0].archive_id;
    store.archive.append(entry).await.unwrap().wait().await.unwrap();
    id
}
