//! A session whose connection is gone: waits to be resumed, outlives a restart, or ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use wello_kernel::inbox::Delivery;
use wello_kernel::sessions::Session;
use wello_store::{HibernatedSession, StoreError};
use wello_stream::c2s::C2s;
use wello_stream::sm::StreamManagement;

use super::C2sServer;
use super::snapshot::{Snapshot, SnapshotError};
use crate::ledger::Ledger;

/// A session that waits.
pub struct Sleeper {
    session: Arc<Session>,
    management: StreamManagement,
    /// What is counted and may not be on stable storage yet.
    ledger: Ledger,
    deadline: Instant,
}

/// Why the waiting is over.
enum Wake {
    /// Another connection asks for it.
    Resumed(oneshot::Sender<StreamManagement>),
    Ended,
    /// The server goes down.
    Shutdown,
}

/// How long the store keeps what nobody fetched. A session whose own time is over is restored
/// all the same, so that its messages find their way as if there had been no restart.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Takes over from the connection task when its connection is gone.
pub async fn leave(server: &Arc<C2sServer>, session: Arc<Session>, mut c2s: C2s, ledger: Ledger) {
    let kernel = &server.kernel;
    let Some(established) = c2s.established() else {
        return kernel.end_session(&session, []).await;
    };
    let resumable = established.is_resumable();
    let held = established.take_held();
    let Some(mut management) = established.take_management() else {
        return kernel.end_session(&session, held).await;
    };
    held.into_iter().for_each(|stanza| management.push(stanza));
    drop(c2s);
    if !resumable {
        kernel.sessions.forget_resumable(management.id());
        return kernel.end_session(&session, management.into_unacknowledged()).await;
    }
    tracing::info!(session = %session.id, "session hibernates");
    let waiting: Vec<_> = management.unacknowledged().cloned().collect();
    kernel.hibernating(&session, &waiting).await;
    let deadline = Instant::now() + kernel.config.sessions.hibernation();
    sleep(server, Sleeper { session, management, ledger, deadline }).await;
}

async fn sleep(server: &Arc<C2sServer>, mut sleeper: Sleeper) {
    let kernel = &server.kernel;
    sleeper.session.set_hibernating(true);
    kernel.metrics.hibernating.inc();
    let wake = sleeper.wait(server).await;
    kernel.metrics.hibernating.dec();
    match wake {
        Wake::Resumed(to) if sleeper.ledger.settled().await => {
            if let Err(management) = to.send(sleeper.management) {
                kernel.end_session(&sleeper.session, management.into_unacknowledged()).await;
            }
        }
        Wake::Resumed(_) | Wake::Ended => end(server, sleeper).await,
        Wake::Shutdown => {
            let refused = match &mut *server.sleepers.lock() {
                Some(sleepers) => {
                    sleepers.push(sleeper);
                    None
                }
                None => Some(sleeper),
            };
            // It came too late to be stored.
            if let Some(sleeper) = refused {
                end(server, sleeper).await;
            }
        }
    }
}

async fn end(server: &Arc<C2sServer>, sleeper: Sleeper) {
    let kernel = &server.kernel;
    kernel.sessions.forget_resumable(sleeper.management.id());
    kernel.end_session(&sleeper.session, sleeper.management.into_unacknowledged()).await;
}

impl Sleeper {
    async fn wait(&mut self, server: &C2sServer) -> Wake {
        let bound = server.kernel.config.sessions.unacked_bytes;
        loop {
            match self.session.inbox().take() {
                Some(Delivery::Stanza(stanza)) => {
                    self.management.push(stanza);
                    if self.management.queued_bytes() > bound {
                        tracing::info!(session = %self.session.id, "too much waits for the client");
                        return Wake::Ended;
                    }
                }
                Some(Delivery::End(_)) => return Wake::Ended,
                Some(Delivery::HandOver(to)) => return Wake::Resumed(to),
                None => {
                    tokio::select! {
                        () = self.session.inbox().arrived() => {}
                        () = sleep_until(self.deadline) => return Wake::Ended,
                        () = server.shutdown.cancelled() => return Wake::Shutdown,
                    }
                }
            }
        }
    }

