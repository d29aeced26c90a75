//! A cluster that tests start, break and heal.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axp_node::Node;
use axp_node::config::{Config, PeerConfig};
use axp_node::node::{Error, Listeners, NodeHandle};
use axp_node::raft::GroupHandle;
use axp_node::raft::link::Links;
use axp_proto::ids::GroupId;
use openraft::ServerState;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::cut::{Cuts, Rule};
use crate::kv::{Kv, put};

/// Longer than any of this takes on a loaded machine; a condition that holds ends the wait at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits for a condition on a value.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        sleep(LOOK_EVERY).await;
    }
}

/// A running node.
pub(crate) struct Running {
    pub(crate) handle: NodeHandle,
    pub(crate) cuts: Arc<Cuts>,
}

impl Running {
    pub(crate) fn group(&self, group: GroupId) -> &GroupHandle {
        self.handle.context().groups.get(group).unwrap()
    }

    pub(crate) fn read(&self, group: GroupId, key: &str) -> Option<String> {
        let value = self.group(group).reader.get(key.as_bytes()).unwrap()?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    }

    pub(crate) fn leads(&self, group: GroupId) -> bool {
        self.group(group).metrics().state == ServerState::Leader
    }

    pub(crate) fn groups(&self) -> Vec<GroupId> {
        self.handle.context().groups.iter().map(|handle| handle.group).collect()
    }
}

pub(crate) struct Cluster {
    dir: TempDir,
    pub(crate) peers: Vec<PeerConfig>,
    pub(crate) nodes: BTreeMap<u64, Running>,
    /// Applied to the configuration of every node that is started.
    tune: fn(&mut Config),
}

impl Cluster {
    /// The addresses of `size` nodes; none is started.
    pub(crate) async fn new(size: u64, tune: fn(&mut Config)) -> Self {
        let mut peers = Vec::new();
        for id in 1..=size {
            let (raft, api) = (free_address().await, free_address().await);
            peers.push(PeerConfig { id, raft_address: raft, api_address: api });
        }
        Self { dir: TempDir::new().unwrap(), peers, nodes: BTreeMap::new(), tune }
    }

    /// All nodes started, founded and ready.
    pub(crate) async fn started(size: u64, tune: fn(&mut Config)) -> Self {
        let mut cluster = Self::new(size, tune).await;
        let starts: Vec<_> = (1..=size).map(|id| cluster.spawn(id)).collect();
        for (id, start) in (1..).zip(starts) {
            cluster.nodes.insert(id, timeout(PATIENCE, start).await.unwrap().unwrap().unwrap());
        }
        cluster.wait_ready().await;
        cluster
    }

    pub(crate) async fn wait_ready(&self) {
        for node in self.nodes.values() {
            timeout(PATIENCE, node.handle.wait_ready()).await.unwrap();
        }
    }

