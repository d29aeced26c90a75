//! Logs and traces of a process. Installed by `main` only: a library does not decide for others.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogFormat, TelemetryConfig};

const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// Spans that wait for a collector; more are dropped, so that a black hole costs no memory.
const QUEUE_MAX: usize = 2_048;

/// What must be flushed before the process ends.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Installs logging, and tracing when a collector is configured. Needs a multi-thread runtime.
///
/// # Errors
/// When something is installed already, or the exporter cannot be built.
pub fn install(config: &TelemetryConfig) -> anyhow::Result<Telemetry> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter).context("RUST_LOG does not parse")?,
        Err(_) => EnvFilter::try_new(&config.log_filter).context("log-filter does not parse")?,
    };
    let logs = match config.log_format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    let provider = if config.otlp_endpoint.is_empty() { None } else { Some(provider(config)?) };
    let traces = provider.as_ref().map(|provider| {
        // Only spans of ours: exporting the exporter's own would never end.
        let ours = Targets::new()
            .with_target("axp_gateway", LevelFilter::INFO)
            .with_default(LevelFilter::OFF);
        tracing_opentelemetry::layer().with_tracer(provider.tracer("axp-gateway")).with_filter(ours)
    });
    tracing_subscriber::registry().with(traces).with(logs.with_filter(filter)).try_init()?;
    Ok(Telemetry(provider))
}

fn provider(config: &TelemetryConfig) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp_endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .context("the OTLP exporter cannot be built")?;
    let batch = BatchConfigBuilder::default().with_max_queue_size(QUEUE_MAX).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let ratio = Sampler::TraceIdRatioBased(config.trace_sample_ratio);
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(Resource::builder().with_service_name("axp-gateway").build())
        .build())
}

impl Telemetry {
    /// Sends what is left, for a while.
    pub async fn flush(self) {
        let Some(provider) = self.0 else { return };
        let flushing = tokio::task::spawn_blocking(move || provider.shutdown());
        match tokio::time::timeout(FLUSH_TIMEOUT, flushing).await {
            Ok(Ok(Ok(()))) => {}
            _ => tracing::warn!("some spans were not exported"),
        }
    }
}
