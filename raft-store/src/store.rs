//! One node's store: a directory with two engine instances, and the groups in it.
//!
//! `log/` takes every group's log and is synced for every acknowledgement; `state/` takes every
//! group's state and is not, because the log replays. Two instances, so that an apply never waits
//! for a sync of the log, and a sync never writes the state (docs/adr/0001).

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axp_proto::ids::GroupId;
use bytes::Bytes;
use tokio::sync::watch;

use crate::applier::Applier;
use crate::config::StoreConfig;
use crate::engine::{self, Batch, Engine, Tuning};
use crate::error::Error;
use crate::failure::Failure;
use crate::format;
use crate::keyspace;
use crate::log_store::LogStore;
use crate::metrics;
use crate::reader::StateReader;
use crate::snapshot::{self, SnapshotSink};
use crate::state::StateStore;
use crate::state_machine::StateMachine;
#[cfg(any(test, feature = "test-util"))]
use crate::workers::SyncTime;
use crate::workers::Workers;
use crate::writer::Writer;

mod guarded;
mod reconcile;

use guarded::{Guarded, Usage};

/// One node's store. Share it; it closes when the last user of any part of it is gone.
pub struct Store {
    log: Arc<dyn Engine>,
    state: Arc<StateStore>,
    writer: Writer,
    failure: Arc<Failure>,
    opened: Mutex<HashSet<GroupId>>,
    snapshots: PathBuf,
    log_cache_bytes: usize,
    closed: watch::Receiver<()>,
}

/// One group's log, state machine and reader, for openraft and the node.
#[derive(Debug)]
pub struct GroupStore {
    pub log: LogStore,
    pub machine: StateMachine,
    pub reader: StateReader,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("snapshots", &self.snapshots).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `config.dir`, creating it if the directory is empty. Reads the disk.
    ///
    /// # Errors
    /// When another process uses the directory, when its format or engine is another one, or when
    /// what was synced is damaged.
    pub fn open(config: &StoreConfig) -> Result<Arc<Self>, Error> {
        let lock = format::lock(&config.dir)?;
        format::check_or_create(&config.dir, config.engine)?;
        let tuning = |chained| Tuning {
            cache_bytes: config.cache_bytes / 2,
            write_buffer_bytes: config.write_buffer_bytes,
            chained,
        };
        let log = engine::open(config.engine, &config.dir.join("log"), tuning(true))?;
        let state = engine::open(config.engine, &config.dir.join("state"), tuning(false))?;
        format::sync_dirs(&config.dir)?;
        Self::start(config, log, state, Some(lock), &Workers::Threads)
    }

    /// A store over engines of the caller's choice.
    ///
    /// # Errors
    /// As `open`.
    #[cfg(any(test, feature = "test-util"))]
    pub fn open_with(
        config: &StoreConfig,
        log: Arc<dyn Engine>,
        state: Arc<dyn Engine>,
    ) -> Result<Arc<Self>, Error> {
        Self::start(config, log, state, None, &Workers::Threads)
    }

    /// The same without a thread: the store works in tasks of the current runtime, and syncs of
    /// its log take as long as `sync_time` says. A runtime that ends takes them with it, as a crash
    /// would.
    ///
    /// # Errors
    /// As `open`.
    #[cfg(any(test, feature = "test-util"))]
    pub fn open_simulated(
        config: &StoreConfig,
        log: Arc<dyn Engine>,
        state: Arc<dyn Engine>,
        sync_time: SyncTime,
    ) -> Result<Arc<Self>, Error> {
        Self::start(config, log, state, None, &Workers::Tasks(sync_time))
    }

    fn start(
        config: &StoreConfig,
        log: Arc<dyn Engine>,
        state: Arc<dyn Engine>,
        lock: Option<format::DirLock>,
        workers: &Workers,
    ) -> Result<Arc<Self>, Error> {
        metrics::describe();
        let snapshots = config.dir.join("snapshots");
        snapshot::clean(&snapshots)?;
        let (usage, closed) = Usage::new(lock);
        let failure = Arc::new(Failure::new());
        let log = Guarded::wrap(log, &failure, &usage);
        let state = Guarded::wrap(state, &failure, &usage);
        let writer = Writer::start(
            log.clone(),
            failure.clone(),
            config.linger,
            config.queue_bytes_max,
            workers,
        )?;
        let state = StateStore::new(state, failure.clone(), snapshots.clone(), workers)?;
        Ok(Arc::new(Self {
            log,
            state: Arc::new(state),
            writer,
            failure,
            opened: Mutex::default(),
            snapshots,
            log_cache_bytes: config.log_cache_bytes,
            closed,
        }))
    }

    /// Opens one group, once. Reads its whole log to check it.
    ///
    /// # Errors
    /// When the log has a hole or a damaged record, or when the state is older than what the log
    /// can replay.
    pub fn open_group(
        &self,
        group: GroupId,
        applier: Arc<dyn Applier>,
    ) -> Result<GroupStore, Error> {
        if !self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(group) {
            return Err(Error::GroupOpen(group));
        }
        let (group_state, record, next_generation) = self.state.open_group(group)?;
        reconcile::check(group, &*self.log, &self.state, &record)?;
        let log = LogStore::open(
            group,
            self.log.clone(),
            self.writer.clone(),
            self.state.clone(),
            self.log_cache_bytes,
        )?;
        let reader = StateReader::new(self.state.engine.clone(), group_state.clone());
        let machine =
            StateMachine::new(self.state.clone(), group_state, applier, record, next_generation);
        Ok(GroupStore { log, machine, reader })
    }

    /// A value of the node itself, such as its identity.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn read_meta(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.log.get(&keyspace::meta(name))
    }

    /// Stores a value of the node itself; durable when this returns.
    ///
    /// # Errors
    /// When storage has failed.
    pub async fn write_meta(&self, name: &str, value: impl Into<Bytes>) -> Result<(), Error> {
        let mut batch = Batch::default();
        batch.put(keyspace::meta(name), value);
        self.writer.write(batch).await
    }

    /// The names of stored values of the node.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn meta_names(&self) -> Result<Vec<String>, Error> {
        let from = keyspace::meta("");
        let mut names = Vec::new();
        let to = keyspace::successor(&from).unwrap_or_default();
        self.log.scan(&from, &to, &mut |key, _| {
            names.push(String::from_utf8_lossy(&key[from.len()..]).into_owned());
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }

    /// Set once, with the reason, when a write or a sync failed. Nothing is acknowledged after
    /// that; the process has to say why and exit.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Begins to receive a snapshot of `group`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn receive_snapshot(&self, group: GroupId) -> Result<SnapshotSink, Error> {
        SnapshotSink::create(&self.snapshots, group)
    }

    /// Resolves when every user of the store is gone and its files are closed; take it before
    /// letting go of the store, and wait for it before opening the directory again.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.clone();
        // Nothing is ever sent: the channel ends when its sender goes with the last engine.
        async move { while closed.changed().await.is_ok() {} }
    }
}
