//! `wello-engine`: what the media engine alone spends on conferences, without sockets and in virtual
//! time. Its clients are in the same process and are not counted. CPU time varies, the number of
//! instructions does not: see bench/README.md.

use std::{
    collections::HashMap,
    net::SocketAddr,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use wello_sfu::{
    Engine, Identity, Limits, Outgoing, WebRtc,
    api::{
        Codec, Command, ConferenceId, Credentials, Data, LegId, LegSpec, Media, Mid, OutputSpec,
        Payload, Rid, TrackId, TrackSpec,
    },
    peer::{
        Datagram, Marks, Peer as _, Polled, Sending, Transport,
        webrtc::{MID, RID, TRANSPORT_CC},
    },
};

/// Virtual time that handshakes may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the count begins: estimates rise, buffers grow.
const WARM_UP: Duration = Duration::from_secs(1);
/// RTP with its header is 1200 octets long.
const PAYLOAD: usize = 1180;
/// VP8: the first packet of a picture that stands alone.
const HEAD: [u8; 9] = [0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 0];
const VIDEO: Payload = Payload { pt: 96, rtx: Some(97), codec: Codec::Vp8 };
const LAYERS: [&str; 2] = ["l", "h"];
/// The first of each.
const SOURCE: u32 = 1000;
const REPAIRS: u32 = 2000;

/// Conferences in which some send and all others receive.
#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 1)]
    conferences: u64,
    #[arg(long, default_value_t = 51)]
    participants: u64,
    /// Of each conference
    #[arg(long, default_value_t = 1)]
    senders: u64,
    /// Packets a second of each sender
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// They send in two layers, so that the networks of receivers are estimated
    #[arg(long)]
    estimated: bool,
    /// Somebody gets all streams over one transport, not over one for each
    #[arg(long)]
    pair: bool,
    /// How exact virtual time is, in microseconds: what is sent within a step arrives at once, as a burst of a
    /// picture does. Senders begin one after the other
    #[arg(long, default_value_t = 5000)]
    step: u64,
    /// Virtual seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

/// The other end of a leg.
struct Client {
    rtc: WebRtc,
    here: SocketAddr,
    sources: u32,
    /// The share of the time between two packets after which it begins.
    late: f64,
    seq: u64,
    connected: bool,
}

struct World {
    options: Options,
    engine: Engine,
    identity: Identity,
    server: SocketAddr,
    clients: HashMap<SocketAddr, Client>,
    now: Instant,
    /// What clients have sent and the engine has not got yet.
    wire: Vec<Outgoing>,
    /// Whether what the engine does now counts: transports are up, and buffers have grown.
    counts: bool,
    spent: Duration,
}

fn main() -> Result<()> {
    let mut world = World::new(Options::parse())?;
    world.open()?;
    world.connect()?;
    world.run(WARM_UP)?;
    world.counts = true;
    let before = world.engine.totals();
    world.run(Duration::from_secs(world.options.seconds))?;
    let after = world.engine.totals();
    let (came, left) =
        (after.packets_in - before.packets_in, after.packets_out - before.packets_out);
    let each = world.spent.as_secs_f64() * 1e6 / left as f64;
    println!("{came} packets in, {left} out, {each:.2} µs for each that left");
    Ok(())
}

impl World {
    fn new(options: Options) -> Result<Self> {
        let now = Instant::now();
        let identity = Identity::generate(now).context("no certificate")?;
        let server = SocketAddr::from(([192, 0, 2, 1], 10_000));
        let limits = Limits { legs: usize::MAX, last_speakers: 0 };
        let engine = Engine::new(identity.clone(), vec![server], limits);
        Ok(Self {
            options,
            engine,
            identity,
            server,
            clients: HashMap::new(),
            now,
            wire: Vec::new(),
            counts: false,
            spent: Duration::ZERO,
        })
    }

    /// A leg for each sender, and one for all streams to each participant or for each of them.
    fn open(&mut self) -> Result<()> {
        let Options { conferences, participants, senders, pair, .. } = self.options;
        for conference in (0..conferences).map(ConferenceId) {
            let tracks = (0..senders).map(|sender| TrackId(conference.0 * senders + sender));
            let tracks: Vec<_> = tracks.collect();
            for track in &tracks {
                let leg = self.leg(conference);
                self.add_sender(leg, *track)?;
            }
            for participant in 0..participants {
                let own = tracks.get(usize::try_from(participant)?);
                let others: Vec<_> =
                    tracks.iter().filter(|track| Some(*track) != own).copied().collect();
                for seen in others.chunks(if pair { others.len().max(1) } else { 1 }) {
                    let leg = self.leg(conference);
                    self.add_receiver(leg, seen)?;
                }
            }
        }
        Ok(())
    }

    fn leg(&self, conference: ConferenceId) -> LegSpec {
        let number = self.clients.len();
        let credentials = |side: &str| Credentials {
            ufrag: format!("{side}{number}"),
            password: format!("{side}-password-of-number-{number}"),
        };
        LegSpec {
            leg: LegId(number as u64),
            conference,
            local: credentials("server"),
            remote: credentials("client"),
            fingerprint: self.identity.fingerprint().clone(),
            dtls_client: false,
            controlling: false,
            payloads: vec![VIDEO],
            extensions: vec![(4, MID.to_owned())],
            tracks: Vec::new(),
            outputs: Vec::new(),
            data: Data::Off,
        }
    }

    fn add_sender(&mut self, mut leg: LegSpec, track: TrackId) -> Result<()> {
        leg.extensions.push((5, RID.to_owned()));
        let mut mirror = mirror(&leg);
        if self.options.estimated {
            let layers = LAYERS.into_iter().filter_map(Rid::new).collect();
            leg.tracks.push(TrackSpec { layers, sources: Vec::new(), ..track_spec(track, 0)? });
        } else {
            leg.tracks.push(track_spec(track, 0)?);
            mirror.outputs.push(output_spec(track, 0)?);
        }
        let mut client = self.client(&mirror)?;
        for (rid, source) in leg.tracks[0].layers.iter().zip(SOURCE..) {
            client.rtc.add_layer(&leg.tracks[0].mid, rid, source);
        }
        client.sources = leg.tracks[0].layers.len().max(1) as u32;
        let senders = self.options.senders;
        client.late = (track.0 % senders) as f64 / senders as f64;
        self.add(leg, client);
        Ok(())
    }

    fn add_receiver(&mut self, mut leg: LegSpec, tracks: &[TrackId]) -> Result<()> {
        if self.options.estimated {
            leg.extensions.push((3, TRANSPORT_CC.to_owned()));
        }
        let mut mirror = mirror(&leg);
        for (place, track) in (0..).zip(tracks) {
            leg.outputs.push(output_spec(*track, place)?);
            mirror.tracks.push(track_spec(*track, place)?);
        }
        let client = self.client(&mirror)?;
        self.add(leg, client);
        Ok(())
    }

    fn client(&self, mirror: &LegSpec) -> Result<Client> {
        let [_, b, c, d] = u32::try_from(self.clients.len())?.to_be_bytes();
        let here = SocketAddr::from(([10, b, c, d], 4000));
        let mut rtc = WebRtc::open(&self.identity, &[here], mirror, self.now)?;
        rtc.call(self.server);
        Ok(Client { rtc, here, sources: 0, late: 0.0, seq: 0, connected: false })
    }

    fn add(&mut self, leg: LegSpec, client: Client) {
        self.engine.handle_command(Command::Open(Box::new(leg)), self.now);
        self.clients.insert(client.here, client);
    }

    fn connect(&mut self) -> Result<()> {
        let limit = self.now + PATIENCE;
        while !self.clients.values().all(|client| client.connected) {
            ensure!(self.now < limit, "not all transports came up");
            self.step(0.0..0.0)?;
        }
        Ok(())
    }

    fn run(&mut self, time: Duration) -> Result<()> {
        let begin = self.now;
        let mut passed = 0.0;
        while self.now < begin + time {
            let due = (self.now - begin).as_secs_f64() * f64::from(self.options.rate);
            self.step(passed..due)?;
            passed = due;
        }
        Ok(())
    }

    /// Each sender's packets of these places in its stream travel.
    fn step(&mut self, places: Range<f64>) -> Result<()> {
        self.now += Duration::from_micros(self.options.step);
        for client in self.clients.values_mut() {
            let until = |place: f64| (place + client.late) as u64;
            client.send(until(places.end) - until(places.start), self.now);
            client.rtc.tick(self.now)?;
            client.drain(&mut self.wire)?;
        }
        let left = if self.counts {
            let begin = clock_gettime(ClockId::ThreadCPUTime);
            let left = counted(&mut self.engine, &self.wire, self.now);
            self.spent += Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - begin)?;
            left
        } else {
            serve(&mut self.engine, &self.wire, self.now)
        };
        self.wire.clear();
        for outgoing in left {
            let Some(client) = self.clients.get_mut(&outgoing.destination) else { continue };
            for arrived in datagrams(&outgoing) {
                client.rtc.receive(&arrived, self.now)?;
            }
            client.drain(&mut self.wire)?;
        }
        Ok(())
    }
}

