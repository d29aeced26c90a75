//! Logs, traces and the metrics recorder of the process, and trace context as text.
//!
//! The subscriber and the recorder are the only process-wide things of a node. Traces go to a
//! collector in batches by a thread of their own: a collector that is away costs spans, never
//! latency or memory.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use crate::config::{LogFormat, TelemetryConfig};

const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
const EXPORT_QUEUE_MAX: usize = 2048;
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);
/// Spans of these crates belong to the export itself; exporting them would make more of them.
const NOT_EXPORTED: [&str; 5] = ["h2", "hyper", "tonic", "tower", "opentelemetry"];
/// From a sync on a good disk to a request that nobody waits for any more.
const SECONDS_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Why logs or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the trace exporter cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("the log filter does not parse")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is set up already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends what is left of the traces when it is shut down.
#[derive(Debug, Default)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sets up logs and traces for the process. Call it inside the runtime.
    ///
    /// # Errors
    /// When the configuration does not fit, or it was done before.
    pub fn install(config: &TelemetryConfig, node_id: u64) -> Result<Self, Error> {
        let filter = match EnvFilter::try_from_default_env() {
            Ok(filter) => filter,
            Err(_) => EnvFilter::try_new(&config.log_filter)?,
        };
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let log = match config.log_format {
            LogFormat::Text => log.boxed(),
            LogFormat::Json => log.json().flatten_event(true).boxed(),
        };
        let provider = match config.otlp_endpoint.as_str() {
            "" => None,
            endpoint => Some(provider(endpoint, config.trace_sample_ratio, node_id)?),
        };
        let traces = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("axp-node"))
                .with_filter(filter_fn(|metadata| is_exported(metadata.target())))
        });
        Registry::default().with(log.with_filter(filter)).with(traces).try_init()?;
        Ok(Self(provider))
    }

    /// Exports what is queued, within a few seconds.
    pub async fn shutdown(self) {
        let Some(provider) = self.0 else { return };
        // It blocks; and it cannot say more than that spans were lost.
        let flush = move || provider.shutdown_with_timeout(SHUTDOWN_DEADLINE).is_ok();
        if !tokio::task::spawn_blocking(flush).await.unwrap_or(false) {
            tracing::warn!("some traces were not exported");
        }
    }
}

fn provider(endpoint: &str, ratio: f64, node_id: u64) -> Result<SdkTracerProvider, Error> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let batches = BatchSpanProcessor::builder(exporter)
        .with_batch_config(
            BatchConfigBuilder::default().with_max_queue_size(EXPORT_QUEUE_MAX).build(),
        )
        .build();
    let resource = Resource::builder()
        .with_service_name("axp-node")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", node_id.to_string()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(batches)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(resource)
        .build())
}

fn is_exported(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    !NOT_EXPORTED.contains(&root)
}

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The process-wide metrics recorder, made on first use; all nodes of a process share it.
///
/// `None`: somebody installed another recorder, so there is nothing to render.
pub fn metrics_handle() -> Option<&'static PrometheusHandle> {
    let install = || {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        PrometheusBuilder::new()
            .set_buckets_for_metric(seconds, &SECONDS_BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .inspect_err(|error| tracing::warn!(%error, "metrics are not recorded"))
            .ok()
    };
    METRICS.get_or_init(install).as_ref()
}

/// The recorder if there is one already.
pub fn made_metrics() -> Option<&'static PrometheusHandle> {
    METRICS.get()?.as_ref()
}

/// The W3C `traceparent` of a span, to be kept with a command; empty when it is not traced.
#[must_use]
pub fn traceparent(span: &Span) -> String {
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return String::new();
    }
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

/// Makes `span` a child of the caller's span.
pub fn continue_trace(span: &Span, traceparent: &str) {
    if let Some(parent) = parse_traceparent(traceparent) {
        let parent = Context::new().with_remote_span_context(parent);
        if span.set_parent(parent).is_err() {
            tracing::trace!("the span is not traced");
        }
    }
}

/// Links `span` to one that may have ended days ago, such as the submit of an intent.
pub fn link_trace(span: &Span, traceparent: &str) {
    if let Some(origin) = parse_traceparent(traceparent) {
        span.add_link(origin);
    }
}

fn parse_traceparent(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Version 00 has four parts; a later one may have more, and means the same by the first four.
    let well_formed = version.len() == 2
        && version != "ff"
        && trace.len() == 32
        && span.len() == 16
        && flags.len() == 2
        && (version != "00" || parts.next().is_none());
    if !well_formed {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_crosses_the_text_form() {
        let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            let span = tracing::info_span!("child");
            continue_trace(&span, PARENT);
            let text = traceparent(&span);
            assert_eq!(text[..36], PARENT[..36], "same trace");
            assert_ne!(text[36..52], PARENT[36..52], "its own span");
        });
    }

    #[test]
    fn nonsense_is_no_parent() {
        assert!(parse_traceparent(PARENT).is_some());
        assert!(parse_traceparent("").is_none());
        assert!(parse_traceparent(&format!("{PARENT}-more")).is_none());
        assert!(parse_traceparent("00-0-0-0").is_none());
        assert!(
            parse_traceparent(&PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)))
                .is_none()
        );
        assert_eq!(traceparent(&Span::none()), "");
    }

    #[test]
    fn the_exporters_own_spans_stay_home() {
        assert!(!is_exported("h2::codec"));
        assert!(!is_exported("tonic::transport"));
        assert!(is_exported("axp_node::raft"));
        assert!(is_exported("h2o"));
    }
}
