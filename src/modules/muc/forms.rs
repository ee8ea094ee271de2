//! The configuration of a room as a form (XEP-0045, sections 10.1.3, 10.2 and 15.5.3).

use std::collections::BTreeSet;

use wello_kernel::config;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::room::config::{AllowPm, Whois};
use super::room::{Affiliation, Config, REGISTER, Role, Room};

pub const CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";

/// What an owner submitted.
pub struct Submitted {
    pub config: Config,
    /// A new one, in clear.
    pub password: Option<String>,
    pub admins: Option<Vec<BareJid>>,
    pub owners: Option<Vec<BareJid>>,
}

/// Bytes of one text.
const MAX_TEXT: usize = 4096;

/// A new room, as the operator wants it.
pub fn defaults(config: &config::Config) -> Config {
    let rooms = &config.rooms;
    Config {
        persistent: rooms.persistent,
        public: rooms.public,
        history: rooms.default_history.min(rooms.history),
        archive: config.archive.enabled,
        ..Config::default()
    }
}

pub fn config_form(room: &Room) -> DataForm {
    let config = &room.config;
    let list = |affiliation| {
        room.with_affiliation(affiliation).map(|(jid, _)| jid.to_string()).collect::<Vec<_>>()
    };
    let text = |var: &str, label: &str, value: &str| {
        let field = Field::text_single(var_of(var), label);
        if value.is_empty() { field } else { field.with_value(value) }
    };
    let flag = |var: &str, label: &str, on| Field::boolean(var_of(var), label).with_boolean(on);
    DataForm::typed(FormKind::Form, CONFIG)
        .with_title(format!("Configuration of {}", room.jid))
        .with(text("roomname", "Name", &config.name))
        .with(text("roomdesc", "Description", &config.description))
        .with(text("lang", "Language", &config.lang))
        .with(flag("persistentroom", "Stays when nobody is in it", config.persistent))
        .with(flag("publicroom", "Shown in lists of rooms", config.public))
        .with(flag("membersonly", "Members only", config.members_only))
        .with(flag("allowinvites", "Members may invite", config.allow_invites))
        .with(flag("moderatedroom", "Only who is given voice may speak", config.moderated))
        .with(flag("allowvoicerequests", "Visitors may ask for voice", config.allow_voice_requests))
        .with(flag("allowregistration", "Users may register as members", config.allow_registration))
        .with(flag(
            "passwordprotectedroom",
            "A password is needed to enter",
            config.password_protected,
        ))
        .with(
            Field::text_private(var_of("roomsecret"), "Password")
                .with_desc("Nobody can read the present one; leave this empty to keep it"),
        )
        .with(whois(config))
        .with(flag("changesubject", "Participants may set the subject", config.change_subject))
        .with(allow_pm(config))
        .with(roles(
            "presencebroadcast",
            "Roles whose presence is told",
            &config.presence_broadcast,
        ))
        .with(roles("getmemberlist", "Roles that may see the list of members", &config.member_list))
        .with(number(
            "roomconfig_maxusers",
            "Most occupants",
            u32::try_from(room.capacity()).unwrap_or(u32::MAX),
        ))
        .with(number(
            "maxhistoryfetch",
            "Most messages of the past shown to who enters",
            config.history,
        ))
        .with(flag("enablearchiving", "Messages are kept", config.archive))
        .with(flag("enablelogging", "Everybody may read what is kept", config.public_log))
        .with(slow_mode(config))
        .with(flag(
            "forwardmentions",
            "Members who are not here get what mentions them",
            config.forward_mentions,
        ))
        .with(text("pubsub", "Node of PubSub that belongs to the room", &config.pubsub))
        .with(
            Field::jid_multi(var_of("roomadmins"), "Admins").with_values(list(Affiliation::Admin)),
        )
        .with(
            Field::jid_multi(var_of("roomowners"), "Owners").with_values(list(Affiliation::Owner)),
        )
}

