//! A connection that we make to another server, and the stanzas and questions that go there.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wello_kernel::metrics::{OutcomeLabels, StreamLabels};
use wello_stream::s2s::{Negotiable, Outgoing, OutgoingAction, Refusal, Verdict};
use wello_wire::error::{StanzaError, StreamCondition, StreamError};
use wello_wire::stanza::Stanza;

use super::S2sServer;
use super::connect::{self, ConnectError, Connected};
use super::outbox::{Outbox, Question};
use super::policy;
use super::socket::Socket;

/// Between two attempts to reach a server for which something waits; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Stanzas that are written in one go.
const WRITE_BATCH_BYTES: usize = 64 * 1024;

const LABELS: StreamLabels = StreamLabels { direction: "outgoing" };

/// Why nothing could be sent.
struct Failure {
    error: StanzaError,
    /// Trying again soon is no use.
    is_final: bool,
}

/// How a connection ended.
enum End {
    /// Nothing was to be sent for a while, or the server goes down.
    Idle,
    /// It worked, and then it broke or was closed.
    Lost,
    Failed(Failure),
}

/// Serves an outbox until nothing waits in it.
pub async fn run(server: Arc<S2sServer>, outbox: Arc<Outbox>) {
    let mut since = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let end = Box::pin(attempt(&server, &outbox)).await;
        let over = server.shutdown.is_cancelled();
        let failure = match end {
            End::Idle | End::Lost if outbox.rest() => break,
            End::Idle if !over => continue,
            End::Idle => gone("this server goes down"),
            End::Lost => {
                if begun.elapsed() > pause {
                    (since, pause) = (Instant::now(), FIRST_PAUSE);
                }
                gone("connection lost")
            }
            End::Failed(failure) => failure,
        };
        outbox.answer_all(&failure.error);
        let waits = outbox.has_stanzas() && !failure.is_final && !over;
        if waits && since.elapsed() + pause <= server.config().retry() {
            tokio::select! {
                () = sleep(pause) => {}
                () = server.shutdown.cancelled() => {}
            }
            pause *= 2;
            continue;
        }
        let Failure { error, .. } = failure;
        tracing::info!(pair = %outbox.pair, %error, "server not reached");
        let stanzas = outbox.give_up(&error);
        server.give_back(stanzas, &error).await;
        break;
    }
    server.outboxes.forget(&outbox.pair);
}

/// What came up, but not for ever.
fn gone(text: impl Into<String>) -> Failure {
    Failure { error: StanzaError::remote_server_timeout(text), is_final: false }
}

async fn attempt(server: &Arc<S2sServer>, outbox: &Arc<Outbox>) -> End {
    let connecting = timeout(server.config().connect(), connect::connect(server, &outbox.pair));
    let connected = tokio::select! {
        connected = connecting => connected,
        () = server.shutdown.cancelled() => return End::Idle,
    };
    let count = |outcome| {
        server.kernel.metrics.remote_attempts.get_or_create(&OutcomeLabels { outcome }).inc();
    };
    let connected = match connected {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            count("unreachable");
            return End::Failed(unreachable(&error));
        }
        Err(_) => {
            count("unreachable");
            return End::Failed(gone("not connected in time"));
        }
    };
    let mut task = Task::new(Arc::clone(server), Arc::clone(outbox), connected);
    let streams = server.kernel.metrics.remote_streams.get_or_create_owned(&LABELS);
    streams.inc();
    let end = task.run().await;
    streams.dec();
    count(match &end {
        End::Idle | End::Lost => "served",
        End::Failed(_) => "refused",
    });
    end
}

fn unreachable(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Lookup(lookup) => Failure {
            error: StanzaError::remote_server_not_found(error.to_string()),
            is_final: lookup.is_final(),
        },
        _ => gone(error.to_string()),
    }
}

/// Owns one connection.
struct Task {
    server: Arc<S2sServer>,
    outbox: Arc<Outbox>,
    stream: Outgoing,
    socket: Socket,
    pending: Vec<u8>,
    buffer: Vec<u8>,
    /// Those whose answers are awaited.
    questions: Vec<Question>,
    /// Stanzas in the output that are not written.
    unwritten: Vec<Stanza>,
    deadline: Instant,
    was_ready: bool,
    authenticating: bool,
    /// Why no stanzas can be sent.
    failure: Option<Failure>,
}

