//! Imports the database of an ejabberd (`sql/lite.sql` and `sql/pg.sql`, also those with `new` in their names).

use anyhow::{Context, bail};
use wello_store::{ArchivePrefs, DocumentKey, Timestamp};
use wello_wire::ns;

use super::account::{Ask, Contact, Rule, Subscription, privacy};
use super::nodes::State;
use super::shared::SharedGroups;
use super::terms::{Term, parse};
use super::xml::parsed;
use super::{addresses, check_hosts, last_activity, nodes, rooms, scram_keys};
use crate::transfer::database::{Database, Texts};
use crate::transfer::eventing::{self, Item};
use crate::transfer::importer::Importer;
use crate::transfer::xep0227;

// In the schemas called new each row says its host, which `{host}` asks for; the user is $1, the host $2.
const USERS: &str = "SELECT username, password, serverkey, salt, CAST(iterationcount AS TEXT)
    FROM users WHERE username > $1 {host} ORDER BY username LIMIT 200";
const LAST: &str = "SELECT seconds, state FROM last WHERE username = $1 {host}";
const ROSTER: &str = "SELECT jid, nick, subscription, ask, askmessage
    FROM rosterusers WHERE username = $1 {host}";
const GROUPS: &str = "SELECT jid, grp FROM rostergroups WHERE username = $1 {host}";
// All of them: no name is empty.
const SHARED_GROUPS: &str = "SELECT name, opts FROM sr_group WHERE name <> $1 {host}";
const SHARED_MEMBERS: &str = "SELECT grp, jid FROM sr_user WHERE grp <> $1 {host}";
// One more than a group may have.
const EVERYBODY: &str = "SELECT username FROM users WHERE username <> $1 {host} LIMIT 1001";
const VCARD: &str = "SELECT vcard FROM vcard WHERE username = $1 {host}";
const PRIVATE: &str = "SELECT data FROM private_storage WHERE username = $1 {host}";
const PREFS: &str = "SELECT def, always, never FROM archive_prefs WHERE username = $1 {host}";
const OFFLINE: &str = "SELECT xml FROM spool WHERE username = $1 {host} ORDER BY seq";
const RULES: &str = "SELECT d.t, d.value, d.action, CAST(d.match_all AS TEXT)
    FROM privacy_list_data d JOIN privacy_list l ON l.id = d.id
    WHERE l.username = $1 {of l} AND l.name IN
        (SELECT name FROM privacy_default_list WHERE username = $1 {host}) ORDER BY d.ord";
/// A page, as archives may be larger than memory; after the row that the last value names.
const ARCHIVE: &str = r#"SELECT CAST(id AS TEXT), CAST("timestamp" AS TEXT), xml, nick FROM archive
    WHERE username = $1 {host} AND id > CAST({next} AS BIGINT) ORDER BY id LIMIT 200"#;
// Nodes are of an address, whatever the schema.
const NODES: &str =
    "SELECT CAST(nodeid AS TEXT), node FROM pubsub_node WHERE host = $1 ORDER BY nodeid";
const OPTIONS: &str = "SELECT name, val FROM pubsub_node_option WHERE nodeid = CAST($1 AS BIGINT)";
const STATES: &str = "SELECT jid, affiliation, subscriptions FROM pubsub_state
    WHERE nodeid = CAST($1 AS BIGINT) ORDER BY jid";
const ITEMS: &str =
    "SELECT itemid, publisher, payload FROM pubsub_item WHERE nodeid = CAST($1 AS BIGINT)
    ORDER BY modification";
const SERVICES: &str = "SELECT DISTINCT host FROM pubsub_node WHERE host NOT LIKE '%@%'";
const ROOMS: &str = "SELECT name, host, opts FROM muc_room ORDER BY host, name";
const HOSTS: &str = "SELECT DISTINCT server_host FROM users";

/// The accounts of one host in a database.
struct Host<'a> {
    database: &'a Database,
    name: &'a str,
    /// Rows say their host.
    says_host: bool,
}

