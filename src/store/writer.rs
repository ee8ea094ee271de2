//! The single writer: callers put entries and jobs into a batch; while one batch is being written
//! the next one fills. No timer holds anything back, so batches are as large as the disk is slow.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::ticket::{BatchState, Outcome};
use crate::{BatchReport, Entry, Options, StoreError, Ticket};

/// What a job counts in the queue. Its caller waits for the answer, so there is one for each
/// connection at most.
const JOB_BYTES: usize = 4096;

/// Bytes of an entry besides its stanza, roughly.
const ENTRY_BYTES: usize = 512;

/// Writes batches. `Job` is any other work that belongs into the same transaction.
pub(crate) trait Engine: Send + 'static {
    type Job: Send + 'static;

    /// Writes a batch in one transaction and answers its jobs.
    fn write(
        &mut self,
        entries: &[Entry],
        jobs: Vec<Self::Job>,
    ) -> impl Future<Output = Outcome> + Send;

    /// Does one piece of background work, `false` when there is none; when `busy`, only
    /// work that must not wait.
    fn work(&mut self, busy: bool) -> impl Future<Output = bool> + Send;

    /// Lets go of the database.
    fn close(self) -> impl Future<Output = ()> + Send;
}

struct Batch<J> {
    entries: Vec<Entry>,
    jobs: Vec<J>,
    bytes: usize,
    state: Arc<BatchState>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<J> Batch<J> {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            jobs: Vec::new(),
            bytes: 0,
            state: Arc::default(),
            permit: None,
        }
    }

    fn is_full(&self, options: &Options) -> bool {
        self.entries.len() + self.jobs.len() >= options.batch_entries
            || self.bytes >= options.batch_bytes
    }

    fn hold(&mut self, permit: OwnedSemaphorePermit, bytes: usize) {
        self.bytes += bytes;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
    }
}

// Whoever waits for a batch that nobody will write is told so.
impl<J> Drop for Batch<J> {
    fn drop(&mut self) {
        self.state.resolve(Outcome::Lost(StoreError::Closed));
    }
}

struct State<J> {
    batches: VecDeque<Batch<J>>,
    /// Of the batch that was opened last, be it written or not.
    latest: Arc<BatchState>,
    closed: bool,
}

/// The batches that wait for the writer.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    filled: Notify,
    room: Arc<Semaphore>,
    options: Options,
}

