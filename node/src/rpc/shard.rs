//! `axp.node.v1.Shard`: commands, reads, subscriptions and deliveries from other shards.

use std::sync::Arc;

use axp_proto::ids::GroupId;
use axp_proto::node::execute_request::Command as WireCommand;
use axp_proto::node::execute_response::Outcome as ExecuteOutcome;
use axp_proto::node::shard_server::Shard as ShardService;
use axp_proto::node::{
    Accepted, CommitRecordsRequest, CommitRecordsResponse, DeliverRequest, DeliverResponse,
    Delivered, ExecuteAnswers, ExecuteBatch, ExecuteRequest, ExecuteResponse, InboxRequest,
    InboxResponse, PublishRequest, PublishResponse, QueryRequest, QueryResponse, RedeliverRequest,
    RedeliverResponse, SubscribeRequest, SubscribeResponse, deliver_response,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use super::command::translate;
use super::{Context, command_stream, inbox, push, query, records, rejection, subscribe, view};
use crate::shard::{ExecuteError, Reply, Shard};

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct ShardRpc {
    pub context: Arc<Context>,
    /// Ends all subscriptions when the node stops.
    pub stop: CancellationToken,
}

#[tonic::async_trait]
impl ShardService for ShardRpc {
    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        self.run(request.into_inner()).await.map(Response::new)
    }

    type ExecuteManyStream = ReceiverStream<Result<ExecuteAnswers, Status>>;

    async fn execute_many(
        &self,
        request: Request<Streaming<ExecuteBatch>>,
    ) -> Result<Response<Self::ExecuteManyStream>, Status> {
        Ok(Response::new(command_stream::serve(self.clone(), request.into_inner())))
    }

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResponse>, Status> {
        query::answer(&self.context, request.into_inner()).await.map(Response::new)
    }

    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let requests = request.into_inner();
        let responses = subscribe::serve(Arc::clone(&self.context), requests, self.stop.clone());
        Ok(Response::new(responses))
    }

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let request = request.into_inner();
        let shard = self.context.shard(request.group)?;
        let source = GroupId::try_from(request.source_group)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let outcome = match shard.deliver(source, request.effects).await {
            Ok(last_effect) => deliver_response::Outcome::Delivered(Delivered { last_effect }),
            Err(ExecuteError::NotLeader) => {
                deliver_response::Outcome::NotLeader(self.context.not_leader(&shard.raft))
            }
            Err(error) => return Err(Status::unavailable(error.to_string())),
        };
        Ok(Response::new(DeliverResponse { outcome: Some(outcome) }))
    }

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        push::publish(&self.context, request.into_inner()).await.map(Response::new)
    }

    async fn redeliver(
        &self,
        request: Request<RedeliverRequest>,
    ) -> Result<Response<RedeliverResponse>, Status> {
        push::redeliver(&self.context, request.into_inner()).await.map(Response::new)
    }

    async fn commit_records(
        &self,
        request: Request<CommitRecordsRequest>,
    ) -> Result<Response<CommitRecordsResponse>, Status> {
        records::commit(&self.context, request.into_inner()).await.map(Response::new)
    }

    async fn inbox(
        &self,
        request: Request<InboxRequest>,
    ) -> Result<Response<InboxResponse>, Status> {
        inbox::act(&self.context, request.into_inner()).await.map(Response::new)
    }
}

impl ShardRpc {
    /// Runs one command.
    ///
    /// # Errors
    /// When there is no outcome, or none that is known.
    pub(super) async fn run(&self, request: ExecuteRequest) -> Result<ExecuteResponse, Status> {
        let shard = self.context.shard(request.group)?;
        let strip_payload = matches!(request.command, Some(WireCommand::Submit(_)));
        let span = tracing::debug_span!(
            "command",
            intent.id = tracing::field::Empty,
            shard.id = request.group,
            traceparent = %request.traceparent,
        );
        let request = translate(request)?;
        span.record("intent.id", tracing::field::display(request.intent_id));
        let outcome = match shard.execute(request).instrument(span).await {
            Ok(reply) => ExecuteOutcome::Accepted(accepted(&reply, strip_payload)),
            Err(error) => self.refused(shard, error)?,
        };
        Ok(ExecuteResponse { outcome: Some(outcome) })
    }

    fn refused(&self, shard: &Shard, error: ExecuteError) -> Result<ExecuteOutcome, Status> {
        match error {
            ExecuteError::Rejected(refusal) => Ok(ExecuteOutcome::Rejection(rejection(&refusal))),
            ExecuteError::NotLeader => {
                Ok(ExecuteOutcome::NotLeader(self.context.not_leader(&shard.raft)))
            }
            ExecuteError::Overloaded => Ok(ExecuteOutcome::Rejection(super::overloaded())),
            ExecuteError::Unknown => Err(Status::unavailable("outcome unknown")),
            ExecuteError::Storage(reason) => Err(Status::unavailable(reason)),
        }
    }
}

/// A payload is not sent back to who has just sent it.
fn accepted(reply: &Reply, strip_payload: bool) -> Accepted {
    let mut intent = view(&reply.intent);
    if strip_payload {
        intent.task = None;
    }
    if let Some(submission) = intent.submission.as_mut().filter(|_| strip_payload) {
        submission.payload_json.clear();
        submission.human_task_json.clear();
    }
    Accepted {
        intent: Some(intent),
        event: reply.event.clone(),
        replayed: reply.replayed,
        stale_policy_generation: reply.stale_policy_generation,
    }
}
