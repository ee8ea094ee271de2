//! Entity capabilities (XEP-0115): the server's own, and a cache of what clients' hashes stand for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wello_kernel::Kernel;
use wello_kernel::config::Component;
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope, SessionEvents, StreamFeatures};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::sessions::{Session, SessionId};
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::caps::{Caps, CapsHash, Verdict, verification_string};
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

#[derive(Clone)]
pub struct EntityCaps {
    known: Arc<Known>,
    /// Questions under way.
    permits: Arc<Semaphore>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0115",
    title: "Entity Capabilities",
    version: "1.6.0",
    status: Status::Complete,
    host_features: &[ns::CAPS],
    account_features: &[],
}];

/// Names the software (section 4).
const NODE: &str = "urn:wello:server";
const MAX_QUESTIONS: usize = 200;
/// How long a client may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of a client's node and hash together; a SHA-512 in base 64 has 88.
const MAX_NAME: usize = 1024;
/// Octets of an answer that is kept. Clients with everything have about 5 KiB.
const MAX_INFO: usize = 32 * 1024;

impl Default for EntityCaps {
    fn default() -> EntityCaps {
        EntityCaps { known: Arc::default(), permits: Arc::new(Semaphore::new(MAX_QUESTIONS)) }
    }
}

impl Module for EntityCaps {
    fn name(&self) -> &'static str {
        "caps"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.stream_features(Arc::clone(&self) as _);
        registrar.discovery(Arc::clone(&self) as _);
        registrar.sessions(self);
    }
}

/// Section 6.3.
#[async_trait]
impl StreamFeatures for EntityCaps {
    async fn features(&self, kernel: &Arc<Kernel>, host: &BareJid) -> Vec<Element> {
        // What components add to the features of a host comes and goes with them (XEP-0355).
        let managed = |component: &Component| {
            component.manages(host.as_str()) && !component.delegations.is_empty()
        };
        if kernel.config.component.iter().any(managed) {
            return Vec::new();
        }
        let info = crate::disco::host_info(kernel, host).await;
        own_caps(&info).iter().map(Caps::to_element).collect()
    }
}

#[async_trait]
impl Discovery for EntityCaps {
    async fn node(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<DiscoInfo> {
        let node = query.node.as_deref().filter(|_| query.scope == IqScope::Host)?;
        // Before the work, which most nodes are not worth.
        node.strip_prefix(NODE)?;
        let info = crate::disco::host_info(kernel, &query.to).await;
        own_caps(&info).is_some_and(|caps| caps.query_node() == node).then_some(info)
    }
}

fn own_caps(info: &DiscoInfo) -> Option<Caps> {
    match verification_string(info, CapsHash::Sha1) {
        Ok(ver) => {
            let hash = Some(CapsHash::Sha1.name().to_owned());
            Some(Caps { node: NODE.to_owned(), ver, hash })
        }
        Err(error) => {
            tracing::error!(%error, "the server's own capabilities cannot be hashed");
            None
        }
    }
}

#[async_trait]
impl SessionEvents for EntityCaps {
    async fn available(&self, kernel: &Arc<Kernel>, session: &Arc<Session>) {
        let Some(caps) = session.presence().as_ref().and_then(announced) else { return };
        if let Some(info) = self.known.find(kernel, session.id, &caps).await {
            return kernel.capable(session, &info).await;
        }
        // Who cannot be asked now is when it says so again.
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        if !self.known.begin(&caps, session.id) {
            return;
        }
        let (kernel, session) = (Arc::clone(kernel), Arc::clone(session));
        let known = Arc::clone(&self.known);
        let question = (key(&caps), session.id);
        known.asking.lock().insert(question.clone());
        let ask = async move {
            let learnt = known.learn(&kernel, &session, caps).await;
            known.asking.lock().remove(&question);
            if let Some(info) = learnt {
                kernel.capable(&session, &info).await;
            }
            drop(permit);
        };
        // The answer comes through the task that waits for this hook.
        #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
        tokio::spawn(ask);
    }

