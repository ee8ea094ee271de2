//! Starts servers, plays scripts on them, several at a time.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;

use crate::play::{Played, play};
use crate::report::{Excuses, Outcome, Row, print_row};
use crate::script::Script;
use crate::target::{Server, Target};

pub(crate) struct Options {
    pub(crate) jobs: usize,
    pub(crate) trace: bool,
    pub(crate) trace_all: bool,
}

/// Scripts that can share one server.
type Group<'a> = Vec<&'a Script>;

pub(crate) async fn run(
    scripts: &[Script],
    target: &Target,
    excuses: &Excuses,
    options: &Options,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut runnable = Vec::new();
    for script in scripts {
        match target.lacks(script) {
            Some(why) => {
                let row = Row::new(script, Outcome::Skipped, 0, Some(why));
                print_row(&row);
                rows.push(row);
            }
            None => runnable.push(script),
        }
    }
    let (shared, own) = group(&runnable);
    rows.extend(run_group(shared, target, excuses, options, options.jobs).await);
    let others = stream::iter(own)
        .map(|g| run_group(g, target, excuses, options, 2))
        .buffer_unordered(options.jobs.div_ceil(2));
    rows.extend(others.collect::<Vec<_>>().await.into_iter().flatten());
    Ok(rows)
}

/// The scripts for the common server, and groups with a configuration of their own.
fn group<'a>(scripts: &[&'a Script]) -> (Group<'a>, Vec<Group<'a>>) {
    let mut shared = Vec::new();
    let mut alone = Vec::new();
    let mut by_config: BTreeMap<String, Group<'a>> = BTreeMap::new();
    for script in scripts.iter().copied() {
        match &script.config {
            None if !script.needs_own_server() => shared.push(script),
            Some(config) if !script.restarts() => {
                by_config.entry(config.to_string()).or_default().push(script);
            }
            _ => alone.push(vec![script]),
        }
    }
    alone.extend(by_config.into_values());
    (shared, alone)
}

async fn run_group(
    scripts: Group<'_>,
    target: &Target,
    excuses: &Excuses,
    options: &Options,
    jobs: usize,
) -> Vec<Row> {
    let Some(first) = scripts.first().copied() else {
        return Vec::new();
    };
    let server = match target.start(first.config.as_ref()).await {
        Ok(server) => server,
        Err(e) => {
            let reason = format!("no server: {e:#}");
            return scripts.iter().map(|s| failed(s, &reason, excuses)).collect();
        }
    };
    let mut rows: Vec<Row> = stream::iter(&scripts)
        .map(|script| run_one(script, &server, excuses, options))
        .buffer_unordered(jobs)
        .collect()
        .await;
    if let Err(reason) = server.stop().await {
        let mut row = failed(first, &reason, &Excuses::default());
        row.id = format!("server/{}", first.id);
        "the server stays up and stops cleanly".clone_into(&mut row.title);
        rows.push(row);
    }
    rows
}

fn failed(script: &Script, reason: &str, excuses: &Excuses) -> Row {
    let mut row = Row::new(script, Outcome::Failed, 0, Some(reason.to_owned()));
    excuses.judge(&mut row);
    print_row(&row);
    row
}

async fn run_one(script: &Script, server: &Server, excuses: &Excuses, options: &Options) -> Row {
    let start = Instant::now();
    let Played { failure, trace } = play(script, server).await;
    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (outcome, reason) = match &failure {
        None => (Outcome::Passed, None),
        Some(f) => (Outcome::Failed, Some(format!("{}.scn:{}: {}", script.id, f.line, f.message))),
    };
    let mut row = Row::new(script, outcome, ms, reason);
    excuses.judge(&mut row);
    print_row(&row);
    if options.trace_all || options.trace && failure.is_some() {
        for line in &trace {
            println!("     | {line}");
        }
        if failure.is_some() {
            println!("{}", server.log_tail());
        }
    }
    row
}
