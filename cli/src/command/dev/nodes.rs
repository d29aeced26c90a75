//! The nodes of `axp dev`: real ones, with gRPC between them over loopback.
//!
//! Ports are chosen by the system at every start. Each node is told the others' addresses by its
//! configuration, so what a previous start used does not matter.

use std::net::SocketAddr;

use anyhow::Context as _;
use axp_node::config::{
    ClusterConfig, Config, MailConfig, NodeConfig, PeerConfig, PushConfig, RaftConfig,
    StorageConfig,
};
use axp_node::{Listeners, Node, NodeHandle};
use futures_util::future::{join_all, select_all, try_join_all};

use super::folder::Folder;

const ANY_PORT: &str = "127.0.0.1:0";

pub(super) struct Nodes(Vec<NodeHandle>);

impl Nodes {
    /// Starts all of them; they found the cluster together, or come back to it.
    pub(super) async fn start(
        folder: &Folder,
        count: u8,
        storage: &StorageConfig,
        mail: &MailConfig,
    ) -> anyhow::Result<Self> {
        let mut bound = Vec::new();
        for id in 1..=u64::from(count) {
            let config = NodeConfig {
                id,
                data_dir: folder.node(id),
                api_listen: ANY_PORT.into(),
                raft_listen: ANY_PORT.into(),
                admin_listen: ANY_PORT.into(),
                ..NodeConfig::default()
            };
            let listeners = Listeners::bind(&config).await?;
            bound.push((config, listeners));
        }
        let peers = bound.iter().map(|(config, listeners)| peer(config.id, listeners));
        let cluster = ClusterConfig {
            peers: peers.collect::<Result<_, _>>().context("reading the ports of the nodes")?,
            bootstrap_expect: count.into(),
            // A node that was removed ends, and with it this process.
            fixed_members: true,
            ..ClusterConfig::default()
        };
        // Together: none gets anywhere before it has seen the others.
        let starting = bound.into_iter().map(|(node, listeners)| {
            let config = Config {
                node,
                cluster: cluster.clone(),
                raft: timing(count),
                storage: storage.clone(),
                push: push(),
                mail: mail.clone(),
                ..Config::default()
            };
            Box::pin(Node::start_on(config, listeners))
        });
        Ok(Self(try_join_all(starting).await.context("the nodes do not start")?))
    }

    pub(super) fn api_addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|node| node.addresses().api).collect()
    }

    pub(super) async fn wait_ready(&self) {
        join_all(self.0.iter().map(NodeHandle::wait_ready)).await;
    }

    /// Waits until one of them must not go on, and says why.
    pub(super) async fn wait_failed(&self) -> String {
        select_all(self.0.iter().map(|node| Box::pin(node.wait_failed()))).await.0
    }

    /// Stops all at once. There is nobody to hand leadership to: the others stop as well.
    pub(super) async fn stop(self) {
        join_all(self.0.into_iter().map(NodeHandle::abandon)).await;
    }
}

/// Several nodes in one process fail together, so electing quickly gains nothing; and the machine of
/// a developer is busy compiling while they run.
fn timing(count: u8) -> RaftConfig {
    if count == 1 {
        return RaftConfig::default();
    }
    RaftConfig {
        heartbeat_interval_ms: 200,
        election_timeout_min_ms: 800,
        election_timeout_max_ms: 1200,
        breaker_after_ms: 1800,
        ..RaftConfig::default()
    }
}

/// Receivers of somebody who develops are on the same machine.
fn push() -> PushConfig {
    PushConfig { allow_private_targets: true, ..PushConfig::default() }
}

fn peer(id: u64, listeners: &Listeners) -> std::io::Result<PeerConfig> {
    Ok(PeerConfig {
        id,
        raft_address: listeners.raft.local_addr()?.to_string(),
        api_address: listeners.api.local_addr()?.to_string(),
    })
}
