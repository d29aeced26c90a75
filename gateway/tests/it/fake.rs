//! A cluster of fake nodes: the services of `axp.node.v1` over one shared state, with faults on
//! demand. It keeps what a gateway can observe of a node: leadership, windows, catching up, and
//! that a repeat changes nothing. What nodes decide is tested where they live.

mod control;
pub(crate) mod inbox;
mod model;
mod policy;
mod push;
mod records;
mod shard;
mod subscribe;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axp_proto::node::control_server::ControlServer;
use axp_proto::node::shard_server::ShardServer;
use axp_proto::node::{Group, NodeAddress, NotLeader, ShardMap};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub(crate) use self::model::State;

pub(crate) const SHARD_GROUPS: u16 = 4;

/// What all nodes share: the replicated state, who leads, and a bell for changes.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    leaders: Mutex<HashMap<u32, usize>>,
    bell: watch::Sender<u64>,
    addresses: Mutex<Vec<String>>,
}

/// Faults of one node's shards; each is used up by one call unless it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Calls to answer with UNAVAILABLE before doing anything.
    pub(crate) unavailable: AtomicU32,
    /// Commands and commits to carry out and then answer with UNAVAILABLE.
    pub(crate) lose_answers: AtomicU32,
    /// Calls that never answer.
    pub(crate) hang: AtomicU32,
    /// Commits to refuse as if somebody else had been faster.
    pub(crate) conflicts: AtomicU32,
    /// Calls to refuse for want of room.
    pub(crate) exhausted: AtomicU32,
    /// Revision beyond which `Watch` tells nothing; 0: everything is told.
    pub(crate) watch_until: AtomicU64,
    /// Commands that arrived, whatever became of them.
    pub(crate) executed: AtomicU32,
    /// Commits of records that are carried out before all others hang; absent: none hangs.
    record_commits_left: Mutex<Option<u32>>,
    /// Linearizable questions for the control revision that arrived.
    pub(crate) revisions_asked: AtomicU32,
    /// Subscriptions that are open.
    pub(crate) subscriptions: AtomicU32,
    /// Items handed to subscriptions.
    pub(crate) items_sent: AtomicU32,
    pub(crate) last_traceparent: Mutex<String>,
}

impl Faults {
    /// Lets so many commits of records through and none after them; `u32::MAX`: all.
    pub(crate) fn hang_commits_after(&self, commits: u32) {
        *self.record_commits_left.lock().unwrap() = (commits != u32::MAX).then_some(commits);
    }

    /// Whether a commit of records is to hang.
    fn hangs_commit(&self) -> bool {
        match &mut *self.record_commits_left.lock().unwrap() {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }
}

/// Takes one of a number of faults.
pub(crate) fn take(fault: &AtomicU32) -> bool {
    fault.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[derive(Debug, Clone)]
pub(crate) struct FakeNode {
    index: usize,
    shared: Arc<Shared>,
    pub(crate) faults: Arc<Faults>,
    kill: CancellationToken,
}

#[derive(Debug)]
pub(crate) struct FakeCluster {
    pub(crate) shared: Arc<Shared>,
    pub(crate) nodes: Vec<FakeNode>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the state and wakes everybody who follows it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state());
        self.ring();
        value
    }

    fn ring(&self) {
        self.bell.send_modify(|rings| *rings += 1);
    }

    pub(crate) fn leader(&self, group: u32) -> usize {
        self.leaders.lock().unwrap().get(&group).copied().unwrap_or(0)
    }

    pub(crate) fn move_leader(&self, group: u32, to: usize) {
        self.leaders.lock().unwrap().insert(group, to);
        self.ring();
    }
}

impl FakeNode {
    /// Absent when this node leads the group; else whom it believes to.
    fn not_leader(&self, group: u32) -> Option<NotLeader> {
        let leader = self.shared.leader(group);
        let addresses = self.shared.addresses.lock().unwrap();
        (leader != self.index).then(|| NotLeader {
            leader_id: leader as u64 + 1,
            // A leader that does not exist stands for an election that goes on.
            leader_address: addresses.get(leader).cloned().unwrap_or_default(),
        })
    }

    /// What may go wrong before a call is looked at.
    async fn before(&self) -> Result<(), tonic::Status> {
        if take(&self.faults.hang) {
            std::future::pending::<()>().await;
        }
        if take(&self.faults.unavailable) {
            return Err(tonic::Status::unavailable("scripted"));
        }
        if take(&self.faults.exhausted) {
            return Err(tonic::Status::resource_exhausted("scripted"));
        }
        Ok(())
    }

    /// Ends the server with all its connections, as a crash does.
    pub(crate) fn kill(&self) {
        self.kill.cancel();
    }
}

impl FakeCluster {
    /// Starts nodes; the first one leads everything.
    pub(crate) fn start(count: usize) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            leaders: Mutex::default(),
            bell: watch::Sender::new(0),
            addresses: Mutex::default(),
        });
        let mut nodes = Vec::new();
        for index in 0..count {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            shared.addresses.lock().unwrap().push(listener.local_addr().unwrap().to_string());
            let node = FakeNode {
                index,
                shared: Arc::clone(&shared),
                faults: Arc::default(),
                kill: CancellationToken::new(),
            };
            let services = (ShardServer::new(node.clone()), ControlServer::new(node.clone()));
            let kill = node.kill.clone();
            // Its own runtime: dropping it is what a crash looks like from outside.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async move {
                    let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
                    let server = Server::builder()
                        .add_service(services.0)
                        .add_service(services.1)
                        .serve_with_incoming(incoming.with_nodelay(Some(true)));
                    kill.run_until_cancelled_owned(server).await;
                });
            });
            nodes.push(node);
        }
        let cluster = Self { shared, nodes };
        cluster.publish_shard_map();
        cluster
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.shared.addresses.lock().unwrap().clone()
    }

    fn publish_shard_map(&self) {
        let node_ids: Vec<u64> = (1..=self.nodes.len() as u64).collect();
        let groups = (0..=u32::from(SHARD_GROUPS)).map(|id| Group {
            id,
            node_ids: node_ids.clone(),
            ..Group::default()
        });
        let nodes =
            node_ids.iter().zip(self.addresses()).map(|(&id, address)| NodeAddress { id, address });
        let map =
            ShardMap { epoch: 1, slots: 4096, groups: groups.collect(), nodes: nodes.collect() };
        let key = axp_proto::control::SHARD_MAP.to_owned();
        self.shared.change(|state| state.put_row(key, map.encode_to_vec().into()));
    }

    /// Faults of all nodes, by what they are.
    pub(crate) fn each(&self, set: impl Fn(&Faults)) {
        self.nodes.iter().for_each(|node| set(&node.faults));
    }

    pub(crate) fn sum(&self, count: impl Fn(&Faults) -> &AtomicU32) -> u32 {
        self.nodes.iter().map(|node| count(&node.faults).load(Ordering::SeqCst)).sum()
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        self.nodes.iter().for_each(FakeNode::kill);
    }
}
