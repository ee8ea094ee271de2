//! A clip that an app has uploaded itself: the message names the file and says `<clip/>`, the
//! server looks at the recording and completes the message.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use wello_kernel::Kernel;
use wello_kernel::files::{Files, SlotError, StoreFileError, essence};
use wello_kernel::hooks::{Flow, Guard};
use wello_kernel::sessions::Session;
use wello_store::Upload;
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::payload::clip::{Clip, is_of_clip};
use wello_wire::payload::upload::quota_reached;
use wello_wire::stanza::{Kind, Stanza};

use super::{ClipError, MEDIA_TYPE, Ptt, channel, clip, keep, prepared};

/// Clips that were looked at, by the path of their file.
pub(super) type Known = HashMap<String, Clip>;

/// Clips remembered before all are forgotten, and looked at again should they be sent on.
const MAX_KNOWN: usize = 1000;

#[async_trait]
impl Guard for Ptt {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind == Kind::Message && !stanza.is_error() && stanza.has_child("clip", ns::PTT)
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        // Those of others come from where they were looked at, or are not ours to judge.
        let session = stanza.from.as_ref().and_then(|from| kernel.sessions.find(from));
        let Some(session) = session else { return Flow::Next };
        match self.completed(kernel, &session, stanza).await {
            Ok(None) => Flow::Next,
            Ok(Some(message)) => send_instead(kernel, &session, message).await,
            Err(error) => Flow::Refuse(refusal(&error)),
        }
    }
}

impl Ptt {
    /// The message as it should be, if it is not.
    async fn completed(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        stanza: &Stanza,
    ) -> Result<Option<Stanza>, ClipError> {
        let Some(upload) = own_file(kernel, session, stanza).await else { return Ok(None) };
        let mut clip = self.look_at(kernel, session, upload).await?;
        clip.channel = stanza.to.as_ref().and_then(|to| channel(stanza.message_type(), to));
        let wanted = clip.to_children();
        let present = stanza.children().filter(|child| is_of_clip(child)).count();
        let complete = present == wanted.len()
            && wanted.iter().all(|child| stanza.children().any(|there| there == child));
        if complete {
            return Ok(None);
        }
        let mut message = stanza.clone();
        message.retain_children(|child| !is_of_clip(child));
        Ok(Some(message.with_children(wanted)))
    }

    async fn look_at(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        upload: Upload,
    ) -> Result<Clip, ClipError> {
        let path = Files::path(&upload);
        if let Some(known) = self.known.lock().get(&path).cloned() {
            return Ok(known);
        }
        let recording = content(kernel, &upload).await?;
        let prepared = prepared(kernel, recording.clone()).await?;
        let media_type = upload.media_type.as_deref().map(essence).unwrap_or_default();
        let playable = prepared.file.is_none()
            && media_type.eq_ignore_ascii_case(MEDIA_TYPE)
            && upload.name.ends_with(".m4a");
        let upload = match playable {
            true => upload,
            false => {
                let stem = upload.name.rsplit_once('.').map_or(&*upload.name, |(stem, _)| stem);
                let name = format!("{stem}.m4a");
                keep(kernel, &session.bare(), &name, &prepared, recording).await?
            }
        };
        let clip = clip(kernel, &upload, &prepared, None)?;
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        // By both: the app may send its own file once more, and the completed message passes here.
        known.insert(path, clip.clone());
        known.insert(Files::path(&upload), clip.clone());
        Ok(clip)
    }
}

/// The file of the message, if it is one that the sender has uploaded here.
async fn own_file(kernel: &Arc<Kernel>, session: &Session, stanza: &Stanza) -> Option<Upload> {
    let oob = stanza.child("x", ns::OOB).and_then(|oob| oob.child("url", ns::OOB));
    let url = oob.map(|url| url.text().into_owned()).or_else(|| stanza.body())?;
    let address = kernel.config.web_address(session.jid.domain())?;
    let path = url.trim().strip_prefix(&address)?.to_owned();
    let found = kernel.files.find_by_path(&path).await;
    let found = found.inspect_err(|error| tracing::error!(%error, "files not reached")).ok()?;
    found.filter(|upload| upload.account == session.jid.bare_str())
}

async fn content(kernel: &Kernel, upload: &Upload) -> Result<Bytes, ClipError> {
    let most = kernel.config.ptt.clip_bytes;
    if upload.size > most as u64 {
        return Err(ClipError::TooLarge(most));
    }
    let content = upload.content.as_ref().ok_or(ClipError::Unavailable)?;
    let read = async { kernel.files.read(content, 0..upload.size).await?.try_collect().await };
    let pieces: Vec<Bytes> = read.await.map_err(|error: std::io::Error| {
        tracing::error!(blob = content.blob, %error, "a file cannot be read");
        ClipError::Unavailable
    })?;
    Ok(pieces.concat().into())
}

/// What was sent is not acknowledged before what goes out instead is stored.
async fn send_instead(kernel: &Arc<Kernel>, session: &Arc<Session>, message: Stanza) -> Flow {
    // It carries the session's own address.
    if let Ok(Some(ticket)) = kernel.handle_client(session, message).await
        && ticket.wait().await.is_err()
    {
        return Flow::Refuse(StanzaError::internal_server_error("message could not be stored"));
    }
    Flow::Handled
}

fn refusal(error: &ClipError) -> StanzaError {
    let text = error.to_string();
    match error {
        ClipError::File(StoreFileError::Slot(SlotError::Full { text, retry })) => {
            quota_reached(text, *retry)
        }
        ClipError::TooLarge(_) | ClipError::Unfit(_) => StanzaError::not_acceptable(text),
        ClipError::NoRecipient | ClipError::NotInRoom => StanzaError::item_not_found(text),
        ClipError::File(_) | ClipError::Unavailable => {
            tracing::error!(%error, "a clip was not sent");
            StanzaError::internal_server_error("")
        }
    }
}
