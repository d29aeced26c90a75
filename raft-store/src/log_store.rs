//! openraft's log of one group: entries, vote, committed and purged log ids.
//!
//! When `append` returns, its entries can be read; they are durable when the callback says so. They
//! stay in memory until they are written, so a read never depends on the writer's progress. A vote
//! is durable when `save_vote` returns. Truncations and purges take effect in order with the
//! appends around them; a purge first makes the state durable up to its index, because what is
//! purged cannot be replayed. The committed id is saved when convenient: it only shortens recovery.

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axp_proto::ids::GroupId;
use axp_proto::mutant::{self, Mutant};
use futures_util::{Stream, StreamExt as _, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};

use crate::blocking;
use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::keyspace::{LogField, LogKeys};
use crate::record;
use crate::state::StateStore;
use crate::types::{Entry, LogId, TypeConfig, Vote};
use crate::wire;
use crate::writer::{Done, Job, Writer, Written};

#[cfg(any(test, feature = "test-util"))]
mod inspect;
mod memory;
mod read;
mod recover;

#[cfg(any(test, feature = "test-util"))]
pub use inspect::is_durable;
use memory::Memory;

/// What one read hands out at most, so that no message and no step of apply grows without bound.
const READ_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Deletions in one batch; a long purge lets the other groups through in between.
const PURGE_CHUNK: u64 = 4096;

/// The log of one group on this node.
#[derive(Debug, Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
    writer: Writer,
    state: Arc<StateStore>,
}

/// Reads the log of one group; made for replication and apply, which read at their own pace.
#[derive(Debug, Clone)]
pub struct LogReader {
    shared: Arc<Shared>,
}

