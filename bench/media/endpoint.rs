//! One transport with the server: a socket and the other end of a leg.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd as _,
    rc::Rc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use nix::{
    cmsg_space,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::mpsc::{self, Receiver, Sender},
    time::{Instant, sleep_until},
};
use wello_sfu::{
    Identity, WebRtc,
    api::{LegSpec, TrackId, TrackSpec},
    peer::{Datagram, Marks, Packet, Peer as _, Polled, Sending, Transport},
};

use super::signalling::{LAYERS, SOURCE, layers};
use crate::histogram::Histogram;

/// RTP with its header is 1200 octets long.
const PAYLOAD: usize = 1180;
/// Packets leave in bursts, as those of a picture do.
const TICK: Duration = Duration::from_millis(5);
/// Nothing is due for long.
const LONG: Duration = Duration::from_secs(1);
/// Longer than any datagram that comes.
const DATAGRAM: usize = 2048;
/// What comes while others have the generator's core is no loss of the server's.
const SOCKET_BUFFER: usize = 1024 * 1024;
/// Tracks that wait to be added to a transport, at most.
const ADDITIONS: usize = 16;
/// VP8: the first packet of a picture that stands alone, so that a receiver can begin with any.
const HEAD: [u8; 9] = [0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 0];

/// What all endpoints of a load do and see.
pub(super) struct Traffic {
    /// Packets a second of each source.
    pub(super) rate: Cell<f64>,
    pub(super) sent: Cell<u64>,
    pub(super) received: Cell<u64>,
    pub(super) connected: Cell<usize>,
    /// Streams of which something has come, each counted where it comes.
    pub(super) heard: Cell<usize>,
    pub(super) latency: RefCell<Histogram>,
    /// From joining to the first packet.
    pub(super) first: RefCell<Histogram>,
    begin: Instant,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            rate: Cell::new(0.0),
            sent: Cell::new(0),
            received: Cell::new(0),
            connected: Cell::new(0),
            heard: Cell::new(0),
            latency: RefCell::default(),
            first: RefCell::default(),
            begin: Instant::now(),
        }
    }

    /// What was counted and measured so far is forgotten.
    pub(super) fn reset(&self) {
        self.sent.set(0);
        self.received.set(0);
        self.latency.take();
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begin).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn count(cell: &Cell<u64>, more: u64) {
    cell.set(cell.get() + more);
}

fn count_one(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// What is sent by an endpoint.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) count: u32,
    seq: u64,
    since: Option<Instant>,
    /// Of the packets that were due since then.
    done: u64,
}

pub(super) struct Endpoint {
    socket: UdpSocket,
    here: SocketAddr,
    server: SocketAddr,
    rtc: WebRtc,
    traffic: Rc<Traffic>,
    sources: Sources,
    /// Tracks of which nothing has come yet.
    awaited: Vec<TrackId>,
    /// What comes to its tracks.
    additions: Receiver<TrackSpec>,
    /// When its participant has asked to join, until the first packet comes.
    asked: Option<Instant>,
    buffer: Vec<u8>,
    /// When the datagram in it came.
    arrived: Instant,
}

