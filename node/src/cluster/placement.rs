//! Which nodes hold a replica of a group. Today all of them do; whoever wants to know asks here, so
//! that placing groups on some of the nodes is a change of this file.

use std::collections::BTreeSet;

use axp_proto::ids::GroupId;

/// The nodes whose replicas of `group` vote when `nodes` are the members of the cluster.
#[must_use]
pub fn replicas(_group: GroupId, nodes: &BTreeSet<u64>) -> BTreeSet<u64> {
    nodes.clone()
}

/// The node that should lead the group when all is well: its replicas in turn.
#[must_use]
pub fn preferred_leader(group: GroupId, nodes: &BTreeSet<u64>) -> Option<u64> {
    let replicas = replicas(group, nodes);
    let turn = usize::from(group.0) % replicas.len().max(1);
    replicas.into_iter().nth(turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_led_by_the_members_in_turn() {
        let nodes = BTreeSet::from([1, 2, 5]);
        let leaders = (0..5).map(|group| preferred_leader(GroupId(group), &nodes).unwrap());
        assert_eq!(leaders.collect::<Vec<_>>(), [1, 2, 5, 1, 2]);
        assert_eq!(preferred_leader(GroupId(1), &BTreeSet::new()), None);
    }
}
