//! Ringing those who belong to a room when its conference begins, or when somebody in it asks for
//! it (XEP-0482): an invitation in the room, which wakes phones, and its end.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::ns;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::Calls;
use super::halls::Hall;
use super::links::link;

/// Of one room in a minute.
const MAX_RINGS: u32 = 3;

impl Calls {
    /// A conference has begun. Rooms that everybody may enter are not rung: most of those who are in
    /// one do not wait for a call.
    pub(super) async fn ring_at_the_beginning(
        &self,
        kernel: &Arc<Kernel>,
        hall: &Hall,
        caller: &FullJid,
    ) {
        let wanted = kernel.config.calls.ring && self.muc.is_for_members(&hall.place);
        if wanted && let Err(error) = self.ring(kernel, hall, caller).await {
            tracing::debug!(place = %hall.place, ?error, "nobody was rung");
        }
    }

    /// Rings everybody in the name of the room; `caller` is not woken.
    pub(super) async fn ring(
        &self,
        kernel: &Arc<Kernel>,
        hall: &Hall,
        caller: &FullJid,
    ) -> Result<(), StanzaError> {
        let sid = self.conferences.lock().get(&hall.place).map(|known| known.id.0.to_string());
        let sid = sid.ok_or_else(|| StanzaError::item_not_found("there is no conference"))?;
        if !self.rings.admit(hall.place.as_str().into(), MAX_RINGS, kernel.clock.now()) {
            return Err(StanzaError::resource_constraint("they were just rung"));
        }
        self.stop_ringing(kernel, &hall.place).await;
        let invitation = said(invitation(&kernel.config, hall, &sid));
        let said = self.muc.announce(kernel, &hall.place, caller, invitation).await?;
        let id = said.ok_or_else(|| StanzaError::not_acceptable("the room keeps no messages"))?;
        self.invitations.lock().insert(hall.place.clone(), id);
        Ok(())
    }

    /// The invitation is over, if there was one.
    pub(super) async fn stop_ringing(&self, kernel: &Arc<Kernel>, place: &BareJid) {
        let Some(id) = self.invitations.lock().remove(place) else { return };
        let retraction = Element::new("retract", ns::CALL_INVITES).with_attr("id", id);
        let nobody = place.clone().into();
        if let Err(error) = self.muc.announce(kernel, place, &nobody, said(retraction)).await {
            tracing::debug!(%place, ?error, "an invitation was not taken back");
        }
    }
}

/// Section 2.1: how to join, by Jingle and in a browser.
fn invitation(config: &Config, hall: &Hall, sid: &str) -> Element {
    let jingle = Element::new("jingle", ns::CALL_INVITES)
        .with_attr("sid", sid)
        .with_attr("jid", hall.focus.as_str());
    let external = link(config, &hall.place)
        .map(|link| Element::new("external", ns::CALL_INVITES).with_attr("uri", link));
    Element::new("invite", ns::CALL_INVITES)
        .with_attr("video", "true")
        .with_child(jingle)
        .with_children(external)
}

fn said(payload: Element) -> Stanza {
    let store = Element::new("store", ns::HINTS);
    Stanza::message(MessageType::Groupchat).with_child(payload).with_child(store)
}

#[cfg(test)]
mod tests {
    use super::super::dialects::Door;
    use super::*;

    #[test]
    fn an_invitation_says_how_to_join() {
        let hall = Hall {
            place: "hall@conference.capulet.example".parse().unwrap(),
            focus: "hall@calls.capulet.example".parse().unwrap(),
            door: Door::Focus,
        };
        let mut config = Config::default();
        config.http.public_url = "https://chat.example".to_owned();
        assert_eq!(
            invitation(&config, &hall, "7").to_string(),
            "<invite xmlns='urn:xmpp:call-invites:0' video='true'>\
             <jingle sid='7' jid='hall@calls.capulet.example'/>\
             <external uri='https://chat.example/r/hall'/></invite>"
        );
    }
}
