//! Requests for voice and their approval (XEP-0045, sections 7.13 and 8.6).

use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::stanza::{MessageType, Stanza};

use super::message::not_an_occupant;
use super::roles::may_set_role;
use super::{Effects, Role, Room};

/// The FORM_TYPE of both.
pub const REQUEST: &str = "http://jabber.org/protocol/muc#request";

impl Room {
    /// A form that somebody sent to the room: a visitor asks, or a moderator answers.
    pub fn handle_voice_form(
        &mut self,
        from: &Jid,
        form: &DataForm,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let sender = self.occupant_of(from).ok_or_else(not_an_occupant)?;
        match form.value("muc#request_allow") {
            Some(_) => self.answer_voice(from, form, fx),
            None if form.value("muc#role") != Some(Role::Participant.name()) => {
                Err(StanzaError::bad_request("only the role of a participant is asked for"))
            }
            None if !self.config.allow_voice_requests => {
                Err(StanzaError::forbidden("nobody asks for voice here"))
            }
            // Whoever has it needs not ask.
            None if sender.role >= Role::Participant => Ok(()),
            None => {
                self.ask_moderators(from, fx);
                Ok(())
            }
        }
    }

    fn ask_moderators(&self, from: &Jid, fx: &mut Effects) {
        let Some(visitor) = self.occupant_of(from) else { return };
        let form = DataForm::typed(FormKind::Form, REQUEST)
            .with_title("Voice request")
            .with_instructions("To approve this request for voice, select the checkbox.")
            .with(
                Field::list_single("muc#role", "Requested role")
                    .with_value(Role::Participant.name())
                    .with_option("Participant", Role::Participant.name()),
            )
            .with(Field::jid_single("muc#jid", "User ID").with_value(from.as_str()))
            .with(Field::text_single("muc#roomnick", "Room Nickname").with_value(visitor.nick()))
            .with(
                Field::boolean("muc#request_allow", "Grant voice to this person?")
                    .with_boolean(false),
            );
        let mut message = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_child(form.to_element());
        message.type_ = None;
        let moderators = self.occupants.values().filter(|one| one.role == Role::Moderator);
        for device in moderators.flat_map(|one| &one.devices) {
            fx.out.push(message.clone().with_to(device.jid.clone()));
        }
    }

    fn answer_voice(
        &mut self,
        from: &Jid,
        form: &DataForm,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let standing = self.standing(from);
        if standing.role != Some(Role::Moderator) {
            return Err(StanzaError::forbidden("only for moderators"));
        }
        if form.boolean("muc#request_allow")? != Some(true) {
            return Ok(());
        }
        let nick = form.value("muc#roomnick");
        let nick = nick.ok_or_else(|| StanzaError::bad_request("whose request is it?"))?;
        // Whoever has left meanwhile asks again.
        let Some(visitor) = self.occupant(nick) else { return Ok(()) };
        if visitor.role >= Role::Participant {
            return Ok(());
        }
        let role = Some(Role::Participant);
        may_set_role(standing, self.standing(&visitor.account), role)?;
        let actor = self.occupant_of(from).map(|actor| actor.nick().to_owned());
        self.set_role(nick, role, actor.as_deref(), None, fx);
        Ok(())
    }
}
