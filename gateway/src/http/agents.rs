//! `/v1/agents` (contract, agents.md 2 and 3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::params::Params;
use super::request::Path;
use super::{access, streams};
use crate::error::ApiError;
use crate::model::{AgentAnswer, AgentBody, AgentListAnswer, ErrorBody};
use crate::service::{AgentPath, Call, Service};

const LIST_DEFAULT: u32 = 100;
const LIST_MAX: u32 = 1_000;

/// The agents of the workspace.
#[utoipa::path(
    get, path = "/v1/agents", tag = "agents", security(("api-key" = [])),
    params(
        ("org_id" = Option<String>, Query), ("workspace_id" = Option<String>, Query),
        ("limit" = Option<u32>, Query, description = "1 to 1000, default 100"),
    ),
    responses((status = 200, body = AgentListAnswer), (status = 403, body = ErrorBody)),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    call: Call,
    params: Params,
) -> Result<Json<AgentListAnswer>, ApiError> {
    let limit = params.limit(LIST_DEFAULT, LIST_MAX)? as usize;
    let found =
        service.agents(&call, params.get("org_id"), params.get("workspace_id"), limit).await?;
    Ok(Json(AgentListAnswer { ok: true, agents: found.iter().map(AgentBody::new).collect() }))
}

/// Everything below `/v1/agents/`: addresses hold slashes, so the suffix decides.
pub(super) async fn by_path(
    State(service): State<Arc<Service>>,
    call: Call,
    Path(rest): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    match AgentPath::parse(&rest) {
        AgentPath::Stream(address) => {
            streams::agent(&service, &call, address, &params, &headers).await
        }
        AgentPath::Access(subject, part) => {
            access::get_of_agent(&service, &call, subject, part).await
        }
        AgentPath::Agent(address) => Ok(get(&service, &call, address).await?.into_response()),
    }
}

/// One registered agent.
#[utoipa::path(
    get, path = "/v1/agents/{address}", tag = "agents", security(("api-key" = [])),
    params(("address" = String, Path, description = "`org/workspace/name`, or a name in the own workspace")),
    responses((status = 200, body = AgentAnswer), (status = 404, body = ErrorBody)),
)]
pub(super) async fn get(
    service: &Arc<Service>,
    call: &Call,
    address: &str,
) -> Result<Json<AgentAnswer>, ApiError> {
    let entry = service.agent(call, address).await?;
    Ok(Json(AgentAnswer { ok: true, agent: AgentBody::new(&entry) }))
}