impl Host<'_> {
    /// The rows of a user.
    async fn rows(&self, sql: &str, user: &str) -> anyhow::Result<Vec<Texts>> {
        self.rows_after(sql, user, None).await
    }

    async fn rows_after(
        &self,
        sql: &str,
        user: &str,
        after: Option<&str>,
    ) -> anyhow::Result<Vec<Texts>> {
        let mut values = vec![user];
        let (host, of_list) = match self.says_host {
            true => ("AND server_host = $2", "AND l.server_host = $2"),
            false => ("", ""),
        };
        values.extend(self.says_host.then_some(self.name));
        values.extend(after);
        let next = format!("${}", values.len());
        let sql = sql.replace("{host}", host).replace("{of l}", of_list).replace("{next}", &next);
        self.database.rows(&sql, &values).await
    }
}

/// `host` is whose accounts these are, if the database does not say it.
pub async fn import(
    importer: &mut Importer<'_>,
    database: &Database,
    host: Option<&str>,
) -> anyhow::Result<()> {
    if !database.has_column("users", "iterationcount").await? {
        bail!("the database has no accounts of ejabberd");
    }
    let says_host = database.has_column("users", "server_host").await?;
    let hosts = match says_host {
        true => database.rows(HOSTS, &[]).await?.into_iter().flatten().flatten().collect(),
        false => vec![only_host(importer, host)?],
    };
    check_hosts(importer, hosts.iter().map(String::as_str))?;
    for name in &hosts {
        accounts(importer, &Host { database, name, says_host }).await?;
    }
    all_rooms(importer, &Host { database, name: "", says_host }).await?;
    for service in database.rows(SERVICES, &[]).await? {
        let service = text(&service, 0);
        if importer.begin_service(service) {
            all_nodes(importer, database, service).await?;
            importer.end().await?;
        }
    }
    Ok(())
}

/// The schema that is the usual one has one host for each database and does not name it.
fn only_host(importer: &Importer<'_>, named: Option<&str>) -> anyhow::Result<String> {
    match (named, &importer.config.domains()[..]) {
        (Some(host), _) => Ok(host.to_owned()),
        (None, [host]) => Ok((*host).to_owned()),
        (None, _) => {
            bail!("the database does not say whose accounts these are: name it with --host")
        }
    }
}

