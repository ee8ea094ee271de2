//! Push-to-talk: voice clips (docs/protocols/ptt.md). A recording becomes a message that every
//! client plays, whichever way it comes: by HTTP, or as a file that an app has uploaded.

mod container;
mod guard;
mod prepare;
#[cfg(test)]
mod tests;
mod waveform;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::task::spawn_blocking;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::files::{Files, StoreFileError, Wish};
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_store::{Timestamp, Upload, UploadPurpose};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::clip::Clip;
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{MessageType, Stanza};

pub use container::BadRecording;
pub(crate) use container::{ogg_checksum, opus_samples};
pub use prepare::Unfit;
use prepare::{MEDIA_TYPE, Prepared, prepare};

#[derive(Default)]
pub struct Ptt {
    known: Mutex<guard::Known>,
}

impl Module for Ptt {
    fn name(&self) -> &'static str {
        "ptt"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.guard(Arc::clone(&self) as _);
        registrar.discovery(self);
    }
}

#[async_trait]
impl Discovery for Ptt {
    async fn info(&self, _kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        if query.scope == IqScope::Host {
            info.features.push(ns::PTT.to_owned());
        }
    }
}

/// Why a clip was not sent.
#[derive(Debug, Error)]
pub enum ClipError {
    #[error("a clip may have {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("there is no such recipient")]
    NoRecipient,
    /// None of the account's devices has joined the room.
    #[error("join the room first")]
    NotInRoom,
    #[error(transparent)]
    File(#[from] StoreFileError),
    /// Such as a server without a web address.
    #[error("clips cannot be sent here")]
    Unavailable,
}

/// A clip on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Of the message.
    pub id: String,
    pub clip: Clip,
}

/// Sends a recording from an account to a person or a room. When it returns, it is stored.
pub async fn send(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    to: &BareJid,
    recording: Bytes,
) -> Result<Sent, ClipError> {
    let (from, type_) = address(kernel, account, to).await?;
    let prepared = prepared(kernel, recording.clone()).await?;
    let name = format!("ptt-{}.m4a", compact(kernel.clock.now()));
    let upload = keep(kernel, account, &name, &prepared, recording).await?;
    let clip = clip(kernel, &upload, &prepared, channel(type_, to))?;
    let id = random_id();
    let message = Stanza::message(type_).with_id(id.as_str()).with_from(from).with_to(to.clone());
    let ticket = kernel.route(message.with_children(clip.to_children())).await;
    if let Some(ticket) = ticket {
        ticket.wait().await.map_err(|_| ClipError::Unavailable)?;
    }
    Ok(Sent { id, clip })
}

/// Who sends it, and as what: in a room it is the device that has joined it.
async fn address(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    to: &BareJid,
) -> Result<(Jid, MessageType), ClipError> {
    if kernel.hosts.contains(to.domain()) {
        let exists = to.local().is_some() && kernel.accounts.exists(to).await;
        return match exists {
            true => Ok((account.clone().into(), MessageType::Chat)),
            false => Err(ClipError::NoRecipient),
        };
    }
    let Some(service) = kernel.hooks().services.get(to.domain()) else {
        return Ok((account.clone().into(), MessageType::Chat));
    };
    let domain = BareJid::from_parts(None, to.domain()).map_err(|_| ClipError::NoRecipient)?;
    let info = service.info(kernel, &domain).await;
    if info.identities.iter().all(|identity| identity.category != "conference") {
        return Err(ClipError::NoRecipient);
    }
    let sessions = kernel.sessions.of(account);
    let device = sessions.iter().find(|session| session.has_directed_below(to.as_str()));
    let device = device.ok_or(ClipError::NotInRoom)?;
    Ok((device.jid.clone().into(), MessageType::Groupchat))
}

fn channel(type_: MessageType, to: &Jid) -> Option<String> {
    (type_ == MessageType::Groupchat).then(|| to.bare_str().to_owned())
}

/// Takes the recording apart, which is work for a thread of its own.
async fn prepared(kernel: &Kernel, recording: Bytes) -> Result<Prepared, ClipError> {
    let config = &kernel.config.ptt;
    if recording.len() > config.clip_bytes {
        return Err(ClipError::TooLarge(config.clip_bytes));
    }
    let longest = Duration::from_secs(config.clip_seconds);
    let prepared = spawn_blocking(move || prepare(&recording, longest)).await;
    Ok(prepared.map_err(|error| {
        tracing::error!(%error, "a recording could not be looked at");
        ClipError::Unavailable
    })??)
}

/// Stores what others are to play.
async fn keep(
    kernel: &Kernel,
    account: &BareJid,
    name: &str,
    prepared: &Prepared,
    recording: Bytes,
) -> Result<Upload, ClipError> {
    const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
    let content = prepared.file.clone().map_or(recording, Bytes::from);
    let days = i64::from(kernel.config.ptt.clip_days);
    let gone_by = (days > 0).then(|| kernel.clock.now().plus_micros(days * DAY_MICROS));
    let wish = Wish {
        account,
        name,
        media_type: Some(MEDIA_TYPE.to_owned()),
        size: content.len() as u64,
        purpose: UploadPurpose::Message,
        gone_by,
    };
    Ok(kernel.files.store(wish, content).await?)
}

fn clip(
    kernel: &Kernel,
    upload: &Upload,
    prepared: &Prepared,
    channel: Option<String>,
) -> Result<Clip, ClipError> {
    let host = upload.account.split('@').nth(1).unwrap_or_default();
    let address = kernel.config.web_address(host).ok_or(ClipError::Unavailable)?;
    let content = upload.content.as_ref().ok_or(ClipError::Unavailable)?;
    Ok(Clip {
        url: format!("{address}{}", Files::path(upload)),
        name: upload.name.clone(),
        media_type: MEDIA_TYPE.to_owned(),
        size: upload.size,
        sha256: content.hash.0,
        duration: u64::try_from(prepared.duration.as_millis()).unwrap_or(u64::MAX),
        waveform: prepared.waveform.to_vec(),
        channel,
    })
}

/// The packets of a file that others have written.
#[cfg(test)]
pub(crate) fn opus_of_ogg(file: &[u8]) -> Result<Vec<Vec<u8>>, BadRecording> {
    match container::read(file)? {
        container::Recording::Opus(track) => Ok(track.packets),
        container::Recording::Finished(_) => Err(BadRecording::Unsupported),
    }
}

/// `20261120-101500`, as it stands in the name of a file.
fn compact(time: Timestamp) -> String {
    let text = time.to_string();
    let second = text.split(['.', 'Z']).next().unwrap_or_default();
    second.replace(['-', ':'], "").replace('T', "-")
}
