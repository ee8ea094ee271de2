//! A connection that another server has made.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep_until, timeout};
use wello_kernel::metrics::StreamLabels;
use wello_stream::s2s::{Domain, Incoming, IncomingAction, Owner, Pair, Verdict, Welcome};
use wello_wire::error::{StreamCondition, StreamError};

use super::S2sServer;
use super::dane::Associations;
use super::links::Linked;
use super::neighbours::Pace;
use super::policy;
use super::resumption::{Bequest, Estate, Registration, Request};
use super::socket::Socket;
use super::traffic::{Traffic, Wake};
use crate::admission::ConnectionPermit;
use crate::tls::ListenerKind;

/// Owns one connection.
pub struct Task {
    server: Arc<S2sServer>,
    stream: Incoming,
    socket: Socket,
    peer: SocketAddr,
    permit: ConnectionPermit,
    traffic: Traffic,
    pace: Pace,
    /// Read and not yet handled.
    pending: Vec<u8>,
    buffer: Vec<u8>,
    /// Where other connections ask for the stream.
    registration: Option<Registration>,
    /// One has asked.
    heir: Option<Request>,
    linked: Vec<Linked>,
    deadline: Instant,
    last_read: Instant,
}

/// How long the other server may take to take what is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Who opened a stream closes it when it is idle. We wait longer, in times of our own patience: what is on its
/// way to a stream that is being closed is lost.
const PATIENCE: u32 = 6;

const LABELS: StreamLabels = StreamLabels { direction: "incoming" };

impl Task {
    /// `certificates`: TLS is up.
    pub fn new(
        server: Arc<S2sServer>,
        socket: Socket,
        peer: SocketAddr,
        certificates: Option<Vec<CertificateDer<'static>>>,
        permit: ConnectionPermit,
    ) -> Task {
        let now = Instant::now();
        let login = Duration::from_secs(server.kernel.config.limits.login_seconds);
        let stream = Incoming::new(Arc::clone(&server.settings), certificates.is_some());
        let mut traffic = Traffic::new(Arc::clone(&server), Arc::default());
        traffic.certify(certificates.unwrap_or_default());
        Task {
            stream,
            traffic,
            pace: Pace::new(server.config().rate()),
            deadline: now + login,
            last_read: now,
            socket,
            peer,
            permit,
            pending: Vec::new(),
            buffer: Vec::new(),
            registration: None,
            heir: None,
            linked: Vec::new(),
            server,
        }
    }

    pub async fn run(mut self) {
        let streams = self.server.kernel.metrics.remote_streams.get_or_create_owned(&LABELS);
        streams.inc();
        while self.serve().await.is_continue() {}
        streams.dec();
        tracing::debug!(peer = %self.peer, domain = ?self.stream.peer(), "stream of another server ended");
        let server = Arc::clone(&self.server);
        // The connection is gone before the stream waits for another one.
        if let Some(bequest) = Box::pin(self.finish()).await {
            bequest.give(&server).await;
        }
    }

    async fn finish(mut self) -> Option<Bequest> {
        let remains = self.stream.take_remains();
        if self.heir.is_some() {
            // XEP-0198, section 5: the stream is somewhere else now.
            self.stream.fail(&StreamCondition::Conflict.into());
        }
        let (exchange, socket) = (self.stream.exchange(), &mut self.socket);
        let stranded = self.traffic.close(exchange, socket, &mut self.buffer).await;
        let former = self.traffic.salvage(remains, stranded).await;
        let charges = self.traffic.take_charges();
        match (former, self.registration.take()) {
            (Some(former), Some(registration)) => {
                let estate = Estate { former, charges };
                Some(Bequest { registration, estate, asked: self.heir.take() })
            }
            // Without a registration it cannot be resumed, so there is no former stream either.
            _ => {
                self.server.pass_on(charges);
                None
            }
        }
    }

    async fn serve(&mut self) -> ControlFlow<()> {
        self.handle_pending().await?;
        let more = self.traffic.drain(self.stream.exchange());
        self.settle()?;
        self.flush().await?;
        match more {
            true => ControlFlow::Continue(()),
            false => self.wait().await,
        }
    }

