//! Text for people, JSON for machines.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use wello_kernel::config::{Log, LogFormat};

pub fn init(config: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.level).context("log.level")?;
    let json = match config.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        subscriber.json().flatten_event(true).init();
    } else {
        subscriber.with_ansi(std::io::stderr().is_terminal()).init();
    }
    Ok(())
}
