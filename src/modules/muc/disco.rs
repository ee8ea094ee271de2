//! What the service and its rooms say of themselves (XEP-0045, section 6).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks::Request;
use wello_store::{StoreError, StoredRoom, Timestamp};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::{DiscoInfo, DiscoItem, DiscoItems, Identity};

use super::Muc;
use super::guests;
use super::iq::{Answer, Ask};
use super::room::config::Whois;
use super::room::{Affiliation, MENTION_NOTIFICATIONS, Room};

/// Rooms in one list; the search finds more.
const MAX_ITEMS: u32 = 1000;
/// FORM_TYPE of what is told of a room.
const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";
const SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
const STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
const REQUEST: &str = "http://jabber.org/protocol/muc#request";

impl Muc {
    pub(super) fn service_info(&self) -> DiscoInfo {
        let features = [
            ns::MUC,
            ns::OCCUPANT_ID,
            ns::VCARD_TEMP,
            super::interest::RAI,
            super::search::SEARCH,
            SELF_PING,
            STABLE_ID,
        ];
        DiscoInfo {
            identities: vec![Identity::new("conference", "text", Some("Rooms"))],
            features: features.map(str::to_owned).to_vec(),
            ..DiscoInfo::default()
        }
    }

    /// Section 6.3: rooms that are not hidden.
    pub(super) async fn service_items(
        &self,
        kernel: &Arc<Kernel>,
        domain: &BareJid,
    ) -> Vec<DiscoItem> {
        let rooms = match self.listed(kernel, domain, MAX_ITEMS).await {
            Ok(rooms) => rooms,
            Err(error) => {
                tracing::error!(%error, "rooms not listed");
                return Vec::new();
            }
        };
        let items = rooms.into_iter().filter_map(|room| {
            let name = (!room.name.is_empty()).then_some(room.name);
            Some(DiscoItem { jid: room.jid.parse().ok()?, node: None, name })
        });
        items.collect()
    }

    /// Public rooms, those without a row included.
    pub(super) async fn listed(
        &self,
        kernel: &Kernel,
        domain: &BareJid,
        limit: u32,
    ) -> Result<Vec<StoredRoom>, StoreError> {
        let mut rooms = kernel.store.rooms.listed(domain.as_str(), "", limit).await?;
        for live in self.rooms.all() {
            let state = live.state.lock();
            let room = &state.room;
            if !state.stored
                && room.config.public
                && !room.locked
                && room.jid.domain() == domain.as_str()
            {
                rooms.push(room.row());
            }
        }
        rooms.sort_by(|a, b| a.jid.cmp(&b.jid));
        Ok(rooms)
    }

    pub(super) async fn room_info(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if ask.request != Request::Get {
            return Err(StanzaError::bad_request("disco#info is asked, not set"));
        }
        let node = ask.payload.attr("node").filter(|node| !node.is_empty());
        let now = kernel.clock.now();
        let archive = kernel.config.archive.enabled;
        let mut info = self
            .look(kernel, &ask.room, |room| match node {
                None => Ok(info(room, archive, now)),
                // Section 7.12.
                Some("x-roomuser-item") => Ok(reserved(room, ask.from)),
                // Section 17.1.1: everything may pass.
                Some("http://jabber.org/protocol/muc#traffic") => {
                    Err(StanzaError::service_unavailable(""))
                }
                Some(_) => Err(StanzaError::item_not_found("no such node")),
            })
            .await?;
        info.node = node.map(str::to_owned);
        if node.is_none() {
            self.describe_calls(&ask.room, &mut info);
        }
        Ok(Some(info.to_element()))
    }

    /// Section 6.5: who is there, for those who are too and where everybody may come.
    pub(super) async fn room_items(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if ask.request != Request::Get {
            return Err(StanzaError::bad_request("disco#items is asked, not set"));
        }
        match ask.payload.attr("node").filter(|node| !node.is_empty()) {
            None => {}
            Some(ns::COMMANDS) => {
                let makers = kernel.config.guests.links;
                let items = self.look(kernel, &ask.room, |room| {
                    let mut items = Muc::commands_of(room, ask.from);
                    if kernel.config.guests.enabled {
                        items.extend(guests::commands_of(room, ask.from, makers));
                    }
                    Ok(items)
                });
                let node = Some(ns::COMMANDS.to_owned());
                return Ok(Some(DiscoItems { node, items: items.await? }.to_element()));
            }
            Some(_) => return Err(StanzaError::item_not_found("no such node")),
        }
        let items = self.look(kernel, &ask.room, |room| {
            let config = &room.config;
            let open = config.public && !config.members_only && config.password().is_none();
            let banned = room.affiliation(ask.from.bare_str()) == Affiliation::Outcast;
            let shown = (open && !banned) || room.occupant_of(ask.from).is_some();
            let occupants = room.occupants().filter(|_| shown);
            let item = |jid: &Jid| DiscoItem { jid: jid.clone(), node: None, name: None };
            Ok(occupants.map(|occupant| item(&occupant.jid)).collect())
        });
        Ok(Some(DiscoItems { node: None, items: items.await? }.to_element()))
    }
}

