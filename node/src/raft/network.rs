//! One group's calls to one peer, as openraft makes them.
//!
//! Every call ends: appends by our own deadline (openraft sets none, and its hint is too short for
//! a disk that stalls), heartbeats and votes by openraft's. A dead peer is `Unreachable`, so that
//! openraft backs off. While the breaker is open, appends, heartbeats and snapshots are not sent;
//! votes are, since an election is what repairs a one-way cut.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::mutant::{self, Mutant};
use axp_proto::raft::append_response::Outcome;
use axp_proto::raft::raft_client::RaftClient;
use axp_proto::raft::{AppendRequest, AppendResponse};
use axp_raft_store::{NodeAddress, SnapshotData, TypeConfig, Vote};
use futures_util::Stream;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{
    Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential,
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes};
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::append_call::AppendCall;
use super::append_stream::{self, PeerLine};
use super::link::Half;
use super::peer::{Peer, Peers};
use super::{BATCH_BYTES_MAX, snapshot, wire};
use crate::config::RaftConfig;
use crate::metrics as names;

/// Waits after `Unreachable`; a peer that answers pings again ends the wait early (`groups`).
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Makes the clients of one group.
#[derive(Debug, Clone)]
pub(super) struct NetworkFactory {
    group: GroupId,
    peers: Peers,
    append_timeout: Duration,
    snapshot_stall_timeout: Duration,
}

impl NetworkFactory {
    pub(super) fn new(group: GroupId, peers: Peers, config: &RaftConfig) -> Self {
        Self {
            group,
            peers,
            append_timeout: config.append_timeout(),
            snapshot_stall_timeout: config.snapshot_stall_timeout(),
        }
    }

    fn client(&self, target: u64, node: &NodeAddress, lane: Lane) -> GroupNetwork {
        let peer = match self.peers.get(target) {
            // Added to the group before its row has come here.
            None if !node.raft_address.is_empty() && !self.peers.is_removed(target) => {
                self.peers.add(target, &node.raft_address).ok()
            }
            known => known,
        };
        GroupNetwork { factory: self.clone(), target, peer, lane, heartbeats: None }
    }
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = GroupNetwork;

    async fn new_client(&mut self, target: u64, node: &NodeAddress) -> GroupNetwork {
        self.client(target, node, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &NodeAddress) -> GroupNetwork {
        self.client(target, node, Lane::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &NodeAddress) -> GroupNetwork {
        self.client(target, node, Lane::Append)
    }
}

/// What this client's appends are: each kind has a connection and a deadline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Heartbeat,
    Append,
}

/// A client of one group for one peer.
#[derive(Debug)]
pub(super) struct GroupNetwork {
    factory: NetworkFactory,
    target: u64,
    /// `None`: nobody says where the node is. It is no founder then, or was removed.
    peer: Option<Arc<Peer>>,
    lane: Lane,
    /// The call that heartbeats share.
    heartbeats: Option<AppendCall>,
}

type RpcError = RPCError<TypeConfig>;
type AppendItem = Result<StreamAppendResult<TypeConfig>, RpcError>;

impl GroupNetwork {
    fn peer(&self) -> Result<&Arc<Peer>, Unreachable<TypeConfig>> {
        self.peer
            .as_ref()
            .ok_or_else(|| Unreachable::from_string(format!("no address of node {}", self.target)))
    }

    /// The peer, unless it answers no pings.
    pub(super) fn reachable_peer(
        &self,
        call: &'static str,
    ) -> Result<&Arc<Peer>, Unreachable<TypeConfig>> {
        let peer = self.peer()?;
        if peer.breaker().is_open() && !mutant::active(Mutant::BreakerOff) {
            self.count_failure(call, "breaker");
            return Err(Unreachable::from_string(format!("node {} answers no pings", self.target)));
        }
        Ok(peer)
    }

    pub(super) fn loses_request(&self) -> bool {
        self.loses_append(Half::Request)
    }

    pub(super) fn loses_answer(&self) -> bool {
        self.loses_append(Half::Answer)
    }

