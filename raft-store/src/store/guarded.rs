//! Keeps the directory's lock until the last user of either engine is gone, and says when. And whoever
//! reads, a read that fails is the end of the store: a replica that cannot see what it has must not lead.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::engine::{Batch, Engine, View, Visit};
use crate::error::Error;
use crate::failure::Failure;
use crate::format::DirLock;

/// What failed, as the reason says it.
const READ: &str = "read";

/// Dropped with the last engine: releases the lock and tells who waits.
#[derive(Debug)]
pub(super) struct Usage {
    _lock: Option<DirLock>,
    _closed: watch::Sender<()>,
}

impl Usage {
    pub(super) fn new(lock: Option<DirLock>) -> (Arc<Self>, watch::Receiver<()>) {
        let (closed, receiver) = watch::channel(());
        (Arc::new(Self { _lock: lock, _closed: closed }), receiver)
    }
}

/// An engine in use.
#[derive(Debug)]
pub(super) struct Guarded {
    // Fields are dropped in this order: the engine closes before the lock goes.
    engine: Arc<dyn Engine>,
    failure: Arc<Failure>,
    usage: Arc<Usage>,
}

impl Guarded {
    pub(super) fn wrap(
        engine: Arc<dyn Engine>,
        failure: &Arc<Failure>,
        usage: &Arc<Usage>,
    ) -> Arc<dyn Engine> {
        Arc::new(Self { engine, failure: failure.clone(), usage: usage.clone() })
    }
}

impl Engine for Guarded {
    fn write(&self, batch: Batch) -> Result<(), Error> {
        self.engine.write(batch)
    }

    fn sync(&self) -> Result<(), Error> {
        self.engine.sync()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.engine.get(key).inspect_err(|error| self.failure.set(READ, error))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.engine.scan(from, to, visit).inspect_err(|error| self.failure.set(READ, error))
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.engine.scan_back(from, to, visit).inspect_err(|error| self.failure.set(READ, error))
    }

    fn view(&self, from: &[u8], to: &[u8], spool: &Path) -> Result<Arc<dyn View>, Error> {
        let view = self.engine.view(from, to, spool);
        let view = view.inspect_err(|error| self.failure.set(READ, error))?;
        Ok(Arc::new(GuardedView {
            view,
            failure: self.failure.clone(),
            _usage: self.usage.clone(),
        }))
    }

    fn view_is_cheap(&self) -> bool {
        self.engine.view_is_cheap()
    }
}

/// A view uses its engine too.
#[derive(Debug)]
struct GuardedView {
    view: Arc<dyn View>,
    failure: Arc<Failure>,
    _usage: Arc<Usage>,
}

impl View for GuardedView {
    fn scan(&self, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.view.scan(from, visit).inspect_err(|error| self.failure.set(READ, error))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::engine::sim::Sim;

    #[test]
    fn a_read_that_fails_is_the_end_of_the_store() {
        let reads: [fn(&dyn Engine) -> bool; 4] = [
            |engine| engine.get(b"key").is_ok(),
            |engine| engine.scan(b"a", b"z", &mut |_, _| ControlFlow::Continue(())).is_ok(),
            |engine| engine.scan_back(b"a", b"z", &mut |_, _| ControlFlow::Continue(())).is_ok(),
            |engine| engine.view(b"a", b"z", Path::new("")).is_ok(),
        ];
        for read in reads {
            let (sim, failure) = (Sim::new(), Arc::new(Failure::new()));
            let (usage, _closed) = Usage::new(None);
            let engine = Guarded::wrap(sim.clone(), &failure, &usage);
            assert!(read(&*engine));
            assert!(failure.check().is_ok());
            sim.fail_read(true);
            assert!(!read(&*engine));
            assert!(
                matches!(failure.check(), Err(Error::Failed(reason)) if reason.starts_with(READ))
            );
        }
    }
}
