//! The admin port, plain HTTP: probes, metrics, version, drain. Not for the public.
//!
//! | path | question |
//! |---|---|
//! | `GET /startupz` | is the store open and are the logs replayed? |
//! | `GET /livez` | do the runtime and the disk make progress? |
//! | `GET /readyz` | caught up once since the start, and not draining? |
//! | `GET /metrics` | Prometheus text |
//! | `GET /version` | |
//! | `POST /drain` | leave service; answers when leadership is handed over |
//!
//! No probe asks about other nodes or about quorums: a probe that does turns one fault into many.

mod watchdog;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use watchdog::Watchdog;

use crate::cluster::begin::Readiness;
use crate::cluster::drain::Drain;
use crate::net::Listener;
use crate::telemetry;

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct Probes {
    pub started: watch::Receiver<bool>,
    pub readiness: Readiness,
    pub drain: Drain,
    pub watchdog: Arc<Watchdog>,
}

/// Serves until the node stops.
///
/// # Errors
/// When accepting connections fails for good.
pub async fn serve(
    listener: Listener,
    probes: Probes,
    stopping: CancellationToken,
) -> std::io::Result<()> {
    let Listener::Tcp(listener) = listener else {
        // A simulation asks nobody's probes.
        stopping.cancelled().await;
        return Ok(());
    };
    let served = axum::serve(listener, router(probes));
    // Connections are not waited for: nothing here is worth delaying the end of the process.
    stopping.run_until_cancelled(async move { served.await }).await.unwrap_or(Ok(()))
}

fn router(probes: Probes) -> Router {
    Router::new()
        .route("/startupz", get(startupz))
        .route("/livez", get(livez))
        .route("/healthz", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route("/drain", post(drain))
        .with_state(probes)
}

type Answer = (StatusCode, &'static str);

fn answer(ok: bool, yes: &'static str, no: &'static str) -> Answer {
    if ok { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) }
}

async fn startupz(State(probes): State<Probes>) -> Answer {
    answer(*probes.started.borrow(), "started\n", "opening the store and replaying the logs\n")
}

async fn livez(State(probes): State<Probes>) -> Answer {
    match probes.watchdog.stalled() {
        None => (StatusCode::OK, "alive\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

async fn readyz(State(probes): State<Probes>) -> Answer {
    if probes.drain.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    answer(probes.readiness.is_ready(), "ready\n", "waiting for the groups to catch up\n")
}

async fn metrics() -> impl IntoResponse {
    let text = telemetry::metrics_handle().map(|handle| handle.render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn version() -> impl IntoResponse {
    Json(json!({ "name": "axp-node", "version": env!("CARGO_PKG_VERSION") }))
}

async fn drain(State(probes): State<Probes>) -> impl IntoResponse {
    let left = probes.drain.run().await;
    Json(json!({ "groups_led": left }))
}
