//! Notices on their way to app servers. One at a time goes to each device; what comes meanwhile is
//! sent as one when that has arrived.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use wello_kernel::Kernel;
use wello_store::{PushService, StoreError};
use wello_wire::jid::Jid;
use wello_wire::stanza::IqType;

use super::publish::{Notice, Outcome, outcome};

/// Devices that are being told something at once.
const MAX_UNDER_WAY: usize = 10_000;
/// Devices whose unread messages are counted before all counts are forgotten.
const MAX_COUNTS: usize = 100_000;
/// How long an app server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before it is tried again within one sending.
const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// Sendings that fail in a row before a service is left alone.
pub(super) const MAX_FAILURES: u32 = 5;
/// Section 8.1: and how long it is left alone before it is tried once more.
const PAUSE_MICROS: i64 = 24 * 3600 * 1_000_000;

/// Account, app server and node.
type Key = (String, String, String);

fn key(service: &PushService) -> Key {
    (service.account.clone(), service.jid.clone(), service.node.clone())
}

#[derive(Default)]
pub(super) struct Sending {
    /// What waits until the notice under way has arrived.
    under_way: Mutex<HashMap<Key, Option<Notice>>>,
    /// Messages since the device was last there.
    counts: Mutex<HashMap<Key, u32>>,
}

impl Sending {
    /// Sends a notice, now or together with those that follow.
    pub(super) fn begin(
        this: &Arc<Sending>,
        kernel: &Arc<Kernel>,
        service: PushService,
        notice: Notice,
    ) {
        let key = key(&service);
        this.count(&key);
        {
            let mut under_way = this.under_way.lock();
            if let Some(waiting) = under_way.get_mut(&key) {
                *waiting = Some(match waiting.take() {
                    Some(earlier) => earlier.followed_by(notice),
                    None => notice,
                });
                return;
            }
            if under_way.len() >= MAX_UNDER_WAY {
                tracing::warn!(
                    account = service.account,
                    "too much is being pushed, one is left out"
                );
                return;
            }
            under_way.insert(key.clone(), None);
        }
        let (this, kernel) = (Arc::clone(this), Arc::clone(kernel));
        let send = async move {
            let mut next = Some(notice);
            while let Some(notice) = next {
                this.send(&kernel, &service, &key, &notice).await;
                next = this.after(&key);
            }
        };
        #[expect(clippy::disallowed_methods, reason = "nobody is to wait for an app server")]
        tokio::spawn(send);
    }

    /// What came while the last one was sent; with nothing, the sending is over.
    fn after(&self, key: &Key) -> Option<Notice> {
        let mut under_way = self.under_way.lock();
        let next = under_way.get_mut(key).and_then(Option::take);
        if next.is_none() {
            under_way.remove(key);
        }
        next
    }

    async fn send(&self, kernel: &Arc<Kernel>, service: &PushService, key: &Key, notice: &Notice) {
        let mut waits = WAITS.into_iter();
        let outcome = loop {
            let outcome = publish(kernel, service, notice, self.counted(key)).await;
            match waits.next() {
                Some(wait) if outcome == Outcome::Later => sleep(wait).await,
                _ => break outcome,
            }
        };
        if let Err(error) = settle(kernel, service, outcome).await {
            tracing::error!(account = service.account, %error, "push service not changed");
        }
    }

    fn count(&self, key: &Key) {
        let mut counts = self.counts.lock();
        if counts.len() >= MAX_COUNTS {
            counts.clear();
        }
        *counts.entry(key.clone()).or_default() += 1;
    }

    fn counted(&self, key: &Key) -> u32 {
        self.counts.lock().get(key).copied().unwrap_or(1)
    }

    pub(super) fn has_counts(&self) -> bool {
        !self.counts.lock().is_empty()
    }

    pub(super) fn forget_count(&self, service: &PushService) {
        self.counts.lock().remove(&key(service));
    }
}

async fn publish(
    kernel: &Arc<Kernel>,
    service: &PushService,
    notice: &Notice,
    count: u32,
) -> Outcome {
    // Section 8: from the server. Both were addresses when they were stored.
    let host = service.account.split('@').nth(1).and_then(|host| host.parse::<Jid>().ok());
    let (Some(from), Ok(to)) = (host, service.jid.parse::<Jid>()) else { return Outcome::Never };
    let payload = notice.to_element(service, count);
    let answer = kernel.ask(from, to, IqType::Set, payload, PATIENCE).await;
    outcome(answer.as_ref())
}

/// Section 8.1.
async fn settle(
    kernel: &Arc<Kernel>,
    service: &PushService,
    outcome: Outcome,
) -> Result<(), StoreError> {
    let push = &kernel.store.push;
    let PushService { account, jid, node, .. } = service;
    // It may have failed meanwhile, or been enabled anew.
    let services = push.list(account).await?;
    let current = services.iter().find(|one| one.jid == *jid && one.node == *node);
    let Some(current) = current else { return Ok(()) };
    match outcome {
        Outcome::Published if current.failures == 0 => Ok(()),
        Outcome::Published => push.set_failures(current, 0, None).await,
        Outcome::Later => {
            let failures = current.failures.saturating_add(1);
            let paused = failures >= MAX_FAILURES;
            let until = paused.then(|| kernel.clock.now().plus_micros(PAUSE_MICROS));
            if paused {
                tracing::info!(account, service = jid, "a push service does not answer, pausing");
            }
            push.set_failures(current, failures, until).await
        }
        // Enabled anew while it was told about the old one: that is judged by its own answer.
        Outcome::Never if current.enabled != service.enabled => Ok(()),
        Outcome::Never => {
            tracing::info!(account, service = jid, "a push service refuses, disabling it");
            push.disable(account, jid, Some(node)).await.map(|_| ())
        }
    }
}
