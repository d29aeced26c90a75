//! `/v1/users` (contract, users-invites-media-schemas.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::params::Params;
use super::request::Body;
use crate::error::ApiError;
use crate::model::{ErrorBody, NickCheck, NickResolved, Profile, Registered, Renamed};
use crate::service::{Call, Service};

/// Whether a nick is free.
#[utoipa::path(
    get, path = "/v1/users/check-nick", tag = "users", security(("api-key" = [])),
    params(("nick" = String, Query)),
    responses((status = 200, body = NickCheck), (status = 422, body = ErrorBody)),
)]
pub(super) async fn check(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<NickCheck>, ApiError> {
    service.check_nick(&call, params.get("nick")).await.map(Json)
}

/// Who has a nick.
#[utoipa::path(
    get, path = "/v1/users/resolve-nick", tag = "users", security(("api-key" = [])),
    params(("nick" = String, Query)),
    responses((status = 200, body = NickResolved), (status = 422, body = ErrorBody)),
)]
pub(super) async fn resolve(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<NickResolved>, ApiError> {
    service.resolve_nick(&call, params.get("nick")).await.map(Json)
}

/// Registers a user.
#[utoipa::path(
    post, path = "/v1/users/register-nick", tag = "users", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::RegisterNick),
    responses(
        (status = 200, body = Registered),
        (status = 409, body = ErrorBody, description = "the nick is taken"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn register(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.register_nick(&call, &body).await.map(Json)
}

/// Gives a user another nick.
#[utoipa::path(
    post, path = "/v1/users/rename-nick", tag = "users", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::ChangeUser),
    responses(
        (status = 200, body = Renamed), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "the nick is taken"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn rename(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.rename_nick(&call, &body).await.map(Json)
}

/// A user of the workspace.
#[utoipa::path(
    get, path = "/v1/users/profile", tag = "users", security(("api-key" = [])),
    params(("owner_agent" = String, Query, description = "`agent://user/<user id>`")),
    responses((status = 200, body = Profile), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)),
)]
pub(super) async fn profile(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<Profile>, ApiError> {
    service.profile(&call, params.get("owner_agent")).await.map(Json)
}

/// Changes what is told of a user.
#[utoipa::path(
    post, path = "/v1/users/profile/update", tag = "users", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::ChangeUser),
    responses(
        (status = 200, body = Profile), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "the nick is taken"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn update(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    service.update_profile(&call, &body).await.map(Json)
}
