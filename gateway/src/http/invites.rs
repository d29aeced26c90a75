//! `/v1/invites` (contract, users-invites-media-schemas.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{ErrorBody, InviteAccepted, InviteBody, InviteCreated};
use crate::service::{Call, Service};

/// Makes an invite.
#[utoipa::path(
    post, path = "/v1/invites/create", tag = "invites", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::CreateInvite),
    responses((status = 200, body = InviteCreated), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)),
)]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.create_invite(&call, &body).await.map(Json)
}

/// An invite, for whoever has its token.
#[utoipa::path(
    get, path = "/v1/invites/{token}", tag = "invites", security(("api-key" = [])),
    params(("token" = String, Path)),
    responses((status = 200, body = InviteBody), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(token): Path<String>,
) -> Result<Json<InviteBody>, ApiError> {
    service.invite(&call, &token).await.map(Json)
}

/// Accepts an invite, once: makes the invited user.
#[utoipa::path(
    post, path = "/v1/invites/{token}/accept", tag = "invites", security(("api-key" = [])),
    params(("token" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::AcceptInvite),
    responses(
        (status = 200, body = InviteAccepted), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "accepted or expired already, or the nick is taken"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn accept(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(token): Path<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.accept_invite(&call, &token, &body).await.map(Json)
}
