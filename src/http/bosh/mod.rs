//! XMPP over HTTP requests that are held (XEP-0124 version 1.11, XEP-0206 version 1.4).

mod request;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use wello_kernel::clock::random_id;
use wello_net::c2s::Frames;
use wello_stream::sasl::ChannelBindings;

use crate::Web;
use crate::server::Client;
use request::{Document, Request, WRAPPER_BYTES, open_frame};
use session::{Session, Terms, terminate};

const BAD_REQUEST: &str = "bad-request";
const ITEM_NOT_FOUND: &str = "item-not-found";
const POLICY_VIOLATION: &str = "policy-violation";
/// Of version 1 of the protocol.
const MINOR_VERSION: u32 = 11;
/// Frames on their way in either direction; each is bounded by the stanza limit.
const FRAMES: usize = 8;
/// Requests that wait until the stream takes what came before them.
const WAITING: usize = 4;

/// All sessions by their ids.
#[derive(Clone, Default)]
pub(crate) struct BoshSessions(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Clone)]
struct Entry {
    requests: mpsc::Sender<(Request, oneshot::Sender<Bytes>)>,
    /// Began on a confidential channel, and must stay on such.
    secure: bool,
    logged_in: Arc<AtomicBool>,
}

pub(crate) async fn post(State(web): State<Web>, client: Client, body: Body) -> Response {
    let answered = match to_bytes(body, web.kernel.config.limits.stanza_bytes + WRAPPER_BYTES).await
    {
        Ok(bytes) => exchange(&web, client, &bytes).await,
        Err(_) => Err(POLICY_VIOLATION),
    };
    let body = answered.unwrap_or_else(|condition| terminate(Some(condition)));
    // The type that a client can ask for (`content`) is not honoured: it could be HTML.
    let headers = [
        (CONTENT_TYPE, "text/xml; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (axum::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

async fn exchange(web: &Web, client: Client, bytes: &[u8]) -> Result<Bytes, &'static str> {
    let limits = &web.kernel.config.limits;
    let document = Document::open(bytes, limits.before_login())?;
    let Some(sid) = document.root.attr("sid") else { return create(web, client, document).await };
    let entry = web.bosh.0.lock().get(sid).cloned();
    let entry = entry.filter(|entry| client.secure || !entry.secure).ok_or(ITEM_NOT_FOUND)?;
    let limits = match entry.logged_in.load(Ordering::Relaxed) {
        true => limits.stream(),
        false => limits.before_login(),
    };
    let request = document.read(limits)?;
    let (reply, answer) = oneshot::channel();
    entry.requests.send((request, reply)).await.map_err(|_| ITEM_NOT_FOUND)?;
    answer.await.map_err(|_| ITEM_NOT_FOUND)
}

async fn create(web: &Web, client: Client, document: Document<'_>) -> Result<Bytes, &'static str> {
    let config = &web.kernel.config;
    let host = document.root.attr("to").ok_or("improper-addressing")?.to_lowercase();
    if !web.kernel.hosts.contains(&host) {
        return Err("host-unknown");
    }
    let wait = document.number("wait")?.unwrap_or(config.http.bosh_wait_seconds);
    let terms = Terms {
        sid: random_id(),
        host,
        version: version(document.root.attr("ver")),
        wait: Duration::from_secs(wait.min(config.http.bosh_wait_seconds)),
        hold: usize::from(document.number("hold")?.unwrap_or(1) > 0),
        acks: document.number("ack")?.is_some(),
        outbox_bytes: config.limits.outbox_bytes,
    };
    let open = open_frame(&document.root);
    let request = document.read(config.limits.before_login())?;
    let (to_task, incoming) = mpsc::channel(FRAMES);
    let (outgoing, from_task) = mpsc::channel(FRAMES);
    let (requests, waiting) = mpsc::channel(WAITING);
    let entry = Entry { requests, secure: client.secure, logged_in: Arc::default() };
    let logged_in = Arc::clone(&entry.logged_in);
    let listed = web.bosh.list(&terms.sid, entry, config.limits.connections)?;
    let frames = Frames { incoming, outgoing };
    // Each request may come on another connection: there is no one channel to bind to.
    let bindings = ChannelBindings::default();
    let Client { address, secure, permit, .. } = client;
    web.c2s.serve_frames(frames, address, "bosh", secure, bindings, permit);
    let (reply, answer) = oneshot::channel();
    let session = Session::new(terms, open, request, reply, Instant::now());
    let driver = Driver { session, waiting, to_task, from_task, logged_in, listed };
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the stream, which the server waits for"
    )]
    tokio::spawn(driver.run());
    answer.await.map_err(|_| "internal-server-error")
}

/// The version to speak with a client that knows `theirs`.
fn version(theirs: Option<&str>) -> u32 {
    let minor = theirs.and_then(|version| version.strip_prefix("1.")?.parse().ok());
    minor.unwrap_or(MINOR_VERSION).min(MINOR_VERSION)
}

impl BoshSessions {
    fn list(&self, sid: &str, entry: Entry, max: usize) -> Result<Listed, &'static str> {
        let mut sessions = self.0.lock();
        if sessions.len() >= max {
            return Err(POLICY_VIOLATION);
        }
        sessions.insert(sid.to_owned(), entry);
        Ok(Listed { sessions: self.clone(), sid: sid.to_owned() })
    }
}

/// The session's place among all.
struct Listed {
    sessions: BoshSessions,
    sid: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.0.lock().remove(&self.sid);
    }
}

/// Runs one session between its requests and its stream.
struct Driver {
    session: Session<oneshot::Sender<Bytes>>,
    waiting: mpsc::Receiver<(Request, oneshot::Sender<Bytes>)>,
    to_task: mpsc::Sender<Bytes>,
    from_task: mpsc::Receiver<Bytes>,
    logged_in: Arc<AtomicBool>,
    listed: Listed,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let now = Instant::now();
            self.session.settle(now);
            self.logged_in.store(self.session.is_logged_in(), Ordering::Relaxed);
            for (reply, body) in self.session.take_answers() {
                // Whoever asked may be gone; they can ask for the same again.
                let _ = reply.send(body);
            }
            if self.session.is_over() {
                break;
            }
            self.step(self.session.deadline().unwrap_or(now)).await;
        }
        drop(self.listed);
    }

    /// Waits for whatever comes first.
    async fn step(&mut self, deadline: Instant) {
        let session = &mut self.session;
        tokio::select! {
            permit = self.to_task.reserve(), if session.has_frames() => match permit {
                Ok(permit) => {
                    if let Some(frame) = session.next_frame() {
                        permit.send(frame);
                    }
                }
                Err(_) => session.stop_sending(),
            },
            // A client that is faster than its stream waits.
            Some((request, reply)) = self.waiting.recv(), if !session.has_frames() => {
                session.request(request, reply, Instant::now());
            }
            frame = self.from_task.recv(), if session.has_room() => match frame {
                Some(frame) => {
                    session.frame(frame);
                    while session.has_room() && let Ok(frame) = self.from_task.try_recv() {
                        session.frame(frame);
                    }
                }
                None => session.stream_ended(),
            },
            () = sleep_until(deadline) => {}
        }
    }
}
