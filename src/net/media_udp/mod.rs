//! The one UDP port of all media: a thread with a socket and an engine (`wello_sfu`).
//!
//! The thread has a runtime of its own, so that media and stanzas do not wait for each other.

mod addresses;
mod socket;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::media::{Busy, MediaEngine};
use wello_sfu::api::{Command, Event, Fingerprint};
use wello_sfu::peer::Datagram;
use wello_sfu::{Engine, Identity, Limits, Totals};

pub use socket::MediaSocket;

/// Commands that may wait: a participant who joins a large conference makes two for each of the others.
const MAX_COMMANDS: usize = 16 * 1024;
/// Events that may wait; the engine keeps more until there is room.
const MAX_EVENTS: usize = 1024;
/// When nothing else is due.
const LONG: Duration = Duration::from_secs(1);
/// How often the figures for `/metrics` are taken.
const FIGURES: Duration = Duration::from_secs(1);

/// The running engine, as the rest of the server sees it.
struct Handle {
    addresses: Vec<SocketAddr>,
    fingerprint: Fingerprint,
    commands: mpsc::Sender<Command>,
}

impl MediaEngine for Handle {
    fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn post(&self, command: Command) -> Result<(), Busy> {
        self.commands.try_send(command).map_err(|_| Busy)
    }
}

/// Starts the engine on a socket and gives it to the kernel. `told`: where clients are told to
/// reach it, if not at the addresses of this machine. The thread ends with `shutdown`.
pub fn start(
    kernel: &Arc<Kernel>,
    socket: MediaSocket,
    told: &[IpAddr],
    shutdown: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let identity = Identity::generate(Instant::now());
    let identity = identity.ok_or_else(|| io::Error::other("no certificate can be made"))?;
    let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
    let (events, told_events) = mpsc::channel(MAX_EVENTS);
    let local = kernel.config.domains().contains(&"localhost");
    let here = addresses::here(socket.local());
    let handle = Handle {
        addresses: addresses::told(&here, told, socket.local().port(), local),
        fingerprint: identity.fingerprint().clone(),
        commands,
    };
    let limits = Limits { legs: kernel.config.calls.transports };
    let shard = Shard {
        engine: Engine::new(identity, here.clone(), limits),
        here,
        commands: inbox,
        events,
        untold: None,
        kernel: Arc::clone(kernel),
        told: Totals::default(),
    };
    tracing::info!(addresses = ?handle.addresses, "media port");
    kernel.media.install(Arc::new(handle));
    tokio::spawn(tell(Arc::clone(kernel), told_events));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("media".into()).spawn(move || {
        if let Err(error) = runtime.block_on(shard.run(socket, shutdown)) {
            tracing::error!(%error, "the media port has failed: calls end");
        }
    })
}

/// Passes on what the engine tells, until it ends.
async fn tell(kernel: Arc<Kernel>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        for hook in &kernel.hooks().media {
            hook.media(&kernel, event.clone()).await;
        }
    }
}

struct Shard {
    engine: Engine,
    here: Vec<SocketAddr>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    /// The event that there was no room for.
    untold: Option<Event>,
    kernel: Arc<Kernel>,
    /// What the metrics know.
    told: Totals,
}

impl Shard {
    async fn run(mut self, socket: MediaSocket, shutdown: CancellationToken) -> io::Result<()> {
        let mut socket = socket.open()?;
        let mut figures = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.engine.poll_timeout().map_or(now + LONG, |due| due.min(now + LONG));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                command = self.commands.recv() => match command {
                    Some(command) => self.engine.handle_command(command, Instant::now()),
                    None => return Ok(()),
                },
                ready = socket.readable() => ready?,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            while let Ok(command) = self.commands.try_recv() {
                self.engine.handle_command(command, Instant::now());
            }
            let now = Instant::now();
            socket.receive(|source, destination, contents| {
                let destination = addresses::known(&self.here, destination);
                let datagram = Datagram { source, destination, contents };
                self.engine.handle_datagram(&datagram, now);
            });
            self.engine.handle_timeout(now);
            self.engine.flush(now);
            while let Some(outgoing) = self.engine.poll_outgoing() {
                socket.send(&outgoing);
            }
            socket.finish();
            self.tape();
            self.tell();
            if now >= figures {
                figures = now + FIGURES;
                let totals = self.engine.totals();
                self.kernel.metrics.media.update(&self.told, &totals);
                self.told = totals;
            }
        }
    }

    fn tape(&mut self) {
        while let Some(packet) = self.engine.poll_taped() {
            if let Some(recorder) = self.kernel.media.recorder() {
                recorder.take(packet);
            }
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.untold.take().or_else(|| self.engine.poll_event()) {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.untold = Some(event);
                return;
            }
        }
    }
}
