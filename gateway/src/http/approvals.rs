//! `/v1/approvals` (contract, approvals.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{ApprovalAnswer, ErrorBody};
use crate::service::{Call, Service};

/// Decides an approval, which comes into being with its first decision.
#[utoipa::path(
    post, path = "/v1/approvals/{approval_id}/decision", tag = "inbox", security(("api-key" = [])),
    params(("approval_id" = String, Path, description = "a UUID; the id of a waiting intent answers its task")),
    request_body(content = super::openapi::DecideApproval),
    responses(
        (status = 200, body = ApprovalAnswer),
        (status = 409, body = ErrorBody, description = "it was decided otherwise"),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn decide(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(approval_id): Path<String>,
    Body(body): Body,
) -> Result<Json<ApprovalAnswer>, ApiError> {
    let approval = service.decide_approval(&call, &approval_id, &body).await?;
    Ok(Json(ApprovalAnswer::new(&approval)))
}
