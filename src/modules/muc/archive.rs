//! The archives of rooms (XEP-0313, section 5.1.3).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks::Request;
use wello_store::ArchivedMessage;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::mam::MamQuery;
use wello_wire::xml::Element;

use super::Muc;
use super::iq::{Answer, Ask};
use super::room::{Affiliation, Role, Room};
use crate::archive::{forwarded, metadata, query_page};

/// What somebody may read.
struct Reader {
    real_addresses: bool,
}

impl Muc {
    pub(super) async fn answer_archive(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if !kernel.config.archive.enabled {
            return Err(StanzaError::service_unavailable(""));
        }
        let reader = self.look(kernel, &ask.room, |room| admit(room, ask.from)).await?;
        match (ask.request, ask.payload.name()) {
            (Request::Get, "query") => Ok(Some(MamQuery::fields())),
            (Request::Get, "metadata") => Ok(Some(metadata(kernel, &ask.room).await?)),
            (Request::Set, "query") => {
                let asked = MamQuery::parse(ask.payload)?;
                let (page, fin) = query_page(kernel, &ask.room, &asked).await?;
                for message in &page {
                    let result = forwarded(message, &asked, &ask.room, ask.from, |stanza| {
                        shown(stanza, &reader);
                    });
                    if let Some(result) = result {
                        kernel.answer(ask.session, result).await;
                    }
                }
                Ok(Some(fin.to_element()))
            }
            _ => Err(StanzaError::bad_request("no such archive request")),
        }
    }

    /// A message of the room's archive, for who wants to take it back.
    pub(super) async fn archived(
        &self,
        kernel: &Kernel,
        room: &BareJid,
        id: &str,
    ) -> Result<Option<ArchivedMessage>, StanzaError> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let which = wello_store::MessageRef::Archive(id);
        let found = kernel.store.archive.find(room.as_str(), &which).await;
        found.map_err(|error| super::refusals::store_failed(&error))
    }
}

/// Who may read what.
fn admit(room: &Room, who: &Jid) -> Result<Reader, StanzaError> {
    let standing = room.standing(who);
    let config = &room.config;
    if standing.affiliation == Affiliation::Outcast {
        return Err(StanzaError::forbidden("banned from this room"));
    }
    let is_one_of_us = standing.affiliation >= Affiliation::Member
        || (standing.role.is_some() && !config.members_only);
    let closed = config.members_only || config.password().is_some() || room.locked;
    if closed && !is_one_of_us && !config.public_log {
        return Err(StanzaError::forbidden("only for who may enter"));
    }
    let sees = config.whois == super::room::config::Whois::Anyone
        || standing.role == Some(Role::Moderator)
        || standing.affiliation >= Affiliation::Admin;
    Ok(Reader { real_addresses: sees })
}

/// The message as it was sent to the room, with the real address for those who may know it.
fn shown(stanza: &mut Element, reader: &Reader) {
    stanza.remove_attr("to");
    stanza.retain_children(|child| reader.real_addresses || !child.is("x", ns::MUC_USER));
}
