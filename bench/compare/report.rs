//! The table of figures, for people and as JSON.

use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use serde::Serialize;

use super::{Figure, server::Server};
use crate::measure::{Measurement, Unfinished};

#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    seconds_of_each_load: u64,
    idle_sessions: usize,
    versions: BTreeMap<Server, Option<String>>,
    figures: Vec<Row>,
}

#[derive(Serialize)]
struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    /// Processes that wanted to run during the last minute when the run began: above 1 the machine was not quiet.
    load: String,
}

#[derive(Serialize)]
struct Row {
    figure: Figure,
    unit: &'static str,
    servers: BTreeMap<Server, Outcome>,
    /// How many times better than the better peer Wello is.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
}

#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Measured(Box<Measurement>),
    Failed {
        error: String,
    },
    /// It was given the time that a figure has.
    Unfinished {
        unfinished: String,
    },
}

impl Outcome {
    pub(crate) fn of(result: Result<Measurement>) -> Self {
        match result {
            Ok(measurement) => Self::Measured(Box::new(measurement)),
            Err(error) => match error.downcast_ref() {
                Some(Unfinished(how)) => Self::Unfinished { unfinished: how.clone() },
                None => Self::failed(&error),
            },
        }
    }

    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        Self::Failed { error: format!("{error:#}") }
    }

    fn measurement(&self) -> Option<&Measurement> {
        match self {
            Self::Measured(measurement) => Some(measurement),
            Self::Failed { .. } | Self::Unfinished { .. } => None,
        }
    }
}

impl Figure {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::PairsArchive => "1:1 chat, archive on",
            Self::PairsRouting => "1:1 chat, archive off",
            Self::RoomsArchive => "rooms, archive on",
            Self::RoomsRouting => "rooms, archive off",
            Self::RoomLatency => "room of 350, p99",
            Self::RoomLoaded => "the same at half load",
            Self::Room1000 => "room of 1000",
            Self::Room5000 => "room of 5000",
            Self::Join1000 => "1000 enter",
            Self::Join5000 => "5000 enter",
            Self::JoinQuiet5000 => "5000 enter quietly",
            Self::ArchivePages => "archive page, p99",
            Self::Upload => "upload, 1 GiB",
            Self::Download => "download, 1 GiB",
            Self::SmallFiles => "upload, 200 × 1 MiB",
            Self::SameFile => "the same file again",
            Self::Latency => "delivery time, p99",
            Self::LoginSha1 => "login, SCRAM-SHA-1",
            Self::LoginSha256 => "login, SCRAM-SHA-256",
            Self::Idle => "idle session, memory",
            Self::S2s => "chat between servers",
            Self::S2sIdle => "idle server stream",
            Self::Media => "media, 1 to 50",
            Self::MediaEstimated => "the same, estimated",
            Self::MediaRooms => "media, 10 × 10",
            Self::MediaLatency => "media, half load, p99",
            Self::MediaJoin => "join to media, p95",
            Self::MediaIdle => "idle participant",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::PairsArchive | Self::PairsRouting | Self::S2s => "messages/CPU-s",
            Self::RoomsArchive | Self::RoomsRouting | Self::Room1000 | Self::Room5000 => {
                "deliveries/CPU-s"
            }
            Self::Join1000 | Self::Join5000 | Self::JoinQuiet5000 => "entries/CPU-s",
            Self::RoomLatency | Self::RoomLoaded | Self::ArchivePages | Self::Latency => "ms",
            Self::MediaLatency | Self::MediaJoin => "ms",
            Self::Media | Self::MediaEstimated | Self::MediaRooms => "packets/CPU-s",
            Self::Upload | Self::Download | Self::SmallFiles | Self::SameFile => "MiB/CPU-s",
            Self::LoginSha1 | Self::LoginSha256 => "logins/CPU-s",
            Self::Idle | Self::S2sIdle | Self::MediaIdle => "KiB",
        }
    }

    fn more_is_better(self) -> bool {
        !matches!(
            self,
            Self::Latency
                | Self::RoomLatency
                | Self::RoomLoaded
                | Self::ArchivePages
                | Self::Idle
                | Self::S2sIdle
                | Self::MediaLatency
                | Self::MediaJoin
                | Self::MediaIdle
        )
    }

    /// What Wello is to reach on one quiet 2-core machine.
    fn at_least(self) -> Option<f64> {
        match self {
            Self::PairsArchive => Some(12_000.0),
            Self::PairsRouting => Some(40_000.0),
            Self::RoomsArchive | Self::RoomsRouting => Some(100_000.0),
            Self::RoomLatency | Self::RoomLoaded => Some(20.0),
            Self::ArchivePages => Some(15.0),
            Self::Upload | Self::Download | Self::SmallFiles | Self::SameFile => None,
            Self::Room1000 | Self::Room5000 => Some(100_000.0),
            Self::Join1000 | Self::Join5000 | Self::JoinQuiet5000 | Self::Latency => None,
            Self::LoginSha1 | Self::LoginSha256 => Some(1_500.0),
            Self::Idle => Some(20.0),
            Self::S2s | Self::S2sIdle => None,
            Self::Media | Self::MediaRooms => Some(200_000.0),
            Self::MediaEstimated => Some(120_000.0),
            Self::MediaLatency => Some(3.0),
            Self::MediaJoin => Some(400.0),
            Self::MediaIdle => None,
        }
    }

    fn value(self, measured: &Measurement) -> Option<f64> {
        match self {
            Self::Latency | Self::RoomLatency | Self::RoomLoaded | Self::ArchivePages => {
                measured.latency_ms.map(|l| l.p99)
            }
            Self::MediaLatency => measured.latency_ms.map(|l| l.p99),
            Self::MediaJoin => measured.latency_ms.map(|l| l.p95),
            Self::Idle | Self::S2sIdle | Self::MediaIdle => {
                measured.memory.map(|m| m.bytes_per_session as f64 / 1024.0)
            }
            _ => measured.per_cpu_s,
        }
    }
}

