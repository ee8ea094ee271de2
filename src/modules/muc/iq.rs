//! Requests to rooms.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks::Request;
use wello_kernel::sessions::Session;
use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, FormKind};
use wello_wire::payload::register::Register;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::Muc;
use super::forms;
use super::guests;
use super::refusals::store_failed;
use super::registry::photos;
use super::room::{Affiliation, Change, Effects, Role, Room};
use super::run::no_room;

/// A request to a room.
pub struct Ask<'a> {
    pub room: BareJid,
    pub from: &'a Jid,
    pub request: Request,
    pub payload: &'a Element,
    pub session: Option<&'a Arc<Session>>,
}

/// The payload of a result.
pub type Answer = Result<Option<Element>, StanzaError>;

/// Bytes of a room's vCard.
const MAX_CARD: usize = 64 * 1024;

impl Muc {
    pub(super) async fn handle_iq(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Option<Ticket>, StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Ok(None) };
        let Some(payload) = stanza.children().next() else { return Ok(None) };
        if to.local().is_none() {
            return Err(StanzaError::service_unavailable(""));
        }
        if to.resource().is_some() {
            self.relay_request(kernel, stanza, from, to, session).await?;
            return Ok(None);
        }
        if payload.is("jingle", ns::JINGLE) {
            self.call(kernel, stanza, session).await?;
            return Ok(None);
        }
        let request = match stanza.iq_type() {
            Some(IqType::Get) => Request::Get,
            _ => Request::Set,
        };
        let ask = Ask { room: to.bare(), from, request, payload, session };
        let answer = self.answer_room(kernel, &ask).await?;
        kernel.answer(session, stanza.result(answer)).await;
        Ok(None)
    }

    async fn answer_room(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        match (ask.payload.name(), ask.payload.ns()) {
            ("query", ns::DISCO_INFO) => self.room_info(kernel, ask).await,
            ("query", ns::DISCO_ITEMS) => self.room_items(kernel, ask).await,
            ("query", ns::MUC_ADMIN) => self.administer(kernel, ask).await,
            ("query", ns::MUC_OWNER) => self.own(kernel, ask).await,
            ("query", ns::REGISTER) => self.register_nick(kernel, ask).await,
            (_, ns::MAM) => self.answer_archive(kernel, ask).await,
            ("moderate", ns::MESSAGE_MODERATE) => self.moderate(kernel, ask).await,
            ("command", ns::COMMANDS)
                if kernel.config.guests.enabled && guests::is_command(ask.payload) =>
            {
                self.run_guest_command(kernel, ask).await
            }
            ("command", ns::COMMANDS) => self.run_command(kernel, ask).await,
            ("vCard", ns::VCARD_TEMP) => self.card(kernel, ask).await,
            ("ping", ns::PING) => {
                self.look(kernel, &ask.room, |_| Ok(())).await?;
                Ok(None)
            }
            _ => Err(StanzaError::service_unavailable("")),
        }
    }

    /// Sections 8 to 10.
    async fn administer(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if ask.request == Request::Get {
            let item = ask.payload.child("item", ns::MUC_ADMIN);
            let item = item.ok_or_else(|| StanzaError::bad_request("which list?"))?;
            return self.look(kernel, &ask.room, |room| list(room, ask.from, item)).await.map(Some);
        }
        let work = |room: &mut Room, fx: &mut Effects| {
            let items = ask.payload.children().filter(|item| item.is("item", ns::MUC_ADMIN));
            let changes = items.map(|item| change(room, item)).collect::<Result<Vec<_>, _>>()?;
            if changes.is_empty() {
                return Err(StanzaError::bad_request("nothing to change"));
            }
            room.change(ask.from, &changes, fx)
        };
        self.run(kernel, &ask.room, ask.session, work).await?;
        Ok(None)
    }

    /// Configuration and destruction (sections 10.1, 10.2 and 10.9).
    async fn own(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        self.look(kernel, &ask.room, |room| check_owner(room, ask.from)).await?;
        if ask.request == Request::Get {
            let form = self.look(kernel, &ask.room, |room| Ok(forms::config_form(room))).await?;
            return Ok(Some(Element::new("query", ns::MUC_OWNER).with_child(form.to_element())));
        }
        if let Some(destroy) = ask.payload.child("destroy", ns::MUC_OWNER) {
            let told = told_destroy(destroy)?;
            let work = |room: &mut Room, fx: &mut Effects| {
                check_owner(room, ask.from)?;
                room.destroy(&told, fx);
                Ok(())
            };
            self.run(kernel, &ask.room, ask.session, work).await?;
            return Ok(None);
        }
        let form = DataForm::within(ask.payload)?;
        let form = form.ok_or_else(|| StanzaError::bad_request("a form is missing"))?;
        match form.kind {
            FormKind::Submit => self.configure(kernel, ask, &form).await,
            FormKind::Cancel => self.cancel(kernel, ask).await,
            _ => Err(StanzaError::bad_request("a form to configure is submitted or cancelled")),
        }
    }

    async fn configure(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>, form: &DataForm) -> Answer {
        let limits = &kernel.config.rooms;
        let wanted =
            self.look(kernel, &ask.room, |room| forms::submitted(room, form, limits)).await?;
        let hash = match &wanted.password {
            Some(password) => {
                let hash = kernel.accounts.hash_password(password).await;
                Some(hash.ok_or_else(|| StanzaError::internal_server_error(""))?)
            }
            None => None,
        };
        let work = |room: &mut Room, fx: &mut Effects| {
            check_owner(room, ask.from)?;
            let wanted = forms::submitted(room, form, limits)?;
            let mut config = wanted.config;
            if hash.is_some() {
                config.password_hash.clone_from(&hash);
            }
            forms::check(&config)?;
            if let Some(admins) = &wanted.admins {
                room.put_list(ask.from, Affiliation::Admin, admins, fx)?;
            }
            if let Some(owners) = &wanted.owners {
                room.put_list(ask.from, Affiliation::Owner, owners, fx)?;
            }
            room.configure(config, fx);
            Ok(())
        };
        self.run(kernel, &ask.room, ask.session, work).await?;
        Ok(None)
    }

    /// Section 10.1.3: a room whose configuration is cancelled is none.
    async fn cancel(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        let work = |room: &mut Room, fx: &mut Effects| {
            check_owner(room, ask.from)?;
            if room.locked {
                room.destroy(&Element::new("destroy", ns::MUC_USER), fx);
            }
            Ok(())
        };
        self.run(kernel, &ask.room, ask.session, work).await?;
        Ok(None)
    }

    /// Section 7.10.
    async fn register_nick(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if ask.request == Request::Get {
            let answer = self.look(kernel, &ask.room, |room| {
                if let Some(nick) = room.reserved_nick(ask.from.bare_str()) {
                    let fields = vec![("username", nick.to_owned())];
                    return Ok(Register { registered: true, fields, ..Register::default() });
                }
                room.check_registration(ask.from)?;
                Ok(Register { form: Some(forms::registration()), ..Register::default() })
            });
            return Ok(Some(answer.await?.to_element()));
        }
        let wanted = Register::parse(ask.payload)?;
        let nick = match &wanted.form {
            Some(form) if form.form_type() != Some(super::room::REGISTER) => None,
            Some(form) => form.value("muc#register_roomnick"),
            None => wanted.value("nick").or_else(|| wanted.value("username")),
        };
        if nick.is_none() && !wanted.remove {
            return Err(StanzaError::bad_request("a nickname is needed"));
        }
        let work = |room: &mut Room, fx: &mut Effects| match nick {
            Some(nick) if !wanted.remove => room.register(ask.from, nick, fx),
            _ => room.unregister(ask.from, fx),
        };
        self.run(kernel, &ask.room, ask.session, work).await?;
        Ok(None)
    }

    /// The room's picture (XEP-0486).
    async fn card(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        let key = wello_store::DocumentKey::VCardTemp;
        let documents = &kernel.store.documents;
        if ask.request == Request::Get {
            self.look(kernel, &ask.room, |_| Ok(())).await?;
            let card = documents.get(ask.room.as_str(), &key).await;
            let card = card.map_err(|error| store_failed(&error))?;
            let card = card.and_then(|card| String::from_utf8_lossy(&card).parse::<Element>().ok());
            return card.map(Some).ok_or_else(|| StanzaError::item_not_found("no vCard"));
        }
        self.look(kernel, &ask.room, |room| check_owner(room, ask.from)).await?;
        let xml = ask.payload.to_string();
        if xml.len() > MAX_CARD {
            return Err(StanzaError::policy_violation("the vCard is too big"));
        }
        let photos = photos(ask.payload)?;
        let stored = documents.set(ask.room.as_str(), &key, &xml.into()).await;
        stored.map_err(|error| store_failed(&error))?;
        let work = |room: &mut Room, fx: &mut Effects| {
            room.avatar.clone_from(&photos);
            room.tell_codes(&[104], fx);
            Ok(())
        };
        self.run(kernel, &ask.room, ask.session, work).await?;
        Ok(None)
    }
}

