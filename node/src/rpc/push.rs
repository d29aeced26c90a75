//! Events from gateways and pushes that somebody wants again.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::append::Kind;
use axp_proto::log::push_append::Kind as PushKind;
use axp_proto::log::{DeliveryMode, Parcel, PublishEvent, PushAppend, QueuePush, ReplayEvent};
use axp_proto::node::redeliver_request::Subject;
use axp_proto::node::{
    ParcelList, PublishRequest, PublishResponse, Published, RedeliverRequest, RedeliverResponse,
    Scope, publish_response, redeliver_response,
};
use axp_raft_store::Outcome;
use tonic::Status;

use super::{Context, query, rejection};
use crate::intent::Rejection;
use crate::shard::handle::storage;
use crate::shard::{ExecuteError, Shard};

/// Subscriptions that one event is delivered to; gateways keep workspaces below it.
const SUBSCRIPTIONS_MAX: usize = 1000;

pub(super) async fn publish(
    context: &Context,
    request: PublishRequest,
) -> Result<PublishResponse, Status> {
    use publish_response::Outcome as Answer;
    let shard = context.shard(request.group)?;
    let event = request.event.ok_or_else(|| Status::invalid_argument("no event"))?;
    if event.event_id.len() != 16 || event.subscription_ids.len() > SUBSCRIPTIONS_MAX {
        return Err(Status::invalid_argument("an event without an id, or for too many"));
    }
    let outcome = match store(shard, event, context.push_keep_ms).await {
        Ok(published) => Answer::Published(published),
        Err(ExecuteError::NotLeader) => Answer::NotLeader(context.not_leader(&shard.raft)),
        Err(ExecuteError::Rejected(refusal)) => Answer::Rejection(rejection(&refusal)),
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    Ok(PublishResponse { outcome: Some(outcome) })
}

async fn store(
    shard: &Shard,
    event: PublishEvent,
    keep_ms: i64,
) -> Result<Published, ExecuteError> {
    let now_ms = shard.clock.now_ms();
    let event = PublishEvent { at_ms: now_ms, forget_at_ms: now_ms + keep_ms, ..event };
    let (workspace, event_id) = (event.workspace_id.clone(), event.event_id.clone());
    // Refused when an earlier attempt of the gateway was carried out: then that one is told.
    append(shard, PushKind::Publish(event)).await?;
    published(shard, &workspace, &event_id)
}

pub(super) async fn redeliver(
    context: &Context,
    request: RedeliverRequest,
) -> Result<RedeliverResponse, Status> {
    use redeliver_response::Outcome as Answer;
    let shard = context.shard(request.group)?;
    let scope = request.scope.ok_or_else(|| Status::invalid_argument("no scope"))?;
    let queued = match request.subject {
        Some(Subject::IntentId(id)) => redeliver_intent(shard, &scope, &id).await,
        Some(Subject::Event(replay)) => replay_event(shard, &scope, replay).await,
        None => return Err(Status::invalid_argument("nothing that this version knows")),
    };
    let outcome = match queued {
        Ok(parcels) => Answer::Queued(ParcelList { parcels }),
        Err(ExecuteError::NotLeader) => Answer::NotLeader(context.not_leader(&shard.raft)),
        Err(ExecuteError::Rejected(refusal)) => Answer::Rejection(rejection(&refusal)),
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    Ok(RedeliverResponse { outcome: Some(outcome) })
}

async fn redeliver_intent(
    shard: &Shard,
    scope: &Scope,
    id: &[u8],
) -> Result<Vec<Parcel>, ExecuteError> {
    shard.barrier().await?;
    let id = query::intent_id(id)?;
    let intent = shard.visible_intent(id, &query::caller(scope))?;
    let holder = intent.holder();
    if holder.mode() != DeliveryMode::Http {
        let message = "the intent's agent has no callback";
        return Err(ExecuteError::Rejected(Rejection::new(ErrorCode::InvalidState, message)));
    }
    let mailbox = holder.mailbox.unwrap_or_default();
    let queue = QueuePush {
        intent_id: id.to_bytes(),
        workspace_id: mailbox.workspace_id,
        address: mailbox.address,
        at_ms: shard.clock.now_ms(),
        again: true,
    };
    append(shard, PushKind::Queue(queue)).await?;
    let parcel = shard.reader().intent_parcel(id.as_bytes()).map_err(storage)?;
    Ok(parcel.into_iter().collect())
}

async fn replay_event(
    shard: &Shard,
    scope: &Scope,
    replay: ReplayEvent,
) -> Result<Vec<Parcel>, ExecuteError> {
    if replay.subscription_ids.len() > SUBSCRIPTIONS_MAX {
        let message = "an event for too many subscriptions";
        return Err(ExecuteError::Rejected(Rejection::new(ErrorCode::ValidationError, message)));
    }
    shard.barrier().await?;
    published(shard, &scope.workspace_id, &replay.event_id)?;
    let replay = ReplayEvent { at_ms: shard.clock.now_ms(), ..replay };
    let (event_id, wanted) = (replay.event_id.clone(), replay.subscription_ids.clone());
    append(shard, PushKind::Replay(replay)).await?;
    let mut parcels = shard.reader().event_parcels(&event_id).map_err(storage)?;
    parcels.retain(|parcel| wanted.contains(&parcel.subscription_id));
    Ok(parcels)
}

/// An event of this workspace as the applied state has it.
pub(super) fn published(
    shard: &Shard,
    workspace_id: &str,
    event_id: &[u8],
) -> Result<Published, ExecuteError> {
    let event = shard.reader().published(event_id).map_err(storage)?;
    let event = event.filter(|event| event.workspace_id == workspace_id).ok_or_else(|| {
        ExecuteError::Rejected(Rejection::new(ErrorCode::NotFound, "event not found"))
    })?;
    let parcels = shard.reader().event_parcels(event_id).map_err(storage)?;
    let event = PublishEvent { payload_json: bytes::Bytes::new(), ..event };
    Ok(Published { event: Some(event), parcels })
}

async fn append(shard: &Shard, kind: PushKind) -> Result<Outcome, ExecuteError> {
    shard.propose(Kind::Push(PushAppend { kind: Some(kind) })).await
}
