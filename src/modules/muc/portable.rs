//! Rooms on their way from other servers and to them.

use wello_kernel::config;
use wello_store::StoredRoom;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};

use super::forms;
use super::room::{Config, Room};

/// Rooms at rest have no occupants whose ids it would make.
const NO_SECRET: [u8; 32] = [0; 32];

/// Where the rooms of a host are.
pub fn domain(host: &str) -> String {
    format!("{}.{host}", super::LABEL)
}

/// The configuration of a room as other servers know such (XEP-0045, section 16.5.3); no form can
/// say a password of which there is only a hash. `None` when the room's settings cannot be read.
pub fn form(room: &StoredRoom, config: &config::Config) -> Option<DataForm> {
    const LISTS: [&str; 2] = ["muc#roomconfig_roomadmins", "muc#roomconfig_roomowners"];
    let room = Room::restore(room, Vec::new(), config.rooms.clone(), NO_SECRET)?;
    let fields = forms::config_form(&room).fields.into_iter();
    let named = fields.filter_map(|field| Some((field.var?, field.values)));
    let said = named.filter(|(var, values)| {
        !values.is_empty() && var != "FORM_TYPE" && !LISTS.contains(&var.as_str())
    });
    Some(said.fold(unchanged(), |form, (var, values)| {
        form.with(Field::untyped(var).with_values(values))
    }))
}

/// The form that says nothing, to which fields may be added.
pub fn unchanged() -> DataForm {
    DataForm::typed(FormKind::Submit, forms::CONFIG)
}

/// A persistent room that a form describes, whose password has this hash.
pub fn from_form(
    jid: BareJid,
    created: i64,
    form: &DataForm,
    password_hash: Option<String>,
    config: &config::Config,
) -> Result<StoredRoom, StanzaError> {
    let defaults = forms::defaults(config);
    let mut room = Room::new(jid, created, defaults, config.rooms.clone(), NO_SECRET);
    let submitted = forms::submitted(&mut room, form, &config.rooms)?;
    room.config = Config { persistent: true, password_hash, ..submitted.config };
    forms::check(&room.config)?;
    Ok(room.row())
}

/// A persistent room of the settings that a Wello stored.
pub fn from_settings(
    jid: BareJid,
    created: i64,
    settings: &str,
    config: &config::Config,
) -> Option<StoredRoom> {
    let settings: Config = serde_json::from_str(settings).ok()?;
    let settings = Config { persistent: true, ..settings };
    Some(Room::new(jid, created, settings, config.rooms.clone(), NO_SECRET).row())
}
