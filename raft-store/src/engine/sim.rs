//! An engine in memory that loses what was not synced and fails when it is told to. For tests and
//! the simulation, which may also make it lie: then its checks have to notice.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Batch, Engine, Op, View, Visit};
use crate::error::Error;
use crate::keyspace;

type Map = BTreeMap<Bytes, Bytes>;

/// Rows that a scan copies at once, so that its visitor may use the engine.
const SCAN_ROWS: usize = 64;

/// A fault of the disk, put there to show that somebody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Syncs answer before anything is durable.
    SyncsNothing,
    /// Votes are never durable, whatever is synced.
    ForgetsVotes,
    /// A power loss leaves half of the batch that was being written.
    TearsBatches,
}

/// The engine. Clones of the `Arc` around it are how a test keeps hold of it.
#[derive(Debug, Default)]
pub struct Sim {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    visible: Map,
    durable: Map,
    /// Written since the last sync, in order.
    unsynced: Vec<Vec<Op>>,
    lie: Option<Lie>,
    fail_sync: bool,
    fail_one_sync: bool,
    failed_syncs: u64,
    fail_write: bool,
    fail_read: bool,
    syncs: u64,
    writes: u64,
}

impl Sim {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on syncs fail, or succeed again.
    pub fn fail_sync(&self, fail: bool) {
        self.inner().fail_sync = fail;
    }

    /// The next sync fails, and only that: what it was to make durable never will be, although reads
    /// find it, as on Linux.
    pub fn fail_one_sync(&self, fail: bool) {
        self.inner().fail_one_sync = fail;
    }

    /// How often [`Self::fail_one_sync`] came true.
    pub fn failed_syncs(&self) -> u64 {
        self.inner().failed_syncs
    }

    /// From now on writes fail, or succeed again.
    pub fn fail_write(&self, fail: bool) {
        self.inner().fail_write = fail;
    }

    /// From now on reads fail, or succeed again.
    pub fn fail_read(&self, fail: bool) {
        self.inner().fail_read = fail;
    }

    /// How often a sync was asked for.
    pub fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    /// How many batches were written.
    pub fn writes(&self) -> u64 {
        self.inner().writes
    }

    /// From now on the disk lies.
    pub fn lie(&self, lie: Lie) {
        self.inner().lie = Some(lie);
    }

    /// What a read would give after a power loss at this moment.
    pub fn get_durable(&self, key: &[u8]) -> Option<Bytes> {
        self.inner().durable.get(key).cloned()
    }

    /// How many batches a power loss at this moment can take.
    pub fn unsynced(&self) -> usize {
        self.inner().unsynced.len()
    }

    /// What a power loss at this moment leaves, as a new engine.
    pub fn after_power_loss(&self) -> Arc<Self> {
        self.after_power_loss_keeping(0)
    }

    /// The same where the disk had already taken that many of the batches which nobody synced.
    pub fn after_power_loss_keeping(&self, batches: usize) -> Arc<Self> {
        let inner = self.inner();
        let mut durable = inner.durable.clone();
        for op in inner.unsynced.iter().take(batches).flatten() {
            apply(&mut durable, op, inner.lie);
        }
        if let (Some(Lie::TearsBatches), Some(torn)) = (inner.lie, inner.unsynced.get(batches)) {
            for op in &torn[..torn.len() / 2] {
                apply(&mut durable, op, None);
            }
        }
        Self::holding(Inner {
            visible: durable.clone(),
            durable,
            lie: inner.lie,
            ..Inner::default()
        })
    }

    /// What a crash of the process at this moment leaves, as a new engine: all that was written. A
    /// later power loss can still take what nobody synced.
    pub fn after_crash(&self) -> Arc<Self> {
        let inner = self.inner();
        Self::holding(Inner {
            visible: inner.visible.clone(),
            durable: inner.durable.clone(),
            unsynced: inner.unsynced.clone(),
            lie: inner.lie,
            ..Inner::default()
        })
    }

