//! `wello backup`

use std::path::Path;

use anyhow::{Context, bail};
use wello_kernel::config::Config;

use crate::audit;
use crate::serve::open_store;

/// Copies the database into a new file, also while the server uses it.
pub async fn run(config: &Config, file: &Path) -> anyhow::Result<()> {
    if config.storage.url.starts_with("postgres") {
        bail!("storage is PostgreSQL: back it up with pg_dump, bring it back with pg_restore");
    }
    if file.exists() {
        bail!("{} exists already: name a new file", file.display());
    }
    let store = open_store(config, None).await?;
    let done = store.backup(file).await.with_context(|| file.display().to_string());
    let done = audit::record(&store, "backup", &file.display().to_string(), done).await;
    store.close().await;
    done?;
    println!("{} written", file.display());
    Ok(())
}
