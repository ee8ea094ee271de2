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

/// Stanzas and questions for one pair. At most one stream serves it.
struct Outbox {
    max_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stanzas: VecDeque<Stanza>,
    /// Of the stanzas that wait.
    bytes: usize,
    /// Of those that are sent and not acknowledged.
    sent_bytes: usize,
    questions: Vec<Question>,
    server: Option<Server>,
    failure: Option<Failure>,
}

/// Who serves an outbox.
struct Server {
    woken: Arc<Notify>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A stream of our own that has put nothing but questions.
    Asking,
    /// A stream of our own.
    Own,
    /// A stream of the other server. It takes no questions: who asks for trust must not vouch for himself
    /// (XEP-0288, section 2).
    Carrying,
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
    fn new(max_bytes: usize) -> Outbox {
        Outbox { max_bytes, state: Mutex::default() }
    }

    /// Returns how a stream that has to be started for it is to be woken.
    fn post(&self, stanza: Stanza) -> Result<Option<Arc<Notify>>, StanzaError> {
        let mut state = self.state.lock();
        state.check()?;
        let weight = stanza.weight();
        if state.bytes + state.sent_bytes + weight > self.max_bytes {
            let text = "too much waits for that server already";
            return Err(StanzaError::resource_constraint(text));
        }
        state.bytes += weight;
        state.stanzas.push_back(stanza);
        Ok(state.wake())
    }

    fn ask(&self, question: Question) -> Result<Option<Arc<Notify>>, StanzaError> {
        let mut state = self.state.lock();
        state.check()?;
        if state.questions.len() >= MAX_QUESTIONS {
            return Err(StanzaError::resource_constraint("too many questions to that server"));
        }
        state.questions.push(question);
        if state.kind() == Some(Kind::Carrying) {
            state.server = None;
        }
        Ok(state.wake())
    }

    /// Has a stream serve it that the other server opened, unless another does.
    fn carry(&self, woken: &Arc<Notify>) -> bool {
        let mut state = self.state.lock();
        let is_free = match state.kind() {
            None => true,
            Some(Kind::Asking) => state.questions.is_empty(),
            Some(Kind::Own | Kind::Carrying) => false,
        };
        if is_free {
            state.failure = None;
            state.server = Some(Server { woken: Arc::clone(woken), kind: Kind::Carrying });
            woken.notify_one();
        }
        is_free
    }

    fn is_forgettable(&self) -> bool {
        let state = self.state.lock();
        let failed = state.failure.as_ref();
        state.server.is_none()
            && failed.is_none_or(|failure| failure.until + LONGEST_REST < Instant::now())
    }
}

/// An outbox, and the right to serve it. It can be lost: then there is nothing in it.
#[derive(Clone)]
pub struct Charge {
    /// From one of our domains to one elsewhere.
    pub pair: Pair,
    outbox: Arc<Outbox>,
    woken: Arc<Notify>,
}

impl Charge {
    /// Told when something may be there. Spurious wake-ups happen.
    pub fn woken(&self) -> &Arc<Notify> {
        &self.woken
    }

    /// Stanzas of up to `bytes`, and at least one if there is one.
    pub fn take(&self, bytes: usize) -> Vec<Stanza> {
        self.with(|state| {
            let (mut count, mut weight) = (0, 0);
            while weight < bytes
                && let Some(stanza) = state.stanzas.get(count)
            {
                weight += stanza.weight();
                count += 1;
            }
            state.bytes -= weight;
            let taken = state.stanzas.drain(..count).collect();
            if state.stanzas.is_empty() {
                state.stanzas.shrink_to(4);
            }
            taken
        })
    }

    /// Puts back in front what was taken and not sent. Returns it if somebody else serves the outbox now.
    pub fn put_back(&self, mut stanzas: Vec<Stanza>) -> Vec<Stanza> {
        self.with(|state| {
            state.bytes += stanzas.iter().map(Stanza::weight).sum::<usize>();
            stanzas.drain(..).rev().for_each(|stanza| state.stanzas.push_front(stanza));
        });
        stanzas
    }

    /// What the stream has sent and not heard of counts as if it waited.
    pub fn hold(&self, bytes: usize) {
        self.with(|state| state.sent_bytes = bytes);
    }

    pub fn take_questions(&self) -> Vec<Question> {
        self.with(|state| std::mem::take(&mut state.questions))
    }

    pub fn has_stanzas(&self) -> bool {
        self.with(|state| !state.stanzas.is_empty())
    }

    /// The stream is going to send stanzas; `false` if another one does.
    pub fn begin(&self) -> bool {
        self.with(|state| {
            if let Some(server) = &mut state.server {
                server.kind = Kind::Own;
            }
            true
        })
    }

