//! Probes, metrics and version, on a port of their own that stays inside the machine or the pod.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::metrics;
use crate::service::Service;

#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) service: Arc<Service>,
    /// Whether what is to be made at start has been made.
    pub(crate) seeded: Arc<AtomicBool>,
}

pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .route("/version", get(version))
        .with_state(admin)
}

/// Answers as long as the process does: a cluster in trouble is no reason to restart a gateway.
async fn livez() -> &'static str {
    "ok\n"
}

/// Whether requests should come here: the control data is known, and the gateway is not leaving.
async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.service.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if !admin.service.cluster.cache.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been reached yet\n")
    } else if !admin.seeded.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "the seed has not been committed yet\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn prometheus() -> Response {
    let Some(recorder) = metrics::recorder() else {
        let text = "another part of this process keeps the metrics\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    recorder.run_upkeep();
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4");
    ([(header::CONTENT_TYPE, content_type)], recorder.render()).into_response()
}

async fn version() -> Json<serde_json::Value> {
    Json(json!({ "name": "axp-gateway", "version": env!("CARGO_PKG_VERSION") }))
}
