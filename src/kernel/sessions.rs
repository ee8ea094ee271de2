//! Who is connected here: the sessions of local accounts.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use compact_str::CompactString;
use parking_lot::{Mutex, RwLock};
use wello_store::Timestamp;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::stanza::{Stanza, StoredCopy};

use crate::inbox::{Delivery, Full, Inbox};

/// Tells sessions apart in logs, also those that used one address after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:x}", self.0)
    }
}

/// Why the server ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Another session took its resource (RFC 6120, section 7.7.2.2).
    Conflict,
    /// An administrator or the account's owner ended it.
    Kicked,
    /// The account's password changed or its client was revoked.
    CredentialsChanged,
    /// The account is gone.
    AccountDeleted,
    /// The server goes down.
    Shutdown,
    /// The client does not read what it is sent.
    SlowReader,
}

/// How a client came in.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    pub transport: &'static str,
    pub address: Option<IpAddr>,
    pub encrypted: bool,
    pub mechanism: &'static str,
    /// Id of the client (XEP-0388 user agent), if it gave one.
    pub client_id: Option<String>,
    /// Id of the client whose grant it came in by (OAUTHBEARER).
    pub grant: Option<String>,
    pub software: Option<String>,
    pub device: Option<String>,
    pub since: Timestamp,
}

impl ClientInfo {
    /// Whether the client with this id is behind the session.
    pub fn is_of_client(&self, id: &str) -> bool {
        [&self.client_id, &self.grant].into_iter().flatten().any(|own| own == id)
    }
}

/// A bound resource. Its connection may be away (XEP-0198).
pub struct Session {
    pub id: SessionId,
    pub jid: FullJid,
    pub info: ClientInfo,
    inbox: Inbox,
    /// [`Session::UNAVAILABLE`] until the first presence.
    priority: AtomicI16,
    /// In microseconds. See [`Session::receives_since`].
    receives_since: AtomicI64,
    carbons: AtomicBool,
    /// Asked for the roster, so it gets roster pushes (RFC 6121, section 2.1.6).
    interested: AtomicBool,
    /// Asked for the block list, so it gets its pushes (XEP-0191, section 3.5).
    wants_block_list: AtomicBool,
    hibernating: AtomicBool,
    /// Its client catches up from the archive instead of from offline messages.
    declines_offline: AtomicBool,
    /// While it gets the account's offline messages (XEP-0160): the last one that it was sent.
    receiving_offline: Mutex<Option<StoredCopy>>,
    presence: Mutex<Option<Stanza>>,
    /// Who got directed presence (RFC 6121, section 4.6).
    directed: Mutex<HashSet<Jid>>,
}

/// Directed presence is remembered for this many addresses at most.
const MAX_DIRECTED: usize = 1024;

impl Session {
    const UNAVAILABLE: i16 = i16::MIN;

    pub fn bare(&self) -> BareJid {
        self.jid.bare()
    }

    /// Posts a stanza to the client; the bound ends a session that does not read.
    pub fn post(&self, stanza: Stanza) -> Result<(), Full> {
        self.inbox.post(stanza)
    }

    /// Posts an answer to the client's own request.
    pub fn reply(&self, stanza: Stanza) {
        self.inbox.reply(stanza);
    }

    /// Asks the connection task to end the session. `false` when it has ended.
    pub fn end(&self, reason: EndReason) -> bool {
        self.inbox.instruct(Delivery::End(reason))
    }

    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// The priority of an available resource (RFC 6121, section 4.7.2.3).
    pub fn priority(&self) -> Option<i8> {
        i8::try_from(self.priority.load(Ordering::Acquire)).ok()
    }

    pub fn is_available(&self) -> bool {
        self.priority().is_some()
    }

    /// Gets messages that were sent to the bare address.
    pub fn receives_bare(&self) -> bool {
        self.priority().is_some_and(|priority| priority >= 0)
    }

    /// Since when it gets messages to the bare address; long ago for a session that was restored.
    pub fn receives_since(&self) -> Timestamp {
        Timestamp::from_micros(self.receives_since.load(Ordering::Acquire))
    }

    pub fn set_receives_since(&self, since: Timestamp) {
        self.receives_since.store(since.as_micros(), Ordering::Release);
    }

    /// The last availability it broadcast.
    pub fn presence(&self) -> Option<Stanza> {
        self.presence.lock().clone()
    }

    /// Records what the client broadcast; returns whether it was available before.
    pub fn set_presence(&self, presence: Option<(Stanza, i8)>) -> bool {
        let (stanza, priority) = match presence {
            Some((stanza, priority)) => (Some(stanza), i16::from(priority)),
            None => (None, Self::UNAVAILABLE),
        };
        *self.presence.lock() = stanza;
        self.priority.swap(priority, Ordering::AcqRel) != Self::UNAVAILABLE
    }