    /// The stream has nothing left to do and ends; `false` if something has come meanwhile.
    pub fn rest(&self) -> bool {
        let busy = self.with(|state| {
            let busy = !state.is_idle();
            if !busy {
                state.release();
            }
            busy
        });
        !busy
    }

    /// Another stream serves it from now on.
    pub fn moved(self, woken: &Arc<Notify>) -> Charge {
        self.with(|state| {
            if let Some(server) = &mut state.server {
                server.woken = Arc::clone(woken);
            }
        });
        woken.notify_one();
        Charge { woken: Arc::clone(woken), ..self }
    }

    /// The stream that served it is gone. Returns it if somebody else has to serve it now.
    pub fn pass_on(self) -> Unserved {
        let Charge { pair, outbox, woken } = self;
        let mut state = outbox.state.lock();
        if !state.is_served_by(&woken) {
            return None;
        }
        state.release();
        let woken = if state.is_idle() { None } else { state.wake() };
        drop(state);
        woken.map(|woken| Charge { pair, outbox, woken })
    }

    /// The connection works.
    pub fn succeed(&self) {
        self.with(|state| state.failure = None);
    }

    /// Nobody can be asked now.
    pub fn answer_all(&self, error: &StanzaError) {
        self.with(|state| state.answer_all(error));
    }

    /// Gives up; returns what its senders are to be told of.
    pub fn give_up(&self, error: &StanzaError) -> Vec<Stanza> {
        self.with(|state| {
            let times = state.failure.as_ref().map_or(0, |failure| failure.times);
            let rest = FIRST_REST.saturating_mul(1 << times.min(16)).min(LONGEST_REST);
            let until = Instant::now() + rest;
            state.failure = Some(Failure { error: error.clone(), until, times: times + 1 });
            state.release();
            state.bytes = 0;
            state.answer_all(error);
            std::mem::take(&mut state.stanzas).into()
        })
    }

    fn with<R: Default>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.outbox.state.lock();
        match state.is_served_by(&self.woken) {
            true => act(&mut state),
            false => R::default(),
        }
    }
}

impl State {
    /// Tells the stream that serves it; otherwise returns how one that has to be started is woken.
    fn wake(&mut self) -> Option<Arc<Notify>> {
        let started = self.server.is_none();
        let new = || Server { woken: Arc::default(), kind: Kind::Asking };
        let woken = &self.server.get_or_insert_with(new).woken;
        woken.notify_one();
        started.then(|| Arc::clone(woken))
    }

    fn is_served_by(&self, woken: &Arc<Notify>) -> bool {
        self.server.as_ref().is_some_and(|server| Arc::ptr_eq(&server.woken, woken))
    }

    fn kind(&self) -> Option<Kind> {
        self.server.as_ref().map(|server| server.kind)
    }

    fn is_idle(&self) -> bool {
        self.stanzas.is_empty() && self.questions.is_empty()
    }

    fn release(&mut self) {
        self.server = None;
        self.sent_bytes = 0;
    }

    fn answer_all(&mut self, error: &StanzaError) {
        for question in self.questions.drain(..) {
            // Whoever asked may have gone.
            let _ = question.answer.send(Verdict::Unknown(error.clone()));
        }
    }