    fn loses_append(&self, half: Half) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.links.loses(self.target, "append", half))
    }

    /// That appends cannot go on, counted under a reason.
    pub(super) fn append_failed(&self, reason: &'static str, why: &str) -> RpcError {
        self.count_failure("append", reason);
        Unreachable::from_string(format!("append by node {}: {why}", self.target)).into()
    }

    /// That a request to append got no answer in time.
    pub(super) fn append_timed_out(&self) -> RpcError {
        self.count_failure("append", "deadline");
        RPCError::Timeout(Timeout {
            action: RPCTypes::AppendEntries,
            id: self.factory.peers.node_id(),
            target: self.target,
            timeout: self.append_timeout(),
        })
    }

    pub(super) fn append_timeout(&self) -> Duration {
        if mutant::active(Mutant::CommitAlone) {
            return Duration::from_millis(50);
        }
        patience(self.factory.append_timeout)
    }

    pub(super) fn wire_target(&self) -> axp_proto::raft::Target {
        wire::target(self.factory.peers.cluster_id(), self.factory.group, self.target)
    }

    /// One request and its answer, within the deadline.
    async fn call<T, F>(
        &self,
        call: Call,
        deadline: Duration,
        send: impl FnOnce(RaftClient<Channel>) -> F,
    ) -> Result<T, RpcError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let peer = self.peer()?;
        let client = peer.control.clone();
        let exchange = async {
            peer.links.request(self.target, call.name).await;
            let answer = send(client).await;
            peer.links.answer(self.target, call.name).await;
            answer
        };
        match tokio::time::timeout(patience(deadline), exchange).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                self.count_failure(call.name, "refused");
                let detail = format!("{} by node {}: {status}", call.name, self.target);
                Err(Unreachable::from_string(detail).into())
            }
            Err(_) => {
                self.count_failure(call.name, "deadline");
                Err(RPCError::Timeout(Timeout {
                    action: call.kind,
                    id: self.factory.peers.node_id(),
                    target: self.target,
                    timeout: deadline,
                }))
            }
        }
    }

    /// One append over a stream that is kept from one heartbeat to the next.
    async fn heartbeat(
        &mut self,
        message: AppendRequest,
        deadline: Duration,
    ) -> Result<AppendResponse, RpcError> {
        // Taken out while an answer is open: one that nobody waited for must not be taken for the
        // answer to the next heartbeat.
        let kept = self.heartbeats.take();
        let exchange = |client: RaftClient<Channel>| async move {
            if let Some(mut call) = kept {
                call.send(message.clone());
                if let Ok(answer) = call.answer().await {
                    return Ok(Response::new((call, answer)));
                }
                // The peer was started again, or this group there.
            }
            let mut call = AppendCall::open(client).await?;
            call.send(message);
            let answer = call.answer().await?;
            Ok(Response::new((call, answer)))
        };
        let (call, answer) = self.call(Call::HEARTBEAT, deadline, exchange).await?;
        // After a conflict or a higher vote the peer ends the stream.
        let goes_on = matches!(
            answer.outcome,
            Some(Outcome::Success(_) | Outcome::PartialSuccess(_) | Outcome::PartialNone(_))
        );
        self.heartbeats = goes_on.then_some(call);
        Ok(answer)
    }

    fn count_failure(&self, call: &'static str, reason: &'static str) {
        let peer = self.target.to_string();
        metrics::counter!(names::RAFT_CALLS_FAILED, "peer" => peer, "call" => call, "reason" => reason)
            .increment(1);
    }
}

/// How long a call may take that has this deadline.
fn patience(deadline: Duration) -> Duration {
    match mutant::active(Mutant::PeerWithoutDeadline) {
        true => Duration::from_secs(3600),
        false => deadline,
    }
}

/// What is called by the connection for what is small and urgent.
#[derive(Debug, Clone, Copy)]
struct Call {
    name: &'static str,
    kind: RPCTypes,
}

impl Call {
    const VOTE: Self = Self { name: "vote", kind: RPCTypes::Vote };
    const PRE_VOTE: Self = Self { name: "pre-vote", ..Self::VOTE };
    const TRANSFER: Self = Self { name: "transfer-leader", kind: RPCTypes::TransferLeader };
    const HEARTBEAT: Self = Self { name: "heartbeat", kind: RPCTypes::AppendEntries };
}

/// An answer that makes no sense: the peer runs something else, so there is no hurry to retry.
fn malformed(error: &wire::Error) -> RpcError {
    Unreachable::new(error).into()
}

impl RaftNetworkV2<TypeConfig> for GroupNetwork {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        self.reachable_peer(Call::HEARTBEAT.name)?;
        let (message, cut_after) =
            wire::append_request(self.wire_target(), &request, BATCH_BYTES_MAX);
        let answer = self.heartbeat(message, option.hard_ttl()).await?;
        wire::append_answer_from(answer, cut_after).map_err(|error| malformed(&error))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, AppendItem>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        if self.lane == Lane::Heartbeat {
            return stream_append_sequential(self, requests, option);
        }
        Box::pin(append_stream::run(requests, PeerLine::open(self)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let message = wire::vote_request(self.wire_target(), &request);
        let send = |mut client: RaftClient<Channel>| async move { client.vote(message).await };
        let answer = self.call(Call::VOTE, option.hard_ttl(), send).await?;
        wire::vote_answer_from(answer).map_err(|error| malformed(&error))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let message = wire::vote_request(self.wire_target(), &request);
        let send = |mut client: RaftClient<Channel>| async move { client.pre_vote(message).await };
        let answer = self.call(Call::PRE_VOTE, option.hard_ttl(), send).await?;
        wire::vote_answer_from(answer).map_err(|error| malformed(&error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: snapshot::Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let peer = self.reachable_peer("snapshot")?;
        let transfer = snapshot::Transfer {
            peer,
            target: self.wire_target(),
            stall_timeout: self.factory.snapshot_stall_timeout,
            from_node: self.factory.peers.node_id(),
        };
        let result = transfer.run(&vote, snapshot, cancel).await;
        if result.is_err() {
            self.count_failure("snapshot", "failed");
        }
        result
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let message = wire::transfer_request(self.wire_target(), &request);
        let send =
            |mut client: RaftClient<Channel>| async move { client.transfer_leader(message).await };
        let answer = self.call(Call::TRANSFER, option.hard_ttl(), send).await?;
        wire::transfer_answer_from(&answer).map_err(|error| malformed(&error))
    }

    fn backoff(&self) -> Option<Backoff> {
        let doubled = |wait: &Duration| Some((*wait * 2).min(BACKOFF_MAX));
        Some(Backoff::new(std::iter::successors(Some(BACKOFF_FIRST), doubled)))
    }
}
