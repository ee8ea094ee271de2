//! A connection that another server has made.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep_until, timeout};
use wello_kernel::metrics::StreamLabels;
use wello_stream::s2s::{Domain, Incoming, IncomingAction, Pair, Verdict, Verification, Welcome};
use wello_wire::error::{StanzaError, StreamCondition, StreamError};

use super::S2sServer;
use super::policy;
use super::socket::Socket;
use crate::admission::ConnectionPermit;
use crate::shaper::Shaper;
use crate::tls::ListenerKind;

/// Owns one connection.
pub struct Task {
    server: Arc<S2sServer>,
    stream: Incoming,
    socket: Socket,
    peer: SocketAddr,
    /// What the other server showed in the handshake.
    certificates: Vec<CertificateDer<'static>>,
    permit: ConnectionPermit,
    /// Read and not yet handled.
    pending: Vec<u8>,
    buffer: Vec<u8>,
    shaper: Shaper,
    verdicts: FuturesUnordered<BoxFuture<'static, (Pair, Verdict)>>,
    /// The domain that the connection counts for.
    counted: Option<Domain>,
    deadline: Instant,
    last_read: Instant,
}

/// How long the other server may take to take what is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);
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
        let config = server.config();
        let login = Duration::from_secs(server.kernel.config.limits.login_seconds);
        Task {
            stream: Incoming::new(Arc::clone(&server.settings), certificates.is_some()),
            shaper: Shaper::new(config.rate(), now),
            deadline: now + login,
            last_read: now,
            certificates: certificates.unwrap_or_default(),
            socket,
            peer,
            permit,
            pending: Vec::new(),
            buffer: Vec::new(),
            verdicts: FuturesUnordered::new(),
            counted: None,
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
        if let Some(domain) = &self.counted {
            self.server.uncount(domain);
        }
        streams.dec();
        tracing::debug!(peer = %self.peer, domain = ?self.stream.peer(), "stream of another server ended");
    }

    async fn serve(&mut self) -> ControlFlow<()> {
        self.handle_pending().await?;
        self.flush().await?;
        self.wait().await
    }

    async fn handle_pending(&mut self) -> ControlFlow<()> {
        let mut pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
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
                let answer = self.welcome(from.as_ref(), &to);
                self.stream.handle_welcome(answer);
            }
            IncomingAction::Authenticated(pair) => self.admit(&pair, "EXTERNAL"),
            IncomingAction::Verify(claim) => self.verify(claim),
            IncomingAction::Stanza(stanza) => {
                self.server.kernel.handle_remote(stanza).await;
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
                self.certificates = info.client_certificates;
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
    fn welcome(&self, from: Option<&Domain>, to: &Domain) -> Result<Welcome, StreamError> {
        // Somebody without a name can still ask about ours.
        let Some(from) = from else { return Ok(Welcome { external: false, dialback: true }) };
        let (verdict, reason) = self.server.judge(from);
        if verdict == policy::Verdict::Denied {
            tracing::debug!(peer = %self.peer, %from, reason, "turned away");
            let error = StreamError::new(StreamCondition::PolicyViolation);
            return Err(error.with_text("this server does not talk to yours"));
        }
        let trusted = self.server.trusts(&self.certificates, from);
        if let Err(error) = &trusted {
            tracing::debug!(peer = %self.peer, %from, %to, %error, "certificate not used");
        }
        let dialback = verdict == policy::Verdict::Either || trusted.is_ok();
        Ok(Welcome { external: trusted.is_ok(), dialback })
    }

    fn verify(&mut self, claim: Verification) {
        let server = Arc::clone(&self.server);
        let (verdict, reason) = server.judge(&claim.pair.from);
        let trusted = server.trusts(&self.certificates, &claim.pair.from).is_ok();
        let at_once = match verdict {
            policy::Verdict::Denied => {
                tracing::debug!(peer = %self.peer, pair = %claim.pair, reason, "turned away");
                let text = "this server does not talk to yours";
                Some(Verdict::Unknown(StanzaError::policy_violation(text)))
            }
            // XEP-0344: a certificate says more than DNS.
            _ if trusted => Some(Verdict::Valid),
            policy::Verdict::Certificate => {
                let text = "a valid certificate is required";
                Some(Verdict::Unknown(StanzaError::policy_violation(text)))
            }
            policy::Verdict::Either => None,
        };
        if let Some(verdict) = at_once {
            return self.conclude(&claim.pair, &verdict);
        }
        self.verdicts.push(Box::pin(async move {
            let pair = claim.pair.clone();
            (pair, server.verify(claim).await)
        }));
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
        tracing::info!(peer = %self.peer, %pair, by, "another server may send");
        self.permit.authenticated();
        self.deadline = Instant::now() + self.server.config().idle() * PATIENCE;
        let back = Pair { from: pair.to.clone(), to: pair.from.clone() };
        self.server.outboxes.revive(&back);
        if self.counted.is_some() {
            return;
        }
        match self.server.count(&pair.from) {
            true => self.counted = Some(pair.from.clone()),
            false => {
                let error = StreamError::new(StreamCondition::ResourceConstraint);
                self.stream.fail(&error.with_text("too many streams of your domain"));
            }
        }
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
        self.stream.release_temporaries();
        let before = self.pending.len();
        let server = Arc::clone(&self.server);
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
            Some((pair, verdict)) = self.verdicts.next() => {
                self.conclude(&pair, &verdict);
                return ControlFlow::Continue(());
            }
            () = sleep_until(self.deadline) => return self.handle_deadline(),
            () = server.shutdown.cancelled() => {
                self.stream.fail(&StreamCondition::SystemShutdown.into());
                return ControlFlow::Break(());
            }
        }
        self.last_read = Instant::now();
        self.shaper.count(self.pending.len() - before, self.last_read);
        ControlFlow::Continue(())
    }

    fn handle_deadline(&mut self) -> ControlFlow<()> {
        let quiet_until = self.last_read + self.server.config().idle() * PATIENCE;
        if !self.stream.pairs().is_empty() && quiet_until > Instant::now() {
            self.deadline = quiet_until;
            return ControlFlow::Continue(());
        }
        self.stream.fail(&StreamCondition::ConnectionTimeout.into());
        ControlFlow::Break(())
    }
}
