//! A component's connection.

use std::future;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use wello_kernel::metrics::StreamLabels;
use wello_stream::component::{Component, ComponentAction};
use wello_stream::s2s::Domain;
use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::stanza::Stanza;

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
    admitted: Option<Admitted>,
    pending: Vec<u8>,
    buffer: Vec<u8>,
    shaper: Shaper,
    deadline: Instant,
}

/// What a connection has once it has shown the secret.
struct Admitted {
    domain: Domain,
    queue: Arc<Queue>,
}

impl Task {
    pub fn new(server: Arc<ComponentServer>, accepted: Accepted) -> Task {
        let Accepted { stream, peer, permit, .. } = accepted;
        let config = &server.kernel.config;
        let now = Instant::now();
        Task {
            stream: Component::new(Arc::clone(&server.settings)),
            shaper: Shaper::new(config.limits.rate(), now),
            deadline: now + Duration::from_secs(config.limits.login_seconds),
            socket: Socket::Tcp(stream),
            peer,
            permit,
            admitted: None,
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
        if let Some(Admitted { domain, queue }) = &self.admitted {
            tracing::info!(peer = %self.peer, %domain, "component gone");
            self.server.disconnect(domain, queue).await;
        }
    }

    async fn serve(&mut self) -> ControlFlow<()> {
        self.handle_pending().await?;
        if let Some(Admitted { queue, .. }) = &self.admitted {
            for stanza in queue.take(WRITE_BATCH_BYTES) {
                self.send(&stanza);
            }
        }
        self.flush().await?;
        self.wait().await
    }

    fn send(&mut self, stanza: &Stanza) {
        self.server.kernel.metrics.remote_stanzas_sent.count(stanza.kind);
        self.stream.send(stanza);
    }

    async fn handle_pending(&mut self) -> ControlFlow<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            while let Some(action) = self.stream.poll_action() {
                match action {
                    ComponentAction::Authenticated(domain) => self.admit(domain).await?,
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

    async fn admit(&mut self, domain: Domain) -> ControlFlow<()> {
        let server = Arc::clone(&self.server);
        // Only what is configured has a secret to show.
        let Some(component) = server.component(domain.as_str()) else {
            return ControlFlow::Break(());
        };
        let Some(queue) = server.connect(component, &domain) else {
            let error = StreamError::new(StreamCondition::Conflict);
            self.stream.fail(&error.with_text("too many connections"));
            return ControlFlow::Continue(());
        };
        tracing::info!(peer = %self.peer, %domain, "component connected");
        self.permit.authenticated();
        let now = Instant::now();
        self.deadline = now + KEEP_ALIVE;
        self.shaper.set_rate(component.limits.rate(), now);
        self.admitted = Some(Admitted { domain, queue });
        for stanza in server.kernel.component_connected(component).await {
            self.send(&stanza);
            if self.stream.output().len() >= WRITE_BATCH_BYTES {
                self.flush().await?;
            }
        }
        ControlFlow::Continue(())
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
        let server = Arc::clone(&self.server);
        let queue = self.admitted.as_ref().map(|admitted| Arc::clone(&admitted.queue));
        let filled = async {
            match queue {
                Some(queue) => queue.filled().await,
                None => future::pending().await,
            }
        };
        let before = self.pending.len();
        let (shaper, socket, pending) = (&self.shaper, &mut self.socket, &mut self.pending);
        let read = async {
            shaper.ready().await;
            socket.read(pending).await
        };
        tokio::select! {
            read = read => match read {
                Ok(true) => {}
                Ok(false) | Err(_) => return ControlFlow::Break(()),
            },
            () = filled => return ControlFlow::Continue(()),
            () = sleep_until(self.deadline) => return self.handle_deadline().await,
            () = server.shutdown.cancelled() => {
                self.stream.fail(&StreamCondition::SystemShutdown.into());
                return ControlFlow::Break(());
            }
        }
        self.shaper.count(self.pending.len() - before, Instant::now());
        ControlFlow::Continue(())
    }

    async fn handle_deadline(&mut self) -> ControlFlow<()> {
        if self.admitted.is_none() {
            self.stream.fail(&StreamCondition::ConnectionTimeout.into());
            return ControlFlow::Break(());
        }
        self.deadline = Instant::now() + KEEP_ALIVE;
        self.stream.output().write(|bytes, _| bytes.push(b' '));
        self.flush().await
    }
}
