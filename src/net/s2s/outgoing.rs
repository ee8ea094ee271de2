//! A connection that we make to another server, and the stanzas and questions that go there.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wello_kernel::metrics::{OutcomeLabels, StreamLabels};
use wello_stream::s2s::{Domain, Former, Negotiable, Outgoing, OutgoingAction, Refusal, Verdict};
use wello_wire::error::{StanzaError, StreamCondition, StreamError};

use super::S2sServer;
use super::connect::{self, ConnectError, Connected, Secured};
use super::dane::Associations;
use super::links::Linked;
use super::neighbours::Pace;
use super::outbox::{Charge, Question};
use super::policy;
use super::socket::Socket;
use super::traffic::{Traffic, Wake};
use super::trust::{Proof, Untrusted};

/// Between two attempts to reach a server for which something waits; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);

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
pub async fn run(server: Arc<S2sServer>, charge: Charge) {
    let mut former = None;
    let mut since = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let end = Box::pin(attempt(&server, &charge, &mut former)).await;
        let over = server.shutdown.is_cancelled();
        let failure = match end {
            End::Idle | End::Lost if former.is_none() && charge.rest() => break,
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
        charge.answer_all(&failure.error);
        let waits = former.is_some() || charge.has_stanzas();
        if waits && !failure.is_final && !over && since.elapsed() + pause <= server.config().retry()
        {
            tokio::select! {
                () = sleep(pause) => {}
                () = server.shutdown.cancelled() => {}
            }
            pause *= 2;
            continue;
        }
        let Failure { error, .. } = failure;
        tracing::info!(pair = %charge.pair, %error, "server not reached");
        let mut stanzas = former.map(Former::into_unacknowledged).unwrap_or_default();
        stanzas.extend(charge.give_up(&error));
        server.give_back(stanzas, &error).await;
        break;
    }
    server.outboxes.forget(&charge.pair);
}

/// What came up, but not for ever.
fn gone(text: impl Into<String>) -> Failure {
    Failure { error: StanzaError::remote_server_timeout(text), is_final: false }
}

/// Makes one connection and serves the outbox as long as it holds. `former`: the stream of the last one,
/// to be gone on with.
async fn attempt(server: &Arc<S2sServer>, charge: &Charge, former: &mut Option<Former>) -> End {
    let connecting = timeout(server.config().connect(), connect::connect(server, &charge.pair));
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
    let mut task = Task::new(Arc::clone(server), charge.clone(), connected).await;
    if let Some(former) = former.take() {
        task.stream.resume(former);
    }
    let streams = server.kernel.metrics.remote_streams.get_or_create_owned(&LABELS);
    streams.inc();
    let end;
    (end, *former) = task.run().await;
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
    charge: Charge,
    stream: Outgoing,
    socket: Socket,
    /// What DNS says of the other server's certificate.
    associations: Associations,
    traffic: Traffic,
    pace: Pace,
    pending: Vec<u8>,
    buffer: Vec<u8>,
    /// Those whose answers are awaited.
    questions: Vec<Question>,
    deadline: Instant,
    was_ready: bool,
    linked: Option<Linked>,
    authenticating: bool,
    /// Why no stanzas can be sent.
    failure: Option<Failure>,
}

impl Task {
    async fn new(server: Arc<S2sServer>, charge: Charge, connected: Connected) -> Task {
        let Connected { socket, certificates, associations } = connected;
        let (settings, pair) = (Arc::clone(&server.settings), charge.pair.clone());
        let negotiable = match &certificates {
            Some(chain) => negotiable(&server, &pair.to, chain, &associations).await,
            None => Ok(Negotiable::default()),
        };
        let (negotiable, failure) = match negotiable {
            Ok(negotiable) => (negotiable, None),
            Err(failure) => (Negotiable::default(), Some(failure)),
        };
        let stream = Outgoing::new(settings, pair, negotiable, certificates.is_some());
        let mut traffic = Traffic::new(Arc::clone(&server), Arc::clone(charge.woken()));
        traffic.certify(certificates.unwrap_or_default());
        traffic.serve(charge.clone());
        let pace = Pace::new(server.config().rate());
        Task {
            deadline: Instant::now() + server.config().connect(),
            server,
            charge,
            stream,
            socket,
            associations,
            traffic,
            pace,
            pending: Vec::new(),
            buffer: Vec::new(),
            questions: Vec::new(),
            was_ready: false,
            linked: None,
            authenticating: false,
            failure,
        }
    }

