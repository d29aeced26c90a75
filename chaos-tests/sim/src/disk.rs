//! One node's disk: what was synced survives a power loss, what was only written may.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axp_node::node;
use axp_proto::ids::GroupId;
use axp_raft_store::engine::sim::{Lie, Sim};
use axp_raft_store::{Error, LogId, Store, StoreConfig, SyncTime};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bug::Bug;
use crate::plan::Leaves;

/// The disk of one node; it outlives the node.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    inner: Mutex<Inner>,
    /// How long syncs take at most, and at least while the disk is slow.
    sync_max_us: u64,
    slow_us: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Inner {
    rng: StdRng,
    log: Arc<Sim>,
    state: Arc<Sim>,
}

impl Disk {
    pub(crate) fn new(dir: PathBuf, seed: u64, sync_max: Duration, bug: Option<Bug>) -> Arc<Self> {
        let (log, state) = (Sim::new(), Sim::new());
        match bug {
            Some(Bug::LyingSync) => log.lie(Lie::SyncsNothing),
            Some(Bug::ForgottenVotes) => log.lie(Lie::ForgetsVotes),
            Some(Bug::TornBatches) => {
                log.lie(Lie::TearsBatches);
                state.lie(Lie::TearsBatches);
            }
            // Bugs of the product are in the product.
            Some(Bug::Seeded(_)) | None => {}
        }
        let inner = Inner { rng: StdRng::seed_from_u64(seed), log, state };
        let sync_max_us = u64::try_from(sync_max.as_micros()).unwrap_or(u64::MAX);
        Arc::new(Self { dir, inner: Mutex::new(inner), sync_max_us, slow_us: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next start finds. Whatever the node that dies still writes goes nowhere. Log and
    /// state are different files, of which a power loss takes independently. Returns how many
    /// batches were forgotten.
    pub(crate) fn crash(&self, leaves: Leaves) -> usize {
        let mut guard = self.lock();
        let inner = &mut *guard;
        // What a failed sync was to make durable is gone, however the node ends.
        let failed = inner.log.failed_syncs() > 0;
        let mut forgotten = 0;
        for engine in [&mut inner.log, &mut inner.state] {
            *engine = match leaves {
                Leaves::Written if !failed => engine.after_crash(),
                Leaves::Written | Leaves::Synced => {
                    let unsynced = engine.unsynced();
                    let kept = inner.rng.random_range(0..=unsynced);
                    forgotten += unsynced - kept;
                    engine.after_power_loss_keeping(kept)
                }
            };
        }
        forgotten
    }

    pub(crate) fn slow(&self, sync: Duration) {
        let micros = u64::try_from(sync.as_micros()).unwrap_or(u64::MAX);
        self.slow_us.store(micros, Ordering::Relaxed);
    }

    /// From now on the next sync of the log fails, or none does.
    pub(crate) fn fail_one_sync(&self, fail: bool) {
        self.lock().log.fail_one_sync(fail);
    }

    /// Whether a sync failed since the last crash.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().log.failed_syncs() > 0
    }

    /// Whether an entry would survive a power loss now.
    pub(crate) fn has(&self, group: GroupId, entry: &LogId) -> Result<bool, Error> {
        let inner = self.lock();
        axp_raft_store::is_durable(&inner.log, &inner.state, group, entry)
    }
}

impl node::Disk for Disk {
    fn open(&self, config: &StoreConfig) -> Result<Arc<Store>, Error> {
        let config = StoreConfig { dir: self.dir.clone(), ..config.clone() };
        let (log, state, seed) = {
            let mut inner = self.lock();
            (Arc::clone(&inner.log), Arc::clone(&inner.state), inner.rng.random())
        };
        let (slow, most) = (Arc::clone(&self.slow_us), self.sync_max_us);
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        let sync_time = SyncTime::from_fn(move || {
            let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
            let usual = rng.random_range(0..=most);
            Duration::from_micros(usual + slow.load(Ordering::Relaxed))
        });
        Store::open_simulated(&config, log, state, sync_time)
    }
}
