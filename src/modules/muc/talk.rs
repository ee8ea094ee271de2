//! Messages to rooms and occupants (XEP-0045, sections 7.4, 7.5, 7.8, 7.13 and 11.1).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::sessions::Session;
use wello_store::Ticket;
use wello_wire::error::{Condition, StanzaError};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, FormKind};
use wello_wire::stanza::{MessageType, PresenceType, Stanza};
use wello_wire::xml::Element;

use super::Muc;
use super::refusals::store_failed;
use super::room::{Effects, REGISTER, Room, Speech, VOICE_REQUEST, is_subject};
use crate::archive::is_worth_keeping;

impl Muc {
    pub(super) async fn handle_message(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Option<Ticket>, StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Ok(None) };
        if to.local().is_none() {
            return Err(StanzaError::service_unavailable(""));
        }
        let room = to.bare();
        match (stanza.message_type(), to.resource()) {
            (MessageType::Error, _) => {
                self.handle_error(kernel, from, to, stanza, session).await;
                Ok(None)
            }
            (MessageType::Groupchat, None) => {
                self.speak(kernel, &room, from, stanza, session).await
            }
            (MessageType::Groupchat, Some(_)) => {
                Err(StanzaError::bad_request("groupchat goes to the room"))
            }
            (_, Some(nick)) => {
                let whisper =
                    |room: &mut Room, fx: &mut Effects| room.whisper(from, nick, stanza, fx);
                Ok(self.run(kernel, &room, session, whisper).await?.ticket)
            }
            (_, None) => self.handle_request(kernel, &room, from, stanza, session).await,
        }
    }

    /// Says something to everybody who is there, in the name of the room.
    pub(crate) async fn say(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        message: Stanza,
    ) -> Result<(), StanzaError> {
        let say = |room: &mut Room, fx: &mut Effects| {
            let now = kernel.clock.now();
            let id =
                kernel.config.archive.enabled.then(|| (kernel.store.archive_ids.next(now), now));
            room.announce(message.clone(), id, fx);
            Ok(())
        };
        self.run(kernel, room, None, say).await.map(drop)
    }

    async fn speak(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        from: &Jid,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Option<Ticket>, StanzaError> {
        let keep = is_subject(stanza) || is_worth_keeping(stanza).0;
        let enabled = kernel.config.archive.enabled;
        let retracted = self.bury_own(kernel, room, from, stanza).await?;
        let speak = |room: &mut Room, fx: &mut Effects| {
            let now = kernel.clock.now();
            // Taken under the room's lock: the order of ids is that of deliveries.
            let id = kernel.store.archive_ids.next(now);
            let archive = keep && enabled;
            room.speak(&Speech { from, stanza, now, id, keep, archive }, fx)?;
            if let Some(id) = &retracted {
                room.forget_message(id);
            }
            Ok(())
        };
        let ticket = self.run(kernel, room, session, speak).await?.ticket;
        if keep {
            self.tell_interested(kernel, room).await;
            self.wake_absent(kernel, room, from, stanza);
        }
        Ok(ticket)
    }

    /// Messages to the room itself that are not for everybody.
    async fn handle_request(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        from: &Jid,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Option<Ticket>, StanzaError> {
        if let Some(x) = stanza.child("x", ns::MUC_USER) {
            for invite in x.children().filter(|child| child.is("invite", ns::MUC_USER)) {
                check_invitee(kernel, invite.attr("to")).await?;
            }
            let unwelcome = self.unwelcome(kernel, from, x).await?;
            let ask = |room: &mut Room, fx: &mut Effects| {
                let mut known = false;
                for child in x.children().filter(|child| child.ns() == ns::MUC_USER) {
                    match child.name() {
                        // The inviter is not told who wants none.
                        "invite" if unwelcome.contains(child) => {}
                        "invite" => room.invite(from, child, fx)?,
                        "decline" => room.decline(from, child, fx)?,
                        _ => continue,
                    }
                    known = true;
                }
                if known {
                    Ok(())
                } else {
                    Err(StanzaError::bad_request("neither invites nor declines"))
                }
            };
            return Ok(self.run(kernel, room, session, ask).await?.ticket);
        }
        if let Some(form) = stanza.child("x", ns::DATA_FORM) {
            let form = DataForm::parse(form)?;
            if form.kind == FormKind::Cancel {
                return Ok(None);
            }
            if form.form_type() == Some(REGISTER) {
                let answer =
                    |room: &mut Room, fx: &mut Effects| room.answer_registration(from, &form, fx);
                return Ok(self.run(kernel, room, session, answer).await?.ticket);
            }
            if form.form_type() == Some(VOICE_REQUEST) {
                let answer =
                    |room: &mut Room, fx: &mut Effects| room.handle_voice_form(from, &form, fx);
                return Ok(self.run(kernel, room, session, answer).await?.ticket);
            }
        }
        // Section 17.2: improperly typed.
        Err(StanzaError::bad_request("messages to everybody are of type groupchat"))
    }

    /// The invitations that those who are invited do not want from a stranger.
    async fn unwelcome(
        &self,
        kernel: &Arc<Kernel>,
        inviter: &Jid,
        x: &Element,
    ) -> Result<Vec<Element>, StanzaError> {
        let mut unwelcome = Vec::new();
        for invite in x.children().filter(|child| child.is("invite", ns::MUC_USER)) {
            let to = invite.attr("to").and_then(|to| to.parse::<Jid>().ok());
            let Some(to) = to.filter(|to| kernel.hosts.contains(to.domain())) else { continue };
            let welcome = self.strangers.lets_invite(kernel, &to.bare(), &inviter.bare()).await;
            if !welcome.map_err(|error| store_failed(&error))? {
                unwelcome.push(invite.clone());
            }
        }
        Ok(unwelcome)
    }

    /// Section 11.1: who cannot be reached is put out; other errors go to whom they are for.
    async fn handle_error(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        to: &Jid,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) {
        let Some(live) = self.rooms.get(to.bare_str()) else { return };
        let error = stanza.child("error", ns::CLIENT).map(StanzaError::from_element);
        let is_gone = error.is_some_and(|error| is_ghost(error.condition));
        let mut handle = |room: &mut Room, fx: &mut Effects| {
            if is_gone {
                let farewell = Stanza::presence(PresenceType::Unavailable);
                room.leave(from, &farewell, &[333], fx);
            } else if let Some(nick) = to.resource() {
                let devices = room.occupant(nick).map(|found| {
                    found.devices.iter().map(|device| device.jid.clone()).collect::<Vec<_>>()
                });
                for device in devices.unwrap_or_default() {
                    fx.out.extend(room.relay(from, device, stanza));
                }
            }
            Ok(())
        };
        self.run_on(kernel, &live, session, &mut handle).await;
    }
}

/// Delivery-related errors (section 17.4.1).
fn is_ghost(condition: Condition) -> bool {
    matches!(
        condition,
        Condition::Gone
            | Condition::ItemNotFound
            | Condition::RecipientUnavailable
            | Condition::Redirect
            | Condition::RemoteServerNotFound
            | Condition::RemoteServerTimeout
    )
}

/// Section 7.8.2: nobody is invited who does not exist.
async fn check_invitee(kernel: &Kernel, to: Option<&str>) -> Result<(), StanzaError> {
    let Some(to) = to else { return Ok(()) };
    let to = to.parse::<Jid>()?;
    let is_ours = kernel.hosts.contains(to.domain());
    if is_ours && (to.local().is_none() || !kernel.accounts.exists(&to.bare()).await) {
        return Err(StanzaError::item_not_found("there is no such account"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_cannot_be_reached_is_a_ghost() {
        let ghosts = Condition::ALL.iter().filter(|condition| is_ghost(**condition)).count();
        assert_eq!(ghosts, 6);
        assert!(!is_ghost(Condition::ServiceUnavailable) && !is_ghost(Condition::Forbidden));
    }
}
