//! Puts rooms into the store that an import finds. A room that is here already stays as it is.

use anyhow::Context;
use bytes::Bytes;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_modules::rooms;
use wello_store::{DocumentKey, RoomAffiliation, StoredAffiliation, StoredRoom, Timestamp};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::DataForm;
use wello_wire::xml::Element;

use super::NS_ACCOUNT;
use super::importer::{Importer, readable};

/// Where the time of a subject is kept in its message.
const STAMP: &str = "stamp";
/// Versions of lists of affiliations begin here (XEP-0463).
const FIRST_VERSION: i64 = 1;

/// What was found of a room so far.
#[derive(Default)]
pub struct RoomParts {
    /// Microseconds since 1970; with the version it tells clients that their lists are up to date.
    pub created: Option<i64>,
    pub version: Option<i64>,
    /// As a Wello stores them; they say all that the form says, and more.
    pub settings: Option<String>,
    pub form: Option<DataForm>,
    pub subject: Option<Subject>,
    pub affiliations: Vec<RoomAffiliate>,
    /// A vCard.
    pub picture: Option<Element>,
}

/// The message that set it.
pub struct Subject {
    pub message: Element,
    pub at: Timestamp,
}

pub struct RoomAffiliate {
    pub jid: BareJid,
    pub affiliation: RoomAffiliation,
    /// The nickname that nobody else may use.
    pub nick: Option<String>,
}

impl Subject {
    /// `from` is the address of the occupant who set it.
    pub fn new(from: &str, text: &str, at: Timestamp) -> Subject {
        let message = Element::new("message", ns::CLIENT)
            .with_attr("from", from)
            .with_attr("type", "groupchat")
            .with_child(Element::new("subject", ns::CLIENT).with_text(text));
        Subject { message, at }
    }

    /// Out of the store.
    fn parse(stored: &[u8]) -> Option<Subject> {
        let mut message: Element = str::from_utf8(stored).ok()?.parse().ok()?;
        let at = message.attr(STAMP)?.parse().ok()?;
        message.remove_attr(STAMP);
        Some(Subject { message, at })
    }

    /// For the store.
    fn to_bytes(&self) -> Option<Bytes> {
        let stamped = self.message.clone().with_attr(STAMP, self.at.to_string());
        readable(stamped.to_string().into_bytes())
    }
}

impl RoomAffiliate {
    /// `None` when one of them is not what it should be.
    pub fn parse(jid: &str, affiliation: &str, nick: Option<&str>) -> Option<RoomAffiliate> {
        Some(RoomAffiliate {
            jid: jid.parse::<Jid>().ok()?.bare(),
            affiliation: affiliation.parse().ok()?,
            nick: nick.filter(|nick| !nick.is_empty()).map(str::to_owned),
        })
    }
}