impl Task {
    fn new(server: Arc<S2sServer>, outbox: Arc<Outbox>, connected: Connected) -> Task {
        let Connected { socket, certificates } = connected;
        let (settings, pair) = (Arc::clone(&server.settings), outbox.pair.clone());
        let (negotiable, failure) = match &certificates {
            Some(chain) => negotiable(&server, &outbox, chain),
            None => (Negotiable::default(), None),
        };
        let stream = Outgoing::new(settings, pair, negotiable, certificates.is_some());
        Task {
            deadline: Instant::now() + server.config().connect(),
            server,
            outbox,
            stream,
            socket,
            pending: Vec::new(),
            buffer: Vec::new(),
            questions: Vec::new(),
            unwritten: Vec::new(),
            was_ready: false,
            authenticating: false,
            failure,
        }
    }

    async fn run(&mut self) -> End {
        while self.failure.is_none() && self.serve().await.is_continue() {}
        let farewell = self.socket.close(self.stream.output(), &mut self.buffer);
        let _ = timeout(LAST_WRITE_TIMEOUT, farewell).await;
        let lost = gone("connection lost");
        for question in self.questions.drain(..) {
            let _ = question.answer.send(Verdict::Unknown(lost.error.clone()));
        }
        // Whether these have arrived is not known; better told twice than lost without a word.
        let unwritten = std::mem::take(&mut self.unwritten);
        self.server.give_back(unwritten, &lost.error).await;
        match self.failure.take() {
            Some(failure) => End::Failed(failure),
            None if self.was_ready => End::Lost,
            None if !self.authenticating => End::Idle,
            None => End::Failed(lost),
        }
    }

    async fn serve(&mut self) -> ControlFlow<()> {
        self.handle_pending().await?;
        let more = self.drain_outbox();
        self.flush().await?;
        match more {
            true => ControlFlow::Continue(()),
            false => self.wait().await,
        }
    }

