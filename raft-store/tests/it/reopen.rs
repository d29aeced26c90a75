//! What is there after a store was closed and opened again.

use std::sync::Arc;

use axp_raft_store::{EngineKind, Error, Store, Vote};
use openraft::storage::{RaftLogStorage as _, RaftStateMachine as _};
use openraft::{RaftLogReader as _, StorageHelper};

use crate::kv::{append, apply, close, config, dump, engine, entry, log_id, membership, open};

#[tokio::test]
async fn everything_is_there_again() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    store.write_meta("node", "7").await.unwrap();
    let entries = vec![
        membership(1, 0, &[1, 2]),
        entry(1, 1, "+a=1"),
        entry(1, 2, "+b=2"),
        entry(1, 3, "-a"),
    ];
    append(&mut group, entries.clone()).await.unwrap();
    group.log.save_vote(&Vote::new_committed(3, 2)).await.unwrap();
    group.log.save_committed(Some(log_id(1, 3))).await.unwrap();
    apply(&mut group, entries.clone()).await.unwrap();
    group.log.purge(log_id(1, 1)).await.unwrap();
    // Ordered behind the purge: durable when this returns.
    store.write_meta("last", "").await.unwrap();
    close(store, vec![group]).await;

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let state = group.log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 1)));
    assert_eq!(state.last_log_id, Some(log_id(1, 3)));
    let mut reader = group.log.get_log_reader().await;
    assert_eq!(reader.read_vote().await.unwrap(), Some(Vote::new_committed(3, 2)));
    assert_eq!(group.log.read_committed().await.unwrap(), Some(log_id(1, 3)));
    assert_eq!(reader.try_get_log_entries(0..9).await.unwrap(), entries[2..]);
    let (applied, members) = group.machine.applied_state().await.unwrap();
    assert_eq!(applied, Some(log_id(1, 3)));
    assert_eq!(members.voter_ids().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(dump(&group.reader), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(store.read_meta("node").unwrap().as_deref(), Some(&b"7"[..]));
    assert_eq!(store.meta_names().unwrap(), ["last", "node"]);
}

#[tokio::test]
async fn a_vote_older_than_the_log_was_lost() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    group.log.check_vote().unwrap();
    append(&mut group, vec![entry(0, 0, "+a=1")]).await.unwrap();
    group.log.check_vote().unwrap();
    group.log.save_vote(&Vote::new_committed(2, 1)).await.unwrap();
    append(&mut group, vec![entry(2, 1, "+a=2")]).await.unwrap();
    close(store, vec![group]).await;

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    group.log.check_vote().unwrap();
    append(&mut group, vec![entry(3, 2, "+a=3")]).await.unwrap();
    close(store, vec![group]).await;
    let store = Store::open(&config).unwrap();
    let error = open(&store, 1).log.check_vote().unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
}

#[tokio::test]
async fn a_replaced_tail_stays_replaced() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let old: Vec<_> = (0..8).map(|index| entry(1, index, "+old=")).collect();
    append(&mut group, old.clone()).await.unwrap();
    group.log.truncate_after(Some(log_id(1, 2))).await.unwrap();
    append(&mut group, vec![entry(2, 3, "+new=")]).await.unwrap();
    close(store, vec![group]).await;

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let entries = group.log.get_log_reader().await.try_get_log_entries(..).await.unwrap();
    assert_eq!(entries[..3], old[..3]);
    assert_eq!(entries[3..], [entry(2, 3, "+new=")]);
    // Nothing but the beginning is left, or nothing at all.
    group.log.truncate_after(None).await.unwrap();
    assert_eq!(group.log.last(), None);
    append(&mut group, vec![entry(3, 0, "+first=")]).await.unwrap();
    close(store, vec![group]).await;
    let store = Store::open(&config).unwrap();
    assert_eq!(open(&store, 1).log.last(), Some(log_id(3, 0)));
}

