//! Members come and go: a node with an empty disk at a free place, what operators ask, and what the
//! cluster says of its members.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axp_proto::node::change_members_response::Outcome;
use axp_proto::node::{ChangeMembersRequest, ClusterMembers};
use tokio::time::Instant;

use super::config::{NodeAddress, node_toml};
use super::{Cluster, Node, NodeStatus, POLL};

impl Cluster {
    /// Who belongs to the cluster now.
    pub fn members(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_member())
    }

    /// Starts a node with a new id and an empty disk where there is room. It asks to be let in.
    ///
    /// # Errors
    /// When every place is taken, or it cannot be started.
    pub fn start_newcomer(&self) -> anyhow::Result<&Node> {
        let free = self.nodes.iter().find(|node| !node.is_member() && node.process.pid().is_none());
        let node = free.context("there is no room for another node")?;
        node.renumber(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        self.empty_disk(node)?;
        let known: Vec<NodeAddress> = self.members().map(Node::address).collect();
        let config = node_toml(&self.shape, &known, &node.address(), node.data());
        std::fs::write(node.process.config(), config)?;
        node.process.start()?;
        Ok(node)
    }

    /// Whatever a node that is down had is gone.
    ///
    /// # Errors
    /// When its disk cannot be written.
    pub fn empty_disk(&self, node: &Node) -> anyhow::Result<()> {
        let data = node.data();
        std::fs::remove_dir_all(data)?;
        std::fs::create_dir(data)?;
        std::fs::File::open(data.parent().context("a folder lies in one")?)?.sync_all()?;
        Ok(())
    }

    /// Asks for other members, whoever leads, and asks again where it was refused for now only.
    ///
    /// # Errors
    /// With the last refusal, when nobody has taken it `within` this time.
    pub async fn change_members(
        &self,
        request: &ChangeMembersRequest,
        within: Duration,
    ) -> anyhow::Result<ClusterMembers> {
        let deadline = Instant::now() + within;
        let mut refused = "nobody leads the control group".to_owned();
        loop {
            for node in self.members() {
                match node.probe.change_members(request.clone()).await {
                    Some(Outcome::Accepted(row)) => return Ok(row),
                    Some(Outcome::Rejection(rejection)) => refused = rejection.message,
                    Some(Outcome::NotLeader(_)) | None => {}
                }
            }
            if Instant::now() > deadline {
                bail!("the members cannot be changed: {refused}");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The newest row of the members that a node knows.
#[must_use]
pub fn newest_row(statuses: &[NodeStatus]) -> Option<&ClusterMembers> {
    let rows = statuses.iter().filter_map(|status| status.members.as_ref());
    rows.max_by_key(|row| (row.epoch, row.settled))
}

/// Why the groups do not have exactly these voters, if they do not, as their leaders say.
#[must_use]
pub fn unlike(statuses: &[NodeStatus], groups: u16, wanted: &BTreeSet<u64>) -> Option<String> {
    let leaders = super::admin::leaders_of(statuses);
    for group in 0..=groups {
        let Some(leader) = leaders.get(&group) else {
            return Some(format!("nobody leads group {group}"));
        };
        let mut of = statuses.iter().filter(|status| status.node_id == leader.node);
        let Some(said) = of.find_map(|s| s.groups.iter().find(|g| g.group == u32::from(group)))
        else {
            return Some(format!("the leader of group {group} says nothing of it"));
        };
        let voters: BTreeSet<u64> = said.voters.iter().copied().collect();
        if voters != *wanted || !said.next_voters.is_empty() || !said.learners.is_empty() {
            return Some(format!(
                "group {group} has the voters {:?}, then {:?}, and the learners {:?}",
                said.voters, said.next_voters, said.learners
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use axp_proto::node::GroupStatus;

    use super::*;

    #[test]
    fn groups_that_are_not_as_wanted_are_found() {
        let group = |group, voters: &[u64]| GroupStatus {
            group,
            role: "leader".to_owned(),
            voters: voters.to_vec(),
            ..GroupStatus::default()
        };
        let status = |groups| NodeStatus { node_id: 1, groups, ..NodeStatus::default() };
        let wanted = BTreeSet::from([1, 2, 4]);
        let good = vec![group(0, &[1, 2, 4]), group(1, &[1, 2, 4])];
        assert_eq!(unlike(&[status(good.clone())], 1, &wanted), None);
        assert!(unlike(&[status(good.clone())], 2, &wanted).is_some(), "group 2 has no leader");
        let spoil = |spoil: fn(&mut GroupStatus)| {
            let mut groups = good.clone();
            spoil(&mut groups[1]);
            unlike(&[status(groups)], 1, &wanted)
        };
        assert!(spoil(|group| group.voters[0] = 3).is_some());
        assert!(spoil(|group| group.next_voters = vec![1, 2, 3]).is_some());
        assert!(spoil(|group| group.learners = vec![3]).is_some());
    }
}
