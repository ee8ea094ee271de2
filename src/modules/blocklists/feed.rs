//! One list of somebody else: what is in it, and when it is read again.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use wello_kernel::config::{self, FeedKind};
use wello_store::{BlockFeed, Timestamp};
use wello_wire::hex;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::xml::Element;

pub(super) struct Feed {
    pub(super) id: BlockFeed,
    pub(super) service: BareJid,
    kind: FeedKind,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: HashSet<String>,
    /// What was told of while the whole list is being read.
    missed: Option<Missed>,
    due: Timestamp,
    /// In a row.
    failures: u32,
}

/// What somebody's list tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// All that was there before is gone.
    pub(super) cleared: bool,
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

#[derive(Default)]
struct Missed {
    changes: Vec<Change>,
    items: usize,
}

/// Somebody who may be listed. Hashed at most once, whatever the number of lists.
pub(super) struct Subject<'a> {
    jid: &'a Jid,
    hashes: OnceCell<[String; 2]>,
}

/// Items of one list; the rest is passed over.
const MAX_ITEMS: usize = 200_000;
/// A list that tells of its changes is read again as a whole, in case something was lost.
const REFRESH: Duration = Duration::from_secs(6 * 3600);
/// Items of changes that are remembered while a list is read. Were there more, it is read again.
const MAX_MISSED: usize = 10_000;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Feed {
    pub(super) fn new(config: &config::Feed) -> Option<Feed> {
        let service: BareJid = config.service.parse().ok()?;
        let id = BlockFeed { service: service.to_string(), node: config.node.clone() };
        Some(Feed { id, service, kind: config.kind, state: Mutex::default() })
    }

    /// Whether an address or its domain is in the list.
    pub(super) fn lists(&self, subject: &Subject<'_>) -> bool {
        match self.kind {
            FeedKind::Domains => self.state.lock().items.contains(subject.jid.domain()),
            FeedKind::Hashes => {
                let hashes = subject.hashes();
                let state = self.state.lock();
                hashes.iter().any(|hash| state.items.contains(hash))
            }
        }
    }

    pub(super) fn is_of_addresses(&self) -> bool {
        self.kind == FeedKind::Hashes
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.state.lock().due <= now
    }

    /// How long until it is to be read again.
    pub(super) fn rest(&self, now: Timestamp) -> Duration {
        self.state.lock().due.since(now)
    }

    /// Takes over what was known before a restart.
    pub(super) fn restore(&self, items: Vec<String>) {
        self.state.lock().items = items.into_iter().collect();
    }

    /// Changes are remembered from now on until [`Feed::end`].
    pub(super) fn begin(&self) {
        self.state.lock().missed = Some(Missed::default());
    }

    /// This was the whole list a moment ago; returns what it is now. `None` when it has changed too much
    /// since.
    pub(super) fn replace(&self, items: HashSet<String>) -> Option<Vec<String>> {
        let mut state = self.state.lock();
        let missed = state.missed.replace(Missed::default()).unwrap_or_default().complete()?;
        state.items = items;
        for change in missed {
            change.apply(&mut state.items);
        }
        Some(state.items.iter().cloned().collect())
    }

    /// Reading has come to its end; returns the changes since the list was replaced, or if it was not,
    /// since the beginning.
    pub(super) fn end(&self, succeeded: bool, now: Timestamp) -> Vec<Change> {
        let mut state = self.state.lock();
        let missed = state.missed.take().unwrap_or_default().complete();
        state.failures = match succeeded && missed.is_some() {
            true => 0,
            false => state.failures.saturating_add(1),
        };
        state.due = now.saturating_add(pause(state.failures));
        missed.unwrap_or_default()
    }

    /// Takes a change; `false` when it is remembered for [`Feed::end`].
    pub(super) fn change(&self, change: &Change) -> bool {
        let mut state = self.state.lock();
        change.apply(&mut state.items);
        match &mut state.missed {
            Some(missed) => {
                missed.push(change);
                false
            }
            None => true,
        }
    }

    /// What `<event/>` tells of this list (XEP-0060, section 7.1.2); `None` when it is of another node.
    pub(super) fn parse_event(&self, event: &Element) -> Option<Change> {
        let is_ours = |child: &&Element| {
            child.ns() == ns::PUBSUB_EVENT && child.attr("node") == Some(self.id.node.as_str())
        };
        let what = event.children().find(is_ours)?;
        match what.name() {
            "items" => Some(Change {
                cleared: false,
                added: self.ids(what, "item", ns::PUBSUB_EVENT),
                removed: self.ids(what, "retract", ns::PUBSUB_EVENT),
            }),
            "purge" => Some(Change { cleared: true, ..Change::default() }),
            _ => None,
        }
    }

    /// The ids of the children of this name that can be items of this list.
    pub(super) fn ids(&self, parent: &Element, name: &str, ns: &str) -> Vec<String> {
        let items = parent.children().filter(|child| child.is(name, ns));
        items.filter_map(|item| self.item(item.attr("id")?)).collect()
    }

    fn item(&self, id: &str) -> Option<String> {
        match self.kind {
            FeedKind::Hashes => {
                let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hash.then(|| id.to_ascii_lowercase())
            }
            FeedKind::Domains => {
                let jid: Jid = id.parse().ok()?;
                jid.is_domain().then(|| jid.to_string())
            }
        }
    }
}

impl Missed {
    fn push(&mut self, change: &Change) {
        self.items += 1 + change.added.len() + change.removed.len();
        match self.items <= MAX_MISSED {
            true => self.changes.push(change.clone()),
            false => self.changes = Vec::new(),
        }
    }

