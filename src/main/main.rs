//! The `wello` binary: reads the command line, wires the parts together, runs them.

mod audit;
mod backup;
mod check;
mod cli;
mod control;
mod federation;
mod health;
mod invite;
mod lock;
mod logging;
mod media;
mod moved;
mod restore;
mod serve;
mod transfer;
mod user;

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use wello_kernel::config::Config;

use cli::{CheckOther, Cli, Command};

/// Buffers of all sizes come and go with every stanza, for which the allocator of the C library takes longer.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DEFAULT_FILE: &str = "./config.toml";

fn main() -> ExitCode {
    // clap ends the process itself with status 2 on wrong usage.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wello: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if let Command::Check { file, other: None } = cli.command {
        return check(file.or(cli.config).as_deref());
    }
    let config = load(cli.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve => {
                logging::init(&config.log)?;
                serve::serve(config).await
            }
            Command::User(command) => user::run(&config, command).await,
            Command::Invite(options) => invite::run(&config, options).await,
            Command::Audit(options) => audit::run(&config, &options).await,
            Command::Health => health::run(&config).await,
            Command::Import(options) => transfer::import(&config, options).await,
            Command::Export { file, domain } => {
                transfer::export(&config, &file, domain.as_deref()).await
            }
            // Handled above, because it takes a configuration that cannot be read.
            Command::Check { other: None, .. } => Ok(()),
            Command::Check { other: Some(CheckOther::Domain { domain }), .. } => {
                check::domain(&config, &domain).await
            }
            Command::Restore { file } => restore::run(&config, &file).await,
            Command::Backup { file } => backup::run(&config, &file).await,
        }
    })
}

fn check(named: Option<&Path>) -> anyhow::Result<()> {
    let file = named.unwrap_or(Path::new(DEFAULT_FILE));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(check::run(load(named), file))
}

/// The file of `--config` must exist; without the option, no file means defaults.
fn load(named: Option<&Path>) -> anyhow::Result<Config> {
    if let Some(file) = named
        && !file.exists()
    {
        bail!("{}: there is no such file; name another with --config", file.display());
    }
    let file = named.unwrap_or(Path::new(DEFAULT_FILE));
    Ok(Config::load(file, std::env::vars())?)
}

/// The error with its causes, without those that have been said already.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_says_nothing_twice() {
        let error = anyhow::anyhow!("no such\n  host").context("a: no such host; b").context("c");
        assert_eq!(one_line(&error), "c: a: no such host; b");
    }
}
