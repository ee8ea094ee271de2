//! Voice clips (docs/protocols/ptt.md).

use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use wello_kernel::files::{SlotError, StoreFileError};
use wello_modules::ptt::{ClipError, send};
use wello_wire::hex;
use wello_wire::jid::BareJid;

use super::auth::account;
use super::{ApiError, json_response};
use crate::Web;

#[derive(Deserialize)]
pub(super) struct Target {
    /// The JID of a person or a room.
    to: String,
}

/// Takes the recording as the body; its container is told by its first bytes.
pub(super) async fn send_clip(
    State(web): State<Web>,
    headers: HeaderMap,
    target: Result<Query<Target>, QueryRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let account = account(&web, &headers).await?;
    let to = target.ok().and_then(|Query(target)| target.to.parse::<BareJid>().ok());
    let bad_address = || ApiError::new(StatusCode::BAD_REQUEST, "bad_request", "to is no address");
    let to = to.ok_or_else(bad_address)?;
    let most = web.kernel.config.ptt.clip_bytes;
    let recording = to_bytes(body, most).await.map_err(|_| ClipError::TooLarge(most))?;
    let sent = send(&web.kernel, &account, &to, recording).await?;
    let clip = &sent.clip;
    let hash = hex::encode(clip.sha256);
    let data = json!({
        "id": sent.id,
        "to": to.as_str(),
        "url": clip.url,
        "name": clip.name,
        "mediaType": clip.media_type,
        "size": clip.size,
        "sha256": hash,
        "duration": clip.duration,
        "waveform": BASE64_STANDARD.encode(&clip.waveform),
    });
    Ok(json_response(StatusCode::CREATED, &json!({ "success": true, "data": data })))
}

impl From<ClipError> for ApiError {
    fn from(error: ClipError) -> ApiError {
        let new = ApiError::new;
        match error {
            ClipError::TooLarge(_) => {
                new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the recording is too large")
            }
            ClipError::Unfit(wello_modules::ptt::Unfit::TooLong(_)) => {
                let text = "the recording is too long";
                new(StatusCode::UNPROCESSABLE_ENTITY, "too_long", text)
            }
            ClipError::Unfit(_) => {
                let text = "the body is no recording in Ogg Opus, WebM Opus or M4A";
                new(StatusCode::UNPROCESSABLE_ENTITY, "bad_recording", text)
            }
            ClipError::NoRecipient => {
                new(StatusCode::NOT_FOUND, "not_found", "there is no such recipient")
            }
            ClipError::NotInRoom => {
                let text = "none of your devices has joined the room";
                new(StatusCode::FORBIDDEN, "not_in_room", text)
            }
            ClipError::File(StoreFileError::Slot(
                SlotError::Full { .. } | SlotError::TooLarge { .. },
            )) => {
                let text = "there is no room for more files, try again later";
                new(StatusCode::INSUFFICIENT_STORAGE, "quota_reached", text)
            }
            ClipError::File(_) | ClipError::Unavailable => {
                tracing::error!(%error, "a clip was not sent");
                ApiError::unavailable()
            }
        }
    }
}
