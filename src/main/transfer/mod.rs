//! `wello import` and `wello export`: accounts with what belongs to them, from other servers and
//! to them.

mod database;
mod document;
mod ejabberd;
mod eventing;
mod export;
mod importer;
mod messages;
mod prosody;
mod report;
mod rooms;
mod syntax;
mod uploads;
mod window;
mod xep0227;

use std::path::Path;

use wello_kernel::config::Config;

use crate::audit;
use crate::cli::{ImportFrom, ImportOptions};
use crate::serve::open_store;
use document::NS_ACCOUNT;
use importer::Importer;

/// vCard4 has no namespace of its own in XEP-0227; it is exported as it is.
const NS_VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
const NS_PRIVACY: &str = "jabber:iq:privacy";

pub async fn import(config: &Config, options: ImportOptions) -> anyhow::Result<()> {
    let store = open_store(config, None).await?;
    let (action, from) = options.from.described();
    let mut importer = Importer::new(config, &store, options.dry_run)?;
    let done = match options.from {
        ImportFrom::Xep0227 { path } => xep0227::import(&mut importer, &path).await,
        ImportFrom::Ejabberd { from, host, uploads } => {
            ejabberd::import(&mut importer, &from, host.as_deref(), uploads.as_deref()).await
        }
        ImportFrom::Prosody { from, data_path } => {
            prosody::import(&mut importer, &from, data_path).await
        }
    };
    // Also after an error: what was done so far is done.
    for line in importer.report() {
        println!("{line}");
    }
    let done = done.and_then(|()| importer.complaint());
    let done = match options.dry_run {
        true => done,
        false => audit::record(&store, action, &from, done).await,
    };
    store.close().await;
    done
}

pub async fn export(config: &Config, path: &Path, domain: Option<&str>) -> anyhow::Result<()> {
    if let Some(domain) = domain {
        importer::check_host(config, domain)?;
    }
    let store = open_store(config, None).await?;
    let done = export::export(config, &store, path, domain).await;
    let done = audit::record(&store, "export", &path.display().to_string(), done).await;
    store.close().await;
    println!("{} written: {}", path.display(), done?);
    Ok(())
}
