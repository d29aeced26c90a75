//! How every member of the cluster is reached. The configuration wins over the founding, since
//! addresses may change and members may not.

use std::collections::{BTreeMap, BTreeSet};

use axp_proto::ids::GroupId;
use axp_proto::raft::Founding;

use crate::config::{ClusterConfig, PeerConfig};

/// The members of a founded cluster.
#[derive(Debug, Clone)]
pub struct Members {
    cluster_id: String,
    shard_groups: u16,
    own_id: u64,
    members: BTreeMap<u64, PeerConfig>,
}

/// A founding that no node of this version would have written.
#[derive(Debug, thiserror::Error)]
#[error("the founding names {0} shard groups")]
pub struct MalformedFounding(u32);

impl Members {
    /// # Errors
    /// When the founding makes no sense.
    pub fn new(
        founding: &Founding,
        cluster: &ClusterConfig,
        own: &PeerConfig,
    ) -> Result<Self, MalformedFounding> {
        let shard_groups = u16::try_from(founding.shard_groups)
            .ok()
            .filter(|groups| (1..=4096).contains(groups))
            .ok_or(MalformedFounding(founding.shard_groups))?;
        if shard_groups != cluster.shard_groups {
            tracing::warn!(
                configured = cluster.shard_groups,
                founded = shard_groups,
                "cluster.shard-groups is not what the cluster was founded with, and is ignored"
            );
        }
        let address = |member: &axp_proto::raft::Member| {
            let configured = match member.node_id {
                id if id == own.id => Some(own),
                id => cluster.peer(id),
            };
            let founded = || PeerConfig {
                id: member.node_id,
                raft_address: member.raft_address.clone(),
                api_address: member.api_address.clone(),
            };
            (member.node_id, configured.cloned().unwrap_or_else(founded))
        };
        Ok(Self {
            cluster_id: founding.cluster_id.clone(),
            shard_groups,
            own_id: own.id,
            members: founding.members.iter().map(address).collect(),
        })
    }

    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    #[must_use]
    pub fn own_id(&self) -> u64 {
        self.own_id
    }

    #[must_use]
    pub fn shard_groups(&self) -> u16 {
        self.shard_groups
    }

    /// The control group and every shard.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..=self.shard_groups).map(GroupId)
    }

    #[must_use]
    pub fn ids(&self) -> BTreeSet<u64> {
        self.members.keys().copied().collect()
    }

    /// Every member, this node included, by id.
    pub fn iter(&self) -> impl Iterator<Item = &PeerConfig> {
        self.members.values()
    }

    /// Where the node API of a node is: the hint in `NotLeader`.
    #[must_use]
    pub fn api_address(&self, id: u64) -> Option<&str> {
        self.members.get(&id).map(|member| member.api_address.as_str())
    }

    /// The node that should lead this group when all is well: the members in turn.
    #[must_use]
    pub fn preferred_leader(&self, group: GroupId) -> u64 {
        let turn = usize::from(group.0) % self.members.len().max(1);
        self.members.keys().nth(turn).copied().unwrap_or(self.own_id)
    }
}

#[cfg(test)]
mod tests {
    use axp_proto::raft::Member;

    use super::*;

    fn peer(id: u64, host: &str) -> PeerConfig {
        PeerConfig { id, raft_address: format!("{host}:1"), api_address: format!("{host}:2") }
    }

    fn members() -> Members {
        let member = |id: u64| Member {
            node_id: id,
            incarnation: String::new(),
            raft_address: "old:1".to_owned(),
            api_address: "old:2".to_owned(),
        };
        let founding = Founding {
            cluster_id: "c".to_owned(),
            members: vec![member(1), member(2), member(5)],
            shard_groups: 4,
            founded_at_ms: 0,
        };
        let cluster = ClusterConfig { peers: vec![peer(2, "new")], ..ClusterConfig::default() };
        Members::new(&founding, &cluster, &peer(1, "me")).unwrap()
    }

    #[test]
    fn configured_addresses_win_over_founded_ones() {
        let members = members();
        assert_eq!(members.api_address(1), Some("me:2"));
        assert_eq!(members.api_address(2), Some("new:2"));
        assert_eq!(members.api_address(5), Some("old:2"));
        assert_eq!(members.api_address(9), None);
    }

    #[test]
    fn groups_are_spread_over_the_members() {
        let members = members();
        let leaders: Vec<u64> =
            members.groups().map(|group| members.preferred_leader(group)).collect();
        assert_eq!(leaders, [1, 2, 5, 1, 2]);
    }
}