/// All that is counted. Its name is what instructions are counted by.
#[inline(never)]
fn counted(engine: &mut Engine, wire: &[Outgoing], now: Instant) -> Vec<Outgoing> {
    serve(engine, wire, now)
}

fn serve(engine: &mut Engine, wire: &[Outgoing], now: Instant) -> Vec<Outgoing> {
    for arrived in wire.iter().flat_map(datagrams) {
        engine.handle_datagram(&arrived, now);
    }
    engine.handle_timeout(now);
    std::iter::from_fn(|| engine.poll_outgoing(now)).collect()
}

impl Client {
    fn send(&mut self, packets: u64, now: Instant) {
        for _ in 0..packets {
            self.seq += 1;
            for source in (0..self.sources).map(|layer| SOURCE + layer) {
                let mut payload = [0; PAYLOAD];
                payload[..HEAD.len()].copy_from_slice(&HEAD);
                self.rtc.write(Sending {
                    source,
                    pt: VIDEO.pt,
                    seq: self.seq,
                    // Wraps, as it is to.
                    timestamp: (self.seq * 90) as u32,
                    marker: true,
                    marks: Marks::default(),
                    arrived: now,
                    payload: payload[..].into(),
                    vp8: None,
                    described: None,
                });
            }
        }
    }

    fn drain(&mut self, wire: &mut Vec<Outgoing>) -> Result<()> {
        loop {
            match self.rtc.poll()? {
                Polled::Until(_) => return Ok(()),
                Polled::Send(outgoing) => wire.push(outgoing),
                Polled::Connected => self.connected = true,
                _ => {}
            }
        }
    }
}