struct Shared {
    keys: LogKeys,
    engine: Arc<dyn Engine>,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("group", &self.keys.0).finish_non_exhaustive()
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing in there is left half done by a panic: every change is a few assignments.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogStore {
    /// Opens the log of `group`, checking every record in it.
    pub(crate) fn open(
        group: GroupId,
        engine: Arc<dyn Engine>,
        writer: Writer,
        state: Arc<StateStore>,
        cache_bytes_max: usize,
    ) -> Result<Self, Error> {
        let keys = LogKeys(group);
        let memory = Mutex::new(recover::recover(keys, &*engine, cache_bytes_max)?);
        Ok(Self { shared: Arc::new(Shared { keys, engine, memory }), writer, state })
    }

    /// The last purged log id.
    pub fn purged(&self) -> Option<LogId> {
        self.shared.memory().purged
    }

    /// The last log id, purged or present.
    pub fn last(&self) -> Option<LogId> {
        self.shared.memory().last
    }

    /// Whether the vote is one with which the log can have come about: nothing is taken from a leader
    /// before the vote for it is durable. For a log that Raft wrote.
    ///
    /// # Errors
    /// When the vote is older than the log. It was lost, and who forgot a vote could vote again.
    pub fn check_vote(&self) -> Result<(), Error> {
        let memory = self.shared.memory();
        let voted = memory.vote.as_ref().map_or(0, |vote| wire::vote_to_proto(vote).term);
        let led = memory.last.as_ref().map_or(0, |last| wire::log_id_to_proto(last).term);
        if led > voted {
            let group = self.shared.keys.0;
            let reason = format!(
                "group {group}: the log has entries of term {led}, the vote is of term {voted}"
            );
            return Err(Error::Corrupt(reason));
        }
        Ok(())
    }

    fn encode(&self, entries: &[Entry]) -> Batch {
        let mut batch = Batch::default();
        for entry in entries {
            let record = record::encode(&wire::entry_to_proto(entry));
            batch.put(self.shared.keys.entry(entry.log_id.index()), record);
        }
        batch
    }

    /// Tells the memory, once a job is written, that entries up to `index` are in the engine.
    fn written(&self, index: u64, epoch: u64) -> Option<Written> {
        let shared = self.shared.clone();
        Some(Box::new(move || shared.memory().written(index, epoch)))
    }

    /// Makes the state durable up to `index`; off the async threads, as it may wait for the disk.
    async fn make_state_durable(&self, index: u64) -> io::Result<()> {
        if mutant::active(Mutant::PurgeUnsynced) {
            return Ok(());
        }
        let (state, group) = (self.state.clone(), self.shared.keys.0);
        let sync = move || state.ensure_durable(group, index);
        Ok(blocking::run(sync).await.map_err(io::Error::other)??)
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        Ok(read::range(&self.shared, start, end, usize::MAX).await?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        Ok(read::range(&self.shared, start, end, READ_BYTES_MAX).await?)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let shared = self.shared.clone();
        // One bounded read after the other: a long range is never in memory as a whole.
        let chunks = stream::unfold((shared, start), move |(shared, start)| async move {
            if start >= end {
                return None;
            }
            match read::range(&shared, start, end, READ_BYTES_MAX).await {
                Ok(entries) => {
                    let next = entries.last()?.log_id.index() + 1;
                    let items: Vec<_> = entries.into_iter().map(Ok).collect();
                    Some((items, (shared, next)))
                }
                Err(error) => Some((vec![Err(error.into())], (shared, end))),
            }
        });
        chunks.map(stream::iter).flatten().boxed()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.memory().vote)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let memory = self.shared.memory();
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader { shared: self.shared.clone() }
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut batch = Batch::default();
        let record = record::encode(&wire::vote_to_proto(vote));
        batch.put(self.shared.keys.field(LogField::Vote), record);
        if !mutant::active(Mutant::VoteInMemory) {
            self.writer.write(batch).await?;
        }
        self.shared.memory().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        {
            let mut memory = self.shared.memory();
            memory.committed = committed;
            if memory.committed_queued || committed.is_none() {
                return Ok(());
            }
            memory.committed_queued = true;
        }
        // Commits come faster than syncs: the job carries no value but takes the newest when it
        // is written, so at most one of these per group waits in the queue.
        let shared = self.shared.clone();
        let late = move |batch: &mut Batch| {
            let mut memory = shared.memory();
            memory.committed_queued = false;
            if let Some(committed) = &memory.committed {
                let record = record::encode(&wire::log_id_to_proto(committed));
                batch.put(shared.keys.field(LogField::Committed), record);
            }
        };
        let job = Job {
            batch: Batch::default(),
            sync: false,
            done: Done::Nobody,
            written: None,
            late: Some(Box::new(late)),
        };
        Ok(self.writer.submit(job).await?)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let batch = self.encode(&entries);
        let last = entries.last().map(|entry| entry.log_id.index());
        let epoch = {
            let mut memory = self.shared.memory();
            for entry in entries {
                memory.push(self.shared.keys.0, entry)?;
            }
            memory.epoch
        };
        let written = last.and_then(|last| self.written(last, epoch));
        let done = Done::Raft(callback);
        Ok(self.writer.submit(Job { batch, sync: true, done, written, late: None }).await?)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let (removed, epoch, kept) = {
            let mut memory = self.shared.memory();
            let Some(removed) = memory.truncate_after(last_log_id) else { return Ok(()) };
            (removed, memory.epoch, memory.last.map(|last| last.index()))
        };
        // One batch, so that a crash leaves the old tail or none of it. No need to wait for the
        // sync: whatever is acknowledged later lies behind this batch in the same stream.
        let mut batch = Batch::default();
        for index in removed {
            batch.delete(self.shared.keys.entry(index));
        }
        let written = kept.and_then(|kept| self.written(kept, epoch));
        let done = Done::Nobody;
        Ok(self.writer.submit(Job { batch, sync: true, done, written, late: None }).await?)
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.make_state_durable(log_id.index()).await?;
        let Some(removed) = self.shared.memory().purge(log_id) else { return Ok(()) };
        // The purged id goes with the first chunk: entries below it that a crash leaves behind are
        // recognised and removed at the next open.
        let mut batch = Batch::default();
        let record = record::encode(&wire::log_id_to_proto(&log_id));
        batch.put(self.shared.keys.field(LogField::Purged), record);
        let mut next = removed.start;
        loop {
            let end = removed.end.min(next.saturating_add(PURGE_CHUNK));
            for index in next..end {
                batch.delete(self.shared.keys.entry(index));
            }
            let batch = std::mem::take(&mut batch);
            let done = Done::Nobody;
            let job = Job { batch, sync: false, done, written: None, late: None };
            self.writer.submit(job).await?;
            next = end;
            if next >= removed.end {
                return Ok(());
            }
        }
    }
}
