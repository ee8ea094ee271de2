//! The loop of a connection: what came in, what is to go out, what to wait for.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::WaitForCancellationFuture;
use wello_kernel::hooks::Stranger;
use wello_kernel::inbox::Delivery;
use wello_kernel::sessions::{EndReason, Session};
use wello_stream::c2s::{Action, C2s, Channel};
use wello_stream::sm::StreamManagement;
use wello_wire::error::{StreamCondition, StreamError};
use wello_wire::jid::BareJid;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::transport::Transport;
use super::{C2sServer, hibernate};
use crate::admission::ConnectionPermit;
use crate::ledger::Ledger;
use crate::shaper::Shaper;
use crate::tls::ListenerKind;

/// Where the client is.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: IpAddr,
    pub transport: &'static str,
    pub secure: bool,
}

/// What is known of the client by its connection.
#[derive(Default)]
pub struct Secured {
    pub channel: Channel,
    /// The accounts that its certificate names.
    pub accounts: Vec<BareJid>,
}

/// Owns one connection.
pub struct Task {
    pub(super) server: Arc<C2sServer>,
    transport: Transport,
    pub(super) peer: Peer,
    pub(super) c2s: C2s,
    /// Read and not yet handled.
    pending: Vec<u8>,
    /// Room for writing, kept from one write to the next while the connection is busy.
    buffer: Vec<u8>,
    pub(super) shaper: Shaper,
    pub(super) session: Option<Arc<Session>>,
    pub(super) ledger: Ledger,
    pub(super) deadline: Instant,
    last_read: Instant,
    pinged: bool,
    /// When the client may be asked again for an acknowledgement of little.
    pub(super) next_request: Instant,
    permit: Option<OwnedSemaphorePermit>,
    /// What counts the connection, as long as it is open.
    connection: Weak<ConnectionPermit>,
    pub(super) login: super::login::LoginState,
    pub(super) certified: Vec<BareJid>,
    /// While it registers.
    pub(super) stranger: Option<Stranger>,
}

/// What ends a wait when nothing comes. Kept from one wait to the next: each enters a list that all connections share.
struct Bounds<'a, 'token> {
    alarm: Pin<&'a mut Sleep>,
    shutdown: Pin<&'a mut WaitForCancellationFuture<'token>>,
}

/// How long the client may take to take what is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same when the session is to end.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Stanzas for the client that are written in one go.
const WRITE_BATCH_BYTES: usize = 64 * 1024;

/// Answers to its own requests that may wait for a client, in outboxes: a room tells whoever enters of up to 5000
/// occupants, which is four.
const MAX_ANSWERS: usize = 8;

/// Why the loop ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// The stream was closed by either side.
    Closed,
    /// The connection broke.
    Lost,
    /// Another connection has the session now.
    HandedOver,
}

impl Task {
    pub fn new(
        server: Arc<C2sServer>,
        transport: Transport,
        peer: Peer,
        secured: Secured,
        permit: OwnedSemaphorePermit,
        connection: Weak<ConnectionPermit>,
    ) -> Task {
        let limits = &server.kernel.config.limits;
        let now = Instant::now();
        Task {
            c2s: C2s::new(server.settings(), transport.framing(), secured.channel),
            shaper: Shaper::new(limits.rate(), now),
            deadline: now + Duration::from_secs(limits.login_seconds),
            last_read: now,
            pinged: false,
            next_request: now,
            server,
            transport,
            peer,
            pending: Vec::new(),
            buffer: Vec::new(),
            session: None,
            ledger: Ledger::default(),
            permit: Some(permit),
            connection,
            login: Default::default(),
            certified: secured.accounts,
            stranger: None,
        }
    }

    /// `connection` counts the connection for as long as it is open. Most connections wait most of
    /// the time, so whatever waiting does not need is boxed.
    pub async fn run(mut self: Box<Self>, connection: Option<Arc<ConnectionPermit>>) {
        self.server.kernel.metrics.connections.inc();
        let end = match self.serve().await {
            ControlFlow::Break(end) => end,
            ControlFlow::Continue(()) => End::Lost,
        };
        Box::pin(self.finish(end, connection)).await;
    }

