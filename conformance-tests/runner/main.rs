//! Plays scripted conversations against a server and judges what it answers.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that panics has failed"))]

mod client;
mod pattern;
mod play;
mod report;
mod run;
mod script;
mod target;
mod text;
mod xml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use report::{Excuses, Row};
use run::Options;
use script::Script;
use target::Target;

#[derive(Debug, Parser)]
#[command(about = "Plays scripted XMPP conversations against a server")]
struct Args {
    /// Only scripts whose id contains one of these
    filter: Vec<String>,
    /// Our own server: wello:PATH_TO_BINARY (default: the one built beside this program)
    #[arg(long)]
    server: Option<String>,
    /// Another server: `prosody`, or HOST:PORT[/DOMAIN] of one that allows registration
    #[arg(long, conflicts_with = "server")]
    target: Option<String>,
    /// Scripts that run at the same time
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Write one JSON object per script
    #[arg(long)]
    results: Option<PathBuf>,
    /// Write the table by specification
    #[arg(long)]
    render: Option<PathBuf>,
    /// Print what was sent and received by scripts that fail
    #[arg(long)]
    trace: bool,
    /// Print what was sent and received by every script
    #[arg(long)]
    trace_all: bool,
    /// Run scripts that say they do not apply to the target; a pass shows a stale `skip`
    #[arg(long)]
    unskip: bool,
    /// Only read the scripts and report mistakes in them
    #[arg(long)]
    check: bool,
    /// Folder with the scripts
    #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"))]
    scripts: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("conformance: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether the run is good.
fn start(args: &Args) -> anyhow::Result<bool> {
    let all = load_all(&args.scripts)?;
    let target = target(args)?;
    let excuses = Excuses::load(&args.scripts.join("excuses.toml"))?;
    let unknown = excuses.unknown(&all);
    anyhow::ensure!(unknown.is_empty(), "excuses for scripts that do not exist: {unknown:?}");
    let wanted: Vec<Script> = all
        .into_iter()
        .filter(|s| args.filter.is_empty() || args.filter.iter().any(|f| s.id.contains(f)))
        .filter(|s| !args.unskip || s.skips.iter().any(|(t, _)| t == target.name()))
        .map(|s| if args.unskip { Script { skips: Vec::new(), ..s } } else { s })
        .collect();
    if args.check {
        println!("{} scripts are well-formed", wanted.len());
        return Ok(true);
    }
    let options = Options { jobs: args.jobs.max(1), trace: args.trace, trace_all: args.trace_all };
    // One thread: scripts wait for the server nearly all of their time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = runtime.block_on(run::run(&wanted, &target, &excuses, &options))?;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    finish(args, &rows)
}

fn finish(args: &Args, rows: &[Row]) -> anyhow::Result<bool> {
    if let Some(path) = &args.results {
        report::write_results(path, rows)?;
    }
    if let Some(path) = &args.render {
        std::fs::write(path, report::render(rows))?;
    }
    let [passed, failed, skipped] = report::totals(rows);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

fn target(args: &Args) -> anyhow::Result<Target> {
    match args.target.as_deref() {
        Some("prosody") => return Ok(Target::Prosody),
        Some(address) => {
            let (address, domain) = address.split_once('/').unwrap_or((address, ""));
            let (host, port) = address
                .rsplit_once(':')
                .ok_or_else(|| anyhow::anyhow!("--target prosody or HOST:PORT[/DOMAIN]"))?;
            let domain = if domain.is_empty() { host } else { domain };
            let (host, domain) = (host.to_owned(), domain.to_owned());
            return Ok(Target::Remote { host, port: port.parse()?, domain });
        }
        None => {}
    }
    let binary = match &args.server {
        Some(server) => PathBuf::from(server.strip_prefix("wello:").unwrap_or(server)),
        None => std::env::current_exe()?.with_file_name("wello"),
    };
    Ok(Target::Wello(std::path::absolute(binary)?))
}

/// Every mistake in every script is reported, not only the first.
fn load_all(root: &Path) -> anyhow::Result<Vec<Script>> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort();
    let (mut scripts, mut mistakes) = (Vec::new(), Vec::new());
    for path in paths {
        match script::load(root, &path) {
            Ok(script) => scripts.push(script),
            Err(e) => mistakes.push(format!("{e:#}")),
        }
    }
    anyhow::ensure!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    anyhow::ensure!(!scripts.is_empty(), "no scripts in {}", root.display());
    Ok(scripts)
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "scn") {
            out.push(path);
        }
    }
    Ok(())
}
