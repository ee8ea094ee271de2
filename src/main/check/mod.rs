//! `wello check`: what a newcomer gets wrong, with the mend. Looks and changes nothing.

mod dns;
mod finding;
mod judge;
mod look;

use std::path::Path;

use anyhow::bail;
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_net::s2s::probe::{self, Kind, Observation};
use wello_net::turn;
use wello_stream::s2s::Domain;

use crate::federation;
use finding::{Finding, Level};

/// Checks a configuration and what it needs; `file` is for the findings. Fails when there is an
/// error among them.
pub async fn run(config: anyhow::Result<Config>, file: &Path) -> anyhow::Result<()> {
    let findings = match config {
        Ok(config) => {
            let read = format!("{}: serves {}", file.display(), config.domains().join(", "));
            let mut findings = vec![Finding::ok("configuration", read)];
            findings.extend(all(&config).await);
            findings
        }
        Err(error) => vec![Finding::error("configuration", crate::one_line(&error))],
    };
    match report(&findings) {
        0 => Ok(()),
        1 => bail!("1 error; the server will not work as it is"),
        errors => bail!("{errors} errors; the server will not work as it is"),
    }
}

/// Finds the server of another domain and connects to it. Fails when stanzas would not get there.
pub async fn domain(config: &Config, domain: &str) -> anyhow::Result<()> {
    let Some(name) = Domain::parse(domain) else { bail!("{domain:?} is not a domain") };
    let roots = federation::authorities(&config.s2s)?;
    let seen = probe::probe(config, roots, &name, Clock::System.now()).await?;
    let findings = seen.into_iter().map(|Observation { kind, text }| match kind {
        Kind::Good => Finding::ok("server", text),
        Kind::Odd => Finding::warning("server", text),
        Kind::Bad => Finding::error("server", text),
    });
    match report(&findings.collect::<Vec<_>>()) {
        0 => Ok(()),
        _ => bail!("what is written to {name} comes back"),
    }
}

/// How many errors there are.
fn report(findings: &[Finding]) -> usize {
    findings.iter().for_each(|finding| println!("{finding}"));
    findings.iter().filter(|finding| finding.level == Level::Error).count()
}

async fn all(config: &Config) -> Vec<Finding> {
    let running = crate::lock::DataDirLock::is_taken(&config.data_dir);
    let mut findings = vec![look::data_dir(&config.data_dir)];
    findings.push(look::storage(config).await);
    findings.extend(look::certificates(config));
    findings.extend(look::ports(config, running));
    findings.extend(judge::settings(config));
    findings.extend(judge::relay(config, turn::own_address(false)));
    findings.extend(look::push(config));
    for domain in config.domains() {
        if judge::is_public(domain) {
            let records = dns::records(domain).await;
            findings.extend(judge::records(domain, &records, config));
        } else {
            let only = "is known on this machine or network only: DNS is not looked at";
            findings.push(Finding::note("DNS", format!("{domain} {only}")));
        }
    }
    findings
}
