//! Imports what `ejabberdctl dump` writes: a term that names the tables with their fields, then each record of
//! each table as a term.

use std::collections::BTreeMap;
use std::path::Path;

use wello_store::{ArchivePrefs, DocumentKey, Timestamp};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::account::{Ask, Contact, Rule, Subscription, privacy};
use super::overview::{Focus, Overview, number};
use super::records::{Dump, Name, Record};
use super::terms::Term;
use super::xml::{element, stanza};
use super::{address, addresses, check_hosts, nodes, rooms, scram_keys};
use crate::transfer::eventing::{self, Item};
use crate::transfer::importer::Importer;
use crate::transfer::xep0227;

/// Tables of which the first look has taken all, and those with nothing that anybody would miss.
const TRANSIENT: [&str; 16] = [
    "acl",
    "caps_features",
    "ejabberd_commands",
    "http_bind",
    "irc_custom",
    "last_activity",
    "oauth_client",
    "oauth_token",
    "pubsub_index",
    "pubsub_last_item",
    "pubsub_orphan",
    "pubsub_state",
    "roster_version",
    "sr_group",
    "sr_user",
    "vcard_search",
];

/// Payloads of items by their node, time and id, as the newest one of a node has to come last.
type Items = BTreeMap<(String, Timestamp, String), Published>;

struct Published {
    by: Option<String>,
    payload: Option<Element>,
}

pub async fn import(importer: &mut Importer<'_>, path: &Path) -> anyhow::Result<()> {
    let mut overview = Overview::read(importer, path)?;
    check_hosts(importer, overview.accounts.keys().map(|(_, domain)| domain.as_str()))?;
    overview.settle_groups(importer);
    let mut items = Items::new();
    let mut dump = Dump::open(path)?;
    let mut focus = None;
    while let Some(read) = dump.next() {
        // What is broken was told by the first look.
        let Ok((table, values)) = read else { continue };
        let names = dump.names(&table);
        let record = Record { table: &table, names, values: &values };
        take(importer, &overview, &record, &mut focus, &mut items).await?;
    }
    importer.leave().await?;
    publish(importer, &overview, items).await?;
    for (name, password) in &overview.accounts {
        account(importer, &overview, name, password).await?;
    }
    Ok(())
}

/// Lets what follows be of this owner; `false` when it is not wanted.
async fn focus_on(
    importer: &mut Importer<'_>,
    overview: &Overview,
    focus: &mut Option<(Focus, bool)>,
    wanted: Focus,
) -> anyhow::Result<bool> {
    if let Some((_, is_wanted)) = focus.as_ref().filter(|(now, _)| *now == wanted) {
        return Ok(*is_wanted);
    }
    importer.leave().await?;
    let is_wanted = match &wanted {
        Focus::Account(name) => {
            overview.accounts.contains_key(name) && importer.begin(&name.0, &name.1)
        }
        Focus::Room(name) => overview.rooms.contains(name) && importer.begin_room(&name.0, &name.1),
        Focus::Service(service) => importer.begin_service(service),
    };
    *focus = Some((wanted, is_wanted));
    Ok(is_wanted)
}

async fn take(
    importer: &mut Importer<'_>,
    overview: &Overview,
    record: &Record<'_>,
    focus: &mut Option<(Focus, bool)>,
    items: &mut Items,
) -> anyhow::Result<()> {
    let key = match record.table {
        "passwd" => return Ok(()),
        "muc_room" => {
            importer.leave().await?;
            *focus = None;
            return room(importer, record).await;
        }
        "pubsub_item" => {
            items.extend(item(overview, record));
            return Ok(());
        }
        "pubsub_node" => return configure(importer, overview, focus, record).await,
        "private_storage" => "usns",
        "archive_msg" | "archive_prefs" | "offline_msg" | "privacy" | "roster" | "vcard" => "us",
        table => {
            if !TRANSIENT.contains(&table) {
                importer.skip(format!("records of ejabberd's {table}"));
            }
            return Ok(());
        }
    };
    let Some(owner) = record.owner(key) else {
        importer.skip(format!("records of ejabberd's {} that cannot be read", record.table));
        return Ok(());
    };
    let is_of_room = record.table == "archive_msg" && record.atom("type") == Some("groupchat");
    let wanted = if is_of_room { Focus::Room(owner) } else { Focus::Account(owner) };
    if focus_on(importer, overview, focus, wanted).await? {
        let taken = part(importer, record).await?;
        if taken.is_none() {
            importer.skip(format!("records of ejabberd's {} that cannot be read", record.table));
        }
    }
    Ok(())
}

