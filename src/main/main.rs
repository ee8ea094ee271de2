//! The `wello` binary: reads the command line, wires the parts together, runs them.

mod backup;
mod cli;
mod health;
mod invite;
mod logging;
mod serve;
mod user;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    // clap ends the process itself with status 2 on wrong usage.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wello: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let config = wello_kernel::config::Config::load(&cli.config, std::env::vars())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve => {
                logging::init(&config.log)?;
                serve::serve(config).await
            }
            Command::User(command) => user::run(&config, command).await,
            Command::Invite(options) => invite::run(&config, options).await,
            Command::Health => health::run(&config).await,
            Command::Backup { file } => backup::run(&config, &file).await,
        }
    })
}
