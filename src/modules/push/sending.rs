//! Notices on their way to app servers. One at a time goes to each device; what comes meanwhile is
//! sent as one when that has arrived.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use wello_kernel::Kernel;
use wello_store::{PushService, StoreError, Timestamp};
use wello_wire::jid::Jid;
use wello_wire::stanza::IqType;

use super::publish::{Notice, Outcome, outcome};

/// Devices that are being told something at once.
const MAX_UNDER_WAY: usize = 10_000;
/// Devices whose unread messages are counted before all counts are forgotten.
const MAX_COUNTS: usize = 100_000;
/// Services that were ended lately before all of them are forgotten.
const MAX_ENDED: usize = 1000;
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
    lanes: Mutex<Lanes>,
    /// Messages since the device was last there.
    counts: Mutex<HashMap<Key, u32>>,
}

#[derive(Default)]
struct Lanes {
    /// What waits until the notice under way has arrived.
    under_way: HashMap<Key, Option<Notice>>,
    /// When services had been enabled that were ended. Who looked them up before may still mean them.
    ended: HashMap<Key, Timestamp>,
}

impl Lanes {
    /// Returns the notice if it is to be sent now.
    fn enter(&mut self, key: &Key, enabled: Timestamp, notice: Notice) -> Option<Notice> {
        if self.ended.get(key) == Some(&enabled) {
            return None;
        }
        if let Some(waiting) = self.under_way.get_mut(key) {
            *waiting = Some(match waiting.take() {
                Some(earlier) => earlier.followed_by(notice),
                None => notice,
            });
            return None;
        }
        if self.under_way.len() >= MAX_UNDER_WAY {
            tracing::warn!(account = key.0, "too much is being pushed, one is left out");
            return None;
        }
        self.under_way.insert(key.clone(), None);
        Some(notice)
    }

    /// One was sent. Returns what came meanwhile; with nothing, or to a service that was ended, the sending is over.
    fn leave(&mut self, key: &Key, enabled: Timestamp, goes_on: bool) -> Option<Notice> {
        let next = self.under_way.get_mut(key).filter(|_| goes_on).and_then(Option::take);
        if next.is_none() {
            self.under_way.remove(key);
        }
        if !goes_on {
            if self.ended.len() >= MAX_ENDED {
                self.ended.clear();
            }
            self.ended.insert(key.clone(), enabled);
        }
        next
    }
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
        if notice.is_message() {
            this.count(&key);
        }
        let entered = this.lanes.lock().enter(&key, service.enabled, notice);
        let Some(notice) = entered else { return };
        let (this, kernel) = (Arc::clone(this), Arc::clone(kernel));
        let send = async move {
            let mut next = Some(notice);
            while let Some(notice) = next {
                let goes_on = this.send(&kernel, &service, &key, &notice).await;
                next = this.lanes.lock().leave(&key, service.enabled, goes_on);
            }
        };
        #[expect(clippy::disallowed_methods, reason = "nobody is to wait for an app server")]
        tokio::spawn(send);
    }

    /// Whether the service may be told more.
    async fn send(
        &self,
        kernel: &Arc<Kernel>,
        service: &PushService,
        key: &Key,
        notice: &Notice,
    ) -> bool {
        let outcome = insist(|| publish(kernel, service, notice, self.counted(key))).await;
        settle(kernel, service, outcome).await.unwrap_or_else(|error| {
            tracing::error!(account = service.account, %error, "push service not changed");
            true
        })
    }

    fn count(&self, key: &Key) {
        let mut counts = self.counts.lock();
        if counts.len() >= MAX_COUNTS {
            counts.clear();
        }
        *counts.entry(key.clone()).or_default() += 1;
    }

    fn counted(&self, key: &Key) -> u32 {
        self.counts.lock().get(key).copied().unwrap_or_default()
    }

    pub(super) fn has_counts(&self) -> bool {
        !self.counts.lock().is_empty()
    }

    pub(super) fn forget_count(&self, service: &PushService) {
        self.counts.lock().remove(&key(service));
    }
}