impl Report {
    pub(crate) fn new(figures: &[Figure], seconds: u64, sessions: usize) -> Self {
        let row = |figure: &Figure| Row {
            figure: *figure,
            unit: figure.unit(),
            servers: BTreeMap::new(),
            ratio: None,
            at_least: figure.at_least(),
        };
        Self {
            machine: Machine::here(),
            seconds_of_each_load: seconds,
            idle_sessions: sessions,
            versions: BTreeMap::new(),
            figures: figures.iter().map(row).collect(),
        }
    }

    pub(crate) fn server(&mut self, server: Server, version: Option<String>) {
        self.versions.insert(server, version);
    }

    pub(crate) fn record(&mut self, figure: Figure, server: Server, outcome: Outcome) {
        match &outcome {
            Outcome::Failed { error: how } | Outcome::Unfinished { unfinished: how } => {
                eprintln!("  {how}");
            }
            Outcome::Measured(_) => {}
        }
        if let Some(row) = self.figures.iter_mut().find(|row| row.figure == figure) {
            row.servers.insert(server, outcome);
            row.ratio = row.ratio();
        }
    }

    pub(crate) fn record_if_none(&mut self, figure: Figure, server: Server, outcome: &Outcome) {
        let row = self.figures.iter().find(|row| row.figure == figure);
        if row.is_some_and(|row| !row.servers.contains_key(&server)) {
            self.record(figure, server, outcome.clone());
        }
    }

    /// Work per second of time that a server has shown.
    pub(crate) fn wall_rate(&self, figure: Figure, server: Server) -> Option<f64> {
        let row = self.figures.iter().find(|row| row.figure == figure)?;
        Some(row.servers.get(&server)?.measurement()?.per_wall_s)
    }

    /// Whether every figure of every server is there, or known to take too long.
    pub(crate) fn complete(&self) -> bool {
        let mut outcomes = self.figures.iter().flat_map(|row| row.servers.values());
        outcomes.all(|outcome| !matches!(outcome, Outcome::Failed { .. }))
    }
}

impl Row {
    fn value(&self, server: Server) -> Option<f64> {
        self.figure.value(self.servers.get(&server)?.measurement()?)
    }

    fn ratio(&self) -> Option<f64> {
        let ours = self.value(Server::Wello)?;
        let peers = [Server::Prosody, Server::Ejabberd, Server::Janus];
        let peers = peers.into_iter().filter_map(|s| self.value(s));
        if self.figure.more_is_better() {
            Some(ours / peers.reduce(f64::max)?)
        } else {
            Some(peers.reduce(f64::min)? / ours)
        }
    }

