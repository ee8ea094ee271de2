//! Which devices have got the last items of which nodes, so that they get them once (XEP-0163,
//! section 4.3.3).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use wello_kernel::sessions::SessionId;
use wello_wire::payload::disco::DiscoInfo;

use super::notify::interests;

#[derive(Default)]
pub(crate) struct Served {
    sessions: Mutex<HashMap<SessionId, Arc<DiscoInfo>>>,
}

impl Served {
    /// The nodes whose last items the session has not got yet; from now on it has.
    pub(crate) fn begin(&self, session: SessionId, info: &Arc<DiscoInfo>) -> HashSet<String> {
        let before = self.sessions.lock().insert(session, Arc::clone(info));
        let mut wanted: HashSet<String> = interests(info).map(str::to_owned).collect();
        if let Some(before) = before {
            interests(&before).for_each(|node| {
                wanted.remove(node);
            });
        }
        wanted
    }

    pub(crate) fn wanted(&self, session: SessionId) -> HashSet<String> {
        let sessions = self.sessions.lock();
        let info = sessions.get(&session);
        info.map(|info| interests(info).map(str::to_owned).collect()).unwrap_or_default()
    }

    /// It is unavailable: when it comes back, it gets them again.
    pub(crate) fn forget(&self, session: SessionId) {
        self.sessions.lock().remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(nodes: &[&str]) -> Arc<DiscoInfo> {
        let features = nodes.iter().map(|node| format!("{node}+notify"));
        let features = features.chain(["urn:other".to_owned()]).collect();
        Arc::new(DiscoInfo { features, ..DiscoInfo::default() })
    }

    fn set(nodes: &[&str]) -> HashSet<String> {
        nodes.iter().map(|node| (*node).to_owned()).collect()
    }

    #[test]
    fn each_node_is_served_once_between_two_absences() {
        let served = Served::default();
        assert_eq!(served.begin(SessionId(1), &info(&["a", "b"])), set(&["a", "b"]));
        assert_eq!(served.begin(SessionId(1), &info(&["a", "b"])), set(&[]));
        assert_eq!(served.begin(SessionId(1), &info(&["b", "c"])), set(&["c"]));
        assert_eq!(served.wanted(SessionId(1)), set(&["b", "c"]));
        assert_eq!(served.begin(SessionId(2), &info(&["a"])), set(&["a"]));
        served.forget(SessionId(1));
        assert_eq!(served.wanted(SessionId(1)), set(&[]));
        assert_eq!(served.begin(SessionId(1), &info(&["b"])), set(&["b"]));
    }
}
