//! `/v1/schemas` (contract, users-invites-media-schemas.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::request::{Body, Path};
use super::service_accounts::answer;
use crate::error::ApiError;
use crate::model::{ErrorBody, SchemaAnswer, SchemaBody};
use crate::service::{Call, Service};

/// Registers the schema of a semantic type, or changes it.
#[utoipa::path(
    post, path = "/v1/schemas", tag = "schemas", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body(content = super::openapi::UpsertSchema),
    responses(
        (status = 200, body = SchemaAnswer), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "the change is not compatible"),
        (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody, description = "the workspace has all the schemas it may have"),
    ),
)]
pub(super) async fn upsert(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let upserted = service.upsert_schema(&call, &body).await?;
    Ok(answer(upserted, |schema| SchemaAnswer { ok: true, schema: SchemaBody::new(&schema) }))
}

/// The schema of a semantic type: the acting agent's own, else the workspace's first.
#[utoipa::path(
    get, path = "/v1/schemas/{semantic_type}", tag = "schemas", security(("api-key" = [])),
    params(("semantic_type" = String, Path), ("owner_agent" = Option<String>, Query)),
    responses((status = 200, body = SchemaAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(semantic_type): Path<String>,
) -> Result<Json<SchemaAnswer>, ApiError> {
    let schema = service.schema(&call, &semantic_type).await?;
    Ok(Json(SchemaAnswer { ok: true, schema: SchemaBody::new(&schema.value) }))
}
