//! Starting and stopping a server under measurement: its own folder, loopback, a free port.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use super::{ejabberd, janus, prosody, wello};
use crate::{
    client::{Account, Client},
    process::Process,
    scram::Mechanism,
    visitors::{self, Visitors},
};

pub(crate) const DOMAIN: &str = "localhost";

/// Of two servers that speak with each other.
pub(crate) const PARTNERS: [&str; 2] = ["a.example", "b.example"];

/// A server on a busy machine may take this long until it listens, and this long to stop.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Server {
    Wello,
    Prosody,
    Ejabberd,
    Janus,
}

/// What one start of a server is configured for.
pub(crate) struct Setup<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) domain: &'a str,
    pub(crate) port: u16,
    /// Where files come and go.
    pub(crate) https: u16,
    pub(crate) archive: bool,
    /// Whether there are conferences.
    pub(crate) media: bool,
    /// What peers that keep one hash per account offer.
    pub(crate) mechanism: Mechanism,
    pub(crate) accounts: &'a [Account],
    pub(crate) certificate: &'a Certificate,
    pub(crate) wello: &'a Path,
    pub(crate) federation: Option<Federation>,
}

/// How a server speaks with others.
#[derive(Clone, Copy)]
pub(crate) struct Federation {
    /// Where it listens for them.
    pub(crate) port: u16,
    /// Who tells it where they are.
    pub(crate) nameserver: SocketAddr,
}

/// The same P-256 certificate for every server, so that all sign alike.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Key and certificate in one file, as ejabberd likes it.
    pub(crate) both: PathBuf,
    /// Who signed it.
    pub(crate) authority: PathBuf,
    visitors: PathBuf,
}

/// How to run what a server's module has configured.
pub(crate) struct Launch {
    pub(crate) command: Command,
    /// Printed to standard output when the server is ready; without one its port tells.
    pub(crate) ready: Option<&'static str>,
}

pub(crate) struct Running {
    child: Child,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wello => "Wello",
            Self::Prosody => "Prosody",
            Self::Ejabberd => "ejabberd",
            Self::Janus => "Janus",
        }
    }

    pub(crate) async fn version(self, wello: &Path) -> Result<String> {
        let mut command = match self {
            Self::Wello => Command::new(wello),
            Self::Prosody | Self::Ejabberd | Self::Janus => Command::new("dpkg-query"),
        };
        match self {
            Self::Wello => command.arg("--version"),
            Self::Prosody => command.args(["--showformat=${Version}", "--show", "prosody"]),
            Self::Ejabberd => command.args(["--showformat=${Version}", "--show", "ejabberd"]),
            Self::Janus => command.args(["--showformat=${Version}", "--show", "janus"]),
        };
        let text = output(command).await.with_context(|| format!("{} is missing", self.name()))?;
        Ok(text.trim().trim_start_matches("wello ").to_owned())
    }

    /// Writes configuration and accounts, starts the server and waits until it listens.
    pub(crate) async fn start(self, setup: &Setup<'_>) -> Result<Running> {
        std::fs::create_dir_all(&setup.folder)?;
        let launch = match self {
            Self::Wello => wello::prepare(setup).await?,
            Self::Prosody => prosody::prepare(setup)?,
            Self::Ejabberd => ejabberd::prepare(setup).await?,
            Self::Janus => janus::prepare(setup)?,
        };
        let running = Running::spawn(launch, setup).await;
        running.with_context(|| {
            let log = std::fs::read_to_string(setup.folder.join("stderr.log")).unwrap_or_default();
            format!("start of {}: {}", self.name(), log.lines().last().unwrap_or("it said nothing"))
        })
    }
}

impl Setup<'_> {
    pub(crate) fn client(&self) -> Result<Client> {
        Client::new((Ipv4Addr::LOCALHOST, self.port).into(), self.domain, false, self.mechanism)
    }
}

impl Running {
    async fn spawn(launch: Launch, setup: &Setup<'_>) -> Result<Self> {
        let Launch { mut command, ready } = launch;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(setup.folder.join("stderr.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let lines = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(lines).lines();
        let address = (Ipv4Addr::LOCALHOST, setup.port).into();
        if let Some(wanted) = ready {
            let seen = async {
                while let Some(line) = lines.next_line().await? {
                    if line.starts_with(wanted) {
                        return Ok(());
                    }
                }
                bail!("it ended")
            };
            timeout(START, seen).await.context("not ready in time")??;
        }
        // A full pipe would stop the server.
        tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let process = Process::new(child.id().context("it ended")?);
        let running = Self { child, process, address };
        running.listening().await?;
        Ok(running)
    }

    async fn listening(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            ensure!(Instant::now() < deadline, "it does not listen");
            ensure!(self.process.memory()?.rss_kib > 0, "it ended");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(pid.context("the server ended during the measurement")?, Signal::TERM)?;
        if timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

impl Certificate {
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let made = Self {
            certificate: folder.join("localhost.crt"),
            key: folder.join("localhost.key"),
            both: folder.join("localhost.pem"),
            authority: folder.join("authority.crt"),
            visitors: folder.join("visitors.pem"),
        };
        let (key, authority_key) = (new_key()?, new_key()?);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the measurement");
        let authority = CertifiedIssuer::self_signed(valid(params), authority_key)?;
        let names = [&[DOMAIN], PARTNERS.as_slice()].concat();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, DOMAIN);
        let signed = valid(params).signed_by(&key, &authority)?;
        std::fs::write(&made.certificate, signed.pem())?;
        std::fs::write(&made.key, key.serialize_pem())?;
        std::fs::write(&made.both, key.serialize_pem() + &signed.pem())?;
        std::fs::write(&made.authority, authority.pem())?;
        let (key, below) = (new_key()?, format!("*.{}", visitors::DOMAIN));
        let visitors = valid(CertificateParams::new(vec![below])?).signed_by(&key, &authority)?;
        std::fs::write(&made.visitors, visitors.pem() + &key.serialize_pem())?;
        Ok(made)
    }

    /// Those who visit a server here.
    pub(crate) fn visitors(&self, port: u16, domain: &str) -> Result<Visitors> {
        Visitors::new((Ipv4Addr::LOCALHOST, port).into(), domain, &self.visitors)
    }
}

fn new_key() -> Result<KeyPair> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// ejabberd's certificate manager crashes on the years that rcgen takes by default.
fn valid(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2045, 1, 1);
    params
}

/// A loopback port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Standard output of a command that has to succeed.
pub(crate) async fn output(mut command: Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8(done.stdout)?)
}