    async fn serve(&mut self) -> ControlFlow<End> {
        let token = self.server.shutdown.clone();
        let alarm = pin!(sleep_until(self.deadline));
        let shutdown = pin!(token.cancelled());
        let mut bounds = Bounds { alarm, shutdown };
        loop {
            Box::pin(self.work()).await?;
            self.wait(&mut bounds).await?;
        }
    }

    /// Takes what there is on either side, until there is nothing.
    async fn work(&mut self) -> ControlFlow<End> {
        loop {
            self.handle_pending().await?;
            self.drain_inbox().await?;
            self.settle()?;
            let idle = self.inbox_is_empty() || self.is_behind();
            self.request_acknowledgement(idle);
            self.flush().await?;
            self.report_delivered().await;
            if idle {
                return ControlFlow::Continue(());
            }
        }
    }

    async fn finish(mut self: Box<Self>, end: End, connection: Option<Arc<ConnectionPermit>>) {
        self.report_delivered().await;
        self.server.kernel.metrics.connections.dec();
        if end == End::Closed {
            // The peer may be gone already, and then there is nobody to tell.
            let farewell = self.transport.close(self.c2s.output(), &mut self.buffer);
            let _ = timeout(LAST_WRITE_TIMEOUT, farewell).await;
        }
        let Task { server, c2s, session, ledger, transport, .. } = *self;
        drop(transport);
        drop(connection);
        if end != End::HandedOver
            && let Some(session) = session
        {
            hibernate::leave(&server, session, c2s, ledger).await;
        }
    }

    /// Handles what was read, one event after the other.
    async fn handle_pending(&mut self) -> ControlFlow<End> {
        let mut pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        loop {
            while let Some(action) = self.c2s.poll_action() {
                if let Action::StartTls = action {
                    // What came before the handshake was not protected by it.
                    rest = &[];
                }
                self.perform(action).await?;
            }
            if rest.is_empty() {
                break;
            }
            self.c2s.handle_bytes(&mut rest);
        }
        pending.clear();
        pending.shrink_to(0);
        self.pending = pending;
        ControlFlow::Continue(())
    }

    /// What happens once in a session is boxed, so that what happens with every stanza has not to
    /// carry its size.
    async fn perform(&mut self, action: Action) -> ControlFlow<End> {
        match action {
            Action::Close { .. } => return ControlFlow::Break(End::Closed),
            Action::Stanza(stanza) => self.handle_stanza(stanza).await,
            Action::Acknowledge => self.handle_request(),
            Action::Managed { id } => {
                if let Some(session) = &self.session {
                    self.server.kernel.sessions.make_resumable(id, session);
                }
            }
            Action::ClientState { active } => {
                tracing::trace!(address = %self.peer.address, active, "client state");
            }
            Action::StartTls => return Box::pin(self.start_tls()).await,
            Action::Lookup { lookup, client } => Box::pin(self.look_up(lookup, client)).await,
            Action::Login(login) => Box::pin(self.log_in(login)).await,
            Action::LoginFailed { failure, mechanism } => self.count_failure(&failure, mechanism),
            Action::StoreKeys { identity, keys } => Box::pin(self.store_keys(identity, keys)).await,
            Action::IssueToken { identity, client, mechanism } => {
                Box::pin(self.issue_token(&identity, client, mechanism)).await;
            }
            Action::Bind(request) => Box::pin(self.bind(request)).await,
            Action::Resume(request) => Box::pin(self.resume(request)).await,
            Action::Register { host, iq } => Box::pin(self.register(host, &iq)).await,
        }
        ControlFlow::Continue(())
    }

