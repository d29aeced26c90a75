//! The default engine: fjall, a log-structured merge tree with a journal.
//!
//! A batch goes to the journal's buffer and to the memtable; `sync` flushes the buffer and calls
//! `fdatasync`. Journals are checked by `journal.rs` before fjall opens them, because fjall cuts a
//! journal at the first byte it cannot read, and what follows may have been acknowledged.

use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use ::fjall::compaction::Leveled;
use ::fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _,
    Snapshot,
};
use bytes::Bytes;

use super::{Batch, Engine, Op, Tuning, View, Visit};
use crate::error::Error;

mod journal;

const ENGINE: &str = "fjall";

/// Journals grow to about 64 MB each; past this sum the oldest is made superfluous by a flush.
const JOURNALS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Flushed memtables are merged into the next level when there are so many: fewer, larger merges.
/// Writers are slowed down from 20 on (fjall).
const L0_TABLES: u8 = 8;

pub(crate) struct Fjall {
    database: Database,
    data: Keyspace,
}

impl fmt::Debug for Fjall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fjall").finish_non_exhaustive()
    }
}

fn wrap(action: &'static str) -> impl FnOnce(::fjall::Error) -> Error {
    move |error| Error::Engine { engine: ENGINE, action, source: Box::new(error) }
}

impl Fjall {
    pub(crate) fn open(dir: &Path, tuning: Tuning) -> Result<Self, Error> {
        journal::check(dir, tuning.chained)?;
        let database = Database::builder(dir)
            .cache_size(tuning.cache_bytes)
            .journal_compression(CompressionType::None)
            // The log is flushed by its sync; the state may lag behind, because the log replays.
            .manual_journal_persist(true)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            // One flushes, one compacts.
            // With more than one, the first gives compactions away without looking: while the others
            // are busy it puts the same one back into the queue, at the cost of a whole core.
            .worker_threads(1)
            .open()
            .map_err(wrap("open the database"))?;
        let options = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(tuning.write_buffer_bytes)
                .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(L0_TABLES)))
        };
        let data = database.keyspace("data", options).map_err(wrap("open the key space"))?;
        Ok(Self { database, data })
    }
}

impl Engine for Fjall {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        let mut write = self.database.batch();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => write.insert(&self.data, key, value),
                Op::Delete(key) => write.remove(&self.data, key),
            }
        }
        write.commit().map_err(wrap("write a batch"))
    }

    fn sync(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::SyncData).map_err(wrap("sync"))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.data.get(key).map_err(wrap("read a value"))?.map(Bytes::from))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(self.data.range::<&[u8], _>(range(from, to)), visit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(self.data.range::<&[u8], _>(range(from, to)).rev(), visit)
    }

    fn view(&self, _from: &[u8], to: &[u8], _spool: &Path) -> Result<Arc<dyn View>, Error> {
        let view = FjallView {
            snapshot: self.database.snapshot(),
            data: self.data.clone(),
            to: Bytes::copy_from_slice(to),
        };
        Ok(Arc::new(view))
    }

    fn view_is_cheap(&self) -> bool {
        true
    }
}

fn range<'a>(from: &'a [u8], to: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}

fn visit_all(
    guards: impl Iterator<Item = ::fjall::Guard>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    for guard in guards {
        let (key, value) = guard.into_inner().map_err(wrap("scan"))?;
        if let ControlFlow::Break(()) = visit(&key, &value) {
            break;
        }
    }
    Ok(())
}

/// Keeps old versions of what is overwritten alive for as long as it exists.
struct FjallView {
    snapshot: Snapshot,
    data: Keyspace,
    to: Bytes,
}

impl fmt::Debug for FjallView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallView").finish_non_exhaustive()
    }
}

impl View for FjallView {
    fn scan(&self, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(self.snapshot.range::<&[u8], _>(&self.data, range(from, &self.to)), visit)
    }
}
