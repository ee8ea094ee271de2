//! The same loads on Wello and its peers, one server after the other.

mod ejabberd;
mod janus;
mod prosody;
mod report;
mod server;
mod wello;

use std::{
    cell::RefCell,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::{
    report::{Outcome, Report},
    server::{Certificate, DOMAIN, Federation, PARTNERS, Server, Setup, free_port},
};
use crate::{
    client::Account,
    crowd::Broadcast,
    dns::{Dns, Record},
    idle::raise_file_limit,
    measure::{Measurement, Subject},
    media::{Dialect, Shape as Conferences},
    pairs::{Flow, Until},
    process::Process,
    rooms::Shape,
    scram::Mechanism,
    transfer::{File, MIB},
};

/// Accounts of every server: one for each occupant of the biggest room.
const ACCOUNTS: usize = 5000;

/// The idle sessions belong to these in turn.
const IDLE_ACCOUNTS: usize = 200;

/// Streams of other servers that do nothing.
const VISITORS: usize = 1000;

/// Logins going on at the same time.
const LOGINS: usize = 8;

/// One sends, 50 receive.
const LECTURE: Conferences = Conferences::of(1, 51, 1);
const MEETINGS: Conferences = Conferences::of(10, 10, 10);
const SILENT: Conferences = Conferences::of(10, 50, 0);

/// Deliveries a second in a room of 350 where 100 messages are said: more than either peer takes.
const LIVELY: f64 = 35_000.0;

#[derive(Args)]
pub(crate) struct Options {
    /// The server binary
    #[arg(long, default_value = "target/release/wello")]
    wello: PathBuf,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Server::value_variants().to_vec())]
    servers: Vec<Server>,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Figure::value_variants().to_vec())]
    figures: Vec<Figure>,
    /// Seconds of each load
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Idle sessions
    #[arg(long, default_value_t = 5000)]
    sessions: usize,
    /// How participants speak with the focus in media-rooms; in other figures of media it is `sessions`
    #[arg(long, value_enum, default_value = "pair")]
    dialect: Dialect,
    /// Messages in the archive that pages are read from
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Where to write the results
    #[arg(long, default_value = "bench/results.json")]
    out: PathBuf,
    /// Folder for the servers' data, kept afterwards; a temporary one if not given
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Figure {
    /// 1:1 chat with the archive on
    PairsArchive,
    /// 1:1 chat with the archive off
    PairsRouting,
    /// Group chat with the archive on
    RoomsArchive,
    /// Group chat with the archive off
    RoomsRouting,
    /// Delivery time in a room of 350 at 100 messages a second, or at half of what it can take if that is less
    RoomLatency,
    /// Delivery time in a room of 350 at half of what it can take
    RoomLoaded,
    /// A room of 1000 with the archive on
    Room1000,
    /// A room of 5000 with the archive on
    Room5000,
    /// 1000 enter a room
    Join1000,
    /// 5000 enter a room
    Join5000,
    /// 5000 enter a room that tells only the presence of moderators
    JoinQuiet5000,
    /// Pages of 50 out of an archive of 1 000 000
    ArchivePages,
    /// A file of 1 GiB to the server
    Upload,
    /// The same from the server
    Download,
    /// 200 files of 1 MiB, four at a time
    SmallFiles,
    /// The same file 200 times
    SameFile,
    /// Delivery time at half of the archive figure's rate
    Latency,
    LoginSha1,
    LoginSha256,
    Idle,
    /// 1:1 chat between users of two servers, archive off
    S2s,
    /// Memory of 1000 streams of other servers
    S2sIdle,
    /// A sender and 50 receivers
    Media,
    /// The same where the networks of receivers are estimated
    MediaEstimated,
    /// 10 conferences of 10 who all send
    MediaRooms,
    /// The time in the server at half load, a sender and 50 receivers
    MediaLatency,
    /// 50 join a call in which one sends: until the first packet
    MediaJoin,
    /// Memory of 500 participants to whom nothing is sent
    MediaIdle,
}

/// Figures that share one start of a server.
struct Stage {
    archive: bool,
    media: bool,
    /// Two servers that speak with each other.
    federated: bool,
    mechanism: Mechanism,
    figures: &'static [Figure],
}