impl<J: Send + 'static> Queue<J> {
    pub(crate) fn new(options: &Options) -> Arc<Self> {
        let latest = Arc::<BatchState>::default();
        latest.resolve(Outcome::Written { failed: Vec::new() });
        Arc::new(Self {
            state: Mutex::new(State { batches: VecDeque::new(), latest, closed: false }),
            filled: Notify::new(),
            room: Arc::new(Semaphore::new(room(options))),
            options: options.clone(),
        })
    }

    pub(crate) async fn append(&self, entry: Entry) -> Result<Ticket, StoreError> {
        let bytes = weight(&entry);
        let permit = self.room(bytes).await?;
        self.put(permit, bytes, |batch| {
            batch.entries.push(entry);
            Ticket::new(Arc::clone(&batch.state), batch.entries.len() - 1)
        })
    }

    pub(crate) async fn submit(&self, job: J) -> Result<(), StoreError> {
        let permit = self.room(JOB_BYTES).await?;
        self.put(permit, JOB_BYTES, |batch| batch.jobs.push(job))
    }

    /// Waits until everything that was put in before is written.
    pub(crate) async fn settled(&self) {
        let latest = Arc::clone(&self.state.lock().latest);
        // What became of it is told to those who appended.
        let _ = Ticket::new(latest, usize::MAX).wait().await;
    }

    /// Takes nothing more in; the writer ends when it has written the rest.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.filled.notify_one();
    }

    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, StoreError> {
        let limit = room(&self.options);
        let too_large = StoreError::TooLarge { size: bytes, limit };
        if bytes > limit {
            return Err(too_large);
        }
        let permits = u32::try_from(bytes).map_err(|_| too_large)?;
        Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| StoreError::Closed)
    }

    fn put<T>(
        &self,
        permit: OwnedSemaphorePermit,
        bytes: usize,
        put: impl FnOnce(&mut Batch<J>) -> T,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        let open = state.batches.pop_back_if(|batch| !batch.is_full(&self.options));
        let mut batch = open.unwrap_or_else(|| {
            let batch = Batch::new();
            state.latest = Arc::clone(&batch.state);
            batch
        });
        let answer = put(&mut batch);
        batch.hold(permit, bytes);
        state.batches.push_back(batch);
        drop(state);
        self.filled.notify_one();
        Ok(answer)
    }

    fn take(&self) -> Option<Batch<J>> {
        self.state.lock().batches.pop_front()
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

/// Starts the writer. It ends when the queue is closed and empty.
#[expect(clippy::disallowed_methods, reason = "closing the store waits for it")]
pub(crate) fn start<E: Engine>(queue: &Arc<Queue<E::Job>>, engine: E) -> JoinHandle<()> {
    tokio::spawn(run(Arc::clone(queue), engine))
}

async fn run<E: Engine>(queue: Arc<Queue<E::Job>>, mut engine: E) {
    let _end = CloseAtEnd(&queue);
    let mut more_work = true;
    let mut rested = false;
    loop {
        // Lets tasks that are ready put in what they have: a batch of ten costs little more than one.
        tokio::task::yield_now().await;
        if let Some(batch) = queue.take() {
            write(&mut engine, batch, &queue.options).await;
            engine.work(true).await;
            (more_work, rested) = (true, false);
        } else if queue.is_closed() {
            break;
        } else if !more_work {
            queue.filled.notified().await;
        } else if !rested {
            let rest = tokio::time::timeout(queue.options.idle, queue.filled.notified());
            rested = rest.await.is_err();
        } else {
            more_work = engine.work(false).await;
        }
    }
    engine.close().await;
}

/// Should the writer die, nobody may wait for it.
struct CloseAtEnd<'a, J: Send + 'static>(&'a Queue<J>);

impl<J: Send + 'static> Drop for CloseAtEnd<'_, J> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.state.lock().batches);
        drop(left);
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a disk takes, for metrics alone")]
async fn write<E: Engine>(engine: &mut E, mut batch: Batch<E::Job>, options: &Options) {
    let started = Instant::now();
    let jobs = std::mem::take(&mut batch.jobs);
    let mut report = BatchReport {
        messages: batch.entries.len(),
        jobs: jobs.len(),
        bytes: batch.bytes,
        latency: started.elapsed(),
    };
    let outcome = engine.write(&batch.entries, jobs).await;
    report.latency = started.elapsed();
    if let Outcome::Lost(error) = &outcome {
        tracing::error!(%error, messages = report.messages, "a batch could not be written");
    }
    batch.state.resolve(outcome);
    if let Some(on_batch) = &options.on_batch {
        on_batch(&report);
    }
}

/// The queue's bound in bytes, as far as a semaphore can count.
fn room(options: &Options) -> usize {
    options.queue_bytes.clamp(JOB_BYTES, Semaphore::MAX_PERMITS)
}

fn weight(entry: &Entry) -> usize {
    let text = entry.text.as_ref().map_or(0, String::len);
    ENTRY_BYTES + entry.stanza.len() + text
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests have no kernel to spawn through")]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;

    /// Says how many entries it got, and writes when it is let.
    struct Stepped {
        got: mpsc::Sender<usize>,
        go: mpsc::Receiver<Outcome>,
    }

    impl Engine for Stepped {
        type Job = ();

        async fn write(&mut self, entries: &[Entry], _jobs: Vec<()>) -> Outcome {
            self.got.send(entries.len()).await.unwrap();
            self.go.recv().await.unwrap()
        }

        async fn work(&mut self, _busy: bool) -> bool {
            false
        }

        async fn close(self) {}
    }

    fn entry(bytes: usize) -> Entry {
        Entry { stanza: Bytes::from(vec![b'x'; bytes]), ..Entry::default() }
    }

    fn written() -> Outcome {
        Outcome::Written { failed: Vec::new() }
    }

    type Steps =
        (Arc<Queue<()>>, mpsc::Receiver<usize>, mpsc::Sender<Outcome>, tokio::task::JoinHandle<()>);

    fn stepped(options: &Options) -> Steps {
        let (got, gets) = mpsc::channel(1);
        let (lets, go) = mpsc::channel(1);
        let queue = Queue::new(options);
        let writer = tokio::spawn(run(Arc::clone(&queue), Stepped { got, go }));
        (queue, gets, lets, writer)
    }

    #[tokio::test]
    async fn what_comes_during_a_write_is_the_next_batch() {
        let (queue, mut gets, lets, writer) = stepped(&Options::default());
        let first = queue.append(entry(1)).await.unwrap();
        assert_eq!(gets.recv().await, Some(1));
        let second = queue.append(entry(1)).await.unwrap();
        let third = queue.append(entry(1)).await.unwrap();
        assert!(!first.is_done());
        lets.send(written()).await.unwrap();
        first.wait().await.unwrap();
        assert!(!second.is_done());
        assert_eq!(gets.recv().await, Some(2));
        let failed = vec![(1, StoreError::Unsupported("bad"))];
        lets.send(Outcome::Written { failed }).await.unwrap();
        second.wait().await.unwrap();
        assert!(third.wait().await.is_err());
        queue.close();
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn batches_are_bounded_in_entries_and_bytes() {
        let options = Options { batch_entries: 2, batch_bytes: 10_000, ..Options::default() };
        let (queue, mut gets, lets, writer) = stepped(&options);
        queue.append(entry(1)).await.unwrap();
        assert_eq!(gets.recv().await, Some(1));
        for bytes in [1, 1, 20_000, 1] {
            queue.append(entry(bytes)).await.unwrap();
        }
        for expected in [2, 1, 1] {
            lets.send(written()).await.unwrap();
            assert_eq!(gets.recv().await, Some(expected));
        }
        queue.close();
        lets.send(written()).await.unwrap();
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_makes_appending_wait() {
        let options = Options { queue_bytes: 10_000, ..Options::default() };
        let (queue, mut gets, lets, writer) = stepped(&options);
        queue.append(entry(9_000)).await.unwrap();
        assert_eq!(gets.recv().await, Some(1));
        let waiting = Arc::clone(&queue);
        let waiting = tokio::spawn(async move { waiting.append(entry(9_000)).await });
        // Once it has no permit it cannot go on before the first batch is done.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        lets.send(written()).await.unwrap();
        let ticket = waiting.await.unwrap().unwrap();
        assert_eq!(gets.recv().await, Some(1));
        lets.send(written()).await.unwrap();
        ticket.wait().await.unwrap();
        let huge = queue.append(entry(20_000)).await;
        assert!(matches!(huge, Err(StoreError::TooLarge { .. })));
        queue.close();
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_queue_writes_the_rest_and_refuses_more() {
        let options = Options { idle: Duration::from_secs(3600), ..Options::default() };
        let (queue, mut gets, lets, writer) = stepped(&options);
        let ticket = queue.append(entry(1)).await.unwrap();
        queue.close();
        assert!(matches!(queue.append(entry(1)).await, Err(StoreError::Closed)));
        assert_eq!(gets.recv().await, Some(1));
        lets.send(written()).await.unwrap();
        writer.await.unwrap();
        ticket.wait().await.unwrap();
        queue.settled().await;
    }

    #[tokio::test]
    async fn tickets_of_a_batch_that_is_never_written_are_lost() {
        let queue = Queue::<()>::new(&Options::default());
        let ticket = queue.append(entry(1)).await.unwrap();
        drop(queue);
        assert!(matches!(ticket.wait().await, Err(StoreError::Closed)));
    }
}