fn var_of(name: &str) -> String {
    format!("muc#roomconfig_{name}")
}

fn number(var: &str, label: &str, value: u32) -> Field {
    Field::text_single(format!("muc#{var}"), label).with_value(value.to_string())
}

fn whois(config: &Config) -> Field {
    let value = match config.whois {
        Whois::Anyone => "anyone",
        Whois::Moderators => "moderators",
    };
    Field::list_single(var_of("whois"), "Who learns real addresses")
        .with_value(value)
        .with_option("Moderators", "moderators")
        .with_option("Anyone", "anyone")
}

const PRIVATE_MESSAGES: [(&str, &str, AllowPm); 4] = [
    ("Anyone", "anyone", AllowPm::Anyone),
    ("Who has voice", "participants", AllowPm::Participants),
    ("Moderators", "moderators", AllowPm::Moderators),
    ("Nobody", "none", AllowPm::None),
];

fn allow_pm(config: &Config) -> Field {
    let mut field = Field::list_single(var_of("allowpm"), "Who may send private messages");
    for (label, value, allowed) in PRIVATE_MESSAGES {
        field = field.with_option(label, value);
        if allowed == config.allow_pm {
            field = field.with_value(value);
        }
    }
    field
}

fn roles(var: &str, label: &str, chosen: &BTreeSet<Role>) -> Field {
    let mut field = Field::list_multi(var_of(var), label);
    field = field.with_values(chosen.iter().map(|role| role.name()));
    Role::ALL.into_iter().fold(field, |field, role| field.with_option(role.name(), role.name()))
}

/// XEP-0500, section 5.1.
fn slow_mode(config: &Config) -> Field {
    let range = Element::new("range", ns::DATA_VALIDATE).with_attr("min", "0");
    let validate = Element::new("validate", ns::DATA_VALIDATE)
        .with_attr("datatype", "xs:integer")
        .with_child(range);
    let mut field = number("roomconfig_slow_mode_duration", "Slow mode", config.slow_mode)
        .with_desc("Seconds between two messages of one occupant; 0: no limit");
    field.extensions.push(validate);
    field
}

/// What the room becomes by a form; fields that are missing change nothing.
pub fn submitted(
    room: &mut Room,
    form: &DataForm,
    limits: &config::Rooms,
) -> Result<Submitted, StanzaError> {
    if form.form_type().is_some_and(|type_| type_ != CONFIG) {
        return Err(StanzaError::bad_request("not a room's configuration"));
    }
    let mut config = room.config.clone();
    let reader = Reader { form };
    reader.text("roomname", &mut config.name)?;
    reader.text("roomdesc", &mut config.description)?;
    reader.text("lang", &mut config.lang)?;
    reader.text("pubsub", &mut config.pubsub)?;
    reader.flags(&mut config)?;
    reader.choices(&mut config)?;
    if let Some(history) = reader.number("muc#maxhistoryfetch")? {
        config.history = history.min(limits.history);
    }
    if let Some(seconds) = reader.number("muc#roomconfig_slow_mode_duration")? {
        config.slow_mode = seconds;
    }
    if let Some(max) = reader.number("muc#roomconfig_maxusers")? {
        config.max_users = max;
    }
    let password = form.value("muc#roomconfig_roomsecret").map(str::to_owned);
    if !config.password_protected {
        config.password_hash = None;
    }
    let password = password.filter(|_| config.password_protected);
    if config.password_protected && config.password_hash.is_none() && password.is_none() {
        return Err(StanzaError::not_acceptable("a password is missing"));
    }
    let (admins, owners) = (reader.jids("roomadmins")?, reader.jids("roomowners")?);
    if owners.as_ref().is_some_and(Vec::is_empty) {
        return Err(StanzaError::conflict("a room needs an owner"));
    }
    Ok(Submitted { config, password, admins, owners })
}

/// What no room can be.
pub fn check(config: &Config) -> Result<(), StanzaError> {
    if config.public_log && !config.archive {
        return Err(StanzaError::not_acceptable("what is not kept cannot be read"));
    }
    Ok(())
}

