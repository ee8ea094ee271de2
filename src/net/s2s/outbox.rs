//! What waits for other servers, by pair of domains.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use wello_stream::s2s::{Pair, Verdict, Verification};
use wello_wire::error::StanzaError;
use wello_wire::stanza::Stanza;

/// A question to the authoritative server of a domain (XEP-0220).
pub struct Question {
    pub verification: Verification,
    pub answer: oneshot::Sender<Verdict>,
}

/// Stanzas and questions for one pair. At most one task serves it.
pub struct Outbox {
    /// From one of our domains to one elsewhere.
    pub pair: Pair,
    max_bytes: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    stanzas: VecDeque<Stanza>,
    bytes: usize,
    questions: Vec<Question>,
    served: bool,
    failure: Option<Failure>,
}

/// The server could not be reached, and is left alone for a while.
struct Failure {
    error: StanzaError,
    until: Instant,
    times: u32,
}

/// How long a server is left alone after the first failure in a row, and at most.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(120);
/// Questions to one server that wait at the same time.
const MAX_QUESTIONS: usize = 100;

impl Outbox {
    fn new(pair: Pair, max_bytes: usize) -> Outbox {
        Outbox { pair, max_bytes, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Whether a task has to be started for it.
    fn post(&self, stanza: Stanza) -> Result<bool, StanzaError> {
        let mut state = self.state.lock();
        state.check()?;
        let weight = stanza.weight();
        if state.bytes + weight > self.max_bytes {
            let text = "too much waits for that server already";
            return Err(StanzaError::resource_constraint(text));
        }
        state.bytes += weight;
        state.stanzas.push_back(stanza);
        self.arrived.notify_one();
        Ok(!std::mem::replace(&mut state.served, true))
    }

    fn ask(&self, question: Question) -> Result<bool, StanzaError> {
        let mut state = self.state.lock();
        state.check()?;
        if state.questions.len() >= MAX_QUESTIONS {
            return Err(StanzaError::resource_constraint("too many questions to that server"));
        }
        state.questions.push(question);
        self.arrived.notify_one();
        Ok(!std::mem::replace(&mut state.served, true))
    }

    /// Stanzas of up to `bytes`, and at least one if there is one.
    pub fn take(&self, bytes: usize) -> Vec<Stanza> {
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        let mut weight = 0;
        while weight < bytes
            && let Some(stanza) = state.stanzas.pop_front()
        {
            weight += stanza.weight();
            taken.push(stanza);
        }
        state.bytes -= weight;
        if state.stanzas.is_empty() {
            state.stanzas.shrink_to(4);
        }
        taken
    }

    pub fn take_questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.state.lock().questions)
    }

    pub fn has_stanzas(&self) -> bool {
        !self.state.lock().stanzas.is_empty()
    }

    /// Waits until something may be there. Spurious wake-ups happen.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The task has nothing left to do and ends; `false` if something has come meanwhile.
    pub fn rest(&self) -> bool {
        let mut state = self.state.lock();
        let idle = state.stanzas.is_empty() && state.questions.is_empty();
        state.served = !idle;
        idle
    }

    /// The connection works.
    pub fn succeed(&self) {
        self.state.lock().failure = None;
    }

    /// Nobody can be asked now.
    pub fn answer_all(&self, error: &StanzaError) {
        self.state.lock().answer_all(error);
    }

    /// The task gives up; returns what its senders are to be told of.
    pub fn give_up(&self, error: &StanzaError) -> Vec<Stanza> {
        let mut state = self.state.lock();
        let times = state.failure.as_ref().map_or(0, |failure| failure.times);
        let rest = FIRST_REST.saturating_mul(1 << times.min(16)).min(LONGEST_REST);
        let until = Instant::now() + rest;
        state.failure = Some(Failure { error: error.clone(), until, times: times + 1 });
        state.served = false;
        state.bytes = 0;
        state.answer_all(error);
        std::mem::take(&mut state.stanzas).into()
    }

    fn is_forgettable(&self) -> bool {
        let state = self.state.lock();
        let failed = state.failure.as_ref();
        !state.served && failed.is_none_or(|failure| failure.until + LONGEST_REST < Instant::now())
    }
}

impl State {
    fn answer_all(&mut self, error: &StanzaError) {
        for question in self.questions.drain(..) {
            // Whoever asked may have gone.
            let _ = question.answer.send(Verdict::Unknown(error.clone()));
        }
    }

    fn check(&self) -> Result<(), StanzaError> {
        match &self.failure {
            Some(failure) if !self.served && failure.until > Instant::now() => {
                Err(failure.error.clone())
            }
            _ => Ok(()),
        }
    }
}

/// All of them.
pub struct Outboxes {
    table: Mutex<HashMap<Pair, Arc<Outbox>>>,
    max_bytes: usize,
    max: usize,
}

/// An outbox that somebody has to serve.
pub type Unserved = Option<Arc<Outbox>>;

impl Outboxes {
    pub fn new(max_bytes: usize, max: usize) -> Outboxes {
        Outboxes { table: Mutex::default(), max_bytes, max }
    }

