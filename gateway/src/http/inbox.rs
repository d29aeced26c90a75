//! `/v1/inbox` (contract, inbox.md).

use std::sync::Arc;

use axp_proto::log::{Decided, ThreadStatus};
use axum::Json;
use axum::extract::State;

use super::params::Params;
use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{
    DeletedMessagesBody, ErrorBody, ThreadAnswer, ThreadChangesBody, ThreadListBody,
};
use crate::service::{Call, Service};

const LIST_DEFAULT: u32 = 100;
const LIST_MAX: u32 = 500;
const CHANGES_DEFAULT: u32 = 50;
const CHANGES_MAX: u32 = 200;

type Answer = Result<Json<ThreadAnswer>, ApiError>;

/// The threads of an inbox, the one that changed last first.
#[utoipa::path(
    get, path = "/v1/inbox", tag = "inbox", security(("api-key" = [])),
    params(
        ("owner_agent" = Option<String>, Query, description = "whose inbox; the header `x-owner-agent` says the same"),
        ("status" = Option<String>, Query, description = "`pending`, `active` or `done`; all without"),
        ("limit" = Option<u32>, Query, description = "1 to 500, default 100; `/v1/inbox/changes` reads all"),
    ),
    responses(
        (status = 200, body = ThreadListBody),
        (status = 400, body = ErrorBody, description = "header and query name different owners"),
        (status = 403, body = ErrorBody, description = "the owner belongs to others"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<ThreadListBody>, ApiError> {
    let wrong = || {
        ApiError::invalid(&["query", "status"], "must be pending, active or done", "value_error")
    };
    let status = params
        .get("status")
        .map(|word| ThreadStatus::from_wire_name(word).ok_or_else(wrong))
        .transpose()?;
    let threads = service.threads(&call, status, params.limit(LIST_DEFAULT, LIST_MAX)?).await?;
    Ok(Json(ThreadListBody::new(&threads)))
}

/// What changed in an inbox after a cursor, ascending: the last change of each thread.
#[utoipa::path(
    get, path = "/v1/inbox/changes", tag = "inbox", security(("api-key" = [])),
    params(
        ("owner_agent" = Option<String>, Query),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the last answer"),
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50"),
    ),
    responses(
        (status = 200, body = ThreadChangesBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "no cursor of this inbox"),
    ),
)]
pub(super) async fn changes(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<ThreadChangesBody>, ApiError> {
    let limit = params.limit(CHANGES_DEFAULT, CHANGES_MAX)?;
    let changes = service.thread_changes(&call, params.get("cursor"), limit).await?;
    Ok(Json(ThreadChangesBody::new(changes)))
}

/// One thread with its messages.
#[utoipa::path(
    get, path = "/v1/inbox/{thread_id}", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    responses((status = 200, body = ThreadAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
) -> Answer {
    Ok(Json(ThreadAnswer::new(&service.thread(&call, &thread_id).await?)))
}

/// Answers the other party, who gets a thread for it.
#[utoipa::path(
    post, path = "/v1/inbox/{thread_id}/reply", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::ReplyToThread),
    responses(
        (status = 200, body = ThreadAnswer), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn reply(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
    Body(body): Body,
) -> Answer {
    Ok(Json(ThreadAnswer::new(&service.reply(&call, &thread_id, &body).await?)))
}

/// Hands the matter to somebody, who gets a thread for it; the own one stays.
#[utoipa::path(
    post, path = "/v1/inbox/{thread_id}/delegate", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::DelegateThread),
    responses(
        (status = 200, body = ThreadAnswer), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody, description = "it is done"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn delegate(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
    Body(body): Body,
) -> Answer {
    Ok(Json(ThreadAnswer::new(&service.delegate(&call, &thread_id, &body).await?)))
}

/// Approves; a person's pending task is thereby answered `approved`.
#[utoipa::path(
    post, path = "/v1/inbox/{thread_id}/approve", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::DecideThread),
    responses(
        (status = 200, body = ThreadAnswer), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it is decided already"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn approve(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
    Body(body): Body,
) -> Answer {
    let decided = service.decide(&call, &thread_id, Decided::Approved, &body).await?;
    Ok(Json(ThreadAnswer::new(&decided)))
}

/// Rejects; a person's pending task is thereby answered `rejected`.
#[utoipa::path(
    post, path = "/v1/inbox/{thread_id}/reject", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::DecideThread),
    responses(
        (status = 200, body = ThreadAnswer), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it is decided already"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn reject(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
    Body(body): Body,
) -> Answer {
    let decided = service.decide(&call, &thread_id, Decided::Rejected, &body).await?;
    Ok(Json(ThreadAnswer::new(&decided)))
}

/// Deletes messages, for the owner or for all who have them.
#[utoipa::path(
    post, path = "/v1/inbox/{thread_id}/messages/delete", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    request_body(content = super::openapi::DeleteMessages),
    responses(
        (status = 200, body = DeletedMessagesBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn delete_messages(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
    Body(body): Body,
) -> Result<Json<DeletedMessagesBody>, ApiError> {
    let deletion = service.delete_messages(&call, &thread_id, &body).await?;
    Ok(Json(DeletedMessagesBody::new(&deletion)))
}

/// Notes that the owner has read what is there.
#[utoipa::path(
    post, path = "/v1/inbox/{thread_id}/read", tag = "inbox", security(("api-key" = [])),
    params(("thread_id" = String, Path), ("owner_agent" = Option<String>, Query)),
    responses((status = 200, body = ThreadAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn read(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(thread_id): Path<String>,
    Body(body): Body,
) -> Answer {
    Ok(Json(ThreadAnswer::new(&service.mark_read(&call, &thread_id, &body).await?)))
}