struct Reader<'a> {
    form: &'a DataForm,
}

impl Reader<'_> {
    fn text(&self, name: &str, value: &mut String) -> Result<(), StanzaError> {
        if let Some(text) = self.form.lines(&var_of(name)) {
            if text.len() > MAX_TEXT {
                return Err(StanzaError::not_acceptable("a text is too long"));
            }
            *value = text;
        }
        Ok(())
    }

    fn flags(&self, config: &mut Config) -> Result<(), StanzaError> {
        for (var, flag) in [
            ("muc#roomconfig_persistentroom", &mut config.persistent),
            ("muc#roomconfig_publicroom", &mut config.public),
            ("muc#roomconfig_membersonly", &mut config.members_only),
            ("muc#roomconfig_allowinvites", &mut config.allow_invites),
            ("muc#roomconfig_moderatedroom", &mut config.moderated),
            ("muc#roomconfig_allowvoicerequests", &mut config.allow_voice_requests),
            ("muc#roomconfig_allowregistration", &mut config.allow_registration),
            ("muc#roomconfig_passwordprotectedroom", &mut config.password_protected),
            ("muc#roomconfig_changesubject", &mut config.change_subject),
            ("muc#roomconfig_enablearchiving", &mut config.archive),
            ("muc#roomconfig_enablelogging", &mut config.public_log),
            ("muc#roomconfig_forwardmentions", &mut config.forward_mentions),
        ] {
            if let Some(on) = self.form.boolean(var)? {
                *flag = on;
            }
        }
        Ok(())
    }

    fn choices(&self, config: &mut Config) -> Result<(), StanzaError> {
        match self.form.value(&var_of("whois")) {
            Some("anyone") => config.whois = Whois::Anyone,
            Some("moderators") => config.whois = Whois::Moderators,
            Some(_) => return Err(bad("whois")),
            None => {}
        }
        if let Some(value) = self.form.value(&var_of("allowpm")) {
            let found = PRIVATE_MESSAGES.iter().find(|(_, name, _)| *name == value);
            config.allow_pm = found.ok_or_else(|| bad("allowpm"))?.2;
        }
        for (name, roles) in [
            ("presencebroadcast", &mut config.presence_broadcast),
            ("getmemberlist", &mut config.member_list),
        ] {
            let Some(field) = self.form.field(&var_of(name)) else { continue };
            let chosen = field.values.iter().filter(|value| !value.is_empty() && *value != "none");
            *roles = chosen
                .map(|value| Role::from_name(value).ok_or_else(|| bad(name)))
                .collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// An empty one, or "none", is no limit.
    fn number(&self, var: &str) -> Result<Option<u32>, StanzaError> {
        match self.form.field(var).map(|field| field.values.first()) {
            None => Ok(None),
            Some(None) => Ok(Some(0)),
            Some(Some(text)) if text.is_empty() || text == "none" => Ok(Some(0)),
            Some(Some(text)) => text.trim().parse().map(Some).map_err(|_| bad(var)),
        }
    }

    fn jids(&self, name: &str) -> Result<Option<Vec<BareJid>>, StanzaError> {
        let Some(field) = self.form.field(&var_of(name)) else { return Ok(None) };
        let values = field.values.iter().filter(|value| !value.is_empty());
        let jids = values.map(|value| Ok(value.parse::<Jid>()?.bare()));
        jids.collect::<Result<_, StanzaError>>().map(Some)
    }
}

fn bad(name: &str) -> StanzaError {
    StanzaError::bad_request(format!("{name} has a value that it cannot have"))
}

/// Section 7.10.
pub fn registration() -> DataForm {
    DataForm::typed(FormKind::Form, REGISTER)
        .with_title("Registration")
        .with_instructions("Choose the nickname that is to be yours in this room.")
        .with(Field::text_single("muc#register_roomnick", "Nickname").required())
}