    /// Returns the stream if it is to be gone on with.
    async fn run(&mut self) -> (End, Option<Former>) {
        while self.failure.is_none() && self.serve().await.is_continue() {}
        let remains = self.stream.take_remains();
        let (exchange, socket) = (self.stream.exchange(), &mut self.socket);
        let stranded = self.traffic.close(exchange, socket, &mut self.buffer).await;
        let lost = gone("connection lost");
        for question in self.questions.drain(..) {
            let _ = question.answer.send(Verdict::Unknown(lost.error.clone()));
        }
        let former = self.traffic.salvage(remains, stranded).await;
        // What the other server has sent on it is its own to fetch.
        let bidi = self.stream.is_bidirectional();
        let former = former.filter(|former| bidi || former.has_unacknowledged());
        let end = match self.failure.take() {
            Some(failure) => End::Failed(failure),
            None if self.was_ready => End::Lost,
            None if !self.authenticating => End::Idle,
            None => End::Failed(lost),
        };
        (end, former)
    }

    async fn serve(&mut self) -> ControlFlow<()> {
        self.handle_pending().await?;
        let more = self.drain_outbox();
        self.settle()?;
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
            while let Some(exchanged) = self.stream.exchange().poll() {
                if self.was_ready {
                    self.rest_later();
                }
                let concluded = self.traffic.receive(exchanged, self.stream.exchange()).await;
                if let Some((pair, verdict)) = concluded {
                    self.stream.handle_verdict(&pair, &verdict);
                }
            }
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
                let by = if self.stream.is_certified() { "EXTERNAL" } else { "dialback" };
                let bidi = self.stream.is_bidirectional();
                let managed = self.stream.exchange().is_managed();
                tracing::info!(pair = %self.charge.pair, by, bidi, managed, "another server listens");
                self.was_ready = true;
                self.linked = Some(self.server.links.outgoing(&self.charge.pair, bidi));
                self.charge.succeed();
                self.rest_later();
            }
            OutgoingAction::Refused(refusal) => {
                let refused = refused(refusal);
                // It may still answer questions. Stanzas need not wait for that.
                if !self.questions.is_empty() {
                    let stanzas = self.charge.take(usize::MAX);
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
            OutgoingAction::Goodbye => {
                self.traffic.part(self.stream.exchange()).await;
                self.stream.close(None);
            }
            OutgoingAction::Close(error) => {
                if let Some(error) = error {
                    tracing::debug!(pair = %self.charge.pair, %error, "stream ended");
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
        match timeout(self.server.config().connect(), self.secure(stream)).await {
            Ok(Ok(negotiable)) => {
                self.stream.handle_secured(negotiable);
                return ControlFlow::Continue(());
            }
            Ok(Err(failure)) => self.failure = Some(failure),
            Err(_) => self.failure = Some(gone("no TLS in time")),
        }
        ControlFlow::Break(())
    }

    async fn secure(&mut self, stream: TcpStream) -> Result<Negotiable, Failure> {
        let pair = &self.charge.pair;
        let secured = connect::secure(&self.server, pair, stream, false).await;
        let Secured { socket, certificates } = secured.map_err(|error| gone(error.to_string()))?;
        self.socket = socket;
        let negotiable =
            negotiable(&self.server, &pair.to, &certificates, &self.associations).await;
        self.traffic.certify(certificates);
        negotiable
    }

    /// Puts what waits into the output; `true` if there is more.
    fn drain_outbox(&mut self) -> bool {
        for question in self.charge.take_questions() {
            self.stream.verify(question.verification.clone());
            self.questions.push(question);
        }
        if !self.stream.is_ready() {
            let wanted = self.stream.is_resuming() || self.charge.has_stanzas();
            if wanted && !self.authenticating && self.charge.begin() {
                self.authenticating = true;
                self.deadline = Instant::now() + self.server.config().connect();
                self.stream.authenticate();
            }
            return false;
        }
        if self.charge.has_stanzas() {
            self.rest_later();
        }
        self.traffic.drain(self.stream.exchange())
    }

    fn settle(&mut self) -> ControlFlow<()> {
        if let Err(error) = self.traffic.settle(self.stream.exchange()) {
            tracing::error!(%error, "a message could not be stored, ending the stream");
            self.stream.fail(StreamCondition::InternalServerError.into());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
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
            () = sleep_until(self.deadline) => return self.handle_deadline().await,
            () = server.shutdown.cancelled() => return self.shut_down().await,
        }
        self.pace.count(self.pending.len() - before);
        ControlFlow::Continue(())
    }

    fn awake(&mut self, wake: Wake) -> ControlFlow<()> {
        match wake {
            Wake::Work => ControlFlow::Continue(()),
            Wake::Concluded(pair, verdict) => {
                self.stream.handle_verdict(&pair, &verdict);
                ControlFlow::Continue(())
            }
            Wake::Overdue => match self.traffic.is_stuck(self.stream.exchange(), &self.socket) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        }
    }

    async fn handle_deadline(&mut self) -> ControlFlow<()> {
        if self.authenticating && !self.was_ready {
            self.failure = Some(gone("the other server is too slow"));
            self.stream.fail(StreamCondition::ConnectionTimeout.into());
        } else {
            self.traffic.part(self.stream.exchange()).await;
            self.stream.close(None);
        }
        ControlFlow::Break(())
    }

    /// What is ready to go goes, and the other server has a moment to say that it has it.
    async fn shut_down(&mut self) -> ControlFlow<()> {
        let _ = timeout(LAST_WRITE_TIMEOUT, self.send_last()).await;
        self.traffic.part(self.stream.exchange()).await;
        self.stream.close(None);
        ControlFlow::Break(())
    }

    async fn send_last(&mut self) -> ControlFlow<()> {
        while self.stream.is_ready() {
            let more = self.drain_outbox();
            self.flush().await?;
            if more {
                continue;
            }
            let exchange = self.stream.exchange();
            let answered = !exchange.is_managed() || exchange.unacknowledged_bytes() == 0;
            if answered || !matches!(self.socket.read(&mut self.pending).await, Ok(true)) {
                break;
            }
            self.handle_pending().await?;
        }
        ControlFlow::Continue(())
    }
}

/// What may be used with a server that shows these certificates, or why nothing may.
async fn negotiable(
    server: &S2sServer,
    domain: &Domain,
    chain: &[CertificateDer<'_>],
    associations: &Associations,
) -> Result<Negotiable, Failure> {
    let (verdict, reason) = server.judge(domain);
    let is_required = verdict != policy::Verdict::Either;
    // Without need no website is asked.
    let proof = match is_required || !associations.is_empty() {
        true => server.prove(chain, associations, domain).await,
        false => server.trusts(chain, domain).map(|()| Proof::Authority),
    };
    match proof {
        Ok(proof) => tracing::debug!(%domain, %proof, "certificate of another server"),
        Err(error @ Untrusted::NotInDns) => return Err(gone(error.to_string())),
        Err(error) if is_required => return Err(gone(format!("{error} ({reason})"))),
        Err(error) => tracing::debug!(%domain, %error, "certificate of another server"),
    }
    Ok(Negotiable { external: true, dialback: true })
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
