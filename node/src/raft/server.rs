//! The service `axp.raft.v1.Raft`: finds the group that a call is meant for.
//!
//! Listens before the cluster is founded, since `Hello` is how it is founded; until the groups are
//! there, everything else is UNAVAILABLE. A call that was meant for another cluster, node or group
//! is refused: addresses get reused, ids do not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::raft::raft_server::{Raft as RaftService, RaftServer};
use axp_proto::raft::{
    AppendRequest, AppendResponse, ChangeReplicasRequest, ChangeReplicasResponse, HelloRequest,
    HelloResponse, PingRequest, PingResponse, ReplicasRequest, ReplicasResponse, SnapshotChunk,
    SnapshotResponse, Target, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};
use axp_raft_store::wire::vote_to_proto;
use axp_raft_store::{Raft, Store, TypeConfig};
use futures_util::stream::BoxStream;
use openraft::errors::{Fatal as RaftFatal, RaftError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::{
    CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, Peers, STREAM_WINDOW_BYTES, replicas, snapshot,
    wire,
};
use crate::net::Listener;
use crate::shutdown::Fatal;

mod append_answers;

/// Installing a snapshot writes a whole group anew: one at a time leaves the disk to the others.
const SNAPSHOTS_AT_ONCE: usize = 1;
/// Calls that a peer may have under way on one connection. Heartbeats and votes of all groups
/// share one, so the bound is far above the number of groups.
const STREAMS_MAX: u32 = 4096;
/// Heartbeats that their sender gave up are streams that were reset. A node that was paused finds
/// hundreds of them, and hyper's default would end the connection over 20.
const RESET_STREAMS_MAX: usize = 16_384;
/// How long calls under way may take to end when the node stops.
const DRAIN: Duration = Duration::from_secs(2);

/// What this node says about itself to a node that asks.
pub trait Greeter: fmt::Debug + Send + Sync + 'static {
    /// # Errors
    /// When the caller is nobody that this node would found a cluster with.
    fn hello(&self, request: &HelloRequest) -> Result<HelloResponse, Status>;
}

/// What the service needs once the groups are started.
#[derive(Debug)]
pub struct Started {
    pub peers: Peers,
    pub groups: BTreeMap<GroupId, Raft>,
    pub store: Arc<Store>,
    pub snapshot_stall_timeout: Duration,
}

/// The Raft port of one node.
#[derive(Debug, Clone)]
pub struct Service {
    greeter: Arc<dyn Greeter>,
    node_id: u64,
    started: Arc<OnceLock<Started>>,
    snapshots: Arc<Semaphore>,
    stopping: CancellationToken,
    fatal: Fatal,
}

impl Service {
    #[must_use]
    pub fn new(
        greeter: Arc<dyn Greeter>,
        node_id: u64,
        stopping: CancellationToken,
        fatal: Fatal,
    ) -> Self {
        let snapshots = Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE));
        Self { greeter, node_id, started: Arc::default(), snapshots, stopping, fatal }
    }

    /// Opens the groups to the peers; the first call counts.
    pub fn set_started(&self, started: Started) {
        if self.started.set(started).is_err() {
            tracing::warn!("the Raft service was started twice");
        }
    }

    /// Serves until the node stops.
    ///
    /// # Errors
    /// When accepting connections fails for good.
    pub async fn serve(self, listener: Listener) -> Result<(), tonic::transport::Error> {
        let stopping = self.stopping.clone();
        let service = RaftServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let incoming = listener.into_incoming();
        let server = Server::builder()
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_adaptive_window(Some(false))
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(4)))
            .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS_MAX))
            .max_concurrent_streams(STREAMS_MAX)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stopping.clone().cancelled_owned());
        // Waiting for connections to close can take for ever (hyper#4170).
        let deadline = async {
            stopping.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            result = server => result,
            () = deadline => Ok(()),
        }
    }

    fn started(&self) -> Result<&Started, Status> {
        if self.stopping.is_cancelled() {
            return Err(Status::unavailable("the node stops"));
        }
        self.started.get().ok_or_else(|| Status::unavailable("the node is not in a cluster yet"))
    }

    fn group(&self, target: Option<&Target>) -> Result<(GroupId, &Raft), Status> {
        let started = self.started()?;
        let target = target.ok_or_else(|| Status::invalid_argument("the target is missing"))?;
        if target.cluster_id != **started.peers.cluster_id() {
            return Err(Status::failed_precondition("this node belongs to another cluster"));
        }
        if target.to_node_id != self.node_id {
            let text = format!("this is node {}, not {}", self.node_id, target.to_node_id);
            return Err(Status::failed_precondition(text));
        }
        let group = GroupId::try_from(target.group)
            .map_err(|_| Status::invalid_argument("the group is not a group id"))?;
        let raft = started
            .groups
            .get(&group)
            .ok_or_else(|| Status::not_found(format!("no replica of group {group} is here")))?;
        Ok((group, raft))
    }

    /// A node that was removed neither leads nor holds up an election, whatever its log says.
    fn refuse_removed(&self, request: &VoteRequest) -> Result<(), Status> {
        let candidate = request.vote.as_ref().map_or(0, |vote| vote.node_id);
        if self.started()?.peers.is_removed(candidate) {
            return Err(Status::failed_precondition("this node was removed from the cluster"));
        }
        Ok(())
    }

    /// A group whose Raft failed must not look alive: the other groups' votes and this node's
    /// place in them are handed over by ending the process.
    fn failed(&self, group: GroupId, error: &RaftFatal<TypeConfig>) -> Status {
        if self.stopping.is_cancelled() {
            return Status::unavailable("the node stops");
        }
        self.fatal.report(format!("raft of group {group} failed: {error}"));
        Status::internal("the replica failed")
    }

    fn answer<T>(
        &self,
        group: GroupId,
        result: Result<T, RaftError<TypeConfig>>,
    ) -> Result<T, Status> {
        result.map_err(|error| match error {
            RaftError::Fatal(error) => self.failed(group, &error),
        })
    }
}

