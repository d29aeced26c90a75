//! `/v1/intents` (contract, intents.md 2 to 5, 7 and 8).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::params::Params;
use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{
    CommandBody, ErrorBody, EventBody, EventListBody, GetIntentBody, IntentBody, IntentListBody,
    IntentRowBody, SubmittedBody,
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

/// The intents of the workspace, newest first.
#[utoipa::path(
    get, path = "/v1/intents", tag = "intents", security(("api-key" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, default 50"),
        ("status" = Option<String>, Query, description = "a comma list; `active`: all that are not \
            terminal; `pending`: those addressed to the caller's agent"),
        ("to_agent" = Option<String>, Query), ("from_agent" = Option<String>, Query),
    ),
    responses((status = 200, body = IntentListBody), (status = 422, body = ErrorBody)),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<IntentListBody>, ApiError> {
    let statuses = params.statuses()?;
    let address = |name: &str| params.get(name).map(|text| call.caller.normalise(text)).transpose();
    let mut filter = ListFilter {
        limit: params.limit(LIST_DEFAULT, LIST_MAX)?,
        statuses: statuses.list,
        to_agent: address("to_agent")?,
        from_agent: address("from_agent")?,
        updated_before_ms: None,
    };
    if statuses.pending && filter.to_agent.is_none() {
        filter.to_agent = Some(service.acting_agent(&call)?);
    }
    let rows = service.list(&call, &filter).await?;
    let intents = rows.iter().filter_map(IntentRowBody::new).collect();
    Ok(Json(IntentListBody { ok: true, intents }))
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
    Ok(Json(CommandBody::new(&resolved)?.with_completion_delivery()))
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
