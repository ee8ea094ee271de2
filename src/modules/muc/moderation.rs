//! Messages taken back, by their senders (XEP-0424) and by moderators (XEP-0425).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks::Request;
use wello_store::ArchivedMessage;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::retract::{Retract, Retracted};
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::Muc;
use super::iq::{Answer, Ask};
use super::refusals::store_failed;
use super::room::{Effects, Role, Room};

impl Muc {
    pub(super) async fn moderate(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if ask.request != Request::Set {
            return Err(StanzaError::bad_request("moderation is set"));
        }
        self.look(kernel, &ask.room, |room| check_moderator(room, ask.from)).await?;
        let id = ask.payload.attr("id");
        let id = id.ok_or_else(|| StanzaError::bad_request("which message?"))?;
        if ask.payload.child("retract", ns::RETRACT).is_none() {
            return Err(StanzaError::feature_not_implemented("messages are only retracted"));
        }
        let reason = ask.payload.child("reason", ns::MESSAGE_MODERATE);
        let reason = reason.map(|reason| reason.text().into_owned());
        let original = self.archived(kernel, &ask.room, id).await?;
        let original = original.ok_or_else(|| StanzaError::item_not_found("no such message"))?;
        if original.retracted {
            return Err(StanzaError::item_not_found("it was retracted already"));
        }
        let tombstone = |room: &mut Room, fx: &mut Effects| {
            let now = kernel.clock.now();
            let retraction = (kernel.store.archive_ids.next(now), now);
            room.moderate(ask.from, original.id, reason.as_deref(), retraction, fx)
        };
        let done = self.run(kernel, &ask.room, ask.session, tombstone).await?;
        bury(kernel, &ask.room, &original, done.value).await?;
        Ok(None)
    }

    /// Puts a tombstone in the place of the sender's own message, before the retraction is sent
    /// to the others; returns the id of what was retracted.
    pub(super) async fn bury_own(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        from: &Jid,
        retraction: &Stanza,
    ) -> Result<Option<String>, StanzaError> {
        let Some(retract) = retraction.child("retract", ns::RETRACT) else { return Ok(None) };
        let Ok(retract) = Retract::parse(retract) else { return Ok(None) };
        let (sender, may_speak) = self
            .look(kernel, room, |room| {
                let speaker = room.occupant_of(from).map(|occupant| occupant.role);
                Ok((room.occupant_id(&from.bare()), speaker >= Some(Role::Participant)))
            })
            .await?;
        let Some(original) = self.archived(kernel, room, &retract.id).await? else {
            return Ok(None);
        };
        // Section 5: only the sender's own message.
        if !may_speak || original.retracted || author(&original).as_deref() != Some(sender.as_str())
        {
            return Ok(None);
        }
        let retracted = Retracted {
            id: retraction.id.as_ref().map(ToString::to_string).unwrap_or_default(),
            stamp: Some(kernel.clock.now()),
            by: None,
        };
        bury(kernel, room, &original, retracted.to_element()).await?;
        Ok(Some(retract.id))
    }
}

fn check_moderator(room: &Room, who: &Jid) -> Result<(), StanzaError> {
    match room.standing(who).role {
        Some(Role::Moderator) => Ok(()),
        _ => Err(StanzaError::forbidden("only for moderators")),
    }
}

fn parse(message: &ArchivedMessage) -> Option<Element> {
    String::from_utf8_lossy(&message.stanza).parse().ok()
}

/// The occupant id of who sent it.
fn author(message: &ArchivedMessage) -> Option<String> {
    let id = parse(message)?.child("occupant-id", ns::OCCUPANT_ID)?.attr("id")?.to_owned();
    Some(id)
}

async fn bury(
    kernel: &Kernel,
    room: &BareJid,
    original: &ArchivedMessage,
    notice: Element,
) -> Result<(), StanzaError> {
    let Some(tombstone) = tombstone(original, notice) else { return Ok(()) };
    let buried = kernel.store.archive.retract(room.as_str(), original.id, &tombstone.into()).await;
    buried.map(drop).map_err(|error| store_failed(&error))
}

/// The header, who sent it, and the notice in place of what was said (XEP-0425, section 4).
fn tombstone(original: &ArchivedMessage, notice: Element) -> Option<Vec<u8>> {
    let mut stanza = parse(original)?;
    stanza.retain_children(|child| {
        child.is("occupant-id", ns::OCCUPANT_ID) || child.is("x", ns::MUC_USER)
    });
    let stanza = Stanza::from_element(stanza).ok()?;
    Some(stanza.with_child(notice).to_bytes())
}