    pub fn post(&self, pair: Pair, stanza: Stanza) -> Result<Unserved, StanzaError> {
        self.with(pair, |outbox| outbox.post(stanza))
    }

    pub fn ask(&self, question: Question) -> Result<Unserved, StanzaError> {
        let Pair { from, to } = question.verification.pair.clone();
        self.with(Pair { from: to, to: from }, |outbox| outbox.ask(question))
    }

    /// Under the lock of the table, so that nothing is put into an outbox that is being forgotten.
    fn with(
        &self,
        pair: Pair,
        put: impl FnOnce(&Outbox) -> Result<bool, StanzaError>,
    ) -> Result<Unserved, StanzaError> {
        let mut table = self.table.lock();
        if !table.contains_key(&pair) {
            if table.len() >= self.max {
                table.retain(|_, outbox| !outbox.is_forgettable());
            }
            if table.len() >= self.max {
                let text = "this server is connected to too many others";
                return Err(StanzaError::resource_constraint(text));
            }
        }
        let outbox = table
            .entry(pair)
            .or_insert_with_key(|pair| Arc::new(Outbox::new(pair.clone(), self.max_bytes)));
        let unserved = put(outbox)?;
        Ok(unserved.then(|| Arc::clone(outbox)))
    }

    /// The server there has just proved that it is up.
    pub fn revive(&self, pair: &Pair) {
        if let Some(outbox) = self.table.lock().get(pair) {
            outbox.succeed();
        }
    }

    /// Forgets the outbox of a task that has ended, unless there is something to be remembered.
    pub fn forget(&self, pair: &Pair) {
        let mut table = self.table.lock();
        if table.get(pair).is_some_and(|outbox| outbox.is_forgettable()) {
            table.remove(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use wello_stream::s2s::Domain;
    use wello_wire::error::Condition;
    use wello_wire::stanza::MessageType;

    use super::*;

    fn pair(to: &str) -> Pair {
        let domain = |text| Domain::parse(text).unwrap();
        Pair { from: domain("a.example"), to: domain(to) }
    }

    fn message() -> Stanza {
        Stanza::message(MessageType::Chat)
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_serves_a_pair_until_it_rests() {
        let boxes = Outboxes::new(10_000, 10);
        let post = || boxes.post(pair("b.example"), message());
        let outbox = post().unwrap().expect("somebody has to serve it");
        assert!(post().unwrap().is_none());
        assert!(!outbox.rest());
        assert_eq!(outbox.take(usize::MAX).len(), 2);
        assert!(outbox.rest());
        boxes.forget(&outbox.pair);
        assert!(boxes.table.lock().is_empty());
        assert!(post().unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_counts_bytes() {
        let boxes = Outboxes::new(2 * message().weight(), 10);
        let post = || boxes.post(pair("b.example"), message());
        let outbox = post().unwrap().unwrap();
        post().unwrap();
        assert_eq!(post().err().unwrap().condition, Condition::ResourceConstraint);
        assert_eq!(outbox.take(1).len(), 1);
        assert!(post().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_left_alone_longer_and_longer() {
        let boxes = Outboxes::new(10_000, 10);
        let post = || boxes.post(pair("b.example"), message());
        let error = StanzaError::remote_server_timeout("x");
        let mut rest = FIRST_REST;
        for _ in 0..3 {
            let outbox = post().unwrap().unwrap();
            assert_eq!(outbox.give_up(&error).len(), 1);
            assert_eq!(post().err().unwrap(), error, "nothing is queued for it");
            boxes.forget(&outbox.pair);
            tokio::time::advance(rest - Duration::from_millis(1)).await;
            assert!(post().is_err());
            tokio::time::advance(Duration::from_millis(1)).await;
            rest *= 2;
        }
        let outbox = post().unwrap().unwrap();
        outbox.give_up(&error);
        boxes.revive(&outbox.pair);
        assert!(post().is_ok(), "it has come to us");
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_servers_is_bounded_and_failures_give_way() {
        let boxes = Outboxes::new(10_000, 2);
        let first = boxes.post(pair("b.example"), message()).unwrap().unwrap();
        boxes.post(pair("c.example"), message()).unwrap();
        let third = || boxes.post(pair("d.example"), message());
        assert_eq!(third().err().unwrap().condition, Condition::ResourceConstraint);
        first.give_up(&StanzaError::remote_server_timeout(""));
        assert!(third().is_err());
        tokio::time::advance(2 * LONGEST_REST).await;
        assert!(third().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn questions_are_answered_when_nobody_can_be_asked() {
        let boxes = Outboxes::new(10_000, 2);
        let (answer, told) = oneshot::channel();
        let Pair { from, to } = pair("b.example");
        let claim = Pair { from: to, to: from };
        let verification = Verification { pair: claim, stream: "s".into(), key: "k".into() };
        let outbox = boxes.ask(Question { verification, answer }).unwrap().unwrap();
        assert_eq!(outbox.pair, pair("b.example"));
        let error = StanzaError::remote_server_not_found("x");
        outbox.give_up(&error);
        assert_eq!(told.await.unwrap(), Verdict::Unknown(error));
    }
}
