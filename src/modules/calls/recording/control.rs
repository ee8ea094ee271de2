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
use wello_wire::payload::command::{Action, Command, CommandError, Note, NoteKind, Status};
use wello_wire::payload::disco::DiscoItem;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::super::Calls;
use super::super::conference::Guest;
use super::super::focus::admit;
use super::manifest::Manifest;
use super::storing::notice;
use super::writer::{Limits, Queue, Writer};

const START: &str = "urn:wello:calls:0#start-recording";
const STOP: &str = "urn:wello:calls:0#stop-recording";
/// What was left behind by a crash is looked for this often.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Whether somebody asks for a command.
pub fn is_command(stanza: &Stanza) -> bool {
    stanza.has_child("command", ns::COMMANDS)
}

impl Calls {
    /// Runs a command.
    pub(in crate::calls) async fn command(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
    ) -> Result<Stanza, StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
            return Err(StanzaError::bad_request(""));
        };
        let payload = stanza.child("command", ns::COMMANDS);
        let payload = payload.ok_or_else(|| StanzaError::bad_request(""))?;
        let asked = Command::parse(payload).map_err(CommandError::from_parse)?;
        if !matches!(asked.action, Action::Execute | Action::Complete) {
            return Err(CommandError::BadAction.into());
        }
        let room = self.room(to)?;
        let guests = self.guests(&room);
        let text = match asked.node.as_str() {
            START | STOP if !self.records() => {
                return Err(StanzaError::service_unavailable("nothing is recorded here"));
            }
            START => {
                self.start(kernel, &room, moderator(&guests, from)?).await?;
                "The call is recorded."
            }
            STOP => {
                moderator(&guests, from)?;
                self.stop(kernel, &room).await?;
                "The call is not recorded any more."
            }
            _ => return Err(StanzaError::item_not_found("no such command")),
        };
        let mut answer = Command::answer(&asked.node, random_id(), Status::Completed);
        answer.notes = vec![Note { kind: NoteKind::Info, text: text.to_owned() }];
        Ok(stanza.result(Some(answer.to_element())))
    }

    /// The commands that somebody may run.
    pub(in crate::calls) fn commands(&self, focus: &Jid, from: &Jid) -> Vec<DiscoItem> {
        let Ok(room) = self.room(focus) else { return Vec::new() };
        if !self.records() || moderator(&self.guests(&room), from).is_err() {
            return Vec::new();
        }
        let item = |(node, name): (&str, &str)| DiscoItem {
            jid: focus.bare().into(),
            node: Some(node.to_owned()),
            name: Some(name.to_owned()),
        };
        [(START, "Record the call"), (STOP, "End the recording")].map(item).into()
    }

    fn records(&self) -> bool {
        self.recordings.most > 0
    }

    async fn start(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        guest: &Guest,
    ) -> Result<(), StanzaError> {
        let account = kernel.local_account(&guest.jid.clone().into()).await?;
        if kernel.config.web_address(account.domain()).is_none() || !kernel.config.uploads.enabled {
            return Err(StanzaError::service_unavailable("files cannot be stored here"));
        }
        let id = self.conferences.lock().get(room).map(|conference| conference.id);
        let id = id.ok_or_else(|| StanzaError::item_not_found("nobody is in the call"))?;
        let manifest = Manifest {
            id: random_id(),
            room: room.to_string(),
            begun_by: guest.occupant.to_string(),
            account: account.to_string(),
            begun: kernel.clock.now().to_string(),
            files: Vec::new(),
            speakers: Vec::new(),
            dropped: 0,
        };
        kernel.media.record_by(Arc::clone(&self.recordings) as _);
        let queue = self.recordings.begin(id, &manifest.id);
        let queue = queue.ok_or_else(|| StanzaError::conflict("recorded already, or no place"))?;
        let limits = Limits {
            file: kernel.files.max_bytes(UploadPurpose::Message),
            all: kernel.config.calls.recording_bytes,
        };
        self.write(kernel, (id, room), manifest, limits, queue);
        self.tell_recorded(kernel, room, true).await;
        Ok(())
    }

    /// Writes until the recording ends, and then stores it.
    fn write(
        &self,
        kernel: &Arc<Kernel>,
        (id, room): (ConferenceId, &BareJid),
        manifest: Manifest,
        limits: Limits,
        queue: Arc<Queue>,
    ) {
        let folder = self.recordings.folder.join(&manifest.id);
        let Some(this) = self.this.get().and_then(Weak::upgrade) else { return };
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
                this.tell_recorded(&kernel, &room, false).await;
            }
            this.deliver(&kernel, folder).await;
            this.recordings.release(&name);
        };
        #[expect(clippy::disallowed_methods, reason = "what it leaves behind is found later")]
        tokio::spawn(work);
    }

    async fn stop(&self, kernel: &Arc<Kernel>, room: &BareJid) -> Result<(), StanzaError> {
        let id = self.conferences.lock().get(room).map(|conference| conference.id);
        let stopped = id.is_some_and(|id| self.recordings.stop(id));
        if !stopped {
            return Err(StanzaError::unexpected_request("the call is not recorded"));
        }
        self.tell_recorded(kernel, room, false).await;
        Ok(())
    }

    /// Everybody in the call and in the room is told, whether or not he looks at the roster.
    async fn tell_recorded(&self, kernel: &Arc<Kernel>, room: &BareJid, on: bool) {
        let later = self.on(kernel, room, None, |conference, dice, fx| {
            conference.record(on, dice, fx);
            Ok(())
        });
        for stanza in later.unwrap_or_default() {
            kernel.route(stanza).await;
        }
        let text = if on { "This call is being recorded." } else { "The recording has ended." };
        let state = Element::new("recording", ns::CALLS).with_attr("active", on.to_string());
        let message = notice(MessageType::Groupchat, text, None).with_child(state);
        if let Err(error) = self.muc.announce(kernel, room, message).await {
            tracing::warn!(%room, %error, "a recording could not be told of in the room");
        }
    }
}

/// A moderator of the room, who is in it.
fn moderator<'a>(guests: &'a [Guest], from: &Jid) -> Result<&'a Guest, StanzaError> {
    let from = FullJid::try_from(from.clone());
    let from = from.map_err(|_| StanzaError::forbidden("only for who is in the room"))?;
    let guest = admit(guests, &from)?;
    match guest.moderates {
        true => Ok(guest),
        false => Err(StanzaError::forbidden("only for moderators")),
    }
}

#[async_trait]
impl Chore for Calls {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    /// Stores what a crash has left behind, and what could not be stored before.
    async fn run(&self, kernel: &Arc<Kernel>) {
        let folder = self.recordings.folder.clone();
        let left = spawn_blocking(move || folders(&folder)).await.unwrap_or_default();
        for folder in left {
            let id = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = id.to_owned();
            if self.recordings.claim(&id) {
                self.deliver(kernel, folder).await;
                self.recordings.release(&id);
            }
        }
    }
}

fn folders(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