    fn check(&self) -> Result<(), StanzaError> {
        match &self.failure {
            Some(failure) if self.server.is_none() && failure.until > Instant::now() => {
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

/// An outbox that a stream has to be started for.
pub type Unserved = Option<Charge>;

impl Outboxes {
    pub fn new(max_bytes: usize, max: usize) -> Outboxes {
        Outboxes { table: Mutex::default(), max_bytes, max }
    }

    pub fn post(&self, pair: Pair, stanza: Stanza) -> Result<Unserved, StanzaError> {
        self.put(pair, |outbox| outbox.post(stanza))
    }

    pub fn ask(&self, question: Question) -> Result<Unserved, StanzaError> {
        let pair = question.verification.pair.reversed();
        self.put(pair, |outbox| outbox.ask(question))
    }

    /// For a stream that the other server opened and that takes stanzas the other way, too; `None` if
    /// another stream serves the pair, or if there are too many pairs.
    pub fn carry(&self, pair: Pair, woken: &Arc<Notify>) -> Unserved {
        self.put(pair, |outbox| Ok(outbox.carry(woken).then(|| Arc::clone(woken)))).ok().flatten()
    }

    /// Under the lock of the table, so that nothing is put into an outbox that is being forgotten.
    fn put(
        &self,
        pair: Pair,
        put: impl FnOnce(&Outbox) -> Result<Option<Arc<Notify>>, StanzaError>,
    ) -> Result<Unserved, StanzaError> {
        let mut table = self.table.lock();
        let outbox = match table.get(&pair) {
            Some(outbox) => outbox,
            None => self.open(&mut table, &pair)?,
        };
        let woken = put(outbox)?;
        Ok(woken.map(|woken| Charge { pair, outbox: Arc::clone(outbox), woken }))
    }

    fn open<'a>(
        &self,
        table: &'a mut HashMap<Pair, Arc<Outbox>>,
        pair: &Pair,
    ) -> Result<&'a Arc<Outbox>, StanzaError> {
        if table.len() >= self.max {
            table.retain(|_, outbox| !outbox.is_forgettable());
        }
        if table.len() >= self.max {
            let text = "this server is connected to too many others";
            return Err(StanzaError::resource_constraint(text));
        }
        let new = || Arc::new(Outbox::new(self.max_bytes));
        Ok(table.entry(pair.clone()).or_insert_with(new))
    }

    /// The server there has just proved that it is up.
    pub fn revive(&self, pair: &Pair) {
        if let Some(outbox) = self.table.lock().get(pair) {
            outbox.state.lock().failure = None;
        }
    }

    /// Forgets the outbox of a stream that has ended, unless there is something to be remembered.
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
    async fn one_stream_serves_a_pair_until_it_rests() {
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
    async fn what_is_sent_and_not_acknowledged_counts() {
        let boxes = Outboxes::new(2 * message().weight(), 10);
        let post = || boxes.post(pair("b.example"), message());
        let charge = post().unwrap().unwrap();
        let sent = charge.take(usize::MAX);
        charge.hold(sent.iter().map(Stanza::weight).sum());
        post().unwrap();
        assert_eq!(post().err().unwrap().condition, Condition::ResourceConstraint);
        charge.hold(0);
        post().unwrap();
        assert!(charge.put_back(sent).is_empty());
        assert_eq!(charge.take(usize::MAX).len(), 3);
        charge.hold(usize::MAX / 2);
        assert!(charge.rest() && post().is_ok(), "who rests holds nothing");
    }

    fn question() -> (Question, oneshot::Receiver<Verdict>) {
        let (answer, told) = oneshot::channel();
        let pair = pair("b.example").reversed();
        let verification = Verification { pair, stream: "s".into(), key: "k".into() };
        (Question { verification, answer }, told)
    }

    #[tokio::test(start_paused = true)]
    async fn streams_of_the_other_server_carry_what_no_other_does() {
        let boxes = Outboxes::new(10_000, 10);
        let woken = Arc::default();
        let carried = boxes.carry(pair("b.example"), &woken).expect("nobody serves it");
        assert!(boxes.carry(pair("b.example"), &Arc::default()).is_none());
        assert!(boxes.post(pair("b.example"), message()).unwrap().is_none());
        woken.notified().await;
        assert_eq!(carried.take(usize::MAX).len(), 1);
        // A stream that ends leaves what waits to another.
        boxes.post(pair("b.example"), message()).unwrap();
        let own = carried.pass_on().expect("a stanza waits");
        assert!(own.begin() && boxes.carry(pair("b.example"), &woken).is_none());
        assert_eq!(own.take(usize::MAX).len(), 1);
        assert!(own.rest());
        assert!(boxes.carry(pair("b.example"), &woken).unwrap().pass_on().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_has_only_asked_gives_way() {
        let boxes = Outboxes::new(10_000, 10);
        let carry = || boxes.carry(pair("b.example"), &Arc::default());
        let (question, _told) = question();
        let own = boxes.ask(question).unwrap().unwrap();
        assert!(carry().is_none(), "the question is not put yet");
        own.take_questions();
        let carried = carry().unwrap();
        assert!(own.rest() && !own.begin(), "it has nothing to do any more");
        assert!(boxes.post(pair("b.example"), message()).unwrap().is_none());
        assert_eq!(carried.take(usize::MAX).len(), 1);
        carried.pass_on();
        let own = boxes.post(pair("b.example"), message()).unwrap().unwrap();
        assert!(own.begin() && carry().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_on_a_stream_of_his_own() {
        let boxes = Outboxes::new(10_000, 10);
        let carried = boxes.carry(pair("b.example"), &Arc::default()).unwrap();
        boxes.post(pair("b.example"), message()).unwrap();
        let (question, _told) = question();
        let own = boxes.ask(question).unwrap().expect("a stream of our own");
        assert!(carried.take(usize::MAX).is_empty() && carried.take_questions().is_empty());
        assert_eq!((own.take(usize::MAX).len(), own.take_questions().len()), (1, 1));
        assert!(carried.pass_on().is_none(), "it is the other's");
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
        let (question, told) = question();
        let outbox = boxes.ask(question).unwrap().unwrap();
        assert_eq!(outbox.pair, pair("b.example"));
        let error = StanzaError::remote_server_not_found("x");
        outbox.give_up(&error);
        assert_eq!(told.await.unwrap(), Verdict::Unknown(error));
    }
}
