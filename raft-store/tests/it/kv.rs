//! A small applier and ways to drive a store with it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axp_proto::ids::GroupId;
use axp_raft_store::{
    Applied, Applier, EngineKind, Entry, Error, GroupStore, LogId, Membership, Outcome, Payload,
    StateReader, Store, StoreConfig, Transaction, TypeConfig, wire,
};
use bytes::Bytes;
use openraft::entry::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage as _, RaftStateMachine as _};
use openraft::type_config::TypeConfigExt as _;

/// `+key=value` puts, `-key` deletes; `*key` counts how often it was applied.
#[derive(Debug, Default)]
pub(crate) struct Kv {
    pub(crate) committed: AtomicU64,
    pub(crate) restored: AtomicU64,
}

impl Applier for Kv {
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error> {
        let text = std::str::from_utf8(entry).map_err(Error::applier)?;
        match text.split_at_checked(1) {
            Some(("+", rest)) => {
                let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                state.put(key.as_bytes(), Bytes::copy_from_slice(value.as_bytes()));
            }
            Some(("-", key)) => state.delete(key.as_bytes()),
            Some(("*", key)) => {
                let count = state.get(key.as_bytes())?.map_or(0, |value| value.len());
                state.put(key.as_bytes(), vec![b'*'; count + 1]);
            }
            _ => return Err(Error::applier(format!("unknown command {text:?}"))),
        }
        Ok(Applied { outcomes: vec![Outcome::Accepted { position: index }] })
    }

    fn committed(&self, index: u64) {
        self.committed.store(index, Ordering::SeqCst);
    }

    fn restored(&self, index: u64) {
        self.restored.store(index, Ordering::SeqCst);
    }
}

/// Chooses the engine of all tests of this process.
pub(crate) const ENGINE: &str = "AXP_TEST_ENGINE";

/// What to test: the default engine, unless this process is one of `sled`'s.
pub(crate) fn engine() -> EngineKind {
    std::env::var(ENGINE).map_or(EngineKind::Fjall, |name| name.parse().unwrap())
}

pub(crate) fn config(dir: &std::path::Path, engine: EngineKind) -> StoreConfig {
    StoreConfig { engine, ..StoreConfig::new(dir) }
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    let id = axp_proto::raft::LogId { term, node_id: 1, index };
    wire::log_id_from_proto(&id).unwrap()
}

pub(crate) fn entry(term: u64, index: u64, text: &str) -> Entry {
    let payload = EntryPayload::Normal(Payload(Bytes::copy_from_slice(text.as_bytes())));
    Entry { log_id: log_id(term, index), payload }
}

pub(crate) fn membership(term: u64, index: u64, voters: &[u64]) -> Entry {
    let config = vec![voters.iter().copied().collect()];
    let payload = EntryPayload::Membership(Membership::new_with_defaults(config, []));
    Entry { log_id: log_id(term, index), payload }
}

pub(crate) fn open(store: &Store, group: u16) -> GroupStore {
    store.open_group(GroupId(group), Arc::new(Kv::default())).unwrap()
}

/// Appends and waits until it is durable.
pub(crate) async fn append(group: &mut GroupStore, entries: Vec<Entry>) -> std::io::Result<()> {
    let (sender, receiver) = TypeConfig::oneshot();
    group.log.append(entries, IOFlushed::signal(sender)).await?;
    receiver.await.map_err(std::io::Error::other)?
}

pub(crate) async fn apply(group: &mut GroupStore, entries: Vec<Entry>) -> std::io::Result<()> {
    let items = entries.into_iter().map(|entry| Ok((entry, None)));
    group.machine.apply(futures_util::stream::iter(items)).await
}

/// Everything in the group's state.
pub(crate) fn dump(reader: &StateReader) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    reader
        .scan(b"", b"", &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// Lets go of a store and waits until its directory can be opened again.
pub(crate) async fn close(store: Arc<Store>, groups: Vec<GroupStore>) {
    let closed = store.closed();
    drop((store, groups));
    closed.await;
}
