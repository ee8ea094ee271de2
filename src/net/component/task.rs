//! A component's connection.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use wello_kernel::metrics::StreamLabels;
use wello_stream::component::{Component, ComponentAction};
use wello_stream::s2s::Domain;
use wello_wire::error::{StreamCondition, StreamError};

use super::ComponentServer;
use super::queue::Queue;
use crate::admission::ConnectionPermit;
use crate::listener::Accepted;
use crate::s2s::Socket;
use crate::shaper::Shaper;

const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Stanzas that are written in one go.
const WRITE_BATCH_BYTES: usize = 64 * 1024;
/// Something has to be written now and then, or a router between us forgets the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(300);

const LABELS: StreamLabels = StreamLabels { direction: "component" };

/// Owns one connection.
pub struct Task {
    server: Arc<ComponentServer>,
    stream: Component,
    socket: Socket,
    peer: SocketAddr,
    permit: ConnectionPermit,
    queue: Arc<Queue>,
    domain: Option<Domain>,
    pending: Vec<u8>,
    buffer: Vec<u8>,
    shaper: Shaper,
    deadline: Instant,
}

impl Task {
    pub fn new(server: Arc<ComponentServer>, accepted: Accepted) -> Task {
        let Accepted { stream, peer, permit, .. } = accepted;
        let config = &server.kernel.config;
        let now = Instant::now();
        Task {
            stream: Component::new(Arc::clone(&server.settings)),
            queue: Arc::new(Queue::new(config.s2s.outbox_bytes)),
            shaper: Shaper::new(config.limits.rate(), now),
            deadline: now + Duration::from_secs(config.limits.login_seconds),
            socket: Socket::Tcp(stream),
            peer,
            permit,
            domain: None,
            pending: Vec::new(),
            buffer: Vec::new(),
            server,
        }
    }

    pub async fn run(mut self) {
        let streams = self.server.kernel.metrics.remote_streams.get_or_create_owned(&LABELS);
        streams.inc();
        while self.serve().await.is_continue() {}
        let farewell = self.socket.close(self.stream.output(), &mut self.buffer);
        // The peer may be gone already, and then there is nobody to tell.
        let _ = timeout(LAST_WRITE_TIMEOUT, farewell).await;
        streams.dec();
        if let Some(domain) = &self.domain {
            tracing::info!(peer = %self.peer, %domain, "component gone");
            self.server.disconnect(domain, &self.queue).await;
        }
    }

    async fn serve(&mut self) -> ControlFlow<()> {
        self.handle_pending().await?;
        if self.stream.is_authenticated() {
            for stanza in self.queue.take(WRITE_BATCH_BYTES) {
                self.server.kernel.metrics.remote_stanzas_sent.count(stanza.kind);
                self.stream.send(&stanza);
            }
        }
        self.flush().await?;
        match self.queue.is_empty() {
            true => self.wait().await,
            false => ControlFlow::Continue(()),
        }
    }

    async fn handle_pending(&mut self) -> ControlFlow<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            while let Some(action) = self.stream.poll_action() {
                match action {
                    ComponentAction::Authenticated(domain) => self.admit(domain),
                    ComponentAction::Stanza(stanza) => {
                        self.server.kernel.handle_remote(stanza).await;
                    }
                    ComponentAction::Close => return ControlFlow::Break(()),
                }
            }
            if rest.is_empty() {
                return ControlFlow::Continue(());
            }
            self.stream.handle_bytes(&mut rest);
        }
    }

    fn admit(&mut self, domain: Domain) {
        if !self.server.connect(&domain, &self.queue) {
            let error = StreamError::new(StreamCondition::Conflict);
            return self.stream.fail(&error.with_text("too many connections"));
        }
        tracing::info!(peer = %self.peer, %domain, "component connected");
        self.permit.authenticated();
        self.shaper.set_rate(self.server.rate_of(&domain), Instant::now());
        self.deadline = Instant::now() + KEEP_ALIVE;
        self.domain = Some(domain);
    }

    async fn flush(&mut self) -> ControlFlow<()> {
        if self.stream.output().is_empty() {
            return ControlFlow::Continue(());
        }
        let write = self.socket.write(self.stream.output(), &mut self.buffer);
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
        }
    }

    async fn wait(&mut self) -> ControlFlow<()> {
        self.buffer = Vec::new();
        let (queue, server) = (Arc::clone(&self.queue), Arc::clone(&self.server));
        let before = self.pending.len();
        let (shaper, socket, pending) = (&self.shaper, &mut self.socket, &mut self.pending);
        let read = async {
            shaper.ready().await;
            socket.read(pending).await
        };
        tokio::select! {
            read = read => match read {
                Ok(true) => {
                    self.shaper.count(self.pending.len() - before, Instant::now());
                    ControlFlow::Continue(())
                }
                Ok(false) | Err(_) => ControlFlow::Break(()),
            },
            () = queue.arrived() => ControlFlow::Continue(()),
            () = sleep_until(self.deadline) => {
                if self.domain.is_none() {
                    self.stream.fail(&StreamCondition::ConnectionTimeout.into());
                    return ControlFlow::Break(());
                }
                self.deadline = Instant::now() + KEEP_ALIVE;
                self.stream.output().write(|bytes, _| bytes.push(b' '));
                self.flush().await
            }
            () = server.shutdown.cancelled() => {
                self.stream.fail(&StreamCondition::SystemShutdown.into());
                ControlFlow::Break(())
            }
        }
    }
}
