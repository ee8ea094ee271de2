//! The first look at a dump, whose records are in no particular order: what has to be known before the data of
//! accounts comes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use wello_store::LastActivity;

use super::nodes::State;
use super::records::{Dump, Name, Record};
use super::shared::SharedGroups;
use super::terms::Term;
use super::{address, last_activity, nodes};
use crate::transfer::importer::Importer;

#[derive(Default)]
pub struct Overview {
    /// With what is known of the password.
    pub accounts: BTreeMap<Name, Vec<Term>>,
    pub last: HashMap<Name, LastActivity>,
    pub rooms: HashSet<Name>,
    /// Whose node it is and what it is called, by its number.
    pub nodes: HashMap<String, (Focus, String)>,
    /// Who has to do with a node, by its number.
    pub states: HashMap<String, Vec<State>>,
    pub shared: SharedGroups,
}

/// Who gets what comes: an account, a room's archive, or the nodes of a service.
#[derive(Clone, PartialEq)]
pub enum Focus {
    Account(Name),
    Room(Name),
    Service(String),
}

impl Overview {
    /// What is broken is told.
    pub fn read(importer: &mut Importer<'_>, path: &Path) -> anyhow::Result<Overview> {
        let mut overview = Overview::default();
        let mut dump = Dump::open(path)?;
        while let Some(read) = dump.next() {
            let Some((table, values)) = importer.read(read) else { continue };
            let names = dump.names(&table);
            overview.note(&Record { table: &table, names, values: &values });
        }
        Ok(overview)
    }

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
                let owner = record.get("nodeid").and_then(place_of_node);
                let found = record.get("id").map(number).zip(owner.zip(name.map(str::to_owned)));
                self.nodes.extend(found);
            }
            "pubsub_state" => {
                if let Some((node, state)) = state(record) {
                    self.states.entry(node).or_default().push(state);
                }
            }
            "sr_group" => {
                if let Some((name, options)) = record.owner("group_host").zip(record.get("opts")) {
                    self.shared.describe(name, options);
                }
            }
            "sr_user" => {
                let found = record.owner("group_host").zip(record.owner("us"));
                if let Some((name, (local, domain))) = found {
                    self.shared.add(name, format!("{local}@{domain}"));
                }
            }
            _ => {}
        }
    }

    /// Once all accounts are known.
    pub fn settle_groups(&mut self, importer: &mut Importer<'_>) {
        for host in self.shared.hosts_of_everybody() {
            let accounts = self.accounts.keys().filter(|(_, domain)| *domain == host);
            let accounts = accounts.map(|(local, domain)| format!("{local}@{domain}"));
            self.shared.admit_all(&host, &accounts.collect::<Vec<_>>());
        }
        self.shared.limit(importer);
    }
}

/// `{{User, Server, _}, Node}` for a node of an account, `{Service, Node}` for others.
fn place_of_node(id: &Term) -> Option<Focus> {
    let place = id.tuple()?.first()?;
    match place.tuple() {
        Some([local, domain, ..]) => {
            Some(Focus::Account((local.text()?.to_owned(), domain.text()?.to_owned())))
        }
        _ => Some(Focus::Service(place.text()?.to_owned())),
    }
}

/// Who has to do with a node, and its number: `{{User, Server, Resource}, Number}` is the key.
fn state(record: &Record<'_>) -> Option<(String, State)> {
    let [jid, node] = record.get("stateid")?.tuple()? else { return None };
    let subscriptions = record.get("subscriptions").and_then(Term::list).unwrap_or_default();
    let words = subscriptions.iter().filter_map(|one| one.tuple()?.first()?.atom());
    let state = State {
        jid: address(jid)?,
        affiliation: record.atom("affiliation").and_then(nodes::affiliation),
        subscriptions: words.filter_map(nodes::subscription).collect(),
    };
    let says_something = state.affiliation.is_some() || !state.subscriptions.is_empty();
    says_something.then(|| (number(node), state))
}

/// A number, or a text that stands for one.
pub fn number(term: &Term) -> String {
    match term {
        Term::Integer(number) => number.to_string(),
        other => other.text().unwrap_or_default().to_owned(),
    }
}
