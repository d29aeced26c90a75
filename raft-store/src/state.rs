//! The state instance: where all groups' state machines live, and how durable it is.
//!
//! The state is not synced entry by entry, since the log replays it. It is synced before a purge
//! takes entries away (`ensure_durable`) and while a snapshot is installed. A group's keys carry a
//! generation; a snapshot is installed as the next one, and the group's record says which counts.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use axp_proto::{ids::GroupId, raft};
use bytes::Bytes;

use crate::engine::Engine;
use crate::error::Error;
use crate::failure::Failure;
use crate::keyspace::StateKeys;
use crate::metrics as names;
use crate::record;
use crate::types::{LogId, StoredMembership};
use crate::wire;
use crate::workers::Workers;

pub(crate) mod generation;

use generation::{Generation, Janitor};

/// The state instance of a node.
#[derive(Debug)]
pub(crate) struct StateStore {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) failure: Arc<Failure>,
    /// Where views of engines without consistent scans are spooled.
    spool_dir: PathBuf,
    spools: AtomicU64,
    janitor: Janitor,
    groups: Mutex<HashMap<GroupId, Arc<GroupState>>>,
    syncing: Mutex<()>,
}

/// What everybody who reads one group's state shares.
#[derive(Debug)]
pub(crate) struct GroupState {
    pub(crate) keys: StateKeys,
    pub(crate) generation: ArcSwap<Generation>,
    /// One more than the index which readers can see; zero before the first entry.
    visible_end: AtomicU64,
    /// One more than the index which a power loss cannot take back.
    durable_end: AtomicU64,
}

impl GroupState {
    pub(crate) fn applied_index(&self) -> u64 {
        self.visible_end.load(Ordering::Acquire).saturating_sub(1)
    }

    pub(crate) fn set_applied(&self, index: u64) {
        self.visible_end.store(index + 1, Ordering::Release);
    }
}

/// How a group stands: its record in the state instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GroupRecord {
    pub(crate) generation: u32,
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// The stored form of `GroupRecord`; only ever written by this crate.
#[derive(Clone, PartialEq, prost::Message)]
struct GroupRecordProto {
    #[prost(uint32, tag = "1")]
    generation: u32,
    #[prost(message, optional, tag = "2")]
    applied: Option<raft::LogId>,
    #[prost(message, optional, tag = "3")]
    membership: Option<raft::StoredMembership>,
}

impl GroupRecord {
    pub(crate) fn encode(&self) -> Bytes {
        record::encode(&GroupRecordProto {
            generation: self.generation,
            applied: self.applied.as_ref().map(wire::log_id_to_proto),
            membership: Some(wire::stored_membership_to_proto(&self.membership)),
        })
    }

    pub(crate) fn decode(group: GroupId, value: &Bytes) -> Result<Self, Error> {
        let what = || format!("group {group}: the record of the state");
        let proto: GroupRecordProto = record::decode(value, what)?;
        let membership = proto.membership.unwrap_or_default();
        Ok(Self {
            generation: proto.generation,
            applied: proto.applied.as_ref().map(wire::log_id_from_proto).transpose()?,
            membership: wire::stored_membership_from_proto(&membership)?,
        })
    }
}

impl StateStore {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        failure: Arc<Failure>,
        spool_dir: PathBuf,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let janitor = Janitor::start(engine.clone(), failure.clone(), workers)?;
        let (groups, syncing) = (Mutex::default(), Mutex::default());
        let spools = AtomicU64::new(0);
        Ok(Self { engine, failure, spool_dir, spools, janitor, groups, syncing })
    }

    /// Reads how a group stands and begins to remove generations that do not count.
    pub(crate) fn open_group(
        &self,
        group: GroupId,
    ) -> Result<(Arc<GroupState>, GroupRecord, u32), Error> {
        let keys = StateKeys(group);
        let record = match self.engine.get(&keys.record())? {
            Some(value) => GroupRecord::decode(group, &value)?,
            None => GroupRecord::default(),
        };
        let mut next_generation = record.generation + 1;
        for number in self.generations(keys)? {
            next_generation = next_generation.max(number + 1);
            if number != record.generation {
                drop(self.janitor.generation(group, number).retire());
            }
        }
        let current = self.janitor.generation(group, record.generation);
        let end = record.applied.map_or(0, |applied| applied.index() + 1);
        let state = Arc::new(GroupState {
            keys,
            generation: ArcSwap::from_pointee(current),
            visible_end: AtomicU64::new(end),
            durable_end: AtomicU64::new(0),
        });
        self.groups().insert(group, state.clone());
        Ok((state, record, next_generation))
    }

    pub(crate) fn generation(&self, group: GroupId, number: u32) -> Generation {
        self.janitor.generation(group, number)
    }

    /// A file for a view of `group`, used by nobody else.
    pub(crate) fn spool_path(&self, group: GroupId) -> PathBuf {
        let number = self.spools.fetch_add(1, Ordering::Relaxed);
        self.spool_dir.join(format!("view-{group}-{number}.spool"))
    }

    /// The generations of which there are keys.
    fn generations(&self, keys: StateKeys) -> Result<Vec<u32>, Error> {
        let mut found = Vec::new();
        let mut from = keys.start();
        loop {
            let mut next = None;
            self.engine.scan(&from, &keys.end(), &mut |key, _| {
                next = StateKeys::generation(key);
                ControlFlow::Break(())
            })?;
            let Some(number) = next else { return Ok(found) };
            found.push(number);
            from = keys.generation_end(number);
        }
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, HashMap<GroupId, Arc<GroupState>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once a power loss cannot take back what `group` applied up to `index`. Waits for
    /// the disk, unless an earlier sync reached that far.
    pub(crate) fn ensure_durable(&self, group: GroupId, index: u64) -> Result<(), Error> {
        let Some(state) = self.groups().get(&group).cloned() else { return Ok(()) };
        if state.durable_end.load(Ordering::Acquire) > index {
            return Ok(());
        }
        let syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if state.durable_end.load(Ordering::Acquire) > index {
            return Ok(());
        }
        self.sync()?;
        drop(syncing);
        if state.durable_end.load(Ordering::Acquire) <= index {
            tracing::warn!(%group, index, "a purge goes beyond what the state machine has applied");
        }
        Ok(())
    }

    /// Makes all groups' state durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.failure.check()?;
        let groups: Vec<_> = self.groups().values().cloned().collect();
        // Read before the sync: what is applied while it runs may not be part of it.
        let ends = groups.iter().map(|group| group.visible_end.load(Ordering::Acquire));
        let ends: Vec<u64> = ends.collect();
        let start = Instant::now();
        self.engine.sync().inspect_err(|error| self.failure.set("state sync", error))?;
        metrics::histogram!(names::STATE_SYNC_SECONDS).record(start.elapsed().as_secs_f64());
        for (group, end) in groups.iter().zip(ends) {
            group.durable_end.fetch_max(end, Ordering::AcqRel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_record_survives_its_encoding() {
        let log_id = raft::LogId { term: 1, node_id: 2, index: 3 };
        let log_id = wire::log_id_from_proto(&log_id).unwrap();
        let records = [
            GroupRecord::default(),
            GroupRecord {
                generation: 7,
                applied: Some(log_id),
                membership: StoredMembership::new(
                    Some(log_id),
                    crate::types::Membership::new_with_defaults(vec![[1, 2].into()], [3]),
                ),
            },
        ];
        for record in records {
            assert_eq!(GroupRecord::decode(GroupId(1), &record.encode()).unwrap(), record);
        }
    }
}
