//! openraft's own storage suite, on both engines.

use std::sync::Arc;

use axp_proto::ids::GroupId;
use axp_raft_store::{EngineKind, LogStore, StateMachine, Store, StoreConfig, TypeConfig};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::kv::{Kv, config, engine};

struct Builder(EngineKind);

type Guard = (Arc<Store>, TempDir);

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { write_buffer_bytes: 1024 * 1024, ..config(dir.path(), self.0) };
        let store = Store::open(&config).unwrap();
        let group = store.open_group(GroupId(1), Arc::new(Kv::default())).unwrap();
        Ok(((store, dir), group.log, group.machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_suite() {
    Suite::test_all(Builder(engine())).await.unwrap();
}
