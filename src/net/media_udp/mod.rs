//! The ports of all media: for each a thread with a socket and an engine (`wello_sfu`), a shard. All
//! legs of a conference are in the same one.
//!
//! The threads have runtimes of their own, so that media and stanzas do not wait for each other.

mod addresses;
mod moderation;
mod shard;
mod socket;
mod streams;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::media::{Busy, MediaEngine, Question};
use wello_sfu::api::{Command, ConferenceId, Event, Fingerprint};
use wello_sfu::{Engine, Identity, Limits, Totals};

use self::shard::{Request, Shard};
use crate::admission::Admission;

pub use self::socket::MediaSocket;

/// Requests that may wait: a participant who joins a large conference makes two for each of the others.
const MAX_REQUESTS: usize = 16 * 1024;
/// Events that may wait; the engines keep more until there is room.
const MAX_EVENTS: usize = 1024;
/// Connections by TCP from one address that have not proved to be of a participant.
const MAX_UNPROVEN: u32 = 32;

/// The running engines, as the rest of the server sees them: as one.
struct Handle {
    fingerprint: Fingerprint,
    shards: Vec<Inbox>,
}

struct Inbox {
    addresses: Vec<SocketAddr>,
    requests: mpsc::Sender<Request>,
}

impl Handle {
    /// Ids follow each other in strides that nobody knows: they are scattered (Fibonacci hashing).
    fn shard(&self, conference: ConferenceId) -> &Inbox {
        let scattered = conference.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        // There is at least one, and fewer than 2^32.
        &self.shards[scattered as usize % self.shards.len()]
    }
}

impl MediaEngine for Handle {
    fn addresses(&self, conference: ConferenceId) -> &[SocketAddr] {
        &self.shard(conference).addresses
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn post(&self, command: Command) -> Result<(), Busy> {
        if let Command::Open(spec) = &command {
            return self.shard(spec.conference).post(Request::Do(command));
        }
        // Only a shard knows which legs it has: the others do nothing about it.
        let posted = self.shards.iter().map(|shard| shard.post(Request::Do(command.clone())));
        posted.fold(Ok(()), Result::and)
    }

    fn ask(&self, question: Question) -> Result<(), Busy> {
        self.shard(question.conference).post(Request::Tell(question))
    }
}

impl Inbox {
    fn post(&self, request: Request) -> Result<(), Busy> {
        self.requests.try_send(request).map_err(|_| Busy)
    }
}

/// Starts an engine on each socket and gives them to the kernel. `told`: where clients are told to
/// reach them, if not at the addresses of this machine. The threads end with `shutdown`.
pub fn start(
    kernel: &Arc<Kernel>,
    sockets: Vec<MediaSocket>,
    told: &[IpAddr],
    shutdown: &CancellationToken,
) -> io::Result<Vec<JoinHandle<()>>> {
    let identity = Identity::generate(Instant::now());
    let identity = identity.ok_or_else(|| io::Error::other("no certificate can be made"))?;
    let (events, told_events) = mpsc::channel(MAX_EVENTS);
    let calls = &kernel.config.calls;
    let limits = Limits {
        legs: calls.transports.div_ceil(sockets.len().max(1)),
        last_speakers: calls.last_n,
    };
    let admission = Admission::new(calls.transports, MAX_UNPROVEN);
    let local = kernel.config.domains().contains(&"localhost");
    let fingerprint = identity.fingerprint().clone();
    let (mut shards, mut threads) = (Vec::new(), Vec::new());
    for socket in sockets {
        let here = addresses::here(socket.local());
        let addresses = addresses::told(&here, told, socket.local().port(), local);
        tracing::info!(?addresses, "media port");
        let (requests, inbox) = mpsc::channel(MAX_REQUESTS);
        shards.push(Inbox { addresses, requests });
        let shard = Shard {
            engine: Engine::new(identity.clone(), here.clone(), limits),
            here,
            requests: inbox,
            events: events.clone(),
            untold: None,
            kernel: Arc::clone(kernel),
            told: (Totals::default(), 0),
        };
        threads.push(run(shard, socket, admission.clone(), shutdown.clone())?);
    }
    kernel.media.install(Arc::new(Handle { fingerprint, shards }));
    tokio::spawn(tell(Arc::clone(kernel), told_events));
    Ok(threads)
}

fn run(
    shard: Shard,
    socket: MediaSocket,
    admission: Admission,
    shutdown: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("media".into()).spawn(move || {
        if let Err(error) = runtime.block_on(shard.run(socket, admission, shutdown)) {
            tracing::error!(%error, "a media port has failed: its calls end");
        }
    })
}

/// Passes on what the engines tell, until they end.
async fn tell(kernel: Arc<Kernel>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        for hook in &kernel.hooks().media {
            hook.media(&kernel, event.clone()).await;
        }
    }
}