    pub(crate) fn data_dir(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    /// Takes the disk of a stopped node away.
    pub(crate) fn dir_aside(&self, id: u64) -> PathBuf {
        let aside = self.data_dir(id).with_extension("aside");
        std::fs::rename(self.data_dir(id), &aside).unwrap();
        aside
    }

    /// Puts it back, in place of whatever is there now.
    pub(crate) fn dir_back(&self, id: u64, aside: &std::path::Path) {
        std::fs::remove_dir_all(self.data_dir(id)).unwrap();
        std::fs::rename(aside, self.data_dir(id)).unwrap();
    }

    pub(crate) fn config(&self, id: u64) -> Config {
        let mut config = Config::default();
        config.node.id = id;
        config.node.data_dir = self.data_dir(id);
        config.node.admin_listen = "127.0.0.1:0".to_owned();
        if let Some(peer) = self.peers.iter().find(|peer| peer.id == id) {
            config.node.api_listen.clone_from(&peer.api_address);
            config.node.raft_listen.clone_from(&peer.raft_address);
        }
        config.cluster.peers.clone_from(&self.peers);
        config.cluster.bootstrap_expect = u32::try_from(self.peers.len()).unwrap();
        config.cluster.shard_groups = 2;
        config.storage.cache_bytes = 4 << 20;
        // Debug builds of several nodes share two cores here.
        config.raft.heartbeat_interval_ms = 100;
        config.raft.election_timeout_min_ms = 500;
        config.raft.election_timeout_max_ms = 800;
        config.raft.breaker_after_ms = 1000;
        config.raft.rebalance_interval_ms = 0;
        (self.tune)(&mut config);
        config
    }

    /// Starts a node in a task of its own: the founding waits for others.
    pub(crate) fn spawn(&self, id: u64) -> tokio::task::JoinHandle<Result<Running, Error>> {
        tokio::spawn(start(self.config(id)))
    }

    pub(crate) async fn start(&mut self, id: u64) {
        let running = timeout(PATIENCE, self.spawn(id)).await.unwrap().unwrap().unwrap();
        self.nodes.insert(id, running);
    }

    /// Ends a node as a crash does: nobody is told, nothing is handed over.
    pub(crate) async fn kill(&mut self, id: u64) {
        self.nodes.remove(&id).unwrap().handle.abandon().await;
    }

    /// The node that leads the group and is known to do so by all that run.
    pub(crate) async fn leader(&self, group: GroupId) -> u64 {
        eventually(&format!("a leader of group {group}"), || {
            let mut leaders =
                self.nodes.values().map(|node| node.group(group).metrics().current_leader);
            let first = leaders.next()??;
            let agreed = leaders.all(|leader| leader == Some(first));
            (agreed && self.nodes.contains_key(&first)).then_some(first)
        })
        .await
    }

    /// Writes until it is acknowledged by whoever leads, and answers who did.
    pub(crate) async fn write(&self, group: GroupId, key: &str, value: &str) -> u64 {
        let until = Instant::now() + PATIENCE;
        loop {
            for (id, node) in &self.nodes {
                if !node.leads(group) {
                    continue;
                }
                let write = node.group(group).raft.client_write(put(key, value));
                if let Ok(Ok(_)) = timeout(Duration::from_secs(2), write).await {
                    return *id;
                }
            }
            assert!(Instant::now() < until, "group {group} took no write within {PATIENCE:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until this node has the value.
    pub(crate) async fn has(&self, id: u64, group: GroupId, key: &str, value: &str) {
        let node = &self.nodes[&id];
        eventually(&format!("{key} = {value} on node {id}"), || {
            (node.read(group, key).as_deref() == Some(value)).then_some(())
        })
        .await;
    }

    /// Cuts or mends what goes from `from` to `to`, and what comes back on that way.
    pub(crate) fn link(&self, from: u64, to: u64, rule: Rule) {
        self.nodes[&from].cuts.set(to, rule);
    }

    /// Cuts a node off, both ways.
    pub(crate) fn isolate(&self, id: u64) {
        for other in self.nodes.keys().filter(|other| **other != id) {
            self.link(id, *other, Rule::CUT);
            self.link(*other, id, Rule::CUT);
        }
    }

    pub(crate) fn heal(&self) {
        for node in self.nodes.values() {
            node.cuts.heal();
        }
    }

    pub(crate) async fn shutdown(&mut self) {
        let stops = std::mem::take(&mut self.nodes).into_values().map(|node| node.handle.abandon());
        futures_util::future::join_all(stops).await;
    }
}

/// Starts a node; one that has just stopped in this process may hold its sockets and its store a
/// moment longer than a process that died would.
async fn start(config: Config) -> Result<Running, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let cuts = Arc::new(Cuts::default());
        let links = Links::losing(Arc::clone(&cuts) as _);
        let started = async {
            let listeners = Listeners::bind(&config.node).await?;
            Node::start_with(config.clone(), listeners, Arc::new(Kv), links).await
        };
        match started.await {
            Ok(handle) => return Ok(Running { handle, cuts }),
            Err(Error::Listen { .. } | Error::Store(axp_raft_store::Error::Locked { .. }))
                if Instant::now() < until =>
            {
                sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// An address that was free a moment ago, and stays so: a connection from 127.0.0.1, of which a
/// busy machine makes thousands, cannot take its port.
pub(crate) async fn free_address() -> String {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // Elsewhere only the first address of the loopback network is there.
    let own = if cfg!(target_os = "linux") {
        Ipv4Addr::new(127, 1, high, low)
    } else {
        Ipv4Addr::LOCALHOST
    };
    let listener = TcpListener::bind((own, 0)).await.unwrap();
    listener.local_addr().unwrap().to_string()
}
