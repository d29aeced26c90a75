//! `/v1/me/tasks` (contract, tasks.md 1).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::params::Params;
use crate::error::ApiError;
use crate::model::{ErrorBody, TaskListBody};
use crate::service::{Call, Service};

const LIST_DEFAULT: u32 = 50;
const LIST_MAX: u32 = 200;

/// Human tasks that wait for an answer, of the newest intent first.
#[utoipa::path(
    get, path = "/v1/me/tasks", tag = "tasks", security(("api-key" = [])),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("owner_agent" = Option<String>, Query, description = "only what this agent may answer"),
    ),
    responses(
        (status = 200, body = TaskListBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<TaskListBody>, ApiError> {
    let limit = params.limit(LIST_DEFAULT, LIST_MAX)?;
    let open = service.open_tasks(&call, params.get("cursor"), limit).await?;
    Ok(Json(open.into()))
}