fn malformed(error: &wire::Error) -> Status {
    Status::invalid_argument(format!("malformed request: {error}"))
}

#[tonic::async_trait]
impl RaftService for Service {
    type AppendStreamStream = BoxStream<'static, Result<AppendResponse, Status>>;

    async fn append_stream(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        self.started()?;
        Ok(Response::new(append_answers::answers(self.clone(), request.into_inner())))
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteResponse>, Status> {
        let request = request.into_inner();
        let (group, raft) = self.group(request.target.as_ref())?;
        self.refuse_removed(&request)?;
        let result = raft.vote(wire::vote_from(&request).map_err(|error| malformed(&error))?).await;
        Ok(Response::new(wire::vote_answer(&self.answer(group, result)?)))
    }

    async fn pre_vote(
        &self,
        request: Request<VoteRequest>,
    ) -> Result<Response<VoteResponse>, Status> {
        let request = request.into_inner();
        let (group, raft) = self.group(request.target.as_ref())?;
        self.refuse_removed(&request)?;
        let result =
            raft.pre_vote(wire::vote_from(&request).map_err(|error| malformed(&error))?).await;
        Ok(Response::new(wire::vote_answer(&self.answer(group, result)?)))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let (group, raft) = self.group(request.target.as_ref())?;
        let request = wire::transfer_from(&request).map_err(|error| malformed(&error))?;
        let result = raft.handle_transfer_leader(request).await;
        let answer = result.map_err(|error| self.failed(group, &error))?;
        Ok(Response::new(wire::transfer_answer(&answer)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        let started = self.started()?;
        let _permit = self
            .snapshots
            .try_acquire()
            .map_err(|_| Status::unavailable("another snapshot is being installed"))?;
        let begun = tokio::time::Instant::now();
        let mut reception =
            snapshot::Reception::begin(request.into_inner(), started.snapshot_stall_timeout)
                .await?;
        let (group, raft) = self.group(reception.target())?;
        let (vote, snapshot) = reception.receive(group, &started.store).await?;
        let result = raft.install_full_snapshot(vote, snapshot).await;
        let answer = result.map_err(|error| self.failed(group, &error))?;
        snapshot::record_install(begun.elapsed());
        Ok(Response::new(SnapshotResponse { vote: Some(vote_to_proto(&answer.vote)) }))
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let started = self.started()?;
        if request.get_ref().cluster_id != **started.peers.cluster_id() {
            return Err(Status::failed_precondition("this node belongs to another cluster"));
        }
        let draining = started.peers.is_draining();
        let removed = started.peers.is_removed(request.get_ref().from_node_id);
        Ok(Response::new(PingResponse { node_id: self.node_id, draining, removed }))
    }

    async fn replicas(
        &self,
        request: Request<ReplicasRequest>,
    ) -> Result<Response<ReplicasResponse>, Status> {
        let (_, raft) = self.group(request.get_ref().target.as_ref())?;
        replicas::describe(raft).await.map(Response::new)
    }

    async fn change_replicas(
        &self,
        request: Request<ChangeReplicasRequest>,
    ) -> Result<Response<ChangeReplicasResponse>, Status> {
        let request = request.into_inner();
        let (_, raft) = self.group(request.target.as_ref())?;
        let step = request.step.ok_or_else(|| Status::invalid_argument("the step is missing"))?;
        replicas::change(raft, request.observed, step).await?;
        Ok(Response::new(ChangeReplicasResponse {}))
    }

    async fn hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloResponse>, Status> {
        if self.stopping.is_cancelled() {
            return Err(Status::unavailable("the node stops"));
        }
        self.greeter.hello(request.get_ref()).map(Response::new)
    }
}