    /// What does not fit into one number.
    fn remark(&self, server: Server) -> Option<String> {
        let measured = match self.servers.get(&server)? {
            Outcome::Failed { error } => return Some(error.clone()),
            Outcome::Unfinished { unfinished } => return Some(unfinished.clone()),
            Outcome::Measured(measured) => measured,
        };
        if let (Some(p), Some(l)) = (&measured.pages, measured.latency_ms) {
            let mut remark = format!("{} messages, {:.0} pages/s", p.archive, l.rate);
            for (kind, l) in &p.kinds_ms {
                remark += &format!("; {kind} {}/{}", short(l.p50), short(l.p99));
            }
            let (p50, p99) = (short(p.four_readers_ms.p50), short(p.four_readers_ms.p99));
            return Some(remark + &format!("; four readers {p50}/{p99} (p50/p99 ms)"));
        }
        if let (Some(f), Some(l)) = (measured.forwarding, measured.latency_ms) {
            let [p50, p99, max] = [l.p50, l.p99, l.max].map(short);
            let (cpu, generator) = (measured.server_cpu_s.unwrap_or(0.0), measured.generator_cpu_s);
            let dialect =
                f.dialect.map_or(String::new(), |dialect| format!("{}: ", dialect.name()));
            return Some(format!(
                "{dialect}{} of {:.0}/s each in {:.1} s, {} lost, {cpu:.2} CPU-s, generator \
                 {generator:.2}; p50 {p50}, p99 {p99}, max {max} ms",
                measured.work, f.rate, measured.wall_s, f.lost
            ));
        }
        if let Some(l) = measured.latency_ms {
            let [p50, p99, max] = [l.p50, l.p99, l.max].map(short);
            return Some(format!("p50 {p50}, p99 {p99}, max {max} ms at {:.0} messages/s", l.rate));
        }
        if let Some(m) = measured.memory {
            let rss = format!("{} → {} KiB", m.rss_before_kib, m.rss_after_kib);
            return Some(format!("resident {rss} with {} sessions", measured.work));
        }
        let mut remark = format!("{} in {:.1} s", measured.work, measured.wall_s);
        if let Some(cpu) = measured.server_cpu_s {
            remark += &format!(", {cpu:.2} CPU-s, generator {:.2}", measured.generator_cpu_s);
        }
        if let Some(growth) = measured.peak_growth_kib {
            let mib = short(growth as f64 / 1024.0);
            let rate = short(measured.per_wall_s);
            remark += &format!(", {rate} MiB/s, resident at most +{mib} MiB");
        }
        if let Some(e) = measured.entry {
            let (ms, mib) = (short(e.ms), short(e.rss_growth_kib as f64 / 1024.0));
            let (presences, kib) = (e.presences, e.bytes / 1024);
            remark += &format!(
                "; the last in {ms} ms with {presences} presences, {kib} KiB; resident +{mib} MiB"
            );
        }
        if let (Some(iterations), Some(tls)) = (measured.scram_iterations, &measured.tls) {
            remark += &format!(", {iterations} iterations, {tls}");
        }
        Some(remark)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, processors, kernel, load } = &self.machine;
        writeln!(f, "{processors} × {processor}, Linux {kernel}, load before {load}")?;
        write!(f, "{:39}", "")?;
        for server in self.versions.keys() {
            write!(f, "{:>10}", server.name())?;
        }
        writeln!(f, "{:>9}{:>10}", "ratio", "at least")?;
        for row in &self.figures {
            write!(f, "{:22}{:17}", row.figure.title(), row.unit)?;
            for server in self.versions.keys() {
                write!(f, "{:>10}", row.value(*server).map_or("-".into(), short))?;
            }
            let ratio = row.ratio.map_or("-".into(), |r| format!("{r:.1}×"));
            writeln!(f, "{ratio:>9}{:>10}", row.at_least.map_or("-".into(), short))?;
        }
        for row in &self.figures {
            writeln!(f, "\n{} ({})", row.figure.title(), row.unit)?;
            for server in self.versions.keys() {
                let remark = row.remark(*server).unwrap_or_default();
                writeln!(f, "  {:9}{remark}", server.name())?;
            }
        }
        Ok(())
    }
}

/// Three significant digits or whole numbers.
fn short(value: f64) -> String {
    let decimals = match value {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

impl Machine {
    fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let name = processors.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: name.map_or_else(|| "processor".into(), |(_, name)| name.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(per_cpu_s: f64) -> Outcome {
        Outcome::of(Ok(Measurement { per_cpu_s: Some(per_cpu_s), ..Measurement::default() }))
    }

    #[test]
    fn compares_with_the_better_peer() {
        let mut report = Report::new(&[Figure::PairsArchive], 1, 1);
        for (server, value) in
            [(Server::Wello, 900.0), (Server::Prosody, 300.0), (Server::Ejabberd, 100.0)]
        {
            report.server(server, None);
            report.record(Figure::PairsArchive, server, measured(value));
        }
        assert_eq!(report.figures[0].ratio, Some(3.0));
        assert!(report.complete());
        assert!(report.to_string().contains("3.0×"), "{report}");
    }

    #[test]
    fn a_failure_is_shown_and_is_not_a_figure() {
        let mut report = Report::new(&[Figure::LoginSha1], 1, 1);
        report.server(Server::Wello, None);
        let failure = Outcome::failed(&anyhow::anyhow!("no such mechanism"));
        report.record_if_none(Figure::LoginSha1, Server::Wello, &failure);
        assert!(!report.complete());
        assert!(report.to_string().contains("no such mechanism"));
        assert_eq!(report.wall_rate(Figure::LoginSha1, Server::Wello), None);
    }
}
