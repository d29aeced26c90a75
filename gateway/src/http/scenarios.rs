//! `/v1/scenarios` and `/v1/tool-registry/macros` (contract, scenarios.md).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::request::{Body, Path};
use crate::error::ApiError;
use crate::model::{
    AppliedBody, ErrorBody, MacroAnswer, MacroBody, MacroListBody, MacroRow, ValidationBody,
};
use crate::scenario;
use crate::service::{Call, Service};

/// Says what is wrong with a scenario bundle. Creates nothing.
#[utoipa::path(
    post, path = "/v1/scenarios/validate", tag = "scenarios", security(("api-key" = [])),
    request_body(content = super::openapi::ScenarioBundle),
    responses(
        (status = 200, body = ValidationBody, description = "also when it is not valid"),
        (status = 422, body = ErrorBody, description = "no JSON object"),
    ),
)]
pub(super) async fn validate(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<ValidationBody>, ApiError> {
    let report = service.validate_scenario(&call, &body).await?;
    Ok(Json(report.into()))
}

/// Creates the agents that are missing and an intent that carries the scenario out.
#[utoipa::path(
    post, path = "/v1/scenarios/apply", tag = "scenarios", security(("api-key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "`idempotency_key` in the bundle goes before it")),
    request_body(content = super::openapi::ScenarioBundle),
    responses(
        (status = 200, body = AppliedBody),
        (status = 403, body = ErrorBody, description = "a receiver takes nothing from the caller"),
        (status = 409, body = ErrorBody, description = "the idempotency key was used for another bundle"),
        (status = 422, body = ErrorBody, description = "the bundle is not valid: `detail` has all errors"),
    ),
)]
pub(super) async fn apply(
    State(service): State<Arc<Service>>,
    call: Call,
    Body(body): Body,
) -> Result<Json<AppliedBody>, ApiError> {
    let applied = service.apply_scenario(&call, &body).await?;
    Ok(Json(applied.into()))
}

/// The macros that a bundle may name.
#[utoipa::path(
    get, path = "/v1/tool-registry/macros", tag = "scenarios", security(("api-key" = [])),
    responses((status = 200, body = MacroListBody)),
)]
pub(super) async fn macros(_call: Call) -> Json<MacroListBody> {
    let macros = scenario::list_macros().iter().map(MacroRow::new).collect();
    Json(MacroListBody { ok: true, macros })
}

/// A macro with its parameters.
#[utoipa::path(
    get, path = "/v1/tool-registry/macros/{macro_id}", tag = "scenarios", security(("api-key" = [])),
    params(("macro_id" = String, Path)),
    responses((status = 200, body = MacroAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn macro_by_id(
    _call: Call,
    Path(macro_id): Path<String>,
) -> Result<Json<MacroAnswer>, ApiError> {
    let found = scenario::find_macro(&macro_id);
    let found = found.ok_or_else(|| ApiError::not_found("there is no such macro"))?;
    Ok(Json(MacroAnswer { ok: true, found: MacroBody::new(found) }))
}