/// Tries again while it may work later.
async fn insist<F: Future<Output = Outcome>>(mut publish: impl FnMut() -> F) -> Outcome {
    let mut waits = WAITS.into_iter();
    loop {
        let outcome = publish().await;
        match waits.next() {
            Some(wait) if outcome == Outcome::Later => sleep(wait).await,
            _ => return outcome,
        }
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

/// Section 8.1. Whether the service is still there.
async fn settle(
    kernel: &Arc<Kernel>,
    service: &PushService,
    outcome: Outcome,
) -> Result<bool, StoreError> {
    let push = &kernel.store.push;
    let PushService { account, jid, node, .. } = service;
    // It may have failed meanwhile, or been enabled anew.
    let services = push.list(account).await?;
    let current = services.iter().find(|one| one.jid == *jid && one.node == *node);
    let Some(current) = current else { return Ok(false) };
    match consequence(outcome, service, current, kernel.clock.now()) {
        Consequence::Nothing => Ok(true),
        Consequence::Failures(failures, until) => {
            if until.is_some() {
                tracing::info!(account, service = jid, "a push service does not answer, pausing");
            }
            push.set_failures(current, failures, until).await.map(|_| true)
        }
        Consequence::Disable => {
            tracing::info!(account, service = jid, "a push service refuses, disabling it");
            push.disable(account, jid, Some(node)).await.map(|_| false)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Consequence {
    Nothing,
    /// In a row, with the end of the pause if there is one.
    Failures(u32, Option<Timestamp>),
    Disable,
}

/// `told` is the service as it was when the sending began.
fn consequence(
    outcome: Outcome,
    told: &PushService,
    current: &PushService,
    now: Timestamp,
) -> Consequence {
    match outcome {
        Outcome::Published if current.failures == 0 => Consequence::Nothing,
        Outcome::Published => Consequence::Failures(0, None),
        Outcome::Later => {
            let failures = current.failures.saturating_add(1);
            let until = (failures >= MAX_FAILURES).then(|| now.plus_micros(PAUSE_MICROS));
            Consequence::Failures(failures, until)
        }
        // Enabled anew while it was told about the old one: that is judged by its own answer.
        Outcome::Never if current.enabled != told.enabled => Consequence::Nothing,
        Outcome::Never => Consequence::Disable,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::super::wake::Wake;
    use super::*;

    /// The seconds at which it was tried, with how it ended.
    async fn tries(outcomes: &[Outcome]) -> (Vec<u64>, Outcome) {
        let begin = Instant::now();
        let seconds = RefCell::new(Vec::new());
        let last = insist(|| {
            let mut seconds = seconds.borrow_mut();
            let outcome = outcomes[seconds.len()];
            seconds.push(begin.elapsed().as_secs());
            std::future::ready(outcome)
        });
        let last = last.await;
        (seconds.into_inner(), last)
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_work_later_is_tried_again() {
        use Outcome::{Later, Never, Published};
        assert_eq!(tries(&[Published]).await, (vec![0], Published));
        assert_eq!(tries(&[Never]).await, (vec![0], Never));
        assert_eq!(tries(&[Later, Published]).await, (vec![0, 5], Published));
        assert_eq!(tries(&[Later, Never]).await, (vec![0, 5], Never));
        assert_eq!(tries(&[Later, Later, Later]).await, (vec![0, 5, 65], Later));
    }

    #[test]
    fn one_notice_is_under_way_and_none_after_the_end() {
        let (mut lanes, key) = (Lanes::default(), Key::default());
        let (enabled, anew) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        let (message, call) = (Notice::bare(Wake::Message), Notice::bare(Wake::Call));
        let enter = |lanes: &mut Lanes, enabled, notice: &Notice| {
            lanes.enter(&key, enabled, notice.clone())
        };
        assert_eq!(enter(&mut lanes, enabled, &message), Some(message.clone()));
        assert_eq!(enter(&mut lanes, enabled, &call), None);
        assert_eq!(enter(&mut lanes, enabled, &message), None);
        assert_eq!(lanes.leave(&key, enabled, true), Some(call.clone()), "the louder of two");
        assert_eq!(enter(&mut lanes, enabled, &call), None);
        assert_eq!(lanes.leave(&key, enabled, false), None);
        assert_eq!(enter(&mut lanes, enabled, &call), None, "looked up before it was ended");
        assert_eq!(enter(&mut lanes, anew, &call), Some(call));
        assert_eq!(lanes.leave(&key, anew, true), None);
    }

    #[test]
    fn a_service_that_fails_is_left_alone_for_a_day() {
        let now = Timestamp::from_secs(1000);
        let service = |failures, enabled| PushService {
            account: "a@b".into(),
            jid: "push.example".into(),
            node: String::new(),
            resource: "r".into(),
            client: None,
            options: None,
            enabled: Timestamp::from_secs(enabled),
            failures,
            paused_until: None,
        };
        let told = service(0, 1);
        let of = |outcome, failures, enabled| {
            consequence(outcome, &told, &service(failures, enabled), now)
        };
        assert_eq!(of(Outcome::Published, 0, 1), Consequence::Nothing);
        assert_eq!(of(Outcome::Published, 4, 1), Consequence::Failures(0, None));
        assert_eq!(of(Outcome::Later, 0, 1), Consequence::Failures(1, None));
        let tomorrow = Some(Timestamp::from_secs(1000 + 24 * 3600));
        assert_eq!(of(Outcome::Later, MAX_FAILURES - 1, 1), Consequence::Failures(5, tomorrow));
        assert_eq!(of(Outcome::Later, 9, 1), Consequence::Failures(10, tomorrow));
        assert_eq!(of(Outcome::Never, 0, 1), Consequence::Disable);
        assert_eq!(of(Outcome::Never, 0, 2), Consequence::Nothing);
    }
}
