//! What is older than the operator keeps it: messages (`archive.keep_days`), and what administrators did
//! (`audit.keep_days`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::Chore;
use wello_kernel::module::{Module, Registrar, Spec};
use wello_store::{StoreError, Timestamp};

pub struct Retention;

/// Days are what is configured, so an hour more does no harm.
const INTERVAL: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Rows removed in one transaction; messages to be stored wait as long.
const BATCH: u32 = 500;

impl Module for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.chore(self);
    }
}

#[async_trait]
impl Chore for Retention {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        expire_audit(kernel).await;
        let days = kernel.config.archive.keep_days;
        // 0: kept for ever.
        if days == 0 {
            return;
        }
        let before = kernel.clock.now().saturating_sub(DAY * days);
        match expire(kernel, before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "messages removed for their age"),
            Err(error) => tracing::error!(%error, "old messages not removed"),
        }
    }
}

async fn expire_audit(kernel: &Kernel) {
    let days = kernel.config.audit.keep_days;
    if days == 0 {
        return;
    }
    let before = kernel.clock.now().saturating_sub(DAY * days);
    match kernel.store.audit.expire(before).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "audit entries removed for their age"),
        Err(error) => tracing::error!(%error, "old audit entries not removed"),
    }
}

/// Removes from archives, tombstones of retracted messages included, and from what waits for a
/// login; how many.
async fn expire(kernel: &Arc<Kernel>, before: Timestamp) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let archived = kernel.store.archive.expire(None, before, BATCH).await?;
        let waiting = kernel.store.offline.expire(before, BATCH).await?;
        count += archived + waiting;
        if archived.max(waiting) < u64::from(BATCH) {
            return Ok(count);
        }
    }
}
