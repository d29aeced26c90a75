//! Keeps the directory's lock until the last user of either engine is gone, and says when.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::engine::{Batch, Engine, View, Visit};
use crate::error::Error;
use crate::format::DirLock;

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
    usage: Arc<Usage>,
}

impl Guarded {
    pub(super) fn wrap(engine: Arc<dyn Engine>, usage: &Arc<Usage>) -> Arc<dyn Engine> {
        Arc::new(Self { engine, usage: usage.clone() })
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
        self.engine.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.engine.scan(from, to, visit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.engine.scan_back(from, to, visit)
    }

    fn view(&self, from: &[u8], to: &[u8], spool: &Path) -> Result<Arc<dyn View>, Error> {
        let view = self.engine.view(from, to, spool)?;
        Ok(Arc::new(GuardedView { view, _usage: self.usage.clone() }))
    }

    fn view_is_cheap(&self) -> bool {
        self.engine.view_is_cheap()
    }
}

/// A view uses its engine too.
#[derive(Debug)]
struct GuardedView {
    view: Arc<dyn View>,
    _usage: Arc<Usage>,
}

impl View for GuardedView {
    fn scan(&self, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.view.scan(from, visit)
    }
}
