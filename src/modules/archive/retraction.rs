//! Retraction (XEP-0424): what a sender takes back becomes a tombstone in the archives.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::passage::Passage;
use wello_store::{ArchivedMessage, MessageRef, StoreError};
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::retract::{Retract, Retracted};
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::Archive;

impl Archive {
    /// Before the retraction is delivered, so that whoever got it finds the tombstone.
    pub(super) async fn retract(&self, kernel: &Arc<Kernel>, passage: &Passage) {
        let stanza = &passage.stanza;
        if !matches!(stanza.message_type(), MessageType::Chat | MessageType::Normal) {
            return;
        }
        let Some(retract) = stanza.child("retract", ns::RETRACT) else { return };
        let (Ok(retract), Some(from), Some(to)) =
            (Retract::parse(retract), &stanza.from, &stanza.to)
        else {
            return;
        };
        // One tombstone stands in both archives, since they share the message.
        let owner = passage.recipient.as_ref().map(|owner| (owner, from));
        let owner = owner.or(passage.sender.as_ref().map(|owner| (owner, to)));
        let Some((owner, with)) = owner else { return };
        if let Err(error) = bury(kernel, owner, with, from, &retract, stanza).await {
            tracing::error!(%owner, %error, "message not retracted");
        }
    }
}

/// Only the sender's own message is found (section 5, security).
async fn bury(
    kernel: &Arc<Kernel>,
    owner: &Jid,
    with: &Jid,
    from: &Jid,
    retract: &Retract,
    retraction: &Stanza,
) -> Result<(), StoreError> {
    let which = MessageRef::Sent {
        with: with.bare_str().to_owned(),
        by: from.bare_str().to_owned(),
        id: retract.id.clone(),
    };
    let archive = &kernel.store.archive;
    let Some(original) = archive.find(owner.as_str(), &which).await? else { return Ok(()) };
    let retracted = Retracted {
        id: retraction.id.as_ref().map(ToString::to_string).unwrap_or_default(),
        stamp: Some(kernel.clock.now()),
        by: None,
    };
    if let Some(tombstone) = tombstone(&original, &retracted) {
        archive.retract(owner.as_str(), original.id, &tombstone.into()).await?;
    }
    Ok(())
}

/// The original's header with the notice in place of everything it said (section 4.1).
fn tombstone(original: &ArchivedMessage, retracted: &Retracted) -> Option<Vec<u8>> {
    if original.retracted {
        return None;
    }
    let element = String::from_utf8_lossy(&original.stanza).parse::<Element>().ok()?;
    let mut stanza = Stanza::from_element(element).ok()?;
    stanza.edit(|nodes| nodes.clear());
    Some(stanza.with_child(retracted.to_element()).to_bytes())
}
