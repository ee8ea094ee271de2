//! Waking devices that are away, by the app server that their app has chosen (XEP-0357).
//!
//! A device is woken for what its own session did not get over a living connection: what waits in
//! its hibernating session, and, when it has none, what no other device of the account got.

pub mod app_server;
mod policy;
mod publish;
mod requests;
mod rooms;
mod sending;
mod silent;
#[cfg(test)]
mod tests;
mod wake;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use wello_kernel::Kernel;

use wello_kernel::hooks::{AccountEvents, After, IqScope, SessionEvents};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::passage::{Passage, Side};
use wello_kernel::sessions::Session;
use wello_store::PushService;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::stanza::Stanza;

use crate::pubsub::PubSub;
use policy::{Away, is_answer, is_woken, wake};
use publish::Notice;
use rooms::{Bookmarks, is_marked, is_mentioned, is_woken_absent, is_woken_inside, room_of};
use sending::Sending;
use silent::Silent;
use wake::Wake;

pub(crate) use rooms::{Absent, Said};

pub struct Push {
    shared: Arc<Shared>,
    /// Rooms whose absent members are being looked through.
    looks: Arc<Semaphore>,
}

struct Shared {
    pubsub: Arc<PubSub>,
    sending: Arc<Sending>,
    silent: Silent,
    bookmarks: Bookmarks,
}

/// More than these at once are left out.
const MAX_LOOKS: usize = 64;

impl Push {
    pub fn new(pubsub: Arc<PubSub>) -> Push {
        let shared = Shared {
            pubsub,
            sending: Arc::default(),
            silent: Silent::default(),
            bookmarks: Bookmarks::default(),
        };
        Push { shared: Arc::new(shared), looks: Arc::new(Semaphore::new(MAX_LOOKS)) }
    }

    /// Whether a message would wake anybody.
    pub(crate) fn is_worth_it(&self, stanza: &Stanza) -> bool {
        wake(stanza).0.is_some()
    }

    /// `false` for an account that is known to have no device that could be woken.
    pub(crate) fn may_wake(&self, account: &BareJid) -> bool {
        !self.shared.silent.is_silent(account.as_str())
    }

    /// Wakes devices of those who may not have seen what was said in a room.
    pub(crate) fn tell_absent(&self, kernel: &Arc<Kernel>, said: Said) {
        let Ok(look) = Arc::clone(&self.looks).try_acquire_owned() else {
            tracing::warn!(room = %said.room, "too many rooms at once, nobody is woken");
            return;
        };
        let (shared, kernel) = (Arc::clone(&self.shared), Arc::clone(kernel));
        let tell = async move {
            shared.tell_absent(&kernel, said).await;
            drop(look);
        };
        #[expect(clippy::disallowed_methods, reason = "who speaks is not to wait for bookmarks")]
        tokio::spawn(tell);
    }
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0357",
    title: "Push Notifications",
    version: "0.4.1",
    status: Status::Complete,
    host_features: &[],
    account_features: &[ns::PUSH],
}];

impl Module for Push {
    fn name(&self) -> &'static str {
        "push"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::PUSH, Arc::clone(&self) as _);
        registrar.after(Arc::clone(&self) as _);
        registrar.accounts(Arc::clone(&self) as _);
        registrar.sessions(self);
    }
}

#[async_trait]
impl After for Push {
    async fn after(&self, kernel: &Arc<Kernel>, passage: &Passage) {
        self.shared.stop_ringing(kernel, passage).await;
        let Some(account) = &passage.recipient else { return };
        if passage.stanza.has_child("pubsub", ns::PUBSUB) {
            return requests::handle_affiliation(kernel, account, &passage.stanza).await;
        }
        if passage.held {
            return;
        }
        // Rooms here tell of what is said in them themselves.
        let is_ours = |room: &BareJid| kernel.hooks().services.contains_key(room.domain());
        if room_of(&passage.stanza).is_some_and(|room| is_ours(&room)) {
            return;
        }
        // What one's own devices write is no news.
        if passage.sender.as_ref() == Some(account) {
            return;
        }
        let (wake, reason) = wake(&passage.stanza);
        let Some(wake) = wake else { return };
        let got = sessions_that_got(passage);
        tracing::trace!(%account, ?wake, reason, "may be pushed");
        self.shared.wake_away(kernel, account, &passage.stanza, wake, &got).await;
    }
}

