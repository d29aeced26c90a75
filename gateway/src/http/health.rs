//! `/health` and `/v1/health`: cheap, and open to everybody.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::model::HealthBody;
use crate::service::Service;

/// Says that this gateway answers. Whether it has reached the cluster is told by `/readyz`.
#[utoipa::path(get, path = "/health", tag = "server", responses((status = 200, body = HealthBody)))]
pub(super) async fn get(State(service): State<Arc<Service>>) -> Json<HealthBody> {
    Json(HealthBody {
        ok: true,
        service: "axme-gateway",
        deployment_profile: service.config.server.deployment_profile.clone(),
        storage: "raft",
        registered_users: 0,
        version: env!("CARGO_PKG_VERSION"),
    })
}