    /// Remembers directed presence; `false` when there are too many.
    pub fn add_directed(&self, to: Jid) -> bool {
        let mut directed = self.directed.lock();
        directed.contains(&to) || (directed.len() < MAX_DIRECTED && directed.insert(to))
    }

    pub fn remove_directed(&self, to: &Jid) -> bool {
        self.directed.lock().remove(to)
    }

    pub fn has_directed(&self, to: &Jid) -> bool {
        self.directed.lock().contains(to)
    }

    /// Whether an address below `bare` has its presence, such as its own place in a room.
    pub fn has_directed_below(&self, bare: &str) -> bool {
        self.directed.lock().iter().any(|to| to.bare_str() == bare)
    }

    pub fn take_directed(&self) -> HashSet<Jid> {
        std::mem::take(&mut *self.directed.lock())
    }

    pub fn carbons(&self) -> bool {
        self.carbons.load(Ordering::Acquire)
    }

    pub fn set_carbons(&self, on: bool) {
        self.carbons.store(on, Ordering::Release);
    }

    pub fn is_interested(&self) -> bool {
        self.interested.load(Ordering::Acquire)
    }

    pub fn set_interested(&self) {
        self.interested.store(true, Ordering::Release);
    }

    pub fn wants_block_list(&self) -> bool {
        self.wants_block_list.load(Ordering::Acquire)
    }

    pub fn set_wants_block_list(&self) {
        self.wants_block_list.store(true, Ordering::Release);
    }

    pub fn declines_offline(&self) -> bool {
        self.declines_offline.load(Ordering::Acquire)
    }

    pub fn set_declines_offline(&self) {
        self.declines_offline.store(true, Ordering::Release);
    }

    /// The last offline message that it was sent, while it gets those of its account.
    pub fn receiving_offline(&self) -> Option<StoredCopy> {
        *self.receiving_offline.lock()
    }

    /// `None` when it has got them all. See [`Sessions::claim_offline`].
    pub fn set_receiving_offline(&self, last: Option<StoredCopy>) {
        *self.receiving_offline.lock() = last;
    }

    pub fn is_hibernating(&self) -> bool {
        self.hibernating.load(Ordering::Acquire)
    }

    pub fn set_hibernating(&self, on: bool) {
        self.hibernating.store(on, Ordering::Release);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("jid", &self.jid)
            .finish_non_exhaustive()
    }
}

/// The account has as many sessions as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySessions;

/// The sessions of one account at one moment.
pub type AccountSessions = Arc<[Arc<Session>]>;

/// All sessions of this process, found by account.
///
/// The list of an account is replaced as a whole when it changes, so that a look-up is one
/// reference count under a short read lock.
pub struct Sessions {
    shards: [RwLock<HashMap<Box<str>, AccountSessions>>; SHARDS],
    hasher: RandomState,
    next_id: AtomicU64,
    count: AtomicUsize,
    none: AccountSessions,
    /// By the id of stream management (XEP-0198).
    resumable: Mutex<HashMap<CompactString, Arc<Session>>>,
}

const SHARDS: usize = 16;

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            shards: Default::default(),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            none: Arc::new([]),
            resumable: Mutex::default(),
        }
    }
}