async fn accounts(importer: &mut Importer<'_>, host: &Host<'_>) -> anyhow::Result<()> {
    let groups = shared_groups(importer, host).await;
    let mut after = String::new();
    loop {
        let page = host.rows(USERS, &after).await?;
        for row in &page {
            account(importer, host, &groups, row).await?;
        }
        match page.into_iter().next_back().and_then(|row| row.into_iter().next().flatten()) {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// The shared groups of a host.
async fn shared_groups(importer: &mut Importer<'_>, host: &Host<'_>) -> SharedGroups {
    let mut groups = SharedGroups::default();
    let name = |row: &[Option<String>]| (text(row, 0).to_owned(), host.name.to_owned());
    let read = host.rows(SHARED_GROUPS, "").await;
    for row in importer.read(read).iter().flatten() {
        match parse(text(row, 1).as_bytes()) {
            Ok(options) => groups.describe(name(row), &options),
            Err(_) => importer.skip("shared groups that cannot be read"),
        }
    }
    let read = host.rows(SHARED_MEMBERS, "").await;
    for row in importer.read(read).iter().flatten() {
        groups.add(name(row), text(row, 1).to_owned());
    }
    if !groups.hosts_of_everybody().is_empty() {
        let read = host.rows(EVERYBODY, "").await;
        let rows = importer.read(read).unwrap_or_default();
        let accounts = rows.iter().map(|row| format!("{}@{}", text(row, 0), host.name));
        groups.admit_all(host.name, &accounts.collect::<Vec<_>>());
    }
    groups.limit(importer);
    groups
}

async fn account(
    importer: &mut Importer<'_>,
    host: &Host<'_>,
    groups: &SharedGroups,
    row: &[Option<String>],
) -> anyhow::Result<()> {
    let user = text(row, 0).to_owned();
    if !importer.begin(&user, host.name) {
        return Ok(());
    }
    credentials(importer, row);
    let read = host.rows(LAST, &user).await;
    let last = importer.read(read).and_then(|rows| {
        let row = rows.first()?;
        last_activity(text(row, 0).parse().ok()?, text(row, 1))
    });
    importer.profile(|profile| profile.last = last);
    roster(importer, host, &user).await?;
    groups.import(importer).await?;
    documents(importer, host, &user).await?;
    let read = host.rows(RULES, &user).await;
    let rules: Vec<Rule> = importer.read(read).iter().flatten().map(|row| rule(row)).collect();
    xep0227::part(importer, &privacy(&rules)).await?;
    let read = host.rows(PREFS, &user).await;
    for row in importer.read(read).iter().flatten() {
        match preferences(row) {
            Some(prefs) => importer.preferences(&prefs).await?,
            None => importer.skip("archiving preferences that cannot be read"),
        }
    }
    all_nodes(importer, host.database, &format!("{user}@{}", host.name)).await?;
    offline(importer, host, &user).await?;
    archive(importer, host, &user).await?;
    importer.end().await
}

/// A column as text; what is missing is empty.
fn text(row: &[Option<String>], column: usize) -> &str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

/// Without a salt the password itself, else a key, before which stands its hash if that is not SHA-1.
fn credentials(importer: &mut Importer<'_>, row: &[Option<String>]) {
    let (password, server_key, salt) = (text(row, 1), text(row, 2), text(row, 3));
    if salt.is_empty() {
        importer.password(password);
        return;
    }
    let (hash, stored_key) = password.split_once(':').unwrap_or(("sha", password));
    let iterations = text(row, 4).parse().unwrap_or_default();
    match scram_keys(hash, stored_key, server_key, salt, iterations) {
        Some(keys) => importer.scram(keys),
        None => importer.skip("SCRAM keys that no client could use"),
    }
}

async fn roster(importer: &mut Importer<'_>, host: &Host<'_>, user: &str) -> anyhow::Result<()> {
    let read = host.rows(ROSTER, user).await;
    let contacts = importer.read(read).unwrap_or_default();
    let read = host.rows(GROUPS, user).await;
    let groups = importer.read(read).unwrap_or_default();
    for row in &contacts {
        let jid = text(row, 0);
        let of_contact = groups.iter().filter(|group| text(group, 0) == jid);
        let contact = Contact {
            jid: jid.to_owned(),
            name: text(row, 1),
            subscription: Subscription::parse(text(row, 2)),
            ask: Ask::parse(text(row, 3)),
            message: text(row, 4),
            groups: of_contact.map(|group| text(group, 1)).collect(),
        };
        for part in contact.to_elements() {
            xep0227::part(importer, &part).await?;
        }
    }
    Ok(())
}

async fn documents(importer: &mut Importer<'_>, host: &Host<'_>, user: &str) -> anyhow::Result<()> {
    let read = host.rows(VCARD, user).await;
    for row in importer.read(read).iter().flatten() {
        if let Some(card) = importer.read(text(row, 0).parse().context("a vCard that is no XML")) {
            importer.document(DocumentKey::VCardTemp, &card).await?;
        }
    }
    let read = host.rows(PRIVATE, user).await;
    for row in importer.read(read).iter().flatten() {
        let xml: anyhow::Result<wello_wire::xml::Element> =
            text(row, 0).parse().context("a private document that is no XML");
        if let Some(xml) = importer.read(xml) {
            let (namespace, name) = (xml.ns().to_owned(), xml.name().to_owned());
            importer.document(DocumentKey::Private { namespace, name }, &xml).await?;
        }
    }
    Ok(())
}

fn rule(row: &[Option<String>]) -> Rule {
    let kind = match text(row, 0) {
        "j" => Some("jid"),
        "g" => Some("group"),
        "s" => Some("subscription"),
        _ => None,
    };
    Rule {
        kind,
        value: text(row, 1).to_owned(),
        denies: text(row, 2) == "d",
        is_general: matches!(text(row, 3), "1" | "t" | "true"),
    }
}

fn preferences(row: &[Option<String>]) -> Option<ArchivePrefs> {
    let listed = |column| Some(addresses(&parse(text(row, column).as_bytes()).ok()?));
    Some(ArchivePrefs {
        default: text(row, 0).parse().ok()?,
        always: listed(1)?,
        never: listed(2)?,
    })
}

/// The nodes of an account or a service.
async fn all_nodes(
    importer: &mut Importer<'_>,
    database: &Database,
    address: &str,
) -> anyhow::Result<()> {
    let read = database.rows(NODES, &[address]).await;
    for row in importer.read(read).iter().flatten() {
        let (id, name) = (text(row, 0), text(row, 1));
        let read = database.rows(OPTIONS, &[id]).await;
        let options = importer.read(read).unwrap_or_default();
        let options =
            options.iter().filter_map(|row| Some((text(row, 0).to_owned(), option(text(row, 1))?)));
        let read = database.rows(STATES, &[id]).await;
        let states: Vec<State> =
            importer.read(read).iter().flatten().map(|row| state(row)).collect();
        eventing::import_nodes(importer, &nodes::owned(name, options, &states)).await?;
        let read = database.rows(ITEMS, &[id]).await;
        for row in importer.read(read).iter().flatten() {
            let (publisher, payload) = (Some(text(row, 1)), parsed(text(row, 2)));
            let payload = payload.as_ref();
            let item = Item { node: name, id: text(row, 0), publisher, payload };
            eventing::import_item(importer, &item).await?;
        }
    }
    Ok(())
}

/// Subscriptions are `LETTER:ID`, with commas between them.
fn state(row: &[Option<String>]) -> State {
    let subscriptions = text(row, 2).split(',');
    let letters = subscriptions.filter_map(|one| one.split(':').next());
    State {
        jid: text(row, 0).to_owned(),
        affiliation: nodes::affiliation(text(row, 1)),
        subscriptions: letters.filter_map(nodes::subscription).collect(),
    }
}

/// The value of an option, which is a term.
fn option(value: &str) -> Option<String> {
    match parse(value.as_bytes()).ok()? {
        Term::Atom(atom) if atom == "undefined" || atom == "infinity" => None,
        Term::Atom(atom) => Some(atom),
        Term::Integer(number) => Some(number.to_string()),
        term => term.text().map(str::to_owned),
    }
}

async fn offline(importer: &mut Importer<'_>, host: &Host<'_>, user: &str) -> anyhow::Result<()> {
    let read = host.rows(OFFLINE, user).await;
    for row in importer.read(read).iter().flatten() {
        match parsed(text(row, 0)).filter(|xml| xml.is("message", ns::CLIENT)) {
            Some(message) => xep0227::offline(importer, message).await?,
            None => importer.skip("messages that are no stanzas"),
        }
    }
    Ok(())
}

/// Of an account or a room, by what the table calls its owner.
async fn archive(importer: &mut Importer<'_>, host: &Host<'_>, owner: &str) -> anyhow::Result<()> {
    let room = importer.room().is_some().then(|| importer.jid()).transpose()?;
    let mut last = "-1".to_owned();
    loop {
        let read = host.rows_after(ARCHIVE, owner, Some(&last)).await;
        let page = importer.read(read).unwrap_or_default();
        let Some(end) = page.last() else { return Ok(()) };
        end.first().cloned().flatten().unwrap_or_default().clone_into(&mut last);
        for row in &page {
            let time = text(row, 1).parse().map(Timestamp::from_micros);
            match (parsed(text(row, 2)), time, &room) {
                (Some(message), Ok(time), Some(room)) => {
                    let message = rooms::said(message, room, text(row, 3));
                    importer.archived(message, time, None).await?;
                }
                (Some(message), Ok(time), None) => importer.archived(message, time, None).await?,
                _ => importer.skip("archived messages that cannot be read"),
            }
        }
    }
}

async fn all_rooms(importer: &mut Importer<'_>, host: &Host<'_>) -> anyhow::Result<()> {
    for row in host.database.rows(ROOMS, &[]).await? {
        let (name, service) = (text(&row, 0), text(&row, 1));
        let place = || format!("the settings of {name}@{service}");
        let Some(options) = importer.read(parse(text(&row, 2).as_bytes()).with_context(place))
        else {
            continue;
        };
        rooms::import(importer, name, service, &options).await?;
        if importer.begin_room(name, service) {
            // The host of an archive is the one that the service belongs to.
            let near = importer.host_of(service).unwrap_or_default().to_owned();
            let host = Host { name: &near, ..*host };
            archive(importer, &host, &format!("{name}@{service}")).await?;
            importer.leave().await?;
        }
    }
    Ok(())
}
