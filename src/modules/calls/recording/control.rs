//! Who begins and ends recordings: moderators, by commands of the focus (XEP-0050).

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::spawn_blocking;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::hooks::Chore;
use wello_sfu::api::ConferenceId;
use wello_store::UploadPurpose;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::MessageType;
use wello_wire::xml::Element;

use super::super::Calls;
use super::super::conference::Guest;
use super::manifest::Manifest;
use super::storing::notice;
use super::writer::{Limits, Queue, Writer};

pub const START: &str = "urn:wello:calls:0#start-recording";
pub const PAUSE: &str = "urn:wello:calls:0#pause-recording";
pub const RESUME: &str = "urn:wello:calls:0#resume-recording";
pub const STOP: &str = "urn:wello:calls:0#stop-recording";
/// What was left behind by a crash is looked for this often.
const INTERVAL: Duration = Duration::from_secs(3600);

impl Calls {
    /// What a moderator wants of the recording, if that can be done now.
    pub(in crate::calls) async fn turn_recording(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        focus: &Jid,
        turn: Turn,
    ) -> Result<(), StanzaError> {
        let (room, guest) = self.moderator(from, focus)?;
        let id = self.conferences.lock().get(&room).map(|conference| conference.id);
        let recordings = &self.recordings;
        match turn {
            Turn::Begun => self.begin_recording(kernel, from, id, &room, &guest).await?,
            Turn::Paused => require(
                id.is_some_and(|id| recordings.pause(id)),
                "nothing is recorded at the moment",
            )?,
            Turn::Resumed => {
                require(id.is_some_and(|id| recordings.resume(id)), "no recording is paused")?;
            }
            Turn::Ended => {
                require(id.is_some_and(|id| recordings.stop(id)), "the call is not recorded")?;
            }
        }
        self.tell_recorded(kernel, &room, turn).await;
        Ok(())
    }

    async fn begin_recording(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        id: Option<ConferenceId>,
        room: &BareJid,
        guest: &Guest,
    ) -> Result<(), StanzaError> {
        let account = kernel.local_account(from).await?;
        if kernel.config.web_address(account.domain()).is_none() || !kernel.config.uploads.enabled {
            return Err(StanzaError::service_unavailable("files cannot be stored here"));
        }
        let id = id.ok_or_else(|| StanzaError::item_not_found("nobody is in the call"))?;
        let manifest = Manifest {
            id: random_id(),
            room: room.to_string(),
            begun_by: guest.occupant.to_string(),
            account: account.to_string(),
            begun: kernel.clock.now().to_string(),
            files: Vec::new(),
            speakers: Vec::new(),
            pauses: Vec::new(),
            dropped: 0,
        };
        kernel.media.record_by(Arc::clone(&self.recordings) as _);
        let queue = self.recordings.begin(id, &manifest.id);
        let queue = queue.ok_or_else(|| StanzaError::conflict("recorded already, or no place"))?;
        self.write(kernel, (id, room), manifest, queue);
        Ok(())
    }

    /// Who may have a room recorded: a moderator who is in it.
    fn moderator(&self, from: &Jid, focus: &Jid) -> Result<(BareJid, Guest), StanzaError> {
        if !self.recordings.are_allowed() {
            return Err(StanzaError::service_unavailable("nothing is recorded here"));
        }
        let hall = self.hall(focus)?;
        let from = FullJid::try_from(from.clone());
        let from = from.map_err(|_| StanzaError::forbidden("only for who is in the room"))?;
        let guest = self.admit(&hall.place, &from)?;
        match guest.moderates {
            true => Ok((hall.place, guest)),
            false => Err(StanzaError::forbidden("only for moderators")),
        }
    }

    /// Writes until the recording ends, and then stores it.
    fn write(
        &self,
        kernel: &Arc<Kernel>,
        (id, room): (ConferenceId, &BareJid),
        manifest: Manifest,
        queue: Arc<Queue>,
    ) {
        let Some(this) = self.this.get().and_then(Weak::upgrade) else { return };
        let limits = Limits {
            file: kernel.files.max_bytes(UploadPurpose::Message),
            all: kernel.config.calls.recording_bytes,
        };
        let folder = self.recordings.folder.join(&manifest.id);
        let (kernel, room, place) = (Arc::clone(kernel), room.clone(), folder.clone());
        let name = manifest.id.clone();
        let work = async move {
            let writing =
                spawn_blocking(move || Writer::new(place, manifest, limits)?.run(&queue)).await;
            if let Ok(Err(error)) = writing {
                tracing::error!(%room, %error, "a recording has failed");
            }
            // It may have ended by itself.
            if this.recordings.stop(id) {
                this.tell_recorded(&kernel, &room, Turn::Ended).await;
            }
            this.deliver(&kernel, folder).await;
            this.recordings.release(&name);
        };
        #[expect(clippy::disallowed_methods, reason = "what it leaves behind is found later")]
        tokio::spawn(work);
    }

    /// Everybody in the call and in the room is told, whether or not he looks at the roster.
    async fn tell_recorded(&self, kernel: &Arc<Kernel>, room: &BareJid, turn: Turn) {
        let on = matches!(turn, Turn::Begun | Turn::Resumed);
        let told = self.on(kernel, room, None, move |conference, dice, fx| {
            conference.record(on, dice, fx);
            Ok(())
        });
        // The conference may have ended.
        let _ = told.await;
        let state = Element::new("recording", ns::CALLS)
            .with_attr("active", on.to_string())
            .with_attr_opt("paused", (turn == Turn::Paused).then_some("true"));
        let message = notice(MessageType::Groupchat, turn.text(), None).with_child(state);
        if let Err(error) = self.muc.say(kernel, room, message).await {
            tracing::warn!(%room, %error, "a recording could not be told of in the room");
        }
    }
}

/// What a recording has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::calls) enum Turn {
    Begun,
    Paused,
    Resumed,
    Ended,
}

impl Turn {
    fn text(self) -> &'static str {
        match self {
            Turn::Begun => "This call is being recorded.",
            Turn::Paused => "The recording is paused.",
            Turn::Resumed => "The recording goes on.",
            Turn::Ended => "The recording has ended.",
        }
    }
}

fn require(done: bool, otherwise: &'static str) -> Result<(), StanzaError> {
    match done {
        true => Ok(()),
        false => Err(StanzaError::unexpected_request(otherwise)),
    }
}

/// Recordings that a crash has left behind, and those that could not be stored before.
pub struct Leftovers(pub Arc<Calls>);

#[async_trait]
impl Chore for Leftovers {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        let Leftovers(calls) = self;
        let folder = calls.recordings.folder.clone();
        let left = spawn_blocking(move || folders(&folder)).await.unwrap_or_default();
        for folder in left {
            let id = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = id.to_owned();
            if calls.recordings.claim(&id) {
                calls.deliver(kernel, folder).await;
                calls.recordings.release(&id);
            }
        }
    }
}

fn folders(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
