//! The stanzas of a stream in both directions, whichever server opened it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wello_store::StoreError;
use wello_stream::s2s::{
    Exchange, Exchanged, Former, Pair, Remains, Stranded, Verdict, Verification,
};
use wello_wire::error::StanzaError;
use wello_wire::stanza::Stanza;

use super::outbox::Charge;
use super::policy;
use super::socket::Socket;
use super::{S2sServer, pair_of};
use crate::ledger::Ledger;

/// Stanzas that are written in one go.
const WRITE_BATCH_BYTES: usize = 64 * 1024;
/// Between two writes of stanzas: what comes one by one from many users shares a write, a TLS record and a wake-up of
/// the other server, which together cost more than the stanzas. The first after a pause goes at once.
const WRITE_INTERVAL: Duration = Duration::from_millis(2);
/// How long the other server, or without stream management its TCP, may take to acknowledge something: longer than
/// a disk ever takes, and shorter than our TCP needs to find out that nobody is there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// For what is not on stable storage yet when a stream ends.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the end of a stream, and again for what is under way to arrive.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two looks at how far it has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What goes on on a stream between its task and the rest of the server.
pub struct Traffic {
    server: Arc<S2sServer>,
    /// What the other server showed in the handshake.
    certificates: Vec<CertificateDer<'static>>,
    ledger: Ledger,
    verdicts: FuturesUnordered<BoxFuture<'static, (Pair, Verdict)>>,
    /// What is sent here.
    charges: Vec<Charge>,
    woken: Arc<Notify>,
    /// When stanzas may be written again.
    next_write: Instant,
    /// What the other server has acknowledged, and until when there has to be more.
    acknowledged: u64,
    answer_by: Option<Instant>,
}

/// Why a task that waited has something to do.
pub enum Wake {
    /// Something is to be sent.
    Work,
    /// A claim has been verified.
    Concluded(Pair, Verdict),
    /// The other server does not acknowledge what it gets.
    Overdue,
}

impl Traffic {
    pub fn new(server: Arc<S2sServer>, woken: Arc<Notify>) -> Traffic {
        Traffic {
            certificates: Vec::new(),
            ledger: Ledger::default(),
            verdicts: FuturesUnordered::new(),
            charges: Vec::new(),
            woken,
            next_write: Instant::now(),
            acknowledged: 0,
            answer_by: None,
            server,
        }
    }

    /// The other server has shown these.
    pub fn certify(&mut self, certificates: Vec<CertificateDer<'static>>) {
        self.certificates = certificates;
    }

    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Sends what is in an outbox.
    pub fn serve(&mut self, charge: Charge) {
        self.charges.push(charge.moved(&self.woken));
    }

    pub fn woken(&self) -> &Arc<Notify> {
        &self.woken
    }

    /// Ends the service of all outboxes.
    pub fn take_charges(&mut self) -> Vec<Charge> {
        std::mem::take(&mut self.charges)
    }

    /// Handles what the stream has brought. Returns what became of a claim if that is known at once.
    pub async fn receive(
        &mut self,
        exchanged: Exchanged,
        exchange: &Exchange,
    ) -> Option<(Pair, Verdict)> {
        match exchanged {
            Exchanged::Stanza(stanza) => {
                let ticket = self.server.kernel.handle_remote(stanza).await;
                if let Some(ticket) = ticket.filter(|_| exchange.is_managed()) {
                    self.ledger.remember(ticket, exchange.handled());
                }
            }
            Exchanged::AcknowledgementWanted => self.ledger.ask(exchange.handled()),
            Exchanged::Claim(claim) => return self.verify(claim),
            Exchanged::Unhandled(stanzas) => {
                let left = self.put_back(stanzas);
                self.server.give_back_lost(left).await;
            }
            Exchanged::Unknown(stanzas) => self.server.give_back_lost(stanzas).await,
        }
        None
    }

    fn verify(&mut self, claim: Verification) -> Option<(Pair, Verdict)> {
        let server = Arc::clone(&self.server);
        let (verdict, reason) = server.judge(&claim.pair.from);
        let trusted = server.trusts(&self.certificates, &claim.pair.from).is_ok();
        let refused = |text| Some(Verdict::Unknown(StanzaError::policy_violation(text)));
        let at_once = match verdict {
            policy::Verdict::Denied => {
                tracing::debug!(pair = %claim.pair, reason, "turned away");
                refused("this server does not talk to yours")
            }
            // XEP-0344: a certificate says more than DNS.
            _ if trusted => Some(Verdict::Valid),
            policy::Verdict::Certificate => refused("a valid certificate is required"),
            policy::Verdict::Either => None,
        };
        let pair = claim.pair.clone();
        match at_once {
            Some(verdict) => Some((pair, verdict)),
            None => {
                self.verdicts.push(Box::pin(async move { (pair, server.verify(claim).await) }));
                None
            }
        }
    }

    /// Puts what waits into the output, as much as is written in one go; `true` if there is more that can go now.
    pub fn drain(&mut self, exchange: &mut Exchange) -> bool {
        let more = self.may_write() && self.send_batch(exchange);
        exchange.request_acknowledgement(!more);
        self.watch(exchange);
        more
    }

    /// Whether the last write is long enough ago. What is held back wakes the task once more.
    fn may_write(&self) -> bool {
        let may = self.next_write <= Instant::now() || self.server.shutdown.is_cancelled();
        if !may && self.charges.iter().any(Charge::has_stanzas) {
            self.woken.notify_one();
        }
        may
    }

