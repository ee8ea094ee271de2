//! Reserved nicknames, and requests for them that admins decide about (XEP-0045, sections 7.10 and
//! 9.9).

use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::stanza::{MessageType, Stanza};

use super::{Affiliation, Effects, Room};

/// The FORM_TYPE of both.
pub const REGISTER: &str = "http://jabber.org/protocol/muc#register";

/// Requests that are remembered, so that nobody asks again and again.
const MAX_ASKED: usize = 1000;
/// Admins who are asked, owners first.
const MAX_ADMINS: usize = 20;

/// What registering does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AtOnce,
    /// Admins decide.
    Asks,
}

impl Room {
    /// Whether somebody may register at all.
    pub fn check_registration(&self, who: &Jid) -> Result<(), StanzaError> {
        self.way(who.bare_str()).map(drop)
    }

    fn way(&self, who: &str) -> Result<Way, StanzaError> {
        match self.affiliation(who) {
            Affiliation::Outcast => Err(StanzaError::forbidden("banned from this room")),
            Affiliation::None if !self.config.allow_registration => {
                Err(StanzaError::not_allowed("members are made by admins here"))
            }
            Affiliation::None if self.config.members_only => Ok(Way::Asks),
            // Whoever may be here has a right to a name.
            _ => Ok(Way::AtOnce),
        }
    }

    /// Reserves a nickname, which makes strangers members, or asks the admins for it.
    pub fn register(&mut self, who: &Jid, nick: &str, fx: &mut Effects) -> Result<(), StanzaError> {
        let way = self.way(who.bare_str())?;
        let (account, nick) = (who.bare(), self.free_nick(&who.bare(), nick)?);
        match way {
            Way::AtOnce => self.make_member(&account, &nick, None, fx),
            Way::Asks => {
                self.ask_admins(account, nick, fx);
                Ok(())
            }
        }
    }

    /// The nickname as it is written here, if the account may have it.
    fn free_nick(&self, account: &BareJid, nick: &str) -> Result<String, StanzaError> {
        let nick = self.jid.with_resource(nick)?;
        let nick = nick.resource();
        if nick.trim().is_empty() || nick.len() > self.limits.nick_bytes {
            return Err(StanzaError::not_acceptable("no nickname that can be used here"));
        }
        let taken = self.owner_of_nick(nick).is_some_and(|owner| owner != account)
            || self.occupant(nick).is_some_and(|other| other.account != *account);
        match taken {
            true => Err(StanzaError::conflict("the nickname is taken")),
            false => Ok(nick.to_owned()),
        }
    }

    fn make_member(
        &mut self,
        account: &BareJid,
        nick: &str,
        actor: Option<&str>,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let before = self.affiliation(account.as_str());
        if before == Affiliation::None && self.affiliated() >= self.limits.affiliations {
            return Err(StanzaError::resource_constraint("the list of members is full"));
        }
        self.set_affiliation(account, before.max(Affiliation::Member), Some(nick), actor, None, fx);
        Ok(())
    }

    /// Section 9.9.
    fn ask_admins(&mut self, account: BareJid, nick: String, fx: &mut Effects) {
        if self.asked.get(&account) == Some(&nick) {
            return;
        }
        let form = DataForm::typed(FormKind::Form, REGISTER)
            .with_title("Registration request")
            .with_instructions("To approve this registration request, select the checkbox.")
            .with(Field::jid_single("muc#jid", "User ID").with_value(account.as_str()))
            .with(Field::text_single("muc#register_roomnick", "Nickname").with_value(&nick))
            .with(
                Field::boolean(
                    "muc#register_allow",
                    "Allow this person to register with the room?",
                )
                .with_boolean(false),
            );
        let mut message = Stanza::message(MessageType::Normal)
            .with_from(self.jid.clone())
            .with_child(form.to_element());
        message.type_ = None;
        let having = |wanted: Affiliation| {
            let all = self.affiliates.iter();
            all.filter(move |(_, one)| one.affiliation == wanted).map(|(jid, _)| jid)
        };
        let admins = having(Affiliation::Owner).chain(having(Affiliation::Admin));
        for admin in admins.take(MAX_ADMINS) {
            fx.out.push(message.clone().with_to(admin.clone()));
        }
        if self.asked.len() >= MAX_ASKED {
            self.asked.clear();
        }
        self.asked.insert(account, nick);
    }

    /// What an admin has decided about a request. The form says whose it is, so that the answer
    /// counts after a restart, too: whoever may give it may make members anyway.
    pub fn answer_registration(
        &mut self,
        from: &Jid,
        form: &DataForm,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        if self.affiliation(from.bare_str()) < Affiliation::Admin {
            return Err(StanzaError::forbidden("only for admins"));
        }
        let whose = || StanzaError::bad_request("whose request is it?");
        let account = form.parsed::<Jid>("muc#jid")?.ok_or_else(whose)?.bare();
        let allow = form.boolean("muc#register_allow")?;
        let allow = allow.ok_or_else(|| StanzaError::bad_request("allow or not?"))?;
        // Another admin was faster.
        if self.affiliation(account.as_str()) != Affiliation::None {
            return Ok(());
        }
        if allow {
            let nick = form.value("muc#register_roomnick").ok_or_else(whose)?;
            let nick = self.free_nick(&account, nick)?;
            let actor = self.occupant_of(from).map(|actor| actor.nick().to_owned());
            self.make_member(&account, &nick, actor.as_deref(), fx)?;
        }
        self.asked.remove(&account);
        Ok(())
    }

    /// Gives the nickname back; who is no more than a member is none any more (XEP-0077, section
    /// 3.2).
    pub fn unregister(&mut self, who: &Jid, fx: &mut Effects) -> Result<(), StanzaError> {
        let account = who.bare();
        if self.reserved_nick(account.as_str()).is_none() {
            return Err(StanzaError::registration_required("not registered"));
        }
        let after = match self.affiliation(account.as_str()) {
            Affiliation::Member => Affiliation::None,
            other => other,
        };
        self.set_affiliation(&account, after, Some(""), None, None, fx);
        Ok(())
    }
}
