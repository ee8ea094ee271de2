//! `wello import` and `wello export`: accounts with what belongs to them, from other servers and
//! to them.

mod document;
mod eventing;
mod export;
mod importer;
mod lua;
mod messages;
mod prosody;
mod xep0227;

use std::path::Path;

use wello_kernel::config::Config;

use crate::cli::ImportFrom;
use crate::serve::open_store;
use importer::Importer;

/// Extensions of our own in files of XEP-0227.
const NS_ACCOUNT: &str = "urn:wello:pie:0";
/// vCard4 has no namespace of its own in XEP-0227; it is exported as it is.
const NS_VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
const NS_PRIVACY: &str = "jabber:iq:privacy";

pub async fn import(config: &Config, from: ImportFrom) -> anyhow::Result<()> {
    let store = open_store(config, None).await?;
    let mut importer = Importer::new(config, &store);
    let done = match from {
        ImportFrom::Xep0227 { path } => xep0227::import(&mut importer, &path).await,
        ImportFrom::Prosody { path } => prosody::import(&mut importer, &path).await,
    };
    // Also after an error: what was done so far is done.
    for line in importer.report() {
        println!("{line}");
    }
    store.close().await;
    done
}

pub async fn export(config: &Config, path: &Path, domain: Option<&str>) -> anyhow::Result<()> {
    if let Some(domain) = domain {
        importer::check_host(config, domain)?;
    }
    let store = open_store(config, None).await?;
    let done = export::export(&store, path, domain).await;
    store.close().await;
    println!("{} written: {}", path.display(), done?);
    Ok(())
}