    /// Returns whether more waits.
    fn send_batch(&mut self, exchange: &mut Exchange) -> bool {
        let (mut sent, mut more) = (false, false);
        for charge in &self.charges {
            for stanza in charge.take(WRITE_BATCH_BYTES) {
                self.server.kernel.metrics.remote_stanzas_sent.count(stanza.kind);
                exchange.send(stanza);
                sent = true;
            }
            more |= charge.has_stanzas();
        }
        if sent && !more {
            self.next_write = Instant::now() + WRITE_INTERVAL;
        }
        more
    }

    /// Keeps account of what the other server acknowledges.
    fn watch(&mut self, exchange: &Exchange) {
        let held = exchange.unacknowledged_bytes();
        self.charges.iter().for_each(|charge| charge.hold(held));
        let progress = exchange.acknowledged() != self.acknowledged;
        self.acknowledged = exchange.acknowledged();
        if held == 0 {
            self.answer_by = None;
        } else if progress || self.answer_by.is_none() {
            self.answer_by = Some(Instant::now() + ANSWER_TIMEOUT);
        }
    }

    /// The output has been written to the socket.
    pub fn handle_written(exchange: &mut Exchange, socket: &Socket) {
        let progress = if exchange.is_managed() { None } else { socket.progress() };
        exchange.handle_written(progress);
    }

    /// Whether the other side does not take what it was sent, after [`Wake::Overdue`].
    pub fn is_stuck(&mut self, exchange: &mut Exchange, socket: &Socket) -> bool {
        exchange.handle_progress(socket.progress());
        self.watch(exchange);
        self.answer_by.is_some_and(|at| at <= Instant::now())
    }

    /// Acknowledges what is on stable storage, if the other server asked.
    pub fn settle(&mut self, exchange: &mut Exchange) -> Result<(), StoreError> {
        if let Some(durable) = self.ledger.settle(exchange.handled())? {
            exchange.acknowledge(durable);
        }
        Ok(())
    }

    /// Acknowledges everything, before the stream is closed (XEP-0198, section 4).
    pub async fn part(&mut self, exchange: &mut Exchange) {
        if exchange.is_managed() && self.settled().await {
            exchange.acknowledge(exchange.handled());
        }
    }

    async fn settled(&mut self) -> bool {
        timeout(SETTLE_TIMEOUT, self.ledger.settled()).await.unwrap_or(false)
    }

    /// Ends the connection when all has arrived, or when it does not.
    pub async fn close(
        &mut self,
        exchange: &mut Exchange,
        socket: &mut Socket,
        buffer: &mut Vec<u8>,
    ) -> Stranded {
        let farewell = socket.close(exchange.output(), buffer);
        // The peer may be gone already, and then there is nobody to tell.
        if let Ok(Ok(())) = timeout(LAST_WRITE_TIMEOUT, farewell).await {
            Traffic::handle_written(exchange, socket);
        }
        let _ = timeout(LAST_WRITE_TIMEOUT, arrival(exchange, socket)).await;
        exchange.handle_progress(socket.progress());
        let stranded = exchange.take_stranded();
        if !stranded.is_empty() {
            // What is sent again, or told as lost, must not arrive when the network comes back.
            socket.abort();
        }
        stranded
    }

    /// What can be gone on with of a stream that has ended. What was never sent waits for another, and the senders
    /// are told of what is lost.
    pub async fn salvage(&mut self, remains: Remains, stranded: Stranded) -> Option<Former> {
        let Remains { former, unknown: mut lost } = remains;
        // The other server may be told that something was handled only if that is true.
        let settled = self.settled().await;
        let former = match (former, settled) {
            (Some(former), false) => {
                lost.extend(former.into_unacknowledged());
                None
            }
            (former, _) => former,
        };
        if former.is_none() {
            self.charges.iter().for_each(|charge| charge.hold(0));
        }
        lost.extend(stranded.unknown);
        lost.extend(self.put_back(stranded.unsent));
        self.server.give_back_lost(lost).await;
        former
    }

    /// Returns what nobody here serves any more.
    fn put_back(&self, stanzas: Vec<Stanza>) -> Vec<Stanza> {
        let mut left = stanzas;
        for charge in &self.charges {
            let is_its = |stanza: &mut Stanza| pair_of(stanza).as_ref() == Some(&charge.pair);
            let its = left.extract_if(.., is_its).collect();
            left.extend(charge.put_back(its));
        }
        left
    }

    /// Waits until there is something to do. May be dropped and called again.
    pub async fn wait(&mut self) -> Wake {
        let overdue = async {
            match self.answer_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let work = async {
            self.woken.notified().await;
            sleep_until(self.next_write).await;
        };
        tokio::select! {
            () = work => Wake::Work,
            () = self.ledger.progress() => Wake::Work,
            Some((pair, verdict)) = self.verdicts.next() => Wake::Concluded(pair, verdict),
            () = overdue => Wake::Overdue,
        }
    }
}

/// Waits until the other side's TCP has everything, or the connection is over.
async fn arrival(exchange: &mut Exchange, socket: &Socket) {
    while exchange.unacknowledged_bytes() > 0 {
        let progress = socket.progress();
        exchange.handle_progress(progress);
        if !progress.is_some_and(|progress| progress.is_open) {
            return;
        }
        sleep(LOOK_INTERVAL).await;
    }
}
