//! CPU time and memory of a server process, read from procfs (Linux, proc(5)).

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

/// A process, or two that work together, and all their living descendants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
    partner: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Resident set in KiB.
    pub(crate) rss_kib: u64,
    /// Its anonymous part (heap, stacks) in KiB.
    pub(crate) anon_kib: u64,
}

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid, partner: None }
    }

    /// Both together.
    pub(crate) fn and(self, partner: Process) -> Self {
        Self { partner: Some(partner.pid), ..self }
    }

    /// User plus system time since the process began, threads and living descendants included.
    pub(crate) fn cpu(self) -> Result<Duration> {
        // A child may end between the listing and the look at it.
        let ticks = |pid: &u32| stat(*pid).map_or(0, |s| s.ticks);
        Ok(duration(self.family()?.iter().map(ticks).sum()))
    }

    pub(crate) fn memory(self) -> Result<Memory> {
        let mut sum = Memory::default();
        for pid in self.family()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            sum.rss_kib += kib(&status, "VmRSS:");
            sum.anon_kib += kib(&status, "RssAnon:");
        }
        Ok(sum)
    }

    /// Waits until the process has used at most 1 % of one CPU for a second, or until `limit` has passed.
    pub(crate) async fn quiet(self, limit: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut before = self.cpu()?;
        while tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let after = self.cpu()?;
            if after - before <= Duration::from_millis(10) {
                break;
            }
            before = after;
        }
        Ok(())
    }

    fn family(self) -> Result<Vec<u32>> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.parent)))
            .collect();
        let mut family: Vec<u32> = [self.pid].into_iter().chain(self.partner).collect();
        for pid in &family {
            stat(*pid).with_context(|| format!("no process {pid}"))?;
        }
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            family.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| pid));
            next += 1;
        }
        Ok(family)
    }
}

/// CPU time of this process alone: servers that it started are not its own work.
pub(crate) fn own_cpu() -> Duration {
    duration(stat(std::process::id()).map_or(0, |s| s.ticks))
}

fn duration(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The command name (field 2) may hold spaces and parentheses: count from its last one.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(4)?).ok()?, ticks: number(14)? + number(15)? })
}

fn kib(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|l| l.strip_prefix(name));
    value.and_then(|v| v.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stat_line_with_an_awkward_name() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 10 0 0 0 150 25 3 4 20 0 5 0 100 1 2";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.parent, stat.ticks), (7, 175));
    }

    #[test]
    fn reads_memory_fields() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t     234 kB\n";
        assert_eq!(
            (kib(status, "VmRSS:"), kib(status, "RssAnon:"), kib(status, "VmSwap:")),
            (1234, 234, 0)
        );
    }

    #[test]
    fn a_process_that_works_uses_cpu_and_memory() {
        let own = Process::new(std::process::id());
        let begin = own_cpu();
        while own_cpu() == begin {
            std::hint::black_box((0..10_000u64).sum::<u64>());
        }
        assert!(own.cpu().unwrap() > begin);
        assert!(own.memory().unwrap().rss_kib > 100);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Process::new(u32::MAX).cpu().is_err());
    }
}
