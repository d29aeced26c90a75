//! The replicas of one group, where it is led: what they are, and one step of a change of them.
//!
//! Every step names the membership that it was decided on and is refused on any other, so a step of
//! somebody who fell asleep over it does nothing. Voters change by joint consensus only; openraft
//! takes the second half itself, and if its leader dies in between the next step finishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::raft::change_replicas_request::Step;
use axp_proto::raft::{ChangeReplicasRequest, LogId, ReplicasRequest, ReplicasResponse};
use axp_raft_store::wire::{log_id_from_proto, log_id_to_proto, membership_to_proto};
use axp_raft_store::{NodeAddress, Raft, TypeConfig};
use openraft::async_runtime::WatchReceiver as _;
use openraft::raft::Precondition;
use openraft::{ChangeMembers, LogIdOptionExt as _, RaftMetrics, ReadPolicy, ServerState};
use tonic::{Response, Status};

use super::peer::{Peer, Peers};
use super::wire;

/// A replica that lacks at most this many entries has caught up.
const LAG_MAX: u64 = 1000;
/// How long a majority may take to confirm who leads, and to commit a step. A step that takes longer
/// may still happen; whoever asked looks again.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(1);
const STEP_DEADLINE: Duration = Duration::from_secs(10);

type Change = ChangeMembers<u64, NodeAddress>;

/// What the leader knows, confirmed by a majority now.
///
/// # Errors
/// When this node does not lead the group, or no majority confirms it.
pub(crate) async fn describe(raft: &Raft) -> Result<ReplicasResponse, Status> {
    let confirmed = raft.ensure_linearizable(ReadPolicy::ReadIndex);
    match tokio::time::timeout(CONFIRM_DEADLINE, confirmed).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => return Err(not_leading()),
    }
    let metrics = raft.metrics().borrow_watched().clone();
    if metrics.state != ServerState::Leader {
        return Err(not_leading());
    }
    let membership = &metrics.membership_config;
    let committed = metrics.local_committed.max(metrics.cluster_committed);
    Ok(ReplicasResponse {
        membership: Some(membership_to_proto(membership.membership())),
        membership_log_id: membership.log_id().as_ref().map(log_id_to_proto),
        committed: membership.log_id().is_some() && *membership.log_id() <= committed,
        caught_up: caught_up(&metrics),
    })
}

/// The same, asked of the peer that leads the group.
///
/// # Errors
/// As [`describe`], and when the peer does not answer in time.
pub(crate) async fn ask(
    peers: &Peers,
    peer: &Peer,
    group: GroupId,
) -> Result<ReplicasResponse, Status> {
    let target = wire::target(peers.cluster_id(), group, peer.id());
    let request = ReplicasRequest { target: Some(target) };
    let mut client = peer.control.clone();
    let answer = async move { client.replicas(request).await };
    exchange(peer, "replicas", CONFIRM_DEADLINE * 2, answer).await
}

/// Has the peer that leads the group take a step.
///
/// # Errors
/// As [`change`], and when the peer does not answer in time.
pub(crate) async fn order(
    peers: &Peers,
    peer: &Peer,
    group: GroupId,
    observed: Option<LogId>,
    step: Step,
) -> Result<(), Status> {
    let target = wire::target(peers.cluster_id(), group, peer.id());
    let request = ChangeReplicasRequest { target: Some(target), observed, step: Some(step) };
    let mut client = peer.control.clone();
    let answer = async move { client.change_replicas(request).await };
    exchange(peer, "change-replicas", STEP_DEADLINE + CONFIRM_DEADLINE, answer).await.map(drop)
}

async fn exchange<T>(
    peer: &Peer,
    call: &'static str,
    deadline: Duration,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    let exchange = async {
        peer.links.request(peer.id(), call).await;
        let answer = answer.await;
        peer.links.answer(peer.id(), call).await;
        answer
    };
    match tokio::time::timeout(deadline, exchange).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

fn not_leading() -> Status {
    Status::unavailable("this node does not lead the group")
}

fn caught_up(metrics: &RaftMetrics<TypeConfig>) -> Vec<u64> {
    let last = metrics.last_log_index.map_or(0, |last| last + 1);
    let near = |matched: &Option<axp_raft_store::LogId>| {
        matched.is_some() && last.saturating_sub(matched.next_index()) <= LAG_MAX
    };
    let others = metrics.replication.iter().flatten().filter(|(_, matched)| near(matched));
    let all: BTreeSet<u64> = others.map(|(id, _)| *id).chain([metrics.id]).collect();
    all.into_iter().collect()
}

/// Takes one step, if the membership is still the observed one.
///
/// # Errors
/// When it is not, when this node does not lead the group, or when the outcome is not known in time.
pub(crate) async fn change(raft: &Raft, observed: Option<LogId>, step: Step) -> Result<(), Status> {
    let observed = observed.as_ref().map(log_id_from_proto).transpose();
    let observed = observed.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let change = match step {
        Step::MoveLeader(to) => {
            let moved = raft.trigger().transfer_leader(to).await;
            return moved.map_err(|error| Status::unavailable(error.to_string()));
        }
        Step::AddLearner(node) => {
            let address = NodeAddress { raft_address: node.raft_address };
            Change::AddNodes(BTreeMap::from([(node.node_id, address)]))
        }
        Step::SetVoters(voters) => Change::ReplaceAllVoters(voters.node_ids.into_iter().collect()),
        Step::RemoveLearner(node) => Change::RemoveNodes(BTreeSet::from([node])),
    };
    let same = Precondition::LastMembershipLogId { last_membership_log_id: observed };
    let changed = raft.change_membership_if(change, false, [same]);
    match tokio::time::timeout(STEP_DEADLINE, changed).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Status::failed_precondition(error.to_string())),
        Err(_) => Err(Status::deadline_exceeded("the step is not committed in time")),
    }
}
