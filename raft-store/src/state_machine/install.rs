//! Installing a snapshot: written aside as the next generation, synced, then made to count by one
//! atomic batch. A crash before that batch leaves the old state; readers see either, never a mix.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::StateMachine;
use crate::blocking;
use crate::engine::Batch;
use crate::error::Error;
use crate::keyspace::StateKeys;
use crate::metrics as names;
use crate::snapshot::SnapshotData;
use crate::state::{GroupRecord, StateStore};
use crate::types::SnapshotMeta;

/// What goes into the engine at once, so that other groups' applies get in between.
const CHUNK_BYTES: usize = 1024 * 1024;

impl StateMachine {
    pub(super) async fn install(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), Error> {
        self.store.failure.check()?;
        let start = Instant::now();
        let keys = self.group.keys;
        snapshot.check(keys.0, meta.last_log_id)?;
        let record = GroupRecord {
            generation: self.next_generation,
            applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        // An attempt that fails half way leaves keys behind: the number is not used again.
        self.next_generation += 1;
        let (store, task_record) = (self.store.clone(), record.clone());
        let work = move || install(&store, keys, &task_record, &snapshot);
        blocking::run(work).await.map_err(|_| Error::Closed)??;

        let generation = Arc::new(self.store.generation(keys.0, record.generation));
        let index = record.applied.map_or(0, |applied| applied.index());
        self.record = record;
        let replaced = self.group.generation.swap(generation);
        replaced.mark_retired();
        drop(replaced);
        self.group.set_applied(index);
        self.view = None;
        self.applier.restored(index);
        self.give_awaited().await;
        metrics::counter!(names::SNAPSHOTS_INSTALLED).increment(1);
        metrics::histogram!(names::SNAPSHOT_INSTALL_SECONDS).record(start.elapsed().as_secs_f64());
        Ok(())
    }
}

fn install(
    store: &StateStore,
    keys: StateKeys,
    record: &GroupRecord,
    snapshot: &SnapshotData,
) -> Result<(), Error> {
    write_aside(store, keys, record.generation, snapshot)?;
    store.sync()?;
    let mut batch = Batch::default();
    batch.put(keys.record(), record.encode());
    let fail = |error: &Error| store.failure.set("snapshot install", error);
    store.engine.write(batch).inspect_err(fail)?;
    store.sync()
}

fn write_aside(
    store: &StateStore,
    keys: StateKeys,
    generation: u32,
    snapshot: &SnapshotData,
) -> Result<(), Error> {
    let fail = |error: &Error| store.failure.set("snapshot install", error);
    let mut batch = Batch::default();
    let mut result = Ok(());
    snapshot.records(&mut |key, value| {
        batch.put(keys.key(generation, key), value.to_vec());
        if batch.bytes() >= CHUNK_BYTES {
            result = store.engine.write(std::mem::take(&mut batch)).inspect_err(fail);
        }
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result?;
    store.engine.write(batch).inspect_err(fail)
}

#[cfg(test)]
mod tests;
