//! One account of Prosody with all that belongs to it.

use std::collections::BTreeSet;

use wello_store::{
    AccountStatus, ArchiveDefault, ArchivePrefs, DocumentKey, Role, RosterItem, ScramKeys,
    Subscription,
};
use wello_stream::sasl::ScramHash;
use wello_wire::hex;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::lua::{Table, Value};
use super::stanza::element;
use super::{Host, nodes, timestamp};
use crate::transfer::importer::Importer;

pub async fn import(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    user: &str,
    stores: &BTreeSet<String>,
) -> anyhow::Result<()> {
    if !importer.begin(user, host.name) {
        return Ok(());
    }
    if let Some(stored) = host.table(importer, Some(user), "accounts").await {
        credentials(importer, &stored);
    }
    role(importer, host, user).await;
    if let Some(stored) = host.table(importer, Some(user), "roster").await {
        roster(importer, &stored).await?;
    }
    let card = host.table(importer, Some(user), "vcard").await;
    if let Some(card) = card.and_then(|card| element(&card, ns::VCARD_TEMP)) {
        importer.document(DocumentKey::VCardTemp, &card).await?;
    }
    if let Some(stored) = host.table(importer, Some(user), "private").await {
        private(importer, &stored).await?;
    }
    if let Some(stored) = host.table(importer, Some(user), "blocklist").await {
        importer.block(stored.named().map(|(jid, _)| jid)).await?;
    }
    if let Some(stored) = host.table(importer, Some(user), "pep").await {
        nodes::import(importer, host, user, &stored).await?;
    }
    if let Some(stored) = host.table(importer, Some(user), "archive_prefs").await {
        importer.preferences(&preferences(&stored)).await?;
    }
    for store in ["archive2", "archive", "offline"] {
        if stores.contains(store) {
            messages(importer, host, user, store).await?;
        }
    }
    importer.end().await
}

/// `mod_auth_internal_plain` keeps the password, `mod_auth_internal_hashed` keys in hexadecimal.
fn credentials(importer: &mut Importer<'_>, stored: &Table) {
    let is_off = stored.get("disabled") == Some(&Value::Boolean(true));
    importer.profile(|profile| {
        profile.status = if is_off { AccountStatus::Inactive } else { AccountStatus::Active };
        profile.created = stored.number("created").map(timestamp);
    });
    if let Some(password) = stored.text("password") {
        importer.password(password);
    } else if stored.get("stored_key").is_some() {
        match scram(stored) {
            Some(keys) => importer.scram(keys),
            None => importer.skip("SCRAM keys that no client could use"),
        }
    }
}

/// Which hash it is, Prosody knows from its configuration; the length of the keys tells it, too.
fn scram(stored: &Table) -> Option<ScramKeys> {
    let stored_key = hex::decode(stored.text("stored_key")?)?;
    let hash = ScramHash::ALL.into_iter().find(|hash| hash.output_len() == stored_key.len())?;
    Some(ScramKeys {
        mechanism: hash.mechanism_name().to_owned(),
        salt: stored.text("salt")?.as_bytes().to_vec(),
        iterations: whole(stored.number("iteration_count")?)?,
        server_key: hex::decode(stored.text("server_key")?)?,
        stored_key,
    })
}

fn whole(number: f64) -> Option<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    fits.then_some(number as u32)
}

/// Roles that were given by a command; those of the configuration file Prosody does not store.
async fn role(importer: &mut Importer<'_>, host: &Host<'_>, user: &str) {
    const ADMIN: [&str; 2] = ["prosody:admin", "prosody:operator"];
    // Up to 0.12, and after it.
    let several = host.table(importer, Some(user), "roles").await.unwrap_or_default();
    let one = host.table(importer, Some(user), "account_roles").await.unwrap_or_default();
    let is_admin = ADMIN.iter().any(|role| {
        several.get(role) == Some(&Value::Boolean(true)) || one.text("_default") == Some(role)
    });
    if is_admin {
        importer.profile(|profile| profile.role = Role::Admin);
    }
}

