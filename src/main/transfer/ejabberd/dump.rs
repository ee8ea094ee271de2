//! Imports what `ejabberdctl dump` writes: a term that names the tables with their fields, then each record of
//! each table as a term.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use wello_store::{ArchivePrefs, DocumentKey, LastActivity, Timestamp};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::account::{Ask, Contact, Rule, Subscription, node, privacy};
use super::terms::{Term, parse};
use super::xml::{element, stanza};
use super::{address, addresses, check_hosts, last_activity, rooms, scram_keys};
use crate::transfer::importer::Importer;
use crate::transfer::syntax::Pieces;
use crate::transfer::{eventing, xep0227};

/// Tables with nothing that anybody would miss.
const TRANSIENT: [&str; 14] = [
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
    "vcard_search",
];

/// A localpart and a domain.
type Name = (String, String);

/// What has to be known before the data of accounts comes, which is in no particular order.
#[derive(Default)]
struct Overview {
    /// With what is known of the password.
    accounts: BTreeMap<Name, Vec<Term>>,
    last: HashMap<Name, LastActivity>,
    rooms: HashSet<Name>,
    /// Whose node it is, by its number.
    nodes: HashMap<String, (Name, String)>,
}

/// Payloads of items by their node, time and id, as the newest one of a node has to come last.
type Items = BTreeMap<(String, Timestamp, String), Option<Element>>;

/// A record whose fields are found by name, as they are not the same in all versions.
struct Record<'a> {
    table: &'a str,
    names: &'a [String],
    values: &'a [Term],
}

impl Record<'_> {
    fn get(&self, name: &str) -> Option<&Term> {
        let index = self.names.iter().position(|field| field == name)?;
        self.values.get(index)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    fn atom(&self, name: &str) -> Option<&str> {
        self.get(name)?.atom()
    }

    /// Whose it is: the first two parts of a key.
    fn owner(&self, key: &str) -> Option<Name> {
        let [local, domain, ..] = self.get(key)?.tuple()? else { return None };
        Some((local.text()?.to_owned(), domain.text()?.to_owned()))
    }
}

/// A dump that is read from its beginning.
struct Dump {
    pieces: Pieces<BufReader<File>>,
    fields: HashMap<String, Vec<String>>,
}

impl Dump {
    fn open(path: &Path) -> anyhow::Result<Dump> {
        let place = || path.display().to_string();
        let file = File::open(path).with_context(place)?;
        let mut pieces = Pieces::new(BufReader::new(file), |line| line.ends_with(b"."));
        let tables = pieces.next(parse).transpose().with_context(place)?;
        let fields = tables.as_ref().and_then(fields);
        let fields = fields.with_context(|| format!("{}: no dump of ejabberd", place()))?;
        Ok(Dump { pieces, fields })
    }

    /// The next record with its table.
    fn next(&mut self) -> Option<anyhow::Result<(String, Vec<Term>)>> {
        let term = match self.pieces.next(parse)? {
            Ok(term) => term,
            Err(error) => return Some(Err(error.into())),
        };
        let record = match term {
            Term::Tuple(mut terms) if !terms.is_empty() => {
                let values = terms.split_off(1);
                terms[0].atom().map(|table| (table.to_owned(), values))
            }
            _ => None,
        };
        Some(record.context("a term that is no record"))
    }
}

/// `{tables, [{Table, [{record_name, _}, {attributes, Fields}]}]}`.
fn fields(term: &Term) -> Option<HashMap<String, Vec<String>>> {
    let [_, tables] = term.tuple()? else { return None };
    let table = |table: &Term| {
        let [name, about] = table.tuple()? else { return None };
        let fields = about.list()?.iter().find_map(|property| match property.tuple()? {
            [key, fields] if key.atom() == Some("attributes") => fields.list(),
            _ => None,
        })?;
        let fields = fields.iter().filter_map(|field| field.atom().map(str::to_owned)).collect();
        Some((name.atom()?.to_owned(), fields))
    };
    tables.list()?.iter().map(table).collect()
}

pub async fn import(importer: &mut Importer<'_>, path: &Path) -> anyhow::Result<()> {
    let overview = overview(importer, path)?;
    check_hosts(importer, overview.accounts.keys().map(|(_, domain)| domain.as_str()))?;
    let mut items = Items::new();
    let mut dump = Dump::open(path)?;
    let mut focus = None;
    while let Some(read) = dump.next() {
        // What is broken was told by the first look.
        let Ok((table, values)) = read else { continue };
        let names = dump.fields.get(&table).map(Vec::as_slice).unwrap_or_default();
        let record = Record { table: &table, names, values: &values };
        take(importer, &overview, &record, &mut focus, &mut items).await?;
    }
    importer.leave().await?;
    publish(importer, &overview, items).await?;
    for (name, password) in &overview.accounts {
        account(importer, name, password, overview.last.get(name)).await?;
    }
    Ok(())
}

fn overview(importer: &mut Importer<'_>, path: &Path) -> anyhow::Result<Overview> {
    let mut overview = Overview::default();
    let mut dump = Dump::open(path)?;
    while let Some(read) = dump.next() {
        let Some((table, values)) = importer.read(read) else { continue };
        let names = dump.fields.get(&table).map(Vec::as_slice).unwrap_or_default();
        overview.note(&Record { table: &table, names, values: &values });
    }
    Ok(overview)
}

