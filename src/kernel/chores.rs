//! Work that comes back by itself.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::Kernel;
use crate::hooks::Chore;

impl Kernel {
    /// Runs the chores of all modules when they are due; never returns. To be dropped when the
    /// server stops.
    pub async fn run_chores(self: &Arc<Self>) {
        let chores = self.hooks().chores.iter();
        join_all(chores.map(|chore| repeat(self, chore))).await;
        std::future::pending::<()>().await;
    }
}

async fn repeat(kernel: &Arc<Kernel>, chore: &Arc<dyn Chore>) {
    sleep(chore.first_run()).await;
    loop {
        if AssertUnwindSafe(chore.run(kernel)).catch_unwind().await.is_err() {
            tracing::error!("a chore panicked");
            kernel.metrics.handler_panics.inc();
        }
        sleep(chore.interval()).await;
    }
}
