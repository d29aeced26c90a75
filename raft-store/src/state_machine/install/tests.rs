//! A crash anywhere in an install leaves the old state or the new one.

use std::sync::Arc;

use axp_proto::ids::GroupId;
use bytes::Bytes;
use openraft::entry::EntryPayload;
use openraft::storage::RaftStateMachine as _;
use tempfile::TempDir;

use super::*;
use crate::applier::Applier;
use crate::config::StoreConfig;
use crate::engine::sim::Sim;
use crate::store::{GroupStore, Store};
use crate::transaction::Transaction;
use crate::types::{Applied, Entry, LogId, Payload};
use crate::wire;

#[derive(Debug)]
struct Puts;

impl Applier for Puts {
    fn apply(&self, state: &mut Transaction<'_>, _: u64, entry: &Bytes) -> Result<Applied, Error> {
        state.put(entry, entry.clone());
        Ok(Applied::default())
    }

    fn committed(&self, _: u64) {}

    fn restored(&self, _: u64) {}
}

struct Node {
    _dir: TempDir,
    _store: Arc<Store>,
    group: GroupStore,
    state: Arc<Sim>,
}

fn node(state: Arc<Sim>) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(&StoreConfig::new(dir.path()), Sim::new(), state.clone()).unwrap();
    let group = store.open_group(GroupId(1), Arc::new(Puts)).unwrap();
    Node { _dir: dir, _store: store, group, state }
}

fn log_id(index: u64) -> LogId {
    wire::log_id_from_proto(&axp_proto::raft::LogId { term: 1, node_id: 1, index }).unwrap()
}

async fn apply(node: &mut Node, index: u64, key: &str) {
    let payload = EntryPayload::Normal(Payload(Bytes::copy_from_slice(key.as_bytes())));
    let item = Ok((Entry { log_id: log_id(index), payload }, None));
    node.group.machine.apply(futures_util::stream::iter([item])).await.unwrap();
}

fn keys(node: &Node) -> Vec<String> {
    let mut keys = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        ControlFlow::Continue(())
    };
    node.group.reader.scan(b"", b"", visit).unwrap();
    keys
}

#[tokio::test]
async fn a_crash_before_the_flip_leaves_the_old_state() {
    let mut leader = node(Sim::new());
    for (index, key) in (0..).zip(["a", "b", "c"]) {
        apply(&mut leader, index, key).await;
    }
    let snapshot = leader.group.machine.get_current_snapshot().await.unwrap().unwrap();

    let mut follower = node(Sim::new());
    apply(&mut follower, 0, "old").await;
    let record = GroupRecord { generation: 1, applied: Some(log_id(2)), ..GroupRecord::default() };
    let keys_of = StateKeys(GroupId(1));
    let store = follower.group.machine.store.clone();
    write_aside(&store, keys_of, 1, &snapshot.snapshot).unwrap();
    store.sync().unwrap();

    // The process or the machine dies here, with everything written aside and nothing flipped.
    for state in [follower.state.after_crash(), follower.state.after_power_loss()] {
        let mut again = node(state);
        assert_eq!(keys(&again), ["old"]);
        assert_eq!(again.group.machine.applied(), Some(log_id(0)));
        // A second attempt does not meet the leftovers of the first.
        let meta = snapshot.meta.clone();
        let mut thin = node(Sim::new());
        apply(&mut thin, 2, "c").await;
        let thin = thin.group.machine.get_current_snapshot().await.unwrap().unwrap();
        again.group.machine.install_snapshot(&meta, thin.snapshot).await.unwrap();
        assert_eq!(keys(&again), ["c"]);
    }

    // And here after the flip.
    let mut batch = Batch::default();
    batch.put(keys_of.record(), record.encode());
    store.engine.write(batch).unwrap();
    let again = node(follower.state.after_crash());
    assert_eq!(keys(&again), ["a", "b", "c"]);
    let again = node(follower.state.after_power_loss());
    assert_eq!(keys(&again), ["old"], "the flip was not synced");
}

#[tokio::test]
async fn an_installed_snapshot_survives_a_power_loss() {
    let mut leader = node(Sim::new());
    apply(&mut leader, 0, "a").await;
    apply(&mut leader, 1, "b").await;
    let snapshot = leader.group.machine.get_current_snapshot().await.unwrap().unwrap();
    let mut follower = node(Sim::new());
    apply(&mut follower, 0, "old").await;
    let meta = snapshot.meta.clone();
    follower.group.machine.install_snapshot(&meta, snapshot.snapshot).await.unwrap();
    let again = node(follower.state.after_power_loss());
    assert_eq!(keys(&again), ["a", "b"]);
    assert_eq!(again.group.reader.applied_index(), 1);
}

#[tokio::test]
async fn an_install_that_cannot_be_synced_is_not_reported_as_done() {
    let mut leader = node(Sim::new());
    apply(&mut leader, 0, "a").await;
    let snapshot = leader.group.machine.get_current_snapshot().await.unwrap().unwrap();
    let mut follower = node(Sim::new());
    let failed = follower._store.failed();
    follower.state.fail_sync(true);
    let meta = snapshot.meta.clone();
    follower.group.machine.install_snapshot(&meta, snapshot.snapshot).await.unwrap_err();
    assert!(failed.borrow().as_deref().unwrap().contains("state sync"));
    assert_eq!(keys(&follower), [""; 0]);
}

#[tokio::test]
async fn a_scan_that_began_before_an_install_sees_the_old_state_whole() {
    let mut leader = node(Sim::new());
    apply(&mut leader, 5, "new").await;
    let snapshot = leader.group.machine.get_current_snapshot().await.unwrap().unwrap();
    let mut follower = node(Sim::new());
    for index in 0..50 {
        apply(&mut follower, index, &format!("old-{index:02}")).await;
    }
    let held = follower.group.machine.group.generation.load_full();
    let meta = snapshot.meta.clone();
    follower.group.machine.install_snapshot(&meta, snapshot.snapshot).await.unwrap();
    assert_eq!(keys(&follower), ["new"]);
    let range = (StateKeys(GroupId(1)).prefix(held.number), held.number);
    let count = |engine: &dyn crate::engine::Engine| {
        let mut count = 0;
        let end = StateKeys(GroupId(1)).generation_end(range.1);
        let visit = &mut |_: &[u8], _: &[u8]| {
            count += 1;
            ControlFlow::Continue(())
        };
        engine.scan(&range.0, &end, visit).unwrap();
        count
    };
    assert_eq!(count(&*follower.state), 50, "somebody still reads it");
    drop(held);
    let deadline = Instant::now() + std::time::Duration::from_secs(10);
    while count(&*follower.state) > 0 {
        assert!(Instant::now() < deadline, "the replaced state is not removed");
        tokio::task::yield_now().await;
    }
}
