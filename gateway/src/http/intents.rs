//! `/v1/intents` (contract, intents.md 2 to 5 and 7 to 10).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::params::Params;
use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{
    BulkCancelBody, CommandBody, ControlsBody, ErrorBody, EventBody, EventListBody, GetIntentBody,
    IntentBody, IntentListBody, SubmittedBody,
};
use crate::service::{Call, ListFilter, Service};

const LIST_DEFAULT: u32 = 50;
const LIST_MAX: u32 = 1_000;

/// Submits an intent. It is on disk on a majority of replicas when this answers.
#[utoipa::path(
    post, path = "/v1/intents", tag = "intents", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "makes a repeat harmless for a day")),
    request_body(content = super::openapi::SubmitIntent),
    responses(
        (status = 200, body = SubmittedBody),
        (status = 403, body = ErrorBody, description = "the receiver's organization is closed"),
        (status = 409, body = ErrorBody, description = "the idempotency key was used for something else"),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody), (status = 503, body = ErrorBody),
    ),
)]
pub(super) async fn submit(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<SubmittedBody>, ApiError> {
    let submitted = service.submit(&call, &body).await?;
    Ok(Json(submitted.into()))
}

/// The intents of the workspace, newest first; what is pending for an agent, oldest first.
#[utoipa::path(
    get, path = "/v1/intents", tag = "intents", security(("api-key" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, default 50"),
        ("status" = Option<String>, Query, description = "a comma list; `active`: all that are not \
            terminal; `pending`: those that wait for the caller's agent, or for `to_agent`"),
        ("since" = Option<u32>, Query, description = "with `pending`: `next_since` of the page before"),
        ("to_agent" = Option<String>, Query), ("from_agent" = Option<String>, Query),
    ),
    responses(
        (status = 200, body = IntentListBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<IntentListBody>, ApiError> {
    let statuses = params.statuses()?;
    let address = |name: &str| params.get(name).map(|text| call.caller.normalise(text)).transpose();
    let limit = params.limit(LIST_DEFAULT, LIST_MAX)?;
    if statuses.only_pending {
        let agent = match address("to_agent")? {
            Some(agent) => agent,
            None => service.acting_agent(&call)?,
        };
        let since = params.number("since")?.unwrap_or(0);
        let pending = service.pending(&call, agent, since, limit).await?;
        return Ok(Json(IntentListBody::pending(&pending, address("from_agent")?.as_deref())));
    }
    let mut filter = ListFilter {
        limit,
        statuses: statuses.list,
        to_agent: address("to_agent")?,
        from_agent: address("from_agent")?,
        updated_before_ms: None,
    };
    if statuses.pending && filter.to_agent.is_none() {
        filter.to_agent = Some(service.acting_agent(&call)?);
    }
    let rows = service.list(&call, &filter).await?;
    Ok(Json(IntentListBody::new(&rows)))
}

/// One intent as it stands.
#[utoipa::path(
    get, path = "/v1/intents/{intent_id}", tag = "intents", security(("api-key" = [])),
    params(("intent_id" = String, Path)),
    responses((status = 200, body = GetIntentBody), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
) -> Result<Json<GetIntentBody>, ApiError> {
    let view = service.get(&call, &intent_id).await?;
    Ok(Json(IntentBody::new(&view)?.into()))
}

/// The events of an intent, ascending.
#[utoipa::path(
    get, path = "/v1/intents/{intent_id}/events", tag = "intents", security(("api-key" = [])),
    params(
        ("intent_id" = String, Path),
        ("since" = Option<u32>, Query, description = "only events with a larger seq"),
    ),
    responses((status = 200, body = EventListBody), (status = 404, body = ErrorBody)),
)]
pub(super) async fn events(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    params: Params,
) -> Result<Json<EventListBody>, ApiError> {
    let since = params.number("since")?.unwrap_or(0);
    let (id, events) = service.events(&call, &intent_id, since).await?;
    let events = events.iter().map(|event| EventBody::new(id, event)).collect();
    Ok(Json(EventListBody { ok: true, events }))
}

/// Ends an intent on behalf of its owner.
#[utoipa::path(
    post, path = "/v1/intents/{intent_id}/resolve", tag = "intents", security(("api-key" = [])),
    params(("intent_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::ResolveIntent),
    responses(
        (status = 200, body = CommandBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has ended already"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn resolve(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    Body(body): Body,
) -> Result<Json<CommandBody>, ApiError> {
    let resolved = service.resolve(&call, &intent_id, &body).await?;
    let completion = service.completion(&call, &resolved).await?;
    Ok(Json(CommandBody::new(&resolved)?.with_completion(completion.as_ref())))
}

/// An agent's result, a person's answer, or a control resume: the body decides.
#[utoipa::path(
    post, path = "/v1/intents/{intent_id}/resume", tag = "intents", security(("api-key" = [])),
    params(("intent_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::ResumeIntent),
    responses(
        (status = 200, body = CommandBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has ended, or waits for nobody"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn resume(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    Body(body): Body,
) -> Result<Json<CommandBody>, ApiError> {
    let resumed = service.resume(&call, &intent_id, &body).await?;
    Ok(Json(CommandBody::new(&resumed)?))
}

/// Changes controls by members; `null` takes one away.
#[utoipa::path(
    post, path = "/v1/intents/{intent_id}/controls", tag = "intents", security(("api-key" = [])),
    params(("intent_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::UpdateControls),
    responses(
        (status = 200, body = ControlsBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "a bad body, or a control beyond the envelope"),
    ),
)]
pub(super) async fn controls(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    Body(body): Body,
) -> Result<Json<ControlsBody>, ApiError> {
    let changed = service.update_controls(&call, &intent_id, &body).await?;
    Ok(Json(ControlsBody::new(&changed)?))
}

/// Changes who else may act on the intent, and the bounds of its controls.
#[utoipa::path(
    post, path = "/v1/intents/{intent_id}/policy", tag = "intents", security(("api-key" = [])),
    params(("intent_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::UpdatePolicy),
    responses(
        (status = 200, body = ControlsBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn policy(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    Body(body): Body,
) -> Result<Json<ControlsBody>, ApiError> {
    let changed = service.update_policy(&call, &intent_id, &body).await?;
    Ok(Json(ControlsBody::new(&changed)?))
}

/// Cancels the open intents of the workspace that have not changed for some time.
#[utoipa::path(
    post, path = "/v1/intents/bulk-cancel", tag = "intents", security(("api-key" = [])),
    request_body(content = super::openapi::BulkCancel),
    responses(
        (status = 200, body = BulkCancelBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody, description = "a part of it is done: repeat it"),
    ),
)]
pub(super) async fn bulk_cancel(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<BulkCancelBody>, ApiError> {
    let canceled = service.bulk_cancel(&call, &body).await?;
    Ok(Json(canceled.into()))
}