#[async_trait]
impl AccountEvents for Push {
    async fn asked(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        request: &Stanza,
        told: &[Arc<Session>],
    ) {
        let told: Vec<_> = told.iter().collect();
        self.shared.wake_away(kernel, account, request, Wake::Request, &told).await;
    }
}

/// The sessions of the recipient that it was handed to.
fn sessions_that_got(passage: &Passage) -> Vec<&Arc<Session>> {
    let copies = passage.copies.iter().filter(|copy| copy.side == Side::Recipient);
    passage.targets.iter().chain(copies.map(|copy| &copy.session)).collect()
}

#[async_trait]
impl SessionEvents for Push {
    async fn bound(&self, kernel: &Arc<Kernel>, session: &Arc<Session>) {
        self.shared.forget_counts(kernel, session).await;
    }

    /// What was on its way when the connection broke was never seen.
    async fn hibernating(&self, kernel: &Arc<Kernel>, session: &Arc<Session>, waiting: &[Stanza]) {
        self.shared.forget_counts(kernel, session).await;
        let account = session.bare();
        let messages = waiting.iter().filter(|stanza| !is_own(stanza, session));
        let news: Vec<_> = messages.filter_map(|stanza| Some((stanza, wake(stanza).0?))).collect();
        if news.is_empty() {
            return;
        }
        let services = self.shared.services(kernel, &account).await;
        let services: Vec<_> = services.iter().filter(|one| is_of(one, session)).collect();
        if services.is_empty() {
            return;
        }
        for (stanza, wake) in news {
            if !self.shared.wants(kernel, &account, stanza).await {
                continue;
            }
            let notice = self.shared.notice(kernel, &account, stanza, wake).await;
            for service in &services {
                self.shared.wake(kernel, (*service).clone(), notice.clone());
            }
        }
    }
}

/// Written by the account itself, perhaps in a room, which has its presence. Copies come from it, whoever wrote
/// what they wrap.
fn is_own(stanza: &Stanza, session: &Session) -> bool {
    let Some(from) = &stanza.from else { return false };
    let by_account = from.bare_str() == session.jid.bare_str();
    let as_occupant = !from.is_bare() && session.has_directed(from);
    (by_account && !stanza.has_child("received", ns::CARBONS)) || as_occupant
}

impl Shared {
    /// A call that one device has answered rings no more on those that were woken for it.
    async fn stop_ringing(&self, kernel: &Arc<Kernel>, passage: &Passage) {
        let Some(session) = &passage.session else { return };
        if !is_answer(&passage.stanza) {
            return;
        }
        let copies = passage.copies.iter().filter(|copy| copy.side == Side::Sender);
        let got: Vec<_> = copies.map(|copy| &copy.session).collect();
        self.wake_away(kernel, &session.bare(), &passage.stanza, Wake::Quiet, &got).await;
    }

    /// Wakes the devices of an account that are away, for a stanza that these sessions got.
    async fn wake_away(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        stanza: &Stanza,
        wake: Wake,
        got: &[&Arc<Session>],
    ) {
        let seen = got.iter().any(|session| !session.is_hibernating());
        let asleep = got.iter().any(|session| session.is_hibernating());
        if seen && !asleep {
            return;
        }
        let services = self.services(kernel, account).await;
        if services.is_empty() || !self.wants(kernel, account, stanza).await {
            return;
        }
        let notice = self.notice(kernel, account, stanza, wake).await;
        for service in services {
            let away = match session_of(kernel, &service, account) {
                Some(session) if !session.is_hibernating() => Away::Connected,
                Some(session) if got.iter().any(|other| other.id == session.id) => Away::Waiting,
                _ => Away::Gone,
            };
            if is_woken(away, seen) {
                self.wake(kernel, service, notice.clone());
            }
        }
    }

