//! What processes say of themselves: readiness by HTTP, roles by gRPC.

use std::collections::BTreeMap;
use std::time::Duration;

use axp_proto::node::admin_client::AdminClient;
use axp_proto::node::change_members_response::Outcome;
use axp_proto::node::{
    ChangeMembersRequest, StateHashRequest, StatusRequest, StatusResponse, TransferLeaderRequest,
};
use tonic::transport::{Channel, Endpoint};

use crate::history::ReplicaHash;
use crate::http::HttpClient;

/// A paused process accepts connections and never answers.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

const CHANGE_WITHIN: Duration = Duration::from_secs(3);

/// Reading a whole state takes a while, and so does waiting for an index.
const HASH_WITHIN: Duration = Duration::from_secs(20);

/// Who leads a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    pub node: u64,
    pub term: u64,
}

/// What a node answered.
pub type NodeStatus = StatusResponse;

/// How one node is asked.
#[derive(Debug)]
pub(super) struct Probe {
    admin: AdminClient<Channel>,
    replicas: ReplicaProbe,
    address: String,
}

/// How one node is asked what the states of its replicas come to.
#[derive(Debug, Clone)]
pub struct ReplicaProbe(AdminClient<Channel>);

impl Probe {
    pub(super) fn new(api: &str, admin: &str) -> anyhow::Result<Self> {
        let endpoint =
            Endpoint::from_shared(format!("http://{api}"))?.connect_timeout(ANSWER_WITHIN);
        let within = |limit| AdminClient::new(endpoint.clone().timeout(limit).connect_lazy());
        Ok(Self {
            admin: within(ANSWER_WITHIN),
            replicas: ReplicaProbe(within(HASH_WITHIN)),
            address: admin.to_owned(),
        })
    }

    pub(super) fn replicas(&self) -> ReplicaProbe {
        self.replicas.clone()
    }

    pub(super) async fn is_ready(&self) -> bool {
        answers_ok(&format!("http://{}/readyz", self.address)).await
    }

    /// Asks for a hand-over. A refusal is no failure: who leads may have changed meanwhile.
    pub(super) async fn hand_over(&self, group: u16, to_node_id: u64) {
        let request = TransferLeaderRequest { group: group.into(), to_node_id };
        if let Err(status) = self.admin.clone().transfer_leader(request).await {
            tracing::debug!(group, to_node_id, %status, "not handed over");
        }
    }

    /// Asks for other members; nothing when it does not answer.
    pub(super) async fn change_members(&self, request: ChangeMembersRequest) -> Option<Outcome> {
        // It waits for an entry, and for a majority before that.
        let mut admin = self.replicas.0.clone();
        let asked = tokio::time::timeout(CHANGE_WITHIN, admin.change_members(request)).await;
        asked.ok()?.ok()?.into_inner().outcome
    }

    pub(super) async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.address);
        let text = HttpClient::new("").text(&url, ANSWER_WITHIN).await?;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        Some(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    pub(super) async fn status(&self) -> Option<NodeStatus> {
        let asked = self.admin.clone().status(StatusRequest {}).await;
        asked.ok().map(tonic::Response::into_inner)
    }
}

impl ReplicaProbe {
    /// The newest entry in the log of a replica.
    pub(crate) async fn last_log_index(&self, group: u16) -> Option<u64> {
        let mut admin = self.0.clone();
        let status = admin.status(StatusRequest {});
        let status = tokio::time::timeout(ANSWER_WITHIN, status).await.ok()?.ok()?.into_inner();
        let mut groups = status.groups.into_iter();
        groups.find(|status| status.group == u32::from(group)).map(|status| status.last_log_index)
    }

    /// What its state comes to at an index, or now; `None` when it does not say.
    pub(crate) async fn state_hash(
        &self,
        group: u16,
        at_index: Option<u64>,
        wait: Duration,
    ) -> Option<ReplicaHash> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = StateHashRequest { group: group.into(), at_index, wait_ms };
        let answer = self.0.clone().state_hash(request).await;
        let answer = answer.inspect_err(|status| {
            tracing::debug!(group, at_index, %status, "no state hash");
        });
        let answer = answer.ok()?.into_inner();
        let hash = answer.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(ReplicaHash {
            at: 0,
            group,
            node: answer.node_id,
            applied_index: answer.applied_index,
            rows: answer.rows,
            micros: answer.read_micros,
            hash,
        })
    }
}

/// Whether a probe URL answers 200. A fresh connection each time: a probe must not depend on one
/// that the process's former life left behind.
pub(super) async fn answers_ok(url: &str) -> bool {
    HttpClient::new("").status(url, ANSWER_WITHIN).await == Some(200)
}

pub(super) fn leaders_of(statuses: &[NodeStatus]) -> BTreeMap<u16, Leader> {
    let mut leaders: BTreeMap<u16, Leader> = BTreeMap::new();
    for status in statuses {
        for group in status.groups.iter().filter(|group| group.role == "leader") {
            let Ok(id) = u16::try_from(group.group) else { continue };
            let leader = Leader { node: status.node_id, term: group.term };
            // A deposed leader may not know yet.
            let known = leaders.entry(id).or_insert(leader);
            if known.term < leader.term {
                *known = leader;
            }
        }
    }
    leaders
}

#[cfg(test)]
mod tests {
    use axp_proto::node::GroupStatus;

    use super::*;

    #[test]
    fn of_two_leaders_the_newer_counts() {
        let says = |node_id, group, term, role: &str| StatusResponse {
            node_id,
            groups: vec![GroupStatus { group, term, role: role.to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let statuses =
            [says(1, 3, 5, "leader"), says(2, 3, 6, "leader"), says(3, 3, 6, "follower")];
        let leaders = leaders_of(&statuses);
        assert_eq!(leaders[&3], Leader { node: 2, term: 6 });
    }
}