    async fn handle_pending(&mut self) -> ControlFlow<()> {
        let mut pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            while let Some(exchanged) = self.stream.exchange().poll() {
                let concluded = self.traffic.receive(exchanged, self.stream.exchange()).await;
                if let Some((pair, verdict)) = concluded {
                    self.conclude(&pair, &verdict);
                }
            }
            while let Some(action) = self.stream.poll_action() {
                if let IncomingAction::StartTls = action {
                    // What came before the handshake was not protected by it.
                    rest = &[];
                }
                self.perform(action).await?;
            }
            if rest.is_empty() {
                break;
            }
            self.stream.handle_bytes(&mut rest);
        }
        pending.clear();
        pending.shrink_to(0);
        self.pending = pending;
        ControlFlow::Continue(())
    }

    async fn perform(&mut self, action: IncomingAction) -> ControlFlow<()> {
        match action {
            IncomingAction::StartTls => return self.start_tls().await,
            IncomingAction::Open { from, to } => {
                let answer = self.welcome(from.as_ref(), &to).await;
                self.stream.handle_welcome(answer);
            }
            IncomingAction::Authenticated(pair) => self.admit(&pair, "EXTERNAL"),
            IncomingAction::Managed { id, owner } => self.register(id, owner),
            IncomingAction::Resume { id, owner } => self.resume(id, owner).await,
            IncomingAction::Goodbye => {
                self.traffic.part(self.stream.exchange()).await;
                self.stream.close();
            }
            IncomingAction::Close => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    async fn start_tls(&mut self) -> ControlFlow<()> {
        self.flush().await?;
        let Some(stream) = self.socket.take_tcp() else { return ControlFlow::Break(()) };
        match self.server.acceptor.accept(stream, ListenerKind::S2s).await {
            Ok(Some((stream, info))) => {
                self.socket = Socket::Tls(Box::new(stream));
                self.traffic.certify(info.client_certificates);
                self.stream.handle_secured();
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Break(()),
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "handshake failed");
                ControlFlow::Break(())
            }
        }
    }

    /// What the other server may prove itself by.
    async fn welcome(
        &mut self,
        from: Option<&Domain>,
        to: &Domain,
    ) -> Result<Welcome, StreamError> {
        // Somebody without a name can still ask about ours.
        let Some(from) = from else { return Ok(Welcome { external: false, dialback: true }) };
        let (verdict, reason) = self.server.judge(from);
        if verdict == policy::Verdict::Denied {
            tracing::debug!(peer = %self.peer, %from, reason, "turned away");
            let error = StreamError::new(StreamCondition::PolicyViolation);
            return Err(error.with_text("this server does not talk to yours"));
        }
        let chain = self.traffic.certificates();
        let trusted = match verdict {
            policy::Verdict::Certificate => {
                self.server.prove(chain, &Associations::default(), from).await.map(drop)
            }
            // Without need no website is asked.
            _ => self.server.trusts(chain, from),
        };
        if let Err(error) = &trusted {
            tracing::debug!(peer = %self.peer, %from, %to, %error, "certificate not used");
        }
        let dialback = verdict == policy::Verdict::Either || trusted.is_ok();
        Ok(Welcome { external: trusted.is_ok(), dialback })
    }

    fn conclude(&mut self, pair: &Pair, verdict: &Verdict) {
        self.stream.handle_verdict(pair, verdict);
        match verdict {
            Verdict::Valid => self.admit(pair, "dialback"),
            other => tracing::info!(peer = %self.peer, %pair, ?other, "dialback failed"),
        }
    }

    /// A pair of domains has been proved.
    fn admit(&mut self, pair: &Pair, by: &'static str) {
        let bidi = self.stream.is_bidirectional();
        tracing::info!(peer = %self.peer, %pair, by, bidi, "another server may send");
        self.permit.authenticated();
        self.deadline = Instant::now() + self.server.config().idle() * PATIENCE;
        let back = pair.reversed();
        self.server.outboxes.revive(&back);
        let joined = self.pace.join(&self.server.neighbours, &pair.from, self.peer.ip());
        if let Err(too_many) = joined {
            tracing::info!(peer = %self.peer, %pair, %too_many, "turned away");
            let error = StreamError::new(StreamCondition::ResourceConstraint);
            return self.stream.fail(&error.with_text(too_many.to_string()));
        }
        self.link();
        if bidi && let Some(charge) = self.server.outboxes.carry(back, self.traffic.woken()) {
            self.traffic.serve(charge);
        }
    }

    /// Tells which domains it is of.
    fn link(&mut self) {
        let (links, bidi) = (&self.server.links, self.stream.is_bidirectional());
        self.linked = self.stream.pairs().iter().map(|pair| links.incoming(pair, bidi)).collect();
    }

    fn register(&mut self, id: String, owner: Owner) {
        self.registration = Some(Registration::new(&self.server, id, owner));
    }

    async fn resume(&mut self, id: String, owner: Owner) {
        let estate = self.server.resumptions.request(&id, &owner).await;
        let former = estate.map(|Estate { former, charges }| {
            tracing::info!(peer = %self.peer, pair = %owner.pair, "another server goes on");
            charges.into_iter().for_each(|charge| self.traffic.serve(charge));
            self.register(id, owner);
            former
        });
        self.stream.handle_resumption(former);
        self.link();
    }

    fn settle(&mut self) -> ControlFlow<()> {
        match self.traffic.settle(self.stream.exchange()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                tracing::error!(%error, "a message could not be stored, ending the stream");
                self.stream.fail(&StreamCondition::InternalServerError.into());
                ControlFlow::Break(())
            }
        }
    }

    async fn flush(&mut self) -> ControlFlow<()> {
        if self.stream.output().is_empty() {
            return ControlFlow::Continue(());
        }
        let write = self.socket.write(self.stream.output(), &mut self.buffer);
        let written = tokio::select! {
            written = timeout(WRITE_TIMEOUT, write) => written,
            // Nobody reads here any more.
            heir = asked(&mut self.registration) => {
                self.heir = heir;
                return ControlFlow::Break(());
            }
        };
        match written {
            Ok(Ok(())) => {
                Traffic::handle_written(self.stream.exchange(), &self.socket);
                ControlFlow::Continue(())
            }
            Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
        }
    }

    async fn wait(&mut self) -> ControlFlow<()> {
        self.buffer = Vec::new();
        self.stream.release_temporaries();
        let before = self.pending.len();
        let server = Arc::clone(&self.server);
        let (pace, socket, pending) = (&self.pace, &mut self.socket, &mut self.pending);
        let read = async {
            pace.ready().await;
            socket.read(pending).await
        };
        tokio::select! {
            read = read => match read {
                Ok(true) => {}
                Ok(false) | Err(_) => return ControlFlow::Break(()),
            },
            wake = self.traffic.wait() => return self.awake(wake),
            heir = asked(&mut self.registration) => {
                self.heir = heir;
                return ControlFlow::Break(());
            }
            () = sleep_until(self.deadline) => {
                return self.handle_deadline().await;
            }
            () = server.shutdown.cancelled() => return self.shut_down().await,
        }
        self.last_read = Instant::now();
        self.pace.count(self.pending.len() - before);
        ControlFlow::Continue(())
    }

    /// What is ready to go goes.
    async fn shut_down(&mut self) -> ControlFlow<()> {
        let mut more = true;
        while more {
            more = self.traffic.drain(self.stream.exchange());
            self.flush().await?;
        }
        self.traffic.part(self.stream.exchange()).await;
        self.stream.fail(&StreamCondition::SystemShutdown.into());
        ControlFlow::Break(())
    }

    fn awake(&mut self, wake: Wake) -> ControlFlow<()> {
        match wake {
            Wake::Work => ControlFlow::Continue(()),
            Wake::Concluded(pair, verdict) => {
                self.conclude(&pair, &verdict);
                ControlFlow::Continue(())
            }
            Wake::Overdue => match self.traffic.is_stuck(self.stream.exchange(), &self.socket) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        }
    }

    async fn handle_deadline(&mut self) -> ControlFlow<()> {
        let quiet_until = self.last_read + self.server.config().idle() * PATIENCE;
        if !self.stream.pairs().is_empty() && quiet_until > Instant::now() {
            self.deadline = quiet_until;
            return ControlFlow::Continue(());
        }
        self.traffic.part(self.stream.exchange()).await;
        self.stream.fail(&StreamCondition::ConnectionTimeout.into());
        ControlFlow::Break(())
    }
}

/// Waits until another connection asks for the stream. May be dropped and called again.
async fn asked(registration: &mut Option<Registration>) -> Option<Request> {
    match registration {
        Some(registration) => registration.request().await,
        None => std::future::pending().await,
    }
}
