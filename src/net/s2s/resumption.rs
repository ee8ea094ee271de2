//! Streams of other servers that may be gone on with when their connections break (XEP-0198, section 5).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use wello_stream::s2s::{Former, Owner};

use super::S2sServer;
use super::outbox::Charge;

/// The connection that a stream is asked of may be busy, or dead and not known to be.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(15);

/// What one connection leaves to the next.
pub struct Estate {
    pub former: Former,
    /// Outboxes that it serves.
    pub charges: Vec<Charge>,
}

/// A connection asks for a stream.
pub type Request = oneshot::Sender<Estate>;

/// Who can be asked for a stream, by its id.
pub struct Resumptions {
    table: Mutex<HashMap<String, Entry>>,
    /// For streams without a connection.
    beds: Arc<Semaphore>,
}

struct Entry {
    owner: Owner,
    requests: mpsc::Sender<Request>,
}

/// Where requests for a stream arrive, for as long as it exists.
pub struct Registration {
    server: Arc<S2sServer>,
    id: String,
    own: mpsc::Sender<Request>,
    requests: mpsc::Receiver<Request>,
}

impl Resumptions {
    /// `sleepers`: streams without a connection at the same time.
    pub fn new(sleepers: usize) -> Resumptions {
        let beds = Arc::new(Semaphore::new(sleepers.min(Semaphore::MAX_PERMITS)));
        Resumptions { table: Mutex::default(), beds }
    }

    /// The stream of that id, if it is the owner's; nobody else gets it afterwards.
    pub async fn request(&self, id: &str, owner: &Owner) -> Option<Estate> {
        let entry = {
            let mut table = self.table.lock();
            match table.get(id) {
                Some(entry) if entry.owner == *owner => table.remove(id),
                _ => None,
            }
        }?;
        let (request, estate) = oneshot::channel();
        entry.requests.try_send(request).ok()?;
        timeout(HANDOVER_TIMEOUT, estate).await.ok()?.ok()
    }
}

impl Registration {
    pub fn new(server: &Arc<S2sServer>, id: String, owner: Owner) -> Registration {
        let (own, requests) = mpsc::channel(1);
        let entry = Entry { owner, requests: own.clone() };
        server.resumptions.table.lock().insert(id.clone(), entry);
        Registration { server: Arc::clone(server), id, own, requests }
    }

    /// Waits for a request. May be dropped and called again.
    pub async fn request(&mut self) -> Option<Request> {
        self.requests.recv().await
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = self.server.resumptions.table.lock();
        // The connection that has the stream now may have registered it.
        if table.get(&self.id).is_some_and(|entry| entry.requests.same_channel(&self.own)) {
            table.remove(&self.id);
        }
    }
}

/// What is done with an estate.
pub struct Bequest {
    pub registration: Registration,
    pub estate: Estate,
    /// Somebody has asked for it already.
    pub asked: Option<Request>,
}

impl Bequest {
    /// Gives it to whoever asks for it in time, or to nobody.
    pub async fn give(self, server: &Arc<S2sServer>) {
        let Bequest { mut registration, mut estate, asked } = self;
        let request = match asked {
            Some(request) => Some(request),
            None => {
                if !estate.former.has_unacknowledged() {
                    // New stanzas need not wait.
                    server.pass_on(std::mem::take(&mut estate.charges));
                }
                outlast(server, &mut registration).await
            }
        };
        let left = match request {
            Some(request) => request.send(estate).err(),
            None => Some(estate),
        };
        drop(registration);
        if let Some(Estate { former, charges }) = left {
            server.give_back_lost(former.into_unacknowledged()).await;
            server.pass_on(charges);
        }
    }
}

/// Waits for a request, if there is room to wait.
async fn outlast(server: &Arc<S2sServer>, registration: &mut Registration) -> Option<Request> {
    let _bed = Arc::clone(&server.resumptions.beds).try_acquire_owned().ok()?;
    tokio::select! {
        request = registration.request() => request,
        () = sleep(server.config().resumption()) => None,
        () = server.shutdown.cancelled() => None,
    }
}
