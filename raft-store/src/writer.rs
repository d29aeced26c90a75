//! The one thread per node that writes the log instance: every group's entries, votes, truncations,
//! purges and committed indexes, and the node's own values, in the order in which they were given.
//!
//! It takes what is queued, writes one batch, syncs once, and only then tells everybody in order.
//! A vote and the entries around it are therefore one ordered, durable stream. A failed write or
//! sync is final: whoever waits gets the error, `Failure` is set, and no later job succeeds.
//!
//! ```text
//!  group 0 --\                     +- batch n ------------------------+
//!  group 1 ---> queue (bounded) -> | write -> written() -> sync -> ok |  while n is being synced,
//!  node -----/                     +----------------------------------+  n+1 gathers
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axp_proto::mutant::{self, Mutant};
use openraft::storage::IOFlushed;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::failure::Failure;
use crate::keyspace::{CHAIN_KEY, Chain};
use crate::metrics as names;
use crate::types::TypeConfig;
#[cfg(any(test, feature = "test-util"))]
use crate::workers::SyncTime;
use crate::workers::Workers;

/// What one write and one sync take at most.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
const BATCH_JOBS_MAX: usize = 1024;
/// Jobs that may wait; bytes are bounded separately.
const QUEUE_JOBS_MAX: usize = 4096;
/// The queue's bytes are counted in units of this size, so that they fit a semaphore.
const PERMIT_BYTES: usize = 1024;

/// Called by the writer thread between writing and syncing; must not wait.
pub(crate) type Written = Box<dyn FnOnce() + Send>;
/// Called by the writer thread just before writing; must not wait.
pub(crate) type Late = Box<dyn FnOnce(&mut Batch) + Send>;

/// Something to write, and whom to tell.
pub(crate) struct Job {
    pub(crate) batch: Batch,
    /// Whether somebody relies on it being durable.
    pub(crate) sync: bool,
    pub(crate) done: Done,
    /// Told when the batch can be read from the engine, before it is durable.
    pub(crate) written: Option<Written>,
    /// Adds to the batch what is newest at the moment of writing.
    pub(crate) late: Option<Late>,
}

/// Whom to tell that a job is durable, or that it never will be.
pub(crate) enum Done {
    Nobody,
    Raft(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<Result<(), Error>>),
}

impl Done {
    fn complete(self, failure: Option<&str>) {
        match self {
            Self::Nobody => {}
            Self::Raft(callback) => callback.io_completed(match failure {
                None => Ok(()),
                Some(reason) => Err(std::io::Error::other(reason.to_owned())),
            }),
            Self::Caller(sender) => {
                let result = match failure {
                    None => Ok(()),
                    Some(reason) => Err(Error::Failed(reason.to_owned())),
                };
                // A caller that hung up loses the answer, not the write.
                sender.send(result).ok();
            }
        }
    }
}

struct Queued {
    job: Job,
    permits: u32,
}

/// The way to the writer thread. The thread ends when the last of these is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Queued>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<dyn Engine>,
    failure: Arc<Failure>,
    room: Semaphore,
    room_permits: u32,
    queued_bytes: AtomicU64,
}

impl Writer {
    /// Starts the thread. It ends once every `Writer` is gone and the queue is written.
    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        failure: Arc<Failure>,
        linger: Duration,
        queue_bytes_max: usize,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let chain = match engine.get(CHAIN_KEY)? {
            None => Chain::default(),
            Some(value) => Chain::decode(&value)
                .ok_or_else(|| Error::Corrupt("the number of the last batch".to_owned()))?,
        };
        // Whatever the engine recovered must be durable before the next batch claims that it is.
        engine.sync()?;
        let chain = Chain { number: chain.number, synced: chain.number };
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let room_permits = u32::try_from(queue_bytes_max / PERMIT_BYTES).unwrap_or(u32::MAX >> 4);
        let room_permits = room_permits.max(1);
        let shared = Arc::new(Shared {
            engine,
            failure,
            room: Semaphore::new(room_permits as usize),
            room_permits,
            queued_bytes: AtomicU64::new(0),
        });
        WriterLoop { queue, shared: shared.clone(), linger, chain }.start(workers)?;
        Ok(Self { jobs, shared })
    }

    /// Queues a job; waits while the queue is full. Jobs of one caller keep their order.
    pub(crate) async fn submit(&self, job: Job) -> Result<(), Error> {
        self.shared.failure.check()?;
        let bytes = job.batch.bytes();
        // A job larger than the whole queue takes all of it, instead of waiting for ever.
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let permits = permits.clamp(1, self.shared.room_permits);
        let room = self.shared.room.acquire_many(permits).await.map_err(|_| Error::Closed)?;
        let place = self.jobs.reserve().await.map_err(|_| Error::Closed)?;
        // No await from here on: a caller that gives up before leaves nothing behind.
        room.forget();
        self.shared.queued_bytes.fetch_add(u64::from(permits), Ordering::Relaxed);
        place.send(Queued { job, permits });
        Ok(())
    }

    /// Writes the batch and waits until it is durable.
    pub(crate) async fn write(&self, batch: Batch) -> Result<(), Error> {
        let (sender, receiver) = oneshot::channel();
        let done = Done::Caller(sender);
        self.submit(Job { batch, sync: true, done, written: None, late: None }).await?;
        receiver.await.map_err(|_| Error::Closed)?
    }
}

struct WriterLoop {
    queue: mpsc::Receiver<Queued>,
    shared: Arc<Shared>,
    linger: Duration,
    chain: Chain,
}