    fn holding(inner: Inner) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    fn next_rows(&self, from: Bound<&[u8]>, to: &[u8]) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let inner = self.inner();
        if inner.fail_read {
            return Err(refused("scan"));
        }
        let rows = inner.visible.range::<[u8], _>((from, Bound::Excluded(to)));
        Ok(rows.take(SCAN_ROWS).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// Makes one change durable, unless the disk lies about it.
fn apply(durable: &mut Map, op: &Op, lie: Option<Lie>) {
    match op {
        Op::Put(key, _) if lie == Some(Lie::ForgetsVotes) && keyspace::is_vote(key) => {}
        Op::Put(key, value) => {
            durable.insert(key.clone(), value.clone());
        }
        Op::Delete(key) => {
            durable.remove(key);
        }
    }
}

fn refused(action: &'static str) -> Error {
    Error::Engine { engine: "sim", action, source: "told to fail".into() }
}

fn visit_all(map: &Map, from: &[u8], to: &[u8], visit: &mut Visit<'_>) {
    if from < to {
        visit_each(map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))), visit);
    }
}

fn visit_each<'a>(rows: impl Iterator<Item = (&'a Bytes, &'a Bytes)>, visit: &mut Visit<'_>) {
    for (key, value) in rows {
        if let ControlFlow::Break(()) = visit(key, value) {
            break;
        }
    }
}

impl Engine for Sim {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        let mut inner = self.inner();
        if inner.fail_write {
            return Err(refused("write"));
        }
        inner.writes += 1;
        for op in &batch.ops {
            apply(&mut inner.visible, op, None);
        }
        inner.unsynced.push(batch.ops);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut inner = self.inner();
        inner.syncs += 1;
        if inner.fail_sync {
            return Err(refused("sync"));
        }
        if std::mem::take(&mut inner.fail_one_sync) {
            inner.failed_syncs += 1;
            inner.unsynced.clear();
            return Err(refused("sync"));
        }
        if inner.lie == Some(Lie::SyncsNothing) {
            return Ok(());
        }
        let Inner { durable, unsynced, lie, .. } = &mut *inner;
        for op in unsynced.drain(..).flatten() {
            apply(durable, &op, *lie);
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let inner = self.inner();
        if inner.fail_read {
            return Err(refused("read"));
        }
        Ok(inner.visible.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut from = Bound::Included(Bytes::copy_from_slice(from));
        loop {
            let start = from.as_ref().map(|key| &**key);
            // An empty range is none to `BTreeMap`.
            if matches!(start, Bound::Included(key) | Bound::Excluded(key) if key >= to) {
                return Ok(());
            }
            let rows = self.next_rows(start, to)?;
            for (key, value) in &rows {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
            match rows.into_iter().next_back() {
                Some((last, _)) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut to = Bytes::copy_from_slice(to);
        while *from < *to {
            let rows: Vec<(Bytes, Bytes)> = {
                let inner = self.inner();
                if inner.fail_read {
                    return Err(refused("scan"));
                }
                let range = (Bound::Included(from), Bound::Excluded(&*to));
                let rows = inner.visible.range::<[u8], _>(range).rev().take(SCAN_ROWS);
                rows.map(|(key, value)| (key.clone(), value.clone())).collect()
            };
            for (key, value) in &rows {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
            match rows.into_iter().next_back() {
                Some((last, _)) => to = last,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn view(&self, from: &[u8], to: &[u8], _spool: &Path) -> Result<Arc<dyn View>, Error> {
        let mut map = Map::new();
        self.scan(from, to, &mut |key, value| {
            map.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            ControlFlow::Continue(())
        })?;
        Ok(Arc::new(SimView { map, to: Bytes::copy_from_slice(to) }))
    }

    fn view_is_cheap(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct SimView {
    map: Map,
    to: Bytes,
}

impl View for SimView {
    fn scan(&self, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(&self.map, from, &self.to, visit);
        Ok(())
    }
}
