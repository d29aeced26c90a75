//! Dead letters, and deliveries that somebody wants again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::params::Params;
use super::request::{Body, Path};
use super::service_accounts::answer;
use crate::error::ApiError;
use crate::model::{DeadLetterListAnswer, ErrorBody, RedeliveredAnswer, dead_letter_body};
use crate::service::{Call, Service};

const LIST_DEFAULT: u32 = 50;
const LIST_MAX: u32 = 1_000;

/// Pushes of the workspace that were given up, newest first.
#[utoipa::path(
    get, path = "/v1/push/dead-letters", tag = "push", security(("api-key" = [])),
    params(("limit" = Option<u32>, Query, description = "1 to 1000, default 50")),
    responses((status = 200, body = DeadLetterListAnswer)),
)]
pub(super) async fn dead_letters(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<DeadLetterListAnswer>, ApiError> {
    let parcels = service.dead_letters(&call, params.limit(LIST_DEFAULT, LIST_MAX)?).await?;
    let dead_letters = parcels.iter().map(dead_letter_body).collect();
    Ok(Json(DeadLetterListAnswer { ok: true, dead_letters }))
}

/// Pushes an intent to the callback of its agent again, whatever became of it before.
#[utoipa::path(
    post, path = "/v1/intents/{intent_id}/redeliver", tag = "push", security(("api-key" = [])),
    params(("intent_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, body = RedeliveredAnswer), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    ),
)]
pub(super) async fn redeliver(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(intent_id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let redelivered = service.redeliver(&call, &intent_id, &body).await?;
    Ok(answer(redelivered, |body| body))
}
