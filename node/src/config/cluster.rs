//! Section `cluster`: the nodes, and how many of them found the cluster.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, require_host_port};

/// The nodes of the cluster. The same on every node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// All founding nodes. A node that is not named here founds nothing: it asks these, or any other
    /// members, and waits until it is added (`axp cluster add`). May stay empty for a cluster of one.
    pub peers: Vec<PeerConfig>,
    /// How many nodes found the cluster together: 1, 3 or 5. Read only while the disk is empty.
    pub bootstrap_expect: u32,
    /// How many shards to found the cluster with. Fixed for the life of the cluster; more shards
    /// cost heartbeats when idle, fewer limit how many cores one node can use.
    pub shard_groups: u16,
    /// An empty disk under a number that another disk has, or had, takes the number plus 1000 (or
    /// 2000, ...) for ever and waits to be added. For Kubernetes, where a pod keeps its number when
    /// its volume is lost. Otherwise such a node is refused.
    pub renumber_empty_disks: bool,
    /// Changes of members are refused. For nodes that live and die together, as those of `axp dev`.
    pub fixed_members: bool,
}

/// What is between a node's configured number and those that its later disks take.
pub const RENUMBER_STEP: u64 = 1000;

/// How one node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PeerConfig {
    pub id: u64,
    pub raft_address: String,
    pub api_address: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            bootstrap_expect: 1,
            shard_groups: 4,
            renumber_empty_disks: false,
            fixed_members: false,
        }
    }
}

impl ClusterConfig {
    /// The entry of the node with this id.
    #[must_use]
    pub fn peer(&self, id: u64) -> Option<&PeerConfig> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    pub(super) fn validate(&self, own_id: u64) -> Result<(), Error> {
        if ![1, 3, 5].contains(&self.bootstrap_expect) {
            return Err(Error::invalid(
                "cluster.bootstrap-expect",
                format!("is {}", self.bootstrap_expect),
                "set 1, 3 or 5: an even number survives no more failures than the odd one below",
            ));
        }
        if !(1..=256).contains(&self.shard_groups) {
            return Err(Error::invalid(
                "cluster.shard-groups",
                format!("is {}", self.shard_groups),
                "set 1 to 256; 8 suits three small nodes",
            ));
        }
        self.validate_peers(own_id)
    }

    fn validate_peers(&self, own_id: u64) -> Result<(), Error> {
        const KEY: &str = "cluster.peers";
        if self.peers.is_empty() && self.bootstrap_expect == 1 {
            return Ok(());
        }
        // A node that is not named founds nothing: for it these are members to ask.
        let is_founder = self.peer(own_id).is_some();
        if self.peers.is_empty()
            || is_founder && self.peers.len() as u64 != u64::from(self.bootstrap_expect)
        {
            return Err(Error::invalid(
                KEY,
                format!("names {} nodes", self.peers.len()),
                format!(
                    "name exactly the {} nodes of cluster.bootstrap-expect",
                    self.bootstrap_expect
                ),
            ));
        }
        let ids: BTreeSet<u64> = self.peers.iter().map(|peer| peer.id).collect();
        if ids.len() != self.peers.len() || ids.contains(&0) {
            return Err(Error::invalid(KEY, "repeats an id or has id 0", "give each node its own"));
        }
        let addresses: BTreeSet<&str> =
            self.peers.iter().map(|peer| peer.raft_address.as_str()).collect();
        if addresses.len() != self.peers.len() {
            return Err(Error::invalid(KEY, "repeats a raft-address", "give each node its own"));
        }
        for peer in &self.peers {
            require_host_port("cluster.peers.raft-address", &peer.raft_address)?;
            require_host_port("cluster.peers.api-address", &peer.api_address)?;
        }
        Ok(())
    }
}