    /// Takes what came since the shutdown began. `false` when the session is to end.
    fn take_inbox(&mut self) -> bool {
        let mut kept = true;
        for delivery in self.session.inbox().close() {
            match delivery {
                Delivery::Stanza(stanza) => self.management.push(stanza),
                Delivery::End(_) => kept = false,
                // Whoever asks goes down with the server and will ask again.
                Delivery::HandOver(_) => {}
            }
        }
        kept
    }
}

/// Stores the sessions that wait to be resumed. Nobody is told that they are gone. To be called
/// once, when the connections are closed: until then the sessions take what the ending of others
/// means to them.
pub async fn save(server: &Arc<C2sServer>) -> Result<usize, StoreError> {
    let kernel = &server.kernel;
    let sleepers = server.sleepers.lock().take().unwrap_or_default();
    let now = kernel.clock.now();
    let mut saved = Vec::new();
    for mut sleeper in sleepers {
        // Who writes to it from now on finds the account without it.
        let bound = kernel.sessions.unbind(&sleeper.session);
        // Guests are not known after a restart.
        let is_guest = kernel.accounts.guests.serves(sleeper.session.jid.domain());
        let kept = sleeper.take_inbox() && bound && !is_guest && sleeper.ledger.settled().await;
        if !kept {
            end(server, sleeper).await;
            continue;
        }
        let left = sleeper.deadline.saturating_duration_since(Instant::now());
        let snapshot =
            Snapshot::take(&sleeper.session, &sleeper.management, now.saturating_add(left));
        match snapshot.encode() {
            Ok(state) => saved.push(HibernatedSession {
                resumption_id: sleeper.management.id().to_owned(),
                account: sleeper.session.bare().to_string(),
                state,
                expires: now.saturating_add(KEPT),
            }),
            Err(error) => {
                tracing::error!(session = %sleeper.session.id, %error, "session not stored");
                end(server, sleeper).await;
            }
        }
    }
    kernel.store.sessions.save_all(&saved).await?;
    Ok(saved.len())
}

/// Takes up the sessions that the last process left. To be called before clients can come.
pub async fn restore(server: &Arc<C2sServer>) -> Result<usize, StoreError> {
    let kernel = &server.kernel;
    let saved = kernel.store.sessions.take_all(kernel.clock.now()).await?;
    let mut restored = 0;
    for saved in saved {
        match wake(server, &saved) {
            Ok(Some(sleeper)) => {
                // The account may have been deleted while the server was stopped.
                if !kernel.accounts.exists(&sleeper.session.bare()).await {
                    kernel.sessions.forget_resumable(sleeper.management.id());
                    kernel.sessions.unbind(&sleeper.session);
                    continue;
                }
                restored += 1;
                kernel.metrics.sessions.inc();
                let server = Arc::clone(server);
                let tasks = server.tasks.clone();
                tasks.spawn(async move { sleep(&server, sleeper).await });
            }
            Ok(None) => tracing::warn!(account = saved.account, "no room for a stored session"),
            Err(error) => {
                tracing::error!(account = saved.account, %error, "stored session not restored");
            }
        }
    }
    Ok(restored)
}

/// `None` when the account has too many sessions.
fn wake(server: &C2sServer, saved: &HibernatedSession) -> Result<Option<Sleeper>, SnapshotError> {
    let (kernel, snapshot) = (&server.kernel, Snapshot::decode(&saved.state)?);
    let (jid, management) = (snapshot.jid()?, snapshot.management()?);
    let config = &kernel.config;
    let limits = (config.limits.outbox_bytes, config.sessions.per_account);
    let bound = kernel.sessions.bind(jid, snapshot.client(), limits.0, limits.1);
    let Ok(session) = bound else { return Ok(None) };
    if let Err(error) = snapshot.apply(&session) {
        kernel.sessions.unbind(&session);
        return Err(error);
    }
    kernel.sessions.make_resumable(management.id().into(), &session);
    let left = snapshot.expires().since(kernel.clock.now());
    let deadline = Instant::now() + left.min(config.sessions.hibernation());
    Ok(Some(Sleeper { session, management, ledger: Ledger::default(), deadline }))
}
