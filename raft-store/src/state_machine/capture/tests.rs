//! The state at an index is the same however entries were batched, and whether they came as entries
//! or as a snapshot.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axp_proto::ids::GroupId;
use bytes::Bytes;
use openraft::entry::EntryPayload;
use openraft::storage::RaftStateMachine as _;
use tempfile::TempDir;

use super::*;
use crate::applier::Applier;
use crate::config::StoreConfig;
use crate::digest::StateDigest;
use crate::engine::sim::Sim;
use crate::store::{GroupStore, Store};
use crate::transaction::Transaction;
use crate::types::{Applied, Entry, LogId, Payload};
use crate::wire;

/// Puts the entry under its own bytes; with a `twist`, under another key.
#[derive(Debug)]
struct Puts {
    twist: bool,
}

impl Applier for Puts {
    fn apply(&self, state: &mut Transaction<'_>, _: u64, entry: &Bytes) -> Result<Applied, Error> {
        state.put(entry, if self.twist { Bytes::from_static(b"!") } else { entry.clone() });
        Ok(Applied::default())
    }

    fn committed(&self, _: u64) {}

    fn restored(&self, _: u64) {}
}

struct Replica {
    _dir: TempDir,
    _store: Arc<Store>,
    group: GroupStore,
}

fn replica(twist: bool) -> Replica {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(&StoreConfig::new(dir.path()), Sim::new(), Sim::new()).unwrap();
    let group = store.open_group(GroupId(1), Arc::new(Puts { twist })).unwrap();
    Replica { _dir: dir, _store: store, group }
}

fn log_id(index: u64) -> LogId {
    wire::log_id_from_proto(&axp_proto::raft::LogId { term: 1, node_id: 1, index }).unwrap()
}

impl Replica {
    async fn apply(&mut self, indexes: std::ops::Range<u64>) {
        let entries = indexes.map(|index| {
            let payload = Payload(Bytes::from(format!("key-{index}")));
            Ok((Entry { log_id: log_id(index), payload: EntryPayload::Normal(payload) }, None))
        });
        self.group.machine.apply(futures_util::stream::iter(entries)).await.unwrap();
    }

    async fn digest(&mut self, at: Option<u64>) -> StateDigest {
        let captured = self.group.machine.capture(at).await;
        digest(&captured.await.unwrap().unwrap())
    }
}

fn digest(snapshot: &Snapshot) -> StateDigest {
    StateDigest::of(snapshot, &AtomicBool::new(false)).unwrap().unwrap()
}

#[tokio::test]
async fn one_log_comes_to_one_number() {
    let (mut one, mut other) = (replica(false), replica(false));
    assert_eq!(one.digest(None).await, other.digest(None).await, "nothing applied yet");
    one.apply(0..20).await;
    for index in 0..20 {
        other.apply(index..index + 1).await;
    }
    let (of_one, of_other) = (one.digest(None).await, other.digest(Some(19)).await);
    assert_eq!(of_one, of_other);
    assert_eq!((of_one.rows, of_one.bytes), (20, 2 * (10 * 5 + 10 * 6)));

    let mut third = replica(false);
    let snapshot = one.group.machine.get_current_snapshot().await.unwrap().unwrap();
    third.group.machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!(third.digest(None).await, of_one, "the generation is a replica's own");

    let mut twisted = replica(true);
    twisted.apply(0..20).await;
    assert_ne!(twisted.digest(None).await, of_one);
    third.apply(20..21).await;
    assert_ne!(third.digest(None).await, of_one);
}

#[tokio::test]
async fn the_state_of_an_index_is_caught_in_the_middle_of_a_batch() {
    let (mut batched, mut single) = (replica(false), replica(false));
    single.apply(0..8).await;
    let early = batched.group.machine.capture(Some(3)).await;
    let captured = batched.group.machine.capture(Some(7)).await;
    assert!(early.await.is_err(), "who asked later took the place");
    batched.apply(0..20).await;
    assert_eq!(digest(&captured.await.unwrap().unwrap()), single.digest(Some(7)).await);

    let passed = batched.group.machine.capture(Some(7)).await.await.unwrap();
    assert!(matches!(passed, Err(CaptureError::Passed { applied: 19 })), "{passed:?}");
    // A snapshot that jumps over the index ends the wait, too.
    let over = single.group.machine.capture(Some(12)).await;
    let snapshot = batched.group.machine.get_current_snapshot().await.unwrap().unwrap();
    single.group.machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert!(matches!(over.await.unwrap(), Err(CaptureError::Passed { applied: 19 })));
}

#[tokio::test]
async fn a_caller_that_is_gone_stops_the_reading() {
    let mut replica = replica(false);
    replica.apply(0..20).await;
    let snapshot = replica.group.machine.capture(None).await.await.unwrap().unwrap();
    assert_eq!(StateDigest::of(&snapshot, &AtomicBool::new(true)).unwrap(), None);
}
