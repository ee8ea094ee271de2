//! tokio-xmpp against the server: `wello-foreign-tokio-xmpp TARGET RESULTS`.
//!
//! Trust anchors come from SSL_CERT_FILE, as tokio-xmpp reads them. `login TARGET USER PASSWORD`
//! logs in once and exits 0 or 1: for a test that needs other anchors than this process has.

mod client;
mod relay;
mod suite;
mod target;

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::time::timeout;

use crate::target::Target;

/// Bound on one test; each wait in it has a shorter one.
const TEST: Duration = Duration::from_secs(120);

#[derive(Serialize)]
struct Line<'a> {
    test: &'a str,
    outcome: &'a str,
    reason: String,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    // It fails only when a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["login", target, user, password] => {
            let attempt = suite::login_once(&Target::read(target)?, user, password).await;
            Ok(if attempt.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        [target, results] => {
            run(&Target::read(target)?, results).await?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("usage: wello-foreign-tokio-xmpp TARGET RESULTS"),
    }
}

async fn run(target: &Target, results: &str) -> Result<()> {
    let mut file = File::create(results).with_context(|| results.to_owned())?;
    for test in suite::tests(target) {
        if !test.name.contains(&target.only) {
            continue;
        }
        let outcome = match timeout(TEST, test.body).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("not ended after {TEST:?}")),
        };
        let line = Line {
            test: &test.name,
            outcome: if outcome.is_ok() { "passed" } else { "failed" },
            reason: outcome.err().map(|error| format!("{error:#}")).unwrap_or_default(),
        };
        writeln!(file, "{}", serde_json::to_string(&line)?)?;
    }
    Ok(())
}