fn reserved(room: &Room, who: &Jid) -> DiscoInfo {
    let nick = room.reserved_nick(who.bare_str());
    let identity = |nick| Identity::new("conference", "text", Some(nick));
    DiscoInfo { identities: nick.map(identity).into_iter().collect(), ..DiscoInfo::default() }
}

/// Section 6.4.
fn info(room: &mut Room, archive: bool, now: Timestamp) -> DiscoInfo {
    let per_hour = room.activity.per_hour(now);
    let config = &room.config;
    let either = |on, yes: &'static str, no: &'static str| if on { yes } else { no };
    let mut features = vec![
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::COMMANDS,
        ns::HATS,
        ns::MUC,
        ns::MESSAGE_MODERATE,
        ns::MUC_AFFILIATIONS,
        ns::OCCUPANT_ID,
        ns::PING,
        ns::REGISTER,
        ns::VCARD_TEMP,
        SELF_PING,
        STABLE_ID,
        either(config.public, "muc_public", "muc_hidden"),
        either(config.persistent, "muc_persistent", "muc_temporary"),
        either(config.members_only, "muc_membersonly", "muc_open"),
        either(config.moderated, "muc_moderated", "muc_unmoderated"),
        either(config.whois == Whois::Anyone, "muc_nonanonymous", "muc_semianonymous"),
        either(config.password().is_some(), "muc_passwordprotected", "muc_unsecured"),
    ];
    if config.forward_mentions {
        features.push(MENTION_NOTIFICATIONS);
    }
    if config.allow_voice_requests {
        features.push(REQUEST);
    }
    if archive && config.archive {
        features.extend([
            ns::MAM,
            ns::MAM_EXTENDED,
            ns::STANZA_ID,
            ns::RETRACT,
            ns::RETRACT_TOMBSTONE,
            ns::FULL_TEXT,
        ]);
    }
    features.sort_unstable();
    let name = if config.name.is_empty() { room.jid.local() } else { Some(config.name.as_str()) };
    DiscoInfo {
        identities: vec![Identity::new("conference", "text", name)],
        features: features.into_iter().map(str::to_owned).collect(),
        forms: vec![info_form(room, per_hour)],
        ..DiscoInfo::default()
    }
}

fn info_form(room: &Room, per_hour: f64) -> DataForm {
    let config = &room.config;
    let text = |name: &str, label: &str, value: String| {
        Field::text_single(format!("muc#{name}"), label).with_value(value)
    };
    let mut form = DataForm::typed(FormKind::Result, ROOM_INFO)
        .with(text("roominfo_description", "Description", config.description.clone()))
        .with(text("roominfo_occupants", "Number of occupants", room.occupant_count().to_string()))
        .with(text("maxhistoryfetch", "Most messages of the past", config.history.to_string()))
        .with(
            Field::boolean("muc#roominfo_subjectmod", "Participants may set the subject")
                .with_boolean(config.change_subject),
        )
        .with(text(
            "roominfo_slow_mode_duration",
            "Seconds between two messages",
            config.slow_mode.to_string(),
        ));
    if !config.lang.is_empty() {
        form = form.with(text("roominfo_lang", "Language", config.lang.clone()));
    }
    if let Some(subject) =
        room.subject().filter(|_| !config.members_only && config.password().is_none())
    {
        form = form.with(text("roominfo_subject", "Subject", subject));
    }
    if !config.pubsub.is_empty() {
        form = form.with(text("roominfo_pubsub", "Node of PubSub", config.pubsub.clone()));
    }
    if let Some(hash) = config.hats.hash() {
        let field = Field::text_single("hats#hash", "Hats hash");
        form = form.with(field.with_value(hash));
    }
    if !room.avatar.is_empty() {
        let field = Field::text_multi("muc#roominfo_avatarhash", "Avatar hash");
        form = form.with(field.with_values(room.avatar.iter().cloned()));
    }
    // XEP-0502, sections 3.1 and 8.
    let open = config.public && !config.members_only && config.password().is_none();
    if config.persistent && open {
        let field =
            Field::text_single("{urn:xmpp:muc-activity}message-activity", "Messages per hour");
        form = form.with(field.with_value(format!("{per_hour:.2}")));
    }
    form
}
