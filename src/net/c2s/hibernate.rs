//! A session whose connection is gone: waits to be resumed, or ends.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use wello_kernel::inbox::Delivery;
use wello_kernel::sessions::Session;
use wello_store::Ticket;
use wello_stream::c2s::C2s;

use super::C2sServer;

/// Takes over from the connection task when its connection is gone.
pub async fn leave(
    server: &Arc<C2sServer>,
    session: Arc<Session>,
    mut c2s: C2s,
    unsettled: Vec<Ticket>,
) {
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
    session.set_hibernating(true);
    kernel.metrics.hibernating.inc();
    let deadline = Instant::now() + kernel.config.sessions.hibernation();
    let bound = kernel.config.sessions.unacked_bytes;
    loop {
        match session.inbox().take() {
            Some(Delivery::Stanza(stanza)) => {
                management.push(stanza);
                if management.queued_bytes() > bound {
                    tracing::info!(session = %session.id, "too much waits for the client");
                    break;
                }
            }
            Some(Delivery::End(_)) => break,
            Some(Delivery::HandOver(to)) => {
                kernel.metrics.hibernating.dec();
                for ticket in &unsettled {
                    if ticket.wait().await.is_err() {
                        return kernel
                            .end_session(&session, management.into_unacknowledged())
                            .await;
                    }
                }
                if let Err(management) = to.send(management) {
                    kernel.end_session(&session, management.into_unacknowledged()).await;
                }
                return;
            }
            None => {
                tokio::select! {
                    () = session.inbox().arrived() => {}
                    () = sleep_until(deadline) => break,
                    () = server.shutdown.cancelled() => break,
                }
            }
        }
    }
    kernel.metrics.hibernating.dec();
    kernel.sessions.forget_resumable(management.id());
    kernel.end_session(&session, management.into_unacknowledged()).await;
}
