//! Snapshots: streamed, verified, installed; and equal to the log they stand for.

use axp_proto::ids::GroupId;
use axp_raft_store::{EngineKind, Entry, Error, GroupStore, SnapshotData, Store};
use bytes::Bytes;
use openraft::storage::RaftStateMachine as _;
use proptest::prelude::*;

use crate::kv::{apply, close, config, dump, engine, entry, log_id, membership, open};

/// Sends a snapshot as the transport does.
fn transfer(from: SnapshotData, to: &Store, group: u16) -> Result<SnapshotData, Error> {
    let mut sink = to.receive_snapshot(GroupId(group))?;
    let mut chunks = from.into_chunks();
    for chunk in &mut chunks {
        let chunk = chunk?;
        assert!(!chunk.is_empty() && chunk.len() <= 1024 * 1024);
        sink.write(chunk)?;
    }
    let (bytes, crc32c) = chunks.end();
    sink.finish(bytes, crc32c)
}

async fn send(from: &mut GroupStore, to: &Store, into: &mut GroupStore) {
    let snapshot = from.machine.get_current_snapshot().await.unwrap().unwrap();
    let data = transfer(snapshot.snapshot, to, 1).unwrap();
    into.machine.install_snapshot(&snapshot.meta, data).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_travels_in_chunks() {
    let engine = engine();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leader_store = Store::open(&config(a.path(), engine)).unwrap();
    let follower_store = Store::open(&config(b.path(), engine)).unwrap();
    let (mut leader, mut follower) = (open(&leader_store, 1), open(&follower_store, 1));
    let mut entries = vec![membership(1, 0, &[1, 2, 3])];
    for index in 1..400 {
        let size = if index % 50 == 0 { 1_500_000 } else { 10_000 };
        let text = format!("+key-{}={}", index * 7919 % 1000, "v".repeat(size));
        entries.push(entry(1, index, &text));
    }
    apply(&mut leader, entries).await.unwrap();
    apply(&mut follower, vec![entry(1, 0, "+gone=1"), entry(1, 1, "+key-7=old")]).await.unwrap();
    send(&mut leader, &follower_store, &mut follower).await;
    assert_eq!(dump(&leader.reader), dump(&follower.reader));
    assert_eq!(follower.reader.applied_index(), 399);
    let (applied, members) = follower.machine.applied_state().await.unwrap();
    assert_eq!(applied, Some(log_id(1, 399)));
    assert_eq!(members.voter_ids().collect::<Vec<_>>(), [1, 2, 3]);

    // A received snapshot can be sent on, and what was installed is there after a restart.
    let state = dump(&follower.reader);
    close(follower_store, vec![follower]).await;
    let follower_store = Store::open(&config(b.path(), engine)).unwrap();
    let mut follower = open(&follower_store, 1);
    assert_eq!(dump(&follower.reader), state);
    send(&mut follower, &leader_store, &mut leader).await;
    assert_eq!(dump(&leader.reader), state);
    let leftovers = std::fs::read_dir(a.path().join("snapshots")).unwrap().count();
    assert_eq!(leftovers, 0, "received files are removed after use");
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was_while_entries_are_applied() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path(), engine)).unwrap();
    let mut group = open(&store, 1);
    let puts = |from, value| {
        (from..from + 50)
            .map(move |index| entry(1, index, &format!("+key-{:03}={value}", index % 50)))
    };
    apply(&mut group, puts(0, "old").collect()).await.unwrap();
    let before = dump(&group.reader);
    let snapshot = group.machine.get_current_snapshot().await.unwrap().unwrap();
    apply(&mut group, puts(50, "new").collect()).await.unwrap();
    assert_ne!(dump(&group.reader), before);

    // The next one is of now, and does not disturb the first.
    let next = group.machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(next.meta.last_log_id, Some(log_id(1, 99)));

    let other = tempfile::tempdir().unwrap();
    let other_store = Store::open(&config(other.path(), engine)).unwrap();
    let mut into = open(&other_store, 1);
    let data = transfer(snapshot.snapshot, &other_store, 1).unwrap();
    into.machine.install_snapshot(&snapshot.meta, data).await.unwrap();
    assert_eq!(dump(&into.reader), before);
    let data = transfer(next.snapshot, &other_store, 1).unwrap();
    into.machine.install_snapshot(&next.meta, data).await.unwrap();
    assert_eq!(dump(&into.reader), dump(&group.reader));
}

