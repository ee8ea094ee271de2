//! Files that users of ejabberd have uploaded (mod_http_upload): `OWNER/SLOT/NAME` below its docroot. Their addresses
//! become `/upload/SLOT/NAME`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use sha1::{Digest as _, Sha1};
use wello_store::{Timestamp, UploadPurpose};
use wello_wire::hex;
use wello_wire::jid::BareJid;

use crate::transfer::importer::Importer;
use crate::transfer::uploads::{Arriving, kept_from_now};

/// What ejabberd says of files by the ends of their names (mod_http_upload, DEFAULT_CONTENT_TYPES).
const TYPES: [(&str, &str); 17] = [
    ("avi", "video/avi"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("m4a", "audio/mp4"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// `docroot` is where the files are; they are of the accounts that the import has met.
pub async fn import(importer: &mut Importer<'_>, docroot: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(docroot.is_dir(), "{}: there is no such folder", docroot.display());
    let accounts = std::mem::take(&mut importer.accounts);
    let mut hosts = accounts.iter().map(|account| account.domain());
    let first = hosts.next();
    let is_one_host = hosts.all(|host| Some(host) == first);
    for account in &accounts {
        let (Some(local), domain) = (account.local(), account.domain()) else { continue };
        if !importer.begin(local, domain) {
            continue;
        }
        for folder in folders_of(account, local, is_one_host) {
            import_of(importer, &docroot.join(folder)).await?;
        }
        importer.leave().await?;
    }
    Ok(())
}

/// What the folder of an account may be called, by `jid_in_url`. A name without its host is somebody's only where
/// there is one host.
fn folders_of(account: &BareJid, local: &str, is_one_host: bool) -> Vec<String> {
    let hashed = hex::encode(Sha1::digest(account.as_str()));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_folder = is_one_host && !local.starts_with('.') && local.bytes().all(plain);
    [hashed].into_iter().chain(is_folder.then(|| local.to_owned())).collect()
}

async fn import_of(importer: &mut Importer<'_>, folder: &Path) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for slot in importer.read(entries(folder)).unwrap_or_default() {
        for file in importer.read(entries(&slot)).unwrap_or_default() {
            match arriving(importer, &slot, file) {
                Some(arriving) => importer.upload(arriving).await?,
                None => importer.skip("uploaded files whose name is not allowed"),
            }
        }
    }
    Ok(())
}

/// What lies in a folder; nothing in what is none.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let place = || folder.display().to_string();
    let entries = std::fs::read_dir(folder).with_context(place)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    paths.with_context(place)
}

fn arriving(importer: &Importer<'_>, slot: &Path, path: PathBuf) -> Option<Arriving> {
    let name = path.file_name()?.to_str()?.to_owned();
    let modified = path.metadata().ok()?.modified().ok()?;
    let micros = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending));
    Some(Arriving {
        token: slot.file_name()?.to_str()?.to_owned(),
        media_type: known.map(|(_, media_type)| (*media_type).to_owned()),
        purpose: UploadPurpose::Message,
        created: Timestamp::from_micros(i64::try_from(micros).ok()?),
        expires: kept_from_now(importer.config),
        hash: None,
        name,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_by_hash_or_by_name() {
        let account: BareJid = "romeo@xmpp.example".parse().unwrap();
        let folders = folders_of(&account, "romeo", true);
        assert_eq!(folders, ["41eeebc93b38acea34611d9aa35d099932091620", "romeo"]);
        assert_eq!(folders_of(&account, "romeo", false).len(), 1);
        for outside in ["..", "a/b", ".hidden"] {
            assert_eq!(folders_of(&account, outside, true).len(), 1, "{outside}");
        }
    }
}
