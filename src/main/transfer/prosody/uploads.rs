//! Files that users of Prosody have uploaded (mod_http_file_share). Their addresses become `/upload/SLOT/NAME`
//! from `/file_share/SLOT/NAME`.

use std::path::Path;

use wello_store::{Timestamp, UploadPurpose};
use wello_wire::jid::BareJid;

use super::Host;
use super::folder::Folder;
use super::storage::Item;
use crate::transfer::importer::Importer;
use crate::transfer::uploads::{Arriving, kept_from_now};

/// `data_path` is where the files are.
pub async fn import(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    data_path: &Path,
) -> anyhow::Result<()> {
    let Some(folder) = importer.read(Folder::open(data_path)) else { return Ok(()) };
    let Some(mut items) = importer.read(host.storage.items(host.name, None, "uploads")) else {
        return Ok(());
    };
    let expires = kept_from_now(importer.config);
    while let Some(item) = items.next().await {
        let Some(item) = importer.read(item) else { continue };
        let owner = item.with.as_deref().and_then(|with| with.parse::<BareJid>().ok());
        let Some((owner, arriving)) = owner.zip(arriving(&item, &folder, host.name, expires))
        else {
            importer.skip("uploaded files whose description cannot be read");
            continue;
        };
        let is_ours = importer.config.domains().contains(&owner.domain());
        match owner.local() {
            Some(local) if is_ours && importer.begin(local, owner.domain()) => {
                importer.upload(arriving).await?;
                importer.leave().await?;
            }
            _ => importer.skip("uploaded files of accounts elsewhere"),
        }
    }
    Ok(())
}

fn arriving(
    item: &Item,
    folder: &Folder,
    host: &str,
    expires: Option<Timestamp>,
) -> Option<Arriving> {
    let slot = item.key.clone()?;
    Some(Arriving {
        path: folder.path(host, Some(&slot), "http_file_share", "bin"),
        token: slot,
        name: item.stanza.attr("filename")?.to_owned(),
        media_type: item.stanza.attr("content-type").map(str::to_owned),
        purpose: UploadPurpose::Message,
        created: item.when?,
        expires,
        hash: None,
    })
}
