//! Entity capabilities (XEP-0115): the server's own, and a cache of what clients' hashes stand for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wello_kernel::Kernel;
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope, SessionEvents, StreamFeatures};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::sessions::{Session, SessionId};
use wello_store::StoreError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::caps::{Caps, CapsHash, Verdict, verification_string};
use wello_wire::payload::disco::DiscoInfo;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

pub struct EntityCaps {
    asked: Mutex<Asked>,
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
        EntityCaps { asked: Mutex::default(), permits: Arc::new(Semaphore::new(MAX_QUESTIONS)) }
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
        if !self.asked.lock().begin(&key(&caps), session.id) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        match kernel.store.caps.get(&key(&caps)).await {
            Ok(None) => {}
            Ok(Some(_)) => return self.asked.lock().settle(key(&caps)),
            Err(error) => return tracing::warn!(%error, "capabilities not read"),
        }
        let (kernel, session) = (Arc::clone(kernel), Arc::clone(session));
        let ask = async move {
            learn(&kernel, &session, &caps).await;
            drop(permit);
        };
        // The answer comes through the task that waits for this hook.
        #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
        tokio::spawn(ask);
    }
}

/// Capabilities whose hash can be checked; others hold for their sender alone (section 5.4).
fn announced(presence: &Stanza) -> Option<Caps> {
    let caps = Caps::parse(presence.child("c", ns::CAPS)?).ok()?;
    let checkable = caps.hash.as_deref().is_some_and(|hash| CapsHash::from_name(hash).is_some());
    (checkable && caps.node.len() + caps.ver.len() <= MAX_NAME).then_some(caps)
}

/// The key in the store: the function and the hash. The node is not covered by the hash.
fn key(caps: &Caps) -> String {
    format!("{}:{}", caps.hash.as_deref().unwrap_or_default(), caps.ver)
}

async fn learn(kernel: &Arc<Kernel>, session: &Session, caps: &Caps) {
    let (from, to): (Jid, Jid) = (session.jid.domain_jid().into(), session.jid.clone().into());
    let question = DiscoInfo { node: Some(caps.query_node()), ..DiscoInfo::default() };
    let question = question.to_element();
    let answer = kernel.ask(from, to, IqType::Get, question, PATIENCE).await;
    let Some(answer) = answer.filter(|answer| !answer.is_error()) else { return };
    match verified(caps, &answer) {
        Ok(info) => {
            if let Err(error) = keep(kernel, caps, &info).await {
                tracing::warn!(session = %session.id, %error, "capabilities not stored");
            }
        }
        Err(reason) => tracing::debug!(session = %session.id, reason, "capabilities not taken"),
    }
}

async fn keep(kernel: &Kernel, caps: &Caps, info: &Bytes) -> Result<(), StoreError> {
    kernel.store.caps.put(&key(caps), info).await
}

/// Section 5.4: the answer as it is kept, if it is what the hash stands for. Anything else could
/// be made up by one client to change what others seem to be able to do (section 9.2).
fn verified(caps: &Caps, answer: &Stanza) -> Result<Bytes, &'static str> {
    let query = answer.child("query", ns::DISCO_INFO).ok_or("no disco#info")?;
    let info = DiscoInfo::parse(query).map_err(|_| "disco#info is malformed")?;
    match caps.verify(&info) {
        Ok(Verdict::Match) => {}
        Ok(Verdict::Mismatch) => return Err("the hash is another one"),
        Ok(Verdict::Unknown) => return Err("unknown hash function"),
        Err(_) => return Err("disco#info is ill-formed"),
    }
    // Written anew: only what the hash covers is kept.
    let xml = DiscoInfo { node: None, ..info }.to_element().to_string();
    if xml.len() > MAX_INFO { Err("disco#info is too big") } else { Ok(xml.into()) }
}

/// Which hashes need no question any more.
#[derive(Default)]
struct Asked {
    /// In the store.
    settled: HashSet<String>,
    /// Another session with the same hash is asked again, as this one's answer may be wrong.
    sessions: HashSet<(String, SessionId)>,
}

/// Entries of each set before it is emptied; then questions are asked again.
const MAX_ASKED: usize = 10_000;

impl Asked {
    /// Whether the session is to be asked; only once for each hash.
    fn begin(&mut self, key: &str, session: SessionId) -> bool {
        if self.settled.contains(key) {
            return false;
        }
        if self.sessions.len() >= MAX_ASKED {
            self.sessions.clear();
        }
        self.sessions.insert((key.to_owned(), session))
    }

    fn settle(&mut self, key: String) {
        if self.settled.len() >= MAX_ASKED {
            self.settled.clear();
        }
        self.settled.insert(key);
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

    fn answer(info: &str) -> Result<Bytes, &'static str> {
        let text = format!(
            "<iq xmlns='jabber:client' type='result' id='1'>\
             <query xmlns='http://jabber.org/protocol/disco#info' node='urn:exodus#{VER}'>{info}</query></iq>"
        );
        let answer = Stanza::from_element(text.parse().unwrap()).unwrap();
        verified(&caps("sha-1", VER).unwrap(), &answer)
    }

    #[test]
    fn only_what_the_hash_stands_for_is_kept() {
        let kept = answer(INFO).unwrap();
        let kept = std::str::from_utf8(&kept).unwrap().parse::<Element>().unwrap();
        let kept = DiscoInfo::parse(&kept).unwrap();
        assert_eq!((kept.node, kept.features.len()), (None, 4));
        let poisoned = format!("{INFO}<feature var='urn:poison'/>");
        assert_eq!(answer(&poisoned), Err("the hash is another one"));
        let twice = format!("{INFO}<feature var='http://jabber.org/protocol/muc'/>");
        assert_eq!(answer(&twice), Err("disco#info is ill-formed"));
    }

    #[test]
    fn hashes_that_cannot_be_checked_are_not_asked_about() {
        assert!(caps("sha-1", VER).is_some());
        assert!(caps("md5", VER).is_none());
        assert!(caps("sha-1", &"x".repeat(MAX_NAME)).is_none());
    }

    #[test]
    fn a_session_is_asked_once_and_nobody_when_it_is_known() {
        let mut asked = Asked::default();
        assert!(asked.begin("sha-1:x", SessionId(1)));
        assert!(!asked.begin("sha-1:x", SessionId(1)));
        assert!(asked.begin("sha-1:x", SessionId(2)));
        asked.settle("sha-1:x".to_owned());
        assert!(!asked.begin("sha-1:x", SessionId(3)));
        for n in 0..3 * MAX_ASKED as u64 {
            asked.begin("sha-1:y", SessionId(n));
            asked.settle(n.to_string());
        }
        assert!(asked.sessions.len() <= MAX_ASKED && asked.settled.len() <= MAX_ASKED);
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
