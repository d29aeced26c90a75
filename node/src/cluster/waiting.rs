//! Nodes that ask to be let in. Kept in memory for a few seconds: they ask again and again, and an
//! operator adds a node while it does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axp_proto::node::{ClusterMember, ClusterMembers};
use axp_proto::raft::HelloRequest;
use tokio::time::Instant;

/// Longer than the pauses between two questions of a node that waits.
const REMEMBERED: Duration = Duration::from_secs(5);
/// More nodes than anybody adds at once; others are not noted until there is room.
const NODES_MAX: usize = 64;

/// By id and incarnation: two disks may claim one id, and then none is let in.
type Asked = BTreeMap<(u64, String), (ClusterMember, Instant)>;

/// Who has asked lately. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<Asked>>);

impl Waiting {
    /// Notes who asks, unless it is known to the cluster already.
    pub(super) fn note(&self, request: &HelloRequest, row: &ClusterMembers) {
        let id = request.from_node_id;
        let known = row.members.iter().any(|member| member.node_id == id)
            || row.removed.iter().any(|member| member.node_id == id);
        if known || request.raft_address.is_empty() || request.api_address.is_empty() {
            return;
        }
        let member = ClusterMember {
            node_id: id,
            incarnation: request.incarnation.clone(),
            raft_address: request.raft_address.clone(),
            api_address: request.api_address.clone(),
        };
        let mut asked = self.lock();
        asked.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        let key = (id, request.incarnation.clone());
        if asked.len() < NODES_MAX || asked.contains_key(&key) {
            asked.insert(key, (member, Instant::now()));
        }
    }

    /// Who has asked lately, and how long ago.
    #[must_use]
    pub fn nodes(&self) -> Vec<(ClusterMember, Duration)> {
        let asked = self.lock();
        let lately = asked.values().map(|(node, at)| (node.clone(), at.elapsed()));
        lately.filter(|(_, ago)| *ago < REMEMBERED).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(id: u64, incarnation: &str) -> HelloRequest {
        HelloRequest {
            from_node_id: id,
            incarnation: incarnation.to_owned(),
            raft_address: "host:1".to_owned(),
            api_address: "host:2".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_are_noted_for_a_while_and_members_are_not() {
        let member = ClusterMember { node_id: 1, ..ClusterMember::default() };
        let row = ClusterMembers { members: vec![member], ..ClusterMembers::default() };
        let waiting = Waiting::default();
        waiting.note(&hello(1, "a"), &row);
        waiting.note(&HelloRequest { from_node_id: 5, ..HelloRequest::default() }, &row);
        assert!(waiting.nodes().is_empty(), "a member, and a node without an address");
        waiting.note(&hello(4, "a"), &row);
        waiting.note(&hello(4, "b"), &row);
        assert_eq!(waiting.nodes().len(), 2, "two disks");
        tokio::time::advance(REMEMBERED).await;
        assert!(waiting.nodes().is_empty());
    }

    #[tokio::test]
    async fn what_is_noted_is_bounded() {
        let waiting = Waiting::default();
        for id in 1..=200 {
            waiting.note(&hello(id, "a"), &ClusterMembers::default());
        }
        assert_eq!(waiting.nodes().len(), NODES_MAX);
    }
}