impl Sessions {
    /// Makes a session for `jid`. Whoever held the address before is told to end and is found
    /// no more.
    pub fn bind(
        &self,
        jid: FullJid,
        info: ClientInfo,
        inbox_bytes: usize,
        max_per_account: usize,
    ) -> Result<Arc<Session>, TooManySessions> {
        let session = Arc::new(Session {
            id: SessionId(self.next_id.fetch_add(1, Ordering::Relaxed)),
            jid,
            info,
            inbox: Inbox::new(inbox_bytes),
            priority: AtomicI16::new(Session::UNAVAILABLE),
            receives_since: AtomicI64::new(i64::MIN),
            carbons: AtomicBool::new(false),
            interested: AtomicBool::new(false),
            wants_block_list: AtomicBool::new(false),
            hibernating: AtomicBool::new(false),
            declines_offline: AtomicBool::new(false),
            receiving_offline: Mutex::new(None),
            presence: Mutex::new(None),
            directed: Mutex::default(),
        });
        let replaced = {
            let mut shard = self.shard(session.jid.bare_str()).write();
            let list = shard.get(session.jid.bare_str()).unwrap_or(&self.none);
            let (replaced, kept): (Vec<_>, Vec<_>) =
                list.iter().cloned().partition(|other| other.jid == session.jid);
            if replaced.is_empty() && kept.len() >= max_per_account {
                return Err(TooManySessions);
            }
            let list = kept.into_iter().chain([Arc::clone(&session)]).collect();
            shard.insert(session.jid.bare_str().into(), list);
            replaced
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        for old in replaced {
            self.count.fetch_sub(1, Ordering::Relaxed);
            old.end(EndReason::Conflict);
        }
        Ok(session)
    }

    /// Takes the session out; `false` when another has replaced it already.
    pub fn unbind(&self, session: &Session) -> bool {
        let bare = session.jid.bare_str();
        let mut shard = self.shard(bare).write();
        let Some(list) = shard.get(bare) else { return false };
        if list.iter().all(|other| other.id != session.id) {
            return false;
        }
        let kept: AccountSessions =
            list.iter().filter(|other| other.id != session.id).cloned().collect();
        if kept.is_empty() {
            shard.remove(bare);
        } else {
            shard.insert(bare.into(), kept);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// The sessions of the account that `jid` belongs to.
    pub fn of(&self, jid: &Jid) -> AccountSessions {
        let bare = jid.bare_str();
        self.shard(bare).read().get(bare).unwrap_or(&self.none).clone()
    }

    /// Makes this the session that gets the account's offline messages; `false` when one gets
    /// them already. The claim ends with the session.
    pub fn claim_offline(&self, session: &Session) -> bool {
        let bare = session.jid.bare_str();
        // Written under the lock, so that of two sessions that come at once only one claims.
        let shard = self.shard(bare).write();
        let list = shard.get(bare).unwrap_or(&self.none);
        let claimed = list.iter().any(|other| other.receiving_offline().is_some());
        let bound = list.iter().any(|other| other.id == session.id);
        if bound && !claimed {
            session.set_receiving_offline(Some(StoredCopy(i64::MIN)));
        }
        bound && !claimed
    }

    /// The session with exactly this address.
    pub fn find(&self, jid: &Jid) -> Option<Arc<Session>> {
        self.of(jid).iter().find(|session| *session.jid == *jid).cloned()
    }

    /// From now on the session can be found by this id.
    pub fn make_resumable(&self, id: CompactString, session: &Arc<Session>) {
        self.resumable.lock().insert(id, Arc::clone(session));
    }

    /// The session with this id, if it is the account's own; it is found no more by the id.
    pub fn claim(&self, id: &str, account: &BareJid) -> Option<Arc<Session>> {
        let mut resumable = self.resumable.lock();
        resumable.get(id).filter(|session| session.jid.bare_str() == account.as_str())?;
        resumable.remove(id)
    }

    pub fn forget_resumable(&self, id: &str) {
        self.resumable.lock().remove(id);
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sessions, account by account; for administration and shutdown.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let lists = self.shards.iter().flat_map(|shard| {
            shard.read().values().flat_map(|list| list.iter().cloned()).collect::<Vec<_>>()
        });
        lists.collect()
    }

    fn shard(&self, bare: &str) -> &RwLock<HashMap<Box<str>, AccountSessions>> {
        // The remainder is below the number of shards.
        &self.shards[(self.hasher.hash_one(bare) % SHARDS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(sessions: &Sessions, jid: &str) -> Result<Arc<Session>, TooManySessions> {
        let jid = FullJid::try_from(jid.parse::<Jid>().unwrap()).unwrap();
        sessions.bind(jid, ClientInfo::default(), 1000, 2)
    }

    #[test]
    fn a_new_session_takes_the_resource_and_the_old_one_is_told() {
        let sessions = Sessions::default();
        let old = bind(&sessions, "a@b/c").unwrap();
        let new = bind(&sessions, "a@b/c").unwrap();
        assert!(matches!(old.inbox().take(), Some(Delivery::End(EndReason::Conflict))));
        assert_eq!(sessions.find(&new.jid).unwrap().id, new.id);
        assert!(!sessions.unbind(&old));
        assert!(sessions.unbind(&new));
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn an_account_has_a_bounded_number_of_sessions() {
        let sessions = Sessions::default();
        bind(&sessions, "a@b/1").unwrap();
        bind(&sessions, "a@b/2").unwrap();
        assert_eq!(bind(&sessions, "a@b/3").unwrap_err(), TooManySessions);
        assert!(bind(&sessions, "a@b/2").is_ok());
        assert!(bind(&sessions, "b@b/3").is_ok());
        assert_eq!(sessions.len(), 3);
    }

    #[test]
    fn one_session_gets_the_offline_messages_of_an_account() {
        let sessions = Sessions::default();
        let first = bind(&sessions, "a@b/1").unwrap();
        let second = bind(&sessions, "a@b/2").unwrap();
        assert!(sessions.claim_offline(&first));
        assert!(!sessions.claim_offline(&first) && !sessions.claim_offline(&second));
        sessions.unbind(&first);
        assert!(!sessions.claim_offline(&first));
        assert!(sessions.claim_offline(&second));
    }

    #[test]
    fn a_full_inbox_refuses() {
        let sessions = Sessions::default();
        let session = bind(&sessions, "a@b/1").unwrap();
        let big = Stanza::message(wello_wire::stanza::MessageType::Chat)
            .with_child(wello_wire::xml::Element::new("x", "u").with_text("x".repeat(600)));
        assert_eq!(session.post(big.clone()), Ok(()));
        assert_eq!(session.post(big.clone()), Err(Full));
        assert!(session.inbox().take().is_some());
        assert_eq!(session.post(big), Ok(()));
    }
}
