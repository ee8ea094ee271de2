//! From the folder of a recording to where uploads are, and to those who may have it.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use tokio::task::spawn_blocking;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::files::{Files, ReceiveError, SlotError, Wish};
use wello_store::UploadPurpose;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::super::Calls;
use super::manifest::Manifest;

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// Why a recording stays where it is.
#[derive(Debug, Error)]
pub enum StoringError {
    #[error("the recording cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("there is no place for it: {0}")]
    Slot(#[from] SlotError),
    #[error("it cannot be stored: {0}")]
    Receive(#[from] ReceiveError),
    #[error("whose it is cannot be told")]
    NoAccount,
}

impl Calls {
    /// Stores what a recording has left in its folder, tells where it is, and removes the folder.
    pub(super) async fn deliver(&self, kernel: &Arc<Kernel>, folder: PathBuf) {
        let delivered = self.try_deliver(kernel, &folder).await;
        if let Err(error) = delivered {
            // It is tried again with the next look.
            tracing::error!(folder = %folder.display(), %error, "a recording is not stored");
        }
    }

    async fn try_deliver(&self, kernel: &Arc<Kernel>, folder: &Path) -> Result<(), StoringError> {
        let place = folder.to_owned();
        let mut manifest = in_background(move || Manifest::read(&place)).await?;
        let account = manifest.account.parse::<BareJid>().map_err(|_| StoringError::NoAccount)?;
        for part in &mut manifest.files {
            let url = store(kernel, &account, folder.join(&part.name)).await?;
            part.url = Some(url);
        }
        let (place, written) = (folder.to_owned(), manifest.clone());
        let path = in_background(move || written.write(&place)).await?;
        let url = store(kernel, &account, path).await?;
        self.tell(kernel, &manifest, &account, &url).await;
        let place = folder.to_owned();
        in_background(move || std::fs::remove_dir_all(place)).await?;
        Ok(())
    }

    /// Posts the link into the room; if that is gone, to who has begun the recording.
    async fn tell(&self, kernel: &Arc<Kernel>, manifest: &Manifest, account: &BareJid, url: &str) {
        let text = summary(manifest, url);
        let Ok(room) = manifest.room.parse::<BareJid>() else { return };
        let told = self.muc.say(kernel, &room, notice(MessageType::Groupchat, &text, Some(url)));
        if told.await.is_err() {
            let message = notice(MessageType::Chat, &text, Some(url));
            kernel.route(message.with_from(room).with_to(account.clone())).await;
        }
    }
}

/// What everybody in a room is told.
pub fn notice(type_: MessageType, text: &str, url: Option<&str>) -> Stanza {
    let link = url.map(|url| {
        let url = Element::new("url", ns::OOB).with_text(url);
        Element::new("x", ns::OOB).with_child(url)
    });
    Stanza::message(type_)
        .with_id(random_id())
        .with_child(Element::new("body", ns::CLIENT).with_text(text))
        .with_children(link)
}

fn summary(manifest: &Manifest, url: &str) -> String {
    let mut text = format!("The call of {} was recorded: {url}", manifest.begun);
    for part in &manifest.files {
        let nick = part.occupant.rsplit_once('/').map_or("", |(_, nick)| nick);
        text.push_str(&format!("\n{nick}: {}", part.url.as_deref().unwrap_or_default()));
    }
    text
}

/// Stores a file as an upload of the account; returns its address.
async fn store(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    path: PathBuf,
) -> Result<String, StoringError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let (mut file, size) = in_background(move || {
        let file = std::fs::File::open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    })
    .await?;
    let wish = Wish {
        account,
        name: &name,
        media_type: Some(media_type(&name).to_owned()),
        size,
        purpose: UploadPurpose::Message,
        gone_by: None,
    };
    let slot = kernel.files.reserve(wish).await?;
    let mut arrival = kernel.files.receive(&slot.token, &slot.name, size, None).await?;
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let (piece, after) = in_background(move || {
            let mut piece = vec![0; length];
            file.read_exact(&mut piece)?;
            Ok((piece, file))
        })
        .await?;
        (file, left) = (after, left - length as u64);
        arrival.write(Bytes::from(piece)).await?;
    }
    let upload = arrival.finish().await?;
    let address = kernel.config.web_address(account.domain()).unwrap_or_default();
    Ok(format!("{address}{}", Files::path(&upload)))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "webm")) => "video/webm",
        Some((_, "mkv")) => "video/x-matroska",
        Some((_, "ogg")) => "audio/ogg",
        _ => "application/json",
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