    async fn notice(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        stanza: &Stanza,
        wake: Wake,
    ) -> Notice {
        let notice = Notice::of(stanza, wake, kernel);
        if wake != Wake::Request {
            return notice;
        }
        match kernel.store.roster.requests(account.as_str()).await {
            Ok(requests) => notice.with_requests(requests.len()),
            Err(error) => {
                tracing::error!(%account, %error, "subscription requests not read");
                notice
            }
        }
    }

    /// What the user's settings say of a message from a room that a device is in.
    async fn wants(&self, kernel: &Arc<Kernel>, account: &BareJid, stanza: &Stanza) -> bool {
        let Some(room) = room_of(stanza) else { return true };
        let bookmark = self.bookmarks.of(kernel, &self.pubsub, account, &room).await;
        let mentioned =
            is_marked(stanza, account, &bookmark) || is_mentioned(stanza, account, &bookmark, None);
        is_woken_inside(&bookmark, mentioned)
    }

    async fn tell_absent(&self, kernel: &Arc<Kernel>, said: Said) {
        let Some(wake) = wake(&said.stanza).0 else { return };
        for Absent { account, inside, nick, mentioned } in said.absent {
            let services = self.services(kernel, &account).await;
            if services.is_empty() {
                continue;
            }
            let bookmark = self.bookmarks.of(kernel, &self.pubsub, &account, &said.room).await;
            let mentioned = mentioned
                || inside && is_marked(&said.stanza, &account, &bookmark)
                || is_mentioned(&said.stanza, &account, &bookmark, nick.as_deref());
            let (woken, reason) = match inside {
                true => (is_woken_inside(&bookmark, mentioned), "away in the room"),
                false => is_woken_absent(&bookmark, said.private, mentioned),
            };
            tracing::trace!(%account, room = %said.room, woken, reason, "absent from a room");
            for service in services.into_iter().filter(|_| woken) {
                // Another device may be in the room and awake: then one without a session waits.
                let session = session_of(kernel, &service, &account);
                if session.map_or(!inside, |session| session.is_hibernating()) {
                    self.wake(kernel, service, Notice::of(&said.stanza, wake, kernel));
                }
            }
        }
    }

    async fn services(&self, kernel: &Arc<Kernel>, account: &BareJid) -> Vec<PushService> {
        let Some(look) = self.silent.begin(account.as_str()) else { return Vec::new() };
        match kernel.store.push.list(account.as_str()).await {
            Ok(services) => {
                if services.is_empty() {
                    self.silent.note(account.as_str(), look);
                }
                services
            }
            Err(error) => {
                tracing::error!(%account, %error, "push services not read");
                Vec::new()
            }
        }
    }

    fn wake(&self, kernel: &Arc<Kernel>, service: PushService, notice: Notice) {
        let now = kernel.clock.now();
        if service.paused_until.is_none_or(|until| until <= now) {
            Sending::begin(&self.sending, kernel, service, notice);
        }
    }

    /// Its client is there, or was until now: what is unread it has to know itself.
    async fn forget_counts(&self, kernel: &Arc<Kernel>, session: &Arc<Session>) {
        if !self.sending.has_counts() {
            return;
        }
        for service in self.services(kernel, &session.bare()).await {
            if is_of(&service, session) {
                self.sending.forget_count(&service);
            }
        }
    }
}

/// The session of the device that a service is for.
fn session_of(
    kernel: &Arc<Kernel>,
    service: &PushService,
    account: &BareJid,
) -> Option<Arc<Session>> {
    kernel.sessions.of(account).iter().find(|session| is_of(service, session)).cloned()
}

fn is_of(service: &PushService, session: &Session) -> bool {
    let same_client =
        service.client.is_some() && service.client.as_deref() == session.info.client_id.as_deref();
    same_client || service.resource == session.jid.resource()
}