impl Endpoint {
    pub(super) async fn new(
        identity: &Identity,
        leg: &LegSpec,
        server: SocketAddr,
        traffic: Rc<Traffic>,
        asked: Instant,
    ) -> Result<Self> {
        // Whatever address the server is reached at is one of this machine.
        let socket = UdpSocket::bind((server.ip(), 0)).await?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER)?;
        let here = socket.local_addr()?;
        let mut rtc = WebRtc::open(identity, &[here], leg, Instant::now().into_std())?;
        rtc.call(server);
        let count = u32::try_from(leg.outputs.len())?;
        let sources = Sources { count, ..Sources::default() };
        Ok(Self {
            socket,
            here,
            server,
            rtc,
            traffic,
            sources,
            awaited: leg.tracks.iter().map(|track| track.track).collect(),
            // Nobody adds any before it is asked for.
            additions: mpsc::channel(1).1,
            asked: Some(asked),
            buffer: vec![0; DATAGRAM],
            arrived: Instant::now(),
        })
    }

    /// By this further tracks come to the transport while it runs.
    pub(super) fn additions(&mut self) -> Sender<TrackSpec> {
        let (sender, receiver) = mpsc::channel(ADDITIONS);
        self.additions = receiver;
        sender
    }

    /// Sends in layers.
    pub(super) fn add_layers(&mut self, mid: &wello_sfu::api::Mid) {
        for (rid, source) in layers() {
            self.rtc.add_layer(mid, &rid, source);
        }
        // As many as there are names of layers.
        self.sources.count = LAYERS.len() as u32;
    }

    /// Until it is dropped.
    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            let until = self.flush().await?;
            let tick = if self.sources.count > 0 { Instant::now() + TICK } else { until };
            tokio::select! {
                // First of all: what was added is accepted after that, and then it comes.
                biased;
                Some(track) = self.additions.recv() => self.add(&track)?,
                ready = self.socket.readable() => ready?,
                () = sleep_until(until.min(tick)) => {}
            }
            while let Ok(length) = self.take_datagram() {
                self.receive(length).await?;
            }
            self.send_what_is_due();
            self.rtc.tick(Instant::now().into_std()).context("transport")?;
        }
    }

    fn add(&mut self, track: &TrackSpec) -> Result<()> {
        self.awaited.push(track.track);
        self.rtc.add_track(track).context("a further track")
    }

    /// Reads one, and when it came: what waits here for its turn is no fault of the server.
    fn take_datagram(&mut self) -> io::Result<usize> {
        let (socket, buffer) = (&self.socket, &mut self.buffer);
        let (length, waited) = socket.try_io(Interest::READABLE, || receive(socket, buffer))?;
        self.arrived = Instant::now() - waited;
        Ok(length)
    }

    async fn receive(&mut self, length: usize) -> Result<()> {
        let datagram = Datagram {
            transport: Transport::Udp,
            source: self.server,
            destination: self.here,
            contents: &self.buffer[..length],
        };
        self.rtc.receive(&datagram, Instant::now().into_std()).context("transport")?;
        self.flush().await?;
        Ok(())
    }

    /// Takes all that there is; returns when more is due.
    async fn flush(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll().context("transport")? {
                Polled::Until(until) => {
                    return Ok(Instant::from_std(until).min(Instant::now() + LONG));
                }
                Polled::Send(outgoing) if outgoing.transport == Transport::Udp => {
                    for datagram in outgoing.datagrams() {
                        self.socket.send_to(datagram, outgoing.destination).await?;
                    }
                }
                Polled::Connected => count_one(&self.traffic.connected),
                Polled::Packet(packet) => self.take(&packet),
                Polled::Closed => anyhow::bail!("{} has closed a transport", self.server),
                _ => {}
            }
        }
    }

    fn take(&mut self, packet: &Packet) {
        let now = self.arrived;
        count(&self.traffic.received, 1);
        if let Some(asked) = self.asked.take() {
            self.traffic.first.borrow_mut().record(now.saturating_duration_since(asked));
        }
        if let Some(place) = self.awaited.iter().position(|track| *track == packet.track) {
            self.awaited.swap_remove(place);
            count_one(&self.traffic.heard);
        }
        if let Some(sent) = packet.payload.last_chunk::<8>() {
            let way = self.traffic.nanos(now).saturating_sub(u64::from_be_bytes(*sent));
            self.traffic.latency.borrow_mut().record(Duration::from_nanos(way));
        }
    }

    fn send_what_is_due(&mut self) {
        let (now, rate) = (Instant::now(), self.traffic.rate.get());
        if rate == 0.0 || self.sources.count == 0 {
            self.sources.since = None;
            return;
        }
        let since = *self.sources.since.get_or_insert_with(|| {
            self.sources.done = 0;
            now
        });
        let due = (now.saturating_duration_since(since).as_secs_f64() * rate) as u64;
        for _ in self.sources.done..due {
            self.sources.seq += 1;
            for source in 0..self.sources.count {
                self.write(SOURCE + source, now);
            }
        }
        // Of layers a receiver gets one.
        count(&self.traffic.sent, due - self.sources.done);
        self.sources.done = due;
    }

    fn write(&mut self, source: u32, now: Instant) {
        let mut payload = vec![0; PAYLOAD];
        payload[..HEAD.len()].copy_from_slice(&HEAD);
        payload[PAYLOAD - 8..].copy_from_slice(&self.traffic.nanos(now).to_be_bytes());
        let seq = self.sources.seq;
        self.rtc.write(Sending {
            source,
            pt: 96,
            seq,
            // Wraps, as it is to.
            timestamp: (seq * 90) as u32,
            marker: true,
            marks: Marks::default(),
            arrived: now.into_std(),
            payload: payload.into(),
            vp8: None,
            described: None,
        });
    }
}

/// The length of a datagram and how long ago the system had it.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Duration)> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut space = cmsg_space!(TimeSpec);
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())?;
    let came = message.cmsgs()?.find_map(|told| match told {
        ControlMessageOwned::ScmTimestampns(came) => Some(Duration::from(came)),
        _ => None,
    });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok((message.bytes, came.map_or(Duration::ZERO, |came| now.saturating_sub(came))))
}