impl Importer<'_> {
    /// Begins a room; `false` when it cannot be one here. Rooms are at `conference.HOST` here, wherever
    /// below the host they were.
    pub fn begin_room(&mut self, name: &str, service: &str) -> bool {
        let Some(host) = self.host_of(service) else {
            self.skip(format!("rooms of {service}, which is below no host of the configuration"));
            return false;
        };
        let Ok(jid) = BareJid::from_parts(Some(name), &rooms::domain(host)) else {
            self.skip("rooms whose name is not allowed");
            return false;
        };
        self.begin_room_at(jid);
        true
    }

    /// The host that a service is below of; of several the nearest one.
    pub fn host_of(&self, service: &str) -> Option<&str> {
        let below =
            |host: &&str| service.strip_suffix(*host).is_some_and(|label| label.ends_with('.'));
        self.config.domains().into_iter().filter(below).max_by_key(|host| host.len())
    }

    pub(super) async fn create_room(
        &mut self,
        jid: &BareJid,
        parts: RoomParts,
    ) -> anyhow::Result<()> {
        if self.store.rooms.load(jid.as_str()).await?.is_some() {
            self.counts.known_rooms += 1;
            return Ok(());
        }
        let Some(row) = self.room_row(jid, &parts).await else { return Ok(()) };
        self.counts.rooms += 1;
        if self.dry_run {
            return Ok(());
        }
        let version = row.version;
        let affiliations = parts.affiliations.into_iter().map(|one| StoredAffiliation {
            jid: one.jid.to_string(),
            affiliation: one.affiliation,
            nick: one.nick,
            version,
        });
        self.store.rooms.create(&row, &affiliations.collect::<Vec<_>>()).await?;
        if let Some(card) = parts.picture.and_then(|card| readable(card.to_string().into_bytes())) {
            self.store.documents.set(jid.as_str(), &DocumentKey::VCardTemp, &card).await?;
        }
        Ok(())
    }

    /// `None`, and counted, when the room cannot be made.
    async fn room_row(&mut self, jid: &BareJid, parts: &RoomParts) -> Option<StoredRoom> {
        let created = parts.created.unwrap_or_else(|| Clock::System.now().as_micros());
        let row = match &parts.settings {
            Some(settings) => rooms::from_settings(jid.clone(), created, settings, self.config)
                .context("its settings cannot be read"),
            None => {
                let unchanged = rooms::unchanged();
                let form = parts.form.as_ref().unwrap_or(&unchanged);
                let hash = self.password_hash(form).await;
                rooms::from_form(jid.clone(), created, form, hash, self.config)
                    .map_err(|error| anyhow::anyhow!("{error}"))
            }
        };
        let row = self.read(row.with_context(|| jid.to_string()))?;
        let subject = parts.subject.as_ref().and_then(Subject::to_bytes);
        Some(StoredRoom { subject, version: parts.version.unwrap_or(FIRST_VERSION), ..row })
    }

    async fn password_hash(&self, form: &DataForm) -> Option<String> {
        let password =
            form.value("muc#roomconfig_roomsecret").filter(|secret| !secret.is_empty())?;
        self.passwords.hash(password).await
    }
}

/// A piece of a `<room/>`.
pub fn import_part(importer: &mut Importer<'_>, part: &Element) {
    let affiliate = || {
        let (jid, affiliation) = (part.attr("jid")?, part.attr("affiliation")?);
        RoomAffiliate::parse(jid, affiliation, part.attr("nick"))
    };
    let subject = || {
        let message = part.child("message", ns::CLIENT)?.clone();
        Some(Subject { message, at: part.attr(STAMP)?.parse().ok()? })
    };
    let Some(room) = importer.room() else { return };
    let understood = match (part.name(), part.ns()) {
        ("affiliation", NS_ACCOUNT) => affiliate().map(|one| room.affiliations.push(one)),
        ("subject", NS_ACCOUNT) => subject().map(|subject| room.subject = Some(subject)),
        ("settings", NS_ACCOUNT) => {
            room.settings = Some(part.text().into_owned());
            Some(())
        }
        ("x", ns::DATA_FORM) => DataForm::parse(part).ok().map(|form| room.form = Some(form)),
        ("vCard", ns::VCARD_TEMP) => {
            room.picture = Some(part.clone());
            Some(())
        }
        _ => None,
    };
    if understood.is_none() {
        importer.skip(format!("<{}/> of a room", part.name()));
    }
}

/// What a file says of a room before its archive.
pub fn parts_of(
    config: &Config,
    room: &StoredRoom,
    affiliations: &[StoredAffiliation],
) -> Vec<Element> {
    let own = |name: &str| Element::new(name.to_owned(), NS_ACCOUNT);
    let mut parts = vec![own("settings").with_text(room.settings.as_str())];
    parts.extend(rooms::form(room, config).map(|form| form.to_element()));
    if let Some(subject) = room.subject.as_deref().and_then(Subject::parse) {
        let stamp = subject.at.to_string();
        parts.push(own("subject").with_attr(STAMP, stamp).with_child(subject.message));
    }
    // Those who lost theirs are of use to nobody but who knew the room where it was.
    let held = affiliations.iter().filter(|one| one.affiliation != RoomAffiliation::None);
    parts.extend(held.map(|one| {
        own("affiliation")
            .with_attr("jid", one.jid.as_str())
            .with_attr("affiliation", one.affiliation.as_str())
            .with_attr_opt("nick", one.nick.as_deref())
    }));
    parts
}