/// Something of an account or a room's archive; `None` when it cannot be read.
async fn part(importer: &mut Importer<'_>, record: &Record<'_>) -> anyhow::Result<Option<()>> {
    match record.table {
        "roster" => {
            let Some(contact) = contact(record) else { return Ok(None) };
            for part in contact.to_elements() {
                xep0227::part(importer, &part).await?;
            }
        }
        "privacy" => {
            let Some(rules) = rules(record) else { return Ok(None) };
            xep0227::part(importer, &privacy(&rules)).await?;
        }
        "archive_prefs" => {
            let Some(prefs) = preferences(record) else { return Ok(None) };
            importer.preferences(&prefs).await?;
        }
        "vcard" | "private_storage" => {
            let Some((key, document)) = document(record) else { return Ok(None) };
            importer.document(key, &document).await?;
        }
        _ => {
            let Some((message, time)) = timed(record) else { return Ok(None) };
            match record.table {
                "offline_msg" => importer.offline(message, time).await?,
                _ => archived(importer, record, message, time).await?,
            }
        }
    }
    Ok(Some(()))
}

fn document(record: &Record<'_>) -> Option<(DocumentKey, Element)> {
    if record.table == "vcard" {
        return Some((DocumentKey::VCardTemp, element(record.get("vcard")?, "")?));
    }
    let xml = element(record.get("xml")?, "")?;
    let (namespace, name) = (xml.ns().to_owned(), xml.name().to_owned());
    Some((DocumentKey::Private { namespace, name }, xml))
}

fn preferences(record: &Record<'_>) -> Option<ArchivePrefs> {
    let listed = |name| record.get(name).map(addresses).unwrap_or_default();
    let default = record.atom("default")?.parse().ok()?;
    Some(ArchivePrefs { default, always: listed("always"), never: listed("never") })
}

async fn archived(
    importer: &mut Importer<'_>,
    record: &Record<'_>,
    message: Element,
    time: Timestamp,
) -> anyhow::Result<()> {
    let message = match importer.room().is_some() {
        true => {
            let nick = record.text("nick").unwrap_or_default();
            rooms::said(message, &importer.jid()?, nick)
        }
        false => message,
    };
    importer.archived(message, time, None).await
}

fn contact<'r>(record: &'r Record<'_>) -> Option<Contact<'r>> {
    let groups = record.get("groups").and_then(Term::list).unwrap_or_default();
    Some(Contact {
        jid: address(record.get("jid")?)?,
        name: record.text("name").unwrap_or_default(),
        subscription: Subscription::parse(record.atom("subscription")?),
        ask: Ask::parse(record.atom("ask")?),
        message: record.text("askmessage").unwrap_or_default(),
        groups: groups.iter().filter_map(Term::text).collect(),
    })
}

/// The rules of the default list; none without one.
fn rules(record: &Record<'_>) -> Option<Vec<Rule>> {
    let Some(default) = record.text("default") else { return Some(Vec::new()) };
    let lists = record.get("lists")?.list()?;
    let list = lists.iter().find_map(|list| match list.tuple()? {
        [name, items] if name.text() == Some(default) => items.list(),
        _ => None,
    });
    list.unwrap_or_default().iter().map(rule).collect()
}

/// `{listitem, Type, Value, Action, Order, MatchAll, …}`.
fn rule(item: &Term) -> Option<Rule> {
    let [_, kind, value, action, _, match_all, ..] = item.tuple()? else { return None };
    let (kind, value) = match kind.atom()? {
        "jid" => (Some("jid"), address(value)?),
        "group" => (Some("group"), value.text()?.to_owned()),
        "subscription" => (Some("subscription"), value.atom()?.to_owned()),
        _ => (None, String::new()),
    };
    let denies = action.atom() == Some("deny");
    Some(Rule { kind, value, denies, is_general: match_all.boolean()? })
}

fn timed(record: &Record<'_>) -> Option<(Element, Timestamp)> {
    Some((stanza(record.get("packet")?)?, moment(record.get("timestamp")?)?))
}

/// `{MegaSeconds, Seconds, MicroSeconds}`.
fn moment(term: &Term) -> Option<Timestamp> {
    let [mega, seconds, micros] = term.tuple()? else { return None };
    let seconds = mega.integer()?.checked_mul(1_000_000)?.checked_add(seconds.integer()?)?;
    Some(Timestamp::from_secs(seconds).plus_micros(micros.integer()?))
}