impl Overview {
    fn note(&mut self, record: &Record<'_>) {
        match record.table {
            "passwd" => {
                let found = record.owner("us").zip(record.get("password").cloned());
                if let Some((owner, password)) = found {
                    // Newer versions keep keys of several mechanisms.
                    self.accounts.entry(owner).or_default().push(password);
                }
            }
            "last_activity" => {
                let seconds = record.get("timestamp").and_then(Term::integer);
                let status = record.text("status").unwrap_or_default();
                let last = seconds.and_then(|seconds| last_activity(seconds, status));
                self.last.extend(record.owner("us").zip(last));
            }
            "muc_room" => self.rooms.extend(record.owner("name_host")),
            "pubsub_node" => {
                let name =
                    record.get("nodeid").and_then(Term::tuple).and_then(|id| id.get(1)?.text());
                let owner = record.get("nodeid").and_then(node_owner);
                let found = record.get("id").map(number).zip(owner.zip(name.map(str::to_owned)));
                self.nodes.extend(found);
            }
            _ => {}
        }
    }
}

/// `{{User, Server, _}, Node}` for a node of an account.
fn node_owner(id: &Term) -> Option<Name> {
    let [local, domain, ..] = id.tuple()?.first()?.tuple()? else { return None };
    Some((local.text()?.to_owned(), domain.text()?.to_owned()))
}

/// A number, or a text that stands for one.
fn number(term: &Term) -> String {
    match term {
        Term::Integer(number) => number.to_string(),
        other => other.text().unwrap_or_default().to_owned(),
    }
}

/// Who gets what comes: an account, or a room's archive.
#[derive(PartialEq)]
enum Focus {
    Account(Name),
    Room(Name),
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

/// Something of an account; `None` when it cannot be read.
async fn part(importer: &mut Importer<'_>, record: &Record<'_>) -> anyhow::Result<Option<()>> {
    match record.table {
        "roster" => {
            let Some(contact) = contact(record) else { return Ok(None) };
            for part in contact.to_elements() {
                xep0227::part(importer, &part).await?;
            }
        }
        "vcard" => {
            let Some(card) = record.get("vcard").and_then(|card| element(card, "")) else {
                return Ok(None);
            };
            importer.document(DocumentKey::VCardTemp, &card).await?;
        }
        "private_storage" => {
            let Some(xml) = record.get("xml").and_then(|xml| element(xml, "")) else {
                return Ok(None);
            };
            let (namespace, name) = (xml.ns().to_owned(), xml.name().to_owned());
            importer.document(DocumentKey::Private { namespace, name }, &xml).await?;
        }
        "privacy" => {
            let Some(rules) = rules(record) else { return Ok(None) };
            xep0227::part(importer, &privacy(&rules)).await?;
        }
        "archive_prefs" => {
            let default = record.atom("default").and_then(|default| default.parse().ok());
            let listed = |name| record.get(name).map(addresses).unwrap_or_default();
            let Some(default) = default else { return Ok(None) };
            let prefs = ArchivePrefs { default, always: listed("always"), never: listed("never") };
            importer.preferences(&prefs).await?;
        }
        "offline_msg" => {
            let Some((message, time)) = timed(record) else { return Ok(None) };
            importer.offline(message, time).await?;
        }
        _ => {
            let Some((message, time)) = timed(record) else { return Ok(None) };
            let room = importer.room().is_some().then(|| importer.jid()).transpose()?;
            let message = match room {
                Some(room) => rooms::said(message, &room, record.text("nick").unwrap_or_default()),
                None => message,
            };
            importer.archived(message, time, None).await?;
        }
    }
    Ok(Some(()))
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
    let Some((owner, name)) = record.get("id").map(number).and_then(|id| overview.nodes.get(&id))
    else {
        importer.skip("nodes of a pubsub service");
        return Ok(());
    };
    if focus_on(importer, overview, focus, Focus::Account(owner.clone())).await? {
        let options = record.get("options").and_then(Term::list).unwrap_or_default();
        let options = options.iter().filter_map(option);
        eventing::import_nodes(importer, &node(name, options)).await?;
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
) -> Option<((String, Timestamp, String), Option<Element>)> {
    let node = number(record.get("nodeidx")?);
    overview.nodes.get(&node)?;
    let id = record.get("itemid")?.tuple()?.first()?.text()?.to_owned();
    let modified = record.get("modification")?.tuple()?.first()?;
    // In 17.x the address came first.
    let time = moment(modified).or_else(|| moment(record.get("modification")?.tuple()?.get(1)?))?;
    let payload = record.get("payload")?.list()?.first().and_then(|xml| element(xml, ns::PUBSUB));
    Some(((node, time, id), payload))
}

async fn publish(
    importer: &mut Importer<'_>,
    overview: &Overview,
    items: Items,
) -> anyhow::Result<()> {
    let mut focus = None;
    for ((node, _, id), payload) in items {
        let Some((owner, name)) = overview.nodes.get(&node) else { continue };
        if focus_on(importer, overview, &mut focus, Focus::Account(owner.clone())).await? {
            eventing::import_item(importer, name, &id, payload.as_ref()).await?;
        }
    }
    importer.leave().await
}

async fn account(
    importer: &mut Importer<'_>,
    (local, domain): &Name,
    passwords: &[Term],
    last: Option<&LastActivity>,
) -> anyhow::Result<()> {
    if !importer.begin(local, domain) {
        return Ok(());
    }
    importer.profile(|profile| profile.last = last.cloned());
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
