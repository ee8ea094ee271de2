//! Files that users have uploaded, on their way from other servers and to them.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use bytes::BytesMut;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_store::{FileHash, Timestamp, Upload, UploadPurpose};
use wello_wire::hex;
use wello_wire::xml::Element;

use super::NS_ACCOUNT;
use super::importer::Importer;

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;
/// Bytes of a name or a token.
const MAX_TEXT: usize = 1024;

/// A file that comes.
pub struct Arriving {
    /// Its secret, which stays, so that its address can.
    pub token: String,
    pub name: String,
    pub media_type: Option<String>,
    pub purpose: UploadPurpose,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub hash: Option<FileHash>,
    pub path: PathBuf,
}

impl Arriving {
    /// What the manifest of an export says, whose files lie below `folder`.
    fn parse(part: &Element, folder: &Path) -> Option<Arriving> {
        let relative = Path::new(part.attr("href")?);
        let below = relative.components().all(|part| matches!(part, Component::Normal(_)));
        Some(Arriving {
            token: part.attr("token")?.to_owned(),
            name: part.attr("name")?.to_owned(),
            media_type: part.attr("type").map(str::to_owned),
            purpose: part.attr("purpose")?.parse().ok()?,
            created: part.attr("created")?.parse().ok()?,
            expires: part.attr("expires").map(str::parse).transpose().ok()?,
            hash: part.attr("sha256").map(parse_hash).map_or(Some(None), |hash| hash.map(Some))?,
            path: below.then(|| folder.join(relative))?,
        })
    }

    /// A token is part of an address, and a name of its file.
    fn is_sound(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_token = !self.token.is_empty() && self.token.bytes().all(plain);
        is_token && self.token.len() <= MAX_TEXT && self.name.len() <= MAX_TEXT
    }
}

/// The manifest's entry of a file.
pub fn manifest(upload: &Upload, hash: &FileHash, href: &str) -> Element {
    Element::new("upload", NS_ACCOUNT)
        .with_attr("token", upload.token.as_str())
        .with_attr("name", upload.name.as_str())
        .with_attr_opt("type", upload.media_type.as_deref())
        .with_attr("purpose", upload.purpose.as_str())
        .with_attr("created", upload.created.to_string())
        .with_attr_opt("expires", upload.expires.map(|expires| expires.to_string()))
        .with_attr("sha256", hex::encode(hash.0))
        .with_attr("href", href)
}

fn parse_hash(text: &str) -> Option<FileHash> {
    let bytes = hex::decode(text)?;
    bytes.try_into().ok().map(FileHash)
}

/// An `<upload/>` of a file of XEP-0227, beside which lies what it names.
pub async fn import_part(
    importer: &mut Importer<'_>,
    part: &Element,
    folder: &Path,
) -> anyhow::Result<()> {
    match Arriving::parse(part, folder) {
        Some(arriving) => importer.upload(arriving).await,
        None => {
            importer.skip("uploaded files whose description cannot be read");
            Ok(())
        }
    }
}

/// When what comes now expires: how long another server was to keep it is nowhere said.
pub fn kept_from_now(config: &Config) -> Option<Timestamp> {
    const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
    let days = i64::from(config.uploads.keep_days);
    (days > 0).then(|| Clock::System.now().plus_micros(days * DAY_MICROS))
}

impl Importer<'_> {
    /// Takes a file of the account.
    pub async fn upload(&mut self, arriving: Arriving) -> anyhow::Result<()> {
        if !arriving.is_sound() {
            self.skip("uploaded files whose name is not allowed");
            return Ok(());
        }
        if arriving.expires.is_some_and(|expires| expires <= Clock::System.now()) {
            self.skip("uploaded files that have expired");
            return Ok(());
        }
        let known = self.store.uploads.find(&arriving.token).await?;
        if known.as_ref().is_some_and(|upload| upload.stored.is_some()) {
            self.counts.repeated += 1;
            return Ok(());
        }
        let Ok(about) = tokio::fs::metadata(&arriving.path).await else {
            self.skip("uploaded files that are not there");
            return Ok(());
        };
        if !self.dry_run {
            let place = || arriving.path.display().to_string();
            let taken = self.take(&arriving, about.len(), known.is_some()).await;
            let Some(()) = self.read(taken.with_context(place)) else { return Ok(()) };
        }
        self.counts.files += 1;
        Ok(())
    }

    async fn take(&self, arriving: &Arriving, size: u64, has_slot: bool) -> anyhow::Result<()> {
        if !has_slot {
            self.files.adopt(&slot(arriving, size, self.jid()?)).await?;
        }
        let mut file = File::open(&arriving.path).await?;
        let Some(slot) = self.store.uploads.find(&arriving.token).await? else { return Ok(()) };
        let mut arrival = self.files.receive(&slot.token, &slot.name, size, None).await?;
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            if file.read_buf(&mut piece).await? == 0 {
                break;
            }
            arrival.write(piece.freeze()).await?;
        }
        let stored = arrival.finish().await?;
        let hash = stored.content.map(|content| content.hash);
        anyhow::ensure!(
            arriving.hash.is_none() || arriving.hash == hash,
            "its content is not what the export says"
        );
        Ok(())
    }
}

fn slot(arriving: &Arriving, size: u64, account: String) -> Upload {
    Upload {
        token: arriving.token.clone(),
        account,
        name: arriving.name.clone(),
        media_type: arriving.media_type.clone(),
        size,
        purpose: arriving.purpose,
        created: arriving.created,
        slot_expires: arriving.created,
        expires: arriving.expires,
        content: None,
        stored: None,
    }
}