    async fn ended(&self, _kernel: &Arc<Kernel>, session: &Arc<Session>) {
        self.known.own.lock().remove(&session.id);
    }
}

impl EntityCaps {
    /// What the client of a session can do, if it has said so and was understood.
    pub(crate) async fn info(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
    ) -> Option<Arc<DiscoInfo>> {
        let caps = announced(&session.presence()?)?;
        self.known.find(kernel, session.id, &caps).await
    }

    /// Whether a session has been asked what it can do, as of its last presence, and may still answer.
    pub(crate) fn is_asking(&self, session: &Session) -> bool {
        let caps = session.presence().as_ref().and_then(announced);
        caps.is_some_and(|caps| self.known.asking.lock().contains(&(key(&caps), session.id)))
    }

    /// What devices of other servers can do that say so by a hash; others are not asked.
    pub(crate) async fn known_of(&self, kernel: &Kernel, caps: &Caps) -> Option<Arc<DiscoInfo>> {
        self.known.shared(kernel, caps).await
    }

    /// Finds out what a device of another server can do, asking it in the name of `account`'s host
    /// unless the hash is known. `None` when too much is being asked.
    pub(crate) fn learn_from_elsewhere(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        device: &FullJid,
        caps: &Caps,
    ) -> Option<impl Future<Output = Option<Arc<DiscoInfo>>> + Send + use<>> {
        if !is_checkable(caps) {
            return None;
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let (kernel, known, caps) = (Arc::clone(kernel), Arc::clone(&self.known), caps.clone());
        let (from, to) = (Jid::from(account.domain_jid()), Jid::from(device.clone()));
        Some(async move {
            let found = match known.shared(&kernel, &caps).await {
                Some(info) => Some(info),
                None => known.ask(&kernel, from, to, &caps).await,
            };
            drop(permit);
            found
        })
    }
}

/// What a presence says of its sender.
pub(crate) fn announced(presence: &Stanza) -> Option<Caps> {
    let caps = Caps::parse(presence.child("c", ns::CAPS)?).ok()?;
    (caps.node.len() + caps.ver.len() <= MAX_NAME).then_some(caps)
}

/// Whether what the hash stands for can be checked; otherwise it holds for its sender alone
/// (section 5.4).
fn is_checkable(caps: &Caps) -> bool {
    caps.hash.as_deref().is_some_and(|hash| CapsHash::from_name(hash).is_some())
}

/// The key in the store: the function and the hash. The node is not covered by the hash.
fn key(caps: &Caps) -> String {
    format!("{}:{}", caps.hash.as_deref().unwrap_or_default(), caps.ver)
}

/// What hashes stand for.
#[derive(Default)]
struct Known {
    /// Copies of what is in the store.
    shared: Mutex<HashMap<String, Arc<DiscoInfo>>>,
    /// Answers that hold for one session, and for which capabilities.
    own: Mutex<HashMap<SessionId, (Caps, Arc<DiscoInfo>)>>,
    /// A session is asked once about each. Another session with the same hash is asked again, as
    /// this one's answer may be wrong.
    asked: Mutex<HashSet<(String, SessionId)>>,
    /// Questions whose answer is awaited.
    asking: Mutex<HashSet<(String, SessionId)>>,
}

/// Entries of `asked` before it is emptied; then questions are asked again.
const MAX_ASKED: usize = 10_000;
/// Entries of `shared` before it is emptied; then the store is asked again.
const MAX_SHARED: usize = 500;

impl Known {
    async fn find(
        &self,
        kernel: &Arc<Kernel>,
        session: SessionId,
        caps: &Caps,
    ) -> Option<Arc<DiscoInfo>> {
        if let Some((of, info)) = self.own.lock().get(&session)
            && of == caps
        {
            return Some(Arc::clone(info));
        }
        self.shared(kernel, caps).await
    }