async fn roster(importer: &mut Importer<'_>, stored: &Table) -> anyhow::Result<()> {
    for (jid, item) in stored.named() {
        // Versions before 0.9 keep the requests among the contacts.
        let Some(item) = item.table().filter(|_| jid != "pending") else { continue };
        match contact(jid, item) {
            Some(item) => importer.contact(item).await?,
            None => importer.skip("contacts that cannot be read"),
        }
    }
    let pending = stored.about().and_then(|about| about.get("pending"));
    let pending = pending.or_else(|| stored.get("pending")).and_then(Value::table);
    for (jid, request) in pending.into_iter().flat_map(Table::named) {
        let known = request.table().and_then(|stanza| element(stanza, ns::CLIENT));
        let bare = || Element::new("presence", ns::CLIENT).with_attr("type", "subscribe");
        let presence = known.unwrap_or_else(bare).with_attr("from", jid);
        importer.request(presence).await?;
    }
    Ok(())
}

fn contact(jid: &str, item: &Table) -> Option<RosterItem> {
    let groups = item.get("groups").and_then(Value::table);
    Some(RosterItem {
        jid: jid.parse::<BareJid>().ok()?.to_string(),
        name: item.text("name").filter(|name| !name.is_empty()).map(str::to_owned),
        groups: groups.into_iter().flat_map(Table::named).map(|(name, _)| name.into()).collect(),
        subscription: match item.text("subscription") {
            Some("to") => Subscription::To,
            Some("from") => Subscription::From,
            Some("both") => Subscription::Both,
            _ => Subscription::None,
        },
        ask: item.text("ask") == Some("subscribe"),
        approved: item.get("approved") == Some(&Value::Boolean(true)),
    })
}

async fn private(importer: &mut Importer<'_>, stored: &Table) -> anyhow::Result<()> {
    for (_, stanza) in stored.named() {
        let Some(xml) = stanza.table().and_then(|stanza| element(stanza, "")) else {
            importer.skip("private documents that cannot be read");
            continue;
        };
        let (namespace, name) = (xml.ns().to_owned(), xml.name().to_owned());
        importer.document(DocumentKey::Private { namespace, name }, &xml).await?;
    }
    Ok(())
}

/// `mamprefs`: under `false` what holds for all others.
fn preferences(stored: &Table) -> ArchivePrefs {
    let default = stored.0.iter().find(|(key, _)| *key == Value::Boolean(false));
    let listed = |wanted: bool| {
        let those = stored.named().filter(|(_, value)| **value == Value::Boolean(wanted));
        those.map(|(jid, _)| jid.to_owned()).collect()
    };
    ArchivePrefs {
        default: match default.map(|(_, value)| value) {
            Some(Value::Boolean(false)) => ArchiveDefault::Never,
            Some(Value::Text(text)) if text == "roster" => ArchiveDefault::Roster,
            _ => ArchiveDefault::Always,
        },
        always: listed(true),
        never: listed(false),
    }
}

/// Archived or offline messages.
async fn messages(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    user: &str,
    store: &str,
) -> anyhow::Result<()> {
    let mut messages = host.messages(importer, user, store);
    while let Some((message, when)) = messages.next(importer).await {
        match store {
            "offline" => importer.offline(message, when).await?,
            _ => importer.archived(message, when, None).await?,
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
    fn the_length_of_the_keys_tells_the_hash() {
        let keys = |length: usize| {
            let key = "ab".repeat(length);
            table(&format!(
                "return {{ stored_key = '{key}', server_key = '{key}', salt = 's', \
                 iteration_count = 10000 }}"
            ))
        };
        assert_eq!(scram(&keys(20)).unwrap().mechanism, "SCRAM-SHA-1");
        assert_eq!(scram(&keys(32)).unwrap().mechanism, "SCRAM-SHA-256");
        assert!(scram(&keys(21)).is_none());
    }

    #[test]
    fn preferences_say_always_and_never() {
        let prefs = preferences(&table("return { [false] = 'roster', ['a@b'] = true, c = false }"));
        assert_eq!(prefs.default, ArchiveDefault::Roster);
        assert_eq!((prefs.always, prefs.never), (vec!["a@b".to_owned()], vec!["c".to_owned()]));
        assert_eq!(
            preferences(&table("return { [false] = false }")).default,
            ArchiveDefault::Never
        );
        assert_eq!(preferences(&table("return {}")).default, ArchiveDefault::Always);
    }
}