/// Reads that go below the cache, over several reads, beside purges.
#[tokio::test]
async fn old_entries_are_read_from_disk() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), engine);
    config.log_cache_bytes = 4096;
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let text = format!("+key={}", "x".repeat(100_000));
    let all: Vec<_> = (0..60).map(|index| entry(1, index, &text)).collect();
    for entries in all.chunks(7) {
        append(&mut group, entries.to_vec()).await.unwrap();
    }
    let mut reader = group.log.get_log_reader().await;
    assert_eq!(reader.try_get_log_entries(..).await.unwrap(), all);
    let limited = reader.limited_get_log_entries(3, 60).await.unwrap();
    assert!((20..24).contains(&limited.len()), "{} entries, the cap is 2 MiB", limited.len());
    assert_eq!(limited[..], all[3..3 + limited.len()]);
    let stream = reader.entries_stream(10..55).await;
    let streamed: Vec<_> = futures_util::StreamExt::collect(stream).await;
    let streamed: Vec<_> = streamed.into_iter().map(Result::unwrap).collect();
    assert_eq!(streamed, all[10..55]);
    apply(&mut group, all.clone()).await.unwrap();
    group.log.purge(log_id(1, 29)).await.unwrap();
    assert_eq!(reader.try_get_log_entries(0..60).await.unwrap(), all[30..]);
}

#[tokio::test]
async fn a_state_that_is_older_than_the_log_is_replayed() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let entries: Vec<_> = (0..100).map(|index| entry(1, index, "*count")).collect();
    append(&mut group, entries.clone()).await.unwrap();
    apply(&mut group, entries[..40].to_vec()).await.unwrap();
    group.log.save_committed(Some(log_id(1, 89))).await.unwrap();
    close(store, vec![group]).await;

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let mut helper = StorageHelper::new(&mut group.log, &mut group.machine).with_id(1);
    helper.get_initial_state().await.unwrap();
    assert_eq!(group.machine.applied(), Some(log_id(1, 89)));
    let count = group.reader.get(b"count").unwrap().unwrap().len();
    assert_eq!(count, 90, "each entry once");
}

#[tokio::test]
async fn a_state_that_is_newer_than_the_log_replaces_it() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    append(&mut group, (0..5).map(|index| entry(1, index, "+a=1")).collect()).await.unwrap();
    apply(&mut group, (0..9).map(|index| entry(1, index, "+a=1")).collect()).await.unwrap();
    close(store, vec![group]).await;

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let mut helper = StorageHelper::new(&mut group.log, &mut group.machine).with_id(1);
    helper.get_initial_state().await.unwrap();
    assert_eq!(group.log.purged(), Some(log_id(1, 8)));
    append(&mut group, vec![entry(1, 9, "+a=2")]).await.unwrap();
    close(store, vec![group]).await;
    let store = Store::open(&config).unwrap();
    assert_eq!(open(&store, 1).log.last(), Some(log_id(1, 9)));
}

/// The log's tail was replaced and applied, and only the state reached the disk.
#[tokio::test]
async fn a_log_with_a_replaced_tail_gives_way_to_the_state() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    append(&mut group, (0..9).map(|index| entry(1, index, "+a=1")).collect()).await.unwrap();
    let mut applied: Vec<_> = (0..4).map(|index| entry(1, index, "+a=1")).collect();
    applied.extend([entry(2, 4, "+a=2"), entry(2, 5, "+a=2")]);
    apply(&mut group, applied).await.unwrap();
    close(store, vec![group]).await;

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    assert_eq!(group.log.purged(), Some(log_id(2, 5)));
    let mut helper = StorageHelper::new(&mut group.log, &mut group.machine).with_id(1);
    helper.get_initial_state().await.unwrap();
    append(&mut group, vec![entry(2, 6, "+a=3")]).await.unwrap();
}

#[tokio::test]
async fn a_state_that_the_log_cannot_bring_up_is_refused() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    let entries: Vec<_> = (0..9).map(|index| entry(1, index, "+a=1")).collect();
    append(&mut group, entries.clone()).await.unwrap();
    apply(&mut group, entries).await.unwrap();
    group.log.purge(log_id(1, 6)).await.unwrap();
    store.write_meta("after", "the purge").await.unwrap();
    close(store, vec![group]).await;
    // Somebody restored an older state, or it rotted away.
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let store = Store::open(&config).unwrap();
    let applier = Arc::new(crate::kv::Kv::default());
    let refused = store.open_group(axp_proto::ids::GroupId(1), applier).unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
    assert!(refused.to_string().contains("purged up to"), "{refused}");
}

#[tokio::test]
async fn a_directory_and_a_group_are_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), EngineKind::Fjall);
    let store = Store::open(&config).unwrap();
    assert!(matches!(Store::open(&config), Err(Error::Locked { .. })));
    let group = open(&store, 1);
    let again = store.open_group(axp_proto::ids::GroupId(1), Arc::new(crate::kv::Kv::default()));
    assert!(matches!(again, Err(Error::GroupOpen(_))));
    close(store, vec![group]).await;
    Store::open(&config).unwrap();
}
