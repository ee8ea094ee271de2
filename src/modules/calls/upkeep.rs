//! What comes to an end by itself: conferences of one, and calls that nobody uses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::Chore;
use wello_store::Timestamp;
use wello_wire::jid::BareJid;

use super::Calls;
use super::conference::Parting;

const INTERVAL: Duration = Duration::from_secs(10);

#[async_trait]
impl Chore for Calls {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        let now = kernel.clock.now();
        let sizes: HashMap<BareJid, usize> = {
            let conferences = self.conferences.lock();
            conferences
                .iter()
                .map(|(place, known)| (place.clone(), known.devices().count()))
                .collect()
        };
        self.meets.tidy(now, |call| sizes.contains_key(call));
        let patience = Duration::from_secs(kernel.config.calls.idle_seconds);
        let over = idle(&mut self.lonely.lock(), &sizes, now, patience);
        for place in over {
            tracing::debug!(%place, "nobody came into a conference");
            self.end(kernel, &place, Parting::Idle).await;
        }
    }
}

/// Conferences in which somebody has been alone for too long; `since` remembers from when.
fn idle(
    since: &mut HashMap<BareJid, Timestamp>,
    sizes: &HashMap<BareJid, usize>,
    now: Timestamp,
    patience: Duration,
) -> Vec<BareJid> {
    since.retain(|place, _| sizes.get(place).is_some_and(|size| *size < 2));
    for (place, _) in sizes.iter().filter(|(_, size)| **size < 2) {
        since.entry(place.clone()).or_insert(now);
    }
    let over = since.iter().filter(|(_, since)| **since <= now.saturating_sub(patience));
    over.map(|(place, _)| place.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_for_long_is_alone_no_more() {
        let place: BareJid = "hall@conference.capulet.example".parse().unwrap();
        let of = |size: usize| HashMap::from([(place.clone(), size)]);
        let mut since = HashMap::new();
        let mut at = |seconds: i64, sizes: &HashMap<BareJid, usize>| {
            let patience = Duration::from_secs(100);
            idle(&mut since, sizes, Timestamp::from_secs(seconds), patience).len()
        };
        assert_eq!(at(1000, &of(1)), 0);
        assert_eq!(at(1099, &of(1)), 0);
        assert_eq!(at(1100, &of(1)), 1);
        // Company begins it anew.
        assert_eq!(at(1101, &of(2)), 0);
        assert_eq!(at(1102, &of(1)), 0);
        assert_eq!(at(1201, &of(1)), 0);
        assert_eq!(at(1202, &of(1)), 1);
        assert_eq!(at(9999, &HashMap::new()), 0);
    }
}
