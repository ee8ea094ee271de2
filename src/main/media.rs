//! The port for media, if it can be had.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_net::media_udp::{self, MediaSocket};

/// Binds it, and leaves it in the configuration if there is one. Without it there are no conferences:
/// no reason to serve nobody.
pub fn bind(config: &mut Config) -> Option<MediaSocket> {
    let wanted = config.listen.media.first().copied().filter(|_| config.calls.conferences);
    let bound = wanted.and_then(|address| {
        let bound = MediaSocket::bind(address);
        let told = |error: &std::io::Error| {
            tracing::warn!("listen.media: no conferences: {address}: {error}");
        };
        bound.inspect_err(told).ok()
    });
    config.listen.media = bound.iter().map(MediaSocket::local).collect();
    bound
}

/// Runs the engine on it, until the shutdown.
pub fn start(
    kernel: &Arc<Kernel>,
    socket: Option<MediaSocket>,
    addresses: &mut Vec<String>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(socket) = socket else { return Ok(None) };
    addresses.push(format!("media={}", socket.local()));
    let told = match &kernel.config.calls.addresses {
        none if none.is_empty() => &kernel.config.turn.external_address,
        configured => configured,
    };
    let thread = media_udp::start(kernel, socket, told, shutdown.clone()).context("media")?;
    Ok(Some(thread))
}
