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

use crate::cli::{ImportFrom, ImportOptions};
use crate::serve::open_store;
use importer::Importer;

/// Extensions of our own in files of XEP-0227.
const NS_ACCOUNT: &str = "urn:wello:pie:0";
/// vCard4 has no namespace of its own in XEP-0227; it is exported as it is.
const NS_VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
const NS_PRIVACY: &str = "jabber:iq:privacy";

pub async fn import(config: &Config, options: ImportOptions) -> anyhow::Result<()> {
    let store = open_store(config, None).await?;
    let mut importer = Importer::new(config, &store, options.dry_run)?;
    let done = match options.from {
        ImportFrom::Xep0227 { path } => xep0227::import(&mut importer, &path).await,
        ImportFrom::Ejabberd { from, host } => {
            ejabberd::import(&mut importer, &from, host.as_deref()).await
        }
        ImportFrom::Prosody { from, data_path } => {
            prosody::import(&mut importer, &from, data_path).await
        }
    };
    // Also after an error: what was done so far is done.
    for line in importer.report() {
        println!("{line}");
    }
    store.close().await;
    done?;
    importer.complaint()
}

pub async fn export(config: &Config, path: &Path, domain: Option<&str>) -> anyhow::Result<()> {
    if let Some(domain) = domain {
        importer::check_host(config, domain)?;
    }
    let store = open_store(config, None).await?;
    let done = export::export(config, &store, path, domain).await;
    store.close().await;
    println!("{} written: {}", path.display(), done?);
    Ok(())
}

/// Bytes in hexadecimal.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    // Two digits below 16 make a byte.
    Some(pairs.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}
