//! `axp.node.v1.Admin`: what operators ask a node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axp_proto::error_code::ErrorCode;
use axp_proto::node::admin_server::Admin;
use axp_proto::node::change_members_response::Outcome;
use axp_proto::node::{
    ChangeMembersRequest, ChangeMembersResponse, ClusterMember, GroupStatus, PeerStatus, Rejection,
    ReplicaLag, StateHashRequest, StateHashResponse, StatusRequest, StatusResponse,
    TransferLeaderRequest, TransferLeaderResponse, WaitingNode,
};
use axp_raft_store::DIGEST_VERSION;
use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::Context;
use crate::cluster::{Membership, membership};
use crate::raft::state_hash::{Error as HashError, StateHasher};
use crate::raft::{GroupHandle, Groups};

/// The service.
#[derive(Debug)]
pub struct AdminRpc {
    pub context: Arc<Context>,
    pub groups: Groups,
    pub membership: Arc<Membership>,
    pub storage_engine: String,
    pub started: Instant,
    pub ready: Arc<dyn Readiness>,
    pub hasher: StateHasher,
}

impl AdminRpc {
    fn group(&self, number: u32) -> Result<&GroupHandle, Status> {
        let group = axp_proto::ids::GroupId::try_from(number).ok();
        group
            .and_then(|group| self.groups.get(group))
            .ok_or_else(|| Status::not_found("no such group on this node"))
    }
}

/// Whether this node may be sent work.
pub trait Readiness: std::fmt::Debug + Send + Sync + 'static {
    fn is_ready(&self) -> bool;
}

#[tonic::async_trait]
impl Admin for AdminRpc {
    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let peers = self.groups.peers();
        Ok(Response::new(StatusResponse {
            cluster_id: peers.cluster_id().to_string(),
            node_id: peers.node_id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            storage_engine: self.storage_engine.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            groups: self.groups.iter().map(group_status).collect(),
            peers: peers
                .iter()
                .map(|peer| PeerStatus {
                    node_id: peer.id(),
                    address: peer.address().to_owned(),
                    reachable: !peer.breaker().is_open(),
                    round_trip_micros: peer
                        .breaker()
                        .round_trip()
                        .and_then(|time| u64::try_from(time.as_micros()).ok()),
                })
                .collect(),
            ready: self.ready.is_ready(),
            draining: peers.is_draining(),
            members: Some(self.membership.members()),
            waiting: self.membership.waiting().into_iter().map(waiting_node).collect(),
            change_progress: self.membership.progress(),
        }))
    }

    async fn change_members(
        &self,
        request: Request<ChangeMembersRequest>,
    ) -> Result<Response<ChangeMembersResponse>, Status> {
        let outcome = match self.membership.change(request.get_ref()).await {
            Ok(row) => Outcome::Accepted(row),
            Err(membership::Error::NotLeader) => {
                Outcome::NotLeader(self.context.not_leader(&self.context.control.raft))
            }
            Err(membership::Error::Refused(refusal)) => Outcome::Rejection(Rejection {
                code: ErrorCode::Conflict.as_str().to_owned(),
                message: refusal.to_string(),
            }),
            Err(error @ membership::Error::Unknown) => {
                return Err(Status::unavailable(error.to_string()));
            }
        };
        Ok(Response::new(ChangeMembersResponse { outcome: Some(outcome) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let handle = self.group(request.group)?;
        if !handle.is_leader() {
            return Err(Status::failed_precondition("this node does not lead the group"));
        }
        handle
            .raft
            .trigger()
            .transfer_leader(request.to_node_id)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(TransferLeaderResponse {}))
    }

    async fn state_hash(
        &self,
        request: Request<StateHashRequest>,
    ) -> Result<Response<StateHashResponse>, Status> {
        let request = request.into_inner();
        let handle = self.group(request.group)?;
        let wait = Duration::from_millis(request.wait_ms.into());
        let hash = self.hasher.hash(handle, request.at_index, wait).await;
        let hash = hash.map_err(|error| refused(&error))?;
        Ok(Response::new(StateHashResponse {
            node_id: self.groups.peers().node_id(),
            group: request.group,
            applied_index: hash.applied_index,
            hash: Bytes::copy_from_slice(&hash.digest.hash.to_be_bytes()),
            hash_version: DIGEST_VERSION,
            rows: hash.digest.rows,
            bytes: hash.digest.bytes,
            read_micros: u64::try_from(hash.took.as_micros()).unwrap_or(u64::MAX),
        }))
    }
}

fn refused(error: &HashError) -> Status {
    let text = error.to_string();
    match error {
        HashError::Busy => Status::resource_exhausted(text),
        HashError::Passed { .. } => Status::out_of_range(text),
        HashError::NotReached => Status::deadline_exceeded(text),
        HashError::Stopped | HashError::Storage(_) => Status::unavailable(text),
    }
}

fn waiting_node((node, asked_ms_ago): (ClusterMember, u64)) -> WaitingNode {
    WaitingNode { node: Some(node), asked_ms_ago }
}

fn group_status(handle: &GroupHandle) -> GroupStatus {
    let metrics = handle.metrics();
    let last_log_index = metrics.last_log_index.unwrap_or_default();
    let index = |id: Option<axp_raft_store::LogId>| id.map_or(0, |id| id.index);
    let replication = metrics.replication.iter().flatten().map(|(node_id, matched)| {
        let matched_index = index(*matched);
        let lag_entries = last_log_index.saturating_sub(matched_index);
        ReplicaLag { node_id: *node_id, matched_index, lag_entries }
    });
    let membership = metrics.membership_config.membership();
    let mut voters = membership.get_joint_config().iter().map(|set| set.iter().copied().collect());
    GroupStatus {
        group: handle.group.into(),
        role: format!("{:?}", metrics.state).to_lowercase(),
        term: metrics.current_term,
        leader_id: metrics.current_leader.unwrap_or_default(),
        last_log_index,
        committed_index: index(metrics.local_committed),
        applied_index: index(metrics.last_applied),
        purged_index: index(metrics.purged),
        voters: voters.next().unwrap_or_default(),
        next_voters: voters.next().unwrap_or_default(),
        learners: membership.learner_ids().collect(),
        replication: replication.collect(),
    }
}
