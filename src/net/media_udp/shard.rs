//! A thread with an engine and the sockets through which it is reached.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::media::Question;
use wello_sfu::api::{Command, Event};
use wello_sfu::peer::{Datagram, Transport};
use wello_sfu::{Engine, Totals};

use super::addresses;
use super::moderation::{GATHERED, Moderation};
use super::socket::{MediaSocket, Open};
use super::streams::{Frame, Streams};
use crate::admission::Admission;

/// When nothing else is due.
const LONG: Duration = Duration::from_secs(1);
/// How often the figures for `/metrics` are taken.
const FIGURES: Duration = Duration::from_secs(1);
/// How often it is looked how each transport does, in the same measure.
const SAMPLES: u32 = 10;

/// What the rest of the server wants of a shard.
pub(super) enum Request {
    Do(Command),
    Tell(Question),
}

pub(super) struct Shard {
    pub engine: Engine,
    pub here: Vec<SocketAddr>,
    pub requests: mpsc::Receiver<Request>,
    pub events: mpsc::Sender<Event>,
    /// The event that there was no room for.
    pub untold: Option<Event>,
    pub kernel: Arc<Kernel>,
    /// What the metrics know, and how often they were told.
    pub told: (Totals, u32),
}

impl Shard {
    pub async fn run(
        mut self,
        socket: MediaSocket,
        admission: Admission,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let (mut socket, listener) = socket.open()?;
        let mut streams = Streams::open(listener, admission, shutdown.clone());
        let mut figures = Instant::now();
        let mut moderation = Moderation::new(figures);
        loop {
            let now = Instant::now();
            let due = self.engine.poll_timeout().map_or(now + LONG, |due| due.min(now + LONG));
            let mut frame = None;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                request = self.requests.recv() => match request {
                    Some(request) => self.request(request),
                    None => return Ok(()),
                },
                ready = socket.readable() => {
                    ready?;
                    if moderation.gathers(Instant::now()) {
                        // What else runs on this thread, media by TCP, can wait as long. Tokio's clock is too coarse.
                        std::thread::sleep(GATHERED);
                    }
                }
                arrived = streams.next() => frame = Some(arrived),
                () = tokio::time::sleep_until(due.into()) => {}
            }
            while let Ok(request) = self.requests.try_recv() {
                self.request(request);
            }
            let now = Instant::now();
            while let Some(frame) = frame.take().or_else(|| streams.try_next()) {
                self.take_frame(&frame, &streams, now);
            }
            self.take_datagrams(&mut socket, now);
            self.engine.handle_timeout(now);
            let sent = self.send(&socket, &streams, now);
            moderation.count(sent, now);
            self.record();
            self.tell();
            if now >= figures {
                figures = now + FIGURES;
                self.take_figures();
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Do(command) => self.engine.handle_command(command, Instant::now()),
            // Who has asked may have given up.
            Request::Tell(Question { conference, answer }) => {
                let _ = answer.send(self.engine.figures(conference));
            }
        }
    }

    fn take_datagrams(&mut self, socket: &mut Open, now: Instant) {
        socket.receive(|source, destination, contents| {
            let destination = addresses::known(&self.here, destination);
            let datagram = Datagram { transport: Transport::Udp, source, destination, contents };
            self.engine.handle_datagram(&datagram, now);
        });
    }

    fn take_frame(&mut self, frame: &Frame, streams: &Streams, now: Instant) {
        let datagram = Datagram {
            transport: Transport::Tcp,
            source: frame.source,
            destination: addresses::known(&self.here, frame.destination),
            contents: &frame.contents,
        };
        self.engine.handle_datagram(&datagram, now);
        if self.engine.knows(Transport::Tcp, frame.source) {
            streams.prove(frame.source);
        }
    }

    /// Sends what there is to be sent; says how many datagrams that were.
    fn send(&mut self, socket: &Open, streams: &Streams, now: Instant) -> usize {
        let mut sent = 0;
        while let Some(outgoing) = self.engine.poll_outgoing(now) {
            sent += outgoing.datagrams().len();
            match outgoing.transport {
                Transport::Udp => socket.send(&outgoing),
                Transport::Tcp => {
                    for datagram in outgoing.datagrams() {
                        streams.send(outgoing.destination, datagram);
                    }
                }
            }
        }
        sent
    }

    /// Gives what is recorded to whoever writes it.
    fn record(&mut self) {
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

    fn take_figures(&mut self) {
        let (before, times) = self.told;
        let totals = self.engine.totals();
        let metrics = &self.kernel.metrics.media;
        metrics.update(&before, &totals);
        if times % SAMPLES == 0 {
            self.engine.all_figures().for_each(|figures| metrics.sample(&figures));
        }
        self.told = (totals, times.wrapping_add(1));
    }
}
