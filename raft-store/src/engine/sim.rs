//! An engine in memory that loses what was not synced and fails when it is told to. For tests.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Batch, Engine, Op, View, Visit};
use crate::error::Error;

type Map = BTreeMap<Bytes, Bytes>;

/// The engine. Clones of the `Arc` around it are how a test keeps hold of it.
#[derive(Debug, Default)]
pub struct Sim {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    visible: Map,
    durable: Map,
    fail_sync: bool,
    fail_write: bool,
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

    /// From now on writes fail, or succeed again.
    pub fn fail_write(&self, fail: bool) {
        self.inner().fail_write = fail;
    }

    /// How often a sync was asked for.
    pub fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    /// How many batches were written.
    pub fn writes(&self) -> u64 {
        self.inner().writes
    }

    /// What a power loss at this moment leaves, as a new engine.
    pub fn after_power_loss(&self) -> Arc<Self> {
        let durable = self.inner().durable.clone();
        let inner = Inner { visible: durable.clone(), durable, ..Inner::default() };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// What a crash of the process at this moment leaves, as a new engine.
    pub fn after_crash(&self) -> Arc<Self> {
        let visible = self.inner().visible.clone();
        let inner = Inner { durable: visible.clone(), visible, ..Inner::default() };
        Arc::new(Self { inner: Mutex::new(inner) })
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
        for op in batch.ops {
            match op {
                Op::Put(key, value) => inner.visible.insert(key, value),
                Op::Delete(key) => inner.visible.remove(&key),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut inner = self.inner();
        inner.syncs += 1;
        if inner.fail_sync {
            return Err(refused("sync"));
        }
        inner.durable = inner.visible.clone();
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.inner().visible.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        // A copy, so that the visitor may use the engine.
        let map = self.inner().visible.clone();
        visit_all(&map, from, to, visit);
        Ok(())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let map = self.inner().visible.clone();
        if from < to {
            let range = (Bound::Included(from), Bound::Excluded(to));
            visit_each(map.range::<[u8], _>(range).rev(), visit);
        }
        Ok(())
    }

    fn view(&self, _from: &[u8], to: &[u8], _spool: &Path) -> Result<Arc<dyn View>, Error> {
        let map = self.inner().visible.clone();
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