const STAGES: &[Stage] = &[
    Stage {
        archive: true,
        media: false,
        federated: false,
        mechanism: Mechanism::Sha1,
        figures: &[
            Figure::PairsArchive,
            Figure::Latency,
            Figure::RoomsArchive,
            Figure::RoomLatency,
            Figure::RoomLoaded,
            Figure::Room1000,
        ],
    },
    // Each begins on a server on which nobody is in a big room.
    alone(&[Figure::Join1000]),
    alone(&[Figure::Join5000]),
    Stage {
        archive: true,
        media: false,
        federated: false,
        mechanism: Mechanism::Sha1,
        figures: &[Figure::JoinQuiet5000, Figure::Room5000],
    },
    Stage {
        archive: true,
        media: false,
        federated: false,
        mechanism: Mechanism::Sha1,
        figures: &[Figure::ArchivePages],
    },
    Stage {
        archive: true,
        media: false,
        federated: false,
        mechanism: Mechanism::Sha1,
        figures: &[Figure::Upload, Figure::Download, Figure::SmallFiles, Figure::SameFile],
    },
    Stage {
        archive: false,
        media: false,
        federated: false,
        mechanism: Mechanism::Sha1,
        figures: &[Figure::PairsRouting, Figure::RoomsRouting, Figure::LoginSha1],
    },
    Stage {
        archive: false,
        media: false,
        federated: false,
        mechanism: Mechanism::Sha256,
        figures: &[Figure::LoginSha256],
    },
    media(&[Figure::Media]),
    media(&[Figure::MediaEstimated]),
    media(&[Figure::MediaRooms]),
    media(&[Figure::MediaLatency]),
    media(&[Figure::MediaJoin]),
    media(&[Figure::MediaIdle]),
    // Memory is measured on a server that has done nothing else.
    alone(&[Figure::Idle]),
    federated(&[Figure::S2s]),
    federated(&[Figure::S2sIdle]),
];

/// A server of its own for each: legs end some time after their calls.
const fn media(figures: &'static [Figure]) -> Stage {
    Stage { archive: false, media: true, federated: false, mechanism: Mechanism::Sha1, figures }
}

/// With the archive, and with nothing else done before.
const fn alone(figures: &'static [Figure]) -> Stage {
    Stage { archive: true, media: false, federated: false, mechanism: Mechanism::Sha1, figures }
}

const fn federated(figures: &'static [Figure]) -> Stage {
    Stage { archive: false, media: false, federated: true, mechanism: Mechanism::Sha1, figures }
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    raise_file_limit(options.sessions.max(ACCOUNTS))?;
    let scratch;
    let folder = match &options.folder {
        Some(folder) => folder.as_path(),
        None => {
            scratch = tempfile::tempdir()?;
            scratch.path()
        }
    };
    std::fs::create_dir_all(folder)?;
    let mut suite = Suite::new(options, &folder.canonicalize()?)?;
    for server in &options.servers {
        suite.measure(*server).await;
    }
    let report = suite.report;
    println!("\n{report}");
    std::fs::write(&options.out, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| options.out.display().to_string())?;
    println!("Details: {}", options.out.display());
    ensure!(report.complete(), "some figures could not be measured");
    Ok(())
}

struct Suite<'a> {
    options: &'a Options,
    folder: PathBuf,
    wello: PathBuf,
    accounts: Vec<Account>,
    certificate: Certificate,
    report: Report,
}

impl<'a> Suite<'a> {
    fn new(options: &'a Options, folder: &Path) -> Result<Self> {
        let account =
            |n| Account { user: format!("user{n:04}"), password: "measure-me-9371".into() };
        Ok(Self {
            options,
            folder: folder.to_owned(),
            wello: options.wello.canonicalize().unwrap_or_else(|_| options.wello.clone()),
            accounts: (0..ACCOUNTS).map(account).collect(),
            certificate: Certificate::create(folder)?,
            report: Report::new(&options.figures, options.seconds, options.sessions),
        })
    }

    async fn measure(&mut self, server: Server) {
        let version = server.version(&self.wello).await;
        self.report.server(server, version.as_ref().ok().cloned());
        for stage in STAGES {
            let wanted: Vec<Figure> = stage
                .figures
                .iter()
                .copied()
                .filter(|f| self.options.figures.contains(f) && server.has(*f))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            let done = match &version {
                Ok(_) => self.stage(server, stage, &wanted).await,
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            if let Err(error) = done {
                let failure = Outcome::failed(&error);
                wanted.iter().for_each(|f| self.report.record_if_none(*f, server, &failure));
            }
        }
    }

    async fn stage(&mut self, server: Server, stage: &Stage, wanted: &[Figure]) -> Result<()> {
        let domains = if stage.federated { PARTNERS.as_slice() } else { &[DOMAIN] };
        let dns = Dns::start().await;
        dns.add("localhost", Record::Address(Ipv4Addr::LOCALHOST));
        let (mut running, mut clients, mut visitors) = (Vec::new(), Vec::new(), None);
        for domain in domains {
            let setup = self.setup(server, stage, domain, &dns)?;
            clients.push(setup.client()?);
            running.push(server.start(&setup).await?);
            if let Some(Federation { port, .. }) = setup.federation {
                let place = Record::Service(1, port, "localhost".to_owned());
                dns.add(&format!("_xmpp-server._tcp.{domain}"), place);
                visitors = Some(self.certificate.visitors(port, domain)?);
            }
        }
        let process = running.iter().map(|running| running.process).reduce(Process::and);
        let (client, others) = (clients[0].clone(), clients[clients.len() - 1].clone());
        let accounts = self.accounts.clone();
        let videoroom = (server == Server::Janus).then_some(running[0].address);
        let crowd = RefCell::default();
        let subject = Subject { client, others, accounts, process, videoroom, visitors, crowd };
        for figure in wanted {
            eprintln!("{}: {} …", server.name(), figure.title());
            let full = self.report.wall_rate(Figure::PairsArchive, server);
            let measured = figure.measure(&subject, self.options, full).await;
            self.report.record(*figure, server, Outcome::of(measured));
        }
        for running in running {
            running.stop().await?;
        }
        Ok(())
    }

    fn setup<'b>(
        &'b self,
        server: Server,
        stage: &Stage,
        domain: &'b str,
        dns: &Dns,
    ) -> Result<Setup<'b>> {
        let federation = match stage.federated {
            true => Some(Federation { port: free_port()?, nameserver: dns.address }),
            false => None,
        };
        Ok(Setup {
            folder: self.folder.join(format!("{}-{domain}", server.name())),
            domain,
            port: free_port()?,
            https: free_port()?,
            archive: stage.archive,
            media: stage.media,
            mechanism: stage.mechanism,
            accounts: &self.accounts,
            certificate: &self.certificate,
            wello: &self.wello,
            federation,
        })
    }
}