    /// `None` when there was too much to remember.
    fn complete(self) -> Option<Vec<Change>> {
        (self.items <= MAX_MISSED).then_some(self.changes)
    }
}

impl<'a> Subject<'a> {
    pub(super) fn new(jid: &'a Jid) -> Subject<'a> {
        Subject { jid, hashes: OnceCell::new() }
    }

    fn hashes(&self) -> &[String; 2] {
        self.hashes.get_or_init(|| [hash(self.jid.bare_str()), hash(self.jid.domain())])
    }
}

impl Change {
    fn apply(&self, items: &mut HashSet<String>) {
        if self.cleared {
            items.clear();
        }
        for item in &self.removed {
            items.remove(item);
        }
        let room = MAX_ITEMS.saturating_sub(items.len());
        items.extend(self.added.iter().take(room).cloned());
    }
}

/// How long to wait before the list is read again.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => REFRESH,
        Some(doublings) => {
            FIRST_PAUSE.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_PAUSE)
        }
    }
}

fn hash(name: &str) -> String {
    hex::encode(Sha256::digest(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(kind: FeedKind) -> Feed {
        let (service, node) = ("lists.example".to_owned(), "n".to_owned());
        Feed::new(&config::Feed { service, node, kind }).unwrap()
    }

    fn event(children: &str) -> Element {
        let event = format!("<event xmlns='{}'>{children}</event>", ns::PUBSUB_EVENT);
        event.parse().unwrap()
    }

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    fn lists(feed: &Feed, jid: &str) -> bool {
        feed.lists(&Subject::new(&jid.parse().unwrap()))
    }

    #[test]
    fn hashes_are_of_addresses_or_of_domains() {
        let feed = feed(FeedKind::Hashes);
        let troll = "d8c41ab46b60fb10546a1efc3593490075a889984c9c45e74755d16d19966f04";
        feed.restore(vec![troll.to_owned(), hash("evil.example")]);
        assert!(lists(&feed, "troll@a.example/x"));
        assert!(lists(&feed, "anybody@evil.example"));
        assert!(!lists(&feed, "other@a.example") && !lists(&feed, "x@sub.evil.example"));
    }

    #[test]
    fn events_of_the_node_change_the_list() {
        let feed = feed(FeedKind::Domains);
        let items = "<items node='n'><item id='Evil.example'><report/></item><item id='a@b'/>\
            <retract id='good.example'/></items>";
        let change = feed.parse_event(&event(items)).unwrap();
        assert_eq!(change.added, ["evil.example"]);
        assert_eq!(change.removed, ["good.example"]);
        feed.restore(strings(&["good.example"]));
        assert!(feed.change(&change));
        assert!(lists(&feed, "x@evil.example") && !lists(&feed, "x@good.example"));
        let purge = feed.parse_event(&event("<purge node='n'/>")).unwrap();
        feed.change(&purge);
        assert!(!lists(&feed, "x@evil.example"));
        for other in ["<items node='m'><item id='a.example'/></items>", "<delete node='n'/>", ""] {
            assert_eq!(feed.parse_event(&event(other)), None, "{other}");
        }
    }

    #[test]
    fn items_of_hashes_are_hashes() {
        let feed = feed(FeedKind::Hashes);
        let good = "AB".repeat(32);
        let items = format!("<items node='n'><item id='{good}'/><item id='zz'/></items>");
        assert_eq!(feed.parse_event(&event(&items)).unwrap().added, ["ab".repeat(32)]);
    }

    #[test]
    fn what_changes_while_the_list_is_read_is_not_lost() {
        let feed = feed(FeedKind::Domains);
        let now = Timestamp::from_secs(1000);
        let change = |added: &[&str], removed: &[&str]| Change {
            cleared: false,
            added: strings(added),
            removed: strings(removed),
        };
        feed.begin();
        assert!(!feed.change(&change(&["new.example"], &["old.example"])));
        let read = strings(&["old.example", "evil.example"]).into_iter().collect();
        let mut now_listed = feed.replace(read).unwrap();
        now_listed.sort();
        assert_eq!(now_listed, ["evil.example", "new.example"]);
        let later = change(&["late.example"], &[]);
        assert!(!feed.change(&later));
        assert_eq!(feed.end(true, now), [later]);
        assert!(lists(&feed, "x@late.example"));
        assert!(!feed.is_due(now) && feed.rest(now) == REFRESH);
    }

    #[test]
    fn a_list_that_changes_too_much_while_it_is_read_is_read_again() {
        let feed = feed(FeedKind::Domains);
        let now = Timestamp::from_secs(1000);
        let many: Vec<String> = (0..MAX_MISSED / 2).map(|n| format!("{n}.example")).collect();
        let change = Change { added: many, ..Change::default() };
        feed.begin();
        for _ in 0..2 {
            assert!(!feed.change(&change));
        }
        assert_eq!(feed.replace(HashSet::new()), None);
        assert!(lists(&feed, "x@1.example"), "what was told of stays in force");
        feed.change(&change);
        feed.change(&change);
        assert_eq!(feed.end(true, now), []);
        assert_eq!(feed.rest(now), FIRST_PAUSE);
    }

    #[test]
    fn failures_are_tried_again_later_and_later() {
        let feed = feed(FeedKind::Domains);
        feed.restore(strings(&["evil.example"]));
        let now = Timestamp::from_secs(1000);
        let mut rests = Vec::new();
        for _ in 0..10 {
            feed.begin();
            feed.end(false, now);
            rests.push(feed.rest(now));
        }
        assert_eq!(rests[..3], [30, 60, 120].map(Duration::from_secs));
        assert_eq!(rests[9], LONGEST_PAUSE);
        assert!(lists(&feed, "x@evil.example"), "what was known stays in force");
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