/// The same leg as its client sees it, without what passes.
fn mirror(leg: &LegSpec) -> LegSpec {
    LegSpec {
        local: leg.remote.clone(),
        remote: leg.local.clone(),
        dtls_client: true,
        controlling: true,
        ..leg.clone()
    }
}

fn mid(place: u32) -> Result<Mid> {
    Mid::new(&place.to_string()).context("no name")
}

fn track_spec(track: TrackId, place: u32) -> Result<TrackSpec> {
    Ok(TrackSpec {
        track,
        mid: mid(place)?,
        media: Media::Video,
        sources: vec![(SOURCE + place, Some(REPAIRS + place))],
        layers: Vec::new(),
        forwarded: true,
    })
}

fn output_spec(track: TrackId, place: u32) -> Result<OutputSpec> {
    Ok(OutputSpec {
        track,
        mid: mid(place)?,
        media: Media::Video,
        source: SOURCE + place,
        rtx: Some(REPAIRS + place),
        payloads: vec![(VIDEO.pt, VIDEO.pt)],
    })
}

fn datagrams(outgoing: &Outgoing) -> impl Iterator<Item = Datagram<'_>> {
    let Outgoing { source, destination, .. } = *outgoing;
    let transport = Transport::Udp;
    outgoing.datagrams().map(move |contents| Datagram { transport, source, destination, contents })
}