    async fn start_tls(&mut self) -> ControlFlow<End> {
        self.flush().await?;
        let Transport::Tcp(stream) = std::mem::replace(&mut self.transport, Transport::Gone) else {
            return ControlFlow::Break(End::Lost);
        };
        match self.server.acceptor.accept(stream, ListenerKind::C2s).await {
            Ok(Some((stream, info))) => {
                self.transport = Transport::Tls(Box::new(stream));
                self.peer.secure = true;
                let secured = self.server.secured(&info);
                self.certified = secured.accounts;
                self.c2s.handle_secured(secured.channel);
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Break(End::Lost),
            Err(error) => {
                tracing::debug!(address = %self.peer.address, %error, "handshake failed");
                ControlFlow::Break(End::Lost)
            }
        }
    }

    async fn handle_stanza(&mut self, stanza: Stanza) {
        let Some(session) = self.session.clone() else { return };
        match self.server.kernel.handle_client(&session, stanza).await {
            Ok(Some(ticket)) => self.remember(ticket),
            Ok(None) => {}
            Err(_) => self.c2s.fail(&StreamError::new(StreamCondition::InvalidFrom)),
        }
    }

    /// Takes what others sent to the client, as much as is written in one go.
    async fn drain_inbox(&mut self) -> ControlFlow<End> {
        let Some(session) = self.session.clone() else { return ControlFlow::Continue(()) };
        while self.c2s.output().len() < WRITE_BATCH_BYTES {
            let next = match self.is_behind() {
                true => session.inbox().take_instruction(),
                false => session.inbox().take(),
            };
            match next {
                None => break,
                Some(Delivery::Stanza(stanza)) => self.c2s.send(stanza),
                Some(Delivery::End(reason)) => {
                    self.end(reason);
                    return ControlFlow::Break(End::Closed);
                }
                Some(Delivery::HandOver(to)) => {
                    self.hand_over(to).await;
                    return ControlFlow::Break(End::HandedOver);
                }
            }
        }
        let bound = MAX_ANSWERS * self.server.kernel.config.limits.outbox_bytes;
        // It asks more and more without saying that it got the answers.
        if self.is_behind() && session.inbox().answer_bytes() > bound {
            self.end(EndReason::SlowReader);
            return ControlFlow::Break(End::Closed);
        }
        ControlFlow::Continue(())
    }

    /// Whether the client has to acknowledge something before it is sent more. What is posted
    /// meanwhile waits in the inbox, whose bound ends a session that never does.
    pub(super) fn is_behind(&mut self) -> bool {
        let bound = self.server.kernel.config.sessions.unacked_bytes;
        let held = self.c2s.established().and_then(|established| established.management());
        held.is_some_and(|management| management.queued_bytes() > bound)
    }

    fn end(&mut self, reason: EndReason) {
        let (condition, text) = match reason {
            EndReason::Conflict => (StreamCondition::Conflict, "replaced by a new connection"),
            EndReason::Kicked => (StreamCondition::PolicyViolation, "ended by an administrator"),
            EndReason::CredentialsChanged => (StreamCondition::Reset, "credentials have changed"),
            EndReason::AccountDeleted => (StreamCondition::NotAuthorized, "account is gone"),
            EndReason::Shutdown => (StreamCondition::SystemShutdown, ""),
            EndReason::SlowReader => (StreamCondition::ResourceConstraint, "too much is queued"),
        };
        let resumable = matches!(reason, EndReason::Shutdown | EndReason::SlowReader);
        if !resumable && let Some(established) = self.c2s.established() {
            established.forget();
        }
        self.c2s.fail(&StreamError::new(condition).with_text(text));
    }

    async fn hand_over(&mut self, to: tokio::sync::oneshot::Sender<StreamManagement>) {
        let settled = self.ledger.settled().await;
        let management = self
            .c2s
            .established()
            .and_then(|established| established.take_management().filter(|_| settled));
        if let Some(management) = management {
            // Whoever asked may have gone away; then the session is lost with it.
            let _ = to.send(management);
        }
        self.c2s.fail(&StreamError::new(StreamCondition::Conflict));
        let _ = timeout(LAST_WRITE_TIMEOUT, self.flush()).await;
    }

    fn inbox_is_empty(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.inbox().is_empty())
    }

    async fn flush(&mut self) -> ControlFlow<End> {
        if !self.c2s.has_output() {
            return ControlFlow::Continue(());
        }
        if !self.write().await {
            return ControlFlow::Break(End::Lost);
        }
        if let Some(established) = self.c2s.established() {
            established.handle_written();
        }
        ControlFlow::Continue(())
    }