impl WriterLoop {
    fn start(self, workers: &Workers) -> Result<(), Error> {
        match workers {
            Workers::Threads => {
                let spawned =
                    thread::Builder::new().name("axp-writer".to_owned()).spawn(|| self.run());
                spawned.map(drop).map_err(|source| Error::Engine {
                    engine: "any",
                    action: "start the writer thread",
                    source: source.into(),
                })
            }
            #[cfg(any(test, feature = "test-util"))]
            Workers::Tasks(sync_time) => {
                tokio::spawn(self.run_as_task(sync_time.clone()));
                Ok(())
            }
        }
    }

    fn run(mut self) {
        let _guard = PanicGuard(self.shared.failure.clone());
        let mut jobs = Vec::new();
        while let Some(first) = self.queue.blocking_recv() {
            self.gather(first, &mut jobs);
            let result = self.write(&mut jobs).and_then(|sync| self.sync(sync));
            self.complete(&mut jobs, result);
        }
    }

    /// The same where waiting for the disk is waiting for a timer.
    #[cfg(any(test, feature = "test-util"))]
    async fn run_as_task(mut self, sync_time: SyncTime) {
        let _guard = PanicGuard(self.shared.failure.clone());
        let mut jobs = Vec::new();
        while let Some(first) = self.queue.recv().await {
            self.gather(first, &mut jobs);
            let written = self.write(&mut jobs);
            if let Ok(true) = written {
                tokio::time::sleep(sync_time.next()).await;
            }
            let result = written.and_then(|sync| self.sync(sync));
            self.complete(&mut jobs, result);
        }
    }

    /// Takes what is queued, up to the bounds of a batch.
    fn gather(&mut self, first: Queued, jobs: &mut Vec<Queued>) {
        let mut bytes = first.job.batch.bytes();
        jobs.push(first);
        let deadline = (!self.linger.is_zero()).then(|| Instant::now() + self.linger);
        while bytes < BATCH_BYTES_MAX && jobs.len() < BATCH_JOBS_MAX {
            match self.queue.try_recv() {
                Ok(queued) => {
                    bytes += queued.job.batch.bytes();
                    jobs.push(queued);
                }
                Err(_) => match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                    // Asked for by configuration, in the range where a timer is too coarse.
                    Some(left) if !left.is_zero() => thread::sleep(left.min(LINGER_STEP)),
                    _ => break,
                },
            }
        }
        metrics::gauge!(names::WRITER_QUEUE_JOBS).set(self.queue.len() as f64);
        metrics::histogram!(names::WRITER_BATCH_JOBS).record(jobs.len() as f64);
        metrics::histogram!(names::WRITER_BATCH_BYTES).record(bytes as f64);
    }

    fn complete(&mut self, jobs: &mut Vec<Queued>, result: Result<(), Error>) {
        // The chain of causes is already in the failure; every waiting job hears the same.
        let failure = result.err().map(|error| error.chain());
        let mut permits = 0;
        for queued in jobs.drain(..) {
            permits += u64::from(queued.permits);
            queued.job.done.complete(failure.as_deref());
        }
        self.shared.room.add_permits(usize::try_from(permits).unwrap_or(0));
        let before = self.shared.queued_bytes.fetch_sub(permits, Ordering::Relaxed);
        let left = before.saturating_sub(permits) * PERMIT_BYTES as u64;
        metrics::gauge!(names::WRITER_QUEUE_BYTES).set(left as f64);
    }

    /// Writes what was gathered as one batch; whether somebody relies on it being durable.
    fn write(&mut self, jobs: &mut [Queued]) -> Result<bool, Error> {
        self.shared.failure.check()?;
        let mut batch = Batch::default();
        let next = Chain { number: self.chain.number + 1, synced: self.chain.synced };
        batch.put(CHAIN_KEY, next.encode());
        let mut sync = false;
        for queued in jobs.iter_mut() {
            batch.append(std::mem::take(&mut queued.job.batch));
            if let Some(late) = queued.job.late.take() {
                late(&mut batch);
            }
            sync |= queued.job.sync;
        }
        let fail = |error: &Error| self.shared.failure.set("log write", error);
        self.shared.engine.write(batch).inspect_err(fail)?;
        self.chain = next;
        for queued in jobs {
            if let Some(written) = queued.job.written.take() {
                written();
            }
        }
        let later = mutant::active(Mutant::SyncLater) && !self.chain.number.is_multiple_of(64);
        Ok(sync && !later)
    }

    fn sync(&mut self, sync: bool) -> Result<(), Error> {
        if sync {
            let start = Instant::now();
            let fail = |error: &Error| self.shared.failure.set("log write", error);
            self.sync_once().inspect_err(fail)?;
            metrics::histogram!(names::WRITER_SYNC_SECONDS).record(start.elapsed().as_secs_f64());
            self.chain.synced = self.chain.number;
        }
        Ok(())
    }

    /// Never a second time after an error: the kernel has marked the pages clean.
    fn sync_once(&self) -> Result<(), Error> {
        let synced = self.shared.engine.sync();
        if synced.is_err() && mutant::active(Mutant::SyncRetried) {
            return self.shared.engine.sync();
        }
        synced
    }
}

/// How often a lingering writer looks at the queue.
const LINGER_STEP: Duration = Duration::from_micros(50);

/// A panic in an engine ends the thread and drops the callbacks in it; the process has to hear of it.
struct PanicGuard(Arc<Failure>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set("log write", &Error::Failed("the writer thread panicked".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
