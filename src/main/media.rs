//! The ports for media, as far as they can be had.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_net::media_udp::{self, MediaSocket};

/// Binds them, and leaves those in the configuration that there are. Without any there are no
/// conferences: no reason to serve nobody.
pub fn bind(config: &mut Config) -> Vec<MediaSocket> {
    let wanted = config.listen.media.iter().filter(|_| config.calls.conferences);
    let bound: Vec<MediaSocket> = wanted.filter_map(|address| bind_one(*address).ok()).collect();
    config.listen.media = bound.iter().map(MediaSocket::local).collect();
    bound
}

fn bind_one(address: SocketAddr) -> io::Result<MediaSocket> {
    MediaSocket::bind(address).inspect_err(|error| {
        tracing::warn!("listen.media: no conferences there: {address}: {error}");
    })
}

/// Runs engines on them, until the shutdown.
pub fn start(
    kernel: &Arc<Kernel>,
    sockets: Vec<MediaSocket>,
    addresses: &mut Vec<String>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    addresses.extend(sockets.iter().map(|socket| format!("media={}", socket.local())));
    let told = match &kernel.config.calls.addresses {
        none if none.is_empty() => &kernel.config.turn.external_address,
        configured => configured,
    };
    media_udp::start(kernel, sockets, told, shutdown).context("media")
}