    /// What a hash stands for, whoever says it.
    async fn shared(&self, kernel: &Kernel, caps: &Caps) -> Option<Arc<DiscoInfo>> {
        if !is_checkable(caps) {
            return None;
        }
        if let Some(info) = self.shared.lock().get(&key(caps)) {
            return Some(Arc::clone(info));
        }
        match kernel.store.caps.get(&key(caps)).await {
            Ok(Some(xml)) => {
                let query = std::str::from_utf8(&xml).ok()?.parse::<Element>().ok()?;
                let info = Arc::new(DiscoInfo::parse(&query).ok()?);
                self.share(key(caps), &info);
                Some(info)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "capabilities not read");
                None
            }
        }
    }

    fn share(&self, key: String, info: &Arc<DiscoInfo>) {
        let mut shared = self.shared.lock();
        if shared.len() >= MAX_SHARED {
            shared.clear();
        }
        shared.insert(key, Arc::clone(info));
    }

    /// Whether the session is to be asked.
    fn begin(&self, caps: &Caps, session: SessionId) -> bool {
        let mut asked = self.asked.lock();
        if asked.len() >= MAX_ASKED {
            asked.clear();
        }
        asked.insert((key(caps), session))
    }

    /// Asks a device; an answer that the hash does not stand for is not taken.
    async fn ask(
        &self,
        kernel: &Arc<Kernel>,
        from: Jid,
        to: Jid,
        caps: &Caps,
    ) -> Option<Arc<DiscoInfo>> {
        let question = DiscoInfo { node: Some(caps.query_node()), ..DiscoInfo::default() };
        let question = question.to_element();
        let answer = kernel.ask(from, to, IqType::Get, question, PATIENCE).await?;
        match read(caps, &answer) {
            Ok((info, Validity::Everybody)) => Some(self.keep(kernel, caps, info).await),
            Ok((_, Validity::Sender)) | Err(_) => None,
        }
    }

    async fn keep(&self, kernel: &Kernel, caps: &Caps, info: DiscoInfo) -> Arc<DiscoInfo> {
        let info = Arc::new(info);
        let xml = info.to_element().to_string();
        if let Err(error) = kernel.store.caps.put(&key(caps), &xml.into()).await {
            tracing::warn!(%error, "capabilities not stored");
        }
        self.share(key(caps), &info);
        info
    }

    async fn learn(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        caps: Caps,
    ) -> Option<Arc<DiscoInfo>> {
        let (from, to): (Jid, Jid) = (session.jid.domain_jid().into(), session.jid.clone().into());
        let question = DiscoInfo { node: Some(caps.query_node()), ..DiscoInfo::default() };
        let question = question.to_element();
        let answer = kernel.ask(from, to, IqType::Get, question, PATIENCE).await?;
        match read(&caps, &answer) {
            Ok((info, Validity::Everybody)) => Some(self.keep(kernel, &caps, info).await),
            Ok((info, Validity::Sender)) => {
                let info = Arc::new(info);
                self.own.lock().insert(session.id, (caps, Arc::clone(&info)));
                // It may have ended before this came; then nobody would take it out again.
                if kernel.sessions.find(&session.jid).is_none_or(|found| found.id != session.id) {
                    self.own.lock().remove(&session.id);
                }
                Some(info)
            }
            Err(reason) => {
                tracing::debug!(session = %session.id, reason, "capabilities not taken");
                None
            }
        }
    }
}

/// For whom an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validity {
    Everybody,
    /// Anything that the hash does not stand for could be made up by one client to change what
    /// others seem to be able to do (section 9.2).
    Sender,
}