    async fn handle_pending(&mut self) -> ControlFlow<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            while let Some(action) = self.stream.poll_action() {
                if action == OutgoingAction::StartTls {
                    // What came before the handshake was not protected by it.
                    rest = &[];
                }
                self.perform(action).await?;
            }
            if rest.is_empty() {
                return ControlFlow::Continue(());
            }
            self.stream.handle_bytes(&mut rest);
        }
    }

    async fn perform(&mut self, action: OutgoingAction) -> ControlFlow<()> {
        match action {
            OutgoingAction::StartTls => return self.start_tls().await,
            OutgoingAction::Ready => {
                tracing::info!(pair = %self.outbox.pair, "another server listens");
                self.was_ready = true;
                self.outbox.succeed();
                self.rest_later();
            }
            OutgoingAction::Refused(refusal) => {
                let refused = refused(refusal);
                // It may still answer questions. Stanzas need not wait for that.
                if !self.questions.is_empty() {
                    let stanzas = self.outbox.take(usize::MAX);
                    self.server.give_back(stanzas, &refused.error).await;
                    return ControlFlow::Continue(());
                }
                self.failure = Some(refused);
                return ControlFlow::Break(());
            }
            OutgoingAction::Verified(verification, verdict) => {
                let is_it = |question: &Question| question.verification == verification;
                if let Some(place) = self.questions.iter().position(is_it) {
                    // Whoever asked may have gone.
                    let _ = self.questions.swap_remove(place).answer.send(verdict);
                }
                if self.questions.is_empty() && self.stream.is_refused() {
                    self.stream.close(None);
                }
            }
            OutgoingAction::Close(error) => {
                if let Some(error) = error {
                    tracing::debug!(pair = %self.outbox.pair, %error, "stream ended");
                    if !self.was_ready {
                        self.failure = Some(ended(&error));
                    }
                }
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    async fn start_tls(&mut self) -> ControlFlow<()> {
        self.flush().await?;
        let Some(stream) = self.socket.take_tcp() else { return ControlFlow::Break(()) };
        let pair = &self.outbox.pair;
        let secure = connect::secure(&self.server, pair, stream, false);
        match timeout(self.server.config().connect(), secure).await {
            Ok(Ok(Connected { socket, certificates })) => {
                self.socket = socket;
                let chain = certificates.unwrap_or_default();
                let (negotiable, failure) = negotiable(&self.server, &self.outbox, &chain);
                self.failure = failure;
                if self.failure.is_some() {
                    return ControlFlow::Break(());
                }
                self.stream.handle_secured(negotiable);
                ControlFlow::Continue(())
            }
            Ok(Err(error)) => {
                self.failure = Some(gone(error.to_string()));
                ControlFlow::Break(())
            }
            Err(_) => {
                self.failure = Some(gone("no TLS in time"));
                ControlFlow::Break(())
            }
        }
    }

    /// Puts what waits into the output; `true` if there is more.
    fn drain_outbox(&mut self) -> bool {
        for question in self.outbox.take_questions() {
            self.stream.verify(question.verification.clone());
            self.questions.push(question);
        }
        if !self.outbox.has_stanzas() {
            return false;
        }
        if !self.stream.is_ready() {
            if !self.authenticating {
                self.authenticating = true;
                self.deadline = Instant::now() + self.server.config().connect();
                self.stream.authenticate();
            }
            return false;
        }
        for stanza in self.outbox.take(WRITE_BATCH_BYTES) {
            self.server.kernel.metrics.remote_stanzas_sent.count(stanza.kind);
            self.stream.send(&stanza);
            self.unwritten.push(stanza);
        }
        self.rest_later();
        self.outbox.has_stanzas()
    }

    fn rest_later(&mut self) {
        self.deadline = Instant::now() + self.server.config().idle();
    }

    async fn flush(&mut self) -> ControlFlow<()> {
        if self.stream.output().is_empty() {
            return ControlFlow::Continue(());
        }
        let write = self.socket.write(self.stream.output(), &mut self.buffer);
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => {
                self.unwritten.clear();
                ControlFlow::Continue(())
            }
            Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
        }
    }

    async fn wait(&mut self) -> ControlFlow<()> {
        self.buffer = Vec::new();
        self.unwritten.shrink_to(0);
        self.stream.release_temporaries();
        let outbox = Arc::clone(&self.outbox);
        let server = Arc::clone(&self.server);
        tokio::select! {
            read = self.socket.read(&mut self.pending) => match read {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) | Err(_) => ControlFlow::Break(()),
            },
            () = outbox.arrived() => ControlFlow::Continue(()),
            () = sleep_until(self.deadline) => self.handle_deadline(),
            () = server.shutdown.cancelled() => {
                // What is ready to go goes.
                while self.stream.is_ready() && self.drain_outbox() {
                    self.flush().await?;
                }
                self.flush().await?;
                self.stream.close(None);
                ControlFlow::Break(())
            }
        }
    }

    fn handle_deadline(&mut self) -> ControlFlow<()> {
        if self.authenticating && !self.was_ready {
            self.failure = Some(gone("the other server is too slow"));
            self.stream.fail(StreamCondition::ConnectionTimeout.into());
        } else {
            self.stream.close(None);
        }
        ControlFlow::Break(())
    }
}

/// What may be used with a server that shows these certificates, and why nothing may.
fn negotiable(
    server: &S2sServer,
    outbox: &Outbox,
    chain: &[CertificateDer<'_>],
) -> (Negotiable, Option<Failure>) {
    let domain = &outbox.pair.to;
    let (verdict, reason) = server.judge(domain);
    let trusted = server.trusts(chain, domain);
    if let Err(error) = trusted {
        tracing::debug!(%domain, %error, "certificate of another server");
        if verdict != policy::Verdict::Either {
            let text = format!("{error} ({reason})");
            return (Negotiable::default(), Some(gone(text)));
        }
    }
    (Negotiable { external: true, dialback: true }, None)
}

fn refused(refusal: Refusal) -> Failure {
    let error = match refusal {
        Refusal::NoWay(reason) => StanzaError::remote_server_timeout(reason),
        // XEP-0220, section 2.1.1.
        Refusal::Dialback(Verdict::Unknown(error)) => {
            StanzaError::remote_server_timeout(format!("it could not verify who we are: {error}"))
        }
        Refusal::Dialback(_) => {
            StanzaError::internal_server_error("it does not believe that we are who we are")
        }
    };
    Failure { error, is_final: true }
}

fn ended(error: &StreamError) -> Failure {
    match error.condition {
        StreamCondition::HostUnknown | StreamCondition::HostGone => Failure {
            error: StanzaError::remote_server_not_found(error.to_string()),
            is_final: true,
        },
        _ => gone(error.to_string()),
    }
}
