//! openraft itself on the store: writes, snapshot and purge, a learner that needs the snapshot, and
//! a restart. The network is a function call.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_raft_store::{
    EngineKind, NodeAddress, Payload, Raft, SnapshotData, StateReader, Store, TypeConfig, Vote,
};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{Config, OptionalSend, RaftNetworkV2, SnapshotPolicy};

use crate::kv::{config, dump, engine, open};

type Peers = Arc<Mutex<BTreeMap<u64, (Raft, Arc<Store>)>>>;

#[derive(Clone)]
struct Network {
    peers: Peers,
    target: u64,
}

impl Network {
    fn peer(&self) -> Result<(Raft, Arc<Store>), Unreachable<TypeConfig>> {
        let peer = self.peers.lock().unwrap().get(&self.target).cloned();
        peer.ok_or_else(|| Unreachable::new(&std::io::Error::other("no such node")))
    }
}

fn failed(error: impl std::error::Error + 'static) -> Unreachable<TypeConfig> {
    Unreachable::new(&error)
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Self;

    async fn new_client(&mut self, target: u64, _node: &NodeAddress) -> Self {
        Self { peers: self.peers.clone(), target }
    }
}

impl RaftNetworkV2<TypeConfig> for Network {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.peer()?.0.append_entries(request).await.map_err(failed)?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.peer()?.0.vote(request).await.map_err(failed)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: axp_raft_store::Snapshot,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let (raft, store) = self.peer()?;
        let mut sink = store.receive_snapshot(GroupId(1)).map_err(failed)?;
        let mut chunks = snapshot.snapshot.into_chunks();
        for chunk in &mut chunks {
            sink.write(chunk.map_err(failed)?).map_err(failed)?;
        }
        let (bytes, crc32c) = chunks.end();
        let data = sink.finish(bytes, crc32c).map_err(failed)?;
        let snapshot = axp_raft_store::Snapshot { meta: snapshot.meta, snapshot: data };
        Ok(raft.install_full_snapshot(vote, snapshot).await.map_err(failed)?)
    }
}

async fn start(peers: &Peers, id: u64, dir: &Path, engine: EngineKind) -> (Raft, StateReader) {
    let store = Store::open(&config(dir, engine)).unwrap();
    let group = open(&store, 1);
    let settings = Config {
        snapshot_policy: SnapshotPolicy::Never,
        heartbeat_interval: 200,
        election_timeout_min: 1000,
        election_timeout_max: 2000,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    let network = Network { peers: peers.clone(), target: 0 };
    let settings = Arc::new(settings.validate().unwrap());
    let raft = Raft::new(id, settings, network, group.log, group.machine).await.unwrap();
    peers.lock().unwrap().insert(id, (raft.clone(), store));
    (raft, group.reader)
}

async fn stop(peers: &Peers, id: u64, raft: Raft, reader: StateReader) {
    raft.shutdown().await.unwrap();
    let (_, store) = peers.lock().unwrap().remove(&id).unwrap();
    let closed = store.closed();
    drop((raft, reader, store));
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
}

/// Writes at whoever leads; on a loaded machine that may change or pause.
async fn write(rafts: &[&Raft], range: std::ops::Range<u64>) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    for number in range {
        let command = Payload(format!("+key-{:03}={number}", number % 100).into());
        let mut turn = rafts.iter().cycle();
        while let Err(error) = turn.next().unwrap().client_write(command.clone()).await {
            assert!(error.forward_to_leader().is_some(), "{error}");
            assert!(tokio::time::Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_through_purge_snapshot_and_restart() {
    tokio::time::timeout(Duration::from_secs(120), lives()).await.unwrap();
}

async fn lives() {
    let limit = Some(Duration::from_secs(20));
    let engine = engine();
    let peers = Peers::default();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, first_reader) = start(&peers, 1, a.path(), engine).await;
    first.initialize(BTreeMap::from([(1, NodeAddress::default())])).await.unwrap();
    first.wait(limit).current_leader(1, "one voter leads").await.unwrap();
    write(&[&first], 0..300).await;
    let applied = first_reader.applied_index();

    first.trigger().snapshot().await.unwrap();
    let done = |metrics: &openraft::RaftMetrics<TypeConfig>| {
        metrics.snapshot.as_ref().is_some_and(|at| at.index() >= applied)
    };
    first.wait(limit).metrics(done, "snapshot").await.unwrap();
    first.trigger().purge_log(applied - 50).await.unwrap();
    let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| {
        metrics.purged.as_ref().is_some_and(|at| at.index() == applied - 50)
    };
    first.wait(limit).metrics(purged, "purge").await.unwrap();

    // A learner whose log starts behind the purge: only the snapshot can bring it up.
    let (second, second_reader) = start(&peers, 2, b.path(), engine).await;
    first.add_learner(2, NodeAddress::default(), true).await.unwrap();
    first.change_membership([1, 2], false).await.unwrap();
    write(&[&first, &second], 300..350).await;
    let index = first_reader.applied_index();
    second.wait(limit).applied_index_at_least(Some(index), "caught up").await.unwrap();
    let state = dump(&first_reader);
    assert_eq!(state.len(), 100);
    assert_eq!(dump(&second_reader), state);

    stop(&peers, 1, first, first_reader).await;
    stop(&peers, 2, second, second_reader).await;
    let (first, first_reader) = start(&peers, 1, a.path(), engine).await;
    let (second, second_reader) = start(&peers, 2, b.path(), engine).await;
    write(&[&first, &second], 350..360).await;
    for raft in [&first, &second] {
        raft.wait(limit).applied_index_at_least(Some(index + 10), "goes on").await.unwrap();
    }
    assert_eq!(dump(&first_reader), dump(&second_reader));
    stop(&peers, 1, first, first_reader).await;
    stop(&peers, 2, second, second_reader).await;
}