impl Server {
    /// Only Wello and Janus have conferences, and Janus nothing else.
    fn has(self, figure: Figure) -> bool {
        match figure {
            Figure::Media | Figure::MediaLatency => matches!(self, Self::Wello | Self::Janus),
            Figure::MediaEstimated | Figure::MediaRooms | Figure::MediaJoin | Figure::MediaIdle => {
                self == Self::Wello
            }
            _ => self != Self::Janus,
        }
    }
}

impl Figure {
    /// `full` is the rate at which the server took chat with the archive on.
    async fn measure(
        self,
        subject: &Subject,
        options: &Options,
        full: Option<f64>,
    ) -> Result<Measurement> {
        const PAIRS: usize = 50;
        const ROOMS: Shape =
            Shape { rooms: 4, occupants: 50, talkers: 5, broadcast: Broadcast::Everybody };
        let one = |occupants, broadcast| Shape { rooms: 1, occupants, talkers: 5, broadcast };
        let time = Duration::from_secs(options.seconds);
        let flow = Flow::default();
        match self {
            Self::PairsArchive | Self::PairsRouting => {
                subject.pairs(PAIRS, flow, Until::Time(time)).await
            }
            Self::RoomsArchive | Self::RoomsRouting => {
                subject.rooms(ROOMS, Until::Time(time)).await
            }
            Self::RoomLatency => {
                subject.room_latency(one(350, Broadcast::Everybody), LIVELY, time).await
            }
            Self::RoomLoaded => {
                subject.room_latency(one(350, Broadcast::Everybody), f64::INFINITY, time).await
            }
            // Their entry is another figure.
            Self::Room1000 => {
                subject.rooms(one(1000, Broadcast::Moderators), Until::Time(time)).await
            }
            Self::Room5000 => {
                subject.rooms(one(5000, Broadcast::Moderators), Until::Time(time)).await
            }
            Self::Join1000 => subject.join(one(1000, Broadcast::Everybody)).await,
            Self::Join5000 => subject.join(one(5000, Broadcast::Everybody)).await,
            Self::JoinQuiet5000 => subject.join(one(5000, Broadcast::Moderators)).await,
            Self::ArchivePages => subject.pages(options.messages, time).await,
            Self::Upload => subject.upload(&[File { bytes: 1024 * MIB, seed: 1 }], 1).await,
            Self::Download => subject.download(File { bytes: 1024 * MIB, seed: 3 }).await,
            Self::SmallFiles => {
                let files = (0..200).map(|n| File { bytes: MIB, seed: 2 * n + 101 });
                subject.upload(&files.collect::<Vec<_>>(), 4).await
            }
            Self::SameFile => subject.upload(&[File { bytes: MIB, seed: 5 }; 200], 4).await,
            Self::Latency => subject.latency(PAIRS, flow, full.map(|rate| rate / 2.0), time).await,
            Self::LoginSha1 | Self::LoginSha256 => subject.login(LOGINS, time).await,
            Self::S2s => {
                // A server acknowledges what it has not sent on yet.
                let flow = Flow { ahead: flow.window, ..flow };
                subject.pairs(PAIRS, flow, Until::Time(time)).await
            }
            Self::S2sIdle => subject.visits(VISITORS).await,
            Self::Idle => subject.idle(IDLE_ACCOUNTS, options.sessions).await,
            Self::Media => subject.forwarding(LECTURE, 2000.0, time).await,
            Self::MediaEstimated => {
                subject.forwarding(Conferences { layered: true, ..LECTURE }, 1000.0, time).await
            }
            Self::MediaRooms => {
                let meetings = Conferences { dialect: options.dialect, ..MEETINGS };
                subject.forwarding(meetings, 100.0, time).await
            }
            Self::MediaLatency => subject.forwarding_latency(LECTURE, 1000.0, time).await,
            Self::MediaJoin => subject.joining(LECTURE).await,
            Self::MediaIdle => subject.idle_calls(SILENT).await,
        }
    }
}