async fn room(importer: &mut Importer<'_>, record: &Record<'_>) -> anyhow::Result<()> {
    match record.owner("name_host").zip(record.get("opts")) {
        Some(((name, service), options)) => rooms::import(importer, &name, &service, options).await,
        None => {
            importer.skip("rooms whose settings cannot be read");
            Ok(())
        }
    }
}

async fn configure(
    importer: &mut Importer<'_>,
    overview: &Overview,
    focus: &mut Option<(Focus, bool)>,
    record: &Record<'_>,
) -> anyhow::Result<()> {
    let id = record.get("id").map(number).unwrap_or_default();
    let Some((place, name)) = overview.nodes.get(&id) else {
        importer.skip("nodes that cannot be read");
        return Ok(());
    };
    if focus_on(importer, overview, focus, place.clone()).await? {
        let options = record.get("options").and_then(Term::list).unwrap_or_default();
        let options = options.iter().filter_map(option);
        let states = overview.states.get(&id).map(Vec::as_slice).unwrap_or_default();
        eventing::import_nodes(importer, &nodes::owned(name, options, states)).await?;
    }
    Ok(())
}

/// `{access_model, open}` and the like.
fn option(term: &Term) -> Option<(String, String)> {
    let [name, value] = term.tuple()? else { return None };
    let value = match value {
        Term::Atom(atom) if atom == "undefined" || atom == "infinity" => return None,
        Term::Atom(atom) => atom.clone(),
        Term::Integer(number) => number.to_string(),
        Term::Binary(_) => value.text()?.to_owned(),
        _ => return None,
    };
    Some((name.atom()?.to_owned(), value))
}

fn item(
    overview: &Overview,
    record: &Record<'_>,
) -> Option<((String, Timestamp, String), Published)> {
    let node = number(record.get("nodeidx")?);
    overview.nodes.get(&node)?;
    let id = record.get("itemid")?.tuple()?.first()?.text()?.to_owned();
    let [first, second, ..] = record.get("modification")?.tuple()? else { return None };
    // In 17.x the address came first.
    let (time, by) = match moment(first) {
        Some(time) => (time, address(second)),
        None => (moment(second)?, address(first)),
    };
    let payload = record.get("payload")?.list()?.first().and_then(|xml| element(xml, ns::PUBSUB));
    Some(((node, time, id), Published { by, payload }))
}

async fn publish(
    importer: &mut Importer<'_>,
    overview: &Overview,
    items: Items,
) -> anyhow::Result<()> {
    let mut focus = None;
    for ((node, _, id), published) in items {
        let Some((place, name)) = overview.nodes.get(&node) else { continue };
        if focus_on(importer, overview, &mut focus, place.clone()).await? {
            let Published { by, payload } = &published;
            let (publisher, payload) = (by.as_deref(), payload.as_ref());
            let item = Item { node: name, id: &id, publisher, payload };
            eventing::import_item(importer, &item).await?;
        }
    }
    importer.leave().await
}

async fn account(
    importer: &mut Importer<'_>,
    overview: &Overview,
    name: &Name,
    passwords: &[Term],
) -> anyhow::Result<()> {
    if !importer.begin(&name.0, &name.1) {
        return Ok(());
    }
    importer.profile(|profile| profile.last = overview.last.get(name).cloned());
    // After the contacts of its own, which count more.
    overview.shared.import(importer).await?;
    for password in passwords {
        match (password.text(), scram(password)) {
            (Some(password), _) => importer.password(password),
            (None, Some(keys)) => importer.scram(keys),
            (None, None) => importer.skip("SCRAM keys that no client could use"),
        }
    }
    importer.end().await
}

/// `{scram, StoredKey, ServerKey, Salt, Hash, Iterations}`; before 20.04 without the hash.
fn scram(term: &Term) -> Option<wello_store::ScramKeys> {
    let (hash, stored, server, salt, iterations) = match term.tuple()? {
        [_, stored, server, salt, iterations] => ("sha", stored, server, salt, iterations),
        [_, stored, server, salt, hash, iterations] => {
            (hash.atom()?, stored, server, salt, iterations)
        }
        _ => return None,
    };
    scram_keys(hash, stored.text()?, server.text()?, salt.text()?, iterations.integer()?)
}