#[tokio::test]
async fn what_arrives_damaged_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path(), EngineKind::Fjall)).unwrap();
    let mut group = open(&store, 1);
    apply(&mut group, vec![entry(1, 0, "+a=1"), entry(1, 1, "+b=2")]).await.unwrap();
    let snapshot = group.machine.get_current_snapshot().await.unwrap().unwrap();
    let mut chunks = snapshot.snapshot.into_chunks();
    let mut good = Vec::new();
    for chunk in &mut chunks {
        good.extend_from_slice(&chunk.unwrap());
    }
    let (bytes, crc32c) = chunks.end();
    let receive = |data: &[u8], bytes: u64, crc32c: u32, group: u16| {
        let mut sink = store.receive_snapshot(GroupId(group)).unwrap();
        sink.write(Bytes::copy_from_slice(data)).unwrap();
        sink.finish(bytes, crc32c)
    };
    receive(&good, bytes, crc32c, 1).unwrap();
    assert!(receive(&good, bytes, crc32c, 2).is_err(), "another group");
    assert!(receive(&good, bytes + 1, crc32c, 1).is_err(), "another length");
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        assert!(receive(&damaged, bytes, crc32c, 1).is_err(), "byte {at}");
    }
    // Cut short, with a sender that does not know it.
    for cut in 0..good.len() {
        let cut = &good[..cut];
        let crc32c = crc32c::crc32c(cut);
        assert!(receive(cut, cut.len() as u64, crc32c, 1).is_err(), "cut at {}", cut.len());
    }
    // Announced as something else.
    let data = receive(&good, bytes, crc32c, 1).unwrap();
    let mut meta = snapshot.meta.clone();
    meta.last_log_id = Some(log_id(1, 5));
    assert!(group.machine.install_snapshot(&meta, data).await.is_err());
    assert_eq!(group.reader.applied_index(), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("snapshots")).unwrap().count(), 0);
}

fn command() -> impl Strategy<Value = String> {
    let key = 0_u8..12;
    prop_oneof![
        (key.clone(), "[a-z]{0,40}").prop_map(|(key, value)| format!("+k{key}={value}")),
        key.clone().prop_map(|key| format!("-k{key}")),
        key.prop_map(|key| format!("*k{key}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Snapshot plus tail is the whole log, wherever the snapshot was taken.
    #[test]
    fn a_snapshot_and_the_tail_equal_the_log(
        commands in prop::collection::vec(command(), 1..120),
        cut in any::<prop::sample::Index>(),
        steps in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let entries: Vec<Entry> = (0..).zip(&commands).map(|(at, text)| entry(1, at, text)).collect();
        let cut = 1 + cut.index(entries.len());
        let (whole, tailed) = runtime.block_on(both(engine(), &entries, cut, steps));
        prop_assert_eq!(&whole, &tailed);
    }
}

type Dump = Vec<(Vec<u8>, Vec<u8>)>;

async fn both(engine: EngineKind, entries: &[Entry], cut: usize, steps: usize) -> (Dump, Dump) {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leader_store = Store::open(&config(a.path(), engine)).unwrap();
    let follower_store = Store::open(&config(b.path(), engine)).unwrap();
    let (mut leader, mut follower) = (open(&leader_store, 1), open(&follower_store, 1));
    for chunk in entries[..cut].chunks(steps) {
        apply(&mut leader, chunk.to_vec()).await.unwrap();
    }
    send(&mut leader, &follower_store, &mut follower).await;
    apply(&mut leader, entries[cut..].to_vec()).await.unwrap();
    for chunk in entries[cut..].chunks(steps) {
        apply(&mut follower, chunk.to_vec()).await.unwrap();
    }
    (dump(&leader.reader), dump(&follower.reader))
}