/// Section 5.4.
fn read(caps: &Caps, answer: &Stanza) -> Result<(DiscoInfo, Validity), &'static str> {
    if answer.is_error() {
        return Err("an error");
    }
    let query = answer.child("query", ns::DISCO_INFO).ok_or("no disco#info")?;
    let info = DiscoInfo::parse(query).map_err(|_| "disco#info is malformed")?;
    // Written anew: only what the hash covers is kept.
    let info = DiscoInfo { node: None, ..info };
    if info.to_element().to_string().len() > MAX_INFO {
        return Err("disco#info is too big");
    }
    match caps.verify(&info) {
        Ok(Verdict::Match) => Ok((info, Validity::Everybody)),
        Ok(Verdict::Mismatch | Verdict::Unknown) => Ok((info, Validity::Sender)),
        Err(_) => Err("disco#info is ill-formed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XEP-0115, section 5.2.
    const VER: &str = "QgayPKawpkPSDYmwT/WM94uAlu0=";
    const INFO: &str = "<identity category='client' type='pc' name='Exodus 0.9.1'/>\
        <feature var='http://jabber.org/protocol/caps'/>\
        <feature var='http://jabber.org/protocol/disco#info'/>\
        <feature var='http://jabber.org/protocol/disco#items'/>\
        <feature var='http://jabber.org/protocol/muc'/>";

    fn caps(hash: &str, ver: &str) -> Option<Caps> {
        let text = format!(
            "<presence xmlns='jabber:client'><c xmlns='http://jabber.org/protocol/caps' \
             hash='{hash}' node='urn:exodus' ver='{ver}'/></presence>"
        );
        announced(&Stanza::from_element(text.parse().unwrap()).unwrap())
    }

    fn answer(hash: &str, info: &str) -> Result<(DiscoInfo, Validity), &'static str> {
        let text = format!(
            "<iq xmlns='jabber:client' type='result' id='1'>\
             <query xmlns='http://jabber.org/protocol/disco#info' node='urn:exodus#{VER}'>{info}</query></iq>"
        );
        let answer = Stanza::from_element(text.parse().unwrap()).unwrap();
        read(&caps(hash, VER).unwrap(), &answer)
    }

    #[test]
    fn only_what_the_hash_stands_for_is_shared() {
        let (kept, validity) = answer("sha-1", INFO).unwrap();
        assert_eq!((kept.node, kept.features.len()), (None, 4));
        assert_eq!(validity, Validity::Everybody);
        let poisoned = format!("{INFO}<feature var='urn:poison'/>");
        assert_eq!(answer("sha-1", &poisoned).unwrap().1, Validity::Sender);
        assert_eq!(answer("md5", INFO).unwrap().1, Validity::Sender);
        let twice = format!("{INFO}<feature var='http://jabber.org/protocol/muc'/>");
        assert_eq!(answer("sha-1", &twice), Err("disco#info is ill-formed"));
    }

    #[test]
    fn names_are_bounded() {
        assert!(caps("sha-1", VER).is_some());
        assert!(caps("sha-1", &"x".repeat(MAX_NAME)).is_none());
        assert!(is_checkable(&caps("sha-1", VER).unwrap()));
        assert!(!is_checkable(&caps("md5", VER).unwrap()));
    }

    #[test]
    fn a_session_is_asked_once() {
        let known = Known::default();
        let caps = caps("sha-1", VER).unwrap();
        assert!(known.begin(&caps, SessionId(1)));
        assert!(!known.begin(&caps, SessionId(1)));
        assert!(known.begin(&caps, SessionId(2)));
        for n in 0..3 * MAX_ASKED as u64 {
            known.begin(&caps, SessionId(n));
            known.share(n.to_string(), &Arc::default());
        }
        assert!(known.asked.lock().len() <= MAX_ASKED);
        assert!(known.shared.lock().len() <= MAX_SHARED);
    }

    #[test]
    fn the_own_hash_changes_with_the_features() {
        let mut info = DiscoInfo { features: vec!["a".to_owned()], ..DiscoInfo::default() };
        let before = own_caps(&info).unwrap();
        assert_eq!(before.verify(&info), Ok(Verdict::Match));
        info.features.push("b".to_owned());
        assert_ne!(own_caps(&info).unwrap().ver, before.ver);
    }
}