    /// Writes what waits; `false` when the connection does not take it.
    async fn write(&mut self) -> bool {
        let session = self.session.clone();
        let write = self.transport.write(self.c2s.output(), &mut self.buffer);
        let write = timeout(WRITE_TIMEOUT, write);
        tokio::pin!(write);
        let ending = async {
            match &session {
                Some(session) => session.inbox().ending().await,
                None => std::future::pending().await,
            }
        };
        let written = tokio::select! {
            biased;
            written = &mut write => written,
            () = ending => {
                match timeout(LAST_WRITE_TIMEOUT, &mut write).await {
                    Ok(written) => written,
                    Err(elapsed) => Err(elapsed),
                }
            }
        };
        matches!(written, Ok(Ok(())))
    }

    /// Tells who stored copies of stanzas that the client has them now.
    async fn report_delivered(&mut self) {
        let (Some(session), Some(established)) = (&self.session, self.c2s.established()) else {
            return;
        };
        let delivered = established.take_delivered();
        if !delivered.is_empty() {
            self.server.kernel.delivered(session, &delivered).await;
        }
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, bounds: &mut Bounds<'_, '_>) -> ControlFlow<End> {
        if self.pending.is_empty() {
            // A quiet connection should cost as little as possible.
            self.buffer = Vec::new();
            self.c2s.release_temporaries();
        }
        let wake = self.wake();
        if bounds.alarm.deadline() != wake {
            bounds.alarm.as_mut().reset(wake);
        }
        let session = self.session.clone();
        let inbox = async {
            match &session {
                Some(session) => session.inbox().arrived().await,
                None => std::future::pending().await,
            }
        };
        let before = self.pending.len();
        let (shaper, transport, pending) = (&self.shaper, &mut self.transport, &mut self.pending);
        let read = async {
            shaper.ready().await;
            transport.read(pending).await
        };
        tokio::select! {
            read = read => match read {
                Ok(true) => {}
                Ok(false) | Err(_) => return ControlFlow::Break(End::Lost),
            },
            () = inbox => return ControlFlow::Continue(()),
            () = self.ledger.progress() => return ControlFlow::Continue(()),
            () = bounds.alarm.as_mut() => return self.handle_deadline(),
            () = bounds.shutdown.as_mut() => {
                self.end(EndReason::Shutdown);
                return ControlFlow::Break(End::Closed);
            }
        }
        self.last_read = Instant::now();
        self.pinged = false;
        self.shaper.count(self.pending.len() - before, self.last_read);
        ControlFlow::Continue(())
    }

    fn handle_deadline(&mut self) -> ControlFlow<End> {
        if self.deadline > Instant::now() {
            return ControlFlow::Continue(());
        }
        if self.session.is_none() {
            self.c2s.fail(&StreamError::new(StreamCondition::ConnectionTimeout));
            return ControlFlow::Break(End::Closed);
        }
        let idle = Duration::from_secs(self.server.kernel.config.limits.idle_seconds);
        let quiet_until = self.last_read + idle;
        if quiet_until > Instant::now() {
            self.deadline = quiet_until;
            return ControlFlow::Continue(());
        }
        if self.pinged {
            return ControlFlow::Break(End::Lost);
        }
        self.ping();
        self.pinged = true;
        self.deadline = Instant::now() + idle;
        ControlFlow::Continue(())
    }

    /// Makes the client say something, if it is still there.
    fn ping(&mut self) {
        let Some(session) = &self.session else { return };
        let managed = self.c2s.established().is_some_and(|e| e.management().is_some());
        if managed {
            self.c2s.send_element(&Element::new("r", wello_wire::ns::SM));
            return;
        }
        let ping = Stanza::iq(IqType::Get, "idle")
            .with_from(session.jid.domain_jid())
            .with_to(session.jid.clone())
            .with_child(Element::new("ping", wello_wire::ns::PING));
        self.c2s.send(ping);
    }

    /// The client is somebody now.
    pub(super) fn adopt(&mut self, session: Arc<Session>) {
        self.permit = None;
        if let Some(connection) = self.connection.upgrade() {
            connection.authenticated();
        }
        self.stranger = None;
        self.session = Some(session);
        let idle = self.server.kernel.config.limits.idle_seconds;
        self.deadline = Instant::now() + Duration::from_secs(idle);
    }
}