fn check_owner(room: &mut Room, who: &Jid) -> Result<(), StanzaError> {
    match room.affiliation(who.bare_str()) {
        Affiliation::Owner => Ok(()),
        _ => Err(StanzaError::forbidden("only for owners")),
    }
}

fn list(room: &Room, who: &Jid, item: &Element) -> Result<Element, StanzaError> {
    match (item.attr("affiliation"), item.attr("role")) {
        (Some(affiliation), None) => {
            let affiliation = affiliation.parse().map_err(|_| unknown())?;
            room.list_affiliations(who, affiliation)
        }
        (None, Some(role)) => room.list_roles(who, Role::from_name(role).ok_or_else(unknown)?),
        _ => Err(StanzaError::bad_request("a list is of a role or of an affiliation")),
    }
}

fn unknown() -> StanzaError {
    StanzaError::bad_request("no such role or affiliation")
}

/// Section 17.4: a nickname and a role, or an address and an affiliation.
fn change(room: &Room, item: &Element) -> Result<Change, StanzaError> {
    let reason = item.child("reason", ns::MUC_ADMIN).map(|reason| reason.text().into_owned());
    let reason = reason.filter(|reason| !reason.is_empty());
    match (item.attr("role"), item.attr("affiliation")) {
        (Some(role), None) => {
            let role = match role {
                "none" => None,
                name => Some(Role::from_name(name).ok_or_else(unknown)?),
            };
            Ok(Change::Role { nick: nick_of(room, item)?, role, reason })
        }
        (None, Some(affiliation)) => {
            let affiliation = affiliation.parse().map_err(|_| unknown())?;
            let (jid, nick) = match item.attr("jid") {
                Some(jid) => (jid.parse::<Jid>()?.bare(), item.attr("nick").map(str::to_owned)),
                // Not what the specification says, but what some clients send.
                None => {
                    let nick = nick_of(room, item)?;
                    let occupant = room.occupant(&nick).ok_or_else(no_room)?;
                    (occupant.account.clone(), None)
                }
            };
            Ok(Change::Affiliation { jid, affiliation, nick, reason })
        }
        _ => Err(StanzaError::bad_request("either a role or an affiliation is changed")),
    }
}

fn nick_of(room: &Room, item: &Element) -> Result<String, StanzaError> {
    let by_address = || {
        let jid = item.attr("jid")?.parse::<Jid>().ok()?;
        Some(room.occupant_of_account(&jid)?.nick().to_owned())
    };
    let nick = match item.attr("nick") {
        Some(nick) => room.occupant(nick).map(|occupant| occupant.nick().to_owned()),
        None if item.attr("jid").is_none() => {
            return Err(StanzaError::bad_request("whose role?"));
        }
        None => by_address(),
    };
    nick.ok_or_else(|| StanzaError::item_not_found("nobody has this nickname"))
}

/// Section 10.9: what the occupants are told.
fn told_destroy(destroy: &Element) -> Result<Element, StanzaError> {
    let venue = destroy.attr("jid").map(str::parse::<Jid>).transpose()?;
    let text = |name: &str| {
        let text = destroy.child(name, ns::MUC_OWNER)?.text().into_owned();
        Some(Element::new(name.to_owned(), ns::MUC_USER).with_text(text))
    };
    Ok(Element::new("destroy", ns::MUC_USER)
        .with_attr_opt("jid", venue.as_ref().map(Jid::as_str))
        .with_children(text("password"))
        .with_children(text("reason")))
}
