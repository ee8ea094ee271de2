//! `wello restore`: brings back what `wello backup` wrote.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_store::{Location, Store};

use crate::lock::DataDirLock;

/// Puts the backup in the place of the database, which is kept under another name.
pub async fn run(config: &Config, backup: &Path) -> anyhow::Result<()> {
    let location = Location::parse(&config.storage.url, &config.data_dir).context("storage.url")?;
    let Location::Sqlite(database) = location else {
        bail!("storage is PostgreSQL: stop the server, then bring it back with pg_restore");
    };
    let _lock = DataDirLock::take(&config.data_dir, "restore")?;
    let place = || backup.display().to_string();
    let copy = with_suffix(&database, ".restoring");
    // The copy is looked at, not the backup: looking may change a file.
    std::fs::copy(backup, &copy).with_context(place)?;
    let checked = check(backup, &copy).await.with_context(place);
    if let Err(error) = checked {
        for log in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(with_suffix(&copy, log));
        }
        return Err(error);
    }
    let kept = set_aside(&database)?;
    std::fs::rename(&copy, &database)?;
    if let Some(folder) = database.parent() {
        File::open(folder)?.sync_all()?;
    }
    println!("{} restored from {}", database.display(), backup.display());
    if let Some(kept) = kept {
        println!("what was there is kept as {}", kept.display());
    }
    Ok(())
}

async fn check(backup: &Path, copy: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(copy, std::fs::Permissions::from_mode(0o600))?;
    // A database that was set aside has one, with its newest changes.
    let log = with_suffix(backup, "-wal");
    if log.exists() {
        std::fs::copy(log, with_suffix(copy, "-wal"))?;
    }
    Store::check_backup(copy).await?;
    Ok(File::open(copy)?.sync_all()?)
}

/// Gives the database another name, together with the log that belongs to it.
fn set_aside(database: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    let now = Clock::System.now().as_micros();
    let kept = with_suffix(database, &format!(".before-{now}"));
    for log in ["-wal", "-shm"] {
        let from = with_suffix(database, log);
        if from.exists() {
            std::fs::rename(from, with_suffix(&kept, log))?;
        }
    }
    std::fs::rename(database, &kept)?;
    Ok(Some(kept))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
