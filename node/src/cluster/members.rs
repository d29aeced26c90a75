//! Who is in the cluster, and how every member is reached: the founding, and from the first change
//! on the row of the control group that `follow` brings here. The configuration wins over the
//! addresses of both, since addresses may change and members may not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axp_proto::ids::GroupId;
use axp_proto::node::{ClusterMember, ClusterMembers};
use axp_proto::raft::Founding;
use tokio::sync::watch;

use super::placement;
use crate::config::{ClusterConfig, PeerConfig};

/// The members of a founded cluster, as this node knows them now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Members(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster_id: String,
    shard_groups: u16,
    own: PeerConfig,
    founders: BTreeSet<u64>,
    configured: Vec<PeerConfig>,
    known: watch::Sender<Arc<Known>>,
}

/// One state of the membership.
#[derive(Debug)]
struct Known {
    row: ClusterMembers,
    members: BTreeMap<u64, PeerConfig>,
}

/// A founding that no node of this version would have written.
#[derive(Debug, thiserror::Error)]
#[error("the founding names {0} shard groups")]
pub struct MalformedFounding(u32);

impl Members {
    /// `admitted`: the row with which this node was let in, unless it is a founder.
    ///
    /// # Errors
    /// When the founding makes no sense.
    pub fn new(
        founding: &Founding,
        admitted: Option<&ClusterMembers>,
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
        let row = admitted.cloned().unwrap_or_else(|| founded(founding));
        let members = addresses(&row, own, &cluster.peers);
        Ok(Self(Arc::new(Inner {
            cluster_id: founding.cluster_id.clone(),
            shard_groups,
            own: own.clone(),
            founders: founding.members.iter().map(|member| member.node_id).collect(),
            configured: cluster.peers.clone(),
            known: watch::Sender::new(Arc::new(Known { row, members })),
        })))
    }

    /// Takes a newer state over; an older one changes nothing.
    pub fn update(&self, row: ClusterMembers) {
        let members = addresses(&row, &self.0.own, &self.0.configured);
        self.0.known.send_if_modified(|known| {
            let age = |row: &ClusterMembers| (row.epoch, row.settled);
            if age(&row) <= age(&known.row) {
                return false;
            }
            *known = Arc::new(Known { row, members });
            true
        });
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.known.borrow())
    }

    /// Becomes ready when `update` has changed something.
    pub async fn changed(&self, seen_epoch: u64, seen_settled: bool) {
        let mut known = self.0.known.subscribe();
        // The sender lives in ourselves, so the channel cannot close.
        known
            .wait_for(|known| (known.row.epoch, known.row.settled) != (seen_epoch, seen_settled))
            .await
            .ok();
    }

    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.0.cluster_id
    }

    #[must_use]
    pub fn own_id(&self) -> u64 {
        self.0.own.id
    }

    /// Whether this node founded the cluster with others; else it was added.
    #[must_use]
    pub fn is_founder(&self) -> bool {
        self.0.founders.contains(&self.0.own.id)
    }

    /// Who founded the cluster, members still or not.
    #[must_use]
    pub fn founders(&self) -> BTreeSet<u64> {
        self.0.founders.clone()
    }

    #[must_use]
    pub fn shard_groups(&self) -> u16 {
        self.0.shard_groups
    }

    /// The control group and every shard.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..=self.0.shard_groups).map(GroupId)
    }

    /// The row, or what the founding says in its place.
    #[must_use]
    pub fn row(&self) -> ClusterMembers {
        self.known().row.clone()
    }

    /// Everybody who is admitted and not removed.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<u64> {
        self.known().members.keys().copied().collect()
    }

    /// Every member, this node included, by id.
    pub fn iter(&self) -> impl Iterator<Item = PeerConfig> + use<> {
        self.known().members.values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// Where the node API of a node is: the hint in `NotLeader`.
    #[must_use]
    pub fn api_address(&self, id: u64) -> Option<String> {
        self.known().members.get(&id).map(|member| member.api_address.clone())
    }

    /// The node that should lead this group when all is well.
    #[must_use]
    pub fn preferred_leader(&self, group: GroupId) -> u64 {
        let wanted = self.known().row.wanted.iter().copied().collect();
        placement::preferred_leader(group, &wanted).unwrap_or(self.own_id())
    }
}

/// What the row would say of a cluster that is as it was founded.
#[must_use]
pub(super) fn founded(founding: &Founding) -> ClusterMembers {
    let member = |member: &axp_proto::raft::Member| ClusterMember {
        node_id: member.node_id,
        incarnation: member.incarnation.clone(),
        raft_address: member.raft_address.clone(),
        api_address: member.api_address.clone(),
    };
    let ids: Vec<u64> = founding.members.iter().map(|member| member.node_id).collect();
    ClusterMembers {
        members: founding.members.iter().map(member).collect(),
        wanted: ids.clone(),
        before: ids,
        settled: true,
        changed_at_ms: founding.founded_at_ms,
        ..ClusterMembers::default()
    }
}

fn addresses(
    row: &ClusterMembers,
    own: &PeerConfig,
    configured: &[PeerConfig],
) -> BTreeMap<u64, PeerConfig> {
    let address = |member: &ClusterMember| {
        let configured = match member.node_id {
            id if id == own.id => Some(own),
            id => configured.iter().find(|peer| peer.id == id),
        };
        let told = || PeerConfig {
            id: member.node_id,
            raft_address: member.raft_address.clone(),
            api_address: member.api_address.clone(),
        };
        (member.node_id, configured.cloned().unwrap_or_else(told))
    };
    row.members.iter().map(address).collect()
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
        Members::new(&founding, None, &cluster, &peer(1, "me")).unwrap()
    }

    #[test]
    fn configured_addresses_win_over_founded_ones() {
        let members = members();
        assert_eq!(members.api_address(1).as_deref(), Some("me:2"));
        assert_eq!(members.api_address(2).as_deref(), Some("new:2"));
        assert_eq!(members.api_address(5).as_deref(), Some("old:2"));
        assert_eq!(members.api_address(9), None);
    }

    #[test]
    fn only_a_newer_row_is_taken_over() {
        let members = members();
        let mut row = members.row();
        row.epoch = 2;
        row.settled = false;
        row.wanted = vec![1, 2];
        members.update(row.clone());
        assert_eq!(members.preferred_leader(GroupId(2)), 1);
        members.update(ClusterMembers { epoch: 1, wanted: vec![9], ..row.clone() });
        assert_eq!(members.row(), row, "it is older");
        let done = ClusterMembers { settled: true, members: row.members[..2].to_vec(), ..row };
        members.update(done.clone());
        assert_eq!(members.row(), done);
        assert_eq!(members.ids(), BTreeSet::from([1, 2]));
    }
}
