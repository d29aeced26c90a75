//! `axp-gateway`: one gateway as a process.

use std::path::PathBuf;

use anyhow::Context as _;
use axp_gateway::config::Config;
use axp_gateway::{Gateway, telemetry};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stateless HTTP, SSE and gRPC front of an AXP cluster.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// TOML file; every key is in gateway/config/example.toml. `AXP_GATEWAY__SECTION__KEY` in the
    /// environment overrides it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load(arguments.config.as_deref())?;
    let telemetry = telemetry::install(&config.telemetry)?;
    let mut terminate = signal(SignalKind::terminate()).context("no signal handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signal handler")?;

    let gateway = Gateway::start(config).await?;
    tracing::info!(http = %gateway.http_address(), grpc = %gateway.grpc_address(), "serving");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stops on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stops on SIGINT"),
    }
    gateway.shutdown().await;
    telemetry.flush().await;
    Ok(())
}
