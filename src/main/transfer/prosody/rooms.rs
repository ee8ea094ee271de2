//! Rooms of Prosody (mod_muc) with their archives (mod_muc_mam).

use wello_kernel::clock::Clock;
use wello_modules::rooms::unchanged;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field};

use super::lua::{Table, Value};
use super::stanza::element;
use super::{Host, timestamp};
use crate::transfer::importer::Importer;
use crate::transfer::rooms::{RoomAffiliate, Subject};

/// Texts of a room, by what Prosody and XEP-0045 call them.
const TEXTS: [(&str, &str); 4] =
    [("name", "roomname"), ("description", "roomdesc"), ("language", "lang"), ("whois", "whois")];
/// What is on or off; off without a word.
const FLAGS: [(&str, &str); 4] = [
    ("members_only", "membersonly"),
    ("allow_member_invites", "allowinvites"),
    ("moderated", "moderatedroom"),
    ("changesubject", "changesubject"),
];

pub async fn import(importer: &mut Importer<'_>, host: &Host<'_>) -> anyhow::Result<()> {
    for name in host.users(importer, "config").await {
        let Some(stored) = host.table(importer, Some(&name), "config").await else { continue };
        let data = stored.get("_data").and_then(Value::table).cloned().unwrap_or_default();
        // Others are here because somebody was in them when the server stopped.
        if data.get("persistent") != Some(&Value::Boolean(true)) {
            continue;
        }
        if !importer.begin_room(&name, host.name) {
            continue;
        }
        describe(importer, &stored, &data)?;
        let card = host.table(importer, Some(&name), "vcard_muc").await;
        if let Some(room) = importer.room() {
            room.picture = card.and_then(|card| element(&card, ns::VCARD_TEMP));
        }
        archive(importer, host, &name).await?;
        importer.end().await?;
    }
    Ok(())
}

fn describe(importer: &mut Importer<'_>, stored: &Table, data: &Table) -> anyhow::Result<()> {
    let jid = importer.jid()?;
    let (affiliates, unreadable) = affiliates(stored);
    if let Some(room) = importer.room() {
        room.form = Some(form(data));
        room.subject = subject(data, &jid);
        room.affiliations = affiliates;
    }
    for _ in 0..unreadable {
        importer.skip("affiliations that cannot be read");
    }
    Ok(())
}

fn form(data: &Table) -> DataForm {
    let field = |name: &str| Field::untyped(format!("muc#roomconfig_{name}"));
    let is_set = |name: &str| data.get(name) == Some(&Value::Boolean(true));
    let mut form = unchanged().with(field("publicroom").with_boolean(!is_set("hidden")));
    for (theirs, ours) in TEXTS {
        if let Some(text) = data.text(theirs) {
            form = form.with(field(ours).with_value(text));
        }
    }
    for (theirs, ours) in FLAGS {
        form = form.with(field(ours).with_boolean(is_set(theirs)));
    }
    if let Some(Value::Boolean(archiving)) = data.get("archiving") {
        form = form.with(field("enablearchiving").with_boolean(*archiving));
    }
    if let Some(length) = data.number("history_length").filter(|length| *length >= 0.0) {
        let length = format!("{:.0}", length.floor());
        form = form.with(Field::untyped("muc#maxhistoryfetch").with_value(length));
    }
    if let Some(password) = data.text("password").filter(|password| !password.is_empty()) {
        form = form.with(field("passwordprotectedroom").with_boolean(true));
        form = form.with(field("roomsecret").with_value(password));
    }
    if let Some(roles) = data.get("presence_broadcast").and_then(Value::table) {
        let told = roles.named().filter(|(_, told)| **told == Value::Boolean(true));
        form = form.with(field("presencebroadcast").with_values(told.map(|(role, _)| role)));
    }
    form
}

/// `room` is the address of the room here.
fn subject(data: &Table, room: &str) -> Option<Subject> {
    let text = data.text("subject").filter(|text| !text.is_empty())?;
    let from: Option<Jid> = data.text("subject_from").and_then(|from| from.parse().ok());
    let from = match from.as_ref().and_then(|from| from.resource()) {
        Some(nick) => format!("{room}/{nick}"),
        None => room.to_owned(),
    };
    let at = data.number("subject_time").map(timestamp);
    Some(Subject::new(&from, text, at.unwrap_or_else(|| Clock::System.now())))
}

/// With how many could not be read. Versions before 0.11 keep them in a table of their own.
fn affiliates(stored: &Table) -> (Vec<RoomAffiliate>, usize) {
    let data = stored.get("_affiliation_data").and_then(Value::table);
    let own = stored.get("_affiliations").and_then(Value::table).unwrap_or(stored);
    let given = own.named().filter(|(jid, _)| !jid.starts_with('_') && *jid != "jid");
    let given = given.filter_map(|(jid, affiliation)| Some((jid, affiliation.text()?)));
    let read = given.map(|(jid, affiliation)| {
        let data = data.and_then(|data| data.get(jid)).and_then(Value::table);
        let nick = data.and_then(|data| data.text("reserved_nickname"));
        RoomAffiliate::parse(jid, affiliation, nick)
    });
    let read: Vec<_> = read.collect();
    let all = read.len();
    let understood: Vec<_> = read.into_iter().flatten().collect();
    let unreadable = all - understood.len();
    (understood, unreadable)
}

async fn archive(importer: &mut Importer<'_>, host: &Host<'_>, name: &str) -> anyhow::Result<()> {
    let mut messages = host.messages(importer, name, "muc_log");
    while let Some((message, when)) = messages.next(importer).await {
        // Some keep presence in it, too.
        if message.name() == "message" {
            importer.archived(message, when, None).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::lua;
    use super::*;

    fn table(text: &str) -> Table {
        lua::parse_return(text.as_bytes()).unwrap().table().unwrap().clone()
    }

    #[test]
    fn settings_become_a_form() {
        let form = form(&table(
            "return { name = 'Tea', hidden = true, whois = 'anyone', history_length = 7, \
             password = 'x', presence_broadcast = { visitor = false, moderator = true } }",
        ));
        for (field, value) in [
            ("roomname", "Tea"),
            ("publicroom", "0"),
            ("whois", "anyone"),
            ("membersonly", "0"),
            ("passwordprotectedroom", "1"),
            ("presencebroadcast", "moderator"),
        ] {
            let values = form.values(&format!("muc#roomconfig_{field}"));
            let is_on = |value: &str| matches!(value, "1" | "true");
            let same = values[0] == value || is_on(&values[0]) == is_on(value) && value.len() == 1;
            assert!(same, "{field}: {values:?}");
        }
        assert_eq!(form.value("muc#maxhistoryfetch"), Some("7"));
    }

    #[test]
    fn affiliations_are_found_in_old_and_new_files() {
        let new = "return { _jid = 'r@c', ['a@b'] = 'owner', ['c@d'] = 'outcast', ['e@f'] = 'king', \
                   _affiliation_data = { ['a@b'] = { reserved_nickname = 'A' } } }";
        let (found, unreadable) = affiliates(&table(new));
        assert_eq!((found.len(), unreadable), (2, 1));
        assert_eq!(found[0].nick.as_deref(), Some("A"));
        let old = "return { jid = 'r@c', _affiliations = { ['a@b'] = 'owner' }, _data = {} }";
        assert_eq!(affiliates(&table(old)).0.len(), 1);
    }
}
