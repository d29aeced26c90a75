//! openraft's state machine of one group: committed entries go through the applier into the engine.
//!
//! Whatever the applier changed, the applied log id and the membership form one atomic batch, so
//! the state always stands at exactly one index. Clients are answered when the batch is in the
//! engine; its durability is the log's business. Snapshots are views at the applied index and are
//! made when somebody asks; installing one is in `install.rs`.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, StreamExt as _};
use openraft::entry::EntryPayload;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};

use crate::applier::Applier;
use crate::blocking;
use crate::engine::View;
use crate::error::Error;
use crate::metrics as names;
use crate::snapshot::SnapshotData;
use crate::state::{GroupRecord, GroupState, StateStore};
use crate::transaction::Overlay;
pub use crate::transaction::Transaction;
use crate::types::{Applied, Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

mod capture;
mod install;

pub use capture::{CaptureError, Captured};

/// One atomic batch takes at most so much, so that it neither grows memory nor holds up others.
const BATCH_ENTRIES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// From this many changes on, writing a batch may take milliseconds: tokio is told.
const BATCH_CHANGES_BLOCKING: usize = 512;

/// The state machine of one group on this node.
pub struct StateMachine {
    store: Arc<StateStore>,
    group: Arc<GroupState>,
    applier: Arc<dyn Applier>,
    record: GroupRecord,
    next_generation: u32,
    /// The newest view, kept where making one is dear.
    view: Option<(Option<LogId>, Arc<dyn View>)>,
    awaited: Option<capture::Awaited>,
}

impl fmt::Debug for StateMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMachine")
            .field("group", &self.group.keys.0)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// Entries that are folded but not yet written, and who waits for them.
#[derive(Default)]
struct Pending {
    overlay: Overlay,
    record: Option<GroupRecord>,
    entries: usize,
    responders: Vec<(ApplyResponder<TypeConfig>, Applied)>,
}

impl Pending {
    fn is_full(&self) -> bool {
        self.entries >= BATCH_ENTRIES_MAX || self.overlay.bytes() >= BATCH_BYTES_MAX
    }
}

impl StateMachine {
    pub(crate) fn new(
        store: Arc<StateStore>,
        group: Arc<GroupState>,
        applier: Arc<dyn Applier>,
        record: GroupRecord,
        next_generation: u32,
    ) -> Self {
        Self { store, group, applier, record, next_generation, view: None, awaited: None }
    }

    /// The log id up to which entries are applied.
    pub fn applied(&self) -> Option<LogId> {
        self.record.applied
    }

    /// Folds one entry into the pending changes.
    fn fold(&self, pending: &mut Pending, entry: &Entry) -> Result<Applied, Error> {
        let record = pending.record.get_or_insert_with(|| self.record.clone());
        let applied = match &entry.payload {
            EntryPayload::Blank => Applied::default(),
            EntryPayload::Membership(membership) => {
                record.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Applied::default()
            }
            EntryPayload::Normal(payload) => {
                let prefix = self.group.keys.prefix(record.generation);
                let mut state = Transaction::new(&*self.store.engine, prefix, &mut pending.overlay);
                self.applier.apply(&mut state, entry.log_id.index(), &payload.0)?
            }
        };
        record.applied = Some(entry.log_id);
        pending.entries += 1;
        Ok(applied)
    }

    /// Writes the pending changes, then answers those who wait for them.
    fn commit(&mut self, pending: &mut Pending) -> Result<(), Error> {
        let Some(record) = pending.record.take() else { return Ok(()) };
        let mut batch = pending.overlay.take();
        batch.put(self.group.keys.record(), record.encode());
        let start = Instant::now();
        let written = match batch.len() {
            0..BATCH_CHANGES_BLOCKING => self.store.engine.write(batch),
            _ => in_place(|| self.store.engine.write(batch)),
        };
        written.inspect_err(|error| self.store.failure.set("apply", error))?;
        metrics::histogram!(names::APPLY_COMMIT_SECONDS).record(start.elapsed().as_secs_f64());
        metrics::histogram!(names::APPLY_BATCH_ENTRIES).record(pending.entries as f64);
        pending.entries = 0;
        let applied = record.applied;
        self.record = record;
        if let Some(applied) = applied {
            self.group.set_applied(applied.index());
        }
        for (responder, answer) in pending.responders.drain(..) {
            responder.send(answer);
        }
        if let Some(applied) = applied {
            self.applier.committed(applied.index());
        }
        Ok(())
    }

    async fn apply_all<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        self.store.failure.check()?;
        let mut pending = Pending::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let applied = self.fold(&mut pending, &entry)?;
            if let Some(responder) = responder {
                pending.responders.push((responder, applied));
            }
            let awaited = self.is_awaited(entry.log_id.index());
            if awaited || pending.is_full() {
                self.commit(&mut pending)?;
            }
            if awaited {
                self.give_awaited().await;
            }
        }
        Ok(self.commit(&mut pending)?)
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.record.applied,
            last_membership: self.record.membership.clone(),
        }
    }

    /// The state as it is now. The caller holds `&mut self`, so nothing is applied meanwhile.
    async fn snapshot(&mut self) -> Result<Snapshot, Error> {
        let meta = self.meta();
        let view = match &self.view {
            Some((at, view)) if *at == meta.last_log_id => view.clone(),
            _ => self.make_view().await?,
        };
        if !self.store.engine.view_is_cheap() {
            self.view = Some((meta.last_log_id, view.clone()));
        }
        let from = self.group.keys.prefix(self.record.generation);
        let snapshot = SnapshotData::of_view(self.group.keys.0, meta.last_log_id, from, view);
        Ok(Snapshot { meta, snapshot })
    }

    async fn make_view(&self) -> Result<Arc<dyn View>, Error> {
        let (engine, keys) = (self.store.engine.clone(), self.group.keys);
        let generation = self.record.generation;
        let spool = self.store.spool_path(keys.0);
        let view =
            move || engine.view(&keys.prefix(generation), &keys.generation_end(generation), &spool);
        if self.store.engine.view_is_cheap() {
            return view();
        }
        blocking::run(view).await.map_err(|_| Error::Closed)?
    }
}

/// Runs what may take milliseconds without holding up the other tasks of a multi-thread runtime.
fn in_place<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// A snapshot that is already made; openraft asks for it in another task.
#[derive(Debug)]
pub struct SnapshotBuilder {
    snapshot: Option<Result<Snapshot, Error>>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let snapshot = self.snapshot.take();
        Ok(snapshot.unwrap_or_else(|| Err(Error::Snapshot("built already".to_owned())))?)
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.record.applied, self.record.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let group = self.group.keys.0;
        let result = self.apply_all(entries).await;
        result.inspect_err(|error| {
            // The replica cannot go on without this entry, and openraft stops the group: say it.
            tracing::error!(%group, %error, "apply failed");
        })
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { snapshot: Some(self.snapshot().await) }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        Ok(self.install(meta, snapshot).await?)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        match self.record.applied {
            None => Ok(None),
            Some(_) => Ok(Some(self.snapshot().await?)),
        }
    }
}
